"""The run's tables and figures as a paper numbers them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from twostage.display import readable
from twostage.export.source import Source
from twostage.notebooks import HOME
from twostage.pages.common.tables import Effect, effect, study_table
from twostage.terms import DIRECTIONS, arrow, estimator_words, term_label
from twostage.text import read_csv

#: What a paper calls the tables and figures that a page left, by the beginning of their names.
TITLES = {
    "adjusted": "Effects Adjusted for Small-Study Effects",
    "autoregression": "Autoregressions by Estimator",
    "baujat": "Contribution to Heterogeneity and Influence of Each Study",
    "believe": "Which Estimator to Believe Under Which Condition",
    "bias": "Bias of the Estimators in the Recovery Study",
    "bubbles": "Effects and Moderators",
    "casewise": "Influence of Each Study",
    "by_precision": "Cumulative Meta-Analysis by Precision",
    "by_transition": "Pooled Effects of Each Transition",
    "by_year": "Cumulative Meta-Analysis by Year",
    "comparison": "Both Directions Pooled Together and Apart",
    "components": "Variance Between and Within Countries",
    "countries": "Studies Within Countries",
    "coverage": "Coverage of the Estimators in the Recovery Study",
    "design": "Effects by Design",
    "estimators": "Estimators Side by Side",
    "few": "Pools of Few Studies in the Recovery Study",
    "forest_outcome": "Forest Plot of the Relation With the Outcome",
    "forest": "Forest Plot",
    "funnel": "Funnel Plot",
    "gosh": "Pooled Effects of Subsets of the Studies",
    "heterogeneity": "Heterogeneity of Both Effects",
    "joint": "Both Effects in One Model",
    "onestage": "One Model of All Patients Beside Two Stages",
    "joint_region": "Joint Confidence Region of Both Effects",
    "lags": "The Estimators at Longer Lags",
    "leave_one_out": "Pooled Effects Without Each Study",
    "moderators": "Moderators of the Effect",
    "panel": "Casewise Diagnostics",
    "radial": "Radial Plot",
    "studies": "Both Effects in Each Study",
    "study_moderators": "Moderators of Each Study",
    "tests": "Tests of Small-Study Effects",
    "type_1": "Type I Error of the Estimators in the Recovery Study",
    "variants": "Pooled Effects Under Other Choices",
    "windows": "Two Windows of Sessions",
}


#: Files that are made into a table of its own here, or hold sentences.
_OTHERWISE = ("flow", "words_", "sentences")


@dataclass(frozen=True)
class PaperTable:
    """A table as a paper prints it.

    Attributes
    ----------
    title : str
    cells : pandas.DataFrame
        All text.
    note : str
        Below it.
    """

    title: str
    cells: pd.DataFrame
    note: str


@dataclass(frozen=True)
class PaperFigure:
    """A figure as a paper prints it.

    Attributes
    ----------
    name : str
        For files: its page and what the page calls it.
    title, note : str
    svg : Path
    """

    name: str
    title: str
    note: str
    svg: Path


def tables(source: Source) -> list[PaperTable]:
    """The run's tables, in the order of a paper."""
    found = [*_studies(source), _pooled(source), *_each(source), _variants(source), _estimators(source)]
    return [*found, *_left(source)]


def figures(source: Source) -> list[PaperFigure]:
    """The run's figures, in the order of the book; those that could not be drawn are left out."""
    found = []
    for page in source.run.stage2:
        for about in sorted(source.run.output_folder(page).glob("*.json")):
            told, svg = json.loads(about.read_text(encoding="utf-8")), about.with_suffix(".svg")
            if "alt" in told and svg.is_file():
                name = f"{page.removeprefix('stage2_')}_{about.stem}"
                found.append(
                    PaperFigure(name, _title(source, about.stem), _note(source, _sentence(told["alt"])), svg)
                )
    return found


def _note(source: Source, *parts: str) -> str:
    return " ".join(part for part in (*parts, source.caution) if part)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _title(source: Source, name: str) -> str:
    """``Forest Plot: alliance → symptoms``; the longest beginning that is known."""
    known = max((start for start in TITLES if name.startswith(start)), key=len, default="")
    ways = [d for d in DIRECTIONS if d in name]
    plain_name = name.replace(ways[0], "") if ways else name
    title = TITLES.get(known, " ".join(plain_name.split("_")).strip().capitalize())
    return f"{title}: {_arrow(source, ways[0])}" if ways else title


def _arrow(source: Source, direction: str) -> str:
    return arrow(direction, source.collection.x.label, source.collection.y.label)


def _ci(source: Source) -> str:
    return f"{100 * source.parameters.level:g}% CI"


def _studies(source: Source) -> Iterator[PaperTable]:
    names = {
        "label": "Study",
        "country": "Country",
        "year": "Year",
        "setting": "Setting",
        "treatment": "Treatment",
        "design": "Design",
        "x_instrument": source.collection.x.label,
        "y_instrument": source.collection.y.label,
        "n": "n",
    }
    there = source.collection.studies
    columns = [c for c in names if c in there and there[c].notna().any()]
    cells = readable(there[columns]).rename(columns=names)
    if "year" in columns:
        cells["Year"] = ["–" if pd.isna(y) else str(int(y)) for y in there["year"]]
    yield PaperTable("Characteristics of the Studies", cells, _note(source, "n = participants enrolled."))
    # Whole numbers stay whole where some are withheld.
    flow = read_csv(source.run.output_folder(HOME["lagged"]) / "flow.csv").convert_dtypes()
    said = _note(source, source.context["results_only"])
    yield PaperTable(
        "From Enrolment to Analysis", readable(flow).rename(columns=lambda c: c.replace("_", " ")), said
    )


def _effect_cells(source: Source, first: dict[str, str], e: Effect) -> dict[str, str]:
    numbers = {"k": e.k, "n": e.n_patients, "Estimate": e.estimate, _ci(source): e.ci, "p": e.p}
    return first | numbers | {"Prediction interval": e.pi, "τ": e.tau, "I² (%)": e.i2}


def _how(source: Source) -> str:
    p = source.parameters
    return f"k = studies; n = participants; CI = confidence interval; τ² by {p.tau2_method}."


def _pooled(source: Source) -> PaperTable:
    rows = []
    for analysis in ("lagged", "crosslevel", *(["outcome"] if source.run.has_outcome else [])):
        table = read_csv(source.run.output_folder(HOME[analysis]) / f"pooled_{analysis}.csv")
        for row in table[table["term"] != "intercept"].to_dict("records"):
            label = term_label(
                row["direction"], row["term"], source.collection.x.label, source.collection.y.label
            )
            first = {
                "Equation": _arrow(source, row["direction"]),
                "Effect": label.replace("Fisher z", "partial r"),
            }
            rows.append(_effect_cells(source, first, effect(row, float(row["level"]))))
    said = _note(source, f"Effects in {source.context['unit']}.", _how(source))
    return PaperTable("Pooled Effects", pd.DataFrame(rows), said)


def _each(source: Source) -> Iterator[PaperTable]:
    """The studies behind each effect that answers the question."""
    lagged = source.pooled("lagged")
    wanted = [(lagged, d.name, d.cross) for d in DIRECTIONS.values()]
    wanted += [(source.pooled("outcome"), "x_to_y", "partial_r_z")] if source.run.has_outcome else []
    for pooled, direction, term in wanted:
        if ("main", direction, term) not in pooled.fits:
            continue
        cells = study_table(pooled, direction, term).drop(columns="singular")
        names = {"interval": _ci(source)} | {c: str(c).capitalize() for c in cells if c != "interval"}
        what = "Early Scores and Outcome" if term == "partial_r_z" else _arrow(source, direction)
        note = "Partial correlations." if term == "partial_r_z" else f"Effects in {source.context['unit']}."
        yield PaperTable(f"Effect in Each Study: {what}", cells.rename(columns=names), _note(source, note))


def _cross_rows(source: Source, analysis: str) -> Iterator[dict]:
    table = read_csv(source.run.output_folder(HOME[analysis]) / f"pooled_{analysis}.csv")
    for d in DIRECTIONS.values():
        yield from table[(table["direction"] == d.name) & (table["term"] == d.cross)].to_dict("records")


def _variants(source: Source) -> PaperTable:
    rows = []
    for row in _cross_rows(source, "sensitivity"):
        first = {"Effect": _arrow(source, row["direction"]), "Analysis": row["variant"]}
        rows.append(_effect_cells(source, first, effect(row, float(row["level"]))))
    said = "Coefficients standardized in other ways are in other units."
    return PaperTable(
        "Pooled Effects Under Other Choices", pd.DataFrame(rows), _note(source, said, _how(source))
    )


def _estimators(source: Source) -> PaperTable:
    rows = []
    for row in _cross_rows(source, "estimators"):
        first = {"Effect": _arrow(source, row["direction"]), "Estimator": estimator_words(row["estimator"])}
        rows.append(_effect_cells(source, first, effect(row, float(row["level"]))))
    return PaperTable("Estimators Side by Side", pd.DataFrame(rows), _note(source, _how(source)))


def _files(source: Source) -> Iterator[tuple[str, Path, bool]]:
    """The pages' tables: page, file, and whether it is one for readers; names of columns with ``_`` are for programs."""
    for page in source.run.stage2:
        for path in sorted(source.run.output_folder(page).glob("*.csv")):
            if not path.name.startswith(_OTHERWISE):
                heads = pd.read_csv(path, nrows=0).columns
                yield page, path, "reason" not in heads and not any("_" in head for head in heads)


def _left(source: Source) -> Iterator[PaperTable]:
    """The tables that pages left as readers see them."""
    for _, path, shown in _files(source):
        cells = read_csv(path, texts=True) if shown else pd.DataFrame()
        if len(cells):
            yield PaperTable(_title(source, path.stem), cells, _note(source))


def numbers(source: Source) -> dict[str, pd.DataFrame]:
    """The tables of numbers as precisely as a workbook holds them, by the names of their sheets."""
    found: dict[str, pd.DataFrame] = {}
    for page, path, shown in _files(source):
        table = pd.DataFrame() if shown else read_csv(path)
        if len(table):
            # Two pages have a table of the same name.
            name = path.stem if path.stem not in found else f"{page.removeprefix('stage2_')}_{path.stem}"
            found[name] = table
    return found
