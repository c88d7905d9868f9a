# Called by dpm_speed.py: Rscript dpm_speed.R data.csv repeats out.json
# Times lavaan's full fits, one per direction, of the dynamic panel model of Allison, Williams & Moral-Benito (2017) with
# simultaneous shocks on wide data x1, y1, x2, ...
suppressMessages({
  library(lavaan)
  library(jsonlite)
})
arguments <- commandArgs(TRUE)
d <- read.csv(arguments[1])
repeats <- as.integer(arguments[2])
T <- ncol(d) / 2

specify <- function(p, o) {
  P <- paste0(p, 1:(T - 1)); O <- paste0(o, 1:T)
  join <- function(v) paste(v, collapse = " + ")
  lines <- c(paste("alpha =~", join(paste0("1*", O[2:T]))), "alpha ~~ alpha")
  for (t in 2:T) {
    lines <- c(lines, sprintf("%s ~ b1*%s + b2*%s", O[t], P[t - 1], O[t - 1]), sprintf("%s ~~ v*%s", O[t], O[t]))
    lines <- c(lines, paste(O[t], "~ 1"))
    if (t < T) lines <- c(lines, paste(O[t], "~~", join(P[t:(T - 1)])))
  }
  exogenous <- c(P, O[1])
  lines <- c(lines, paste("alpha ~~", join(exogenous)))
  for (i in seq_along(exogenous)) {
    lines <- c(lines, paste(exogenous[i], "~~", join(exogenous[i:length(exogenous)])), paste(exogenous[i], "~ 1"))
  }
  paste(lines, collapse = "\n")
}

models <- c(specify("y", "x"), specify("x", "y"))
cpu <- numeric(repeats)
for (k in seq_len(repeats)) {
  begin <- proc.time()
  fits <- lapply(models, function(m) lavaan(m, d, missing = "fiml", fixed.x = FALSE))
  spent <- proc.time() - begin
  cpu[k] <- spent[["user.self"]] + spent[["sys.self"]]
}
tables <- lapply(fits, parameterEstimates)
pick <- function(t, what) t[[what]][match(c("b1", "b2"), t$label)]
out <- list(
  version = as.character(packageVersion("lavaan")), cpu = I(cpu),
  cross = I(sapply(tables, function(t) pick(t, "est")[1])), auto = I(sapply(tables, function(t) pick(t, "est")[2])),
  cross_se = I(sapply(tables, function(t) pick(t, "se")[1])), auto_se = I(sapply(tables, function(t) pick(t, "se")[2]))
)
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), arguments[3])
