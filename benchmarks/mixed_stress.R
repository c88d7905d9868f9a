# Called by mixed_stress.py with a folder: data.csv and sets.json in, lme4.json out.
# For each data set: lme4's criterion where its default optimiser stops, and its deviance function at the given T.
suppressMessages({
  library(lme4)
  library(jsonlite)
})
folder <- commandArgs(TRUE)[1]
rows <- split(read.csv(file.path(folder, "data.csv")), ~set)
sets <- fromJSON(file.path(folder, "sets.json"), simplifyVector = FALSE)

theta_of <- function(T) {
  e <- eigen(T, symmetric = TRUE)
  half <- e$vectors %*% diag(sqrt(pmax(e$values, 0)), nrow(T))
  L <- t(qr.R(qr(t(half), LAPACK = FALSE, tol = 0)))
  L <- sweep(L, 2, ifelse(diag(L) < 0, -1, 1), "*")
  L[lower.tri(L, TRUE)]
}

one <- function(set) {
  d <- rows[[as.character(set$set)]]
  x <- paste0("x", seq_len(set$p))
  form <- as.formula(paste("y ~ 0 +", paste(x, collapse = "+"), "+ (0 +", paste(x[seq_len(set$q)], collapse = "+"), "| group)"))
  d$group <- factor(d$group)
  quiet <- function(e) suppressWarnings(suppressMessages(e))
  fit <- tryCatch(quiet(lmer(form, d, REML = set$reml)), error = function(e) NULL)
  if (is.null(fit)) return(list(lme4_default = NA, lme4_at_ours = NA))
  default <- if (set$reml) REMLcrit(fit) else deviance(fit)
  if (is.null(set$T)) return(list(lme4_default = default, lme4_at_ours = NA))
  devfun <- quiet(do.call(mkLmerDevfun, lFormula(form, d, REML = set$reml)))
  list(lme4_default = default, lme4_at_ours = devfun(theta_of(do.call(rbind, lapply(set$T, unlist)))))
}

writeLines(toJSON(lapply(sets, one), digits = NA, auto_unbox = TRUE, na = "null"), file.path(folder, "lme4.json"))
