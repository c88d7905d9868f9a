"""Stage 1 of one study as an R script: from the columns of its data files to the numbers that the run pooled."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from twostage.beside import text_beside
from twostage.collection import Content, Layout, Settings
from twostage.export.lavaan import MODELS, lavaan_lines
from twostage.params import Parameters
from twostage.stage1 import reliabilities
from twostage.stats.pool import r_string
from twostage.terms import DIRECTIONS, Direction

#: What a name must look like to be one in R, and in lavaan's formulas, without quotes.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


#: Names that the scripts use themselves, and R's own words.
_TAKEN = {
    *("patient", "session", "later", "data", "scores", "panel", "pairs", "estimates", "number", "both"),
    *("own", "if", "else", "repeat", "while", "function", "for", "next", "break", "in", "NA", "NULL"),
    *("TRUE", "FALSE", "Inf", "NaN", "T", "F", "c", "x", "y"),
}


@dataclass(frozen=True)
class Script:
    """What the script of one study is made of.

    Attributes
    ----------
    info : mapping
        The study's row of the registry.
    settings : Settings
        Of the collection: files and columns.
    missing : mapping
        Column -> code for a missing value.
    parameters : Parameters
    head : tuple of str
        Lines on what this is, for comments.
    saved : mapping
        File of the layout -> as it is called in the collection, and how it was saved where it is a CSV file; a plain
        CSV file need not be here.
    """

    info: Mapping[str, Any]
    settings: Settings
    missing: Mapping[str, str]
    parameters: Parameters
    head: tuple[str, ...] = ()
    saved: Mapping[str, tuple[str, Content | None]] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """What the script calls x and y: their columns, or x and y where these are no names in R."""
        columns = {v: self.settings.sessions.columns[v] for v in ("x", "y")}
        plain = all(_PLAIN.fullmatch(c) and c not in _TAKEN for c in columns.values())
        return columns if plain and len({c.lower() for c in columns.values()}) == 2 else {"x": "x", "y": "y"}

    @property
    def direction(self) -> dict[str, int]:
        """Of the scores: -1 where the measure is scored the other way."""
        return {v: int(self.info[f"{v}_direction"]) for v in ("x", "y")}

    def text(self) -> str:
        """The script."""
        parts = [self._opening(), self._scores(), self._panel(), self._models()]
        layout = self.settings.patients
        parts += [self._outcome(layout)] if layout and self._has_outcome else []
        parts += [self._estimates(), self._structures()]
        return "\n\n".join("\n".join(part) for part in parts if part) + "\n"

    @property
    def _has_outcome(self) -> bool:
        return bool(self.settings.patient_column("pre") and self.settings.patient_column("post"))

    def _opening(self) -> list[str]:
        about = [f"# {_one_line(line)}" for line in self.head]
        return [
            *about,
            "#",
            f"# Rscript stage1_{self.info['study']}.R FOLDER_OF_THE_COLLECTION        (default: the current folder)",
            "# It needs the packages lmerTest, which brings lme4, clubSandwich and lavaan.",
            "suppressMessages({library(lmerTest); library(clubSandwich); library(lavaan)})",
            "arguments <- commandArgs(trailingOnly = TRUE)",
            'collection <- if (length(arguments)) arguments[1] else "."',
        ]

    def _read(self, name: str, layout: Layout) -> list[str]:
        file, how = self.saved.get(layout.path(self.info), (layout.path(self.info), Content(b"")))
        path = f"file.path(collection, {r_string(file)})"
        if how is None:
            lines = [
                f"{name} <- nanoparquet::read_parquet({path})",
                f"{name} <- as.data.frame(lapply({name}, as.character), check.names = FALSE)",
                f'{name}[is.na({name})] <- ""',
            ]
        else:
            encoding = "UTF-8-BOM" if how.encoding == "utf-8" else how.encoding
            separator = f"sep = {r_string(how.separator)}, " if how.separator != "," else ""
            separator += f"skip = {how.before}, " if how.before else ""
            lines = [
                f'{name} <- read.csv({path}, colClasses = "character",',
                f"  {separator}check.names = FALSE, fileEncoding = {r_string(encoding)})",
            ]
        for column, source in layout.where.items():
            cell = f"{name}[[{r_string(column)}]] == {r_string(str(self.info[source]))}"
            lines.append(f"{name} <- {name}[{cell}, ]")
        return lines

    def _number(self, frame: str, column: str) -> str:
        codes = [r_string(self.missing[column])] if self.missing.get(column) else []
        return f"number({', '.join([f'{frame}[[{r_string(column)}]]', *codes])})"

    def _scores(self) -> Iterator[str]:
        columns, p, n = self.settings.sessions.columns, self.parameters, self.names
        yield "# --- the scores, as they are in the file; what is not a number is missing"
        yield "number <- function(cells, code = NULL) {"
        yield "  cells <- trimws(cells)"
        if any(how and how.decimal == "," for _, how in self.saved.values()):
            yield '  cells <- sub(",", ".", cells, fixed = TRUE)'
        yield '  as.numeric(ifelse(cells %in% c("", code), NA, cells))'
        yield "}"
        yield from self._read("data", self.settings.sessions)
        yield "scores <- data.frame("
        yield f"  patient = data[[{r_string(columns['patient'])}]],"
        yield f"  session = as.numeric(data[[{r_string(columns['session'])}]]),"
        yield f"  {n['x']} = {self._number('data', columns['x'])},"
        yield f"  {n['y']} = {self._number('data', columns['y'])})"
        yield ""
        yield f"# --- the window: sessions {p.first_session} to {p.last_session}; sessions without any score do not count"
        inside = f"scores$session >= {p.first_session} & scores$session <= {p.last_session}"
        yield f"scores <- scores[{inside}, ]"
        yield f"scores <- scores[!(is.na(scores${n['x']}) & is.na(scores${n['y']})), ]"
        for v in ("x", "y"):
            if self.direction[v] == -1:
                yield f"scores${n[v]} <- {self._turned(f'scores${n[v]}', v)}   # scored the other way"

    def _turned(self, score: str, v: str) -> str:
        low, high = (repr(float(self.info[f"{v}_{end}"])) for end in ("min", "max"))
        return f"{low} + {high} - {score}"

    def _panel(self) -> Iterator[str]:
        n, p = self.names, self.parameters
        yield from _standardized(n, p.standardize)
        yield from _detrended(n, p.detrend)
        yield f"# --- patients with at least {p.min_sessions} sessions on which both were observed"
        both = f"tapply(!is.na(scores${n['x']}) & !is.na(scores${n['y']}), scores$patient, sum)"
        yield f"both <- {both}"
        yield f"panel <- scores[scores$patient %in% names(both)[both >= {p.min_sessions}], ]"
        yield ""
        yield "# --- each patient's mean, and the deviations from it"
        yield "own <- function(score, patient) ave(score, patient, FUN = function(s) mean(s, na.rm = TRUE))"
        for v in n.values():
            yield f"panel${v}_mean <- own(panel${v}, panel$patient)"
            yield f"panel${v}_within <- panel${v} - panel${v}_mean"
        yield ""
        yield f"# --- pairs: both at session t, the outcome at session t + {p.lag} itself"
        yield "pairs <- function(outcome) {"
        yield f"  at <- match(paste(panel$patient, panel$session + {p.lag}), paste(panel$patient, panel$session))"
        yield "  found <- transform(panel, later = panel[[outcome]][at])"
        yield f"  found[!is.na(found${n['x']}) & !is.na(found${n['y']}) & !is.na(found$later), ]"
        yield "}"

    def _terms(self, d: Direction) -> list[str]:
        """Columns of the lagged equation, in the order of its terms."""
        ours = {f"{v}_{kind}": f"{self.names[v]}_{kind}" for v in ("x", "y") for kind in ("within", "mean")}
        return [ours[term] for term in d.lagged[1:]]

    def _models(self) -> Iterator[str]:
        yield "# --- the models: restricted maximum likelihood, run to more digits than lme4 does by itself"
        yield 'precise <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.1, rhoend = 1e-7, maxfun = 1e5))'
        for d in DIRECTIONS.values():
            terms, outcome = self._terms(d), self.names[d.outcome]
            slopes = f"1 + {terms[0]} + {terms[1]}" if self.parameters.random_slopes else "1"
            yield ""
            yield f"rows <- pairs({r_string(outcome)})   # later is {outcome} at session t + {self.parameters.lag}"
            right = f"{' + '.join(terms)} + ({slopes} | patient)"
            yield f"{d.name} <- lmer(later ~ {right}, data = rows, control = precise)"
            means = [terms[2], terms[3]]
            yield "# Does the effect depend on the patient's means? These centred: every patient counts once."
            yield "once <- rows[!duplicated(rows$patient), ]"
            for mean in means:
                yield f"rows${mean} <- rows${mean} - mean(once${mean})"
            products = [f"{terms[0]}:{mean}" for mean in means]
            right = f"{' + '.join(terms + products)} + ({slopes} | patient)"
            yield f"{d.name}_by_means <- lmer(later ~ {right}, data = rows, control = precise)"
        yield "print(summary(x_to_y)); print(summary(y_to_x))"

    def _outcome(self, layout: Layout) -> Iterator[str]:
        x, last, columns = self.names["x"], self.parameters.early_last_session, layout.columns
        yield f"# --- early {x} (to session {last}) and the outcome, given intake"
        yield from self._read("persons", layout)
        yield f"early <- panel[panel$session <= {last} & !is.na(panel${x}), ]"
        yield f"early <- tapply(early${x}, early$patient, mean)"
        yield "persons <- data.frame("
        yield f"  early = as.numeric(early[persons[[{r_string(columns['patient'])}]]]),"
        ends = [f"  {c} = {self._number('persons', columns[c])}" for c in ("pre", "post")]
        yield ",\n".join(ends) + ")"
        if self.direction["y"] == -1:
            for c in ("pre", "post"):
                yield f"persons${c} <- {self._turned(f'persons${c}', 'y')}   # scored the other way"
        yield "persons <- persons[complete.cases(persons), ]"
        yield "partial_r <- cor(residuals(lm(early ~ pre, persons)), residuals(lm(post ~ pre, persons)))"
        yield "weight <- summary(lm(scale(post) ~ scale(early) + scale(pre), persons))$coefficients[2, ]"

    def _estimates(self) -> Iterator[str]:
        yield "# --- what goes on to stage 2"
        if self.parameters.stage1_errors != "model":
            yield from _CLUSTERED
        yield "of <- function(fit, analysis, direction) {"
        yield "  s <- as.data.frame(coef(summary(fit)))"
        if self.parameters.stage1_errors != "model":
            yield '  s[c("Std. Error", "df")] <- clustered(fit)'
        yield "  data.frame(analysis, direction, term = rownames(s), estimate = s$Estimate,"
        yield '    std_error = s[["Std. Error"]], df = s$df)'
        yield "}"
        yield "estimates <- rbind("
        fits = [
            f'  of({d}{end}, "{analysis}", "{d}")'
            for analysis, end in (("lagged", ""), ("crosslevel", "_by_means"))
            for d in DIRECTIONS
        ]
        yield ",\n".join(fits) + ")"
        if self._has_outcome:
            yield 'estimates <- rbind(estimates, data.frame(analysis = "outcome", direction = "x_to_y",'
            yield '  term = c("partial_r_z", "x_early_standardized"), estimate = c(atanh(partial_r), weight[[1]]),'
            yield (
                "  std_error = c(sqrt(1 / (nrow(persons) - 4)), weight[[2]]), df = c(Inf, nrow(persons) - 3)))"
            )

    def _structures(self) -> Iterator[str]:
        p, sessions = self.parameters, range(self.parameters.first_session, self.parameters.last_session + 1)
        if p.lag == 1 and len(sessions) >= 3:
            yield "# --- models of everyone with a score in the window, by full-information maximum likelihood"
            known = reliabilities(dict(self.info))
            yield from lavaan_lines(
                self.names["x"],
                self.names["y"],
                list(sessions),
                (known["reliability"], known["reliability_kind"]),
            )
            calls = [f'  panel_model({name}, "{name}")' for name, _ in MODELS]
            yield "estimates <- rbind(estimates,"
            yield ",\n".join(calls) + ")"
        yield "write.csv(estimates, row.names = FALSE)"


_CLUSTERED = text_beside(__file__, ".R").splitlines()


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


def _standardized(names: Mapping[str, str], how: str) -> Iterator[str]:
    if how == "none":
        return
    if how == "total":
        yield "# --- in standard deviations of all scores of the window"
        for v in names.values():
            yield f"scores${v} <- scores${v} / sd(scores${v}, na.rm = TRUE)"
    else:
        yield "# --- in standard deviations within patients"
        yield "within_sd <- function(score, patient) sigma(lm(score ~ factor(patient)))"
        for v in names.values():
            yield f"scores${v} <- scores${v} / within_sd(scores${v}, scores$patient)"
    yield ""


def _detrended(names: Mapping[str, str], how: str) -> Iterator[str]:
    if how == "none":
        return
    yield (
        "# --- without "
        + {"session": "the trend that patients share", "patient": "each patient's own trend"}[how]
    )
    yield "without_trend <- function(score) {"
    yield "  time <- ifelse(is.na(score), NA, scores$session)"
    yield "  time <- time - ave(time, scores$patient, FUN = function(t) mean(t, na.rm = TRUE))"
    if how == "session":
        yield "  slope <- sum(time * score, na.rm = TRUE) / sum(time^2, na.rm = TRUE)"
        yield "  score - slope * (scores$session - mean(scores$session))"
    else:
        yield "  total <- function(v) ave(v, scores$patient, FUN = function(s) sum(s, na.rm = TRUE))"
        yield "  square <- total(time^2)"
        yield "  score - time * ifelse(square > 0, total(time * score) / square, 0)"
    yield "}"
    for v in names.values():
        yield f"scores${v} <- without_trend(scores${v})"
    yield ""
