"""Cells of the one-stage model's exact sums that hide each patient: what only the site can see.

A cell's mean and scatter are of its patients' means of five columns, or of seven with the cross-level ones, and every
linear combination of these has a mean and a variance as well. Where nobody missed a session, the first and the last
session's scores are such combinations. The products of a deviation with a person mean weigh each patient's squares by
a polynomial of that patient's means: where it is large for one patient only, they are this patient's.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd

from twostage.sharing.spread import CLOSENESS, Values, few_differ, gives_away
from twostage.stage1 import OUTCOME, Panel, cross_products, lagged_sums
from twostage.stats.onestage import StudySums
from twostage.terms import DIRECTIONS, Direction

#: Share that all patients but the two who vary most must have of what the first of these has: of squares.
_LEAST_REST = (1 + CLOSENESS) ** 2 - 1


#: Lower ends of the intervals of numbers of transitions that a cell takes together.
Partition = tuple[int, ...]


@dataclass(frozen=True)
class SafeSums:
    """What of a study's sums may be shared.

    Attributes
    ----------
    sums : mapping
        Direction -> its sums with the cross-level columns and every number of transitions by itself, which are not.
    partitions : tuple
        Those that hide each patient in the lagged equation's columns, the finest first.
    with_products : mapping
        Direction -> those of them that hide each patient in the cross-level columns as well.
    apart : str
        A direction whose sums hide each patient by themselves, and not beside those of the other; empty if there is none.
    """

    sums: Mapping[str, StudySums] = field(default_factory=dict)
    partitions: tuple[Partition, ...] = ()
    with_products: Mapping[str, tuple[Partition, ...]] = field(default_factory=dict)
    apart: str = ""


def safe_sums(panel: Panel, cell: int, wide: int, least: int) -> SafeSums:
    """The directions and partitions that hide each patient.

    Parameters
    ----------
    panel : Panel
    cell, wide : int
        Fewest patients of a cell, without and with the cross-level columns: :func:`twostage.sharing.sums.cell_sizes`.
    least : int
        nfilter.tab.
    """
    rows = panel.transitions()
    own = {d.name: _rows(rows, d) for d in DIRECTIONS.values()}
    usable = tuple(d for d in own if len(own[d]) and within_hides(own[d], least))
    found: dict[tuple[str, ...], tuple[Partition, ...]] = {}
    for chosen in dict.fromkeys((usable, *((d,) for d in usable))):
        finest_first = _partitions(own, chosen, cell) if chosen else ()
        found[chosen] = tuple(p for p in finest_first if _hides(own, chosen, p, cell, least))
        if found[chosen] and chosen == usable:
            break
    chosen = next((directions for directions in found if found[directions]), ())
    if not chosen:
        return SafeSums()
    sums, partitions = lagged_sums(panel, products=True), found[chosen]
    products = {d: _with_products(own[d], DIRECTIONS[d], partitions, wide, least) for d in chosen}
    apart = next((d for d in usable if d not in chosen and found[d,]), "")
    return SafeSums({d: StudySums.of(sums[d], OUTCOME) for d in chosen}, partitions, products, apart)


def _rows(rows: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    """patient, session, the five columns, and the patient's number of transitions."""
    outcome = f"{direction.outcome}_next"
    kept = rows.dropna(subset=[outcome]).rename(columns={outcome: "outcome"})
    kept = kept[["patient", "session", *direction.lagged[1:], "outcome"]]
    return kept.assign(size=kept.groupby("patient")["patient"].transform("size"))


def _with_products(
    rows: pd.DataFrame, direction: Direction, partitions: tuple[Partition, ...], cell: int, least: int
) -> tuple[Partition, ...]:
    """The partitions that hide each patient of a direction in the cross-level columns."""
    rows = rows.assign(**cross_products(rows, direction))
    if not within_hides(rows, least):
        return ()
    return tuple(
        p
        for p in partitions
        if all(c["patient"].nunique() >= cell and cell_hides(c, least) for c in _cells(rows, p))
    )


def _cells(rows: pd.DataFrame, partition: Partition) -> list[pd.DataFrame]:
    bounds = [*partition, math.inf]
    return [
        rows[(rows["size"] >= a) & (rows["size"] < b)] for a, b in zip(bounds[:-1], bounds[1:], strict=True)
    ]


def _partitions(
    own: Mapping[str, pd.DataFrame], directions: tuple[str, ...], cell: int
) -> Iterator[Partition]:
    """From the finest with enough patients to the one with a single cell."""
    counts = [own[d].drop_duplicates("patient")["size"].value_counts() for d in directions]
    edges = sorted(set().union(*(c.index for c in counts)))
    while edges:
        bounds = [*edges, math.inf]
        found = [
            min(int(c[(c.index >= a) & (c.index < b)].sum()) for c in counts)
            for a, b in zip(bounds[:-1], bounds[1:], strict=True)
        ]
        if min(found) >= cell:
            yield tuple(int(e) for e in edges)
        # The smallest goes to the cell below it, the lowest to that above.
        del edges[max(int(np.argmin(found)), min(1, len(edges) - 1))]


def _hides(own, directions, partition: Partition, cell: int, least: int) -> bool:
    for parts in zip(*(_cells(own[d], partition) for d in directions), strict=True):
        if not all(cell_hides(part, least) for part in parts):
            return False
        if any(0 < different(one, other) < cell for one, other in combinations(parts, 2)):
            return False
    return True


def different(one: pd.DataFrame, other: pd.DataFrame) -> int:
    """Patients whose rows in a cell are not the same in both directions."""
    keys = ["patient", "session"]
    both = pd.concat([one[keys], other[keys]])
    return int(both.loc[~both.duplicated(keep=False), "patient"].nunique())


def cell_hides(rows: pd.DataFrame, least: int) -> bool:
    """Whether sums over a cell's patients hide each one.

    With the deviations d_i of the patients' means and ``S = sum n_i d_i d_i'``, a patient's share of the variance of a
    combination a is at most ``n_i d_i'S^-1 d_i``, and of some combination that much: the shares of the two largest bound
    what the p-percent rule asks of all combinations.
    """
    means = rows.drop(columns="session").groupby("patient").mean()
    size, columns = means.pop("size").to_numpy(), means.columns
    names = means.index.to_numpy()
    known = means.to_numpy(dtype=float)
    auto = [c for c in columns if c.endswith("_within")]
    of = {c: known[:, i] for i, c in enumerate(columns)}
    # A patient with n transitions among n + 1 sessions: the last score, and the outcome's first.
    ends = [of[f"{c[0]}_mean"] - size * of[c] for c in auto]
    outcome = auto[1][0]
    ends.append((size + 1) * of[f"{outcome}_mean"] - size * of["outcome"])
    if any(gives_away(Values(v, names), least) for v in (*known.T, *ends)):
        return False
    apart = (known - size @ known / size.sum()) * np.sqrt(size)[:, None]
    return no_one_outweighs(apart)


def no_one_outweighs(apart: np.ndarray) -> bool:
    """Whether in no combination of the columns one row makes up most of the squares."""
    left, values, _ = np.linalg.svd(apart / np.linalg.norm(apart, axis=0), full_matrices=False)
    # A combination that is the same for all tells it of each.
    if values[-1] <= 1e-9 * values[0]:
        return False
    shares = np.sort((left**2).sum(axis=1))[::-1]
    return bool(1.0 - shares[:2].sum() >= _LEAST_REST * shares[0])


def within_hides(rows: pd.DataFrame, least: int) -> bool:
    """Whether the cross-products about the patients' means hide each patient."""
    columns = [c for c in map(str, rows) if "_within" in c or c == "outcome"]
    apart = rows[columns] - rows.groupby("patient")[columns].transform("mean")
    patients = rows["patient"].to_numpy()
    if any(few_differ(Values(apart[c].to_numpy(), patients), least) for c in columns):
        return False
    left, values, _ = np.linalg.svd(apart.to_numpy(dtype=float), full_matrices=False)
    if values[-1] <= 1e-9 * values[0]:
        return False
    shares = np.sort(pd.Series((left**2).sum(axis=1)).groupby(patients).sum().to_numpy())[::-1]
    return bool(1.0 - shares[:2].sum() >= _LEAST_REST * shares[0])
