# Input of the mixed-model references: two classic data sets and a panel of 1,500 patients, seven sessions.
# Run from this folder: Rscript mixed_data.R   (lme4 and nlme supply the classics)
library(lme4)
data(Orthodont, package = "nlme")

write.csv(
  data.frame(group = sleepstudy$Subject, y = sleepstudy$Reaction, Days = sleepstudy$Days),
  "mixed_sleepstudy.csv", row.names = FALSE, quote = FALSE
)
write.csv(
  data.frame(
    group = Orthodont$Subject, y = Orthodont$distance, age = Orthodont$age,
    Female = as.numeric(Orthodont$Sex == "Female")
  ),
  "mixed_orthodont.csv", row.names = FALSE, quote = FALSE
)

# Bivariate VAR(1) within patients around correlated intercepts; each patient has slopes of his own. Some sessions are
# skipped, some patients leave, so the transitions per patient run from 1 to 6.
set.seed(20200915)
sessions <- function(id) {
  level <- c(rnorm(1, 0, 0.9), rnorm(1, 0, 0.8))
  cross <- rnorm(1, -0.10, 0.18)
  own <- rnorm(1, 0.30, 0.15)
  x <- rnorm(1)
  y <- rnorm(1)
  for (t in 2:7) {
    x[t] <- 0.3 * x[t - 1] - 0.05 * y[t - 1] + rnorm(1, 0, 0.9)
    y[t] <- own * y[t - 1] + cross * x[t - 1] + rnorm(1, 0, 0.9)
  }
  last <- min(7, 3 + rgeom(1, 0.12))
  seen <- seq_len(7) <= last & (runif(7) > 0.05 | seq_len(7) <= 3)
  data.frame(group = id, session = 1:7, x = round(level[1] + x, 2), y = round(level[2] + y, 2))[seen, ]
}
panel <- do.call(rbind, lapply(1:1500, sessions))
out <- gzfile("mixed_panel.csv.gz", "w", compression = 9)
write.csv(panel, out, row.names = FALSE, quote = FALSE)
close(out)
