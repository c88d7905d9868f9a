# The one-stage model by lme4 (common variances) and nlme (a residual and an intercept variance of each study).
#
#   Rscript tests/reference/onestage.R [FOLDER]   (from the top of the repository; two minutes, with FOLDER some more)
#
# draws synthetic rows with a fixed seed and writes next to itself
#   onestage_rows.csv.gz    set, study, patient, cross, auto, x_mean, y_mean, outcome
#   onestage_fits.csv       per set and kind of variances: loglik, mean slopes with their model's standard errors, standard
#                           deviations and correlation of the slopes over studies; of some, pbkrtest's errors and df
#   onestage_versions.json
# FOLDER has the rows of real collections, written by `python tests/reference/onestage_rows.py FOLDER`; of these only the
# fits are kept.

suppressMessages({library(lme4); library(nlme)})
folder <- "tests/reference"
set.seed(20261217)

draw <- function(set, k, n, tau, intercept, spread) do.call(rbind, lapply(seq_len(k), function(s) {
  size <- sample(2:6, n[s], replace = TRUE)
  patient <- rep(seq_len(n[s]), size)
  d <- data.frame(set = set, study = sprintf("s%02d", s), patient = patient)
  d$cross <- rnorm(nrow(d)); d$auto <- 0.3 * d$cross + rnorm(nrow(d))
  d$x_mean <- rnorm(n[s])[patient]; d$y_mean <- -0.4 * d$x_mean + rnorm(n[s])[patient]
  scale <- exp(rnorm(1, 0, spread))
  d$outcome <- rnorm(1) + rnorm(1, -0.1, tau) * d$cross + rnorm(1, 0.25, tau) * d$auto + 0.2 * d$x_mean + 0.5 * d$y_mean +
    (intercept * scale * rnorm(n[s]))[patient] + scale * rnorm(nrow(d))
  d
}))
synthetic <- rbind(
  draw("plain", 6, c(40, 60, 25, 80, 50, 35), 0.15, 0.6, 0.3),
  draw("no_heterogeneity", 5, c(40, 30, 60, 50, 45), 0, 0.5, 0.2),
  draw("no_intercept", 4, c(50, 30, 70, 40), 0.2, 0, 0.4),
  draw("three", 3, c(30, 90, 45), 0.25, 0.4, 0.3))

sd_rho <- function(V) list(tau = sqrt(diag(V)), rho = V[1, 2] / sqrt(V[1, 1] * V[2, 2]))
row_of <- function(set, variances, by, loglik, b, se, V, kr = c(NA, NA, NA, NA)) {
  if (is.null(kr)) kr <- rep(NA, 4)
  h <- sd_rho(V)
  data.frame(set, variances, by, loglik, cross = b[1], auto = b[2], cross_se = se[1], auto_se = se[2],
             tau_cross = h$tau[1], tau_auto = h$tau[2], rho = h$rho,
             kr_cross_se = kr[1], kr_auto_se = kr[2], kr_cross_df = kr[3], kr_auto_df = kr[4])
}
slopes <- c("cross", "auto")
# Theirs count the residual and the intercept variance as estimated too, which matters little with hundreds of rows.
kenward_roger <- function(m) {
  at <- match(slopes, names(fixef(m)))
  df <- sapply(at, function(j) {L <- rep(0, length(fixef(m))); L[j] <- 1; pbkrtest::Lb_ddf(L, vcov(m), pbkrtest::vcovAdj(m))})
  c(sqrt(diag(as.matrix(pbkrtest::vcovAdj(m)))[at]), df)
}
by_lme4 <- function(d, set) {
  m <- suppressMessages(suppressWarnings(lmer(outcome ~ 0 + study + study:x_mean + study:y_mean + cross + auto +
    (0 + cross + auto | study) + (1 | study:patient), d,
    control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5), check.scaleX = "ignore"))))
  row_of(set, "common", "lme4", as.numeric(logLik(m)), fixef(m)[slopes], sqrt(diag(as.matrix(vcov(m))))[match(slopes, names(fixef(m)))],
         VarCorr(m)$study, if (nrow(d) < 1500) kenward_roger(m))
}
by_nlme <- function(d, set) {
  d$person <- factor(paste(d$study, d$patient)); d$study <- factor(d$study)
  m <- lme(outcome ~ 0 + study + study:x_mean + study:y_mean + cross + auto, d,
    random = list(study = pdSymm(~ 0 + cross + auto), person = pdDiag(~ 0 + study)), weights = varIdent(form = ~ 1 | study),
    control = lmeControl(maxIter = 500, msMaxIter = 500, niterEM = 50, msTol = 1e-12, tolerance = 1e-10, opt = "nlminb", allow.n.lt.q = TRUE))
  V <- pdMatrix(m$modelStruct$reStruct)$study * m$sigma^2
  row_of(set, "separate", "nlme", as.numeric(logLik(m)), fixef(m)[slopes], sqrt(diag(vcov(m)))[slopes], V[slopes, slopes])
}
fits <- list()
keep <- function(fit, d, set) {
  start <- proc.time()[3]
  found <- tryCatch({setTimeLimit(elapsed = 100, transient = TRUE); fit(d, set)}, error = function(e) {cat(set, conditionMessage(e), "\n"); NULL})
  setTimeLimit()
  cat(set, round(proc.time()[3] - start, 1), "s\n")
  if (!is.null(found)) fits[[length(fits) + 1]] <<- found
}
for (set in unique(synthetic$set)) for (fit in c(by_lme4, by_nlme)) keep(fit, synthetic[synthetic$set == set, ], set)
arguments <- commandArgs(TRUE)
for (file in if (length(arguments)) list.files(arguments[1], "csv$", full.names = TRUE)) {
  d <- read.csv(file)
  for (fit in c(by_lme4, by_nlme)) keep(fit, d, sub("[.]csv$", "", basename(file)))
}
out <- function(table, file) {
  number <- sapply(table, is.double)
  table[number] <- lapply(table[number], function(x) sprintf("%.17g", x))
  write.csv(table, file, row.names = FALSE, quote = FALSE)
}
out(synthetic, gzfile(file.path(folder, "onestage_rows.csv.gz")))
out(do.call(rbind, fits), file.path(folder, "onestage_fits.csv"))
versions <- list(R = R.version.string, lme4 = as.character(packageVersion("lme4")), nlme = as.character(packageVersion("nlme")),
                 pbkrtest = as.character(packageVersion("pbkrtest")))
writeLines(jsonlite::toJSON(versions, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "onestage_versions.json"))
