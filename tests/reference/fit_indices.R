# Goodness of fit of random-intercept cross-lagged panel models by lavaan. Run from this folder: Rscript fit_indices.R
# -> fit_indices.json: chi-square, df, RMSEA, CFI and the log-likelihood of the model without restrictions, of panels of
# riclpm_data.R (complete, drop-out, skipped waves, single scores missing).
suppressMessages({
  library(lavaan)
  library(jsonlite)
})
source("riclpm_data.R")
cases <- data.frame(
  n = c(60, 300, 300, 200, 150), occasions = c(3, 4, 5, 4, 4),
  missing = c("complete", "complete", "dropout", "waves", "items"), seed = c(11, 21, 31, 41, 51)
)
syntax <- function(occasions) {
  t <- seq_len(occasions)
  out <- paste0("R", c("x", "y"), " =~ ", c(paste0("1*x", t, collapse = "+"), paste0("1*y", t, collapse = "+")))
  out <- c(out, "Rx ~~ Rx + Ry", "Ry ~~ Ry")
  for (v in c("x", "y")) {
    out <- c(out, paste0("w", v, t, " =~ 1*", v, t), paste0(v, t, " ~~ 0*", v, t), paste0(v, t, " ~ 1"))
  }
  out <- c(out, "wx1 ~~ wx1 + wy1", "wy1 ~~ wy1")
  for (s in t[-1]) {
    out <- c(out, sprintf("wx%d ~ a*wx%d + b*wy%d", s, s - 1, s - 1), sprintf("wy%d ~ c*wx%d + d*wy%d", s, s - 1, s - 1))
    out <- c(out, sprintf("wx%d ~~ p*wx%d + q*wy%d", s, s, s), sprintf("wy%d ~~ r*wy%d", s, s))
  }
  paste(out, collapse = "\n")
}
fitted <- lapply(seq_len(nrow(cases)), function(i) {
  c <- as.list(cases[i, ])
  d <- panel(c$n, c$occasions, c$missing, c$seed)
  fit <- lavaan(syntax(c$occasions), d, missing = "fiml", meanstructure = TRUE, se = "none",
    control = list(iter.max = 20000, eval.max = 50000))
  m <- fitMeasures(fit, c("chisq", "df", "rmsea", "cfi", "logl", "unrestricted.logl", "baseline.chisq"))
  c(c, as.list(m))
})
out <- list(R = R.version.string, lavaan = as.character(packageVersion("lavaan")), fits = fitted)
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), "fit_indices.json")
