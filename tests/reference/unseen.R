# The random-intercept cross-lagged panel model if unseen scores after the last one were shifted, by lavaan.
#
#   Rscript tests/reference/unseen.R        (from the top of the repository; half a minute)
#
# writes next to itself unseen.json: a synthetic panel with drop-out and gaps, shifts, and the lag coefficients of (1) a fit by
# full-information maximum likelihood, (2) the missing scores' conditional means and covariances by lavaan's implied moments,
# the later ones shifted, (3) a fit to the covariance matrix of what that completes.
suppressMessages({
  library(lavaan)
  library(jsonlite)
})
set.seed(20260105)
n <- 200; T <- 5
model <- c(paste0("Rx =~ ", paste0("1*x", 1:T, collapse = "+")), paste0("Ry =~ ", paste0("1*y", 1:T, collapse = "+")),
           "Rx ~~ Rx + Ry", "Ry ~~ Ry", "wx1 ~~ wx1 + wy1", "wy1 ~~ wy1")
for (t in 1:T) for (v in c("x", "y")) model <- c(model, paste0("w", v, t, " =~ 1*", v, t), paste0(v, t, " ~~ 0*", v, t), paste0(v, t, " ~ 1"))
for (t in 2:T) {
  model <- c(model, sprintf("wx%d ~ a*wx%d + b*wy%d", t, t - 1, t - 1), sprintf("wy%d ~ c*wx%d + d*wy%d", t, t - 1, t - 1))
  model <- c(model, sprintf("wx%d ~~ p*wx%d + q*wy%d", t, t, t), sprintf("wy%d ~~ r*wy%d", t, t))
}
model <- paste(model, collapse = "\n")
R <- matrix(rnorm(2 * n), n); w <- matrix(rnorm(2 * n), n); d <- NULL
for (t in 1:T) {
  d <- cbind(d, 3 + R + w + 0.1 * t)
  w <- cbind(0.4 * w[, 1] - 0.1 * w[, 2], -0.2 * w[, 1] + 0.3 * w[, 2]) + matrix(rnorm(2 * n), n)
}
d <- signif(d, 5)
d[matrix(runif(length(d)) < 0.03, n)] <- NA
last <- pmax(2, pmin(T, rgeom(n, 0.12) + 1))
d[col(d) > 2 * last] <- NA
colnames(d) <- paste0(c("x", "y"), rep(1:T, each = 2))
d <- d[rowSums(!is.na(d)) > 0, ]
n <- nrow(d)
tight <- list(rel.tol = 1e-14, iter.max = 20000, eval.max = 50000)
fit <- lavaan(model, as.data.frame(d), missing = "fiml", meanstructure = TRUE, se = "none", test = "none", control = tight)
S <- lavInspect(fit, "implied"); mu <- c(S$mean)[colnames(d)]; S <- matrix(S$cov[colnames(d), colnames(d)], 2 * T)
seen <- sapply(1:T, function(t) rowSums(!is.na(d[, 2 * t - 1:0])) > 0)
left <- t(apply(seen, 1, function(s) seq_len(T) > max(which(s))))
deviation <- sweep(d, 2, colMeans(d, na.rm = TRUE))
spread <- c(sd = sapply(1:2, function(v) sqrt(mean(deviation[, seq(v, 2 * T, 2)]^2, na.rm = TRUE))))
shifts <- rbind(c(0, 0), c(0, 0.5), c(-1, 0), c(0.5, 1))
phi <- list()
for (s in 1:nrow(shifts)) {
  full <- d; extra <- matrix(0, 2 * T, 2 * T)
  for (i in 1:n) {
    m <- which(is.na(d[i, ])); if (!length(m)) next
    o <- setdiff(1:(2 * T), m)
    B <- S[m, o, drop = FALSE] %*% solve(S[o, o])
    full[i, m] <- mu[m] + B %*% (d[i, o] - mu[o])
    extra[m, m] <- extra[m, m] + S[m, m] - B %*% S[o, m]
    for (t in which(left[i, ])) full[i, 2 * t - 1:0] <- full[i, 2 * t - 1:0] + shifts[s, ] * spread
  }
  C <- (crossprod(sweep(full, 2, colMeans(full))) + extra) / n
  dimnames(C) <- list(colnames(d), colnames(d))
  again <- lavaan(model, sample.cov = C, sample.mean = colMeans(full), sample.nobs = n, sample.cov.rescale = FALSE,
                  meanstructure = TRUE, se = "none", test = "none", control = tight)
  e <- parameterEstimates(again, se = FALSE)
  phi[[s]] <- sapply(c("a", "b", "c", "d"), function(l) e$est[e$label == l][1])
}
out <- list(R = R.version.string, lavaan = as.character(packageVersion("lavaan")), panel = unname(d), shifts = shifts,
            phi = unname(do.call(rbind, phi)), left = sum(rowSums(left) > 0))
writeLines(toJSON(out, digits = NA, na = "null", auto_unbox = TRUE), "tests/reference/unseen.json")
print(out$phi)
