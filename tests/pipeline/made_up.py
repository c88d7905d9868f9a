"""Books of collections that do not exist: the text of every page from made-up records, without data, kernels and figures.

The cells of the real pooled notebooks are executed here, with pictures left out; then the real pages are filled.
"""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from twostage.collection import Collection
from twostage.files import write_text
from twostage.pages.common import forest as forests
from twostage.pages.common import leave, page
from twostage.pages.common import plots as pictures
from twostage.pages.estimators import nested
from twostage.pages.estimators import plots as estimator_pictures
from twostage.pages.influence import analysis as influence
from twostage.pages.moderators import analysis as moderation
from twostage.pages.moderators import plots as moderator_pictures
from twostage.pages.unseen import analysis as unseen
from twostage.params import make_parameters
from twostage.pipeline.book import reporting
from twostage.pipeline.book.chapters import find_chapters
from twostage.pipeline.book.imprint import make_imprint
from twostage.pipeline.book.manuscript import book_context
from twostage.pipeline.book.pages import Pages
from twostage.pipeline.run import Run
from twostage.records import ONE_STAGE, Aggregate
from twostage.records.record import Record
from twostage.stage1 import OUTCOME
from twostage.stage1.vocabulary import coefficients, exclusions
from twostage.stats.base import NotEstimable
from twostage.stats.mixed import MixedSums
from twostage.stats.onestage import StudySums
from twostage.terms import DIRECTIONS
from twostage.words import PLAIN, Words, speaking

REPOSITORY = Path(__file__).resolve().parents[2]
PARAMETERS = make_parameters({})
ANALYSES = ("data", "lagged", "transition", "crosslevel", "sensitivity", "estimators", "outcome", "onestage")


@dataclass(frozen=True)
class MadeUp:
    """What is drawn of one study.

    Attributes
    ----------
    estimable, has_outcome, withheld : bool
        Whether it has estimates, intake and outcome; whether it shared results only and keeps its enrolment.
    shift : float
        What is added to all its coefficients.
    precision : float
        One over its standard errors.
    n : int
        Its patients.
    """

    estimable: bool = True
    has_outcome: bool = True
    withheld: bool = False
    shift: float = 0.0
    precision: float = 10.0
    n: int = 40


def collection_of(like: Collection, studies: list[MadeUp], words: Words = PLAIN) -> Collection:
    """A collection of these studies; with files of another's, which nobody reads."""
    k = len(studies)
    table = pd.concat([like.studies.iloc[[0]]] * k, ignore_index=True)
    ids = [f"S{i:02}" for i in range(1, k + 1)]
    table = table.assign(study=ids, label=[f"Study {i}" for i in range(1, k + 1)])
    table = table.assign(
        year=[2000 + i % 7 for i in range(k)], country=[f"Country {i % 5}" for i in range(k)]
    )
    hidden = frozenset(id for id, study in zip(ids, studies, strict=True) if study.withheld)
    return replace(like, studies=table, words=words, truth=None, synthetic=False, _shared=hidden)


def records_of(studies: list[MadeUp], collection: Collection, seed: int) -> dict[str, list[Record]]:
    """Analysis -> a record of each study."""
    rng, made = np.random.default_rng(seed), {}
    rows = collection.studies.itertuples()
    drawn = list(zip(studies, rows, strict=True))
    for analysis in ANALYSES:
        made[analysis] = [_record(analysis, study, row, rng) for study, row in drawn]
    return made


def _record(analysis: str, study: MadeUp, row, rng: np.random.Generator) -> Record:
    lost = int(rng.integers(0, 5)), int(rng.integers(0, 9))
    reasons = exclusions(PARAMETERS)
    there = study.estimable and (analysis != "outcome" or study.has_outcome)
    known = sorted(coefficients(analysis, PARAMETERS)) if there else []
    about = {
        "schema_version": 1,
        "package_version": "0",
        "study": row.study,
        "label": row.label,
        "analysis": analysis,
        "parameters": PARAMETERS.model_dump(),
        "data_checksum": f"{row.Index:064x}",
        "n_enrolled": None if study.withheld else study.n + sum(lost),
        "exclusions": [{"reason": r, "n_patients": n} for r, n in zip(reasons, lost, strict=True)],
        "estimates": [_estimate(analysis, study, row, key, rng) for key in known],
    }
    if analysis == "data":
        about["summary"] = {
            "n_patients": study.n,
            "missing_share": 0.1,
            "pre_mean": float(rng.uniform(5, 30)),
        }
    elif analysis == ONE_STAGE and there:
        about["aggregates"] = [_aggregate(study, direction, rng) for direction in DIRECTIONS]
    elif not known:
        variants = sorted({key[:2] for key in coefficients(analysis, PARAMETERS)})
        variants = [("main", d) for d in DIRECTIONS] if analysis == ONE_STAGE else variants
        why = "3 transitions are too few for 5 coefficients"
        about["failures"] = [{"variant": v, "direction": d, "reason": why} for v, d in variants]
    return Record.model_validate(about)


def _aggregate(study: MadeUp, direction: str, rng: np.random.Generator) -> Aggregate:
    """Sums of drawn rows of at most 60 patients."""
    patient = np.repeat(np.arange(min(max(study.n, 4), 60)), 4)
    X = np.ones((len(patient), 5))
    X[:, 1:3], X[:, 3:] = rng.normal(size=(len(patient), 2)), rng.normal(size=(len(patient) // 4, 2))[patient]
    y = X @ [0.0, study.shift, 0.2, 0.1, 0.3] + rng.normal(size=len(patient))
    sums = MixedSums(DIRECTIONS[direction].lagged).add(y, X, patient)
    return Aggregate.of(direction, StudySums.of(sums, OUTCOME))


def _estimate(analysis: str, study: MadeUp, row, key, rng: np.random.Generator) -> dict:
    variant, direction, term, estimator = key
    se = 1 / study.precision
    estimate = float(study.shift + rng.normal(0, se))
    df = None if term == "partial_r_z" else float(study.n)
    return {
        "study": row.study,
        "analysis": analysis,
        "variant": variant,
        "direction": direction,
        "term": term,
        "estimator": estimator,
        "estimate": estimate,
        "std_error": se,
        "df": df,
        "statistic": estimate / se,
        "p_value": 0.5,
        "ci_low": estimate - 2 * se,
        "ci_high": estimate + 2 * se,
        "n_patients": study.n,
        "n_transitions": 4 * study.n * (analysis != "outcome"),
        "converged": True,
        "singular": False,
    }


class Shown(list):
    """Everything that the notebooks showed, as text."""

    def add(self, what: object, **_: object) -> None:
        """Take down one."""
        for form in ("_repr_html_", "_repr_markdown_"):
            text = getattr(what, form, lambda: None)()
            # With what the book needs to know of it.
            text = text[0] if isinstance(text, tuple) else text
            if isinstance(text, str):
                self.append(text)
                return


def without_pictures(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Leave out what takes long: pictures are drawn nowhere, subsets and arrangements are few."""
    shown, ax = Shown(), plt.figure().add_subplot()
    monkeypatch.setattr(page, "display", shown.add)
    monkeypatch.setattr(page, "as_svg", lambda figure: "")
    monkeypatch.setattr(leave, "save_figure", _left)
    monkeypatch.setattr(forests, "forest", lambda pooled, *key, **_: pooled.row(*key[:2]) is None or ax)
    monkeypatch.setattr(pictures, "forest", forests.forest)
    for home, name in (
        (pictures, "by_transition"),
        (pictures, "variants"),
        (estimator_pictures, "estimators"),
    ):
        monkeypatch.setattr(home, name, _of_something(ax))
    monkeypatch.setattr(pictures, "left_out", lambda *_: ax)
    for name in ("bubbles", "subgroup_forest"):
        monkeypatch.setattr(moderator_pictures, name, lambda *_: ax)
    monkeypatch.setattr(moderation, "ARRANGEMENTS", 20)
    monkeypatch.setattr(influence, "gosh", _few_subsets(influence.gosh))
    return shown


def _of_something(ax):
    def drawn(found, *_):
        if getattr(found, "pooled", found).table.empty:
            raise NotEstimable("no study has it")
        return ax

    return drawn


def _left(ax, folder: str, name: str, alt: str):
    write_text(Path(folder) / f"{name}.json", json.dumps({"alt": alt}) + "\n")
    return ax


def _few_subsets(gosh):
    def few(fit, *args, **options):
        if fit.k > 6:
            raise NotEstimable("this test has no time for so many subsets")
        return gosh(fit, *args, **options)

    return few


def book_text(
    folder: Path,
    collection: Collection,
    records: dict[str, list[Record]],
    monkeypatch: pytest.MonkeyPatch,
    shown: Shown,
) -> dict[str, str]:
    """Page of the manuscript -> its text, of those that the book has; and what the notebooks showed."""
    has_outcome = bool(collection.pre and collection.post)
    run = Run(
        folder=folder,
        project=REPOSITORY,
        collection=collection.path,
        parameters=PARAMETERS.model_dump(),
        studies=tuple(collection.studies["study"]),
        has_outcome=has_outcome,
        shared=collection.shared,
    )
    monkeypatch.setattr(page, "read_collection", lambda _: collection)
    monkeypatch.setattr(page.Page, "records", lambda self, analysis: records[analysis])
    for module, name in ((nested, "_chosen"), (unseen, "_fit")):
        monkeypatch.setattr(module, name, _without_data)
    monkeypatch.setattr(reporting, "read_records", lambda folder, studies, analysis: records[analysis])
    with speaking(collection.words):
        for name in run.stage2:
            if name == "stage2_window":
                # It needs data.
                _left(None, str(run.output_folder(name)), "windows", "Two windows")
            else:
                _execute(run, name, shown)
        chapters = find_chapters(run)
        context = book_context(folder, collection, PARAMETERS, run.manuscript, chapters.pages)
        context["chapters"] = [(label, "") for label in collection.studies["label"]]
        context["imprint"] = make_imprint(run, collection)
        pages = Pages(run.manuscript, context)
        context["left_out_pages"] = chapters.titled(pages)
        fixed = [
            "index",
            "introduction",
            "methods",
            "studies",
            "discussion",
            "reporting",
            "integrity",
            "rerun",
        ]
        fixed += ["glossary", "where", "how_to_cite"]
        results = [f for f in chapters.pages if f.startswith("results")]
        return {file: pages.render(f"{file}.md") for file in [*fixed, *sorted(results)]}


def study_shown(name: str, collection: Collection, study: str, monkeypatch: pytest.MonkeyPatch) -> Shown:
    """What a notebook of stage 1 shows of a study with data: texts, tables and the texts of its figures."""
    shown = Shown()
    monkeypatch.setattr(page, "read_collection", lambda _: collection)
    with speaking(collection.words):
        _run_cells(
            REPOSITORY / "notebooks" / f"{name}.ipynb",
            {"collection": str(collection.path), "study": study},
            shown,
        )
    return shown


def _without_data(*_) -> None:
    """What reads a study's scores finds none: there are only records."""
    raise NotEstimable("there are no scores")


def _execute(run: Run, name: str, shown: Shown) -> None:
    _run_cells(run.template(name), run.notebook_parameters(name) | {"collection": str(run.collection)}, shown)


def _run_cells(template: Path, given: dict, shown: Shown) -> None:
    notebook, names = nbformat.read(template, as_version=4), {}
    for cell in (c for c in notebook.cells if c.cell_type == "code"):
        if "parameters" in cell.metadata.get("tags", []):
            exec(cell.source, names)
            names |= given
        else:
            _run_cell(cell.source, names, shown)
    for figure in map(plt.figure, plt.get_fignums()):
        shown += [text.get_text() for text in figure.findobj(Text)]
    plt.close("all")


def _run_cell(source: str, names: dict, shown: Shown) -> None:
    *lines, last = _statements(source)
    names["print"] = shown.append
    exec("\n".join(lines), names)
    try:
        code = compile(last, "cell", "eval")
    except SyntaxError:
        exec(last, names)
        return
    shown.add(eval(code, names))


def _statements(source: str) -> Iterator[str]:
    for node in ast.parse(source).body:
        yield ast.unparse(node)


def plain(text: str) -> str:
    """A page's text without markup of tables."""
    return re.sub(r"<[^>]+>", " ", text)
