# The metafor side of gosh_speed.py:  Rscript gosh_speed.R data.csv method subsets
# Prints the number of subsets and gosh()'s seconds of processor time per subset, after a warm-up.

suppressMessages(library(metafor))
arguments <- commandArgs(trailingOnly = TRUE)
d <- read.csv(arguments[1])
f <- rma(d$y, d$v, method = arguments[2])
n <- as.integer(arguments[3])
invisible(gosh(f, subsets = 20, progbar = FALSE))
seconds <- sum(system.time(g <- gosh(f, subsets = n, progbar = FALSE))[c("user.self", "sys.self")])
cat(nrow(g$res), seconds / nrow(g$res), "\n")
