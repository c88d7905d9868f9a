"""Attempts on a page: the table or picture of a result; where there is none, the sentence beside it says why."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from twostage.display import show
from twostage.files import write_bytes, write_text
from twostage.stage2 import Attempt, PooledTable
from twostage.text import write_csv

# Tables are left where nothing is drawn too, and matplotlib takes half a second to import.
if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_pooled(pooled: PooledTable, folder: str) -> None:
    """Leave a pooled analysis for the manuscript and for spreadsheets.

    Parameters
    ----------
    pooled : PooledTable
    folder : str
        Receives ``pooled_<analysis>.csv`` (one row per coefficient), ``studies_<analysis>.csv`` (what went
        in) and ``left_out_<analysis>.csv``; an empty text means: leave nothing.
    """
    if not folder:
        return
    how: dict[str, Any] = {"method": pooled.method, "ci": pooled.ci, "level": pooled.level}
    tables = {"pooled": pooled.table.assign(**how), "studies": pooled.estimates, "left_out": pooled.left_out}
    for name, table in tables.items():
        write_table(table, folder, f"{name}_{pooled.analysis}")


def write_table(table: pd.DataFrame, folder: str, name: str) -> None:
    """Leave a plain table as ``<name>.csv``; an empty folder means: leave nothing."""
    if folder:
        write_csv(table, Path(folder) / f"{name}.csv")


def save_figure(ax: "Axes", folder: str, name: str, alt: str, pixels: bool = True) -> "Axes":
    """Leave a figure as ``<name>.svg`` and ``<name>.png`` with its alternative text in ``<name>.json``.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    folder : str
        An empty text means: leave nothing.
    name, alt : str
    pixels : bool
        Whether to leave the PNG, too.

    Returns
    -------
    matplotlib.axes.Axes
        The same, so that the call can wrap the one that draws.
    """
    if folder:
        # Drawing takes matplotlib, which leaving a table does not.
        from twostage.pages.common.svg import as_png, as_svg, whole_figure

        figure, target = whole_figure(ax), Path(folder)
        write_text(target / f"{name}.svg", as_svg(figure))
        if pixels:
            write_bytes(target / f"{name}.png", as_png(figure))
        write_text(target / f"{name}.json", json.dumps({"alt": alt}, ensure_ascii=False) + "\n")
        # By it the book finds the files of a figure that a notebook shows.
        figure.set_label(name)
    return ax


def show_result(
    found: Attempt, table: Callable[..., pd.DataFrame], folder: str = "", name: str = ""
) -> HTML | None:
    """The table of a result; nothing where there is none.

    Parameters
    ----------
    found : Attempt
    table : callable
        Makes a data frame of the result.
    folder, name : str
        Also left as ``<folder>/<name>.csv``; empty: not left.
    """
    if not found:
        return None
    rows = table(found.result)
    write_table(rows, folder if name else "", name)
    return show(rows)


def save_sentences(words: Mapping[str, Mapping[str, str]], folder: str) -> None:
    """Leave what came out in words as ``<folder>/sentences.csv``, for the manuscript.

    Parameters
    ----------
    words : mapping
        Direction -> name -> sentence.
    folder : str
        An empty text means: leave nothing.
    """
    rows = [(direction, name, text) for direction, said in words.items() for name, text in said.items()]
    write_table(pd.DataFrame(rows, columns=["direction", "name", "text"]), folder, "sentences")


def draw(picture: Callable, found: Attempt, folder: str, name: str, alt: str, **options) -> "Axes | None":
    """Draw a result and leave the figure; where there is none, leave the reason in its place and give None.

    Parameters
    ----------
    picture : callable
        Takes the result and `options`, gives its Axes (or an array of them).
    found : Attempt
    folder, name, alt : str
        As of :func:`twostage.pages.common.leave.save_figure`.
    **options
        Of the picture.
    """
    if found:
        return save_figure(np.ravel(picture(found.result, **options))[0], folder, name, alt)
    if folder:
        text = json.dumps({"reason": found.words}, ensure_ascii=False) + "\n"
        write_text(Path(folder) / f"{name}.json", text)
    return None
