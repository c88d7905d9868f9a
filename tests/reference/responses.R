# Reference numbers for twostage.stats.multilevel: a 2 x 2 matrix of lagged effects per study pooled by metafor's rma.mv
# (unrestricted G, REML), and what it does over time: powers of the pooled matrix, their sum, standard errors by the delta
# method with derivatives by differences (Richardson's extrapolation).
#
#   Rscript tests/reference/responses.R     (from the top of the repository; seconds)
#
# writes responses.json. The estimates follow a fixed rule, so that nothing is random.

suppressMessages(library(metafor))
k <- 14; m <- 4
i <- rep(seq_len(k), each = m); j <- rep(seq_len(m), k)
centre <- c(0.35, -0.08, -0.12, 0.28)
y <- centre[j] + 0.13 * sin(1.1 * i^2 * j + j) + 0.05 * cos(0.9 * i * j)
V <- lapply(seq_len(k), function(s) { d <- sqrt(0.002 * (1 + 0.6 * sin(s + 1:m))); 
  R <- outer(1:m, 1:m, function(a, b) ifelse(a == b, 1, 0.25 * cos(a + b + s))); d * t(d * R) })
fit <- rma.mv(y, V, mods = ~ factor(j) - 1, random = ~ factor(j) | i, struct = "UN", method = "REML",
  control = list(optimizer = "optim", optmethod = "BFGS", maxit = 20000, reltol = 1e-15))
power <- function(A, h) if (h == 0) diag(2) else A %*% power(A, h - 1)
functions <- c(lapply(1:5, function(h) function(b) c(t(power(matrix(b, 2, byrow = TRUE), h)))),
  list(function(b) c(t(solve(diag(2) - matrix(b, 2, byrow = TRUE)) - diag(2)))))
slopes <- function(f, b) sapply(seq_along(b), function(c) {
  d <- function(h) { e <- replace(numeric(4), c, h); (f(b + e) - f(b - e)) / (2 * h) }
  (64 * d(2.5e-4) - 20 * d(5e-4) + d(1e-3)) / 45 })
b <- c(fit$beta); C <- vcov(fit)
values <- lapply(functions, function(f) { J <- slopes(f, b); list(estimate = f(b), std_error = sqrt(diag(J %*% C %*% t(J)))) })
out <- list(y = y, V = lapply(V, unname), coef = b, cov = unname(C), G = unname(fit$G), loglik = c(logLik(fit)), responses = values,
  versions = list(R = R.version.string, metafor = as.character(packageVersion("metafor"))))
writeLines(jsonlite::toJSON(out, digits = 17, auto_unbox = TRUE), "tests/reference/responses.json")
