# Stage 1 of Synthetic study 14 (S14), as twostage exports it.
# The data are synthetic.
#
# Rscript stage1_S14.R FOLDER_OF_THE_COLLECTION        (default: the current folder)
# It needs the packages lmerTest, which brings lme4, clubSandwich and lavaan.
suppressMessages({library(lmerTest); library(clubSandwich); library(lavaan)})
arguments <- commandArgs(trailingOnly = TRUE)
collection <- if (length(arguments)) arguments[1] else "."

# --- the scores, as they are in the file; what is not a number is missing
number <- function(cells, code = NULL) {
  cells <- trimws(cells)
  as.numeric(ifelse(cells %in% c("", code), NA, cells))
}
data <- read.csv(file.path(collection, "sessions/S14.csv"), colClasses = "character",
  check.names = FALSE, fileEncoding = "UTF-8-BOM")
scores <- data.frame(
  patient = data[["patient"]],
  session = as.numeric(data[["session"]]),
  alliance = number(data[["alliance"]]),
  symptoms = number(data[["symptoms"]]))

# --- the window: sessions 1 to 7; sessions without any score do not count
scores <- scores[scores$session >= 1 & scores$session <= 7, ]
scores <- scores[!(is.na(scores$alliance) & is.na(scores$symptoms)), ]
scores$alliance <- 12.0 + 84.0 - scores$alliance   # scored the other way

# --- without each patient's own trend
without_trend <- function(score) {
  time <- ifelse(is.na(score), NA, scores$session)
  time <- time - ave(time, scores$patient, FUN = function(t) mean(t, na.rm = TRUE))
  total <- function(v) ave(v, scores$patient, FUN = function(s) sum(s, na.rm = TRUE))
  square <- total(time^2)
  score - time * ifelse(square > 0, total(time * score) / square, 0)
}
scores$alliance <- without_trend(scores$alliance)
scores$symptoms <- without_trend(scores$symptoms)

# --- patients with at least 4 sessions on which both were observed
both <- tapply(!is.na(scores$alliance) & !is.na(scores$symptoms), scores$patient, sum)
panel <- scores[scores$patient %in% names(both)[both >= 4], ]

# --- each patient's mean, and the deviations from it
own <- function(score, patient) ave(score, patient, FUN = function(s) mean(s, na.rm = TRUE))
panel$alliance_mean <- own(panel$alliance, panel$patient)
panel$alliance_within <- panel$alliance - panel$alliance_mean
panel$symptoms_mean <- own(panel$symptoms, panel$patient)
panel$symptoms_within <- panel$symptoms - panel$symptoms_mean

# --- pairs: both at session t, the outcome at session t + 2 itself
pairs <- function(outcome) {
  at <- match(paste(panel$patient, panel$session + 2), paste(panel$patient, panel$session))
  found <- transform(panel, later = panel[[outcome]][at])
  found[!is.na(found$alliance) & !is.na(found$symptoms) & !is.na(found$later), ]
}

# --- the models: restricted maximum likelihood, run to more digits than lme4 does by itself
precise <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.1, rhoend = 1e-7, maxfun = 1e5))

rows <- pairs("symptoms")   # later is symptoms at session t + 2
x_to_y <- lmer(later ~ alliance_within + symptoms_within + alliance_mean + symptoms_mean + (1 | patient), data = rows, control = precise)
# Does the effect depend on the patient's means? These centred: every patient counts once.
once <- rows[!duplicated(rows$patient), ]
rows$alliance_mean <- rows$alliance_mean - mean(once$alliance_mean)
rows$symptoms_mean <- rows$symptoms_mean - mean(once$symptoms_mean)
x_to_y_by_means <- lmer(later ~ alliance_within + symptoms_within + alliance_mean + symptoms_mean + alliance_within:alliance_mean + alliance_within:symptoms_mean + (1 | patient), data = rows, control = precise)

rows <- pairs("alliance")   # later is alliance at session t + 2
y_to_x <- lmer(later ~ symptoms_within + alliance_within + alliance_mean + symptoms_mean + (1 | patient), data = rows, control = precise)
# Does the effect depend on the patient's means? These centred: every patient counts once.
once <- rows[!duplicated(rows$patient), ]
rows$alliance_mean <- rows$alliance_mean - mean(once$alliance_mean)
rows$symptoms_mean <- rows$symptoms_mean - mean(once$symptoms_mean)
y_to_x_by_means <- lmer(later ~ symptoms_within + alliance_within + alliance_mean + symptoms_mean + symptoms_within:alliance_mean + symptoms_within:symptoms_mean + (1 | patient), data = rows, control = precise)
print(summary(x_to_y)); print(summary(y_to_x))

# --- early alliance (to session 3) and the outcome, given intake
persons <- read.csv(file.path(collection, "patients/S14.csv"), colClasses = "character",
  check.names = FALSE, fileEncoding = "UTF-8-BOM")
early <- panel[panel$session <= 3 & !is.na(panel$alliance), ]
early <- tapply(early$alliance, early$patient, mean)
persons <- data.frame(
  early = as.numeric(early[persons[["patient"]]]),
  pre = number(persons[["pre"]]),
  post = number(persons[["post"]]))
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

write.csv(estimates, row.names = FALSE)
