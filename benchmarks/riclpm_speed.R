# Called by riclpm_speed.py: Rscript riclpm_speed.R data.csv repeats out.json
# Times lavaan's full fit (its own defaults with missing = "fiml") of the random-intercept cross-lagged panel model with
# equal lag coefficients and residual covariances on wide data x1, y1, x2, ...
suppressMessages({
  library(lavaan)
  library(jsonlite)
})
arguments <- commandArgs(TRUE)
d <- read.csv(arguments[1])
repeats <- as.integer(arguments[2])
t <- seq_len(ncol(d) / 2)
model <- c(
  paste0("R", c("x", "y"), " =~ ", c(paste0("1*x", t, collapse = " + "), paste0("1*y", t, collapse = " + "))),
  paste0("wx", t, " =~ 1*x", t), paste0("wy", t, " =~ 1*y", t), paste0("x", t, " ~~ 0*x", t), paste0("y", t, " ~~ 0*y", t),
  paste0("x", t, " ~ 1"), paste0("y", t, " ~ 1"), "Rx ~~ Rx", "Rx ~~ Ry", "Ry ~~ Ry",
  "wx1 ~~ wx1", "wx1 ~~ wy1", "wy1 ~~ wy1"
)
for (s in t[-1]) {
  model <- c(
    model, sprintf("wx%d ~ p11*wx%d + p12*wy%d", s, s - 1, s - 1), sprintf("wy%d ~ p21*wx%d + p22*wy%d", s, s - 1, s - 1),
    sprintf("wx%d ~~ q1*wx%d", s, s), sprintf("wx%d ~~ q2*wy%d", s, s), sprintf("wy%d ~~ q3*wy%d", s, s)
  )
}
wall <- cpu <- numeric(repeats)
for (k in seq_len(repeats)) {
  begin <- proc.time()
  fit <- lavaan(paste(model, collapse = "\n"), d, missing = "fiml")
  spent <- proc.time() - begin
  wall[k] <- spent[["elapsed"]]
  cpu[k] <- spent[["user.self"]] + spent[["sys.self"]]
}
est <- parameterEstimates(fit)
labels <- c("p11", "p12", "p21", "p22")
out <- list(
  version = as.character(packageVersion("lavaan")), R = R.version.string, wall = I(wall), cpu = I(cpu),
  loglik = c(logLik(fit)), phi = I(est$est[match(labels, est$label)]), se = I(est$se[match(labels, est$label)])
)
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), arguments[3])
