"""How many scores lie at the ends of their scales, and how often such scales make an interaction by themselves."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.display import count, percent, percent_of, rows_of
from twostage.records import Record
from twostage.recovery.simulations import Simulation
from twostage.text import Markup, myst
from twostage.words import say

#: What a record of the data says of the ends, in the order of the table.
ENDS = ("floor_x", "ceiling_x", "floor_y", "ceiling_y")


def ends_table(records: Sequence[Record], collection: Collection) -> pd.DataFrame:
    """Each study's shares of scores that are the lowest and the highest possible; all text.

    Parameters
    ----------
    records : sequence of Record
        Of the analysis `data`. A study that shares results only has no shares.
    collection : Collection
    """
    labels = {"x": collection.x.label, "y": collection.y.label}
    words = {"floor": "lowest possible", "ceiling": "highest possible"}
    return pd.DataFrame(
        {
            "study": record.label,
            **{f"{labels[e[-1]]}: {words[e[:-2]]}": percent(_share(record, e), 1) for e in ENDS},
        }
        for record in records
    )


def _share(record: Record, end: str) -> float:
    value = record.summary.get(end)
    return np.nan if value is None else float(value)


def most_at_an_end(records: Sequence[Record]) -> str:
    """The largest share at one end of one variable, averaged over the studies by their sessions; empty if none is known.

    As text, which the manuscript reads from a table of sentences.
    """
    weight = np.array([float(r.summary.get("n_sessions") or 0) for r in records])
    shares = np.array([[_share(r, end) for end in ENDS] for r in records])
    known = np.isfinite(shares) & (weight[:, None] > 0)
    whole = np.where(known, weight[:, None], 0.0).sum(axis=0)
    sums = np.where(known, shares * weight[:, None], 0.0).sum(axis=0)
    return repr(float((sums[whole > 0] / whole[whole > 0]).max())) if (whole > 0).any() else ""


def ends_sentences(share: str, floors: Simulation) -> Markup:
    """What the ends of scales do to interactions, by a stored simulation, and whether these data are concerned.

    Parameters
    ----------
    share : str
        Of these data, as of :func:`most_at_an_end`.
    floors : Simulation
        ``book/simulations/floors``: how often at least one interaction was found where there is none.
    """
    table = floors.table.sort_values("share")
    shares = [percent(value, 0) for value in table["share"]]
    rates = [percent_of(row.found, row.replicates) for row in rows_of(table)]
    text = (
        "Interactions also arise where a scale ends: patients near the end cannot move further, so that a trend that all "
        f"have in common depends on their level. In {count(table['replicates'].min())} simulated collections each of "
        f"{count(table['k'].iloc[0])} studies with such a trend and effects that are the same for all patients, with "
        f"{_list(shares)} of the scores at an end, at least one of the four intervals excluded zero in {_list(rates)}."
    )
    if not share:
        return Markup(myst(say(f"{text} How many scores lie there in these data is not known.")))
    here = f"In these data {percent(float(share), 0)} lie at the end that has most"
    if float(share) < least_that_matters(floors):
        few = "fewer than make more interactions than chance alone in that simulation"
        return Markup(myst(say(f"{text} {here}, {few}.")))
    near = table.iloc[int((table["share"] - float(share)).abs().argmin())]
    warning = (
        f"{here}. With {percent(near['share'], 0)} the simulation finds an interaction where there is none in "
        f"{percent_of(near['found'], near['replicates'])}: those found here are no evidence that effects depend on the "
        "patients' levels."
    )
    return Markup(f"{myst(say(text))} **{myst(say(warning))}**")


def least_that_matters(floors: Simulation) -> float:
    """Halfway to the least simulated share with which interactions are found more often than without ends."""
    table = floors.table.sort_values("share").reset_index(drop=True)
    base = table.iloc[0]
    more = table["found"] - base["found"] > 2 * np.hypot(table["mc_error"], base["mc_error"])
    if not more.any():
        return np.inf
    first = int(more.idxmax())
    return float(table["share"].iloc[[first - 1, first]].mean())


def _list(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
