# The centred lagged model with an effect of each session, by lme4 and lmerTest.
#
#   Rscript tests/reference/occasions.R        (from the top of the repository; some seconds)
#
# reads jackknife_panels.csv.gz (synthetic) and writes occasions_estimates.csv and occasions_versions.json next to it.
suppressMessages({
  library(lme4)
  library(lmerTest)
})
folder <- "tests/reference"

one <- function(d, outcome) {
  for (v in c("x", "y")) {
    d[[paste0(v, "_mean")]] <- ave(d[[v]], d$patient, FUN = function(s) mean(s, na.rm = TRUE))
    d[[paste0(v, "_within")]] <- d[[v]] - d[[paste0(v, "_mean")]]
  }
  later <- data.frame(patient = d$patient, session = d$session - 1, following = d[[outcome]])
  rows <- merge(d[!is.na(d$x) & !is.na(d$y), ], later[!is.na(later$following), ], by = c("patient", "session"))
  rows$time <- factor(rows$session + 1)
  tight <- list(xtol_abs = 1e-12, ftol_abs = 1e-14, maxeval = 10000)
  control <- lmerControl(optimizer = "nloptwrap", optCtrl = tight, check.conv.singular = "ignore")
  m <- lmer(following ~ x_within + y_within + x_mean + y_mean + time + (1 | patient), rows, control = control)
  table <- as.data.frame(coef(summary(m)))[, 1:3]
  names(table) <- c("estimate", "std_error", "df")
  term <- sub("time", "session_", sub("(Intercept)", "intercept", rownames(table), fixed = TRUE))
  cbind(outcome = outcome, term = term, table, n_transitions = nobs(m), n_patients = ngrps(m))
}

panels <- read.csv(file.path(folder, "jackknife_panels.csv.gz"))
out <- NULL
for (name in unique(panels$panel)) {
  # Patients with three sessions on which both were observed, as in the compendium.
  d <- panels[panels$panel == name, ]
  both <- ave(!is.na(d$x) & !is.na(d$y), d$patient, FUN = sum)
  d <- d[both >= 3, ]
  for (outcome in c("x", "y")) out <- rbind(out, cbind(panel = name, one(d, outcome)))
}
for (v in names(out)) if (is.numeric(out[[v]])) out[[v]] <- sprintf("%.15g", out[[v]])
write.csv(out, file.path(folder, "occasions_estimates.csv"), row.names = FALSE, quote = FALSE)
versions <- sprintf('{"R": "%s", "lme4": "%s", "lmerTest": "%s"}', getRversion(), packageVersion("lme4"),
                    packageVersion("lmerTest"))
writeLines(versions, file.path(folder, "occasions_versions.json"))
