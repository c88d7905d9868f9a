# Dynamic panel models of panels near a unit root, by lavaan: logs of employment, wages, output, capital, intermediate inputs of 738 Spanish
# firms in 8 years (plm::Snmesp, GPL; Alonso-Borrego & Arellano 1999); of them the covariance matrix is kept.
#
#   Rscript tests/reference/unit_roots.R        (from the top of the repository; a minute)
#
# writes next to itself unit_roots.json: covariances (denominator n), per pair of variables, residuals and direction lavaan's maximum
suppressMessages({
  library(lavaan)
  library(jsonlite)
})
data("Snmesp", package = "plm")
T <- 8
variables <- c("n", "w", "y", "i", "k")
wide <- reshape(as.data.frame(Snmesp)[c("firm", "year", variables)], direction = "wide", idvar = "firm", timevar = "year")
years <- sort(unique(Snmesp$year))
d <- wide[paste0(rep(paste0(variables, "."), T), rep(years, each = length(variables)))]
names(d) <- paste0(variables, rep(1:T, each = length(variables)))

specify <- function(p, o, equal) {
  P <- paste0(p, 1:(T - 1)); O <- paste0(o, 1:T)
  join <- function(v) paste(v, collapse = " + ")
  lines <- paste("alpha =~", join(paste0("1*", O[2:T])))
  for (t in 2:T) {
    lines <- c(lines, paste(O[t], "~", paste0("b1*", P[t - 1], " + b2*", O[t - 1])), paste(O[t], "~ 1"))
    lines <- c(lines, paste0(O[t], " ~~ ", if (equal) "v*" else "", O[t]))
    if (t < T) lines <- c(lines, paste(O[t], "~~", join(P[t:(T - 1)])))
  }
  past <- c(P, O[1])
  lines <- c(lines, "alpha ~~ alpha", paste("alpha ~~", join(past)))
  for (i in seq_along(past)) lines <- c(lines, paste(past[i], "~~", join(past[i:length(past)])), paste(past[i], "~ 1"))
  paste(lines, collapse = "\n")
}
fits <- NULL
for (pair in combn(variables, 2, simplify = FALSE)) for (equal in c(TRUE, FALSE)) for (way in list(pair, rev(pair))) {
  once <- function(...) {
    lavaan(specify(way[1], way[2], equal), d[grep(paste0("^[", way[1], way[2], "]"), names(d))], meanstructure = TRUE,
           fixed.x = FALSE, se = "none", test = "none", ...)
  }
  f <- once()
  f <- once(start = f, optim.force.converged = TRUE, control = list(rel.tol = 1e-13, iter.max = 20000, eval.max = 50000))
  table <- parameterEstimates(f, se = FALSE)
  of <- function(label) table$est[table$label == label][1]
  fits <- rbind(fits, data.frame(predictor = way[1], outcome = way[2], residuals = if (equal) "equal" else "free",
                                 loglik = as.numeric(logLik(f)), b1 = of("b1"), b2 = of("b2"), converged = lavInspect(f, "converged")))
}
print(fits)
out <- list(R = R.version.string, lavaan = as.character(packageVersion("lavaan")), plm = as.character(packageVersion("plm")),
            n = nrow(d), variables = variables, covariance = unname(cov(d) * (nrow(d) - 1) / nrow(d)), fits = fits)
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), "tests/reference/unit_roots.json")
