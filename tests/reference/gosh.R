# Reference numbers for twostage.stats.gosh, by metafor.
#
#   Rscript tests/reference/gosh.R   (from the top of the repository, after pool.R; about a minute)
#
# reads pool_data.csv and writes next to itself
#   influence_gosh.csv.gz   subsets of data sets x method; a subset is its code, the sum of 2^i over its
#                           studies i = 0, 1, ...
#   gosh_versions.json
#
# Chosen subsets by rma(), not gosh()'s random ones: each single study, all studies, and up to 20 between (all
# subsets where there are at most 63). That gosh() gives the same numbers is checked first. Thresholds as in
# pool.R. Fisher scoring for ML and REML may stop in the lower of two maxima: these fits are repeated from other
# starting values, the highest is kept. A scoring that has not ended after 5000 steps creeps along a flat
# likelihood or goes round in circles; another start then stands for it.

suppressMessages(library(metafor))
options(warn = 1)
folder <- "tests/reference"
data <- read.csv(file.path(folder, "pool_data.csv"))
sets <- split(data[c("y", "v")], factor(data$dataset, unique(data$dataset)))
sets <- sets[sapply(sets, nrow) >= 2 & sapply(sets, nrow) <= 24]

control_for <- function(d) {
  spread <- max(var(d$y), 1e-3)
  list(threshold = 1e-13 * spread, maxiter = 5000, tol = 1e-15 * spread, tau2.max = 1e6 * (nrow(d) * spread + max(d$v)))
}
fit <- function(d, method, control = control_for(d), ...)
  suppressWarnings(rma(d$y, d$v, method = method, control = c(control, list(...))))
better <- function(one, other) is.null(one) || (!is.null(other) && c(logLik(other)) > c(logLik(one)) + 1e-9)
attempt <- function(expr) {
  result <- try(expr, silent = TRUE)
  if (inherits(result, "try-error")) NULL else result
}
# The fit of highest likelihood among the default start's and some others; NULL where all fail.
best <- function(d, method, control) {
  f <- attempt(fit(d, method, control = control))
  if (!method %in% c("ML", "REML") || nrow(d) < 2) return(f)
  for (init in c(0, exp(seq(log(min(d$v) / 100), log(10 * (var(d$y) + max(d$v)) + 1e-6), length.out = 3)))) {
    other <- attempt(fit(d, method, control = control, tau2.init = init))
    if (better(f, other)) f <- other
  }
  f
}

bits <- function(code, k) bitwAnd(bitwShiftR(code, seq_len(k) - 1), 1) == 1
codes_of <- function(k) {
  all <- 2^k - 1
  if (all <= 63) seq_len(all) else unique(c(2^(seq_len(k) - 1), all, round(seq(3, all - 1, length.out = 20))))
}
gosh_of <- function(name, method) {
  d <- sets[[name]]
  k <- nrow(d)
  began <- proc.time()[1]
  rows <- lapply(codes_of(k), function(code) {
    f <- best(d[bits(code, k), ], method, control_for(d))
    if (is.null(f)) return(NULL)
    data.frame(dataset = name, method = method, code = code, k = f$k, estimate = c(f$beta), tau2 = f$tau2, i2 = f$I2, q = f$QE)
  })
  message(name, " ", method, " ", round(proc.time()[1] - began, 1), " s, ", sum(sapply(rows, is.null)), " failed")
  do.call(rbind, rows)
}
check_gosh <- function(name, method) {
  ours <- gosh_of(name, method)
  g <- gosh(fit(sets[[name]], method), progbar = FALSE)
  code <- as.vector(g$incl %*% 2^(seq_len(ncol(g$incl)) - 1))
  theirs <- g$res[match(ours$code, code), ]
  stopifnot(isTRUE(all.equal(ours$estimate, theirs$estimate, tolerance = 1e-8)),
            isTRUE(all.equal(ours$q, theirs$QE, tolerance = 1e-8)), max(abs(ours$tau2 - theirs$tau2)) < 1e-8,
            max(abs(ours$i2 - theirs$I2)) < 1e-6)
}

exact <- function(frame) {
  numeric <- sapply(frame, is.double)
  frame[numeric] <- lapply(frame[numeric], function(x) ifelse(is.na(x), "NA", sprintf("%.15g", x)))
  frame
}
for (method in c("FE", "DL", "REML", "PM")) for (name in c("k3", "tau2_zero", "hart")) check_gosh(name, method)
grid <- expand.grid(method = c("FE", "DL", "PM", "REML", "ML", "EB", "SJ", "HS", "HE"), name = names(sets), stringsAsFactors = FALSE)
rows <- do.call(rbind, lapply(seq_len(nrow(grid)), function(i) gosh_of(grid$name[i], grid$method[i])))
file <- gzfile(file.path(folder, "influence_gosh.csv.gz"), "w", compression = 9)
write.csv(exact(rows), file, row.names = FALSE, quote = FALSE)
close(file)
about <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), datasets = lapply(sets, nrow))
writeLines(jsonlite::toJSON(about, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "gosh_versions.json"))
