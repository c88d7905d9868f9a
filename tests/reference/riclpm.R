# References for twostage.stats.riclpm from lavaan. Run from this folder: Rscript riclpm.R  -> riclpm_lavaan.json
# lavaan's optimiser is tightened and started again where it stopped, so that tolerances are about agreement.
# Standard errors: observed information by its second derivatives ("hessian"; lavaan differentiates its gradient
# numerically); robust ones are robust.huber.white with the same information.
suppressMessages({
  library(lavaan)
  library(jsonlite)
})
source("riclpm_data.R")
cases <- read.csv("riclpm_cases.csv")

both <- c("x", "y")
BEFORE <- 18
joined <- function(...) paste(c(...), collapse = "\n")

syntax <- function(occasions, residuals, lags, first) {
  t <- seq_len(occasions)
  out <- c(
    paste0("R", both, " =~ ", c(paste0("1*x", t, collapse = " + "), paste0("1*y", t, collapse = " + "))),
    "Rx ~~ v1*Rx", "Rx ~~ v2*Ry", "Ry ~~ v3*Ry"
  )
  for (v in both) {
    out <- c(out, paste0("w", v, t, " =~ 1*", v, t), paste0(v, t, " ~~ 0*", v, t), paste0(v, t, " ~ 1"))
  }
  transition <- function(to, from, lag = "", res = "") {
    c(
      sprintf("wx%s ~ p11%s*wx%s + p12%s*wy%s", to, lag, from, lag, from),
      sprintf("wy%s ~ p21%s*wx%s + p22%s*wy%s", to, lag, from, lag, from), spread(to, paste0("q", 1:3, res))
    )
  }
  spread <- function(to, labels) {
    c(
      sprintf("wx%s ~~ %s*wx%s", to, labels[1], to), sprintf("wx%s ~~ %s*wy%s", to, labels[2], to),
      sprintf("wy%s ~~ %s*wy%s", to, labels[3], to)
    )
  }
  for (s in t[-1]) {
    lag <- if (lags == "free") paste0("_", s) else ""
    out <- c(out, transition(s, s - 1, lag, if (residuals == "free") paste0("_", s) else ""))
  }
  if (first == "free") {
    return(joined(out, spread(1, paste0("w", 1:3))))
  }
  # Stationary without non-linear constraints (of which lavaan's standard errors leave out the curvature): the process has
  # gone on for BEFORE unobserved occasions, so that W is the sum of Phi^k Q Phi'^k up to rounding.
  past <- paste0("past", seq_len(BEFORE))
  out <- c(out, paste0("w", rep(both, each = BEFORE), past, " =~ 0*", rep(both, each = BEFORE), "1"))
  out <- c(out, spread(past[1], paste0("q", 1:3)))
  for (k in seq_len(BEFORE)[-1]) out <- c(out, transition(past[k], past[k - 1]))
  joined(out, transition(1, past[BEFORE]))
}

# theta in the order of twostage: intercepts, lag coefficients, first occasion, residuals
labels_of <- function(occasions, residuals, lags, first) {
  steps <- 2:occasions
  p <- c("p11", "p12", "p21", "p22")
  q <- c("q1", "q2", "q3")
  c(
    "v1", "v2", "v3",
    if (lags == "free") paste0(p, "_", rep(steps, each = 4)) else p,
    if (first == "free") c("w1", "w2", "w3"),
    if (residuals == "free") paste0(q, "_", rep(steps, each = 3)) else q
  )
}

fit_case <- function(case) {
  d <- panel(case$n, case$occasions, case$missing, case$seed)
  model <- syntax(case$occasions, case$residuals, case$lags, case$first)
  tight <- list(rel.tol = 1e-13, iter.max = 20000, eval.max = 50000)
  once <- function(start, se, control = tight) {
    lavaan(
      model, d,
      missing = "fiml", estimator = "ML", h1 = FALSE, baseline = FALSE, start = start,
      information = "observed", observed.information = "hessian", se = se, test = "standard",
      control = control
    )
  }
  # lavaan started again where it stopped, until its criterion no longer moves; at last by its own default tolerances,
  # since by the tight ones it may call a maximum reached to rounding "not converged" and then has no standard errors
  fit <- once("default", "none")
  for (again in 1:4) {
    before <- c(logLik(fit))
    fit <- once(fit, "none")
    if (abs(c(logLik(fit)) - before) < 1e-10) break
  }
  fit <- once(fit, if (case$se == "sandwich") "robust.huber.white" else "standard", list())
  table <- parameterEstimates(fit)
  table <- table[match(labels_of(case$occasions, case$residuals, case$lags, case$first), table$label), ]
  std <- standardizedSolution(fit)
  std <- std[std$op == "~" & std$lhs %in% paste0("w", both, rep(2:case$occasions, each = 2)), ]
  std <- std[order(as.integer(sub("w[xy]", "", std$lhs)), std$lhs, std$rhs), ]
  means <- coef(fit)[grepl("^[xy][0-9]+~1$", names(coef(fit)))]
  list(
    case = case$case, loglik = c(logLik(fit)), aic = AIC(fit), bic = BIC(fit), nobs = nobs(fit),
    converged = lavInspect(fit, "converged"),
    estimate = table$est, std_error = table$se,
    means = unname(means[paste0(both, rep(seq_len(case$occasions), each = 2), "~1")]),
    std = std$est.std, std_se = std$se
  )
}

out <- list(R = R.version.string, lavaan = as.character(packageVersion("lavaan")), cases = list())
for (k in seq_len(nrow(cases))) {
  begin <- proc.time()[["elapsed"]]
  result <- fit_case(cases[k, ])
  out$cases[[k]] <- result
  cat(cases$case[k], "loglik", format(result$loglik, digits = 12), "converged", result$converged,
      round(proc.time()[["elapsed"]] - begin, 1), "s\n")
}
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), "riclpm_lavaan.json")
