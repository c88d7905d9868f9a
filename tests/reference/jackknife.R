# The half-panel jackknife of the centred lagged model from its definition, in base R with lme4.
#
#   Rscript tests/reference/jackknife.R        (from the top of the repository; some seconds)
#
# draws two synthetic panels and writes next to itself
#   jackknife_panels.csv.gz  panel, patient, session, x, y: sessions missing here and there, and patients who leave
#   jackknife_estimates.csv  every part's coefficients and the combination (part "jackknife")
#   jackknife_versions.json  versions
suppressMessages({
  library(lme4)
})
options(warn = 2)
folder <- "tests/reference"

draw <- function(n, T, missing, leaving) {
  x <- y <- matrix(NA, n, T)
  a <- rnorm(n, sd = 0.8); b <- -0.3 * a + rnorm(n, sd = 0.7)
  wx <- rnorm(n); wy <- rnorm(n)
  for (t in 1:T) {
    x[, t] <- a + wx; y[, t] <- b + wy
    nx <- 0.3 * wx - 0.10 * wy + rnorm(n); wy <- -0.15 * wx + 0.4 * wy + rnorm(n); wx <- nx
  }
  for (t in 2:T) {
    gone <- runif(n) < leaving
    x[gone, t:T] <- NA; y[gone, t:T] <- NA
  }
  x[matrix(runif(n * T) < missing, n)] <- NA
  y[matrix(runif(n * T) < missing, n)] <- NA
  d <- expand.grid(patient = 1:n, session = 1:T)
  d$x <- as.vector(x); d$y <- as.vector(y)
  d[!(is.na(d$x) & is.na(d$y)), ]
}

# Rows of the lagged model of some sessions: means and deviations of these sessions only, the very next session.
rows_of <- function(d, sessions, outcome) {
  d <- d[d$session %in% sessions, ]
  for (v in c("x", "y")) {
    d[[paste0(v, "_mean")]] <- ave(d[[v]], d$patient, FUN = function(s) mean(s, na.rm = TRUE))
    d[[paste0(v, "_within")]] <- d[[v]] - d[[paste0(v, "_mean")]]
  }
  later <- d[, c("patient", "session", outcome)]
  names(later)[3] <- "following"
  later$session <- later$session - 1
  d <- merge(d[!is.na(d$x) & !is.na(d$y), ], later, by = c("patient", "session"))
  d[!is.na(d$following), ]
}

fit <- function(d, sessions, outcome) {
  rows <- rows_of(d, sessions, outcome)
  tight <- list(xtol_abs = 1e-12, ftol_abs = 1e-14, maxeval = 10000)
  control <- lmerControl(optimizer = "nloptwrap", optCtrl = tight, check.conv.singular = "ignore", calc.derivs = FALSE)
  m <- lmer(following ~ x_within + y_within + x_mean + y_mean + (1 | patient), rows, control = control)
  c(fixef(m)[c("x_within", "y_within")], nobs(m), ngrps(m))
}

one_panel <- function(d, name) {
  T <- max(d$session); m <- T - 1
  cuts <- unique(c(floor(m / 2), ceiling(m / 2)))
  out <- NULL
  for (outcome in c("x", "y")) {
    whole <- fit(d, 1:T, outcome)
    lines <- list(c(1, T, whole))
    jackknife <- 2 * whole[1:2]
    for (cut in cuts) {
      first <- fit(d, 1:(cut + 1), outcome); second <- fit(d, (cut + 1):T, outcome)
      lines <- c(lines, list(c(1, cut + 1, first), c(cut + 1, T, second)))
      jackknife <- jackknife - (cut / m * first[1:2] + (1 - cut / m) * second[1:2]) / length(cuts)
    }
    lines <- c(lines, list(c(NA, NA, jackknife, whole[3:4])))
    table <- as.data.frame(do.call(rbind, lines))
    names(table) <- c("first", "last", "x_within", "y_within", "n_transitions", "n_patients")
    out <- rbind(out, cbind(panel = name, outcome = outcome, table))
  }
  out
}

set.seed(20150703)
panels <- list(seven = draw(120, 7, 0.10, 0.08), six = draw(150, 6, 0.05, 0.05))
digits <- function(d) { for (v in names(d)) if (is.numeric(d[[v]])) d[[v]] <- ifelse(is.na(d[[v]]), "", sprintf("%.15g", d[[v]])); d }
written <- do.call(rbind, lapply(names(panels), function(p) cbind(panel = p, panels[[p]])))
packed <- gzfile(file.path(folder, "jackknife_panels.csv.gz"), compression = 9)
write.csv(digits(written), packed, row.names = FALSE, quote = FALSE, na = "")
estimates <- do.call(rbind, lapply(names(panels), function(p) one_panel(panels[[p]], p)))
write.csv(digits(estimates), file.path(folder, "jackknife_estimates.csv"), row.names = FALSE, quote = FALSE)
versions <- sprintf('{"R": "%s", "lme4": "%s"}', getRversion(), packageVersion("lme4"))
writeLines(versions, file.path(folder, "jackknife_versions.json"))
