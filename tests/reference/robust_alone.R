# clubSandwich where a coefficient rests on one cluster, and where one cluster alone has another value of a moderator.
#
#   Rscript tests/reference/robust_alone.R        (from the top of the repository; seconds)
#
# writes robust_alone.csv: design, type, term, estimate, std_error, df, p_value; versions are those of robust_versions.json
# (it stops if they are not)
suppressMessages({library(metafor); library(clubSandwich)})
folder <- "tests/reference"
said <- jsonlite::fromJSON(file.path(folder, "robust_versions.json"))
stopifnot(said$metafor == packageVersion("metafor"), said$clubSandwich == packageVersion("clubSandwich"))
d <- data.frame(y = c(.2, .5, -.1, .4, .3, .9, .6), v = c(.04, .05, .06, .05, .03, .04, .02), one = c(0, 0, 0, 0, 0, 0, 1),
                z = c(1, 3, 2, 5, 4, 6, 2), cluster = c(1, 1, 2, 2, 3, 3, 4))
d$others <- 1 - d$one
designs <- list(alone = ~ 0 + others + one, other_value = ~ one + z)
rows <- list()
for (name in names(designs)) {
  fit <- rma.mv(y, v, mods = designs[[name]], random = ~ 1 | cluster, sigma2 = 0.05, data = d)
  for (type in c("CR0", "CR2")) {
    tests <- coef_test(fit, vcov = vcovCR(fit, cluster = d$cluster, type = type), test = "Satterthwaite")
    rows[[length(rows) + 1]] <- data.frame(design = name, type, term = sub("intrcpt", "intercept", rownames(coef(summary(fit)))),
                                           estimate = tests$beta, std_error = tests$SE, df = tests$df_Satt, p_value = tests$p_Satt)
  }
}
out <- do.call(rbind, rows)
for (n in c("estimate", "std_error", "df", "p_value")) out[[n]] <- ifelse(is.finite(out[[n]]), sprintf("%.15g", out[[n]]), "")
write.csv(out, file.path(folder, "robust_alone.csv"), row.names = FALSE, quote = FALSE)
