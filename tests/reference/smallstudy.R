# Reference numbers for twostage.stats.smallstudy and petpeese, by metafor and stats::lm.
#
#   Rscript tests/reference/smallstudy.R   (from the top of the repository, after pool.R; a few minutes)
#
# reads pool_data.csv and writes next to itself
#   smallstudy_egger.csv.gz      regtest(): data set x model x predictor x method x test. Sample sizes are
#                                made up for every data set: floor(4 / v) + 4
#   smallstudy_rank.csv          ranktest(), exact and normal
#   smallstudy_trimfill.csv.gz   trimfill(): data set x estimator x side x method
#   smallstudy_petpeese.csv      lm() on the standard error and on the variance, weights 1 / v
#   smallstudy_versions.json
#
# Where metafor stops, there is no row. Thresholds as in pool.R. Iterative fits that may end in one of several
# maxima (ML and REML with a moderator) are run from several starts; the highest is kept. Selection models:
# selection.R.

suppressMessages(library(metafor))
options(warn = 1)
folder <- "tests/reference"
data <- read.csv(file.path(folder, "pool_data.csv"))
sets <- split(data[c("y", "v")], factor(data$dataset, unique(data$dataset)))
sets <- sets[sapply(sets, nrow) >= 2]

control_for <- function(d) {
  spread <- max(var(d$y), 1e-3)
  list(threshold = 1e-13 * spread, maxiter = 100000, tol = 1e-15 * spread, tau2.max = 1e6 * (nrow(d) * spread + max(d$v)))
}
fit <- function(d, method, test = "z", mods = NULL, ...) {
  args <- list(d$y, d$v, method = method, test = test, control = c(control_for(d), list(...)))
  suppressWarnings(do.call(rma, if (is.null(mods)) args else c(args, list(mods = mods))))
}
starts <- function(d, n) c(0, exp(seq(log(min(d$v) / 100), log(10 * (var(d$y) + max(d$v)) + 1e-6), length.out = n)))
# Starting value of tau2 for the highest likelihood (NULL: the default's).
best_start <- function(d, method, mods = NULL) {
  if (!method %in% c("ML", "REML")) return(NULL)
  start <- NULL
  high <- try(c(logLik(fit(d, method, mods = mods))), silent = TRUE)
  if (inherits(high, "try-error")) high <- -Inf
  for (init in starts(d, 10)) {
    other <- try(c(logLik(fit(d, method, mods = mods, tau2.init = init))), silent = TRUE)
    if (!inherits(other, "try-error") && other > high + 1e-9) {
      start <- init
      high <- other
    }
  }
  start
}
number <- function(x) if (is.null(x) || length(x) == 0) NA_real_ else as.numeric(x)[1]
attempt <- function(expr) {
  result <- try(suppressWarnings(expr), silent = TRUE)
  if (inherits(result, "try-error")) NULL else result
}

sizes <- function(d) floor(4 / d$v) + 4
predictor_of <- function(d, name)
  switch(name, sei = sqrt(d$v), vi = d$v, ni = sizes(d), ninv = 1 / sizes(d), sqrtni = sqrt(sizes(d)), sqrtninv = 1 / sqrt(sizes(d)))

egger <- function(name, model, predictor, method, test) {
  d <- sets[[name]]
  if (nrow(d) < 3 || name == "identical") return(NULL)
  start <- if (model == "rma") attempt(best_start(d, method, predictor_of(d, predictor)))
  control <- c(control_for(d), if (is.null(start)) list() else list(tau2.init = start))
  base <- if (model == "rma") attempt(suppressWarnings(rma(d$y, d$v, method = method, test = test, control = control)))
          else attempt(fit(d, "FE"))
  r <- attempt(do.call(regtest, list(base, model = model, predictor = predictor, ni = sizes(d))))
  if (is.null(r)) return(NULL)
  f <- r$fit
  lm <- model == "lm"
  table <- if (lm) coef(summary(f)) else cbind(f$beta, f$se)
  data.frame(dataset = name, model = model, predictor = predictor, method = method, test = test, intercept = table[1, 1],
    intercept_se = table[1, 2], slope = table[2, 1], slope_se = table[2, 2], statistic = number(r$zval), df = number(r$ddf),
    p_value = number(r$pval), limit = number(r$est), limit_low = number(r$ci.lb), limit_high = number(r$ci.ub),
    tau2 = if (lm) NA else f$tau2)
}

rank_test <- function(name, exact) {
  d <- sets[[name]]
  r <- attempt(ranktest(d$y, d$v, exact = exact))
  if (is.null(r)) NULL else data.frame(dataset = name, exact = exact, tau = number(r$tau), p_value = r$pval)
}

trim <- function(name, estimator, side, method) {
  d <- sets[[name]]
  if (grepl("two_maxima", name) && method == "REML") return(NULL) # metafor would trim by the lower maximum
  f <- fit(d, method)
  chosen <- if (side != "auto") side
  r <- attempt(trimfill(f, estimator = estimator, side = chosen, control = control_for(d)))
  if (is.null(r)) return(NULL)
  filled <- if (r$k0 > 0) tail(data.frame(y = c(r$yi), v = c(r$vi)), r$k0) else data.frame(y = 0, v = 0)
  data.frame(dataset = name, estimator = estimator, side = side, method = method, chosen = r$side, k0 = r$k0, k0_se = r$se.k0,
    k0_p = number(r$p.k0), estimate = c(r$beta), std_error = r$se, tau2 = r$tau2, ci_low = r$ci.lb, ci_high = r$ci.ub,
    q = r$QE, filled_y = sum(filled$y), filled_v = sum(filled$v))
}

pet <- function(name) {
  d <- sets[[name]]
  if (nrow(d) < 3 || name == "identical") return(NULL)
  one <- function(x) coef(summary(lm(d$y ~ x, weights = 1 / d$v)))
  p <- one(sqrt(d$v))
  q <- one(d$v)
  if (nrow(p) < 2) return(NULL)
  data.frame(dataset = name, pet = p[1, 1], pet_se = p[1, 2], pet_t = p[1, 3], pet_p = p[1, 4], pet_slope = p[2, 1],
    pet_slope_se = p[2, 2], pet_slope_p = p[2, 4], peese = q[1, 1], peese_se = q[1, 2], peese_t = q[1, 3], peese_p = q[1, 4],
    peese_slope = q[2, 1], peese_slope_se = q[2, 2])
}

exact <- function(frame) {
  numeric <- sapply(frame, is.double)
  frame[numeric] <- lapply(frame[numeric], function(x) ifelse(is.na(x), "NA", sprintf("%.15g", x)))
  frame
}
write <- function(frames, name) {
  path <- file.path(folder, name)
  file <- if (grepl("gz$", name)) gzfile(path, "w", compression = 9) else file(path, "w")
  write.csv(exact(do.call(rbind, frames)), file, row.names = FALSE, quote = FALSE)
  close(file)
}
each <- function(f, ...) {
  grid <- expand.grid(..., name = names(sets), stringsAsFactors = FALSE)
  lapply(seq_len(nrow(grid)), function(i) do.call(f, as.list(grid[i, , drop = FALSE])))
}

tests <- each(rank_test, exact = c(TRUE, FALSE))
write(tests, "smallstudy_rank.csv")
write(each(pet), "smallstudy_petpeese.csv")
write(c(each(egger, model = "lm", predictor = c("sei", "vi", "ni", "ninv", "sqrtni", "sqrtninv"), method = "FE", test = "z"),
        each(egger, model = "rma", predictor = c("sei", "vi"), method = c("FE", "DL", "HE", "HS", "SJ", "PM", "EB", "ML", "REML"), test = "z"),
        each(egger, model = "rma", predictor = c("ni", "ninv", "sqrtni", "sqrtninv"), method = "REML", test = "z"),
        each(egger, model = "rma", predictor = c("sei", "vi"), method = c("REML", "DL"), test = c("knha", "adhoc"))), "smallstudy_egger.csv.gz")
write(each(trim, estimator = c("L0", "R0", "Q0"), side = c("auto", "left", "right"), method = c("FE", "DL", "REML")), "smallstudy_trimfill.csv.gz")
about <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), datasets = lapply(sets, nrow))
writeLines(jsonlite::toJSON(about, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "smallstudy_versions.json"))
