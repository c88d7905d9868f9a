# Reference numbers for twostage.stats.metareg and its companions, by metafor.
#
#   Rscript tests/reference/metareg.R        (from the top of the repository; some minutes)
#
# writes next to itself
#   metareg_data.json              the data sets (metareg_data.R): estimates, variances, moderators, groups
#   metareg_fits.json.gz           data set x tau2 method x interval: coefficients, heterogeneity, tests, predictions
#   metareg_subgroups.json.gz      subgroups, separate and common tau2
#   metareg_permutation.json.gz    exact permutation tests: p-values and all permuted statistics
#   metareg_locationscale.json.gz  location-scale models
#   metareg_calls_out.json         what the calls of metareg_calls.json (written by metareg_calls.py) gave
#   metareg_versions.json          versions of R and packages
#
# Thresholds are tightened far beyond metafor's defaults (1e-5 in tau2), so that agreement to 1e-6 means something. For ML
# and REML, Fisher scoring is run from its default start and from 40 others over the whole range of tau2; the highest
# likelihood is the reference. Scale coefficients, where metafor's optimisers stop at about 1e-7, are refined by Newton
# steps on metafor's own log-likelihood (numDeriv).

suppressMessages(library(metafor))
options(warn = 1)
folder <- "tests/reference"
source(file.path(folder, "metareg_data.R"))

methods <- c("FE", "DL", "PM", "REML", "ML", "EB", "SJ", "HS", "HE")
tests <- c("wald" = "z", "hartung-knapp" = "knha", "hartung-knapp-adhoc" = "adhoc")
plain <- function(x) if (is.null(x) || length(x) == 0) NA_real_ else as.numeric(x)

control_for <- function(d, threshold = 1e-13) {
  spread <- max(var(d$y), 1e-3)
  list(threshold = threshold * spread, maxiter = 2000, tol = 1e-15 * spread, evtol = 0,
       tau2.max = 1e6 * (length(d$y) * spread + max(d$v)))
}

fit <- function(d, method, test, start = NULL, X = d$X, intercept = d$intercept) {
  # Scoring can oscillate in the last digits, so thresholds are tried from the tightest on.
  for (threshold in c(1e-13, 1e-12, 1e-11, 1e-10)) {
    control <- control_for(d, threshold)
    if (!is.null(start)) control$tau2.init <- start
    # Warnings expected: variances of very different size; Knapp & Hartung with FE.
    f <- try(suppressWarnings(
      if (ncol(X) == 0) rma(d$y, d$v, method = method, test = test, control = control)
      else rma(d$y, d$v, mods = X, intercept = intercept, method = method, test = test, control = control)), silent = TRUE)
    if (!inherits(f, "try-error")) return(f)
  }
  stop(paste(d$name, method, f))
}

# The starting value of tau2 from which Fisher scoring reaches the highest likelihood (NULL: the default).
best_start <- function(d, method, ...) {
  if (!method %in% c("ML", "REML")) return(NULL)
  start <- NULL
  highest <- c(logLik(fit(d, method, "z", ...)))
  for (init in c(0, exp(seq(log(min(d$v) / 100), log(10 * (var(d$y) + max(d$v)) + 1e-6), length.out = 40)))) {
    other <- try(fit(d, method, "z", init, ...), silent = TRUE)
    if (!inherits(other, "try-error") && c(logLik(other)) > highest + 1e-9) {
      start <- init
      highest <- c(logLik(other))
    }
  }
  start
}

settings <- function(d) {
  if (ncol(d$X) == 0) return(NULL)
  rbind(apply(d$X, 2, min), colMeans(d$X), apply(d$X, 2, max))
}

predictions <- function(f, d) {
  at <- function(...) suppressWarnings(if (ncol(d$X) == 0) predict(f, ...) else predict(f, newmods = settings(d), ...))
  ends <- function(...) { p <- at(...); cbind(plain(p$pi.lb), plain(p$pi.ub)) }
  p <- at(); q <- at(level = 80)
  list(estimate = plain(p$pred), std_error = plain(p$se), ci_low = plain(p$ci.lb), ci_high = plain(p$ci.ub), ci80_low = plain(q$ci.lb),
       riley = if (f$method == "FE") NULL else ends(pi.type = "riley"), t = if (f$method == "FE") NULL else ends(pi.type = "t"),
       default = if (f$method == "FE") NULL else ends())
}

profile_of <- function(f, d, level) {
  r <- confint(f, level = 100 * level, control = c(control_for(d)[c("tol", "tau2.max")], maxiter = 100000))
  list(level = level, low = r$random[, "ci.lb"], high = r$random[, "ci.ub"], empty = r$ci.null)
}

one_fit <- function(d, method, ci, start, start0) {
  f <- fit(d, method, tests[[ci]], start)
  some <- if (f$p >= 3) anova(f, btt = (f$p - 1):f$p) else NULL
  t0 <- fit(d, method, "z", start0, X = d$X[, 0, drop = FALSE])$tau2
  out <- list(dataset = d$name, method = method, ci = ci, coef = c(f$beta), std_error = f$se, statistic = f$zval, p_value = f$pval,
       ci_low = f$ci.lb, ci_high = f$ci.ub, cov_coef = unname(f$vb), df = plain(f$ddf), tau2 = f$tau2, tau2_se = plain(f$se.tau2), i2 = f$I2, h2 = f$H2,
       r2 = plain(f$R2), tau2_without = t0, qe = f$QE, qe_p_value = f$QEp, qm = plain(f$QM), qm_df = f$QMdf[1], qm_p_value = plain(f$QMp),
       loglik = c(logLik(f)), some = c(plain(some$QM), plain(some$QMp)), predict = predictions(f, d))
  if (ci == "wald") out <- c(out, list(hat = unname(hatvalues(f)), fitted = unname(c(fitted(f)))))
  if (ci == "wald" && method == "DL") out$qprofile <- lapply(c(0.8, 0.95), profile_of, f = f, d = d)
  out
}

all_fits <- function(d) {
  out <- list()
  for (m in methods) {
    start <- best_start(d, m)
    start0 <- best_start(d, m, X = d$X[, 0, drop = FALSE])
    for (ci in names(tests)) out[[length(out) + 1]] <- one_fit(d, m, ci, start, start0)
  }
  out
}

origin_fit <- function(d, method) {
  study <- seq_along(d$y)
  f <- suppressWarnings(rma.mv(d$y, d$v, mods = d$X, intercept = FALSE, random = ~ 1 | study, method = method))
  # Refined by Newton steps on metafor's own likelihood at given tau2.
  ll <- function(t) c(logLik(rma.mv(d$y, d$v, mods = d$X, intercept = FALSE, random = ~ 1 | study, method = method, sigma2 = t)))
  t <- f$sigma2
  for (i in 1:3) t <- t - numDeriv::grad(ll, t) / c(numDeriv::hessian(ll, t))
  g <- rma.mv(d$y, d$v, mods = d$X, intercept = FALSE, random = ~ 1 | study, method = method, sigma2 = t)
  list(dataset = d$name, method = method, ci = "wald", coef = c(g$beta), std_error = g$se, tau2 = t, qe = g$QE, qe_p_value = g$QEp,
       qm = g$QM, qm_p_value = g$QMp, loglik = c(logLik(g)))
}

subgroup_fit <- function(d, method, ci) {
  group <- factor(d$group, levels = unique(d$group))
  parts <- lapply(levels(group), function(g) {
    part <- list(y = d$y[group == g], v = d$v[group == g], X = matrix(0, sum(group == g), 0))
    if (length(part$y) == 1) rma(part$y, part$v, method = method)
    else { s <- best_start(part, method); fit(part, method, tests[[ci]], s) }
  })
  estimate <- sapply(parts, function(f) c(f$beta)); variance <- sapply(parts, function(f) f$se^2)
  between <- rma(estimate, variance, mods = ~ factor(seq_along(parts)), method = "FE")
  cells <- list(name = d$name, y = d$y, v = d$v, X = model.matrix(~ 0 + group), intercept = FALSE)
  dummies <- list(name = d$name, y = d$y, v = d$v, X = model.matrix(~ group)[, -1, drop = FALSE], intercept = TRUE)
  start <- best_start(cells, method)
  f <- fit(cells, method, tests[[ci]], start); b <- fit(dummies, method, tests[[ci]], start)
  p <- if (method == "FE") NULL else predict(f, newmods = diag(nlevels(group)), pi.type = "riley")
  list(dataset = d$name, method = method, ci = ci, groups = levels(group),
       separate = list(estimate = estimate, std_error = sqrt(variance), tau2 = sapply(parts, `[[`, "tau2"), ci_low = sapply(parts, `[[`, "ci.lb"),
                       q = sapply(parts, `[[`, "QE"), qm = between$QM, qm_df = between$QMdf[1], qm_p_value = between$QMp),
       common = list(estimate = c(f$beta), std_error = f$se, tau2 = rep(f$tau2, nlevels(group)), ci_low = f$ci.lb, p_value = f$pval,
                     i2 = rep(f$I2, nlevels(group)), qm = b$QM, qm_df = b$QMdf[1], qm_p_value = b$QMp, pi_low = plain(p$pi.lb), pi_high = plain(p$pi.ub)))
}

permutation_sets <- function(sets) {
  few <- c(0.42, -0.11, 0.63, 0.25, 0.91, -0.34, 0.18, 0.77)
  v <- c(0.02, 0.05, 0.04, 0.11, 0.03, 0.06, 0.09, 0.02)
  list(c(sets$hart, list(label = "hart")),
       list(name = "signs", y = few, v = v, X = matrix(0, 8, 0), intercept = TRUE),
       list(name = "binary", y = few, v = v, X = cbind(b = c(1, 0, 0, 1, 0, 1, 0, 0)), intercept = TRUE),
       list(name = "two", y = few[1:6], v = v[1:6], X = cbind(a = c(1, 2, 3, 4, 5, 7), b = c(0, 1, 0, 1, 1, 0)), intercept = TRUE),
       list(name = "cells", y = few[1:7], v = v[1:7], X = cbind(a = c(1, 0, 0, 1, 0, 0, 1), b = c(0, 1, 0, 0, 1, 0, 0), c = c(0, 0, 1, 0, 0, 1, 0)), intercept = FALSE))
}

permutation_fit <- function(d, method, ci) {
  f <- fit(d, method, tests[[ci]])
  p <- permutest(f, exact = TRUE, progbar = FALSE)
  list(dataset = d$name, method = method, ci = ci, y = d$y, v = d$v, X = d$X, intercept = d$intercept, n = p$exact.iter,
       p_value = p$pval, qm_p_value = p$QMp, qm = sort(p$QM.perm), statistic = lapply(p$zval.perm, sort))
}

# Every data set with a moderator: its first one in the location, in the scale, in both. Then richer models, and models
# without an intercept (in the location, in the scale).
scale_sets <- function(sets) {
  of <- function(name, form, X, Z, intercept = TRUE, scale_intercept = TRUE)
    c(sets[[name]][c("name", "y", "v")], list(form = form, X = X, Z = Z, intercept = intercept, scale_intercept = scale_intercept))
  x <- function(name, columns) sets[[name]]$X[, columns, drop = FALSE]
  none <- function(name) matrix(0, length(sets[[name]]$y), 0)
  by_rule <- lapply(Filter(function(d) ncol(d$X) > 0 && d$intercept && d$name != "bcg_all", sets), function(d) list(
    of(d$name, "location", x(d$name, 1), none(d$name)), of(d$name, "scale", none(d$name), x(d$name, 1)),
    of(d$name, "both", x(d$name, 1), x(d$name, 1))))
  c(do.call(c, unname(by_rule)), list(
    of("bcg_all", "two", x("bcg_all", "ablat"), x("bcg_all", "year")),
    of("curtis", "three", x("curtis", c("methodGH", "methodOTC")), x("curtis", "time")),
    of("mcdaniel", "two scale", none("mcdaniel"), x("mcdaniel", 1:2)),
    of("landenberger", "two scale", none("landenberger"), x("landenberger", c("age", "male"))),
    of("linde", "two scale", x("linde", "year"), x("linde", c("year", "major"))),
    of("molloy", "two", x("molloy", "designprospective"), x("molloy", "quality")),
    of("molloy", "quality", none("molloy"), x("molloy", "quality")),
    of("cell_means", "cells", x("cell_means", 1:3), x("cell_means", 1), intercept = FALSE),
    of("bcg_ablat", "origin", x("bcg_ablat", 1), none("bcg_ablat"), intercept = FALSE),
    of("raudenbush", "scale cells", x("raudenbush", "weeks"), cbind(told = 1 - c(x("raudenbush", "testerblind")), blind = c(x("raudenbush", "testerblind"))),
       scale_intercept = FALSE)))
}

# metafor's own log-likelihood in coordinates where its rounding is smallest: y centred, the location moderators
# orthonormal, the scale moderators centred and in standard deviations. Model and (with metafor's default, REMLf = TRUE)
# restricted likelihood are the same; with years of the calendar as they are, rounding moves its maximum by 1e-6.
scale_problem <- function(d, method) {
  k <- length(d$y); r <- ncol(d$Z)
  at <- if (d$scale_intercept) colMeans(d$Z) else rep(0, r)
  by <- apply(d$Z, 2, sd)
  Z <- sweep(sweep(d$Z, 2, at), 2, by, "/")
  unit <- diag(1 / by, r)
  if (d$scale_intercept) { Z <- cbind(1, Z); unit <- rbind(c(1, -at / by), cbind(rep(0, r), unit)) }
  X <- qr.Q(qr(if (d$intercept) cbind(1, sweep(d$X, 2, colMeans(d$X))) else d$X))
  y <- if (d$intercept) d$y - mean(d$y) else d$y
  q <- ncol(Z)
  value <- function(u) -metafor:::.ll.rma.ls(u, yi = y, vi = d$v, X = X, Z = Z, reml = method == "REML", k = k, pX = ncol(X), alpha.val = rep(NA, q),
    beta.val = rep(NA, ncol(X)), verbose = FALSE, digits = 4, REMLf = TRUE, link = "log", mZ = NULL, alpha.min = rep(-Inf, q), alpha.max = rep(Inf, q),
    alpha.transf = FALSE, tau2.min = 0, tau2.max = Inf, optbeta = FALSE)
  list(value = value, Z = Z, unit = unit)
}

# Starts: levels and slopes of log tau2 around the scatter of the estimates, and heterogeneity at one end of a moderator alone.
scale_starts <- function(d, Z) {
  base <- log(max(var(d$y), median(d$v)))
  columns <- if (d$scale_intercept) Z[, -1, drop = FALSE] else Z
  tau2 <- list(rep(0, nrow(Z)))
  for (j in seq_len(ncol(columns))) for (s in c(-6, -2, 2, 6)) {
    rising <- s * columns[, j]
    tau2 <- c(tau2, list(rising), list(rising - max(rising)))
  }
  starts <- list()
  for (shape in tau2) for (level in base + c(-4, 0)) starts <- c(starts, list(qr.solve(Z, level + shape)))
  starts
}

# Derivatives along the columns of L. numDeriv's steps are shares of the coordinates, too small for its differences where
# one is near 0: here they are tenths of the columns of L, which make the parameters uncorrelated, in standard errors.
slope <- function(f, u, L) numDeriv::grad(function(w) f(u + c(L %*% (w - 1))), rep(1, length(u)))
curvature <- function(f, u, L) numDeriv::hessian(function(w) f(u + c(L %*% (w - 1))), rep(1, length(u)), method.args = list(r = 6))

# The highest point nlminb finds from all starts, then Newton steps with numerical derivatives (numDeriv). `regular`: a
# maximum, the last step below 1e-7 standard errors and the curvature negative; otherwise the likelihood has only a supremum.
scale_maximum <- function(d, method) {
  problem <- scale_problem(d, method)
  ll <- problem$value
  best <- list(objective = Inf)
  cost <- function(u) { x <- try(-ll(u), silent = TRUE); if (is.numeric(x) && is.finite(x)) x else 1e10 }
  climb <- function(u) nlminb(u, cost, control = list(rel.tol = 1e-14, iter.max = 1000, eval.max = 2000))
  for (u in scale_starts(d, problem$Z)) {
    run <- climb(u)
    if (run$objective < best$objective - 1e-10) best <- run
  }
  for (i in 1:20) { # on towards a supremum
    run <- climb(best$par)
    if (run$objective >= best$objective - 1e-13) break
    best <- run
  }
  u <- best$par; L <- diag(length(u)); size <- Inf; regular <- FALSE
  for (i in 1:10) {
    H <- try(curvature(ll, u, L), silent = TRUE)
    if (!is.numeric(H) || any(!is.finite(H)) || max(eigen(H)$values) >= -1e-7) break
    L <- L %*% t(chol(solve(-H)))
    step <- c(L %*% slope(ll, u, L))
    if (max(abs(step)) > 1) break
    u <- u + step
    size <- max(abs(solve(L, step)))
    regular <- size < 1e-7
    if (size < 1e-10) break
  }
  va <- if (regular) problem$unit %*% L %*% solve(-curvature(ll, u, L)) %*% t(problem$unit %*% L)
  list(regular = regular, alpha = c(problem$unit %*% u), va = va, loglik = ll(u), last_step = size)
}

scale_call <- function(d, method, ...) suppressWarnings(
  rma(d$y, d$v, mods = if (ncol(d$X)) d$X else ~ 1, intercept = d$intercept, method = method,
      scale = if (!ncol(d$Z)) ~ 1 else if (d$scale_intercept) ~ d$Z else ~ 0 + d$Z, ...))

# What metafor does by itself: where it stops, with which standard errors (per standard deviation of a moderator).
left_alone <- function(d, method) {
  f <- try(scale_call(d, method, test = "z"), silent = TRUE)
  if (inherits(f, "try-error")) return(list(error = sub("\\s+$", "", sub("^[^:]*: *", "", as.character(f)))))
  list(loglik = c(logLik(f)), largest_std_error = max(if (ncol(d$Z)) tail(f$se.alpha, ncol(d$Z)) * apply(d$Z, 2, sd) else f$se.alpha))
}

# Wald tests of alpha by metafor's formulas, at the refined maximum.
scale_tests <- function(best, d, df) {
  tested <- if (d$scale_intercept && ncol(d$Z)) -1 else seq_along(best$alpha)
  se <- sqrt(diag(best$va)); m <- length(best$alpha[tested])
  qs <- c(best$alpha[tested] %*% solve(best$va[tested, tested], best$alpha[tested], tol = 1e-30))
  if (is.infinite(df)) list(qs = qs, qs_p = pchisq(qs, m, lower.tail = FALSE), alpha_p = 2 * pnorm(-abs(best$alpha / se)), alpha_low = best$alpha - qnorm(0.975) * se)
  else list(qs = qs / m, qs_p = pf(qs / m, m, df, lower.tail = FALSE), alpha_p = 2 * pt(-abs(best$alpha / se), df), alpha_low = best$alpha - qt(0.975, df) * se)
}

scale_predictions <- function(g, d) {
  at <- list(X = rbind(colMeans(d$X), d$X[2, ]), Z = rbind(colMeans(d$Z), d$Z[1, ]))
  p <- function(...) suppressWarnings(predict(g, newmods = at$X, newscale = at$Z, ...))
  list(X = unname(at$X), Z = unname(at$Z), estimate = p()$pred, ci_low = p()$ci.lb, riley = p(pi.type = "riley")$pi.lb, t = p(pi.type = "t")$pi.lb, default = p()$pi.lb)
}

scale_fit <- function(d, method) {
  best <- scale_maximum(d, method)
  a <- best$alpha
  out <- list(dataset = d$name, form = d$form, method = method, y = d$y, v = d$v, X = unname(d$X), Z = unname(d$Z), intercept = d$intercept,
              scale_intercept = d$scale_intercept, regular = best$regular, loglik = best$loglik, alone = left_alone(d, method))
  if (best$regular) {
    out <- c(out, list(alpha = a, last_step = best$last_step, std_error = sqrt(diag(best$va))))
    if (ncol(d$Z) && d$scale_intercept) out$loglik_without <- c(logLik(fit(d, method, "z", best_start(d, method, intercept = d$intercept))))
  }
  for (t in c("z", "knha")) {
    # From the maximum metafor's optimiser does not move; without one, alpha is fixed where the search ended.
    g <- if (best$regular) scale_call(d, method, test = t, control = list(alpha.init = a, rel.tol = 1e-3))
         else scale_call(d, method, test = t, alpha = a, control = list(alpha.init = a), skiphes = TRUE)
    out[[t]] <- list(coef = c(g$beta), std_error = g$se, ci_low = g$ci.lb, qm = g$QM, qm_p_value = g$QMp, tau2 = g$tau2, qe = g$QE)
    if (best$regular) {
      out[[t]] <- c(out[[t]], scale_tests(best, d, if (t == "z") Inf else length(d$y) - length(a)), list(own_qs = g$QS, own_qs_p = g$QSp))
      if (ncol(d$X) && ncol(d$Z)) out[[t]]$predict <- scale_predictions(g, d)
    }
  }
  out
}

run_call <- function(entry) {
  e <- new.env()
  suppressWarnings(suppressMessages(eval(parse(text = entry$call), envir = e)))
  show <- function(f) list(coef = c(f$beta), std_error = f$se, tau2 = f$tau2, qm = plain(f$QM), qm_p_value = plain(f$QMp),
                           alpha = if (is.null(f$alpha)) NULL else c(f$alpha), loglik = c(logLik(f)))
  out <- list(name = entry$name)
  if (!is.null(e$fit)) out$fit <- show(e$fit)
  if (!is.null(e$between)) out$between <- list(qm = e$between$QM, qm_p_value = e$between$QMp)
  if (!is.null(e$estimate)) out$estimate <- e$estimate
  if (!is.null(e$predicted)) out$predicted <- c(e$predicted$pi.lb, e$predicted$pi.ub)
  if (!is.null(e$permutation)) out$permutation <- list(p_value = e$permutation$pval, qm_p_value = e$permutation$QMp)
  out
}

write <- function(x, name) {
  force(x)
  path <- file.path(folder, name)
  con <- if (grepl("gz$", name)) gzfile(path, "w", compression = 9) else file(path, "w")
  writeLines(jsonlite::toJSON(x, digits = I(17), na = "null", auto_unbox = TRUE, null = "null", matrix = "rowmajor"), con)
  close(con)
}

main <- function(parts) {
  sets <- c(published(), extreme())
  names(sets) <- sapply(sets, `[[`, "name")
  origin <- through_origin()
  with_group <- Filter(function(d) !is.null(d$group), sets)
  grid <- function(sets, f, methods, cis = NULL) {
    out <- list()
    for (d in sets) for (m in methods) if (is.null(cis)) out[[length(out) + 1]] <- f(d, m) else for (ci in cis) out[[length(out) + 1]] <- f(d, m, ci)
    out
  }
  shape <- function(d) c(d[c("name", "measure", "source", "intercept")], list(y = d$y, v = d$v, names = as.list(colnames(d$X)), X = unname(d$X), group = as.list(d$group)))
  if ("fits" %in% parts) {
    write(lapply(unname(c(sets, origin)), shape), "metareg_data.json")
    write(c(do.call(c, lapply(unname(sets), all_fits)), grid(origin, origin_fit, c("REML", "ML"))), "metareg_fits.json.gz")
  }
  if ("subgroups" %in% parts) write(grid(with_group, subgroup_fit, c("FE", "DL", "REML"), names(tests)), "metareg_subgroups.json.gz")
  if ("permutation" %in% parts) write(grid(permutation_sets(sets), permutation_fit, c("FE", "DL", "REML"), c("wald", "hartung-knapp")), "metareg_permutation.json.gz")
  if ("scale" %in% parts) write(grid(scale_sets(sets), scale_fit, c("REML", "ML")), "metareg_locationscale.json.gz")
  if ("calls" %in% parts) write(lapply(jsonlite::fromJSON(file.path(folder, "metareg_calls.json"), simplifyVector = FALSE), run_call), "metareg_calls_out.json")
  write(list(R = R.version.string, metafor = as.character(packageVersion("metafor")), metadat = as.character(packageVersion("metadat")),
             numDeriv = as.character(packageVersion("numDeriv"))), "metareg_versions.json")
}

asked <- commandArgs(trailingOnly = TRUE)
main(if (length(asked)) asked else c("fits", "subgroups", "permutation", "scale", "calls"))
