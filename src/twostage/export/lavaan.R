panel_model <- function(model, analysis) {
  once <- function(start, se) lavaan(model, wide, missing = "fiml", fixed.x = FALSE, start = start, se = se,
    information = "observed", h1 = FALSE, baseline = FALSE, control = list(iter.max = 20000, eval.max = 50000))
  fit <- once(once("default", "none"), "standard")
  found <- parameterEstimates(fit)
  below <- unique(found$label[grepl("^e_", found$label) & found$est < 0])   # no variance of errors is negative
  for (error in below) model <- gsub(paste0(error, "*"), "0*", model, fixed = TRUE)
  if (length(below)) fit <- once(once("default", "none"), "standard")
  found <- parameterEstimates(fit)
  found <- found[grepl("^b_", found$label) & !duplicated(found$label), c("label", "est", "se")]
  free <- subset(parTable(fit), free > 0 & op != "~1")
  needed <- sum(free$label == "") + length(setdiff(free$label, ""))   # parameters besides the means
  if (nrow(wide) <= needed || !lavInspect(fit, "converged")) found[c("est", "se")] <- NA
  data.frame(analysis, direction = "", term = found$label, estimate = found$est, std_error = found$se, df = Inf)
}
