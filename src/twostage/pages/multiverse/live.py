"""What the page's component filters."""

from pathlib import Path

import numpy as np

from twostage.files import write_json
from twostage.multiverse.grid import CHOICES
from twostage.multiverse.store import Multiverse
from twostage.pages.multiverse.analysis import View
from twostage.pages.multiverse.tables import choice_words, value_words

#: File that a notebook leaves for the book's component.
LIVE = "live.json"


def leave_live(
    multiverse: Multiverse, views: dict[str, View], names: dict[str, str], note: str, folder: str
) -> None:
    """Leave the component's data; an empty folder means: leave nothing."""
    if folder:
        write_json(Path(folder) / LIVE, live_data(multiverse, views, names, note))


def live_data(multiverse: Multiverse, views: dict[str, View], names: dict[str, str], note: str) -> dict:
    """What the page's component filters: choices by number, estimates and interval ends in ten-thousandths.

    Parameters
    ----------
    multiverse : Multiverse
    views : dict
        Of :func:`examine`.
    names : dict
        Direction -> in words.
    note : str
        What must be said of the data.
    """
    varied = multiverse.varied
    effects = []
    for direction, view in views.items():
        columns = view.table[["estimate", "ci_low", "ci_high"]].to_numpy()
        places = [CHOICES.index(name) for name in varied]
        effects.append(
            {
                "key": direction,
                "words": names[direction],
                "choices": ["".join(map(chr, 97 + row)) for row in view.levels[:, places]],
                "numbers": np.round(1e4 * columns).astype(int).ravel().tolist(),
            }
        )
    values = multiverse.about["values"]
    choices = [
        {"words": choice_words(name), "values": [value_words(name, v) for v in values[name]]}
        for name in varied
    ]
    return {"choices": choices, "effects": effects, "least": multiverse.about["least"], "note": note}
