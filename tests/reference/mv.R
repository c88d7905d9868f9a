# Reference numbers for twostage.stats.mv, by metafor's rma.mv.
#
#   Rscript tests/reference/mv.R        (from the top of the repository; about six minutes)
#
# writes next to itself
#   mv_data.json.gz      the data sets: y, V (a vector, or square blocks in the order of the rows), factors, columns
#   mv_fits.json.gz      one entry per model: specification, estimates, tests, criteria, predictions, profile intervals
#   mv_versions.json  R, metafor and metadat versions
#
# rma.mv's optimisers stop at about 1e-5 of a variance. Each model is therefore fitted by several of them; the best
# is refined by Newton steps with numDeriv's derivatives of the likelihood written out below, and rma.mv evaluated
# there: if the likelihood is not lower, that is the reference. Its log and tanh scales never reach a variance of
# 0 or a correlation of 1; where the best comes near, the parameter is held at its bound, and kept there if the
# likelihood is not lower by more than 1e-8. UN is fitted through its Cholesky factor: without it metafor allows a
# G that is no covariance matrix; a singular G of three or more levels is refined by pattern search (hjk).

suppressMessages(library(metafor))
options(warn = 1)
folder <- "tests/reference"

blocks_of <- function(V, group) {
  stopifnot(!is.unsorted(match(group, unique(group))))
  lapply(unique(group), function(g) unname(as.matrix(V[group == g, group == g, drop = FALSE])))
}
constant_rho <- function(vi, group, rho) {
  V <- outer(group, group, "==") * rho * sqrt(outer(vi, vi))
  diag(V) <- vi
  V
}
set <- function(source, measure, y, V, factors, columns = list()) {
  list(source = source, measure = measure, y = as.numeric(y), V = V,
       factors = lapply(factors, as.character), columns = lapply(columns, as.numeric))
}

published <- function() {
  sets <- list()
  d <- dat.konstantopoulos2011
  sets$konstantopoulos <- set("Konstantopoulos 2011, doi:10.1002/jrsm.35", "standardized mean difference", d$yi, d$vi,
    list(district = d$district, school = d$school, study = d$study), list(year = d$year - mean(d$year)))
  d <- dat.berkey1998
  V <- bldiag(lapply(split(d[c("v1i", "v2i")], d$trial), as.matrix))
  sets$berkey <- set("Berkey et al. 1998, doi:10.1002/(sici)1097-0258(19981130)17:22<2537::aid-sim953>3.0.co;2-c",
    "mean difference", d$yi, blocks_of(V, d$trial), list(trial = d$trial, outcome = d$outcome),
    list(AL = d$outcome == "AL", PD = d$outcome == "PD", AL_year = (d$outcome == "AL") * (d$year - 1983),
         PD_year = (d$outcome == "PD") * (d$year - 1983)))
  d <- dat.assink2016
  sets$assink <- set("Assink & Wibbelink 2016, doi:10.20982/tqmp.12.3.p154", "standardized mean difference", d$yi, d$vi,
    list(study = d$study, esid = d$esid),
    list(overt = d$deltype == "overt", covert = d$deltype == "covert", pubstatus = d$pubstatus))
  d <- subset(d, study <= 8)
  sets$assink_subset <- set("the same, studies 1 to 8, sampling errors correlated .6 within studies",
    "standardized mean difference", d$yi, blocks_of(constant_rho(d$vi, d$study, 0.6), d$study),
    list(study = d$study, esid = d$esid), list(overt = d$deltype == "overt"))
  sets$fine <- fine()
  d <- subset(dat.kalaian1996)
  d <- d[order(d$study), ]
  d <- d[!is.na(d$yi), ]
  sets$kalaian <- set("Kalaian & Raudenbush 1996, doi:10.1037/1082-989x.1.3.227, sampling correlation .66",
    "standardized mean difference", d$yi, blocks_of(constant_rho(d$vi, d$study, 0.66), d$study),
    list(study = d$study, outcome = d$outcome),
    list(verbal = d$outcome == "verbal", math = d$outcome == "math"))
  sets$ishak <- ishak()
  d <- to.long("OR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.colditz1994)
  d <- escalc("PLO", xi = out1, mi = out2, data = d)
  sets$bcg_arms <- set("Colditz et al. 1994; van Houwelingen et al. 2002, doi:10.1002/sim.1040", "log odds per arm",
    d$yi, d$vi, list(trial = d$trial, arm = d$group), list(treated = d$group == 1, control = d$group == 2))
  d <- dat.riley2003[!is.na(dat.riley2003$yi), ]
  sets$riley <- set("Riley et al. 2003, in Riley et al. 2007, doi:10.1186/1471-2288-7-3, sampling correlation .7",
    "log hazard ratio", d$yi, blocks_of(constant_rho(d$vi, d$study, 0.7), d$study),
    list(study = d$study, outcome = d$outcome), list(DFS = d$outcome == "DFS", OS = d$outcome == "OS"))
  sets$craft <- craft()
  d <- dat.knapp2017
  d <- d[!is.na(d$difficulty) & !is.na(d$yi), ]
  d <- d[order(match(d$study, unique(d$study))), ]
  sets$knapp <- set("Knapp et al. 2017, doi:10.1016/j.schres.2016.08.004, sampling correlation .4", "standardized mean difference", d$yi,
    blocks_of(constant_rho(d$vi, d$study, 0.4), d$study), list(study = d$study, row = seq_len(nrow(d))), list(difficulty = d$difficulty))
  d <- escalc("OR", ai = waward, n1i = wtotal, ci = maward, n2i = mtotal, data = dat.bornmann2007)
  sets$bornmann <- set("Bornmann et al. 2007, doi:10.1016/j.joi.2007.03.001", "log odds ratio", d$yi, d$vi,
    list(study = d$study, obs = d$obs), list(fellowship = d$type == "Fellowship"))
  d <- escalc("ZCOR", ri = ri, ni = ni, data = subset(dat.crede2010, criterion == "grade"))
  sets$crede <- set("Crede et al. 2010, doi:10.3102/0034654310362998", "Fisher z", d$yi, d$vi,
    list(study = d$studyid, sample = d$sampleid))
  d <- dat.tannersmith2016[!is.na(dat.tannersmith2016$yi), ]
  sets$tannersmith <- set("Tanner-Smith et al. 2016, doi:10.1007/s40865-016-0026-5", "Fisher z", d$yi, d$vi,
    list(study = d$studyid, row = seq_len(nrow(d))), list(propmale = d$propmale))
  d <- escalc("ZCOR", ri = Correlation, ni = SampleSize, data = dat.nakagawa2007)
  sets$nakagawa <- set("Nakagawa et al. 2007, doi:10.1007/s00265-007-0370-7", "Fisher z", d$yi, d$vi,
    list(place = d$Place, study = d$StudyID))
  sets
}

fine <- function() {
  d <- dat.fine1993
  for (t in 1:4) {
    e <- escalc("OR", ai = d[[paste0("e", t, "i")]], n1i = d$nei, ci = d[[paste0("c", t, "i")]], n2i = d$nci)
    d[[paste0("y", t)]] <- c(e$yi)
    d[[paste0("v", t)]] <- c(e$vi)
  }
  cover <- function(x, s, t) x$nei / (x[[paste0("e", s, "i")]] * (x$nei - x[[paste0("e", t, "i")]])) +
    x$nci / (x[[paste0("c", s, "i")]] * (x$nci - x[[paste0("c", t, "i")]]))
  one <- function(x) {
    V <- matrix(0, 4, 4)
    for (s in 1:4) for (t in 1:4) V[s, t] <- if (s == t) x[[paste0("v", s)]] else cover(x, min(s, t), max(s, t))
    known <- !is.na(diag(V))
    e <- eigen(V[known, known])
    # Trikalinos and Olkin's ridge for nearly singular matrices.
    if (all(known) && any(e$values <= 0.08)) round(e$vectors %*% diag(e$values + 0.08) %*% t(e$vectors), 12) else V[known, known]
  }
  V <- lapply(split(d, d$study), one)
  y <- c(t(d[paste0("y", 1:4)]))
  time <- rep(1:4, nrow(d))[!is.na(y)]
  study <- rep(d$study, each = 4)[!is.na(y)]
  columns <- lapply(setNames(1:4, paste0("t", 1:4)), function(t) time == t)
  set("Fine et al. 1993; Trikalinos & Olkin 2012, doi:10.1177/1740774512453218", "log odds ratio at four times", y[!is.na(y)],
      unname(V), list(study = study, time = time), columns)
}

ishak <- function() {
  d <- dat.ishak2007
  y <- c(t(d[paste0("y", 1:4, "i")]))
  v <- c(t(d[paste0("v", 1:4, "i")]))
  known <- !is.na(y)
  time <- rep(1:4, nrow(d))[known]
  study <- rep(seq_len(nrow(d)), each = 4)[known]
  V <- constant_rho(v[known], study, 1) * 0.97^abs(outer(time, time, "-"))
  columns <- lapply(setNames(1:4, paste0("t", 1:4)), function(t) time == t)
  set("Ishak et al. 2007, doi:10.1177/1740774507083567, sampling autocorrelation .97", "mean difference at four times", y[known],
      blocks_of(V, study), list(study = study, time = time), columns)
}

craft <- function() {
  r <- rcalc(ri ~ var1 + var2 | study, ni = ni, data = dat.craft2003, rtoz = TRUE)
  # Studies that lack a correlation which the sampling covariances need are left out.
  incomplete <- unique(r$dat$study[rowSums(is.na(r$V)) > 0])
  keep <- r$dat$var1.var2 %in% c("acog.perf", "asom.perf", "conf.perf") & !r$dat$study %in% incomplete
  d <- r$dat[keep, ]
  V <- r$V[keep, keep]
  outcome <- sub(".perf", "", d$var1.var2, fixed = TRUE)
  columns <- lapply(setNames(nm = c("acog", "asom", "conf")), function(o) outcome == o)
  set("Craft et al. 2003, doi:10.1123/jsep.25.1.44", "Fisher z", d$yi, blocks_of(V, d$study),
      list(study = d$study, outcome = outcome), columns)
}

pairs_set <- function(source, Y, V) {
  k <- nrow(Y)
  outcome <- rep(c("a", "b"), k)
  y <- c(t(Y))
  known <- !is.na(y)
  study <- rep(seq_len(k), each = 2)
  V <- lapply(seq_len(k), function(i) {at <- !is.na(Y[i, ]); V[[i]][at, at, drop = FALSE]})
  set(source, "simulated", y[known], V, list(study = study[known], outcome = outcome[known]),
      list(a = outcome[known] == "a", b = outcome[known] == "b"))
}
sampling <- function(va, vb, r) lapply(seq_along(va), function(i) {
  cov <- r * sqrt(va[i] * vb[i])
  matrix(c(va[i], cov, cov, vb[i]), 2)
})
draw <- function(V, G, centre) t(sapply(V, function(v) centre + c(t(chol(v)) %*% rnorm(2)) + c(t(chol(G + 1e-12 * diag(2))) %*% rnorm(2))))

extreme <- function() {
  sets <- list()
  set.seed(20200823)
  V <- sampling(c(0.01, 0.02, 0.04), c(0.03, 0.01, 0.02), 0.3)
  sets$k3 <- pairs_set("three studies", round(draw(V, matrix(c(0.1, 0.05, 0.05, 0.1), 2), c(0.1, -0.2)), 3), V)
  va <- round(runif(12, 0.01, 0.09), 4); vb <- round(runif(12, 0.01, 0.09), 4)
  V <- sampling(va, vb, 0.4)
  sets$rho_one <- pairs_set("between-study correlation estimated as 1", round(draw(V, matrix(c(0.09, 0.12, 0.12, 0.16), 2), c(0.2, 0.1)), 3), V)
  sets$rho_minus_one <- pairs_set("between-study correlation estimated as -1", round(draw(V, matrix(c(0.09, -0.12, -0.12, 0.16), 2), c(0.2, 0.1)), 3), V)
  sets$tau2_zero_pair <- pairs_set("no heterogeneity in either effect", round(0.6 * draw(V, diag(0, 2), c(0, 0)), 3) + 0.3, V)
  sets$one_zero_pair <- pairs_set("heterogeneity in one of two effects only", round(draw(V, diag(c(0.3, 0)), c(0, 0)) * rep(c(1, 0.5), each = 12), 3), V)
  Y <- round(draw(V, matrix(c(0.1, 0.05, 0.05, 0.1), 2), c(0.1, -0.2)), 3)
  Y[12, 1] <- 50
  sets$outlier <- pairs_set("one enormous outlier", Y, V)
  Y[12, 1] <- 0.2
  sets$offset <- pairs_set("estimates far from 0 compared with their spread", 1000 + Y, V)
  Y[c(1, 4, 7), 1] <- NA
  Y[c(2, 3, 9, 10), 2] <- NA
  sets$missing <- pairs_set("seven of twelve studies lack one effect", Y, V)
  v <- 10^seq(-4, 2, length.out = 12)
  V <- sampling(v, rev(v), 0.2)
  sets$six_orders <- pairs_set("sampling variances over six orders of magnitude", signif(draw(V, matrix(c(0.1, 0.05, 0.05, 0.1), 2), c(0.1, -0.2)), 6), V)
  country <- rep(1:6, c(1, 2, 3, 4, 5, 5))
  study <- seq_along(country)
  v <- round(runif(20, 0.02, 0.08), 4)
  sets$tau2_zero_nested <- set("less spread than sampling error: both variances are 0", "simulated", round(0.2 + 0.7 * sqrt(v) * rnorm(20), 3), v,
    list(country = country, study = study))
  sets$inner_zero_nested <- set("all heterogeneity between countries", "simulated",
    round(rnorm(6, 0, 0.5)[country] + 0.6 * sqrt(v) * rnorm(20), 3), v, list(country = country, study = study))
  d <- expand.grid(outcome = 1:3, study = 1:15)
  d$lab <- (d$study - 1) %/% 3
  v <- round(runif(45, 0.01, 0.05), 4)
  V <- constant_rho(v, d$study, 0.5)
  L <- matrix(c(0.3, 0.2, 0.1, 0, 0.2, 0.3), 3)
  y <- c(0.1, 0.3, -0.2)[d$outcome] + rnorm(5, 0, 0.4)[d$lab + 1] + c(L %*% matrix(rnorm(30), 2)) + c(t(chol(V)) %*% rnorm(45))
  sets$three_outcomes <- set("three outcomes, their covariance of rank two; studies in laboratories", "simulated", round(y, 3),
    blocks_of(V, d$study), list(lab = d$lab, study = d$study, outcome = paste0("o", d$outcome)),
    lapply(setNames(1:3, paste0("o", 1:3)), function(o) d$outcome == o))
  sets
}

model <- function(data, method, nested = NULL, inner = NULL, outer = NULL, struct = NULL, columns = NULL, profile = FALSE) {
  list(data = data, method = method, nested = nested, inner = inner, outer = outer, struct = struct, columns = columns, profile = profile)
}
models <- function() {
  m <- list()
  both <- function(...) for (method in c("REML", "ML")) m[[length(m) + 1]] <<- model(..., method = method)
  one <- function(..., method = "REML") m[[length(m) + 1]] <<- model(..., method = method)
  both("konstantopoulos", nested = c("district", "school"), profile = TRUE)
  both("konstantopoulos", inner = "study", outer = "district", struct = "CS", profile = TRUE)
  both("konstantopoulos", nested = c("district", "school"), columns = c("1", "year"))
  for (s in c("UN", "HCS", "CS", "DIAG")) both("berkey", inner = "outcome", outer = "trial", struct = s, columns = c("AL", "PD"), profile = s %in% c("UN", "DIAG"))
  one("berkey", inner = "outcome", outer = "trial", struct = "UN", columns = c("AL", "PD", "AL_year", "PD_year"))
  both("assink", nested = c("study", "esid"))
  one("assink", nested = c("study", "esid"), columns = c("1", "overt", "covert", "pubstatus"))
  both("assink_subset", nested = c("study", "esid"), profile = TRUE)
  for (s in c("HCS", "CS", "DIAG")) both("fine", inner = "time", outer = "study", struct = s, columns = paste0("t", 1:4))
  one("fine", inner = "time", outer = "study", struct = "UN", columns = paste0("t", 1:4))
  both("kalaian", inner = "outcome", outer = "study", struct = "UN", columns = c("verbal", "math"))
  for (s in c("HCS", "CS", "DIAG")) one("ishak", inner = "time", outer = "study", struct = s, columns = paste0("t", 1:4))
  both("bcg_arms", inner = "arm", outer = "trial", struct = "UN", columns = c("treated", "control"), profile = TRUE)
  both("riley", inner = "outcome", outer = "study", struct = "UN", columns = c("DFS", "OS"))
  both("craft", inner = "outcome", outer = "study", struct = "UN", columns = c("acog", "asom", "conf"))
  one("craft", inner = "outcome", outer = "study", struct = "HCS", columns = c("acog", "asom", "conf"))
  both("knapp", nested = c("study", "row"), columns = c("1", "difficulty"))
  both("bornmann", nested = c("study", "obs"))
  one("bornmann", nested = c("study", "obs"), columns = c("1", "fellowship"))
  both("crede", nested = c("study", "sample"))
  both("tannersmith", nested = c("study", "row"))
  both("nakagawa", nested = c("place", "study"))
  for (d in c("k3", "rho_one", "rho_minus_one", "tau2_zero_pair", "one_zero_pair", "outlier", "offset", "missing", "six_orders"))
    both(d, inner = "outcome", outer = "study", struct = "UN", columns = c("a", "b"), profile = d == "missing")
  one("six_orders", inner = "outcome", outer = "study", struct = "HCS", columns = c("a", "b"))
  one("tau2_zero_pair", inner = "outcome", outer = "study", struct = "CS", columns = c("a", "b"))
  both("tau2_zero_nested", nested = c("country", "study"))
  both("inner_zero_nested", nested = c("country", "study"), profile = TRUE)
  for (s in c("UN", "CS")) both("three_outcomes", nested = "lab", inner = "outcome", outer = "study", struct = s, columns = paste0("o", 1:3))
  m
}

arguments <- function(m, d) {
  X <- if (is.null(m$columns)) NULL else sapply(m$columns, function(c) if (c == "1") rep(1, length(d$y)) else d$columns[[c]])
  random <- c(if (!is.null(m$nested)) list(as.formula(paste("~ 1 |", paste(m$nested, collapse = "/")))),
              if (!is.null(m$inner)) list(as.formula(paste("~", m$inner, "|", m$outer))))
  c(list(yi = d$y, V = if (is.list(d$V)) bldiag(d$V) else d$V, random = random, data = as.data.frame(d$factors), method = m$method),
    if (!is.null(X)) list(mods = X, intercept = FALSE), if (!is.null(m$struct)) list(struct = m$struct))
}
run <- function(arguments, control, ...) {
  # Warnings about variances of very different size and about convergence of losing candidates are expected.
  r <- try(suppressWarnings(do.call(rma.mv, c(arguments, list(control = control, ...)))), silent = TRUE)
  if (inherits(r, "try-error")) NULL else r
}
parts <- function(r) Filter(Negate(is.null), list(sigma2 = if (r$withS) r$sigma2, tau2 = if (r$withG) r$tau2, rho = if (r$withG) r$rho))
height <- function(r) if (is.null(r)) -Inf else c(logLik(r))

# The log-likelihood, dense, of the components as a vector; used for its numerical derivatives only.
likelihood <- function(a, r) {
  # Without what the columns explain: estimates far from 0 would be rounded to the size of their squares.
  y <- qr.resid(qr(r$X), c(r$yi))
  same <- lapply(r$mf.s, function(g) outer(g, g, "=="))
  if (r$withG) {
    outer_same <- outer(r$mf.g$outer, r$mf.g$outer, "==")
    inner <- as.integer(factor(r$mf.g$inner, levels = r$g.levels.f[[1]]))
  }
  function(p) {
    M <- r$V
    for (j in seq_along(same)) M <- M + p$sigma2[j] * same[[j]]
    if (r$withG) {
      q <- length(r$g.levels.f[[1]])
      s <- sqrt(rep_len(p$tau2, q))
      R <- diag(q)
      R[lower.tri(R)] <- if (r$struct[1] == "DIAG") 0 else p$rho
      R <- R + t(R) - diag(q)
      G <- R * outer(s, s)
      M <- M + outer_same * G[inner, inner]
    }
    L <- try(chol(M), silent = TRUE)
    if (inherits(L, "try-error")) return(NA)
    X <- backsolve(L, r$X, transpose = TRUE)
    e <- qr.resid(qr(X), backsolve(L, y, transpose = TRUE))
    reml <- if (a$method == "REML") sum(log(abs(diag(qr.R(qr(X)))))) else 0
    -sum(log(diag(L))) - sum(e^2) / 2 - reml
  }
}
refine <- function(r, a, hold) {
  f <- likelihood(a, r)
  from <- unlist(parts(r))
  free <- is.na(unlist(hold))
  if (!any(free)) return(r)
  # Variances in units of where they start: numDeriv's steps are absolute near 0.
  unit <- ifelse(grepl("rho", names(from)), 1, from)[free]
  as_list <- function(x) {p <- from; p[free] <- x * unit; p[!free] <- unlist(hold)[!free]; relist(p, parts(r))}
  x <- from[free] / unit
  for (step in 1:4) {
    g <- try(numDeriv::grad(function(x) f(as_list(x)), x), silent = TRUE)
    H <- try(numDeriv::hessian(function(x) f(as_list(x)), x), silent = TRUE)
    if (inherits(g, "try-error") || inherits(H, "try-error")) return(NULL)
    new <- try(x - solve(H, g), silent = TRUE)
    if (inherits(new, "try-error") || is.na(f(as_list(new)))) return(NULL)
    x <- new
  }
  run(a, list(), sigma2 = as_list(x)$sigma2, tau2 = as_list(x)$tau2, rho = as_list(x)$rho)
}
fit_best <- function(a, struct, lowest) {
  root <- if (identical(struct, "UN")) list(cholesky = TRUE) else list()
  controls <- list(list(), list(optimizer = "bobyqa", rhoend = 1e-10), list(optimizer = "BFGS", maxit = 2000))
  found <- lapply(controls, function(c) run(a, c(root, c)))
  best <- found[[which.max(sapply(found, height))]]
  # Where metafor's correlation of CS or HCS is too low for a covariance matrix, the lowest possible one is held.
  if (best$withG && best$rhos == 1 && best$rho < lowest) {
    found <- lapply(controls, function(c) run(a, c, rho = lowest))
    best <- found[[which.max(sapply(found, height))]]
  }
  hold <- at_edge(best, a, lowest)
  if (!all(is.na(unlist(hold)))) {
    found <- lapply(list(list(), list(optimizer = "bobyqa", rhoend = 1e-10)), function(c) do.call(run, c(list(a, c), hold)))
    edge <- found[[which.max(sapply(found, height))]]
    if (height(edge) >= height(best) - 1e-8) best <- edge else hold <- lapply(hold, function(x) NA * x)
  }
  if (length(root) && best$tau2s > 2 && min(eigen(cov2cor(best$G))$values) < 1e-4) {
    for (tries in 1:2) {
      polished <- run(a, c(root, list(optimizer = "hjk", tol = 1e-12, maxfeval = 1e6), list(tau2.init = pmax(best$tau2, 1e-10))))
      if (height(polished) >= height(best) - 1e-12) best <- polished
    }
    return(best)
  }
  # What rma.mv is asked for is relative to its own components' order: sigma2, tau2, rho.
  refined <- refine(best, a, hold)
  f <- likelihood(a, best)
  if (!is.null(refined) && f(parts(refined)) >= f(parts(best)) - 1e-10) refined else best
}
# NA where a component is free, its bound where it is held there.
at_edge <- function(best, a, lowest) {
  least <- 1e-5 * min(if (is.matrix(a$V)) diag(a$V) else a$V)
  hold <- lapply(parts(best), function(x) NA * x)
  if (best$withS) hold$sigma2[best$sigma2 < least] <- 0
  if (best$withG) {
    gone <- best$tau2 < least
    hold$tau2[gone] <- 0
    hold$rho[abs(best$rho) > 1 - 1e-4] <- sign(best$rho[abs(best$rho) > 1 - 1e-4])
    if (length(best$rho) == 1 && best$rho <= lowest + 1e-4) hold$rho <- lowest
    if (length(best$rho) == 1 && sum(!gone) < if (best$tau2s > 1) 2 else 1) hold$rho <- 0
    if (identical(best$struct[1], "DIAG")) hold$rho <- 0 * best$rho
  }
  hold
}

# The lowest correlation of CS and HCS with which the largest outer group has a covariance matrix.
lowest_rho <- function(m, d) {
  if (is.null(m$inner) || !(m$struct %in% c("CS", "HCS"))) return(-1)
  -1 / (max(tapply(d$factors[[m$inner]], d$factors[[m$outer]], function(x) length(unique(x)))) - 1)
}

always <- function(x) if (is.null(x)) NULL else I(x)  # an array in JSON, however short
numbers <- function(m, d) {
  a <- arguments(m, d)
  best <- fit_best(a, m$struct, lowest_rho(m, d))
  fixed <- parts(best)
  again <- function(...) suppressWarnings(do.call(rma.mv, c(a, fixed, list(...))))
  parms <- best$p + if (best$withS) best$sigma2s else 0
  parms <- parms + if (best$withG) best$tau2s + best$rhos else 0
  if (identical(m$struct, "DIAG")) parms <- parms - best$rhos
  ll <- c(logLik(best)); n <- best$k - if (m$method == "REML") best$p else 0
  one <- function(test, dfs) {
    r <- again(test = test, dfs = dfs)
    # At each column alone, an intercept always included. (z: predict warns about degrees of freedom it lacks.)
    newmods <- if (r$int.incl && !r$int.only) rbind(0, diag(r$p - 1)) else diag(r$p)
    p <- if (r$int.only) predict(r) else suppressWarnings(
      predict(r, newmods = newmods, intercept = r$int.incl, tau2.levels = if (r$withG && r$tau2s > 1) rep(1, r$p)))
    list(beta = c(r$beta), se = r$se, zval = r$zval, pval = r$pval, ci_low = r$ci.lb, ci_high = r$ci.ub, ddf = r$ddf, QM = r$QM,
         QMdf = r$QMdf, QMp = r$QMp, pred = p$pred, pred_se = p$se, pred_low = p$ci.lb, pred_high = p$ci.ub,
         pi_low = if (is.null(p$pi.lb)) p$cr.lb else p$pi.lb, pi_high = if (is.null(p$pi.ub)) p$cr.ub else p$pi.ub)
  }
  r <- again()
  plain <- run(a, list())
  cat(sprintf("%-20s %-4s %-5s %12.8f\n", m$data, m$method, if (is.null(m$struct)) "nest" else m$struct, ll))
  list(data = m$data, method = m$method, nested = always(m$nested), inner = m$inner, outer = m$outer, struct = m$struct, columns = always(m$columns),
       sigma2 = if (best$withS) always(best$sigma2), tau2 = if (best$withG) always(best$tau2), rho = if (best$withG && !identical(m$struct, "DIAG")) always(best$rho),
       vb = r$vb, loglik = ll, ll_ml = r$fit.stats["ll", "ML"], ll_reml = r$fit.stats["ll", "REML"],
       parms = parms, aic = -2 * ll + 2 * parms, bic = -2 * ll + log(n) * parms,
       aicc = -2 * ll + 2 * parms * max(n, parms + 2) / (max(n, parms + 2) - parms - 1),
       QE = r$QE, QEp = r$QEp,
       i2 = shares(r, a, d, m), z = one("z", "residual"), residual = one("t", "residual"), contain = one("t", "contain"),
       default_loglik = if (is.null(plain)) NA else c(logLik(plain)),
       outside = !is.null(plain) && plain$withG && plain$rhos == 1 && c(plain$rho) < lowest_rho(m, d) - 1e-8, profiles = if (m$profile) profiles(m, a, best))
}

# I^2 as on metafor's web page on multilevel and multivariate models.
shares <- function(r, a, d, m) {
  V <- if (is.matrix(a$V)) a$V else diag(a$V)
  W <- solve(V); X <- r$X
  P <- W - W %*% X %*% solve(t(X) %*% W %*% X) %*% t(X) %*% W
  if (r$withG && r$tau2s > 1) {
    level <- d$factors[[m$inner]]
    extra <- if (r$withS) sum(r$sigma2) else 0
    return(I(sapply(seq_along(r$tau2), function(j) {
      rows <- level == r$g.levels.f[[1]][j]
      size <- extra + r$tau2[j]
      # one coefficient per level in all these models (trials' years would need more)
      if (r$p != length(r$tau2)) NA else 100 * size / (size + (sum(rows) - 1) / sum(diag(P)[rows]))
    })))
  }
  size <- c(if (r$withS) r$sigma2, if (r$withG) r$tau2)
  I(100 * c(size, sum(size)) / (sum(size) + (r$k - r$p) / sum(diag(P))))
}

profiles <- function(m, a, best) {
  # Profile likelihoods need each maximum to about 1e-9 only: the optimiser's default precision. An optimiser that
  # misses the maximum along the profile (bobyqa for tau2 of konstantopoulos, CS, REML) makes the interval too
  # narrow: the widest is taken.
  usable <- Filter(function(r) height(r) > height(best) - 1e-8, lapply(list(list(optimizer = "bobyqa", rhoend = 1e-9), list(rel.tol = 1e-11),
    list(optimizer = "newuoa", rhoend = 1e-9), list(optimizer = "BFGS", reltol = 1e-13), list()), function(c) run(a, c)))
  r <- usable[[1]]
  ends <- function(...) {
    found <- sapply(usable, function(r) {
      x <- try(suppressWarnings(confint(r, ..., control = list(tol = 1e-11, maxiter = 10000))), silent = TRUE)
      if (inherits(x, "try-error")) c(NA, NA) else unlist(x$random[1, c("ci.lb", "ci.ub")])
    })
    unname(c(min(found[1, ], na.rm = TRUE), max(found[2, ], na.rm = TRUE)))
  }
  list(sigma2 = if (r$withS) lapply(seq_len(r$sigma2s), function(j) ends(sigma2 = j)),
       tau2 = if (r$withG) lapply(seq_len(r$tau2s), function(j) ends(tau2 = j)),
       rho = if (r$withG && !identical(m$struct, "DIAG")) lapply(seq_len(r$rhos), function(j) ends(rho = j)))
}

save_json <- function(x, name) {
  text <- jsonlite::toJSON(x, auto_unbox = TRUE, digits = I(17), null = "null", na = "null")
  file <- gzfile(file.path(folder, name), "w", compression = 9)
  writeLines(text, file)
  close(file)
}
sets <- c(published(), extreme())
fits <- lapply(models(), function(m) numbers(m, sets[[m$data]]))
save_json(sets, "mv_data.json.gz")
save_json(fits, "mv_fits.json.gz")
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), metadat = as.character(packageVersion("metadat")))
writeLines(jsonlite::toJSON(versions, auto_unbox = TRUE), file.path(folder, "mv_versions.json"))
