# References for twostage.stats.continuous, by an own solution in R. Run from this folder: Rscript continuous.R (20 minutes)
# -> continuous_panels.csv (persons with times of their own), continuous_fits.json
# Nothing is shared with the Python code: matrix exponentials are those of package Matrix; the noise of an interval is Van Loan's
# (1978, doi:10.1109/TAC.1978.1101743) block exponential of the diffusion Q itself; covariances go from session to session; each person has a
# dense normal density; optim (BFGS, started again until it stands still) maximises over A, Q, W, B, E and all means; the
# standard errors are from second derivatives by central differences with Richardson's extrapolation.
suppressMessages({
  library(Matrix)
  library(jsonlite)
})
A0 <- matrix(c(-.14, -.04, .01, -.18), 2)
P0 <- matrix(c(1, -.2, -.2, 1), 2)
B0 <- matrix(c(.8, -.3, -.3, .7), 2)
draw <- function(n, sessions, missing, noise, gaps = 4:11) {
  rows <- lapply(seq_len(n), function(i) {
    t <- cumsum(sample(gaps, sessions, TRUE))
    w <- t(chol(P0)) %*% rnorm(2)
    r <- t(chol(B0)) %*% rnorm(2)
    out <- r + w
    for (k in seq_len(sessions)[-1]) {
      F <- as.matrix(expm(A0 * (t[k] - t[k - 1])))
      w <- F %*% w + t(chol(P0 - F %*% P0 %*% t(F))) %*% rnorm(2)
      out <- cbind(out, r + w)
    }
    out <- out + noise * rnorm(2 * sessions) + 3
    out[runif(2 * sessions) < missing] <- NA
    data.frame(person = i, session = seq_len(sessions), time = t, x = round(out[1, ], 3), y = round(2 * out[2, ], 3))
  })
  do.call(rbind, rows)
}
cases <- list(
  complete = list(n = 70, sessions = 5, missing = 0, noise = 0, error = FALSE, first = "free", means = "sessions"),
  missing = list(n = 90, sessions = 5, missing = .15, noise = 0, error = FALSE, first = "free", means = "sessions"),
  settled = list(n = 60, sessions = 6, missing = .1, noise = 0, error = FALSE, first = "settled", means = "constant"),
  error = list(n = 100, sessions = 6, missing = .05, noise = .5, error = TRUE, first = "free", means = "constant")
)
sym <- function(p) matrix(p[c(1, 2, 2, 3)], 2)
van_loan <- function(A, Q, d) {
  E <- as.matrix(expm(rbind(cbind(-A, Q), cbind(matrix(0, 2, 2), t(A))) * d))
  F <- t(E[3:4, 3:4])
  list(F = F, V = F %*% E[1:2, 3:4])
}
settle <- function(A, Q) matrix(solve(kronecker(diag(2), A) + kronecker(A, diag(2)), -c(Q)), 2)

minus <- function(case, people) function(p) {
  A <- matrix(p[1:4], 2, byrow = TRUE)
  Q <- sym(p[5:7])
  B <- sym(p[8:10])
  at <- 10
  W <- settle(A, Q)
  if (case$first == "free") {
    W <- sym(p[11:13])
    at <- 13
  }
  E <- c(0, 0)
  if (case$error) E <- p[at + 1:2]
  if (case$error) at <- at + 2
  mu <- p[-seq_len(at)]
  mu <- if (case$means == "constant") matrix(mu, 2, case$sessions) else matrix(mu, 2)
  if (any(E < 0)) return(1e10)
  steps <- lapply(sort(unique(unlist(lapply(people, `[[`, "gaps")))), function(d) c(list(d = d), van_loan(A, Q, d)))
  names(steps) <- vapply(steps, function(s) as.character(s$d), "")
  total <- 0
  for (person in people) {
    T <- case$sessions
    S <- matrix(0, 2 * T, 2 * T)
    V <- W
    S[1:2, 1:2] <- V
    for (k in seq_len(T - 1)) {
      s <- steps[[as.character(person$gaps[k])]]
      past <- seq_len(2 * k)
      new <- 2 * k + 1:2
      S[new, past] <- s$F %*% S[2 * k - 1:0, past]
      S[past, new] <- t(S[new, past])
      V <- s$F %*% V %*% t(s$F) + s$V
      S[new, new] <- V
    }
    S <- S + kronecker(matrix(1, T, T), B) + diag(rep(E, T))
    seen <- person$seen
    R <- tryCatch(chol(S[seen, seen]), error = function(e) NULL)
    if (is.null(R)) return(1e10)
    z <- backsolve(R, (person$y - c(mu))[seen], transpose = TRUE)
    total <- total + .5 * (length(seen) * log(2 * pi) + sum(z^2)) + sum(log(diag(R)))
  }
  total
}

hessian <- function(f, p) {
  second <- function(h) {
    K <- length(p)
    H <- matrix(0, K, K)
    e <- function(i) replace(numeric(K), i, h * max(abs(p[i]), .05))
    size <- function(i) h * max(abs(p[i]), .05)
    for (i in seq_len(K)) for (j in seq_len(i)) {
      H[i, j] <- H[j, i] <- (f(p + e(i) + e(j)) - f(p + e(i) - e(j)) - f(p - e(i) + e(j)) + f(p - e(i) - e(j))) /
        (4 * size(i) * size(j))
    }
    H
  }
  (4 * second(.005) - second(.01)) / 3
}

# Cases that are in the output already are not computed again: delete both files to start anew.
all <- NULL
out <- list(R = R.version.string, Matrix = as.character(packageVersion("Matrix")), cases = list())
if (file.exists("continuous_fits.json")) {
  all <- read.csv("continuous_panels.csv")
  out$cases <- fromJSON("continuous_fits.json", simplifyVector = FALSE)$cases
}
for (name in setdiff(names(cases), unique(all$case))) {
  case <- cases[[name]]
  set.seed(20261201 + match(name, names(cases)))
  d <- draw(case$n, case$sessions, case$missing, case$noise, if (case$error) 1:4 else 4:11)
  all <- rbind(all, cbind(case = name, d))
  people <- lapply(split(d, d$person), function(rows) {
    y <- c(rbind(rows$x, rows$y))
    list(y = y, seen = which(!is.na(y)), gaps = diff(rows$time))
  })
  people <- Filter(function(person) length(person$seen) > 0, people)
  f <- minus(case, people)
  s <- c(sd(d$x, TRUE), sd(d$y, TRUE))
  v <- c(s[1]^2, 0, s[2]^2)
  p <- c(-.15, 0, 0, -.15, .12 * v, .4 * v, if (case$first == "free") .5 * v, if (case$error) .1 * s^2)
  means <- c(mean(d$x, na.rm = TRUE), mean(d$y, na.rm = TRUE))
  p <- c(p, if (case$means == "constant") means else rep(means, case$sessions))
  scale <- pmax(abs(p), .05)
  value <- Inf
  repeat {
    fit <- optim(p, f, method = "BFGS", control = list(parscale = scale, maxit = 1000, reltol = 1e-15, ndeps = rep(1e-5, length(p))))
    p <- fit$par
    if (value - fit$value < 1e-9) break
    value <- fit$value
  }
  H <- hessian(f, p)
  # The last step by Newton: optim's gradient is by differences too coarse for the last digits.
  for (again in 1:2) {
    g <- vapply(seq_along(p), function(i) {
      h <- replace(numeric(length(p)), i, 1e-4 * scale[i])
      (8 * (f(p + h) - f(p - h)) - (f(p + 2 * h) - f(p - 2 * h))) / (12e-4 * scale[i])
    }, 0)
    p <- p - solve(H, g)
  }
  A <- matrix(p[1:4], 2, byrow = TRUE)
  weekly <- as.matrix(expm(7 * A))
  turn <- vapply(1:4, function(i) {
    h <- replace(numeric(4), i, 1e-5)
    c(t(as.matrix(expm(7 * matrix(p[1:4] + h, 2, byrow = TRUE))) - as.matrix(expm(7 * matrix(p[1:4] - h, 2, byrow = TRUE))))) / 2e-5
  }, numeric(4))
  cov <- solve(H)
  out$cases[[length(out$cases) + 1]] <- list(
    case = name, error = case$error, first = case$first, means = case$means, loglik = -f(p), drift = p[1:4], drift_se = sqrt(diag(cov))[1:4],
    diffusion = p[5:7], intercept = p[8:10], first_cov = if (case$first == "free") p[11:13],
    error_var = if (case$error) p[14:15], weekly = c(t(weekly)),
    weekly_se = sqrt(diag(turn %*% cov[1:4, 1:4] %*% t(turn)))
  )
  cat(name, format(-f(p), digits = 12), "gradient", max(abs(g / sqrt(diag(H)))), "\n")
  write.csv(all, "continuous_panels.csv", row.names = FALSE, quote = FALSE, na = "")
  writeLines(toJSON(out, digits = NA, auto_unbox = TRUE, null = "null"), "continuous_fits.json")
}
