# Reference numbers for twostage.stats.radial, by metafor.
#
#   Rscript tests/reference/radial.R   (from the top of the repository, after pool.R; seconds)
#
# reads pool_data.csv and writes radial.csv next to itself: the coordinates that radial() draws, data set x
# method x study. Thresholds as in pool.R. Sets of several likelihood maxima are left to the methods FE and DL.

suppressMessages(library(metafor))
options(warn = 1)
folder <- "tests/reference"
data <- read.csv(file.path(folder, "pool_data.csv"))
sets <- split(data[c("y", "v")], factor(data$dataset, unique(data$dataset)))
sets <- sets[sapply(sets, nrow) >= 2 & sapply(sets, nrow) <= 24]
pdf(NULL) # radial() draws
rows <- list()
for (name in names(sets)) for (method in c("FE", "DL", "REML")) {
  d <- sets[[name]]
  if (method == "REML" && grepl("two_maxima", name)) next
  spread <- max(var(d$y), 1e-3)
  f <- rma(d$y, d$v, method = method, control = list(threshold = 1e-13 * spread, maxiter = 100000))
  r <- radial(f)
  rows[[length(rows) + 1]] <- data.frame(dataset = name, method = method, study = seq_len(nrow(d)) - 1,
    precision = sprintf("%.15g", r$x), statistic = sprintf("%.15g", r$y))
}
write.csv(do.call(rbind, rows), file.path(folder, "radial.csv"), row.names = FALSE, quote = FALSE)
