# Reference numbers for twostage.stats.selection, by metafor.
#
#   Rscript tests/reference/selection.R   (from the top of the repository, after pool.R; about two minutes)
#
# reads pool_data.csv and writes next to itself
#   smallstudy_selection.csv     selmodel(type = "stepfun"): data set x alternative x steps
#   selection_versions.json
#
# Where metafor stops, there is no row. Thresholds as in pool.R. metafor's optimiser is run from several starts, with tau2
# free and with tau2 = 0; the highest maximum is then refined by Newton steps with numerical derivatives (numDeriv) of
# metafor's own log-likelihood, in (mu, log tau2, log weights), and standard errors are taken from its Hessian there.
# metafor's own standard errors (own_*: numDeriv with its own steps, where its optimiser stopped) are kept beside them.

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
  own <- again
  top <- refined(own, f, d, alternative, cuts, method)
  se <- top$se; z <- top$estimate / se[1]; lrt <- max(0, 2 * (top$loglik - c(own$ll0)))
  delta_p <- 2 * pnorm(-abs((top$delta[1] - 1) / se[3])); last <- length(top$delta)
  data.frame(dataset = name, alternative = alternative, steps = steps, method = method, estimate = top$estimate, std_error = se[1], statistic = z,
    p_value = 2 * pnorm(-abs(z)), ci_low = top$estimate - qnorm(0.975) * se[1], ci_high = top$estimate + qnorm(0.975) * se[1], tau2 = top$tau2,
    tau2_se = se[2], delta_2 = top$delta[1], delta_2_se = se[3], delta_2_p = delta_p, delta_last = top$delta[last],
    delta_last_se = se[2 + last], loglik = top$loglik, loglik_unselected = c(own$ll0), lrt = lrt, lrt_df = last,
    lrt_p = pchisq(lrt, last, lower.tail = FALSE), tau2_lrt = number(own$LRT.tau2), own_loglik = c(own$ll), own_tau2 = own$tau2,
    own_std_error = own$se, own_tau2_se = number(own$se.tau2), own_delta_2_se = own$se.delta[2])
}

# metafor's log-likelihood of (mu, log tau2, log weights); tau2 = 0 without the second.
likelihood <- function(s, d, alternative, cuts) {
  k <- nrow(d); J <- length(cuts) + 1
  function(theta, zero) {
    delta <- c(1, exp(if (zero) theta[-1] else theta[-(1:2)]))
    -metafor:::.selmodel.ll.stepfun(c(theta[1], if (zero) 0 else exp(theta[2]), delta), yi = d$y, vi = d$v, X = matrix(1, k, 1), preci = rep(1, k), k = k,
      pX = 1, pvals = s$pvals, deltas = J, delta.val = rep(NA, J), delta.transf = FALSE, mapfun = NULL, delta.min = rep(0, J), delta.max = rep(Inf, J),
      tau2.val = NA, tau2.transf = FALSE, tau2.max = Inf, beta.val = NA, wi.fun = NULL, steps = c(cuts, 1), pgrp = s$pgrp, alternative = alternative,
      pval.min = 0, intCtrl = list(), verbose = FALSE, digits = 4)
  }
}

# Newton steps, until below 1e-9 standard errors (where rounding allows no more, as with one estimate of 1000: 3e-7), in
# coordinates (columns of L) that make the parameters uncorrelated, in standard errors: differences of a tenth of those.
newton <- function(ll, theta, unit) {
  L <- diag(c(unit, rep(1, length(theta) - 1))); size <- Inf
  for (i in 1:15) {
    along <- function(w) ll(theta + c(L %*% (w - 1)))
    H <- numDeriv::hessian(along, rep(1, length(theta)))
    if (any(!is.finite(H)) || max(eigen(H)$values) >= -1e-10) return(list(loglik = -Inf))
    if (size < if (i < 8) 1e-9 else 3e-7) return(list(loglik = ll(theta), theta = theta, covariance = L %*% solve(-H) %*% t(L)))
    step <- -solve(H, numDeriv::grad(along, rep(1, length(theta))))
    size <- max(abs(step))
    theta <- theta + c(L %*% step)
    L <- L %*% t(chol(solve(-H)))
  }
  list(loglik = -Inf)
}

refined <- function(s, f, d, alternative, cuts, method) {
  value <- likelihood(s, d, alternative, cuts)
  climb <- function(zero, theta) {
    found <- nlminb(theta, function(x) { l <- value(x, zero); if (is.finite(l)) -l else 1e10 }, control = list(rel.tol = 1e-14, iter.max = 2000, eval.max = 4000))
    newton(function(x) value(x, zero), found$par, if (is.na(s$se)) f$se else s$se)
  }
  starts <- lapply(c(1, 0.2, 0.03), function(w) c(c(f$beta), log(rep(w, length(cuts)))))
  runs <- lapply(c(list(c(s$beta, log(s$delta[-1]))), starts), climb, zero = TRUE)
  if (method == "ML" && s$tau2 > 1e-6 * min(d$v)) runs <- c(list(climb(FALSE, c(s$beta, log(s$tau2), log(s$delta[-1])))), runs)
  best <- runs[[which.max(sapply(runs, `[[`, "loglik"))]]
  stopifnot(best$loglik > s$ll - 1e-10)
  zero <- length(best$theta) == 1 + length(cuts)
  natural <- c(best$theta[1], if (!zero) exp(best$theta[2]), exp(tail(best$theta, length(cuts))))
  se <- sqrt(diag(best$covariance)) * c(1, natural[-1])
  list(estimate = natural[1], tau2 = if (zero) 0 else natural[2], delta = tail(natural, length(cuts)), loglik = best$loglik,
       se = if (zero) c(se[1], NA, se[-1]) else se)
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
about <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), numDeriv = as.character(packageVersion("numDeriv")), datasets = lapply(sets, nrow))
writeLines(jsonlite::toJSON(about, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "selection_versions.json"))
