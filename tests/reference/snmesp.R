# A panel on which a search stops short: wages and capital of 738 Spanish firms in 8 years (plm::Snmesp, Alonso-Borrego &
# Arellano 1999). Run from this folder: Rscript snmesp.R  -> snmesp.json: covariances (denominator n) and lavaan's fit of the
# random-intercept cross-lagged panel model with residual covariances free per year, from lavaan's own starting values and
# from ones with an autoregression near 1; the higher of the two.
suppressMessages({
  library(lavaan)
  library(jsonlite)
})
data("Snmesp", package = "plm")
wide <- reshape(as.data.frame(Snmesp)[c("firm", "year", "w", "k")], direction = "wide", idvar = "firm", timevar = "year")
years <- sort(unique(Snmesp$year))
d <- wide[paste0(rep(c("w.", "k."), length(years)), rep(years, each = 2))]
names(d) <- paste0(c("x", "y"), rep(seq_along(years), each = 2))
t <- seq_along(years)
model <- function(own) {
  at <- if (is.null(own)) c("", "") else c(sprintf("start(%s)*", own), sprintf("start(%s)*", 0.05))
  out <- c("Rx =~ 1*x1", "Ry =~ 1*y1")
  out <- c(paste0("Rx =~ ", paste0("1*x", t, collapse = "+")), paste0("Ry =~ ", paste0("1*y", t, collapse = "+")))
  out <- c(out, sprintf("Rx ~~ %sRx", at[2]), "Rx ~~ Ry", sprintf("Ry ~~ %sRy", at[2]))
  for (v in c("x", "y")) out <- c(out, paste0("w", v, t, " =~ 1*", v, t), paste0(v, t, " ~~ 0*", v, t), paste0(v, t, " ~ 1"))
  out <- c(out, "wx1 ~~ wx1 + wy1", "wy1 ~~ wy1")
  for (s in t[-1]) {
    out <- c(out, sprintf("wx%d ~ a*wx%d + %sa*wx%d + b*wy%d", s, s - 1, at[1], s - 1, s - 1))
    out <- c(out, sprintf("wy%d ~ c*wx%d + d*wy%d + %sd*wy%d", s, s - 1, s - 1, at[1], s - 1))
    out <- c(out, sprintf("wx%d ~~ wx%d + wy%d", s, s, s), sprintf("wy%d ~~ wy%d", s, s))
  }
  paste(out, collapse = "\n")
}
fits <- lapply(list(NULL, 0.95), function(own) {
  once <- function(start, control) {
    lavaan(model(own), d, meanstructure = TRUE, se = "none", test = "none", start = start, control = control)
  }
  once(once(once("default", list()), list(rel.tol = 1e-13, iter.max = 20000, eval.max = 50000)), list())
})
loglik <- sapply(fits, function(fit) if (lavInspect(fit, "converged")) c(logLik(fit)) else -Inf)
best <- fits[[which.max(loglik)]]
table <- parameterEstimates(best, se = FALSE)
out <- list(
  R = R.version.string, lavaan = as.character(packageVersion("lavaan")), plm = as.character(packageVersion("plm")),
  n = nrow(d), covariance = unname(cov(d) * (nrow(d) - 1) / nrow(d)), logliks = loglik, loglik = max(loglik),
  phi = unname(sapply(c("a", "b", "c", "d"), function(l) table$est[table$label == l][1]))
)
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), "snmesp.json")
