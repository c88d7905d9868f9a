"""What leaving out, adding or combining studies does to the pooled effects."""

from dataclasses import dataclass

import numpy as np

from twostage.collection import Collection
from twostage.stage2 import Attempt, PooledTable, attempt, named_fit
from twostage.stats.influence import PRECISION, baujat, cumulative, gosh, influence
from twostage.terms import DIRECTIONS, arrow


@dataclass(frozen=True)
class InfluenceReport:
    """Influence analyses of one direction.

    Attributes
    ----------
    direction, effect : str
        ``x_to_y`` and its name, ``alliance → symptoms``.
    total : Attempt of PooledFit
    casewise : Attempt of Influence
    baujat : Attempt of Baujat
    by_year, by_precision : Attempt of Cumulative
    gosh : Attempt of Gosh
    """

    direction: str
    effect: str
    total: Attempt
    casewise: Attempt
    baujat: Attempt
    by_year: Attempt
    by_precision: Attempt
    gosh: Attempt

    @property
    def foremost(self) -> int | None:
        """Position of the study with the largest Cook's distance; None where there is none."""
        if not self.casewise:
            return None
        return int(np.argmax(np.nan_to_num(self.casewise.result.cook_d, nan=-1.0)))


def examine_influence(
    pooled: PooledTable, direction: str, collection: Collection, seed: int = 1
) -> InfluenceReport:
    """Run every influence analysis of a direction.

    Parameters
    ----------
    pooled : PooledTable
        Of the lagged analysis.
    direction : str
    collection : Collection
        For the names of the pair and the years of the studies.
    seed : int
        Of the sample of subsets, where there are too many for all of them.

    Returns
    -------
    InfluenceReport
        With the reason in place of what the studies are too few for.
    """
    total = attempt(named_fit, pooled, direction)
    years = collection.studies.set_index("study")["year"]
    own = years.reindex(pooled.studies(direction, DIRECTIONS[direction].cross)["study"])
    return InfluenceReport(
        direction=direction,
        effect=arrow(direction, collection.x.label, collection.y.label),
        total=total,
        casewise=attempt(influence, total),
        baujat=attempt(baujat, total),
        by_year=attempt(cumulative, total, order=own.to_numpy(dtype=float), by="year"),
        by_precision=attempt(cumulative, total, order=PRECISION),
        gosh=attempt(gosh, total, seed=seed),
    )
