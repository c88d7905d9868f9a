# Runs the scripts that the export writes (export_cases.py makes them) and keeps what they give.
#
#   Rscript tests/reference/export.R        (from the top of the repository; a minute or two)
#
# writes next to itself
#   export_<case>.csv       analysis, direction, term, estimate, std_error, df: what each script prints at its end
#   export_versions.json    versions
folder <- "tests/reference"
for (case in c("default", "within", "lag", "reliable")) {
  said <- system2("Rscript", c(file.path(folder, paste0("export_", case, ".R")), "data"), stdout = TRUE)
  begin <- grep('^"analysis"', said)
  stopifnot(length(begin) == 1)
  writeLines(said[begin:length(said)], file.path(folder, paste0("export_", case, ".csv")))
}
packages <- sapply(c("lme4", "lmerTest", "clubSandwich", "lavaan"), function(p) as.character(packageVersion(p)), simplify = FALSE)
versions <- c(list(R = R.version.string), packages)
writeLines(jsonlite::toJSON(versions, auto_unbox = TRUE, pretty = TRUE), file.path(folder, "export_versions.json"))
