# Reference numbers for twostage.stats.robust, by metafor's robust() and clubSandwich.
#
#   Rscript tests/reference/robust.R        (from the top of the repository, after mv.R; a few seconds)
#
# reads mv_data.json.gz and mv_fits.json.gz, writes
#   robust_fits.json.gz      per model: CR0 and CR1 (metafor), CR2 with Satterthwaite df and HTZ tests (clubSandwich),
#                         and CR2 once more, slowly, from the formulas of Pustejovsky & Tipton 2018
#   robust_versions.json
#
# The working models are those of mv_fits.json.gz, their variance components held at the values there.

suppressMessages({library(metafor); library(clubSandwich)})
options(warn = 1)
folder <- "tests/reference"
sets <- jsonlite::fromJSON(file.path(folder, "mv_data.json.gz"), simplifyVector = FALSE)
fits <- jsonlite::fromJSON(file.path(folder, "mv_fits.json.gz"), simplifyVector = FALSE)
numeric <- function(x) vapply(x, function(v) if (is.null(v)) NA_real_ else as.numeric(v), 0)

covariance <- function(V) {
  if (!is.list(V[[1]])) return(diag(numeric(V)))
  bldiag(lapply(V, function(b) do.call(rbind, lapply(b, numeric))))
}
clusters <- c(konstantopoulos = "district", berkey = "trial", assink = "study", assink_subset = "study", fine = "study", kalaian = "study",
  ishak = "study", bcg_arms = "trial", riley = "study", craft = "study", knapp = "study", bornmann = "study", crede = "study",
  tannersmith = "study", nakagawa = "place", k3 = "study", outlier = "study", missing = "study", six_orders = "study", three_outcomes = "lab")

refit <- function(f, d) {
  y <- numeric(d$y)
  X <- if (length(f$columns)) sapply(f$columns, function(c) if (c == "1") rep(1, length(y)) else numeric(d$columns[[c]])) else matrix(1, length(y))
  colnames(X) <- if (length(f$columns)) unlist(f$columns) else "intercept"
  factors <- as.data.frame(lapply(d$factors, unlist))
  random <- c(if (length(f$nested)) list(as.formula(paste("~ 1 |", paste(unlist(f$nested), collapse = "/")))),
              if (!is.null(f$inner)) list(as.formula(paste("~", f$inner, "|", f$outer))))
  fixed <- list(sigma2 = if (length(f$sigma2)) numeric(f$sigma2), tau2 = if (length(f$tau2)) numeric(f$tau2), rho = if (length(f$rho)) numeric(f$rho))
  a <- c(list(yi = y, V = covariance(d$V), mods = X, intercept = FALSE, random = random, data = factors, method = f$method),
         Filter(Negate(is.null), fixed), if (!is.null(f$struct)) list(struct = f$struct))
  # Warnings about variances of very different size are expected.
  suppressWarnings(do.call(rma.mv, a))
}

# Formulas as printed: dense matrices over all estimates, adjustment by symmetric square roots, one contrast at a time.
slow <- function(r, cluster) {
  X <- r$X; M <- r$M; n <- nrow(X); p <- ncol(X)
  W <- solve(M); B <- solve(t(X) %*% W %*% X); e <- r$yi - X %*% r$beta
  IH <- diag(n) - X %*% B %*% t(X) %*% W
  power <- function(S, a) {
    z <- eigen((S + t(S)) / 2, symmetric = TRUE)
    z$vectors %*% (ifelse(z$values > 1e-10 * max(z$values), z$values^a, 0) * t(z$vectors))
  }
  arms <- lapply(unique(cluster), function(c) {
    at <- which(cluster == c)
    D <- chol(M[at, at, drop = FALSE])
    inner <- D %*% (IH %*% M %*% t(IH))[at, at, drop = FALSE] %*% t(D)
    A <- t(D) %*% power(inner, -1/2) %*% D
    G <- matrix(0, n, p)
    G[at, ] <- t(A) %*% W[at, at] %*% X[at, , drop = FALSE] %*% B
    G
  })
  vcov <- Reduce(`+`, lapply(arms, function(G) t(G) %*% e %*% t(e) %*% G))
  df <- sapply(seq_len(p), function(j) {
    Q <- sapply(arms, function(G) t(IH) %*% G[, j])
    S <- t(Q) %*% M %*% Q
    sum(diag(S))^2 / sum(S^2)
  })
  list(vcov = vcov, df = df)
}

numbers <- function(f) {
  d <- sets[[f$data]]
  cluster <- unlist(d$factors[[clusters[[f$data]]]])
  r <- refit(f, d)
  if (length(unique(cluster)) <= r$p) return(NULL)
  simple <- function(adjust) {
    x <- robust(r, cluster = cluster, adjust = adjust)
    list(vb = x$vb, se = x$se, zval = x$zval, pval = x$pval, ci_low = x$ci.lb, ci_high = x$ci.ub, df = x$dfs)
  }
  V <- vcovCR(r, cluster = cluster, type = "CR2")
  tests <- coef_test(r, vcov = V, test = "Satterthwaite")
  ends <- conf_int(r, vcov = V)
  wald <- if (r$p > 1) Wald_test(r, constrain_zero(seq_len(r$p)), vcov = V, test = "HTZ")
  again <- slow(r, cluster)
  cat(sprintf("%-18s %-4s slow against clubSandwich: %.1e\n", f$data, f$method, max(abs(again$vcov / as.matrix(V) - 1))))
  list(data = f$data, method = f$method, struct = f$struct, columns = if (length(f$columns)) I(unlist(f$columns)), cluster = clusters[[f$data]],
       beta = I(c(r$beta)), CR0 = simple(FALSE), CR1 = simple(TRUE),
       CR2 = list(vb = unclass(as.matrix(V)), se = tests$SE, zval = tests$tstat, pval = tests$p_Satt, df = I(tests$df_Satt),
                  ci_low = ends$CI_L, ci_high = ends$CI_U, F = wald$Fstat, df1 = wald$df_num, df2 = wald$df_denom, p = wald$p_val),
       slow = list(vb = again$vcov, df = I(again$df)))
}
wanted <- Filter(function(f) f$data %in% names(clusters) && f$method == "REML", fits)
out <- Filter(Negate(is.null), lapply(wanted, numbers))
file <- gzfile(file.path(folder, "robust_fits.json.gz"), "w", compression = 9)
writeLines(jsonlite::toJSON(out, auto_unbox = TRUE, digits = I(17), null = "null", na = "null"), file)
close(file)
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), clubSandwich = as.character(packageVersion("clubSandwich")))
writeLines(jsonlite::toJSON(versions, auto_unbox = TRUE), file.path(folder, "robust_versions.json"))
