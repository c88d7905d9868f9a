# Reference numbers for twostage.stats.bayes: the posterior written out, integrated by R's own integrate().
#
#   Rscript tests/reference/bayes.R   (from the top of the repository; some minutes)
#
# writes next to itself bayes_data.csv (100 random data sets), bayes_fits.csv (their priors and results) and
# bayes_versions.json.
#
# Nothing is shared with the package: tau = s x / (1 - x) on five pieces of (0, 1) for integrate(), quantiles by uniroot(),
# the ends of a shortest interval by uniroot() for equal densities.

options(warn = 1)
set.seed(20261201)
folder <- "tests/reference"
families <- c("half-normal", "half-cauchy", "half-t", "uniform")

log_prior <- function(t, family, scale, df) switch(family,
  "half-normal" = log(2) + dnorm(t, 0, scale, log = TRUE),
  "half-cauchy" = log(2) + dcauchy(t, 0, scale, log = TRUE),
  "half-t" = log(2) + dt(t / scale, df, log = TRUE) - log(scale),
  "uniform" = if (is.infinite(scale)) 0 * t else dunif(t, 0, scale, log = TRUE))

posterior <- function(y, v, family, scale, df, mean, sd) {
  p0 <- 1 / sd^2
  one <- function(t) {
    w <- 1 / (v + t^2)
    p <- sum(w) + p0
    m <- (sum(w * y) + p0 * mean) / p
    rss <- sum(w * (y - m)^2) + p0 * (m - mean)^2
    n <- length(y) - (p0 == 0)
    c(-0.5 * (n * log(2 * pi) - sum(log(w)) + log(p) - (if (p0 > 0) log(p0) else 0) + rss), m, 1 / p)
  }
  at <- function(t) { r <- vapply(t, one, numeric(3)); list(l = r[1, ] + log_prior(t, family, scale, df), m = r[2, ], v = r[3, ]) }
  s <- sqrt(mean(v) + var(y) / 4)
  end <- if (family == "uniform" && is.finite(scale)) scale / (scale + s) else 1
  top <- max(at(s * seq(0, 0.999 * end, length.out = 400) / (1 - seq(0, 0.999 * end, length.out = 400)))$l)
  over <- function(g, to = Inf) {
    last <- min(end, if (is.infinite(to)) 1 else to / (to + s))
    if (last <= 0) return(0)
    cuts <- c(0, 0.2, 0.4, 0.6, 0.85)
    cuts <- c(cuts[cuts < last], last)
    f <- function(x) { t <- s * x / (1 - x); a <- at(t); r <- exp(a$l - top) * g(t, a$m, a$v) * s / (1 - x)^2; r[!is.finite(r)] <- 0; r }
    sum(mapply(function(a, b) integrate(f, a, b, rel.tol = 1e-10, abs.tol = 1e-13, subdivisions = 400, stop.on.error = FALSE)$value, head(cuts, -1), tail(cuts, -1)))
  }
  total <- over(function(t, m, v) 1)
  e <- function(g, to = Inf) over(g, to) / total
  log_total <- log(total) + top
  list(e = e, log_total = log_total, at = at,
       tau_cdf = function(t) e(function(t, m, v) 1, t), tau_pdf = function(t) exp(at(t)$l - log_total),
       mu_cdf = function(x, more = 0) e(function(t, m, v) pnorm(x, m, sqrt(v + more * t^2))),
       mu_pdf = function(x) e(function(t, m, v) dnorm(x, m, sqrt(v))))
}

root <- function(f, low, high) uniroot(f, c(low, high), tol = 1e-12, extendInt = "upX")$root
shortest <- function(cdf, pdf, q, low, level, reach, end = NULL) {
  last <- q(1 - level)
  hi <- function(lo) root(function(x) cdf(x) - cdf(lo) - level, lo, lo + reach)
  if (!is.null(low) && pdf(low) >= pdf(hi(low))) return(c(low, hi(low)))
  from <- if (is.null(low)) q((1 - level) / 50) else low
  gap <- function(lo) log(pdf(lo)) - log(pdf(hi(lo)))
  if (!is.null(end) && pdf(last) < pdf(end)) return(c(last, end))
  lo <- uniroot(gap, c(from, last - 1e-6 * reach), tol = 1e-11)$root
  c(lo, hi(lo))
}

rows <- list(); data <- list()
for (i in 1:100) {
  family <- families[1 + (i - 1) %% 4]
  k <- c(2, 3, 5, 8, 17)[1 + (i - 1) %% 5]
  scale <- c(0.05, 0.1, 0.3)[1 + (i - 1) %% 3]
  sd <- c(Inf, 0.1, 1)[1 + ((i - 1) %/% 3) %% 3]
  if (family == "uniform" && i %% 8 == 0 && k > 2) scale <- Inf
  df <- if (family == "half-t") c(3, 4, 7)[1 + i %% 3] else 0
  mean <- if (is.finite(sd)) 0.02 * (i %% 3) else 0
  v <- runif(k, 0.02, 0.09)^2
  y <- rnorm(k, -0.05, sqrt(v + c(0, 0.03, 0.1)[1 + i %% 3]^2))
  p <- posterior(y, v, family, scale, df, mean, sd)
  spread <- sqrt(mean(v))
  q_mu <- function(a, more = 0) uniroot(function(x) p$mu_cdf(x, more) - a, c(min(y) - 2 * spread, max(y) + 2 * spread), tol = 1e-12, extendInt = "upX")$root
  q_tau <- function(a) root(function(t) p$tau_cdf(t) - a, 0, 2 * spread)
  mu <- shortest(p$mu_cdf, p$mu_pdf, q_mu, NULL, 0.95, 6 * spread)
  tau <- shortest(p$tau_cdf, p$tau_pdf, q_tau, 0, 0.95, 2 * spread, if (family == "uniform" && is.finite(scale)) scale)
  tau_mean <- if (k > 2 || is.finite(sd) || family %in% c("half-normal")) p$e(function(t, m, v) t) else NA
  b1 <- p$e(function(t, m, v2) v[1] / (v[1] + t^2) * m + t^2 / (v[1] + t^2) * y[1])
  null <- posterior(y, v, family, scale, df, 0, 1e-9)$log_total
  proper <- !(family == "uniform" && is.infinite(scale))
  data[[i]] <- data.frame(dataset = i, y = y, v = v)
  rows[[i]] <- data.frame(dataset = i, family, scale, df, mean, sd, log_total = p$log_total,
    mu_mean = p$e(function(t, m, v) m), mu_median = q_mu(0.5), mu_central_low = q_mu(0.025), mu_central_high = q_mu(0.975),
    mu_low = mu[1], mu_high = mu[2], below_zero = p$mu_cdf(0), below_small = p$mu_cdf(-0.03),
    new_median = q_mu(0.5, 1), new_central_low = q_mu(0.025, 1), new_central_high = q_mu(0.975, 1), new_below_zero = p$mu_cdf(0, 1),
    tau_mean, tau_median = q_tau(0.5), tau_central_low = q_tau(0.025), tau_central_high = q_tau(0.975),
    tau_low = tau[1], tau_high = tau[2], study1_mean = b1,
    bf_tau = if (proper) exp(p$at(0)$l - log_prior(0, family, scale, df) - p$log_total) else NA,
    log_bf_effect = if (proper && is.finite(sd)) null - p$log_total else NA)
}
write.csv(format(do.call(rbind, data), digits = 17), file.path(folder, "bayes_data.csv"), row.names = FALSE, quote = FALSE)
out <- do.call(rbind, rows)
out[sapply(out, is.numeric)] <- lapply(out[sapply(out, is.numeric)], function(x) trimws(format(x, digits = 17)))
write.csv(out, file.path(folder, "bayes_fits.csv"), row.names = FALSE, quote = FALSE)
writeLines(sprintf('{\n "R": "%s",\n "stats": "%s"\n}', R.version.string, packageVersion("stats")), file.path(folder, "bayes_versions.json"))
