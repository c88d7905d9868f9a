# Data sets for the references of twostage.stats.metareg: published ones of metadat, and extremes.
# Sourced by metareg.R, which writes them to metareg_data.json.

ready <- function(name, measure, source, d, formula, group = NULL) {
  d <- as.data.frame(d)
  keep <- complete.cases(d[, c("yi", "vi", all.vars(formula))])
  d <- droplevels(d[keep, ])
  X <- model.matrix(formula, d)
  list(name = name, measure = measure, source = source, y = as.numeric(d$yi), v = as.numeric(d$vi),
       intercept = "(Intercept)" %in% colnames(X),
       X = unclass(X[, colnames(X) != "(Intercept)", drop = FALSE]), group = if (is.null(group)) NULL else as.character(d[[group]]))
}

published <- function() {
  bcg <- escalc("RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
  colditz <- "Colditz et al. 1994, doi:10.1001/jama.1994.03510330076038"
  landenberger <- escalc("OR", ai = n.ctrl.rec, bi = n.ctrl.non, ci = n.cbt.rec, di = n.cbt.non, data = dat.landenberger2005)
  curtis <- escalc("ROM", m1i = m2i, sd1i = sd2i, n1i = n2i, m2i = m1i, sd2i = sd1i, n2i = n1i, data = dat.curtis1998)
  list(
    ready("bcg_ablat", "log risk ratio", colditz, bcg, ~ ablat),
    ready("bcg_all", "log risk ratio", colditz, bcg, ~ ablat + year + alloc, "alloc"),
    ready("bcg_year", "log risk ratio", colditz, bcg, ~ year),
    ready("bcg_none", "log risk ratio", colditz, bcg, ~ 1),
    ready("bangertdrowns", "standardized mean difference", "Bangert-Drowns et al. 2004, doi:10.3102/00346543074001029",
          dat.bangertdrowns2004, ~ length + wic + feedback),
    ready("raudenbush", "standardized mean difference", "Raudenbush & Bryk 1985, doi:10.3102/10769986010002075",
          dat.raudenbush1985, ~ weeks + setting + tester, "setting"),
    ready("hackshaw", "log odds ratio", "Hackshaw 1998, doi:10.1177/096228029800700203", dat.hackshaw1998, ~ year + design, "design"),
    ready("curtis", "log ratio of means", "Curtis & Wang 1998; Hedges, Gurevitch & Curtis 1999, doi:10.1890/0012-9658(1999)080[1150:TMAORR]2.0.CO;2",
          curtis, ~ time + method + fungrp, "method"),
    ready("mcdaniel", "Fisher z", "McDaniel et al. 1994, in Rothstein, Sutton & Borenstein 2005",
          escalc("ZCOR", ri = ri, ni = ni, data = dat.mcdaniel1994), ~ type + struct),
    ready("linde", "log risk ratio", "Linde et al. 2005, doi:10.1192/bjp.186.2.99",
          escalc("RR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = dat.linde2005), ~ year + major),
    ready("li", "log odds ratio", "Li et al. 2007, doi:10.1002/14651858.CD002755.pub2",
          escalc("OR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = dat.li2007), ~ year),
    ready("molloy", "Fisher z", "Molloy et al. 2014, doi:10.1007/s12160-013-9524-4",
          escalc("ZCOR", ri = ri, ni = ni, data = dat.molloy2014), ~ design + meanage + quality),
    ready("konstantopoulos", "standardized mean difference", "Konstantopoulos 2011, doi:10.1002/jrsm.35",
          dat.konstantopoulos2011, ~ I(year - 1990) + I((year - 1990)^2)),
    ready("viechtbauer", "log odds ratio", "Viechtbauer 2021, in Schmid, Stijnen & White, Handbook of Meta-Analysis, chapter 11 (constructed)",
          escalc("OR", ai = xTi, n1i = nTi, ci = xCi, n2i = nCi, data = dat.viechtbauer2021, add = 1/2, to = "all"), ~ dose),
    ready("lau", "log odds ratio", "Lau et al. 1992, doi:10.1056/NEJM199207233270406",
          escalc("OR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = dat.lau1992), ~ year),
    ready("hart", "log incidence rate ratio", "Hart et al. 1999, doi:10.7326/0003-4819-131-7-199910050-00003",
          escalc("IRR", x1i = x1i, x2i = x2i, t1i = t1i, t2i = t2i, data = dat.hart1999), ~ year),
    ready("landenberger", "log odds ratio", "Landenberger & Lipsey 2005, doi:10.1007/s11292-005-3541-7",
          landenberger, ~ age + male + hrs_total + design + setting, "design"))
}

extreme <- function() {
  one <- function(name, why, y, v, X, intercept = TRUE, group = NULL)
    list(name = name, measure = "constructed", source = why, y = y, v = v, intercept = intercept, X = X, group = group)
  x10 <- c(0, 1, 1.5, 2, 3, 3.5, 4, 5, 6, 7)
  near <- c(0.3, -0.7, 0.2, 0.9, -0.4, 0.1, -0.8, 0.6, -0.1, 0.5)
  list(
    one("k3", "three studies, one moderator: 1 degree of freedom", c(0.1, 0.9, 0.3), c(0.02, 0.05, 0.01), cbind(x = c(0, 1, 2.5))),
    one("saturated", "k = p + 1", c(0.1, 0.9, 0.3, -0.6, 0.4), c(0.02, 0.05, 0.01, 0.03, 0.02),
        cbind(a = c(0, 1, 2.5, 3, 1), b = c(1, 0, 0, 1, 1), c = c(2, 1, 5, 0, 0.5))),
    one("tau2_zero", "residuals smaller than sampling error: tau2 is exactly 0", c(0.21, 0.35, 0.38, 0.60, 0.62, 0.76),
        c(0.02, 0.05, 0.03, 0.08, 0.01, 0.04), cbind(x = 0:5)),
    one("exact", "estimates on a line", 0.5 + 0.25 * c(0, 1, 2, 3, 4, 6), c(0.02, 0.05, 0.03, 0.08, 0.01, 0.04), cbind(x = c(0, 1, 2, 3, 4, 6))),
    one("outlier", "one enormous outlier", c(0.12, 0.05, 0.31, 0.22, -0.04, 0.18, 0.09, 0.27, 1000, 0.15),
        c(0.02, 0.03, 0.05, 0.01, 0.04, 0.02, 0.06, 0.03, 0.02, 0.05), cbind(x = x10)),
    one("six_orders", "sampling variances over six orders of magnitude", c(0.412, 0.398, 0.45, 0.31, 0.52, 0.9, -0.2, 1.6, -1.1, 3.5, 12, -25),
        c(1e-3, 4e-3, 2e-3, 1e-2, 5e-2, 0.1, 0.4, 1, 3, 10, 200, 1000), cbind(x = c(1, 0, 2, 4, 3, 1, 5, 2, 0, 3, 4, 1), b = rep(0:1, 6))),
    one("offset", "estimates and moderator far from 0 compared with their spread", 1000 + c(0.12, -0.31, 0.45, 0.02, 0.27, -0.16, 0.33),
        c(0.02, 0.03, 0.05, 0.01, 0.04, 0.02, 0.06), cbind(year = 2001:2007)),
    one("near_collinear", "two moderators that nearly agree", c(0.4, 0.1, 0.9, 0.7, 0.2, 1.1, 0.5, 1.3, 0.8, 1.6),
        c(0.02, 0.03, 0.05, 0.01, 0.04, 0.02, 0.06, 0.03, 0.02, 0.05), cbind(a = x10, b = x10 + 1e-3 * near)),
    one("units", "moderators in very different units", c(0.4, 0.1, 0.9, 0.7, 0.2, 1.1, 0.5, 1.3, 0.8, 1.6),
        c(0.02, 0.03, 0.05, 0.01, 0.04, 0.02, 0.06, 0.03, 0.02, 0.05), cbind(tiny = 1e-2 * near, huge = 1e3 * x10)),
    one("equal_variances", "equal sampling variances", c(0.1, 0.9, 0.4, -0.3, 0.7, 0.2, 1.4, 0.5), rep(0.05, 8), cbind(x = c(1, 3, 2, 0, 2, 1, 4, 1))),
    one("two_maxima", "restricted likelihood with maxima at 0 and, higher, above 0", c(-0.02, 0.32, 0.61, 0.66, 0.75, -0.99, 0.80, 1.40, -0.12),
        c(0.095, 0.129, 0.002, 0.085, 0.003, 0.154, 0.259, 0.205, 0.041), cbind(x = c(0.9, 1.5, 1.7, 1.5, 1.9, 0.9, 1.7, 0.1, 1.3))),
    one("cell_means", "a factor of three levels without intercept; one level is a single study", c(0.1, 0.9, 0.4, -0.3, 0.7, 0.2, 1.4, 0.5),
        c(0.02, 0.03, 0.05, 0.01, 0.04, 0.02, 0.06, 0.03),
        cbind(a = c(1, 1, 1, 0, 0, 0, 0, 0), b = c(0, 0, 0, 1, 1, 1, 1, 0), c = c(0, 0, 0, 0, 0, 0, 0, 1)), FALSE, c("a", "a", "a", "b", "b", "b", "b", "c")))
}

# Without an intercept in the span of the moderators, rma() of metafor 3.8-1 centres y before it looks for tau2; these
# are compared with rma.mv(), which does not.
through_origin <- function() {
  bcg <- escalc("RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
  colditz <- "Colditz et al. 1994, doi:10.1001/jama.1994.03510330076038"
  list(ready("bcg_origin", "log risk ratio", colditz, bcg, ~ 0 + ablat),
       ready("raudenbush_origin", "standardized mean difference", "Raudenbush & Bryk 1985, doi:10.3102/10769986010002075",
             dat.raudenbush1985, ~ 0 + weeks + I(weeks^2)))
}
