# Reference numbers for twostage.stats.bayes: bayesmeta itself, on the examples of its own article and vignette.
#
#   Rscript tests/reference/bayesmeta.R   (from the top of the repository; some minutes)
#
# writes next to itself bayesmeta_fits.csv and bayesmeta_versions.json.
#
# bayesmeta replaces the mixture over tau by a grid; delta and epsilon say how fine. By default (0.01 and 1e-4) its numbers
# of mu and theta are right to about 0.003 standard deviations; here they are finer, to show what its numbers end at.

suppressPackageStartupMessages(library(bayesmeta))
options(digits = 17, warn = 1)
folder <- "tests/reference"
fine <- list(delta = 1e-5, epsilon = 1e-8)

data(Rubin1981); data(CrinsEtAl2014); data(HinksEtAl2010)
crins <- escalc(measure = "OR", ai = exp.AR.events, n1i = exp.total, ci = cont.AR.events, n2i = cont.total,
                slab = publication, data = CrinsEtAl2014)
half_normal <- function(s) function(t) dhalfnormal(t, scale = s)
cases <- list(
  schools_cauchy = list(y = Rubin1981$effect, s = Rubin1981$stderr, prior = function(t) dhalfcauchy(t, scale = 25), mean = 0, sd = 50),
  schools_uniform = list(y = Rubin1981$effect, s = Rubin1981$stderr, prior = "uniform", mean = NA, sd = NA),
  crins = list(y = as.numeric(crins$yi), s = sqrt(as.numeric(crins$vi)), prior = half_normal(0.5), mean = 0, sd = 4),
  hinks = list(y = HinksEtAl2010$log.or, s = HinksEtAl2010$log.or.se, prior = half_normal(0.5), mean = 0, sd = 4))

rows <- list()
for (name in names(cases)) {
  one <- cases[[name]]
  fit <- bayesmeta(y = one$y, sigma = one$s, labels = as.character(seq_along(one$y)), tau.prior = one$prior,
                   mu.prior.mean = one$mean, mu.prior.sd = one$sd, delta = fine$delta, epsilon = fine$epsilon)
  summaries <- cbind(fit$summary, fit$theta[c("mode", "median", "mean", "sd", "95% lower", "95% upper"), 1:2])
  colnames(summaries) <- c("tau", "effect", "new", "study 1", "study 2")
  below <- c(NA, fit$pposterior(mu = 0), fit$pposterior(mu = 0, predict = TRUE), NA, NA)
  rows[[name]] <- data.frame(case = name, term = colnames(summaries), t(unname(summaries)), below_zero = below,
                             bf_tau = fit$bayesfactor[1, "tau=0"], bf_effect = fit$bayesfactor[1, "mu=0"])
}
out <- do.call(rbind, rows)
names(out)[3:8] <- c("mode", "median", "mean", "std_dev", "ci_low", "ci_high")
write.csv(out, file.path(folder, "bayesmeta_fits.csv"), row.names = FALSE)
packages <- c("bayesmeta", "metafor", "mvtnorm", "numDeriv")
versions <- c(R = as.character(getRversion()), sapply(packages, function(p) as.character(packageVersion(p))))
writeLines(sprintf("{%s}", paste(sprintf('"%s": "%s"', names(versions), versions), collapse = ", ")), file.path(folder, "bayesmeta_versions.json"))
