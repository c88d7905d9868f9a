# Cluster-robust inference of lagged models by clubSandwich, for twostage.stats.mixed.clustered.
#
#   Rscript tests/reference/clustered.R   (from the top of the repository; seconds)
#
# reads mixed_panel-like rows made here with a fixed seed and writes next to itself
#   clustered_rows.csv       patient, y, intercept, x, z, m; data set
#   clustered_fits.csv       per data set and term: estimate; CR2 error and Satterthwaite df on the rows whitened by the
#                            model (lm, cluster = patient), and of the mixed model itself
#   clustered_versions.json

suppressMessages({library(lme4); library(clubSandwich)})
set.seed(20261201)
folder <- "tests/reference"

draw <- function(name, n, intercept, skewed) {
  size <- sample(2:6, n, replace = TRUE)
  d <- data.frame(set = name, patient = rep(seq_len(n), size))
  d$x <- rnorm(nrow(d)); d$z <- 0.4 * d$x + rnorm(nrow(d)); d$m <- rep(rnorm(n), size)
  scale <- if (skewed) rep(exp(rnorm(n, 0, 0.6)), size) else 1
  d$y <- 1 - 0.2 * d$x + 0.4 * d$z + 0.3 * d$m + rep(rnorm(n, 0, intercept), size) + scale * rnorm(nrow(d))
  d
}
sets <- list(draw("zero", 40, 0, FALSE), draw("intercept", 40, 0.7, FALSE), draw("uneven", 60, 0.3, TRUE), draw("few", 9, 0.5, TRUE))

fits <- list()
for (d in sets) {
  m <- lmer(y ~ x + z + m + (1 | patient), d, control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10)))
  s2 <- sigma(m)^2; t2 <- as.numeric(VarCorr(m)$patient)
  X <- model.matrix(m); white <- X; wy <- d$y
  for (p in unique(d$patient)) {
    rows <- which(d$patient == p)
    L <- t(chol(s2 * diag(length(rows)) + t2))
    white[rows, ] <- solve(L, X[rows, , drop = FALSE]); wy[rows] <- solve(L, d$y[rows])
  }
  w <- data.frame(white, wy = wy); names(w) <- c("one", "x", "z", "m", "wy")
  ols <- lm(wy ~ 0 + one + x + z + m, w)
  by_rows <- coef_test(ols, vcovCR(ols, cluster = d$patient, type = "CR2"), test = "Satterthwaite")
  by_model <- coef_test(m, vcovCR(m, cluster = d$patient, type = "CR2"), test = "Satterthwaite")
  df <- function(t) if ("df_Satt" %in% names(t)) t$df_Satt else t$df
  fits[[length(fits) + 1]] <- data.frame(set = d$set[1], term = c("intercept", "x", "z", "m"), theta2 = t2 / s2,
    estimate = coef(ols), std_error = by_rows$SE, df = df(by_rows), model_std_error = by_model$SE, model_df = df(by_model))
}
out <- function(table, file) {
  number <- sapply(table, is.double)
  table[number] <- lapply(table[number], function(x) sprintf("%.17g", x))
  write.csv(table, file.path(folder, file), row.names = FALSE, quote = FALSE)
}
out(do.call(rbind, sets), "clustered_rows.csv")
out(do.call(rbind, fits), "clustered_fits.csv")
versions <- list(R = R.version.string, lme4 = as.character(packageVersion("lme4")), clubSandwich = as.character(packageVersion("clubSandwich")))
writeLines(jsonlite::toJSON(versions, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "clustered_versions.json"))
