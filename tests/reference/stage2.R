# Stage 2 a second time: metafor pools the coefficients that stage1.R estimated, so that the whole path from the
# files in data/ to the pooled numbers is computed once more without any code of this project.
#
#   Rscript tests/reference/stage1.R && Rscript tests/reference/stage2.R      (from the top of the repository)
#
# reads stage1_estimates.csv (the rows of the chosen options, all studies) and writes next to itself
#   stage2_estimates.csv  every coefficient pooled, by REML with Hartung-Knapp at 95 % and DerSimonian-Laird with
#                         a normal interval at 90 %; prediction interval on k - 2 degrees of freedom
#   stage2_without.csv    the cross-lagged effect of x on y, by REML with Hartung-Knapp, without each study in turn
#   stage2_versions.json  versions
#
# metafor's thresholds are tightened so that agreement to six digits means something, and its Fisher scoring takes half
# steps: with whole ones it goes back and forth forever on one coefficient (intercept of 6 to 7, y to x).
suppressMessages(library(metafor))
options(warn = 1)
folder <- "tests/reference"

ways <- list(
  list(method = "REML", ci = "hartung-knapp", test = "knha", level = 95),
  list(method = "DL", ci = "wald", test = "z", level = 90))

pooled <- function(d, way) {
  suppressWarnings(rma(d$estimate, sei = d$std_error, method = way$method, test = way$test, level = way$level,
                       control = list(threshold = 1e-13 * max(var(d$estimate), 1e-3), maxiter = 100000,
                                      stepadj = 0.5)))
}

row_of <- function(d, way) {
  f <- pooled(d, way)
  ahead <- predict(f, pi.type = "riley", level = way$level)
  data.frame(method = way$method, ci = way$ci, level = way$level / 100, k = f$k, n_patients = sum(d$n_patients),
             n_transitions = sum(d$n_transitions), estimate = c(f$beta), std_error = f$se, statistic = f$zval,
             p_value = f$pval, ci_low = f$ci.lb, ci_high = f$ci.ub, pi_low = ahead$pi.lb, pi_high = ahead$pi.ub,
             tau2 = f$tau2, i2 = f$I2, h2 = f$H2, q = f$QE, q_p_value = f$QEp)
}

exact <- function(frame) {
  numeric <- sapply(frame, is.double)
  frame[numeric] <- lapply(frame[numeric], function(x) ifelse(is.na(x), "", sprintf("%.15g", x)))
  frame
}
write <- function(frame, name) write.csv(exact(frame), file.path(folder, name), row.names = FALSE, quote = FALSE)

e <- subset(read.csv(file.path(folder, "stage1_estimates.csv")), options == "chosen")
keys <- c("analysis", "variant", "direction", "term")
groups <- split(e, interaction(e[keys], drop = TRUE, lex.order = TRUE))
all <- do.call(rbind, lapply(groups, function(d) do.call(rbind, lapply(ways, function(w) cbind(d[1, keys], row_of(d, w))))))
write(all, "stage2_estimates.csv")

d <- subset(e, analysis == "lagged" & direction == "x_to_y" & term == "x_within")
without <- do.call(rbind, lapply(d$study, function(s) {
  f <- pooled(d[d$study != s, ], ways[[1]])
  data.frame(study = s, estimate = c(f$beta), std_error = f$se, ci_low = f$ci.lb, ci_high = f$ci.ub, tau2 = f$tau2, i2 = f$I2)
}))
write(without, "stage2_without.csv")
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")))
writeLines(jsonlite::toJSON(versions, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "stage2_versions.json"))
