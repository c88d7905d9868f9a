# References for twostage.stats.mixed from lme4 and lmerTest.
# Run from this folder: Rscript mixed_data.R; python mixed_cases.py; Rscript mixed.R  -> mixed_reference.json
#
# For each case:
#   default     lme4's criterion where its default optimiser stops
#   polished    lme4's optimum refined: the best of several of its optimisers, then Newton steps on lme4's own deviance
#               function with numerical derivatives (numDeriv) over the Cholesky parameters that are not zero
#   ours        lme4's deviance function at the T in mixed_cases.json
# and, at the polished optimum, coefficients, standard errors, covariance matrices, sigma2, logLik (lme4's mkMerMod) and
# Satterthwaite degrees of freedom (lmerTest's own as_lmerModLT).
#
# When the first random effect's variance is zero the Cholesky factor of T is not unique and lmerTest's degrees of
# freedom depend on which one the optimiser happened to reach; when it is almost zero its numerical derivatives lose
# their digits (orders of the same columns then disagree by percents). The random effects are then reordered until the
# first one's relative standard deviation is clearly positive; the columns' order used is recorded.
suppressMessages({
  library(lme4)
  library(lmerTest)
  library(jsonlite)
})

ZERO <- 1e-5    # a Cholesky diagonal below this at lme4's optimum is taken to be on the boundary
CLEAR <- 0.02   # a first random effect below this relative standard deviation is put last

lagged <- function(d, patients) {
  d <- d[d$group <= patients, ]
  d$xm <- ave(d$x, d$group)
  d$ym <- ave(d$y, d$group)
  first <- d[!duplicated(d$group), ]
  d$xw <- d$x - d$xm
  d$yw <- d$y - d$ym
  n <- nrow(d)
  pair <- which(d$group[-1] == d$group[-n] & d$session[-1] == d$session[-n] + 1)
  out <- d[pair, ]
  out$y <- d$y[pair + 1]
  out$xw_xm <- out$xw * (out$xm - mean(first$xm))
  out$xw_ym <- out$xw * (out$ym - mean(first$ym))
  out
}

read_case <- function(case) {
  d <- if (case$data == "panel") lagged(read.csv("mixed_panel.csv.gz"), case$patients)
       else read.csv(paste0("mixed_", case$data, ".csv"))
  d$one <- 1
  if (case$data == "orthodont") d$age_Female <- d$age * d$Female
  d$group <- factor(d$group)
  d
}

model_formula <- function(case, random) {
  as.formula(paste("y ~ 0 +", paste(case$fixed, collapse = " + "),
                   "+ (0 +", paste(random, collapse = " + "), "| group)"))
}

# Lower-triangular factor of a positive semidefinite matrix, zero columns last.
lower_factor <- function(T) {
  e <- eigen(as.matrix(T), symmetric = TRUE)
  half <- e$vectors %*% diag(sqrt(pmax(e$values, 0)), nrow(T))
  L <- t(qr.R(qr(t(half), LAPACK = FALSE, tol = 0)))
  sweep(L, 2, ifelse(diag(L) < 0, -1, 1), "*")
}

theta_of <- function(T) { L <- lower_factor(T); L[lower.tri(L, TRUE)] }

optimise_all <- function(devfun, lower, start) {
  tries <- list(start, ifelse(lower == 0, 1, 0), ifelse(lower == 0, 0.2, 0))
  best <- NULL
  for (par in tries) for (how in c("bobyqa", "nelder")) {
    fit <- if (how == "bobyqa") minqa::bobyqa(par, devfun, lower = lower, control = list(rhobeg = 0.1, rhoend = 1e-9, maxfun = 1e5))
           else { nm <- lme4::Nelder_Mead(devfun, par, lower = lower, control = list(maxfun = 1e4)); nm }
    if (is.null(best) || fit$fval < best$fval) best <- list(par = fit$par, fval = fit$fval)
  }
  best
}

polish <- function(devfun, theta, lower) {
  theta[lower == 0 & abs(theta) < ZERO] <- 0
  q <- sum(lower == 0)
  L <- matrix(0, q, q); L[lower.tri(L, TRUE)] <- theta
  column <- col(L)[lower.tri(L, TRUE)]
  free <- !(column %in% which(diag(L) == 0))
  if (any(!free)) {                      # a zero column: whatever lme4 left below its zero diagonal belongs to no one
    theta0 <- theta; theta0[!free] <- 0
    if (devfun(theta0) <= devfun(theta) + 1e-6) theta <- theta0 else free <- theta != 0
  }
  if (!any(free)) return(theta)
  f <- function(v) { t <- theta; t[free] <- v; devfun(t) }
  v <- theta[free]
  for (k in 1:6) {
    g <- numDeriv::grad(f, v); h <- numDeriv::hessian(f, v)
    new <- v - solve(h, g)
    if (f(new) <= f(v) + 1e-8) v <- new else break
  }
  theta[free] <- v
  theta
}

fit_case <- function(case) {
  d <- read_case(case)
  random <- case$random
  natural <- NULL
  repeat {
    form <- model_formula(case, random)
    default <- suppressWarnings(suppressMessages(lme4::lmer(form, d, REML = case$reml)))
    if (is.null(natural)) natural <- deviance_of(default)
    parsed <- lFormula(form, d, REML = case$reml)
    devfun <- do.call(mkLmerDevfun, parsed)
    lower <- environment(devfun)$lower
    best <- optimise_all(devfun, lower, getME(default, "theta"))
    if (length(random) == 1 || abs(best$par[1]) > CLEAR) break
    if (identical(random, c(case$random[-1], case$random[1]))) break
    random <- c(random[-1], random[1])
  }
  theta <- polish(devfun, best$par, lower)
  value <- devfun(theta)
  opt <- list(par = theta, fval = value, conv = 0, feval = 0, message = "")
  model <- mkMerMod(environment(devfun), opt, parsed$reTrms, fr = parsed$fr)
  tested <- suppressWarnings(lmerTest:::as_lmerModLT(model, devfun))
  df <- vapply(seq_along(case$fixed), function(j) lmerTest::contest1D(tested, as.numeric(seq_along(case$fixed) == j))$df, 0)
  place <- match(case$random, random)
  T <- do.call(rbind, case$T)
  ours <- devfun(theta_of(T[match(random, case$random), match(random, case$random), drop = FALSE]))
  list(
    name = case$name, coef = unname(fixef(model)), std_error = unname(sqrt(diag(as.matrix(vcov(model))))),
    cov_coef = unname(as.matrix(vcov(model))), df = df,
    cov_re = unname(VarCorr(model)$group[place, place, drop = FALSE]), sigma2 = sigma(model)^2,
    loglik = c(logLik(model)), singular = isSingular(model), n_obs = nobs(model), n_groups = nlevels(d$group),
    random_order = I(random), criterion_default = unname(natural), criterion_polished = value,
    criterion_ours = ours
  )
}

deviance_of <- function(model) if (isREML(model)) lme4::REMLcrit(model) else deviance(model)

cases <- fromJSON("mixed_cases.json", simplifyVector = FALSE)
cases <- lapply(cases, function(case) {
  case$fixed <- unlist(case$fixed); case$random <- unlist(case$random)
  case$T <- lapply(case$T, unlist)
  case
})
result <- lapply(cases, function(case) { message(case$name); fit_case(case) })
versions <- list(R = R.version.string)
for (name in c("lme4", "lmerTest", "numDeriv", "minqa", "Matrix", "nlme")) versions[[name]] <- as.character(packageVersion(name))
lines <- vapply(result, function(one) as.character(toJSON(one, digits = NA, auto_unbox = TRUE, matrix = "rowmajor")), "")
writeLines(c(
  paste0('{"versions": ', toJSON(versions, auto_unbox = TRUE), ',\n"cases": ['),
  paste0(lines, c(rep(",", length(lines) - 1), "")), "]}"
), "mixed_reference.json")
