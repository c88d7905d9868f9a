# Panels of two variables measured with error, from a generator that R and Python write alike (starts_data.py is its twin);
# uniforms as in riclpm_data.R. A person takes 4 + 6 T of them: 2 for the intercepts, 2 for the slopes, then per occasion
# 2 for the innovations, 2 for the errors and 2 for missingness.
source("riclpm_data.R")
CARRIED <- matrix(c(0.55, -0.15, -0.10, 0.45), 2) # [outcome, predictor]

starts_panel <- function(n, occasions, missing, slope, error, seed) {
  u <- matrix(uniforms(n * (4 + 6 * occasions), seed), n, byrow = TRUE)
  intercept <- qnorm(u[, 1:2]) %*% t(ROOT)
  own <- slope * qnorm(u[, 3:4])
  out <- matrix(NA_real_, n, 2 * occasions)
  gone <- rep(FALSE, n)
  for (t in seq_len(occasions)) {
    at <- 4 + 6 * (t - 1)
    innovation <- qnorm(u[, at + 1:2]) %*% t(ROOT)
    w <- if (t == 1) 1.2 * innovation else w %*% t(CARRIED) + innovation
    score <- intercept + (t - 1) * own + w + error * qnorm(u[, at + 3:4])
    y <- sweep(score, 2, c(5 + 0.1 * t, -0.2 * t), "+") * rep(c(1, 3), each = n)
    chance <- u[, at + 5:6, drop = FALSE]
    lost <- matrix(FALSE, n, 2)
    if (t > 1 && missing == "dropout") {
      gone <- gone | chance[, 1] < ifelse(previous[, 2] > 3, 0.15, 0.04)
      lost[gone, ] <- TRUE
    }
    if (missing == "skipped") lost <- chance < 0.1
    if (t > 1 && missing == "waves") lost[chance[, 1] < 0.12, ] <- TRUE
    previous <- y
    y[lost] <- NA
    out[, 2 * t - 1:0] <- y
  }
  colnames(out) <- paste0(c("x", "y"), rep(seq_len(occasions), each = 2))
  as.data.frame(out)
}
