"""What the pages on how the review was done, and on what was checked, may quote."""

from collections.abc import Container
from pathlib import Path

import pandas as pd

from twostage.collection import Collection
from twostage.display import html_table
from twostage.pages.reporting.checklist import STATEMENTS, answers, stated
from twostage.pages.reporting.flow import flow_diagram, flow_steps
from twostage.pages.reporting.plots import bias_plot
from twostage.pages.reporting.tables import bias_reasons, bias_shares, bias_table, integrity_table
from twostage.stage2 import read_records
from twostage.text import Markup, myst, rich_myst
from twostage.words import say


def reporting_context(
    run_folder: Path, collection: Collection, flow: pd.DataFrame, results: Container[str]
) -> dict[str, object]:
    """The names that these pages' templates use.

    Parameters
    ----------
    run_folder : Path
    collection : Collection
    flow : pandas.DataFrame
        Participants per study, as the pooled notebook leaves them.
    results : container of str
        Pages of results that the book has.

    Returns
    -------
    dict
        flow_diagram(), integrity() (HTML); statements: (title, text) pairs; checklist: (number, topic, answer) triples, the
        answer in MyST; risk_of_bias: HTML table, drawing and reasons, or nothing where nobody judged it.
    """
    labels = {row["study"]: str(row["label"]) for row in collection.studies.to_dict("records")}
    steps = flow_steps(flow, collection.review.studies, len(collection.shared), collection.synthetic)
    return {
        "flow_diagram": lambda: flow_diagram(steps, say("Flow of studies and patients")),
        "integrity": lambda: html_table(
            integrity_table(read_records(run_folder / "records", labels, "data"))
        ),
        "statements": [
            (title, rich_myst(stated(collection.review, key, collection.synthetic)))
            for key, title in STATEMENTS.items()
        ],
        "checklist": [
            (item.number, item.topic, _answer(pages, missing))
            for item, pages, missing in answers(collection.review, collection.synthetic, _Pages(results))
        ],
        "risk_of_bias": _risk_of_bias(collection, labels),
    }


class _Pages:
    """All pages that a book has: those of results may lack."""

    def __init__(self, results: Container[str]):
        self._results = results

    def __contains__(self, page: object) -> bool:
        return not str(page).startswith("results_") or page in self._results


def _answer(pages: list[str], missing: list[str]) -> Markup:
    return Markup("; ".join([*(f"{{doc}}`{page}`" for page in pages), *map(myst, missing)]))


def _risk_of_bias(collection: Collection, labels: dict[str, str]) -> dict[str, Markup] | None:
    judged = collection.risk_of_bias
    if judged is None or not judged["study"].isin(list(labels)).any():
        return None
    reasons = bias_reasons(judged, labels)
    return {
        "table": html_table(bias_table(judged, labels), spaced=False),
        "plot": bias_plot(bias_shares(judged, list(labels))),
        "reasons": html_table(reasons) if len(reasons) else Markup(""),
    }
