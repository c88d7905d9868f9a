# Reference numbers for twostage.addition, by metafor.
#
#   Rscript tests/reference/addition.R   (from the top of the repository, after pool.R; seconds)
#
# reads pool_data.csv and writes next to itself
#   addition.csv            per data set x method x interval x study: the pool of the others with Riley's prediction interval
#                           (t with k - 2 df), the pool of all, and the study's deleted residual
#   addition_versions.json

suppressMessages(library(metafor))
folder <- "tests/reference"
data <- read.csv(file.path(folder, "pool_data.csv"))
chosen <- c("bcg", "normand", "nielweise", "outlier")
tests <- c("wald" = "z", "hartung-knapp" = "knha")

fit <- function(y, v, method, test) {
  spread <- max(var(y), 1e-3)
  rma(y, v, method = method, test = test, control = list(threshold = 1e-13 * spread, maxiter = 100000, tol = 1e-15 * spread))
}

rows <- list()
for (set in chosen) for (method in c("REML", "DL")) for (ci in names(tests)) {
  d <- data[data$dataset == set, ]
  all <- fit(d$y, d$v, method, tests[[ci]])
  residual <- rstudent(all)$z
  for (i in seq_len(nrow(d))) {
    others <- fit(d$y[-i], d$v[-i], method, tests[[ci]])
    pi <- predict(others, pi.type = "riley")
    rows[[length(rows) + 1]] <- data.frame(
      dataset = set, method = method, ci = ci, study = i - 1, before_estimate = c(others$beta), before_tau2 = others$tau2,
      before_pi_low = pi$pi.lb, before_pi_high = pi$pi.ub, before_ci_low = others$ci.lb, before_ci_high = others$ci.ub,
      after_estimate = c(all$beta), after_tau2 = all$tau2, after_ci_low = all$ci.lb, after_ci_high = all$ci.ub,
      weight = weights(all)[[i]], rstudent = residual[[i]])
  }
}
table <- do.call(rbind, rows)
table[-(1:4)] <- lapply(table[-(1:4)], function(x) sprintf("%.17g", x))
write.csv(table, file.path(folder, "addition.csv"), row.names = FALSE, quote = FALSE)
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")))
writeLines(jsonlite::toJSON(versions, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "addition_versions.json"))
