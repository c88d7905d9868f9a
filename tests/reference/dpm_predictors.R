# Dynamic panel models with further time-varying predictors, by lavaan, specified as by the R package dpm (Long 2024).
#
#   Rscript tests/reference/dpm_predictors.R        (from the top of the repository; a minute)
#
# wages: weeks worked, union membership and log wages of 595 persons in 7 years (plm::Wages, GPL; of them the
# covariance matrix is kept), the model of Allison, Williams & Moral-Benito (2017), table 3: wks ~ pre(lag(union)) +
# lag(lwage) | ed, error.inv = TRUE, information = "observed"; and the same with other options. incomplete: synthetic.
# writes next to itself dpm_predictors.json and dpm_predictors.csv.gz (the synthetic panel)
suppressMessages({
  library(lavaan)
  library(jsonlite)
})
folder <- "tests/reference"

# w: letters of the further predictors; pre: which of them are predetermined.
specify <- function(T, p, o, w, pre, z, equal, simultaneous) {
  join <- function(v) paste(v, collapse = " + ")
  O <- paste0(o, 1:T)
  lines <- paste("alpha =~", join(paste0("1*", O[2:T])))
  free <- c(p, w[pre])
  for (t in 2:T) {
    lagged <- c(paste0("b1*", p, t - 1), paste0("b2*", O[t - 1]), sprintf("d%d*%s%d", seq_along(w), w, t - 1))
    lines <- c(lines, paste(O[t], "~", join(c(lagged, sprintf("c%d*%s", seq_along(z), z)))))
    lines <- c(lines, paste0(O[t], " ~~ ", if (equal) "v*" else paste0("v", t, "*"), O[t]), paste(O[t], "~ 1"))
    first <- if (simultaneous) t else t + 1
    if (first < T) lines <- c(lines, paste(O[t], "~~", join(outer(free, first:(T - 1), paste0))))
  }
  past <- c(outer(c(p, w), 1:(T - 1), paste0), O[1])
  exogenous <- c(z, past)
  lines <- c(lines, "alpha ~~ a*alpha", paste("alpha ~~", join(past)))
  if (length(z)) lines <- c(lines, paste("alpha ~~", join(paste0("0*", z))))
  for (i in seq_along(exogenous)) {
    lines <- c(lines, paste(exogenous[i], "~~", join(exogenous[i:length(exogenous)])), paste(exogenous[i], "~ 1"))
  }
  paste(lines, collapse = "\n")
}

one <- function(d, T, p, o, w, pre, z, equal, simultaneous) {
  model <- specify(T, p, o, w, pre, z, equal, simultaneous)
  fit <- function(data = d, ...) {
    lavaan(model, data, missing = if (anyNA(data)) "fiml" else "listwise", meanstructure = TRUE, fixed.x = FALSE,
           information = "observed", ...)
  }
  # Incomplete data: from the complete cases' estimates, since the usual start is not positive definite.
  f <- if (anyNA(d)) fit(start = fit(na.omit(d))) else fit()
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
  list(terms = e$label, estimate = e$est, std_error = e$se, loglik = as.numeric(logLik(f)),
       n_parameters = attr(logLik(f), "df"), n_obs = lavInspect(f, "nobs"),
       chisq = fitMeasures(f, c("chisq", "df", "rmsea", "cfi")))
}
both <- function(d, T, w, pre, z, equal, simultaneous) {
  list(w = w, predetermined = pre, z = z, residuals = if (equal) "equal" else "free", simultaneous = simultaneous,
       x_to_y = one(d, T, "x", "y", w, pre, z, equal, simultaneous),
       y_to_x = one(d, T, "y", "x", w, pre, z, equal, simultaneous))
}

data("Wages", package = "plm")
n <- 595
Wages$union <- as.numeric(Wages$union == "yes")
wide <- data.frame(ed = Wages$ed[7 * (1:n)])
for (t in 1:7) {
  at <- 7 * (0:(n - 1)) + t
  wide[paste0(c("x", "y", "w"), t)] <- Wages[at, c("union", "wks", "lwage")]
}
covariance <- cov(wide) * (n - 1) / n

set.seed(20170810)
N <- 500; T <- 4
a <- rnorm(N); z <- rnorm(N); panel <- data.frame(z = z)
x <- a + rnorm(N); y <- -0.5 * a + 0.3 * z + rnorm(N); v <- 0.4 * a + rnorm(N); u <- rnorm(N)
for (t in 1:T) {
  panel[paste0(c("x", "y", "u", "v"), t)] <- data.frame(x, y, u, v)
  e <- rnorm(N)
  new <- 0.3 * x + 0.1 * y + 0.5 * a + rnorm(N) + 0.3 * e
  y <- 0.2 * x + 0.3 * y - 0.2 * u + 0.25 * v - 0.5 * a + 0.3 * z + e
  v <- 0.4 * v + 0.2 * y + 0.2 * a + rnorm(N)
  u <- 0.5 * u + rnorm(N) + 0.2 * a
  x <- new
}
panel <- signif(panel, 5)
holes <- matrix(runif(N * ncol(panel)) < 0.03, N)
panel[holes] <- NA
gone <- which(runif(N) < 0.15)
panel[gone, grep("4$", names(panel))] <- NA

out <- list(
  R = R.version.string, lavaan = as.character(packageVersion("lavaan")), plm = as.character(packageVersion("plm")),
  wages = list(n = n, columns = names(wide), covariance = unname(as.matrix(covariance))),
  cases = list(
    published = both(wide, 7, "w", FALSE, "ed", TRUE, FALSE),
    free = both(wide, 7, "w", FALSE, "ed", FALSE, FALSE),
    predetermined = both(wide, 7, "w", TRUE, character(0), TRUE, TRUE),
    incomplete = both(panel, 4, c("u", "v"), c(FALSE, TRUE), "z", TRUE, TRUE)
  )
)
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), file.path(folder, "dpm_predictors.json"))
packed <- gzfile(file.path(folder, "dpm_predictors.csv.gz"), compression = 9)
write.csv(panel, packed, row.names = FALSE, na = "")
for (case in out$cases) print(c(case$x_to_y$loglik, case$y_to_x$loglik, case$x_to_y$chisq))
