# Stage 1 written a second time, in base R with lme4 and lmerTest, from the definitions in the methods page alone.
#
#   Rscript tests/reference/stage1.R        (from the top of the repository; about a minute)
#
# reads data/ (studies.csv, sessions/, patients/) and stage1_options.csv (which choices for which studies), and
# writes next to itself
#   stage1_panels.csv     patients counted by reason, transitions and what x and y were divided by
#   stage1_estimates.csv  every coefficient: estimate, standard error, degrees of freedom, counts; for mixed models
#                         also the log-likelihood, the steepest slope of lme4's deviance left at the optimum
#                         (`gradient`) and how much lower another optimiser got (`missed`)
#   stage1_versions.json  versions, and a checksum of the data
#
# lme4's default optimiser stops at about five digits. Here bobyqa is run to 1e-9 of theta from two starts, and
# Newton steps on lme4's own deviance function follow for the elements of theta that are not on their bound.
suppressMessages({
  library(lme4)
  library(lmerTest)
})
options(warn = 1)
folder <- "tests/reference"
SOME <- c("S01", "S14", "S16")   # the smallest; a larger one with x scored the other way; one with y scored so
ZERO <- 1e-5                     # a Cholesky diagonal below this is taken to be on the boundary

# --- the panel -------------------------------------------------------------------------------------------------

window_of <- function(study, o) {
  s <- read.csv(file.path("data/sessions", paste0(study$study, ".csv")), colClasses = c(patient = "character"))
  names(s) <- c("patient", "session", "x", "y")
  s <- s[s$session >= o$first_session & s$session <= o$last_session, ]
  s <- s[!(is.na(s$x) & is.na(s$y)), ]
  s$x <- turned(s$x, study, "x")
  s$y <- turned(s$y, study, "y")
  s
}

turned <- function(score, study, v) {
  if (study[[paste0(v, "_direction")]] == 1) score
  else study[[paste0(v, "_min")]] + study[[paste0(v, "_max")]] - score
}

sd_of <- function(s, v, how) {
  d <- s[!is.na(s[[v]]), ]
  switch(how, none = 1, total = sd(d[[v]]),
         within = sigma(lm(d[[v]] ~ factor(d$patient))))   # residual SD of a one-way analysis of variance
}

detrended <- function(s, v, how) {
  if (how == "none") return(s[[v]])
  d <- s[!is.na(s[[v]]), ]
  if (how == "session") {
    slope <- coef(lm(d[[v]] ~ d$session + factor(d$patient)))[2]
    return(s[[v]] - slope * (s$session - mean(s$session)))
  }
  out <- s[[v]]
  for (p in unique(d$patient)) {
    rows <- which(s$patient == p & !is.na(s[[v]]))
    if (length(rows) > 1) out[rows] <- mean(s[[v]][rows]) + residuals(lm(s[[v]][rows] ~ s$session[rows]))
  }
  out
}

panel_of <- function(study, o) {
  s <- window_of(study, o)
  scale <- c(x = sd_of(s, "x", o$standardize), y = sd_of(s, "y", o$standardize))
  for (v in c("x", "y")) s[[v]] <- s[[v]] / scale[[v]]
  for (v in c("x", "y")) s[[v]] <- detrended(s, v, o$detrend)
  joint <- tapply(!is.na(s$x) & !is.na(s$y), s$patient, sum)
  kept <- names(joint)[joint >= o$min_sessions]
  p <- s[s$patient %in% kept, ]
  for (v in c("x", "y")) {
    own <- tapply(p[[v]], p$patient, mean, na.rm = TRUE)
    p[[paste0(v, "m")]] <- as.numeric(own[p$patient])
    p[[paste0(v, "w")]] <- p[[v]] - p[[paste0(v, "m")]]
  }
  files <- unique(c(patients_of(study)$patient, read.csv(file.path("data/sessions", paste0(study$study, ".csv")))$patient))
  list(sessions = p, scale = scale, enrolled = length(files), unseen = length(files) - length(joint),
       few = length(joint) - length(kept), kept = length(kept))
}

patients_of <- function(study) {
  d <- read.csv(file.path("data/patients", paste0(study$study, ".csv")), colClasses = c(patient = "character"))
  d$pre <- turned(d$pre, study, "y")
  d$post <- turned(d$post, study, "y")
  d
}

# One row per session with both scores that has a score of `v` exactly `lag` sessions later.
pairs_of <- function(p, lag, v) {
  later <- match(paste(p$patient, p$session + lag), paste(p$patient, p$session))
  p$later <- p[[v]][later]
  p[!is.na(p$x) & !is.na(p$y) & !is.na(p$later), ]
}

# --- the models ------------------------------------------------------------------------------------------------

deviance_function <- function(form, d) {
  parsed <- lFormula(form, d, REML = TRUE, control = lmerControl(check.nobs.vs.nRE = "ignore"))
  list(parsed = parsed, f = do.call(mkLmerDevfun, parsed))
}

minimum <- function(f, lower) {
  best <- NULL
  for (start in c(1, 0.2)) {
    fit <- minqa::bobyqa(ifelse(lower == 0, start, 0), f, lower = lower,
                         control = list(rhobeg = 0.1, rhoend = 1e-9, maxfun = 1e5))
    if (is.null(best) || fit$fval < best$fval) best <- fit
  }
  newton(f, best$par, lower)
}

# Newton steps over the elements of theta whose column is not on the boundary.
newton <- function(f, theta, lower) {
  q <- sum(lower == 0)
  column <- col(diag(q))[lower.tri(diag(q), TRUE)]
  zero <- column[lower == 0 & theta < ZERO]
  at_zero <- replace(theta, column %in% zero, 0)
  if (f(at_zero) <= f(theta) + 1e-6) theta <- at_zero else zero <- integer()
  free <- !(column %in% zero)
  if (!any(free)) return(list(par = theta, gradient = 0))
  g <- function(v) f(replace(theta, free, v))
  v <- theta[free]
  for (k in 1:6) {
    step <- try(solve(numDeriv::hessian(g, v), numDeriv::grad(g, v)), silent = TRUE)
    if (inherits(step, "try-error") || !(g(v - step) <= g(v) + 1e-8)) break
    v <- v - step
  }
  list(par = replace(theta, free, v), gradient = max(abs(numDeriv::grad(g, v))))
}

mixed <- function(d, terms, slopes) {
  random <- if (slopes) paste("(1 +", paste(slopes_of(terms), collapse = " + "), "| patient)") else "(1 | patient)"
  dev <- deviance_function(as.formula(paste("later ~", paste(terms, collapse = " + "), "+", random)), d)
  lower <- environment(dev$f)$lower
  at <- minimum(dev$f, lower)
  other <- lme4::Nelder_Mead(dev$f, ifelse(lower == 0, 0.3, 0), lower = lower, control = list(maxfun = 1e4))$fval
  value <- dev$f(at$par)
  opt <- list(par = at$par, fval = value, conv = 0, feval = 0, message = "")
  model <- mkMerMod(environment(dev$f), opt, dev$parsed$reTrms, fr = dev$parsed$fr)
  tested <- suppressWarnings(lmerTest:::as_lmerModLT(model, dev$f))
  p <- length(fixef(model))
  df <- vapply(1:p, function(j) lmerTest::contest1D(tested, as.numeric(1:p == j))$df, 0)
  data.frame(term = c("intercept", terms), estimate = unname(fixef(model)),
             std_error = unname(sqrt(diag(as.matrix(vcov(model))))), df = df,
             n_patients = length(unique(d$patient)), n_transitions = nrow(d),
             loglik = c(logLik(model)), singular = isSingular(model), gradient = at$gradient,
             missed = max(0, value - other))
}

slopes_of <- function(terms) terms[1:2]   # the two lagged predictors

DIRECTIONS <- list(x_to_y = c("x", "y"), y_to_x = c("y", "x"))

of_direction <- function(panel, o, name) {
  from <- DIRECTIONS[[name]][1]
  to <- DIRECTIONS[[name]][2]
  d <- pairs_of(panel$sessions, o$lag, to)
  terms <- c(paste0(from, "w"), paste0(to, "w"), "xm", "ym")
  out <- cbind(analysis = "lagged", variant = "main", mixed(d, terms, o$random_slopes))
  once <- d[!duplicated(d$patient), ]
  centred <- d
  for (m in c("xm", "ym")) {
    centred[[m]] <- d[[m]] - mean(once[[m]])   # every patient of the equation counts once
    centred[[paste0(from, "w_", m)]] <- centred[[paste0(from, "w")]] * centred[[m]]
  }
  products <- paste0(from, c("w_xm", "w_ym"))
  out <- rbind(out, cbind(analysis = "crosslevel", variant = "main", mixed(centred, c(terms, products), o$random_slopes)))
  cbind(direction = name, out)
}

of_outcome <- function(study, panel, o) {
  s <- panel$sessions
  s <- s[s$session <= o$early_last_session, ]
  early <- function(v) tapply(s[[v]], s$patient, mean, na.rm = TRUE)
  d <- patients_of(study)
  d$early <- as.numeric(early("x")[d$patient])
  d$early_y <- as.numeric(early("y")[d$patient])
  rbind(cbind(variant = "main", outcome_given(d, "pre")),
        cbind(variant = "given early y too", outcome_given(d, c("pre", "early_y"))))
}

outcome_given <- function(d, controls) {
  d <- d[complete.cases(d[c("early", controls, "post")]), c("early", controls, "post")]
  others <- paste(controls, collapse = " + ")
  r <- cor(residuals(lm(paste("early ~", others), d)), residuals(lm(paste("post ~", others), d)))
  b <- summary(lm(post ~ ., as.data.frame(scale(d))))$coefficients["early", ]
  n <- nrow(d)
  q <- length(controls)
  data.frame(direction = "x_to_y", analysis = "outcome",
             term = c("partial_r_z", "x_early_standardized"), estimate = c(atanh(r), b[[1]]),
             std_error = c(sqrt(1 / (n - 3 - q)), b[[2]]), df = c(Inf, n - 2 - q), n_patients = n, n_transitions = 0,
             loglik = NA, singular = NA, gradient = NA, missed = NA)
}

# --- all of it -------------------------------------------------------------------------------------------------

exact <- function(frame) {
  numeric <- sapply(frame, is.double)
  frame[numeric] <- lapply(frame[numeric], function(x) ifelse(is.na(x), "", sprintf("%.15g", x)))
  frame
}
write <- function(frame, name) write.csv(exact(frame), file.path(folder, name), row.names = FALSE, quote = FALSE)

OURS <- c(xw = "x_within", yw = "y_within", xm = "x_mean", ym = "y_mean", xw_xm = "x_within:x_mean",
          xw_ym = "x_within:y_mean", yw_xm = "y_within:x_mean", yw_ym = "y_within:y_mean")

studies <- read.csv("data/studies.csv")
options_table <- read.csv(file.path(folder, "stage1_options.csv"))
panels <- estimates <- list()
for (i in seq_len(nrow(options_table))) {
  o <- as.list(options_table[i, ])
  for (j in seq_len(nrow(studies))) {
    study <- as.list(studies[j, ])
    if (o$studies == "some" && !(study$study %in% SOME)) next
    panel <- panel_of(study, o)
    key <- data.frame(options = o$options, study = study$study)
    at_t <- panel$sessions
    panels[[length(panels) + 1]] <- cbind(key, data.frame(
      n_enrolled = panel$enrolled, n_unseen = panel$unseen, n_few = panel$few, n_panel = panel$kept,
      n_x_to_y = nrow(pairs_of(at_t, o$lag, "y")), n_y_to_x = nrow(pairs_of(at_t, o$lag, "x")),
      scale_x = panel$scale[["x"]], scale_y = panel$scale[["y"]]))
    results <- rbind(of_direction(panel, o, "x_to_y"), of_direction(panel, o, "y_to_x"), of_outcome(study, panel, o))
    estimates[[length(estimates) + 1]] <- cbind(key, results)
  }
}
estimates <- do.call(rbind, estimates)
named <- OURS[estimates$term]
estimates$term <- ifelse(is.na(named), estimates$term, named)
write(do.call(rbind, panels), "stage1_panels.csv")
write(estimates[c("options", "study", "analysis", "variant", "direction", "term", "estimate", "std_error", "df",
                  "n_patients", "n_transitions", "loglik", "singular", "gradient", "missed")], "stage1_estimates.csv")
# Which data these numbers are of: the MD5 sum of the MD5 sums of the files read.
files <- sort(c("data/studies.csv", list.files(c("data/sessions", "data/patients"), full.names = TRUE)), method = "radix")
sums <- tempfile()
writeLines(paste(tools::md5sum(files), files), sums)
versions <- c(list(R = R.version.string, data = unname(tools::md5sum(sums))), sapply(c("lme4", "lmerTest", "minqa", "numDeriv"), function(p) as.character(packageVersion(p)), simplify = FALSE))
writeLines(jsonlite::toJSON(versions, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "stage1_versions.json"))
