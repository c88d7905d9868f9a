# Reference numbers for twostage.stats.selection, by metafor.
#
#   Rscript tests/reference/selection.R   (from the top of the repository, after pool.R; about two minutes)
#
# reads pool_data.csv and writes next to itself
#   smallstudy_selection.csv     selmodel(type = "stepfun"): data set x alternative x steps
#   selection_versions.json
#
# Where metafor stops, there is no row. Thresholds as in pool.R. Every model is run from several starts; the
# highest maximum is kept.

suppressMessages(library(metafor))
options(warn = 1)
folder <- "tests/reference"
data <- read.csv(file.path(folder, "pool_data.csv"))
sets <- split(data[c("y", "v")], factor(data$dataset, unique(data$dataset)))
sets <- sets[sapply(sets, nrow) >= 2]

control_for <- function(d) {
  spread <- max(var(d$y), 1e-3)
  list(threshold = 1e-13 * spread, maxiter = 5000, tol = 1e-15 * spread, tau2.max = 1e6 * (nrow(d) * spread + max(d$v)))
}
fit <- function(d, method) suppressWarnings(rma(d$y, d$v, method = method, control = control_for(d)))
number <- function(x) if (is.null(x) || length(x) == 0) NA_real_ else as.numeric(x)[1]
attempt <- function(expr) {
  result <- try(suppressWarnings(expr), silent = TRUE)
  if (inherits(result, "try-error")) NULL else result
}

select <- function(name, alternative, steps, method) {
  d <- sets[[name]]
  if (nrow(d) > 70) return(NULL) # a loop over studies in every evaluation: too slow
  f <- fit(d, method)
  cuts <- as.numeric(strsplit(steps, "/")[[1]])
  # nlminb reports false convergence where its tolerance cannot be reached, and metafor then stops.
  one <- function(tau2, delta, mu, rel.tol, ...) {
    control <- list(optimizer = "nlminb", rel.tol = rel.tol, iter.max = 2000, eval.max = 4000, delta.max = 1e7,
                    delta.init = pmin(delta, 9e6), beta.init = mu)
    if (method == "ML") control$tau2.init <- max(tau2, 1e-12)
    attempt(selmodel(f, type = "stepfun", alternative = alternative, steps = cuts, control = control, ...))
  }
  best <- NULL
  for (tau2 in c(1, 0.05) * max(f$tau2, min(d$v) / 10)) for (delta in c(1, 0.05)) {
    s <- one(tau2, c(1, rep(delta, length(cuts))), c(f$beta), 1e-10, skiphes = TRUE, skiphet = TRUE)
    if (!is.null(s) && (is.null(best) || s$ll > best$ll)) best <- s
  }
  # An interval without p-values, which metafor accepts if it is the first: the other weights grow without end.
  # So they do where the effect fitted makes the estimates observed all but impossible ("outlier" with tau2 = 0):
  # there is no maximum, and what is printed is where the optimiser gave up.
  if (is.null(best) || any(best$ptable$k == 0) || max(best$delta) > 1e6) return(NULL)
  # Once more from its own result, as closely as it can; then with standard errors.
  for (rel.tol in c(1e-10, 1e-12, 1e-13, 1e-14)) {
    again <- one(best$tau2, best$delta, c(best$beta), rel.tol, skiphes = TRUE, skiphet = TRUE)
    if (!is.null(again) && again$ll >= best$ll) best <- again
  }
  for (rel.tol in c(1e-14, 1e-13, 1e-12, 1e-10)) {
    again <- one(best$tau2, best$delta, c(best$beta), rel.tol)
    if (!is.null(again)) break
  }
  if (is.null(again)) return(NULL)
  best <- again
  data.frame(dataset = name, alternative = alternative, steps = steps, method = method, estimate = c(best$beta), std_error = best$se,
    statistic = best$zval, p_value = best$pval, ci_low = best$ci.lb, ci_high = best$ci.ub, tau2 = best$tau2,
    tau2_se = number(best$se.tau2), delta_2 = best$delta[2], delta_2_se = best$se.delta[2], delta_2_p = best$pval.delta[2],
    delta_last = tail(best$delta, 1), delta_last_se = tail(best$se.delta, 1), loglik = c(best$ll), loglik_unselected = c(best$ll0),
    lrt = best$LRT, lrt_df = best$LRTdf, lrt_p = best$LRTp, tau2_lrt = number(best$LRT.tau2), tau2_lrt_p = number(best$LRTp.tau2))
}

exact <- function(frame) {
  numeric <- sapply(frame, is.double)
  frame[numeric] <- lapply(frame[numeric], function(x) ifelse(is.na(x), "NA", sprintf("%.15g", x)))
  frame
}
each <- function(f, ...) {
  grid <- expand.grid(..., name = names(sets), stringsAsFactors = FALSE)
  lapply(seq_len(nrow(grid)), function(i) {
    began <- proc.time()[1]
    row <- do.call(f, as.list(grid[i, , drop = FALSE]))
    message(paste(grid[i, ], collapse = " "), ": ", round(proc.time()[1] - began, 1), " s", if (is.null(row)) ", none")
    row
  })
}
rows <- c(each(select, alternative = c("greater", "less"), steps = "0.025", method = "ML"),
        each(select, alternative = "two.sided", steps = "0.05", method = "ML"),
        each(select, alternative = c("greater", "less"), steps = "0.025/0.5", method = "ML"),
        each(select, alternative = c("greater", "less"), steps = "0.025", method = "FE"))
write.csv(exact(do.call(rbind, rows)), file.path(folder, "smallstudy_selection.csv"), row.names = FALSE, quote = FALSE)
about <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), datasets = lapply(sets, nrow))
writeLines(jsonlite::toJSON(about, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "selection_versions.json"))
