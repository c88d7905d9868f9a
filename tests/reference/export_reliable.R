# Stage 1 of Synthetic study 16 (S16), as twostage exports it.
# The data are synthetic.
#
# Rscript stage1_S16.R FOLDER_OF_THE_COLLECTION        (default: the current folder)
# It needs the packages lmerTest, which brings lme4, clubSandwich and lavaan.
suppressMessages({library(lmerTest); library(clubSandwich); library(lavaan)})
arguments <- commandArgs(trailingOnly = TRUE)
collection <- if (length(arguments)) arguments[1] else "."

# --- the scores, as they are in the file; what is not a number is missing
number <- function(cells, code = NULL) {
  cells <- trimws(cells)
  as.numeric(ifelse(cells %in% c("", code), NA, cells))
}
data <- read.csv(file.path(collection, "sessions/S16.csv"), colClasses = "character",
  check.names = FALSE, fileEncoding = "UTF-8-BOM")
scores <- data.frame(
  patient = data[["patient"]],
  session = as.numeric(data[["session"]]),
  alliance = number(data[["alliance"]]),
  symptoms = number(data[["symptoms"]]))

# --- the window: sessions 1 to 5; sessions without any score do not count
scores <- scores[scores$session >= 1 & scores$session <= 5, ]
scores <- scores[!(is.na(scores$alliance) & is.na(scores$symptoms)), ]
scores$symptoms <- 0.0 + 40.0 - scores$symptoms   # scored the other way

# --- in standard deviations of all scores of the window
scores$alliance <- scores$alliance / sd(scores$alliance, na.rm = TRUE)
scores$symptoms <- scores$symptoms / sd(scores$symptoms, na.rm = TRUE)

# --- patients with at least 3 sessions on which both were observed
both <- tapply(!is.na(scores$alliance) & !is.na(scores$symptoms), scores$patient, sum)
panel <- scores[scores$patient %in% names(both)[both >= 3], ]

# --- each patient's mean, and the deviations from it
own <- function(score, patient) ave(score, patient, FUN = function(s) mean(s, na.rm = TRUE))
panel$alliance_mean <- own(panel$alliance, panel$patient)
panel$alliance_within <- panel$alliance - panel$alliance_mean
panel$symptoms_mean <- own(panel$symptoms, panel$patient)
panel$symptoms_within <- panel$symptoms - panel$symptoms_mean

# --- pairs: both at session t, the outcome at session t + 1 itself
pairs <- function(outcome) {
  at <- match(paste(panel$patient, panel$session + 1), paste(panel$patient, panel$session))
  found <- transform(panel, later = panel[[outcome]][at])
  found[!is.na(found$alliance) & !is.na(found$symptoms) & !is.na(found$later), ]
}

# --- the models: restricted maximum likelihood, run to more digits than lme4 does by itself
precise <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.1, rhoend = 1e-7, maxfun = 1e5))

rows <- pairs("symptoms")   # later is symptoms at session t + 1
x_to_y <- lmer(later ~ alliance_within + symptoms_within + alliance_mean + symptoms_mean + (1 | patient), data = rows, control = precise)
# Does the effect depend on the patient's means? These centred: every patient counts once.
once <- rows[!duplicated(rows$patient), ]
rows$alliance_mean <- rows$alliance_mean - mean(once$alliance_mean)
rows$symptoms_mean <- rows$symptoms_mean - mean(once$symptoms_mean)
x_to_y_by_means <- lmer(later ~ alliance_within + symptoms_within + alliance_mean + symptoms_mean + alliance_within:alliance_mean + alliance_within:symptoms_mean + (1 | patient), data = rows, control = precise)

rows <- pairs("alliance")   # later is alliance at session t + 1
y_to_x <- lmer(later ~ symptoms_within + alliance_within + alliance_mean + symptoms_mean + (1 | patient), data = rows, control = precise)
# Does the effect depend on the patient's means? These centred: every patient counts once.
once <- rows[!duplicated(rows$patient), ]
rows$alliance_mean <- rows$alliance_mean - mean(once$alliance_mean)
rows$symptoms_mean <- rows$symptoms_mean - mean(once$symptoms_mean)
y_to_x_by_means <- lmer(later ~ symptoms_within + alliance_within + alliance_mean + symptoms_mean + symptoms_within:alliance_mean + symptoms_within:symptoms_mean + (1 | patient), data = rows, control = precise)
print(summary(x_to_y)); print(summary(y_to_x))

# --- early alliance (to session 3) and the outcome, given intake
persons <- read.csv(file.path(collection, "patients/S16.csv"), colClasses = "character",
  check.names = FALSE, fileEncoding = "UTF-8-BOM")
early <- panel[panel$session <= 3 & !is.na(panel$alliance), ]
early <- tapply(early$alliance, early$patient, mean)
persons <- data.frame(
  early = as.numeric(early[persons[["patient"]]]),
  pre = number(persons[["pre"]]),
  post = number(persons[["post"]]))
persons$pre <- 0.0 + 40.0 - persons$pre   # scored the other way
persons$post <- 0.0 + 40.0 - persons$post   # scored the other way
persons <- persons[complete.cases(persons), ]
partial_r <- cor(residuals(lm(early ~ pre, persons)), residuals(lm(post ~ pre, persons)))
weight <- summary(lm(scale(post) ~ scale(early) + scale(pre), persons))$coefficients[2, ]

# --- what goes on to stage 2
# Standard errors with patients as clusters: CR2 of the rows whitened by the model, Satterthwaite's df.
clustered <- function(fit) {
  X <- getME(fit, "X"); y <- getME(fit, "y"); patient <- as.character(model.frame(fit)$patient)
  root <- getME(fit, "Lambdat") %*% getME(fit, "Zt")
  for (p in unique(patient)) {
    i <- which(patient == p)
    V <- sigma(fit)^2 * (diag(length(i)) + as.matrix(Matrix::crossprod(root[, i, drop = FALSE])))
    L <- t(chol(V))
    y[i] <- solve(L, y[i]); X[i, ] <- solve(L, X[i, , drop = FALSE])
  }
  whitened <- lm(y ~ 0 + X)
  test <- coef_test(whitened, vcovCR(whitened, cluster = patient, type = "CR2"), test = "Satterthwaite")
  data.frame(test$SE, test$df_Satt)
}
of <- function(fit, analysis, direction) {
  s <- as.data.frame(coef(summary(fit)))
  s[c("Std. Error", "df")] <- clustered(fit)
  data.frame(analysis, direction, term = rownames(s), estimate = s$Estimate,
    std_error = s[["Std. Error"]], df = s$df)
}
estimates <- rbind(
  of(x_to_y, "lagged", "x_to_y"),
  of(y_to_x, "lagged", "y_to_x"),
  of(x_to_y_by_means, "crosslevel", "x_to_y"),
  of(y_to_x_by_means, "crosslevel", "y_to_x"))
estimates <- rbind(estimates, data.frame(analysis = "outcome", direction = "x_to_y",
  term = c("partial_r_z", "x_early_standardized"), estimate = c(atanh(partial_r), weight[[1]]),
  std_error = c(sqrt(1 / (nrow(persons) - 4)), weight[[2]]), df = c(Inf, nrow(persons) - 3)))

# --- models of everyone with a score in the window, by full-information maximum likelihood
wide <- reshape(scores[c("patient", "session", "alliance", "symptoms")], direction = "wide", idvar = "patient",
  timevar = "session", sep = "")
# random-intercept cross-lagged panel model
riclpm <- '
  level_alliance =~ 1*alliance1 + 1*alliance2 + 1*alliance3 + 1*alliance4 + 1*alliance5
  level_symptoms =~ 1*symptoms1 + 1*symptoms2 + 1*symptoms3 + 1*symptoms4 + 1*symptoms5
  level_alliance ~~ level_alliance + level_symptoms
  level_symptoms ~~ level_symptoms
  w_alliance1 =~ 1*alliance1
  alliance1 ~~ 0*alliance1
  alliance1 ~ 1
  w_symptoms1 =~ 1*symptoms1
  symptoms1 ~~ 0*symptoms1
  symptoms1 ~ 1
  w_alliance2 =~ 1*alliance2
  alliance2 ~~ 0*alliance2
  alliance2 ~ 1
  w_symptoms2 =~ 1*symptoms2
  symptoms2 ~~ 0*symptoms2
  symptoms2 ~ 1
  w_alliance3 =~ 1*alliance3
  alliance3 ~~ 0*alliance3
  alliance3 ~ 1
  w_symptoms3 =~ 1*symptoms3
  symptoms3 ~~ 0*symptoms3
  symptoms3 ~ 1
  w_alliance4 =~ 1*alliance4
  alliance4 ~~ 0*alliance4
  alliance4 ~ 1
  w_symptoms4 =~ 1*symptoms4
  symptoms4 ~~ 0*symptoms4
  symptoms4 ~ 1
  w_alliance5 =~ 1*alliance5
  alliance5 ~~ 0*alliance5
  alliance5 ~ 1
  w_symptoms5 =~ 1*symptoms5
  symptoms5 ~~ 0*symptoms5
  symptoms5 ~ 1
  w_alliance2 ~ b_symptoms_to_alliance*w_symptoms1 + b_alliance_to_alliance*w_alliance1
  w_symptoms2 ~ b_alliance_to_symptoms*w_alliance1 + b_symptoms_to_symptoms*w_symptoms1
  w_alliance3 ~ b_symptoms_to_alliance*w_symptoms2 + b_alliance_to_alliance*w_alliance2
  w_symptoms3 ~ b_alliance_to_symptoms*w_alliance2 + b_symptoms_to_symptoms*w_symptoms2
  w_alliance4 ~ b_symptoms_to_alliance*w_symptoms3 + b_alliance_to_alliance*w_alliance3
  w_symptoms4 ~ b_alliance_to_symptoms*w_alliance3 + b_symptoms_to_symptoms*w_symptoms3
  w_alliance5 ~ b_symptoms_to_alliance*w_symptoms4 + b_alliance_to_alliance*w_alliance4
  w_symptoms5 ~ b_alliance_to_symptoms*w_alliance4 + b_symptoms_to_symptoms*w_symptoms4
  w_alliance1 ~~ w_alliance1 + w_symptoms1
  w_symptoms1 ~~ w_symptoms1
  w_alliance2 ~~ qx*w_alliance2 + qxy*w_symptoms2
  w_symptoms2 ~~ qy*w_symptoms2
  w_alliance3 ~~ qx*w_alliance3 + qxy*w_symptoms3
  w_symptoms3 ~~ qy*w_symptoms3
  w_alliance4 ~~ qx*w_alliance4 + qxy*w_symptoms4
  w_symptoms4 ~~ qy*w_symptoms4
  w_alliance5 ~~ qx*w_alliance5 + qxy*w_symptoms5
  w_symptoms5 ~~ qy*w_symptoms5
'
# dynamic panel model, from x to y
dpm_x_to_y <- '
  stable =~ 1*symptoms2 + 1*symptoms3 + 1*symptoms4 + 1*symptoms5
  symptoms2 ~ b_alliance_to_symptoms*alliance1 + b_symptoms_to_symptoms*symptoms1
  symptoms2 ~~ q*symptoms2
  symptoms2 ~ 1
  symptoms2 ~~ alliance2 + alliance3 + alliance4
  symptoms3 ~ b_alliance_to_symptoms*alliance2 + b_symptoms_to_symptoms*symptoms2
  symptoms3 ~~ q*symptoms3
  symptoms3 ~ 1
  symptoms3 ~~ alliance3 + alliance4
  symptoms4 ~ b_alliance_to_symptoms*alliance3 + b_symptoms_to_symptoms*symptoms3
  symptoms4 ~~ q*symptoms4
  symptoms4 ~ 1
  symptoms4 ~~ alliance4
  symptoms5 ~ b_alliance_to_symptoms*alliance4 + b_symptoms_to_symptoms*symptoms4
  symptoms5 ~~ q*symptoms5
  symptoms5 ~ 1
  stable ~~ stable
  stable ~~ alliance1 + alliance2 + alliance3 + alliance4 + symptoms1
  alliance1 ~~ alliance1 + alliance2 + alliance3 + alliance4 + symptoms1
  alliance1 ~ 1
  alliance2 ~~ alliance2 + alliance3 + alliance4 + symptoms1
  alliance2 ~ 1
  alliance3 ~~ alliance3 + alliance4 + symptoms1
  alliance3 ~ 1
  alliance4 ~~ alliance4 + symptoms1
  alliance4 ~ 1
  symptoms1 ~~ symptoms1
  symptoms1 ~ 1
'
# dynamic panel model, from y to x
dpm_y_to_x <- '
  stable =~ 1*alliance2 + 1*alliance3 + 1*alliance4 + 1*alliance5
  alliance2 ~ b_symptoms_to_alliance*symptoms1 + b_alliance_to_alliance*alliance1
  alliance2 ~~ q*alliance2
  alliance2 ~ 1
  alliance2 ~~ symptoms2 + symptoms3 + symptoms4
  alliance3 ~ b_symptoms_to_alliance*symptoms2 + b_alliance_to_alliance*alliance2
  alliance3 ~~ q*alliance3
  alliance3 ~ 1
  alliance3 ~~ symptoms3 + symptoms4
  alliance4 ~ b_symptoms_to_alliance*symptoms3 + b_alliance_to_alliance*alliance3
  alliance4 ~~ q*alliance4
  alliance4 ~ 1
  alliance4 ~~ symptoms4
  alliance5 ~ b_symptoms_to_alliance*symptoms4 + b_alliance_to_alliance*alliance4
  alliance5 ~~ q*alliance5
  alliance5 ~ 1
  stable ~~ stable
  stable ~~ symptoms1 + symptoms2 + symptoms3 + symptoms4 + alliance1
  symptoms1 ~~ symptoms1 + symptoms2 + symptoms3 + symptoms4 + alliance1
  symptoms1 ~ 1
  symptoms2 ~~ symptoms2 + symptoms3 + symptoms4 + alliance1
  symptoms2 ~ 1
  symptoms3 ~~ symptoms3 + symptoms4 + alliance1
  symptoms3 ~ 1
  symptoms4 ~~ symptoms4 + alliance1
  symptoms4 ~ 1
  alliance1 ~~ alliance1
  alliance1 ~ 1
'
# random-intercept cross-lagged panel model with measurement error
riclpm_error <- '
  level_alliance =~ 1*alliance1 + 1*alliance2 + 1*alliance3 + 1*alliance4 + 1*alliance5
  level_symptoms =~ 1*symptoms1 + 1*symptoms2 + 1*symptoms3 + 1*symptoms4 + 1*symptoms5
  level_alliance ~~ level_var_alliance*level_alliance + level_symptoms
  level_symptoms ~~ level_var_symptoms*level_symptoms
  w_alliance1 =~ 1*alliance1
  alliance1 ~~ e_alliance*alliance1
  alliance1 ~ 1
  w_symptoms1 =~ 1*symptoms1
  symptoms1 ~~ e_symptoms*symptoms1
  symptoms1 ~ 1
  w_alliance2 =~ 1*alliance2
  alliance2 ~~ e_alliance*alliance2
  alliance2 ~ 1
  w_symptoms2 =~ 1*symptoms2
  symptoms2 ~~ e_symptoms*symptoms2
  symptoms2 ~ 1
  w_alliance3 =~ 1*alliance3
  alliance3 ~~ e_alliance*alliance3
  alliance3 ~ 1
  w_symptoms3 =~ 1*symptoms3
  symptoms3 ~~ e_symptoms*symptoms3
  symptoms3 ~ 1
  w_alliance4 =~ 1*alliance4
  alliance4 ~~ e_alliance*alliance4
  alliance4 ~ 1
  w_symptoms4 =~ 1*symptoms4
  symptoms4 ~~ e_symptoms*symptoms4
  symptoms4 ~ 1
  w_alliance5 =~ 1*alliance5
  alliance5 ~~ e_alliance*alliance5
  alliance5 ~ 1
  w_symptoms5 =~ 1*symptoms5
  symptoms5 ~~ e_symptoms*symptoms5
  symptoms5 ~ 1
  w_alliance2 ~ b_symptoms_to_alliance*w_symptoms1 + b_alliance_to_alliance*w_alliance1
  w_symptoms2 ~ b_alliance_to_symptoms*w_alliance1 + b_symptoms_to_symptoms*w_symptoms1
  w_alliance3 ~ b_symptoms_to_alliance*w_symptoms2 + b_alliance_to_alliance*w_alliance2
  w_symptoms3 ~ b_alliance_to_symptoms*w_alliance2 + b_symptoms_to_symptoms*w_symptoms2
  w_alliance4 ~ b_symptoms_to_alliance*w_symptoms3 + b_alliance_to_alliance*w_alliance3
  w_symptoms4 ~ b_alliance_to_symptoms*w_alliance3 + b_symptoms_to_symptoms*w_symptoms3
  w_alliance5 ~ b_symptoms_to_alliance*w_symptoms4 + b_alliance_to_alliance*w_alliance4
  w_symptoms5 ~ b_alliance_to_symptoms*w_alliance4 + b_symptoms_to_symptoms*w_symptoms4
  w_alliance1 ~~ vx1*w_alliance1 + vxy1*w_symptoms1
  w_symptoms1 ~~ vy1*w_symptoms1
  w_alliance2 ~~ qx*w_alliance2 + qxy*w_symptoms2
  w_symptoms2 ~~ qy*w_symptoms2
  w_alliance3 ~~ qx*w_alliance3 + qxy*w_symptoms3
  w_symptoms3 ~~ qy*w_symptoms3
  w_alliance4 ~~ qx*w_alliance4 + qxy*w_symptoms4
  w_symptoms4 ~~ qy*w_symptoms4
  w_alliance5 ~~ qx*w_alliance5 + qxy*w_symptoms5
  w_symptoms5 ~~ qy*w_symptoms5
  vx2 := b_alliance_to_alliance^2*vx1 + 2*b_alliance_to_alliance*b_symptoms_to_alliance*vxy1 + b_symptoms_to_alliance^2*vy1 + qx
  vxy2 := b_alliance_to_alliance*b_alliance_to_symptoms*vx1 + (b_alliance_to_alliance*b_symptoms_to_symptoms + b_symptoms_to_alliance*b_alliance_to_symptoms)*vxy1 + b_symptoms_to_alliance*b_symptoms_to_symptoms*vy1 + qxy
  vy2 := b_alliance_to_symptoms^2*vx1 + 2*b_alliance_to_symptoms*b_symptoms_to_symptoms*vxy1 + b_symptoms_to_symptoms^2*vy1 + qy
  vx3 := b_alliance_to_alliance^2*vx2 + 2*b_alliance_to_alliance*b_symptoms_to_alliance*vxy2 + b_symptoms_to_alliance^2*vy2 + qx
  vxy3 := b_alliance_to_alliance*b_alliance_to_symptoms*vx2 + (b_alliance_to_alliance*b_symptoms_to_symptoms + b_symptoms_to_alliance*b_alliance_to_symptoms)*vxy2 + b_symptoms_to_alliance*b_symptoms_to_symptoms*vy2 + qxy
  vy3 := b_alliance_to_symptoms^2*vx2 + 2*b_alliance_to_symptoms*b_symptoms_to_symptoms*vxy2 + b_symptoms_to_symptoms^2*vy2 + qy
  vx4 := b_alliance_to_alliance^2*vx3 + 2*b_alliance_to_alliance*b_symptoms_to_alliance*vxy3 + b_symptoms_to_alliance^2*vy3 + qx
  vxy4 := b_alliance_to_alliance*b_alliance_to_symptoms*vx3 + (b_alliance_to_alliance*b_symptoms_to_symptoms + b_symptoms_to_alliance*b_alliance_to_symptoms)*vxy3 + b_symptoms_to_alliance*b_symptoms_to_symptoms*vy3 + qxy
  vy4 := b_alliance_to_symptoms^2*vx3 + 2*b_alliance_to_symptoms*b_symptoms_to_symptoms*vxy3 + b_symptoms_to_symptoms^2*vy3 + qy
  vx5 := b_alliance_to_alliance^2*vx4 + 2*b_alliance_to_alliance*b_symptoms_to_alliance*vxy4 + b_symptoms_to_alliance^2*vy4 + qx
  vxy5 := b_alliance_to_alliance*b_alliance_to_symptoms*vx4 + (b_alliance_to_alliance*b_symptoms_to_symptoms + b_symptoms_to_alliance*b_alliance_to_symptoms)*vxy4 + b_symptoms_to_alliance*b_symptoms_to_symptoms*vy4 + qxy
  vy5 := b_alliance_to_symptoms^2*vx4 + 2*b_alliance_to_symptoms*b_symptoms_to_symptoms*vxy4 + b_symptoms_to_symptoms^2*vy4 + qy
  e_alliance == 0.11111111111111108*(level_var_alliance + (vx1 + vx2 + vx3 + vx4 + vx5)/5)
  e_symptoms == 0.052631578947368474*(level_var_symptoms + (vy1 + vy2 + vy3 + vy4 + vy5)/5)
'
panel_model <- function(model, analysis) {
  once <- function(start, se) lavaan(model, wide, missing = "fiml", fixed.x = FALSE, start = start, se = se,
    information = "observed", h1 = FALSE, baseline = FALSE, control = list(iter.max = 20000, eval.max = 50000))
  fit <- once(once("default", "none"), "standard")
  found <- parameterEstimates(fit)
  below <- unique(found$label[grepl("^e_", found$label) & found$est < 0])   # no variance of errors is negative
  for (error in below) model <- gsub(paste0(error, "*"), "0*", model, fixed = TRUE)
  if (length(below)) fit <- once(once("default", "none"), "standard")
  found <- parameterEstimates(fit)
  found <- found[grepl("^b_", found$label) & !duplicated(found$label), c("label", "est", "se")]
  free <- subset(parTable(fit), free > 0 & op != "~1")
  needed <- sum(free$label == "") + length(setdiff(free$label, ""))   # parameters besides the means
  if (nrow(wide) <= needed || !lavInspect(fit, "converged")) found[c("est", "se")] <- NA
  data.frame(analysis, direction = "", term = found$label, estimate = found$est, std_error = found$se, df = Inf)
}
estimates <- rbind(estimates,
  panel_model(riclpm, "riclpm"),
  panel_model(dpm_x_to_y, "dpm_x_to_y"),
  panel_model(dpm_y_to_x, "dpm_y_to_x"),
  panel_model(riclpm_error, "riclpm_error"))
write.csv(estimates, row.names = FALSE)
