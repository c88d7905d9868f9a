"""The live forest of the book's pages: its place in a page, and its data, from the tables that pooled notebooks left."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from twostage.collection import Collection
from twostage.notebooks import HOME
from twostage.pages.common.tables import effect
from twostage.pipeline.book.read import read_table
from twostage.pipeline.book.scripts import FOREST, MULTIVERSE
from twostage.terms import DIRECTIONS, HEADLINE, arrow, estimator_words
from twostage.text import Markup, rich_texts
from twostage.words import say

#: Columns of the registry by which studies can be chosen.
_COLUMNS = ("country", "setting", "treatment", "design", "x_instrument", "y_instrument")


@dataclass(frozen=True)
class _Effect:
    """One pooled coefficient that a forest can show.

    Attributes
    ----------
    key, direction, term : str
    words, lead : str
        What it is called, and how a sentence on it begins.
    analyses : tuple of str
        Where its estimates are; the first one is the headline's.
    """

    key: str
    direction: str
    term: str
    words: str
    lead: str
    analyses: tuple[str, ...]


def live_forest(effect: str, static: str) -> Markup:
    """A place for the live forest of an effect around the figure that is there without JavaScript and on paper.

    Parameters
    ----------
    effect : str
        Key of one of the effects of :func:`forest_data`.
    static : str
        The figure, as MyST; without one there is no forest.
    """
    if not static:
        return Markup("")
    head = f'<div class="{FOREST.css}" id="forest-{effect}" data-forest="{effect}" data-effect="{effect}">'
    # Empty lines end HTML in MyST, so that what stands between is MyST again.
    return Markup(f"{head}\n\n{static}\n\n</div>")


def live_curve(direction: str, static: str) -> Markup:
    """The same for the specification curve of a direction (:mod:`twostage.pages.multiverse.live`)."""
    if not static:
        return Markup("")
    return Markup(f'<div class="{MULTIVERSE.css}" data-effect="{direction}">\n\n{static}\n\n</div>')


def forest_data(output: Path, collection: Collection, lag: int, unit: str) -> dict[str, Any]:
    """Everything that the live forests of a run's book show.

    Parameters
    ----------
    output : Path
        A run's ``output/``.
    collection : Collection
    lag : int
        Sessions from a predictor to what it predicts.
    unit : str
        Of the effects, in words.

    Returns
    -------
    dict
        studies, columns, effects (each with its sources: one for each estimator and variant, rows of study, estimate,
        standard error, df, patients, transitions), and texts.
    """
    table = collection.studies
    ids = list(table["study"])
    names = {"x_instrument": collection.x.label, "y_instrument": collection.y.label}
    differ = [c for c in _COLUMNS if table[c].replace("", pd.NA).nunique() > 1]
    found = [_effect_data(output, e, ids) for e in _effects(collection, lag, unit) if _has(output, e)]
    note = " ".join(rich_texts(collection.note))
    return {
        "studies": [_study(row, set(collection.shared)) for row in table.to_dict("records")],
        "columns": [{"key": c, "words": names.get(c, c)} for c in differ],
        "effects": found,
        "words": {"patients": say("patients")},
        "caption": _caption(note),
        "note": note,
    }


def _caption(note: str) -> str:
    text = (
        "Each line is a study: untick it to leave it out. Square and line: estimate and interval, the area growing with the"
        " weight; below them the pooled effect as a diamond and the prediction interval as a bar. A column's title sorts."
    )
    return f"{text} {note}".strip()


def _study(row: Mapping[Any, Any], shared: set[str]) -> dict[str, Any]:
    facts = {c: str(row[c]) for c in _COLUMNS if not pd.isna(row[c]) and row[c] != ""}
    year = None if pd.isna(row["year"]) else int(row["year"])
    return {
        "id": row["study"],
        "label": row["label"],
        "year": year,
        "shared": row["study"] in shared,
        "facts": facts,
    }


def _effects(collection: Collection, lag: int, unit: str) -> Iterator[_Effect]:
    x, y = collection.x.label, collection.y.label
    names = {"x": x, "y": y}
    later = say("at the next session" if lag == 1 else f"{lag} sessions later")
    for d in DIRECTIONS.values():
        first, then, words = names[d.predictor], names[d.outcome], arrow(d.name, x, y)
        above = f"{say('after a session with')} {first} {say('one unit above the patient')}'s own mean"
        lead = f"{above}, {then} {later} differed, in {unit}, by"
        yield _Effect(d.name, d.name, d.cross, words, lead, ("lagged", "estimators", "sensitivity"))
        for by in ("x", "y"):
            mean = f"{say('the patient')}'s mean {names[by]}"
            lead = f"per unit of {mean} the effect {words} changed, in {unit}, by"
            key, term = f"{d.name}_by_{by}", f"{d.cross}:{by}_mean"
            yield _Effect(key, d.name, term, f"{words}, by {mean}", lead, ("crosslevel",))
    words = f"early {x} with {say('the outcome, given intake')}"
    lead = f"early {x} correlated with {say('the outcome, given the intake score')}, by"
    yield _Effect("outcome", "x_to_y", "partial_r_z", words, lead, ("outcome",))


def _read(output: Path, kind: str, analysis: str) -> pd.DataFrame:
    path = output / HOME[analysis] / f"{kind}_{analysis}.csv"
    return read_table(path) if path.is_file() else pd.DataFrame(columns=["variant", "direction", "term"])


def _of(table: pd.DataFrame, e: _Effect) -> pd.DataFrame:
    return table[(table["direction"] == e.direction) & (table["term"] == e.term)]


def _has(output: Path, e: _Effect) -> bool:
    pooled = _of(_read(output, "pooled", e.analyses[0]), e)
    return bool((pooled["variant"] == "main").any())


def _effect_data(output: Path, e: _Effect, ids: list[str]) -> dict[str, Any]:
    pooled = _of(_read(output, "pooled", e.analyses[0]), e)
    headline = pooled[pooled["variant"] == "main"].to_dict("records")[0]
    level = float(headline["level"])
    quoted = effect(headline, level)
    spread = f", {quoted.spread}" if quoted.spread else ""
    sources = [source for analysis in e.analyses for source in _sources(output, analysis, e, ids)]
    return {
        "key": e.key,
        "words": e.words,
        "lead": e.lead,
        "correlation": e.term == "partial_r_z",
        "sources": sources,
        "published": {
            **{
                "source": sources[0]["key"],
                "method": headline["method"],
                "ci": headline["ci"],
                "level": level,
            },
            "text": f"{quoted.text}{spread}; k = {quoted.k}",
        },
    }


def _sources(output: Path, analysis: str, e: _Effect, ids: list[str]) -> Iterator[dict[str, Any]]:
    """Estimates of one coefficient by each estimator or variant of an analysis that is not told already."""
    studies, left_out = _of(_read(output, "studies", analysis), e), _read(output, "left_out", analysis)
    left_out = left_out[left_out["direction"] == e.direction]
    group = {"estimators": "other estimators", "sensitivity": "other choices"}.get(analysis, "main analysis")
    for variant in dict.fromkeys([*studies["variant"], *left_out["variant"]]):
        if (analysis, variant) in {("estimators", HEADLINE), ("sensitivity", "as chosen")}:
            continue
        rows = studies[studies["variant"] == variant]
        reasons = left_out[left_out["variant"] == variant]
        yield {
            "key": f"{analysis}:{variant}",
            "group": group,
            "words": say(estimator_words(HEADLINE if variant == "main" else variant)),
            "rows": [_numbers(row, ids) for row in rows.to_dict("records")],
            "reasons": [[ids.index(r.study), say(r.reason)] for r in reasons.itertuples() if r.study in ids],
        }


def _numbers(row: Mapping[Any, Any], ids: list[str]) -> list[float | int | None]:
    df = float(row["df"])
    counts = (int(row[c]) for c in ("n_patients", "n_transitions"))
    return [
        ids.index(row["study"]),
        float(row["estimate"]),
        float(row["std_error"]),
        df if df < 1e300 else None,
        *counts,
    ]
