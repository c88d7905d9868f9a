# Reference numbers for twostage.stats.pool, by metafor.
#
#   Rscript tests/reference/pool.R        (from the top of the repository; about a minute)
#
# writes next to itself
#   pool_data.csv      the data sets: dataset, study, y, v (doubles in 17 digits)
#   pool_fits.csv      one row per data set x tau2 method x interval
#   pool_weights.csv   weights in percent: one row per study, one column per method
#   pool_qprofile.csv  Q-profile intervals at three levels
#   pool_versions.json R, metafor and metadat versions; source and effect measure of each data set
#
# Thresholds are tightened far beyond metafor's defaults (1e-5 in tau2), so that agreement to 1e-6 means
# something. For ML and REML, Fisher scoring is run from its default start and from 40 others over the whole
# range of tau2; the highest likelihood is the reference, the default start's result is kept beside it
# (columns default_tau2, default_loglik).

suppressMessages(library(metafor))
options(warn = 1)
folder <- "tests/reference"

published <- function() {
  one <- function(name, measure, source, d) {
    known <- !is.na(d$yi) & !is.na(d$vi)
    list(name = name, measure = measure, source = source, y = as.numeric(d$yi)[known], v = as.numeric(d$vi)[known])
  }
  pig <- dat.pignon2000
  list(
    one("bcg", "log risk ratio", "Colditz et al. 1994, doi:10.1001/jama.1994.03510330076038",
        escalc("RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)),
    one("hackshaw", "log odds ratio", "Hackshaw 1998, doi:10.1177/096228029800700203", dat.hackshaw1998),
    one("normand", "mean difference", "Normand 1999, doi:10.1002/(sici)1097-0258(19990215)18:3<321::aid-sim28>3.0.co;2-p",
        escalc("MD", m1i = m1i, sd1i = sd1i, n1i = n1i, m2i = m2i, sd2i = sd2i, n2i = n2i, data = dat.normand1999)),
    one("raudenbush", "standardized mean difference", "Raudenbush & Bryk 1985, doi:10.3102/10769986010002075", dat.raudenbush1985),
    one("bangertdrowns", "standardized mean difference", "Bangert-Drowns et al. 2004, doi:10.3102/00346543074001029", dat.bangertdrowns2004),
    one("yusuf", "log odds ratio (table 6)", "Yusuf et al. 1985, doi:10.1016/s0033-0620(85)80003-7",
        escalc("OR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = subset(dat.yusuf1985, table == "6"))),
    one("molloy", "Fisher z", "Molloy et al. 2014, doi:10.1007/s12160-013-9524-4",
        escalc("ZCOR", ri = ri, ni = ni, data = dat.molloy2014)),
    one("mcdaniel", "Fisher z", "McDaniel et al. 1994, in Rothstein, Sutton & Borenstein 2005",
        escalc("ZCOR", ri = ri, ni = ni, data = dat.mcdaniel1994)),
    one("hart", "log incidence rate ratio", "Hart et al. 1999, doi:10.7326/0003-4819-131-7-199910050-00003",
        escalc("IRR", x1i = x1i, t1i = t1i, x2i = x2i, t2i = t2i, data = dat.hart1999)),
    one("collins", "log odds ratio", "Collins, Yusuf & Peto 1985, doi:10.1136/bmj.290.6461.17",
        escalc("OR", ai = pre.xti, n1i = pre.nti, ci = pre.xci, n2i = pre.nci, data = dat.collins1985b)),
    one("curtis", "log ratio of means", "Curtis & Wang 1998; Hedges, Gurevitch & Curtis 1999, doi:10.1890/0012-9658(1999)080[1150:TMAORR]2.0.CO;2",
        escalc("ROM", m1i = m2i, sd1i = sd2i, n1i = n2i, m2i = m1i, sd2i = sd1i, n2i = n1i, data = dat.curtis1998)),
    one("linde", "log risk ratio", "Linde et al. 2005, doi:10.1192/bjp.186.2.99",
        escalc("RR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = dat.linde2005)),
    one("li", "log odds ratio", "Li et al. 2007, doi:10.1002/14651858.CD002755.pub2",
        escalc("OR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = dat.li2007)),
    one("cohen", "Fisher z", "Cohen 1981, in Cooper & Hedges 1994, appendix A",
        escalc("ZCOR", ri = ri, ni = ni, data = dat.cohen1981)),
    one("lau", "log odds ratio", "Lau et al. 1992, doi:10.1056/NEJM199207233270406",
        escalc("OR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = dat.lau1992)),
    one("nielweise", "log risk ratio", "Niel-Weise et al. 2007, doi:10.1007/s00134-007-0897-3",
        escalc("RR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = dat.nielweise2007)),
    one("pignon", "log hazard ratio (O-E)/V", "Pignon et al. 2000, doi:10.1016/S0140-6736(00)90011-4",
        data.frame(yi = pig$OmE / pig$V, vi = 1 / pig$V)))
}

extreme <- function() {
  one <- function(name, why, y, v) list(name = name, measure = "constructed", source = why, y = y, v = v)
  list(
    one("k1", "one study", 0.3, 0.04),
    one("k2_agree", "two studies that agree: tau2 is 0", c(0.30, 0.32), c(0.04, 0.09)),
    one("k2_apart", "two studies that disagree", c(-0.2, 1.1), c(0.04, 0.09)),
    one("k3", "three studies", c(0.1, 0.5, -0.3), c(0.02, 0.05, 0.01)),
    one("tau2_zero", "less spread than sampling error: tau2 is exactly 0", c(0.21, 0.25, 0.18, 0.30, 0.22, 0.26),
        c(0.02, 0.05, 0.03, 0.08, 0.01, 0.04)),
    one("identical", "estimates that agree exactly", rep(0.4, 5), c(0.02, 0.05, 0.03, 0.08, 0.01)),
    one("outlier", "one enormous outlier", c(0.12, 0.05, 0.31, 0.22, -0.04, 0.18, 0.09, 0.27, 1000, 0.15),
        c(0.02, 0.03, 0.05, 0.01, 0.04, 0.02, 0.06, 0.03, 0.02, 0.05)),
    one("six_orders", "sampling variances over six orders of magnitude",
        c(0.412, 0.398, 0.45, 0.31, 0.52, 0.9, -0.2, 1.6, -1.1, 3.5, 12, -25), 
        c(1e-3, 4e-3, 2e-3, 1e-2, 5e-2, 0.1, 0.4, 1, 3, 10, 200, 1000)),
    one("two_maxima_8", "restricted likelihood with maxima at 0 and, higher, above 0",
        c(0.13, 0.50, 0.34, 0.49, 0.50, 0.12, 0.88, 0.90), c(0.001, 0.225, 0.019, 0.483, 0.064, 0.001, 0.065, 0.151)),
    one("two_maxima_5", "restricted likelihood with maxima at 0 and, higher, above 0",
        c(-0.06, 0.06, -0.95, 0.01, -0.37), c(0.178, 0.003, 0.073, 0.001, 0.863)),
    one("offset", "estimates far from 0 compared with their spread", 1000 + c(0.12, -0.31, 0.45, 0.02, 0.27, -0.16, 0.33),
        c(0.02, 0.03, 0.05, 0.01, 0.04, 0.02, 0.06)),
    one("equal_variances", "equal sampling variances", c(0.1, 0.9, 0.4, -0.3, 0.7, 0.2, 1.4, 0.5), rep(0.05, 8)))
}

methods <- c("FE", "DL", "PM", "REML", "ML", "EB", "SJ", "HS", "HE")
tests <- c("wald" = "z", "hartung-knapp" = "knha", "hartung-knapp-adhoc" = "adhoc")

control_for <- function(d) {
  spread <- if (length(d$y) > 1) var(d$y) else 1
  list(threshold = 1e-13 * max(spread, 1e-3), maxiter = 100000, tol = 1e-15 * max(spread, 1e-3),
       tau2.max = 1e6 * (length(d$y) * max(spread, 1e-3) + max(d$v)))
}

fit <- function(d, method, test, ...) {
  # "Ratio of largest to smallest sampling variance" and "Knapp & Hartung with FE" warnings are expected.
  suppressWarnings(rma(d$y, d$v, method = method, test = test, control = c(control_for(d), list(...))))
}

# The starting value of tau2 from which Fisher scoring reaches the highest likelihood (NULL: the default).
best_start <- function(d, method) {
  if (!method %in% c("ML", "REML") || length(d$y) < 2) return(NULL)
  start <- NULL
  highest <- c(logLik(fit(d, method, "z")))
  for (init in c(0, exp(seq(log(min(d$v) / 100), log(10 * (var(d$y) + max(d$v)) + 1e-6), length.out = 40)))) {
    other <- try(fit(d, method, "z", tau2.init = init), silent = TRUE)
    if (!inherits(other, "try-error") && c(logLik(other)) > highest + 1e-9) {
      start <- init
      highest <- c(logLik(other))
    }
  }
  start
}

fit_from <- function(d, method, test, start) {
  if (is.null(start)) fit(d, method, test) else fit(d, method, test, tau2.init = start)
}

row_for <- function(d, method, ci, start) {
  f <- fit_from(d, method, tests[[ci]], start)
  default <- fit(d, method, tests[[ci]])
  na <- function(x) if (is.null(x) || length(x) == 0) NA_real_ else as.numeric(x)
  p <- function(...) suppressWarnings(predict(f, ...))
  data.frame(
    dataset = d$name, method = method, ci = ci, k = f$k, estimate = c(f$beta), std_error = f$se,
    ci_low = f$ci.lb, ci_high = f$ci.ub, statistic = f$zval, df = na(f$ddf), p_value = f$pval,
    tau2 = f$tau2, tau2_se = na(f$se.tau2), i2 = f$I2, h2 = f$H2, q = f$QE, q_p_value = f$QEp,
    loglik = c(logLik(f)),
    pi_k2_low = na(p(pi.type = "riley")$pi.lb), pi_k2_high = na(p(pi.type = "riley")$pi.ub),
    pi_k1_low = na(p(pi.type = "t")$pi.lb), pi_k1_high = na(p(pi.type = "t")$pi.ub),
    pi_default_low = na(p()$pi.lb), pi_default_high = na(p()$pi.ub),
    ci80_low = p(level = 80)$ci.lb, ci80_high = p(level = 80)$ci.ub,
    default_tau2 = default$tau2, default_loglik = c(logLik(default)))
}

qprofile_for <- function(d, level) {
  f <- fit(d, "DL", "z")
  r <- confint(f, level = 100 * level, control = control_for(d)[c("tol", "maxiter", "tau2.max")])
  ends <- r$random
  data.frame(dataset = d$name, level = level, tau2_low = ends["tau^2", "ci.lb"], tau2_high = ends["tau^2", "ci.ub"],
             tau_low = ends["tau", "ci.lb"], tau_high = ends["tau", "ci.ub"],
             i2_low = ends["I^2(%)", "ci.lb"], i2_high = ends["I^2(%)", "ci.ub"],
             h2_low = ends["H^2", "ci.lb"], h2_high = ends["H^2", "ci.ub"], empty = r$ci.null)
}

weights_for <- function(d) {
  w <- sapply(methods, function(m) weights(fit_from(d, m, "z", starts[[paste(d$name, m)]])))
  data.frame(dataset = d$name, study = seq_along(d$y) - 1, rbind(w))
}

exact <- function(frame) {
  numeric <- sapply(frame, is.double)
  frame[numeric] <- lapply(frame[numeric], function(x) ifelse(is.na(x), "NA", sprintf("%.17g", x)))
  frame
}
write <- function(frame, name) write.csv(exact(frame), file.path(folder, name), row.names = FALSE, quote = FALSE)

sets <- c(published(), extreme())
starts <- list()
for (d in sets) for (m in methods) starts[[paste(d$name, m)]] <- best_start(d, m)
grid <- expand.grid(ci = names(tests), method = methods, set = seq_along(sets), stringsAsFactors = FALSE)
# One study: metafor's Hartung-Knapp standard error is 0 there; only the normal interval is comparable.
grid <- subset(grid, !(ci != "wald" & sapply(set, function(i) sets[[i]]$name) == "k1"))
fits <- do.call(rbind, Map(function(i, m, ci) row_for(sets[[i]], m, ci, starts[[paste(sets[[i]]$name, m)]]),
                           grid$set, grid$method, grid$ci))
several <- Filter(function(d) length(d$y) > 1, sets)

write(do.call(rbind, lapply(sets, function(d) data.frame(dataset = d$name, study = seq_along(d$y) - 1, y = d$y, v = d$v))), "pool_data.csv")
write(fits, "pool_fits.csv")
write(do.call(rbind, lapply(several, weights_for)), "pool_weights.csv")
write(do.call(rbind, lapply(several, function(d) do.call(rbind, lapply(c(0.8, 0.95, 0.99), qprofile_for, d = d)))), "pool_qprofile.csv")
about <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), metadat = as.character(packageVersion("metadat")),
              datasets = lapply(setNames(sets, sapply(sets, `[[`, "name")), function(d) list(measure = d$measure, source = d$source, k = length(d$y))))
writeLines(jsonlite::toJSON(about, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "pool_versions.json"))
