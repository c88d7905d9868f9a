# References for twostage.stats.riclpm.error from lavaan. Run from this folder: Rscript starts.R  -> starts_lavaan.json
# As in riclpm.R, lavaan's optimiser is tightened and started again where it stopped; standard errors are those of the
# observed information by its second derivatives, robust ones robust.huber.white with the same.
suppressMessages({
  library(lavaan)
  library(jsonlite)
})
source("starts_data.R")
cases <- read.csv("starts_cases.csv")
both <- c("x", "y")
triangle <- function(names) unlist(lapply(seq_along(names), function(i) lapply(seq_len(i), function(j) names[c(i, j)])), FALSE)
labelled <- function(names, label) {
  pairs <- triangle(names)
  sprintf("%s ~~ %s%d*%s", sapply(pairs, `[`, 1), label, seq_along(pairs), sapply(pairs, `[`, 2))
}

syntax <- function(occasions, lines, error) {
  t <- seq_len(occasions)
  factors <- paste0("R", both)
  out <- paste0("R", both, " =~ ", sapply(both, function(v) paste0("1*", v, t, collapse = " + ")))
  if (lines) {
    factors <- c(factors, paste0("S", both))
    out <- c(out, paste0("S", both, " =~ ", sapply(both, function(v) paste0(t - 1, "*", v, t, collapse = " + "))))
  }
  out <- c(out, labelled(factors, "g"))
  for (v in both) {
    own <- if (error == "free" || error == v) paste0("e", v) else "0"
    out <- c(out, paste0("w", v, t, " =~ 1*", v, t), paste0(v, t, " ~~ ", own, "*", v, t), paste0(v, t, " ~ 1"))
  }
  out <- c(out, labelled(paste0("w", both, 1), "w"))
  for (s in t[-1]) {
    out <- c(
      out, sprintf("wx%d ~ p11*wx%d + p12*wy%d", s, s - 1, s - 1), sprintf("wy%d ~ p21*wx%d + p22*wy%d", s, s - 1, s - 1),
      labelled(paste0("w", both, s), "q")
    )
  }
  paste(out, collapse = "\n")
}

labels_of <- function(lines, error) {
  c(
    paste0("g", seq_len(if (lines) 10 else 3)), "p11", "p12", "p21", "p22", "w1", "w2", "w3", "q1", "q2", "q3",
    if (error %in% c("free", "x")) "ex", if (error %in% c("free", "y")) "ey"
  )
}

fit_case <- function(case) {
  d <- starts_panel(case$n, case$occasions, case$missing, case$slope, case$noise, case$seed)
  model <- syntax(case$occasions, case$lines == 1, case$error)
  tight <- list(rel.tol = 1e-13, iter.max = 20000, eval.max = 50000)
  once <- function(start, se, control = tight) {
    lavaan(
      model, d,
      missing = "fiml", estimator = "ML", h1 = FALSE, baseline = FALSE, start = start,
      information = "observed", observed.information = "hessian", se = se, test = "standard", control = control
    )
  }
  fit <- once("default", "none")
  for (again in 1:4) {
    before <- c(logLik(fit))
    fit <- once(fit, "none")
    if (abs(c(logLik(fit)) - before) < 1e-10) break
  }
  fit <- once(fit, if (case$se == "sandwich") "robust.huber.white" else "standard", list())
  table <- parameterEstimates(fit)
  table <- table[match(labels_of(case$lines == 1, case$error), table$label), ]
  means <- coef(fit)[grepl("^[xy][0-9]+~1$", names(coef(fit)))]
  list(
    case = case$case, loglik = c(logLik(fit)), nobs = nobs(fit), converged = lavInspect(fit, "converged"),
    estimate = table$est, std_error = table$se,
    means = unname(means[paste0(both, rep(seq_len(case$occasions), each = 2), "~1")])
  )
}

# Cases that are in the output already are not computed again (delete it to start anew); with an argument the script stops
# after so many seconds, and goes on when it is called again.
budget <- as.numeric(c(commandArgs(TRUE), Inf)[1])
out <- list(R = R.version.string, lavaan = as.character(packageVersion("lavaan")), cases = list())
if (file.exists("starts_lavaan.json")) out$cases <- fromJSON("starts_lavaan.json", simplifyVector = FALSE)$cases
done <- vapply(out$cases, function(case) case$case, "")
for (k in which(!cases$case %in% done)) {
  if (proc.time()[["elapsed"]] > budget) break
  begin <- proc.time()[["elapsed"]]
  result <- fit_case(cases[k, ])
  out$cases[[length(out$cases) + 1]] <- result
  cat(cases$case[k], "loglik", format(result$loglik, digits = 12), "converged", result$converged,
      round(proc.time()[["elapsed"]] - begin, 1), "s\n")
  writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), "starts_lavaan.json")
}
