"""A comparison as files: a page that needs nothing but itself, the figure, and the table for other programs."""

import html
import io
import os
from pathlib import Path

import matplotlib.pyplot as plt

from twostage.beside import text_beside
from twostage.display import html_table
from twostage.files import write_bytes
from twostage.pages.common.style import use_style
from twostage.pages.common.svg import whole_figure
from twostage.pages.compare.analysis import Comparison
from twostage.pages.compare.plots import alt
from twostage.pages.compare.plots import side_by_side as draw
from twostage.pages.compare.tables import ESTIMATORS_PAGE, notes, side_by_side, verdict
from twostage.text import write_csv

STYLE = "\n" + text_beside(__file__, ".css")


def comparison_page(comparison: Comparison, figure: str, estimators: str = "") -> str:
    """The page as HTML.

    Parameters
    ----------
    comparison : Comparison
    figure : str
        SVG, put into the page as it is.
    estimators : str
        Where the book's page on the centred estimator's bias is; linked where the windows differ.

    Returns
    -------
    str
        A whole document that loads nothing.
    """
    c = comparison
    title = html.escape(f"{c.a} and {c.b}, pooled results side by side")
    said = "".join(f"<p>{html.escape(line)}</p>" for line in verdict(c).split("\n\n") if line)
    remarks = "".join(f"<p>{html.escape(line)}</p>" for line in notes(c))
    if estimators and c.sessions[0] != c.sessions[1]:
        where = f"Estimators side by side, in the book of {html.escape(c.b)}"
        remarks += f'<p><a href="{html.escape(estimators)}">{where}</a></p>'
    differing = html_table(c.parameters.rename(columns={"a": c.a, "b": c.b}).astype(str), spaced=False)
    chosen = differing if len(c.parameters) else "<p>All parameters are equal.</p>"
    parts = [
        f"<h1>{title}</h1>{said}",
        f'<div class="note">{remarks}</div>',
        f"<h2>Parameters that differ</h2>{chosen}",
        f'<h2>Results</h2><figure role="img" aria-label="{html.escape(alt(c))}">{figure}</figure>',
        f'<div class="wide">{html_table(side_by_side(c), spaced=False)}</div>',
        f'<h2>Every coefficient</h2><div class="wide">{html_table(side_by_side(c, everything=True), spaced=False)}</div>',
    ]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    head += '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def write_comparison(comparison: Comparison, folder: str | Path, book: str | Path | None = None) -> Path:
    """Write ``index.html``, ``comparison.csv``, ``comparison.svg`` and ``comparison.png``, each whole or not at all.

    Parameters
    ----------
    comparison : Comparison
    folder : path
    book : path, optional
        Of a run, ``html/``, to link to.

    Returns
    -------
    Path
        The page.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    use_style()
    figure = whole_figure(draw(comparison))
    vector, pixels = io.StringIO(), io.BytesIO()
    figure.savefig(vector, format="svg", metadata={"Date": None}, bbox_inches="tight")
    figure.savefig(pixels, format="png", bbox_inches="tight")
    plt.close(figure)
    svg = vector.getvalue()
    write_bytes(folder / "comparison.svg", svg.encode())
    write_bytes(folder / "comparison.png", pixels.getvalue())
    write_csv(comparison.tidy(), folder / "comparison.csv")
    linked = Path(book or folder) / ESTIMATORS_PAGE
    target = Path(os.path.relpath(linked, folder)).as_posix() if linked.is_file() else ""
    page = comparison_page(comparison, svg[svg.index("<svg") :], target)
    return write_bytes(folder / "index.html", page.encode())
