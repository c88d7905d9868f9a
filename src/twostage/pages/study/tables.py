"""One study's results as formatted tables for its notebooks."""

from dataclasses import replace

import pandas as pd
from IPython.display import HTML, Markdown

from twostage.collection import Collection
from twostage.display import count, html_table, interval, number, number_in, p_value, rows_of, with_interval
from twostage.stage1 import Panel, StudyEstimates
from twostage.terms import DIRECTIONS, arrow, term_label
from twostage.text import myst, rich_myst


def coefficient_table(estimates: StudyEstimates, panel: Panel, variant: str = "main") -> HTML:
    """A study's coefficients in words, with their intervals; where there is none, the reason."""
    estimates = replace(
        estimates,
        table=estimates.table[estimates.table["variant"] == variant],
        failures=estimates.failures[estimates.failures["variant"] == variant],
    )
    names = (panel.x.label, panel.y.label)
    rows = [
        {
            "equation": arrow(r.direction, panel.x.name, panel.y.name),
            "term": term_label(r.direction, r.term, *names),
            "estimate": number_in(r.estimate, r.ci_low, r.ci_high, 3),
            "std. error": number(r.std_error, 3),
            "df": number(r.df, 1),
            "p": p_value(r.p_value),
            f"{100 * panel.parameters.level:g} % CI": interval(r.ci_low, r.ci_high, 3),
            "patients": count(r.n_patients),
            "transitions": count(r.n_transitions),
        }
        for r in rows_of(estimates.table)
    ]
    return HTML(html_table(pd.DataFrame(rows)) * bool(rows) + _not_estimated(estimates, panel))


def _not_estimated(estimates: StudyEstimates, panel: Panel) -> str:
    failures = estimates.failures.assign(
        equation=[arrow(d, panel.x.name, panel.y.name) for d in estimates.failures["direction"]]
    )
    columns = ["variant", "equation", "reason"]
    return "<p>Not estimated:</p>" + html_table(failures[columns]) if len(failures) else ""


def variant_table(estimates: StudyEstimates, panel: Panel) -> HTML:
    """The cross-lagged effects of a study under each variant, one row per variant."""
    table = estimates.table
    shown = []
    for variant in dict.fromkeys(table["variant"]):
        row = {"variant": variant}
        for d in DIRECTIONS.values():
            cross = table[
                (table["variant"] == variant) & (table["direction"] == d.name) & (table["term"] == d.cross)
            ]
            for r in rows_of(cross):
                effect_of = with_interval(r.estimate, r.ci_low, r.ci_high, 3)
                row |= {
                    arrow(d.name, panel.x.label, panel.y.label): effect_of,
                    "transitions": count(r.n_transitions),
                }
        shown.append(row)
    return HTML(html_table(pd.DataFrame(shown).fillna("–")) * bool(shown) + _not_estimated(estimates, panel))


def study_heading(collection: Collection, study: str, remark: str = "") -> Markdown:
    """Which study and which variables this page is about, what is to be said of it, and what the data are."""
    row = collection.studies.set_index("study").loc[study]
    x = myst(f"{collection.x.label} ({row['x_instrument']})")
    y = myst(f"{collection.y.label} ({row['y_instrument']})")
    pair = f"*x* is {x}, *y* is {y}."
    said = f" Note: {remark}." if remark else ""
    return Markdown(
        f"**{myst(row['label'])}** ({myst(study)}). {pair}{said}\n\n*{rich_myst(collection.note)}*"
    )
