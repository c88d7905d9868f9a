# Rscript tests/reference/multiverse.R   (from the top of the repository)
# Variance of y over a balanced and an unbalanced grid of three choices: sums of squares of aov, and conditional moments
# by tapply. Writes multiverse_data.csv, multiverse_shares.csv and multiverse_versions.json.
set.seed(20261201)
folder <- "tests/reference/"
full <- expand.grid(a = 1:3, b = 1:2, c = 1:4)
full$y <- 0.3 * full$a - 0.2 * full$b + 0.1 * full$a * (full$c == 2) + rnorm(nrow(full), sd = 0.05)
part <- full[!(full$a == 3 & full$b == 2) & !(full$c == 4 & full$a == 1), ]
data <- rbind(cbind(grid = "full", full), cbind(grid = "part", part))
rows <- list()
for (grid in c("full", "part")) {
  d <- data[data$grid == grid, ]
  moment <- function(by) sum((ave(d$y, by) - mean(d$y))^2) / sum((d$y - mean(d$y))^2)
  for (choice in c("a", "b", "c")) {
    rest <- setdiff(c("a", "b", "c"), choice)
    rows[[length(rows) + 1]] <- data.frame(grid = grid, choice = choice, first = moment(d[[choice]]),
      total = 1 - moment(interaction(d[[rest[1]]], d[[rest[2]]], drop = TRUE)))
  }
}
shares <- do.call(rbind, rows)
fit <- summary(aov(y ~ factor(a) * factor(b) * factor(c), data[data$grid == "full", ]))[[1]]
squares <- setNames(fit[["Sum Sq"]], trimws(rownames(fit)))
shares$aov_first <- shares$aov_total <- NA
for (choice in c("a", "b", "c")) {
  at <- shares$grid == "full" & shares$choice == choice
  term <- paste0("factor(", choice, ")")
  shares$aov_first[at] <- squares[[term]] / sum(squares)
  shares$aov_total[at] <- sum(squares[grepl(term, names(squares), fixed = TRUE)]) / sum(squares)
}
options(digits = 17)
write.csv(format(data, digits = 17, trim = TRUE), paste0(folder, "multiverse_data.csv"), row.names = FALSE, quote = FALSE)
write.csv(format(shares, digits = 17, trim = TRUE), paste0(folder, "multiverse_shares.csv"), row.names = FALSE, quote = FALSE)
writeLines(sprintf('{\n "R": "%s",\n "stats": "%s"\n}', getRversion(), packageVersion("stats")), paste0(folder, "multiverse_versions.json"))
