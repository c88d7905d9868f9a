# Reference numbers for twostage.stats.paired: the difference of two pooled estimates, its standard error by the
# jackknife over studies, with metafor's rma in every fit.
#
#   Rscript tests/reference/paired.R        (from the top of the repository; a minute)
#
# writes paired.json: for each data set and method y1, v1, y2, v2, and the estimate and standard error. The second
# estimates are the first ones moved, spread and made less precise by fixed rules, so that nothing is random.

suppressMessages(library(metafor))
folder <- "tests/reference"

second <- function(yi, vi) {
  i <- seq_along(yi)
  list(y2 = yi * 1.1 + 0.05 + 0.3 * sqrt(vi) * sin(2 * i), v2 = vi * (1.4 + 0.5 * cos(i)))
}
bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
normand <- escalc(measure = "MD", m1i = m1i, sd1i = sd1i, n1i = n1i, m2i = m2i, sd2i = sd2i, n2i = n2i, data = dat.normand1999)
sets <- list(
  bcg = list(y1 = c(bcg$yi), v1 = c(bcg$vi)),
  normand = list(y1 = c(normand$yi), v1 = c(normand$vi)),
  molloy = with(escalc(measure = "ZCOR", ri = ri, ni = ni, data = dat.molloy2014), list(y1 = c(yi), v1 = c(vi))),
  three = list(y1 = c(0.1, 0.4, -0.2), v1 = c(0.02, 0.05, 0.01)))

fit <- function(y, v, method) c(rma(y, v, method = method, control = if (method == "PM") list(tol = 1e-13) else list(threshold = 1e-12, maxiter = 10000, stepadj = 0.5))$beta)
difference <- function(d, method) {
  k <- length(d$y1)
  D <- function(keep) fit(d$y2[keep], d$v2[keep], method) - fit(d$y1[keep], d$v1[keep], method)
  without <- sapply(seq_len(k), function(i) D(setdiff(seq_len(k), i)))
  list(estimate = D(seq_len(k)), std_error = sqrt((k - 1) / k * sum((without - mean(without))^2)))
}
out <- list()
for (name in names(sets)) for (method in c("FE", "DL", "REML", "PM")) {
  d <- c(sets[[name]], second(sets[[name]]$y1, sets[[name]]$v1))
  out[[length(out) + 1]] <- c(list(data = name, method = method), d, difference(d, method))
}
# The paired t test is the case of equal variances and no heterogeneity.
d <- c(sets$molloy, second(sets$molloy$y1, sets$molloy$v1))
t <- t.test(d$y2, d$y1, paired = TRUE)
ttest <- list(estimate = unname(t$estimate), std_error = t$stderr, df = unname(t$parameter), p_value = t$p.value, ci_low = t$conf.int[1], ci_high = t$conf.int[2])
writeLines(jsonlite::toJSON(list(fits = out, t_test = ttest, versions = list(R = R.version.string, metafor = as.character(packageVersion("metafor")))),
  auto_unbox = TRUE, digits = I(17)), file.path(folder, "paired.json"))
