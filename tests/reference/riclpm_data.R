# Panels of two variables from a generator that R and Python write alike: tests/reference/riclpm_data.py is its twin.
# Uniforms: Park & Miller's generator, s <- 16807 s mod (2^31 - 1), u = s / (2^31 - 1), exact in doubles. Person after
# person each takes 2 + 4 T of them: 2 for the intercepts, then per occasion 2 for the innovations and 2 for missingness.
# Normals are quantiles of uniforms.
PHI <- matrix(c(0.30, -0.10, -0.07, 0.40), 2) # [outcome, predictor]
ROOT <- matrix(c(1, -0.3, 0, 0.9), 2)

uniforms <- function(count, seed) {
  u <- numeric(count)
  s <- seed
  for (k in seq_len(200 + count)) {
    s <- (16807 * s) %% 2147483647
    if (k > 200) u[k - 200] <- s / 2147483647
  }
  u
}

panel <- function(n, occasions, missing, seed) {
  u <- matrix(uniforms(n * (2 + 4 * occasions), seed), n, byrow = TRUE)
  intercept <- qnorm(u[, 1:2]) %*% t(ROOT)
  out <- matrix(NA_real_, n, 2 * occasions)
  gone <- rep(FALSE, n)
  for (t in seq_len(occasions)) {
    at <- 2 + 4 * (t - 1)
    innovation <- qnorm(u[, at + 1:2]) %*% t(ROOT)
    w <- if (t == 1) 1.2 * innovation else w %*% t(PHI) + innovation
    y <- sweep(intercept + w, 2, c(5 + 0.1 * t, -0.2 * t), "+") * rep(c(1, 3), each = n)
    chance <- u[, at + 3:4, drop = FALSE]
    lost <- matrix(FALSE, n, 2)
    if (t > 1) {
      if (missing == "dropout") gone <- gone | chance[, 1] < ifelse(previous[, 2] > 3, 0.15, 0.04)
      if (missing == "dropout") lost[gone, ] <- TRUE
      if (missing == "waves") lost[chance[, 1] < 0.2, ] <- TRUE
      if (missing == "second") lost[chance[, 2] < 0.6, 2] <- TRUE
    }
    if (missing == "items") lost <- chance < 0.1
    previous <- y
    y[lost] <- NA
    out[, 2 * t - 1:0] <- y
  }
  colnames(out) <- paste0(c("x", "y"), rep(seq_len(occasions), each = 2))
  as.data.frame(out)
}
