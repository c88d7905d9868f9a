"""How results of meta-regressions become data frames and small HTML tables."""

from html import escape

import numpy as np


def frozen(*arrays):
    """The arrays as read-only copies."""
    copies = [np.array(a) for a in arrays]
    for copy in copies:
        copy.flags.writeable = False
    return copies


def html_table(caption, columns, note=""):
    """A table of named columns (dict of sequences) with a caption, numbers in 4 significant digits."""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_text(x))}</td>" for x in row) + "</tr>"
        for row in zip(*columns.values(), strict=True)
    )
    caption = escape(caption + (f" ({note})" if note else ""))
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(x):
    return f"{x:.4g}" if isinstance(x, float | np.floating) else str(x)


def facts_table(head, rows):
    """A small table: a caption and (name, text) rows."""
    cells = "".join(
        f"<tr><th scope='row' style='text-align:left'>{escape(n)}</th><td>{escape(t)}</td></tr>"
        for n, t in rows
    )
    return f"<table><caption>{escape(head)}</caption><tbody>{cells}</tbody></table>"


def frame(rows):
    """A data frame; the numeric core itself needs NumPy and SciPy only."""
    import pandas as pd

    return pd.DataFrame(rows)


def one_row(result, names):
    """A data frame of one row: the named fields of a result."""
    return frame([{name: getattr(result, name) for name in names}])


def html(caption, table, facts):
    """A table as HTML, its caption, and below it (name, text) facts.

    Parameters
    ----------
    caption : str
    table : DataFrame
        Numbers are shown with four significant digits.
    facts : sequence of (str, str)
    """
    head = "".join(f"<th>{escape(str(c).replace('_', ' '))}</th>" for c in table.columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{cell(x)}</td>' for x in row)}</tr>" for row in table.itertuples(index=False)
    )
    span = max(len(table.columns) - 1, 1)
    body += "".join(
        f"<tr><th scope='row' style='text-align:left'>{escape(n)}</th>"
        f"<td colspan='{span}' style='text-align:left'>{escape(t)}</td></tr>"
        for n, t in facts
        if t
    )
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def cell(value):
    """One escaped cell: four significant digits for a float."""
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def test_text(name, statistic, df1, df2, p_value):
    """``QM(2) = 9.46, p = 0.00883`` or ``F(2, 10) = ...`` where `df2` is finite."""
    finite = df2 < float("inf")
    dfs = f"{name}: F({df1}, {df2:g})" if finite else f"{name}: chi-square({df1})"
    return f"{dfs} = {statistic:.4g}, p = {p_value:.3g}"
