# Called by mixed_speed.py: Rscript mixed_speed.R data.csv repeats out.json
# Times lme4 on the data, random intercept and three random effects, by lmer's default control (the one that counts) and
# by the fastest control its manual recommends (no derivative check, no checks of the input).
suppressMessages({
  library(lme4)
  library(jsonlite)
})
arguments <- commandArgs(TRUE)
d <- read.csv(arguments[1])
repeats <- as.integer(arguments[2])
forms <- list(intercept = y ~ xw + yw + xm + ym + (1 | group), three = y ~ xw + yw + xm + ym + (1 + xw + yw | group))
controls <- list(
  default = lmerControl(),
  fast = lmerControl(
    calc.derivs = FALSE, check.nobs.vs.rankZ = "ignore", check.nobs.vs.nlev = "ignore",
    check.nlev.gtreq.5 = "ignore", check.nlev.gtr.1 = "ignore", check.nobs.vs.nRE = "ignore", check.rankX = "ignore",
    check.scaleX = "ignore", check.formula.LHS = "ignore"
  )
)
out <- list(version = as.character(packageVersion("lme4")), R = R.version.string)
for (model in names(forms)) for (control in names(controls)) {
  wall <- cpu <- numeric(repeats)
  for (k in seq_len(repeats)) {
    begin <- proc.time()
    fit <- suppressWarnings(lmer(forms[[model]], d, control = controls[[control]]))
    spent <- proc.time() - begin
    wall[k] <- spent[["elapsed"]]
    cpu[k] <- spent[["user.self"]] + spent[["sys.self"]]
  }
  out[[paste(model, control, sep = "_")]] <- list(wall = I(wall), cpu = I(cpu), loglik = c(logLik(fit)))
}
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), arguments[3])
