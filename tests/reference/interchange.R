# What metafor makes of the effects.csv that a run leaves: every pooled coefficient again.
#
#   twostage run --no-book --out RUN
#   Rscript tests/reference/interchange.R RUN/results   (from the top of the repository; seconds)
#
# reads effects.csv and vcov.json as another program would, with nothing of this package, and writes next to itself
# interchange.csv (a row per coefficient, 17 digits) and interchange_versions.json. tau2 is refined beyond metafor's own
# stopping rule. The last row is both cross-lagged effects in one multivariate model with the covariances of vcov.json.

suppressMessages({library(metafor); library(jsonlite)})
folder <- commandArgs(trailingOnly = TRUE)[1]
effects <- read.csv(file.path(folder, "effects.csv"), na.strings = "")
effects <- effects[effects$converged == "True", ]
key <- c("analysis", "variant", "direction", "term", "estimator")
groups <- unique(effects[key])
control <- list(threshold = 1e-13, maxiter = 100000)

pooled <- do.call(rbind, lapply(seq_len(nrow(groups)), function(i) {
  one <- merge(groups[i, ], effects, sort = FALSE)
  fit <- rma(yi, vi, data = one, slab = label, method = "REML", test = "knha", control = control)
  half <- qt(0.975, fit$k - 2) * sqrt(fit$tau2 + fit$se^2)   # Higgins, Thompson and Spiegelhalter (2009)
  data.frame(groups[i, ], k = fit$k, n_patients = sum(one$n), estimate = c(fit$b), std_error = fit$se, p_value = fit$pval,
             ci_low = fit$ci.lb, ci_high = fit$ci.ub, pi_low = c(fit$b) - half, pi_high = c(fit$b) + half, tau2 = fit$tau2, i2 = fit$I2,
             q = fit$QE)
}))
options(digits = 17)
write.csv(format(pooled, digits = 17, trim = TRUE), "tests/reference/interchange.csv", row.names = FALSE, quote = FALSE)

# Both cross-lagged effects together, with the covariance of each study's two estimates.
blocks <- fromJSON(file.path(folder, "vcov.json"), simplifyVector = FALSE)$blocks
main <- Filter(function(b) b$analysis == "lagged" && b$variant == "main" && b$of == "both", blocks)
matrices <- lapply(main, function(b) {
  names <- unlist(b$effects)
  cross <- grep("x_to_y/x_within/|y_to_x/y_within/", names)
  m <- matrix(as.numeric(unlist(b$matrix)), length(names), byrow = TRUE)[cross, cross]
  list(names = names[cross], m = m)
})
rows <- effects[match(unlist(lapply(matrices, `[[`, "names")), effects$effect), ]
V <- bldiag(lapply(matrices, `[[`, "m"))
both <- rma.mv(yi, V, mods = ~ 0 + direction, random = ~ direction | study, struct = "UN", data = rows, method = "REML",
               control = list(optimizer = "optim", optmethod = "BFGS", reltol = 1e-14))
joint <- data.frame(direction = c("x_to_y", "y_to_x"), estimate = c(both$b), std_error = both$se, loglik = c(logLik(both)))
write.csv(format(joint, digits = 17, trim = TRUE), "tests/reference/interchange_joint.csv", row.names = FALSE, quote = FALSE)
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")),
                 jsonlite = as.character(packageVersion("jsonlite")), rows = nrow(pooled))
write(toJSON(versions, auto_unbox = TRUE, pretty = 1), "tests/reference/interchange_versions.json")
