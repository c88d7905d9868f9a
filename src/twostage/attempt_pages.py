"""Attempts on a page: the table or picture of a result; where there is none, the sentence beside it says why."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML

from twostage.attempt import Attempt
from twostage.display import show
from twostage.files import write_text
from twostage.tables import save_figure, write_table


def tell(found: Attempt, table: Callable[..., pd.DataFrame], folder: str = "", name: str = "") -> HTML | None:
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


def leave_sentences(words: Mapping[str, Mapping[str, str]], folder: str) -> None:
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


def draw(picture: Callable, found: Attempt, folder: str, name: str, alt: str, **options) -> None:
    """Draw a result and leave the figure; where there is none, leave the reason in its place.

    Parameters
    ----------
    picture : callable
        Takes the result and `options`, gives its Axes (or an array of them).
    found : Attempt
    folder, name, alt : str
        As of :func:`twostage.tables.save_figure`.
    **options
        Of the picture.
    """
    if found:
        save_figure(np.ravel(picture(found.result, **options))[0], folder, name, alt)
    elif folder:
        text = json.dumps({"reason": found.words}, ensure_ascii=False) + "\n"
        write_text(Path(folder) / f"{name}.json", text)
