"""What the manuscript's pages may quote: every number comes from the tables of one run."""

import re
from collections.abc import Callable, Container
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from twostage.collection import Collection, mark_notes
from twostage.display import MISSING, count, html_table, interval, number, number_in, percent
from twostage.notebooks import HOME, parameter_table
from twostage.pages.common.counts import why_counts_differ
from twostage.pages.common.heterogeneity import simulated_prediction
from twostage.pages.common.tables import NO_EFFECT, Effect, effect, left_out_lines
from twostage.pages.countries.analysis import NO_COUNTRY
from twostage.pages.crosslevel.tables import ends_sentences
from twostage.pages.recovery.tables import best_estimator_rule, how_made
from twostage.pages.recovery.trust import errs_sentence, trust_sentences
from twostage.params import Parameters
from twostage.pipeline.book.captions import Captions
from twostage.pipeline.book.first_screen import answer, first_figure, scale_points
from twostage.pipeline.book.forest import forest_data, live_curve, live_forest
from twostage.pipeline.book.read import read_table
from twostage.pipeline.book.reporting import reporting_context
from twostage.recovery.simulations import read_simulation
from twostage.recovery.store import read_recovery
from twostage.stage1 import OUTCOME_TERMS
from twostage.terms import DIRECTIONS, ESTIMATORS, arrow, estimator_words, term_label
from twostage.text import Markup, essay_myst, rich_myst
from twostage.words import say


def estimator_context(output: Path, collection: Collection) -> dict:
    """The part of :func:`twostage.pipeline.book.manuscript.book_context` on estimators.

    Parameters
    ----------
    output : Path
        A run's ``output/``.
    collection : Collection

    Returns
    -------
    dict
        has_recovery, estimator_words (name -> words); functions: estimators(direction, term) that were pooled,
        difference(estimator, direction, term) from the headline, trust() (how far the main analysis can be trusted), errs()
        (which way it errs), recovery_made(), recovery_rule().
    """
    recovery = read_recovery(collection)
    return {
        "has_recovery": recovery is not None,
        "estimator_words": {name: estimator_words(name) for name in ESTIMATORS},
        "estimators": lambda direction, term: _names(output, direction, term),
        "difference": lambda *key: _difference(output, *key),
        "trust": lambda brief=False: trust_sentences(recovery, collection, _by_estimator(output), brief),
        "errs": errs_sentence,
        "recovery_made": lambda: how_made(recovery),
        "recovery_rule": best_estimator_rule,
    }


def _comparison(output: Path) -> pd.DataFrame:
    return read_table(output / HOME["estimators"] / "comparison.csv")


def _names(output: Path, direction: str, term: str) -> list[str]:
    table = _comparison(output)
    return list(table.loc[(table["direction"] == direction) & (table["term"] == term), "estimator"])


def _difference(output: Path, estimator: str, direction: str, term: str) -> str:
    table = _comparison(output).set_index(["estimator", "direction", "term"])
    row = table.loc[(estimator, direction, term)]
    ends = interval(row["difference_ci_low"], row["difference_ci_high"], 3)
    return f"{number(row['difference_estimate'], 3)}{'' if ends == MISSING else f' {ends}'}"


def _by_estimator(output: Path) -> Callable[[str, str, str], Effect]:
    quote = _effects(output)
    return lambda estimator, direction, term: quote("estimators", direction, term, estimator)


_REGISTRY = {
    "label": "study",
    "country": "country",
    "setting": "setting",
    "treatment": "treatment",
    "design": "design",
    "x_instrument": "x",
    "y_instrument": "y",
    "n": "patients",
}


def book_context(
    run_folder: str | Path,
    collection: Collection,
    parameters: Parameters,
    book: str | Path = "book",
    pages: Container[str] = frozenset(),
) -> dict:
    """Everything a page template can use.

    Parameters
    ----------
    run_folder : path
        ``runs/<name>``, with ``output/`` filled by the pooled notebooks.
    collection : Collection
    parameters : Parameters
        Of the run.
    book : path
        Folder of the manuscript, with stored simulations in ``simulations/``.
    pages : container of str
        Pages of results that the book has.

    Returns
    -------
    dict
        title, note, introduction, synthetic, x, y (labels), unit, has_outcome, n_studies, n_countries, n_patients,
        n_included, results_only (what the mark of studies without data means, or nothing), version, parameters;
        captions (:class:`~twostage.pipeline.book.captions.Captions`);
        tables, in MyST: studies, flow, chosen, parameter_table; functions:
        answer(direction), scale_points(direction), trust(), first_figure(), forests() (data of the live forests),
        effects() (both cross-lagged effects by their names),
        live_forest(effect, figure), live_curve(direction, figure), has_page(page),
        effect(analysis, direction, term, variant="main"), arrow(direction), figure(analysis, name),
        see(analysis, name) (refers to a figure),
        has_figure(analysis, name), table(analysis, name),
        left_out(analysis), words(analysis, direction, term), variants(direction), percent(share), truth(),
        simulation(name) (:class:`~twostage.recovery.simulations.Simulation`), why_counts_differ() and trend() (sentences),
        simulated(analysis, direction, term) (how often such a prediction interval holds a new study's effect), ends()
        (what the ends of scales do to interactions), without(direction) (the pooled effect without each study in turn);
        and what :func:`estimator_context` and :func:`twostage.pipeline.book.reporting.reporting_context` give.

    Notes
    -----
    A template that asks for a coefficient no analysis has stops the build with the KeyError of that function.
    """
    output = Path(run_folder) / "output"
    # Whole numbers stay whole where some are withheld.
    flow = read_table(output / HOME["lagged"] / "flow.csv").convert_dtypes()
    works = _works(Path(book) / "references.bib")
    captions = Captions(collection, parameters, output)
    parts = _counts(collection, flow) | estimator_context(output, collection)
    parts |= reporting_context(Path(run_folder), collection, flow, pages)
    parts |= _first_screen(Path(run_folder), collection, parameters) | _tables(captions, flow)
    return parts | {
        "title": collection.title,
        "note": rich_myst(collection.note),
        "introduction": essay_myst(collection.introduction, works),
        "has_page": lambda page: page in pages,
        "synthetic": collection.synthetic,
        "x": collection.x.label,
        "y": collection.y.label,
        "unit": _unit(parameters),
        "has_outcome": bool(collection.pre and collection.post),
        "version": version("twostage"),
        "parameters": parameters,
        "captions": captions,
        "effect": _effects(output),
        "variants": lambda direction: _variant_names(output, direction),
        "left_out": lambda analysis: _left_out(output, analysis),
        "words": lambda analysis, direction, term: _words(output, analysis, direction, term),
        "arrow": lambda direction: arrow(direction, collection.x.label, collection.y.label),
        "figure": lambda analysis, name: captions.figure(HOME[analysis], name),
        "see": lambda analysis, name: captions.see(HOME[analysis], name),
        "live_forest": live_forest,
        "live_curve": live_curve,
        "sentence": lambda analysis, direction, name: _sentence(output, HOME[analysis], direction, name),
        "has_figure": lambda analysis, name: (output / HOME[analysis] / f"{name}.json").is_file(),
        "table": lambda analysis, name: _table(captions, HOME[analysis], name),
        "percent": percent,
        "without": lambda direction: _without(captions, direction),
        "truth": lambda: captions.plain(
            _truth(collection, output), "truth", "Generating values and estimates"
        ),
        "simulation": lambda name: read_simulation(Path(book) / "simulations", name),
        "why_counts_differ": lambda: _why_counts_differ(output, collection, parameters, flow),
        "trend": lambda: _trend(output),
        "simulated": lambda *key: _simulated(output, Path(book), parameters, *key),
        "ends": lambda: ends_sentences(
            _sentence(output, HOME["crosslevel"], "both", "most_at_an_end"),
            read_simulation(Path(book) / "simulations", "floors"),
        ),
    }


def _tables(captions: Captions, flow: pd.DataFrame) -> dict[str, Markup]:
    """The tables of the manuscript that no pooled notebook leaves."""
    made = {
        "studies": (_registry(captions.collection), "studies", "Characteristics of the studies"),
        "flow": (flow.rename(columns=say), "flow", "From enrolment to analysis"),
        "parameter_table": (parameter_table(), "parameters", "Parameters of an analysis"),
        "chosen": (_chosen(captions.parameters), "chosen", "Parameters of this run"),
    }
    return {key: captions.plain(html_table(table), name, words) for key, (table, name, words) in made.items()}


def _first_screen(run_folder: Path, collection: Collection, parameters: Parameters) -> dict:
    """What the first page says before all else, and the data of the forests, of which its figure is made."""
    output, unit, lag = run_folder / "output", _unit(parameters), parameters.lag
    quote = _effects(output)

    def of(direction: str) -> Effect:
        return quote("lagged", direction, DIRECTIONS[direction].cross)

    def data() -> dict:
        return forest_data(output, collection, lag, unit)

    records = run_folder / "records"
    return {
        "answer": lambda direction: answer(of(direction), direction, collection, lag, unit),
        "scale_points": lambda d: scale_points(of(d), d, collection, parameters, records),
        "first_figure": lambda: first_figure(data(), {d: of(d) for d in DIRECTIONS}, collection.synthetic),
        "forests": data,
        "effects": lambda: {e["words"]: of(e["key"]) for e in data()["effects"] if e["key"] in DIRECTIONS},
    }


def _counts(collection: Collection, flow: pd.DataFrame) -> dict:
    return {
        "n_studies": len(collection.studies),
        "n_countries": len(set(collection.studies["country"]) - NO_COUNTRY),
        # Whose enrolment is withheld has at least those who are included.
        "n_patients": _at_least(flow["enrolled"], flow["enrolled"].fillna(flow["included"])),
        "n_included": _at_least(flow["included"], flow["included"]),
        "results_only": mark_notes(collection.studies["label"]) if collection.shared else "",
    }


def _at_least(column: pd.Series, known: pd.Series) -> str:
    """The sum over studies, which the last row is none of; a lower bound where a study's number is withheld."""
    return f"{'at least ' if column.iloc[:-1].isna().any() else ''}{count(known.iloc[:-1].sum())}"


def _works(bibliography: Path) -> set[str]:
    """Keys of the works that the book's pages may cite."""
    text = bibliography.read_text(encoding="utf-8") if bibliography.is_file() else ""
    return set(re.findall(r"^@\w+\{([^,\s]+),", text, re.M))


def _unit(parameters: Parameters) -> str:
    words = {"total": "standard deviations of all scores", "within": "within-patient standard deviations"}
    return say(words.get(parameters.standardize, "scale points"))


def _registry(collection: Collection) -> pd.DataFrame:
    names = _REGISTRY | {"x_instrument": collection.x.label, "y_instrument": collection.y.label}
    table = collection.studies[list(_REGISTRY)].replace("", pd.NA).dropna(axis="columns", how="all")
    return table.rename(columns=names)


def _chosen(parameters: Parameters) -> pd.DataFrame:
    values = parameters.model_dump()
    return pd.DataFrame({"parameter": list(values), "value": [str(v) for v in values.values()]})


def _read(output: Path, analysis: str, kind: str = "pooled") -> pd.DataFrame:
    return read_table(output / HOME[analysis] / f"{kind}_{analysis}.csv")


#: Coefficients that pages quote, by direction.
_TERMS = {name: {*direction.crosslevel, *OUTCOME_TERMS} for name, direction in DIRECTIONS.items()}


def _effects(output: Path) -> Callable[..., Effect]:
    def quote(analysis: str, direction: str, term: str, variant: str = "main") -> Effect:
        if direction not in DIRECTIONS or term not in _TERMS[direction]:
            raise KeyError(f"{analysis}: no coefficient {term} of {direction}")
        table = _read(output, analysis)
        found = table[
            (table["direction"] == direction) & (table["term"] == term) & (table["variant"] == variant)
        ]
        if found.empty:
            return NO_EFFECT
        return effect(found.iloc[0], float(found["level"].iloc[0]))

    return quote


def _variant_names(output: Path, direction: str) -> list[str]:
    table = _read(output, "sensitivity")
    rows = table[(table["direction"] == direction) & (table["term"] == DIRECTIONS[direction].cross)]
    return list(rows["variant"])


def _left_out(output: Path, analysis: str) -> list[str]:
    return left_out_lines(_read(output, analysis, "left_out"))


def _words(output: Path, analysis: str, direction: str, term: str) -> str:
    """What a pooled notebook says in words about a coefficient; nothing where no two studies have it."""
    if direction not in DIRECTIONS or term not in _TERMS[direction]:
        raise KeyError(f"{analysis}: no coefficient {term} of {direction}")
    table = _read(output, analysis, "words")
    found = table[(table["direction"] == direction) & (table["term"] == term)]
    return "" if found.empty else found["words"].iloc[0]


def _why_counts_differ(
    output: Path, collection: Collection, parameters: Parameters, flow: pd.DataFrame
) -> str:
    """Why the equations of the lagged analysis have other numbers than the panel; empty where they have not."""
    table, equations = _read(output, "lagged"), {}
    for d in DIRECTIONS.values():
        found = table[(table["direction"] == d.name) & (table["term"] == d.cross)]
        for row in found.itertuples():
            name = arrow(d.name, collection.x.label, collection.y.label)
            equations[name] = (int(row.n_patients), int(row.n_transitions))
    return why_counts_differ(_at_least(flow["included"], flow["included"]), equations, parameters.lag)


def _simulated(
    output: Path, book: Path, parameters: Parameters, analysis: str, direction: str, term: str
) -> str:
    """What a stored simulation says of a coefficient's prediction interval; nothing where no two studies have it."""
    table = _read(output, analysis)
    found = table[(table["direction"] == direction) & (table["term"] == term) & (table["variant"] == "main")]
    if found.empty or found["k"].iloc[0] < 2:
        return ""
    how = {"method": parameters.tau2_method, "ci": parameters.ci_method, "level": parameters.level}
    return simulated_prediction(found.iloc[0], how, read_simulation(book / "simulations", "coverage"))


def _truth(collection: Collection, output: Path) -> str:
    """Generating values of simulated data beside the pooled estimates, as HTML; empty for real data."""
    if collection.truth is None:
        return ""
    quote, rows = _effects(output), []
    coefficients = collection.truth["direction"].isin(list(DIRECTIONS))
    means = collection.truth[coefficients & (collection.truth["study"] == "mean")]
    for row in means.itertuples():
        analysis = "crosslevel" if ":" in row.term else "lagged"
        if row.term.startswith("partial_r"):
            continue
        e = quote(analysis, row.direction, row.term)
        label = term_label(row.direction, row.term, collection.x.label, collection.y.label)
        rows.append(
            {
                "effect": label,
                "generating value": number(float(row.value), 3),
                "estimate": number_in(e.value, e.low, e.high, 3),
                "interval": interval(e.low, e.high, 3),
                "holds the generating value": "yes" if e.low <= float(row.value) <= e.high else "no",
            }
        )
    return html_table(pd.DataFrame(rows))


def _sentence(output: Path, notebook: str, direction: str, name: str) -> str:
    """A sentence that a pooled notebook left."""
    table = read_table(output / notebook / "sentences.csv", texts=True).set_index(["direction", "name"])
    return table.loc[(direction, name), "text"]


def _trend(output: Path) -> str:
    """The effects with an effect of each session; empty where the estimators were not pooled."""
    there = (output / HOME["estimators"] / "sentences.csv").is_file()
    return _sentence(output, HOME["estimators"], "both", "trend") if there else ""


def _table(captions: Captions, notebook: str, name: str) -> Markup:
    """A table of texts that a pooled notebook left; nothing where it left none, or none with rows."""
    path = captions.output / notebook / f"{name}.csv"
    table = read_table(path, texts=True) if path.is_file() else pd.DataFrame()
    html = html_table(table) if len(table) else ""
    return captions.result(html, notebook, name, f"/output/{notebook}/{name}.csv")


def _without(captions: Captions, direction: str) -> Markup:
    """The pooled effect without each study in turn; nothing where no study can be left out."""
    home, name = HOME["sensitivity"], f"leave_one_out_{direction}"
    path = captions.output / home / f"{name}.csv"
    found = read_table(path) if path.is_file() else pd.DataFrame()
    if found.empty:
        return Markup("")
    shown = pd.DataFrame(
        {
            "study": found["label"],
            "estimate without it": [number(e, 3) for e in found["estimate"]],
            "interval": [
                interval(low, high, 3) for low, high in zip(found["ci_low"], found["ci_high"], strict=True)
            ],
            "τ": [number(t**0.5, 3) for t in found["tau2"]],
            "I² (%)": [number(i, 0) for i in found["i2"]],
        }
    )
    return captions.result(html_table(shown), home, name, f"/output/{home}/{name}.csv")
