# Dynamic panel models by lavaan, specified as in Allison, Williams & Moral-Benito (2017) and the R package dpm.
#
#   Rscript tests/reference/dpm.R        (from the top of the repository; a minute or two)
#
# draws synthetic panels and writes next to itself
#   dpm_panels.csv.gz   case, x1, y1, x2, ..., z1, z2
#   dpm_estimates.csv   coefficients, variances of the unit effect and of the residuals: estimate, standard error
#   dpm_fits.csv        log-likelihood, parameters, persons
#   dpm_versions.json   versions
suppressMessages(library(lavaan))
options(warn = 1)
folder <- "tests/reference"

draw <- function(n, T, k, missing, leaving) {
  a <- rnorm(n); b <- -0.4 * a + rnorm(n, sd = 0.8)
  z <- matrix(rnorm(n * max(k, 1)), n)
  wx <- rnorm(n); wy <- rnorm(n)
  x <- y <- matrix(NA, n, T)
  for (t in 1:T) {
    x[, t] <- 5 + 2 * (a + wx) + 0.2 * t
    y[, t] <- b + wy - 0.1 * t + (if (k) 0.4 * z[, 1] else 0)
    nx <- 0.3 * wx - 0.10 * wy + rnorm(n); wy <- -0.15 * wx + 0.4 * wy - 0.2 * nx + rnorm(n); wx <- nx
  }
  if (leaving > 0) for (t in 2:T) {
    gone <- runif(n) < leaving
    x[gone, t:T] <- NA; y[gone, t:T] <- NA
  }
  x[matrix(runif(n * T) < missing, n)] <- NA
  y[matrix(runif(n * T) < missing, n)] <- NA
  z[matrix(runif(length(z)) < missing, n)] <- NA
  colnames(x) <- paste0("x", 1:T); colnames(y) <- paste0("y", 1:T); colnames(z) <- paste0("z", seq_len(ncol(z)))
  d <- signif(if (k) data.frame(x, y, z) else data.frame(x, y), 5)
  d[rowSums(!is.na(d[, c(colnames(x), colnames(y))])) > 0, ]
}

specify <- function(T, p, o, k, equal, simultaneous) {
  P <- paste0(p, 1:(T - 1)); O <- paste0(o, 1:T); Z <- if (k) paste0("z", 1:k)
  join <- function(v) paste(v, collapse = " + ")
  lines <- paste("alpha =~", join(paste0("1*", O[2:T])))
  for (t in 2:T) {
    zs <- if (k) paste0("c", 1:k, "*", Z)
    lines <- c(lines, paste(O[t], "~", join(c(paste0("b1*", P[t - 1]), paste0("b2*", O[t - 1]), zs))))
    lines <- c(lines, paste0(O[t], " ~~ ", if (equal) "v*" else paste0("v", t, "*"), O[t]), paste(O[t], "~ 1"))
    later <- if (t < T) P[seq_along(P) >= t + !simultaneous]
    if (length(later)) lines <- c(lines, paste(O[t], "~~", join(later)))
  }
  exogenous <- c(Z, P, O[1])
  lines <- c(lines, "alpha ~~ a*alpha", paste("alpha ~~", join(c(P, O[1]))))
  if (k) lines <- c(lines, paste("alpha ~~", join(paste0("0*", Z))))
  for (i in seq_along(exogenous)) {
    lines <- c(lines, paste(exogenous[i], "~~", join(exogenous[i:length(exogenous)])), paste(exogenous[i], "~ 1"))
  }
  paste(lines, collapse = "\n")
}

one <- function(d, case, T, k, equal, simultaneous, direction) {
  p <- if (direction == "x_to_y") "x" else "y"; o <- if (p == "x") "y" else "x"
  model <- specify(T, p, o, k, equal, simultaneous)
  fit <- function(...) lavaan(model, data = d, missing = "fiml", fixed.x = FALSE, ...)
  f <- fit()
  stopifnot(lavInspect(f, "converged"))
  # nlminb may stop a little early: again from where it ended, until nothing changes.
  for (round in 1:10) {
    last <- as.numeric(logLik(f))
    f <- fit(start = f, optim.force.converged = TRUE)
    if (abs(as.numeric(logLik(f)) - last) < 1e-9) break
  }
  e <- parameterEstimates(f)
  e <- e[e$label != "", c("label", "est", "se")]
  e <- e[!duplicated(e$label), ]
  names(e) <- c("term", "estimate", "std_error")
  list(estimates = cbind(case = case, direction = direction, e),
       fit = data.frame(case = case, direction = direction, loglik = as.numeric(logLik(f)),
                        n_parameters = attr(logLik(f), "df"), n_obs = lavInspect(f, "nobs")))
}

cases <- list(
  complete = list(300, 7, 0, 0, 0, TRUE, TRUE),
  incomplete = list(300, 7, 0, 0.08, 0.06, TRUE, TRUE),
  package = list(250, 5, 2, 0.06, 0.05, FALSE, FALSE),
  short = list(80, 3, 0, 0, 0, TRUE, TRUE),
  large = list(2000, 4, 1, 0.05, 0.1, TRUE, FALSE)
)
set.seed(20170601)
panels <- estimates <- fits <- NULL
columns <- c(as.vector(rbind(paste0("x", 1:7), paste0("y", 1:7))), "z1", "z2")
for (case in names(cases)) {
  s <- cases[[case]]
  d <- draw(s[[1]], s[[2]], s[[3]], s[[4]], s[[5]])
  whole <- d
  whole[setdiff(columns, names(d))] <- NA
  panels <- rbind(panels, cbind(case = case, whole[, columns]))
  for (direction in c("x_to_y", "y_to_x")) {
    r <- one(d, case, s[[2]], s[[3]], s[[6]], s[[7]], direction)
    estimates <- rbind(estimates, r$estimates); fits <- rbind(fits, r$fit)
    cat(case, direction, r$fit$loglik, "\n")
  }
}
digits <- function(d) {
  for (v in names(d)) if (is.numeric(d[[v]])) d[[v]] <- ifelse(is.na(d[[v]]), "", sprintf("%.12g", d[[v]]))
  d
}
packed <- gzfile(file.path(folder, "dpm_panels.csv.gz"), compression = 9)
write.csv(digits(panels), packed, row.names = FALSE, quote = FALSE, na = "")
write.csv(digits(estimates), file.path(folder, "dpm_estimates.csv"), row.names = FALSE, quote = FALSE)
write.csv(digits(fits), file.path(folder, "dpm_fits.csv"), row.names = FALSE, quote = FALSE)
versions <- sprintf('{"R": "%s", "lavaan": "%s"}', getRversion(), packageVersion("lavaan"))
writeLines(versions, file.path(folder, "dpm_versions.json"))
