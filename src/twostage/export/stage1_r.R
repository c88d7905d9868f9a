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
