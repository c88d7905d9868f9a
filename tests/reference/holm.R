# Reference numbers for twostage.stats.holm: Rscript tests/reference/holm.R (from the top of the repository).
p <- list(c(0.01, 0.02, 0.03, 0.04, 0.05), c(0.5, 0.001, 0.04, 0.04, 0.9), c(0.2, NA, 0.01, 0.03), 0.3,
          signif((1:20)^2 / 500, 6))
out <- list(R = R.version.string, cases = lapply(p, function(x) list(p = x, adjusted = p.adjust(x, "holm"))))
writeLines(jsonlite::toJSON(out, digits = I(17), auto_unbox = FALSE, na = "null"), "tests/reference/holm.json")
