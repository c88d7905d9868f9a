# Reference numbers for twostage.stats.exceedance: metafor's fits, the formulas written out, R's own quadrature.
#
#   Rscript tests/reference/exceedance.R   (from the top of the repository, after pool.R; about a minute)
#
# reads pool_data.csv and writes next to itself exceedance.csv (data set x tau2 method x threshold) and
# exceedance_versions.json.
#
# Share of true effects above q: pnorm((b - q) / tau), its standard error by the delta method (Mathur & VanderWeele
# 2019; here with numerical derivatives), and t and normal predictive probabilities. The interval: the confidence
# distribution of zeta = (theta - q) / tau is integrated over tau2 with the density dchisq(Q(tau2)) |Q'(tau2)|, the
# quantile found by uniroot; the package integrates over Q instead.

suppressMessages(library(metafor))
options(warn = 1)
folder <- "tests/reference"
data <- read.csv(file.path(folder, "pool_data.csv"))
sets <- split(data[c("y", "v")], factor(data$dataset, unique(data$dataset)))
sets <- sets[sapply(sets, nrow) >= 2 & names(sets) != "identical"]

fit <- function(d, method) {
  spread <- max(var(d$y), 1e-3)
  control <- list(threshold = 1e-13 * spread, maxiter = 100000)
  if (method == "REML") {
    best <- NULL
    for (init in c(NA, 0, exp(seq(log(min(d$v) / 100), log(10 * (var(d$y) + max(d$v))), length.out = 20)))) {
      more <- if (is.na(init)) list() else list(tau2.init = init)
      f <- try(suppressWarnings(rma(d$y, d$v, method = method, test = "knha", control = c(control, more))), silent = TRUE)
      if (inherits(f, "try-error")) next
      if (is.null(best) || c(logLik(f)) > c(logLik(best)) + 1e-9) best <- f
    }
    best
  } else rma(d$y, d$v, method = method, test = "knha")
}

gradient <- function(f, at, step) sapply(seq_along(at), function(i) {
  h <- replace(numeric(length(at)), i, step[i])
  (8 * (f(at + h) - f(at - h)) - (f(at + 2 * h) - f(at - 2 * h))) / (12 * sum(h))
})

plug_in <- function(f, q) {
  b <- unname(coef(f))
  if (f$tau2 < 1e-10) return(c(estimate = if (b > q) 1 else 0, std_error = NA))
  share <- function(p) pnorm((p[1] - q) / sqrt(p[2]))
  g <- gradient(share, c(b, f$tau2), 1e-3 * c(sqrt(f$tau2), f$tau2))
  c(estimate = share(c(b, f$tau2)), std_error = sqrt(sum(g^2 * c(f$se^2, f$se.tau2^2))))
}

interval <- function(d, q, level = 0.95) {
  y <- d$y - q
  k <- length(y)
  parts <- function(t) {
    w <- 1 / (d$v + t)
    m <- sum(w * y) / sum(w)
    c(m = m, root = sqrt(sum(w)), q = sum(w * (y - m)^2), slope = sum(w^2 * (y - m)^2))
  }
  zero <- parts(0)
  at_zero <- pchisq(zero[["q"]], k - 1, lower.tail = FALSE)
  # tau2 = the square of tau, tau = scale x / (1 - x): smooth where tau is 0.
  scale <- sqrt(mean(d$v) + var(d$y))
  beyond <- function(z) {
    inside <- function(x) sapply(x, function(x) {
      tau <- scale * x / (1 - x)
      p <- parts(tau^2)
      weight <- dchisq(p[["q"]], k - 1) * p[["slope"]] * 2 * tau * scale / (1 - x)^2
      weight * pnorm((z * tau - p[["m"]]) * p[["root"]])
    })
    cuts <- c(0, 0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999, 1 - 1e-6, 1 - 1e-10)
    sum(sapply(seq_along(cuts)[-1], function(i)
      integrate(inside, cuts[i - 1], cuts[i], rel.tol = 1e-8, abs.tol = 1e-11, subdivisions = 2000, stop.on.error = FALSE)$value))
  }
  quantile <- function(p) {
    if (p <= 0 || beyond(-38) >= p) return(-Inf)
    if (beyond(38) <= p) return(Inf)
    uniroot(function(z) beyond(z) - p, c(-38, 38), tol = 1e-9)$root
  }
  below <- at_zero * pnorm(-zero[["m"]] * zero[["root"]])
  tail <- (1 - level) / 2
  low <- min(quantile(tail - below), quantile(tail * (1 - at_zero)))
  high <- max(quantile(1 - tail - below), quantile((1 - tail) * (1 - at_zero)))
  c(ci_low = pnorm(low), ci_high = pnorm(high))
}

rows <- list()
for (name in names(sets)) {
  d <- sets[[name]]
  k <- nrow(d)
  for (q in c(0, signif(mean(d$y) - sd(d$y), 3))) {
    ends <- if (k <= 40) interval(d, q) else c(ci_low = NA, ci_high = NA)
    for (method in c("REML", "DL")) {
      f <- fit(d, method)
      gap <- (unname(coef(f)) - q) / sqrt(f$tau2 + f$se^2)
      predictive <- c(riley = if (k > 2) pt(gap, k - 2) else NA, t = pt(gap, k - 1), normal = pnorm(gap))
      rows[[length(rows) + 1]] <- data.frame(dataset = name, k = k, method = method, threshold = q,
                                             t(plug_in(f, q)), t(ends), t(predictive))
    }
  }
}
table <- do.call(rbind, rows)
for (column in names(table)) if (is.numeric(table[[column]])) table[[column]] <- signif(table[[column]], 15)
write.csv(table, file.path(folder, "exceedance.csv"), row.names = FALSE, quote = FALSE)
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), rows = nrow(table))
writeLines(jsonlite::toJSON(versions, auto_unbox = TRUE, pretty = 1), file.path(folder, "exceedance_versions.json"))
