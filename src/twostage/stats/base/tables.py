"""How results become data frames and small HTML tables."""

from dataclasses import dataclass
from html import escape
from typing import Generic, TypeVar

import numpy as np

#: What is reported of an effect.
EFFECT = ("estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high")


N = TypeVar("N")


@dataclass(frozen=True, eq=False)
class Inference(Generic[N]):
    """Tests that effects are 0 and intervals of them: the fields that all results share; numbers or arrays."""

    std_error: N
    statistic: N
    p_value: N
    ci_low: N
    ci_high: N


def frame(rows):
    """A data frame; the numeric core itself needs NumPy and SciPy only."""
    import pandas as pd

    return pd.DataFrame(rows)


def coefficient_rows(fit):
    """A data frame with one row per coefficient: its name and what is reported of an effect."""
    return frame({"term": list(fit.names), "estimate": fit.coef} | {c: getattr(fit, c) for c in EFFECT[1:]})


def one_row(result, names):
    """A data frame of one row: the named fields of a result."""
    return frame([{name: getattr(result, name) for name in names}])


def html(caption, table=None, facts=(), note=""):
    """A result as a small HTML table: its caption, named columns, and below them (name, text) facts.

    Parameters
    ----------
    caption : str
    table : DataFrame or dict of sequences, optional
        Floats are shown with four significant digits.
    facts : sequence of (str, str)
        Those without a text are left out.
    note : str
        The last fact.
    """
    columns = {} if table is None else {name: list(table[name]) for name in table}
    head = "".join(f"<th scope='col'>{escape(str(c).replace('_', ' '))}</th>" for c in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(x)}</td>' for x in row)}</tr>"
        for row in zip(*columns.values(), strict=True)
    )
    span = max(len(columns) - 1, 1)
    body += "".join(
        f"<tr><th scope='row' style='text-align:left'>{escape(n)}</th>"
        f"<td colspan='{span}' style='text-align:left'>{escape(t)}</td></tr>"
        for n, t in (*facts, ("note", note))
        if t
    )
    head = f"<thead><tr>{head}</tr></thead>" if columns else ""
    return f"<table><caption>{escape(caption)}</caption>{head}<tbody>{body}</tbody></table>"


def _cell(value):
    return escape(f"{value:.4g}" if isinstance(value, float | np.floating) else str(value))


def test_text(name, statistic, df1, df2, p_value):
    """``QM(2) = 9.46, p = 0.00883`` or ``F(2, 10) = ...`` where `df2` is finite."""
    finite = df2 < float("inf")
    dfs = f"{name}: F({df1}, {df2:g})" if finite else f"{name}: chi-square({df1})"
    return f"{dfs} = {statistic:.4g}, p = {p_value:.3g}"
