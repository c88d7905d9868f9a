# Reference numbers for twostage.stats.influence, baujat and cumulative, by metafor; gosh: gosh.R.
#
#   Rscript tests/reference/influence.R   (from the top of the repository, after pool.R; a few minutes)
#
# reads pool_data.csv and writes next to itself
#   influence_casewise.csv.gz    influence(), leave1out() and baujat(): data set x method x interval x study
#   influence_cumulative.csv.gz  cumul(): data set x method x interval x order x step
#   influence_versions.json
#
# Thresholds as in pool.R. Fisher scoring for ML and REML may stop in the lower of two maxima: every such fit
# is repeated from other starting values over the range of tau2. In casewise and cumulative results, `lower` tells how
# much a higher likelihood exceeds that of metafor's own fit (0 nearly everywhere, Inf where its fit fails).

suppressMessages(library(metafor))
options(warn = 1)
folder <- "tests/reference"
data <- read.csv(file.path(folder, "pool_data.csv"))
sets <- split(data[c("y", "v")], factor(data$dataset, unique(data$dataset)))
sets <- sets[sapply(sets, nrow) >= 2 & sapply(sets, nrow) <= 24]
tests <- c("wald" = "z", "hartung-knapp" = "knha", "hartung-knapp-adhoc" = "adhoc")
combos <- list(c("FE", "wald"), c("DL", "hartung-knapp"), c("REML", "wald"), c("REML", "hartung-knapp"),
               c("PM", "hartung-knapp-adhoc"), c("ML", "wald"))

control_for <- function(d) {
  spread <- max(var(d$y), 1e-3)
  list(threshold = 1e-13 * spread, maxiter = 100000, tol = 1e-15 * spread, tau2.max = 1e6 * (nrow(d) * spread + max(d$v)))
}
fit <- function(d, method, test = "z", control = control_for(d), ...)
  suppressWarnings(rma(d$y, d$v, method = method, test = test, control = c(control, list(...))))

# The fit of highest likelihood among the default start's and some others; NULL where all fail.
better <- function(one, other) is.null(one) || (!is.null(other) && c(logLik(other)) > c(logLik(one)) + 1e-9)
attempt <- function(expr) {
  result <- try(expr, silent = TRUE)
  if (inherits(result, "try-error")) NULL else result
}
best <- function(d, method, control, others = 7) {
  f <- attempt(fit(d, method, control = control))
  if (!method %in% c("ML", "REML") || nrow(d) < 2) return(f)
  for (init in c(0, exp(seq(log(min(d$v) / 100), log(10 * (var(d$y) + max(d$v)) + 1e-6), length.out = others)))) {
    other <- attempt(fit(d, method, control = control, tau2.init = init))
    if (better(f, other)) f <- other
  }
  f
}
missed <- function(d, method, control) {
  if (!method %in% c("ML", "REML") || nrow(d) < 2) return(0)
  f <- attempt(fit(d, method, control = control))
  if (is.null(f)) Inf else max(0, c(logLik(best(d, method, control))) - c(logLik(f)))
}

pdf(NULL) # baujat() draws
casewise <- function(name, method, ci) {
  d <- sets[[name]]
  k <- nrow(d)
  # Without a study that agrees exactly with all others, Hartung-Knapp's variance is 0 and influence() stops.
  if (name == "identical" && ci != "wald") return(NULL)
  f <- fit(d, method, tests[[ci]])
  i <- influence(f)
  one <- leave1out(f)
  b <- baujat(f)
  tau2 <- if (is.null(one$tau2)) rep(0, k) else one$tau2
  data.frame(dataset = name, method = method, ci = ci, study = seq_len(k) - 1, rstudent = i$inf$rstudent,
    dffits = i$inf$dffits, cook_d = i$inf$cook.d, cov_ratio = i$inf$cov.r, tau2_del = i$inf$tau2.del,
    q_del = i$inf$QE.del, hat = i$inf$hat, weight = i$inf$weight, dfbetas = i$dfbs$intrcpt,
    is_influential = i$inf$inf == "*", estimate = one$estimate, std_error = one$se,
    statistic = if (is.null(one$zval)) one$tval else one$zval, p_value = one$pval, ci_low = one$ci.lb,
    ci_high = one$ci.ub, q = one$Q, q_p_value = one$Qp, tau2 = tau2, i2 = one$I2, h2 = one$H2,
    baujat_x = b$x, baujat_y = b$y,
    lower = sapply(seq_len(k), function(s) missed(d[-s, ], method, control_for(d))) + missed(d, method, control_for(d)))
}

cumulated <- function(name, method, ci, by) {
  d <- sets[[name]]
  f <- fit(d, method, tests[[ci]])
  key <- if (by == "given") seq_len(nrow(d)) else if (by == "variance") d$v else -d$y
  c <- do.call(cumul, list(f, order = key)) # by value: cumul() looks for names in the data
  order <- order(key)
  data.frame(dataset = name, method = method, ci = ci, by = by, step = seq_along(key), study = order - 1,
    estimate = c$estimate, std_error = c$se, statistic = if (is.null(c$zval)) c$tval else c$zval,
    p_value = c$pvals, ci_low = c$ci.lb, ci_high = c$ci.ub, q = c$Q, q_p_value = c$Qp,
    tau2 = if (is.null(c$tau2)) 0 else c$tau2, i2 = c$I2, h2 = c$H2,
    lower = sapply(seq_along(key), function(s) missed(d[order[seq_len(s)], ], method, control_for(d))))
}

exact <- function(frame) {
  numeric <- sapply(frame, is.double)
  frame[numeric] <- lapply(frame[numeric], function(x) ifelse(is.na(x), "NA", sprintf("%.15g", x)))
  frame
}
write <- function(frames, name) {
  file <- gzfile(file.path(folder, name), "w", compression = 9)
  write.csv(exact(do.call(rbind, frames)), file, row.names = FALSE, quote = FALSE)
  close(file)
}

each <- function(f, ...) {
  grid <- expand.grid(..., name = names(sets), stringsAsFactors = FALSE)
  lapply(seq_len(nrow(grid)), function(i) do.call(f, as.list(grid[i, ])))
}
pair <- seq_along(combos)
write(each(function(pair, name) casewise(name, combos[[pair]][1], combos[[pair]][2]), pair = pair), "influence_casewise.csv.gz")
write(each(function(by, pair, name) cumulated(name, combos[[pair]][1], combos[[pair]][2], by),
           by = c("given", "variance", "falling"), pair = c(1, 2, 4)), "influence_cumulative.csv.gz")
about <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), datasets = lapply(sets, nrow))
writeLines(jsonlite::toJSON(about, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "influence_versions.json"))
