"""Every estimator of the lagged effects, pooled, beside the main analysis."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from twostage.display import html_table
from twostage.records import Record
from twostage.stage2 import PooledTable, pool_records
from twostage.stats.pool import paired_difference
from twostage.terms import ESTIMATORS, HEADLINE

DIFFERENCE = ("estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high", "k")


@dataclass(frozen=True)
class EstimatorComparison:
    """The pooled lagged effects by every estimator.

    Attributes
    ----------
    pooled : PooledTable
        Of the analysis `estimators`; the estimator is the variant.
    differences : pandas.DataFrame
        estimator, direction, term and, of the pooled estimate minus the main analysis's over the studies that have both:
        estimate, std_error, df, statistic, p_value, ci_low, ci_high, k.
    """

    pooled: PooledTable
    differences: pd.DataFrame

    def tidy(self) -> pd.DataFrame:
        """One row per estimator and coefficient: the pooled table with the differences' estimate and interval."""
        wanted = ["estimator", "direction", "term", "estimate", "ci_low", "ci_high"]
        names = {c: f"difference_{c}" for c in wanted[3:]}
        return self.pooled.tidy().merge(
            self.differences[wanted].rename(columns=names), how="left", on=wanted[:3]
        )

    def glance(self) -> pd.DataFrame:
        """One row per estimator and coefficient, heterogeneity only."""
        return self.pooled.glance()

    def _repr_html_(self) -> str:
        return html_table(self.tidy())


def compare_estimators(records: Sequence[Record], **how) -> EstimatorComparison:
    """Pool the lagged effects by every estimator and tell how far each is from the headline's.

    Parameters
    ----------
    records : sequence of Record
        Of the analysis `estimators`. A study in which an estimator failed is left out of that estimator's pool.
    **how
        method, ci and level, as of :func:`twostage.stage2.pool.pool_records`.

    Returns
    -------
    EstimatorComparison
    """
    pooled = pool_records(records, **how)
    rows = []
    for estimator in (e for e in ESTIMATORS if e != HEADLINE):
        cells = pooled.table.loc[pooled.table["estimator"] == estimator, ["direction", "term"]]
        for direction, term in cells.itertuples(index=False):
            difference = _difference(pooled, direction, term, estimator)
            if difference is not None:
                named = {"estimator": estimator, "direction": direction, "term": term}
                rows.append(named | {name: getattr(difference, name) for name in DIFFERENCE})
    return EstimatorComparison(
        pooled, pd.DataFrame(rows, columns=["estimator", "direction", "term", *DIFFERENCE])
    )


def _difference(pooled: PooledTable, direction: str, term: str, estimator: str):
    columns = ["study", "estimate", "std_error"]
    ours = pooled.studies(direction, term, estimator)[columns]
    both = pooled.studies(direction, term, HEADLINE)[columns].merge(ours, on="study", suffixes=("_1", "_2"))
    if both.empty:
        return None
    y1, y2 = (both[f"estimate_{i}"].to_numpy(float) for i in (1, 2))
    v1, v2 = (both[f"std_error_{i}"].to_numpy(float) ** 2 for i in (1, 2))
    return paired_difference(y1, v1, y2, v2, method=pooled.method, level=pooled.level)
