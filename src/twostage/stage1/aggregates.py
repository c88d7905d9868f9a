"""What a study hands on to the one-stage model: sums of the lagged rows by number of transitions."""

from dataclasses import dataclass
from functools import singledispatch

import pandas as pd

from twostage.display import html_table
from twostage.stage1.equations import CLEAR, NO_RESIDUAL
from twostage.stage1.estimates import require
from twostage.stage1.panel import Panel
from twostage.stage1.vocabulary import lost_lagged
from twostage.stats.base import Attempt, attempt
from twostage.stats.mixed import MixedSums
from twostage.stats.onestage import StudySums, joined_cells
from twostage.terms import DIRECTIONS, Direction

#: Fewest patients of a cell: of fewer, a mean would say something of each; of one, it would be the patient's own.
LEAST_CELL = 5


#: The name of the outcome among a study's sums.
OUTCOME = "outcome"


#: How a failure of the sums is called that concerns the cross-level columns only.
PRODUCTS = "crosslevel"


@dataclass(frozen=True)
class StudyAggregates:
    """A study's sums for the one-stage model.

    Attributes
    ----------
    study, analysis : str
    sums : dict
        Direction -> :class:`twostage.stats.onestage.StudySums` of the cross-level equation's columns, the lagged one's
        first; of these only where the former cannot be fitted.
    exclusions : pandas.DataFrame
        reason, n_patients: patients of the study who are not in it.
    failures : pandas.DataFrame
        variant, direction, reason: equations that could not be fitted to the study by itself.
    """

    study: str
    sums: dict[str, StudySums]
    exclusions: pd.DataFrame
    failures: pd.DataFrame
    analysis: str = "onestage"

    def tidy(self) -> pd.DataFrame:
        """One row per direction and number of transitions: how many patients have them."""
        rows = [
            {"direction": d, "n_transitions": float(size), "n_patients": int(count)}
            for d, sums in self.sums.items()
            for size, count in zip(sums.size, sums.count, strict=True)
        ]
        return pd.DataFrame(rows, columns=["direction", "n_transitions", "n_patients"])

    def _repr_html_(self) -> str:
        return html_table(self.tidy()) + (html_table(self.failures) if len(self.failures) else "")


@singledispatch
def onestage(panel: Panel) -> StudyAggregates:
    """The sums of a study's lagged rows from which the one-stage model is exact.

    Cells of fewer than :data:`LEAST_CELL` patients are joined with a neighbour
    (:func:`twostage.stats.onestage.joined_cells`): a record holds no patient's numbers. That changes nothing where the
    variance of the random intercept is estimated as 0.

    The likelihood of the equations of :func:`twostage.stage1.lagged` and :func:`twostage.stage1.crosslevel` with a random
    intercept depends on the rows through the number, mean and scatter of the patients' means for each number of
    transitions, and through one matrix of cross-products about them: some hundred numbers, however many patients there
    are. The person means are as they are, and about the mean of the study's patients in the products.

    Parameters
    ----------
    panel : Panel

    Returns
    -------
    StudyAggregates

    Examples
    --------
    >>> import twostage as ts
    >>> from twostage.stage1 import onestage
    >>> sums = onestage(ts.make_panel(ts.read_collection("data").study("S02"))).sums["x_to_y"]
    >>> sums.n_groups, sums.names
    (94, ('x_within', 'y_within', 'x_mean', 'y_mean', 'x_within:x_mean', 'x_within:y_mean', 'outcome'))
    """
    return aggregates(panel, lagged_sums(panel), lagged_sums(panel, products=True))


def lagged_sums(panel: Panel, *, products: bool = False) -> dict[str, MixedSums]:
    """The sums of each direction's rows, every number of transitions by itself: not to be handed on.

    Parameters
    ----------
    panel : Panel
    products : bool
        Whether with the products of the cross-level equation.
    """
    rows, _ = panel.numbered_transitions()
    found = {}
    for name, direction in DIRECTIONS.items():
        own = rows.dropna(subset=[f"{direction.outcome}_next"])
        columns = direction.crosslevel if products else direction.lagged
        own = own.assign(intercept=1.0, **(cross_products(own, direction) if products else {}))
        y, patients = own[f"{direction.outcome}_next"].to_numpy(), own["patient"].to_numpy()
        found[name] = MixedSums(columns).add(y, own[list(columns)].to_numpy(dtype=float), patients)
    return found


def cross_products(rows: pd.DataFrame, direction: Direction) -> dict[str, pd.Series]:
    """The cross-lagged predictor times both person means, these about the mean of the rows' patients, by term."""
    people = rows.drop_duplicates("patient")
    means = {term: term.split(":")[1] for term in direction.interactions}
    return {term: rows[direction.cross] * (rows[m] - people[m].mean()) for term, m in means.items()}


def aggregates(
    panel: Panel, models: dict[str, MixedSums], with_products: dict[str, MixedSums]
) -> StudyAggregates:
    """The sums of both directions, as far as the models can be fitted to the study by itself.

    Parameters
    ----------
    panel : Panel
    models, with_products : dict
        As of :func:`lagged_sums`.
    """
    found = {name: attempt(_usable, sums) for name, sums in models.items()}
    wider = {name: attempt(_usable, with_products[name]) for name, one in found.items() if one}
    failures = [("main", name, one.reason) for name, one in found.items() if not one]
    failures += [(PRODUCTS, name, one.reason) for name, one in wider.items() if not one]
    return StudyAggregates(
        panel.study,
        {name: (one or found[name]).result for name, one in wider.items()},
        _exclusions(panel, found),
        pd.DataFrame(failures, columns=["variant", "direction", "reason"]),
    )


def _usable(model: MixedSums) -> StudySums:
    sums = StudySums.of(model, OUTCOME)
    sums.check()
    require(model.leaves_residual(CLEAR), NO_RESIDUAL)
    require(sums.n_groups >= LEAST_CELL, f"{sums.n_groups} patients are fewer than {LEAST_CELL}")
    return joined_cells(sums, LEAST_CELL)


def _exclusions(panel: Panel, found: dict[str, Attempt]) -> pd.DataFrame:
    there = [one.result.n_groups for one in found.values() if one]
    if not there:
        return panel.exclusions
    lost = panel.n_patients - max(there)
    extra = pd.DataFrame([(lost_lagged(panel.parameters), lost)], columns=["reason", "n_patients"])
    return pd.concat([panel.exclusions, extra], ignore_index=True)
