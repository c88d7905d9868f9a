# Covariance of both directions' coefficients, cluster-robust with patients as clusters, on fits of lme4.
#
#   Rscript tests/reference/stage1_joint.R        (from the top of the repository; half a minute)
#
# reads data/ with the functions of stage1.R, writes next to itself
#   stage1_joint.csv.gz         the matrix of each case, entry by entry: studies of data/, and two equations for lme4's
#                               sleepstudy
#   stage1_joint_versions.json  versions, and how far clubSandwich's diagonal blocks are from the formula's
#
# The formula: psi_i = (sum X'V^-1 X)^-1 X_i' V_i^-1 (y_i - X_i b) per direction, V_i = sigma^2 (I + Z_i T Z_i') written
# out, patient by patient; times sqrt(J / (J - p)); cross-products of both directions' psi of the same patient.
suppressMessages(library(clubSandwich))
lines <- readLines("tests/reference/stage1.R")
eval(parse(text = c(lines[seq_len(grep("^# --- all of it", lines))], lines[grep("^OURS", lines) + 0:1])))

CASES <- data.frame(study = c("S01", "S14", "S16", "S01", "S14", "S16"), slopes = rep(c(FALSE, TRUE), each = 3))

# Contributions of one direction's patients, and how far clubSandwich's matrix is from theirs.
equation <- function(panel, o, name, slopes) {
  from <- DIRECTIONS[[name]][1]
  to <- DIRECTIONS[[name]][2]
  d <- pairs_of(panel$sessions, o$lag, to)
  terms <- c(paste0(from, "w"), paste0(to, "w"), "xm", "ym")
  random <- if (slopes) paste("(1 +", paste(slopes_of(terms), collapse = " + "), "| patient)") else "(1 | patient)"
  contributions(as.formula(paste("later ~", paste(terms, collapse = " + "), "+", random)), d,
                paste(name, c("intercept", unname(OURS[terms]))))
}

contributions <- function(form, d, names) {
  dev <- deviance_function(form, d)
  at <- minimum(dev$f, environment(dev$f)$lower)
  # lmer() that starts, and stays, at these parameters: what clubSandwich takes.
  model <- suppressWarnings(lme4::lmer(form, d, start = at$par, control = lmerControl(optimizer = NULL, check.nobs.vs.nRE = "ignore")))
  X <- model.matrix(model)
  T <- matrix(VarCorr(model)$patient, nrow(VarCorr(model)$patient))
  Z <- model.matrix(model, type = "randomListRaw")[[1]]
  e <- d$later - X %*% fixef(model)
  patients <- unique(d$patient)
  pieces <- lapply(patients, function(p) {
    at <- d$patient == p
    W <- solve(sigma(model)^2 * diag(sum(at)) + Z[at, , drop = FALSE] %*% T %*% t(Z[at, , drop = FALSE]))
    list(bread = t(X[at, , drop = FALSE]) %*% W %*% X[at, , drop = FALSE], score = t(X[at, , drop = FALSE]) %*% W %*% e[at])
  })
  bread <- solve(Reduce(`+`, lapply(pieces, `[[`, "bread")))
  psi <- t(sapply(pieces, function(x) bread %*% x$score)) * sqrt(length(patients) / (length(patients) - ncol(X)))
  dimnames(psi) <- list(patients, names)
  theirs <- as.matrix(vcovCR(model, cluster = d$patient, type = "CR1p"))
  list(psi = psi, block = max(abs(theirs - crossprod(psi)) / sqrt(outer(diag(theirs), diag(theirs)))))
}

entries <- function(case, both) {
  patients <- union(rownames(both[[1]]$psi), rownames(both[[2]]$psi))
  stacked <- do.call(cbind, lapply(both, function(b) {
    x <- b$psi[match(patients, rownames(b$psi)), ]
    x[is.na(x)] <- 0
    x
  }))
  matrix <- crossprod(stacked)
  n_both <- length(intersect(rownames(both[[1]]$psi), rownames(both[[2]]$psi)))
  cat(case, sapply(both, `[[`, "block"), "\n")
  data.frame(case = case, row = rep(colnames(matrix), each = ncol(matrix)), column = colnames(matrix),
             value = sprintf("%.17g", c(t(matrix))), n_patients = length(patients), n_both = n_both, row.names = NULL)
}

# Random effects off the boundary, and subjects missing from either equation.
sleep <- function() {
  d <- read.csv(file.path(folder, "mixed_sleepstudy.csv"))
  names(d) <- c("patient", "later", "days")
  d$patient <- as.character(d$patient)
  second <- transform(d, later = log(later))
  list(contributions(later ~ days + (days | patient), d[!(d$patient %in% c("308", "309")), ], c("first intercept", "first days")),
       contributions(later ~ days + (1 | patient), second[second$patient != "372", ], c("second intercept", "second days")))
}

o <- as.list(read.csv(file.path(folder, "stage1_options.csv"))[1, ])
studies <- read.csv("data/studies.csv")
out <- list(entries("sleepstudy", sleep()))
blocks <- sapply(sleep(), `[[`, "block")
for (i in seq_len(nrow(CASES))) {
  panel <- panel_of(as.list(studies[studies$study == CASES$study[i], ]), o)
  both <- lapply(names(DIRECTIONS), function(name) equation(panel, o, name, CASES$slopes[i]))
  out[[i + 1]] <- entries(paste(CASES$study[i], if (CASES$slopes[i]) "slopes" else "intercept"), both)
  blocks <- c(blocks, sapply(both, `[[`, "block"))
}
file <- gzfile(file.path(folder, "stage1_joint.csv.gz"), "w", compression = 9)
write.csv(do.call(rbind, out), file, row.names = FALSE, quote = FALSE)
close(file)
versions <- list(R = R.version.string, lme4 = as.character(packageVersion("lme4")), clubSandwich = as.character(packageVersion("clubSandwich")),
                 compared_blocks = length(blocks), worst_block = max(blocks))
writeLines(jsonlite::toJSON(versions, auto_unbox = TRUE, digits = NA), file.path(folder, "stage1_joint_versions.json"))
