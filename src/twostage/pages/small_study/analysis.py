"""The analyses of small-study effects of one direction."""

from collections.abc import Mapping
from dataclasses import dataclass

from twostage.collection import Collection
from twostage.stage2 import Attempt, PooledTable, attempt, named_fit
from twostage.stats.small_study import egger, funnel, petpeese, radial, rank_test, selection_model, trimfill
from twostage.terms import arrow

STEP = 0.025


FILLS = (("L0", "left"), ("L0", "right"), ("R0", "left"), ("R0", "right"))


@dataclass(frozen=True)
class SmallStudyReport:
    """Small-study analyses of one direction.

    Attributes
    ----------
    direction, effect : str
        ``x_to_y`` and its name, ``alliance → symptoms``.
    total : Attempt of PooledFit
    funnel : Attempt of Funnel
    radial : Attempt of Radial
    mixed, lm : Attempt of Egger
    rank : Attempt of RankTest
    fills : mapping of (estimator, side) to Attempt of TrimFill
    drawn : Attempt of TrimFill
        L0 on the side that Egger's regression points to.
    selection : Attempt of SelectionFit
        One step at a one-sided p of .025 in the direction of the pooled effect.
    petpeese : Attempt of PetPeese
    """

    direction: str
    effect: str
    total: Attempt
    funnel: Attempt
    radial: Attempt
    mixed: Attempt
    lm: Attempt
    rank: Attempt
    fills: Mapping[tuple[str, str], Attempt]
    drawn: Attempt
    selection: Attempt
    petpeese: Attempt


def examine_small_studies(pooled: PooledTable, direction: str, collection: Collection) -> SmallStudyReport:
    """Run every small-study analysis of a direction.

    Parameters
    ----------
    pooled : PooledTable
        Of the lagged analysis.
    direction : str
    collection : Collection
        For the names of the pair.

    Returns
    -------
    SmallStudyReport
        With the reason in place of what the studies are too few or too alike for.
    """
    total = attempt(named_fit, pooled, direction)
    alternative = "less" if total and total.result.estimate < 0.0 else "greater"
    selection = attempt(selection_model, total, steps=(STEP,), alternative=alternative)
    if selection and not selection.result.converged:
        selection = Attempt(None, "the likelihood of the selection model has no maximum for these studies")
    return SmallStudyReport(
        direction=direction,
        effect=arrow(direction, collection.x.label, collection.y.label),
        total=total,
        funnel=attempt(funnel, total),
        radial=attempt(radial, total),
        mixed=attempt(egger, total),
        lm=attempt(egger, total, model="lm"),
        rank=attempt(rank_test, total),
        fills={(e, side): attempt(trimfill, total, estimator=e, side=side) for e, side in FILLS},
        drawn=attempt(trimfill, total),
        selection=selection,
        petpeese=attempt(petpeese, total),
    )
