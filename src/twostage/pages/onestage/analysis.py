"""The lagged effects in one stage and in two, from the same studies, and step by step from one to the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from twostage.display import html_table
from twostage.records import Record
from twostage.stage1 import PRODUCTS
from twostage.stage2 import Attempt, attempt, pool_records
from twostage.stats.base import NotEstimable
from twostage.stats.onestage import OneStageFit, fit_onestage
from twostage.stats.pool import Interval, Tau2Method, pool
from twostage.terms import DIRECTIONS

#: The ways from two stages to one; each changes one thing of the way before it.
TWO_STAGE, MODEL_ERRORS = "two stages", "two stages, the model's errors"
SEPARATE, COMMON = "one stage", "one stage, common variances"


#: What each step changes.
STEPS = {
    MODEL_ERRORS: "the model's standard errors within studies",
    SEPARATE: "one fit of both slopes and all variances",
    COMMON: "common residual variances",
}


EFFECT = ("estimate", "std_error", "df", "ci_low", "ci_high")


@dataclass(frozen=True)
class OneStageComparison:
    """One direction's lagged effects, or its cross-level ones, by every way.

    Attributes
    ----------
    direction : str
    table : pandas.DataFrame
        One row per term and way: term, way, k, estimate, std_error, df, ci_low, ci_high, tau, exact.
    fit, common : OneStageFit
        With separate and with common variances.
    studies : pandas.DataFrame
        One row per study and term: study, label, term, estimate, std_error, given_all, weight, weight_two_stage, sigma2,
        re_variance, joined, exact.
    left_out : pandas.DataFrame
        study, reason: studies that are in the two-stage analysis of the direction, or could not be, and are not here.
    level : float
    """

    direction: str
    table: pd.DataFrame
    fit: OneStageFit
    common: OneStageFit
    studies: pd.DataFrame
    left_out: pd.DataFrame
    level: float

    def tidy(self) -> pd.DataFrame:
        """The table with the direction."""
        return self.table.assign(direction=self.direction)

    def glance(self) -> pd.DataFrame:
        """One row per kind of variances."""
        return pd.concat([self.fit.glance(), self.common.glance()], ignore_index=True)

    def steps(self, term: str) -> pd.Series:
        """What each step adds to an estimate, in standard errors of the two-stage analysis."""
        own = self.table[self.table["term"] == term].set_index("way")
        moved = own["estimate"].diff().loc[list(STEPS)] / own["std_error"].loc[TWO_STAGE]
        return moved.rename(index=STEPS)

    def _repr_html_(self) -> str:
        return html_table(self.table)


def compare_stages(
    sums: Sequence[Record],
    lagged: Sequence[Record],
    direction: str,
    *,
    products: bool = False,
    method: Tau2Method,
    ci: Interval,
    level: float,
) -> OneStageComparison:
    """Fit one model to all patients of the studies that have sums, and pool the same studies in two stages.

    Parameters
    ----------
    sums, lagged : sequence of Record
        Of the analyses `onestage` and `lagged`, one per study; with `products` of `crosslevel` in the place of the latter.
    direction : str
    products : bool
        Whether of the cross-level effects: both products have a mean and a covariance over studies, and all other
        coefficients, the lagged effects of average patients among them, are the study's own.
    method, ci, level
        How the two-stage analysis pools, as of :func:`twostage.stage2.pool.pool_records`. The one-stage model is fitted by
        REML, with Hartung and Knapp's inference unless `ci` is Wald's.

    Raises
    ------
    NotEstimable
        Fewer than two studies with sums and with estimates.
    """
    there = {record.study: record for record in lagged if _has(record, direction)}
    usable = [r for r in sums if r.study in there and r.sums(direction, products=products) is not None]
    if len(usable) < 2:
        raise NotEstimable(f"{len(usable)} of the studies have the sums for it, and at least two are needed")
    d, labels = DIRECTIONS[direction], tuple(r.study for r in usable)
    how: dict[str, Any] = {
        "labels": labels,
        "level": level,
        "inference": "wald" if ci == "wald" else "hartung-knapp",
    }
    studies = [found for r in usable if (found := r.sums(direction, products=products)) is not None]
    slopes = d.interactions if products else (d.cross, d.auto)
    fit, common = (fit_onestage(studies, slopes, variances=v, **how) for v in ("separate", "common"))
    two = pool_records([there[label] for label in labels], method=method, ci=ci, level=level)
    rows = []
    for j, term in enumerate(fit.names):
        row = two.row(direction, term)
        model = pool(fit.slopes[:, j], fit.slope_errors[:, j] ** 2, method=method, ci=ci, level=level)
        rows += [
            _row(term, TWO_STAGE, row, row["tau2"] ** 0.5, len(labels)),
            _row(
                term,
                MODEL_ERRORS,
                {c: getattr(model, c) for c in EFFECT},
                model.tau2**0.5,
                len(labels),
                fit.exact,
            ),
        ]
        for way, one in ((SEPARATE, fit), (COMMON, common)):
            rows.append(_row(term, way, {c: _part(one, c)[j] for c in EFFECT}, one.tau[j], one.k, one.exact))
    return OneStageComparison(
        direction,
        pd.DataFrame(rows),
        fit,
        common,
        _studies(fit, two, direction, usable),
        _left_out(sums, lagged, direction, labels, products),
        level,
    )


def examine_stages(sums: Sequence[Record], lagged: Sequence[Record], **how) -> dict[str, Attempt]:
    """:func:`compare_stages` of both directions, as far as the studies allow."""
    return {name: attempt(compare_stages, sums, lagged, direction=name, **how) for name in DIRECTIONS}


def _part(fit: OneStageFit, name: str):
    return fit.coef if name == "estimate" else getattr(fit, name)


def _row(term: str, way: str, effect, tau: float, k: int, exact: bool = True) -> dict:
    numbers = {c: float(effect[c]) for c in EFFECT} | {"tau": float(tau)}
    return {"term": term, "way": way, "k": k} | numbers | {"exact": exact}


def _has(record: Record, direction: str) -> bool:
    """Whether the study's own equation was fitted."""
    return any(e.direction == direction and e.converged for e in record.estimates if e.variant == "main")


def _studies(fit: OneStageFit, two, direction: str, records: list[Record]) -> pd.DataFrame:
    names = {r.study: r.label for r in records}
    weights = two.estimates[two.estimates["direction"] == direction].set_index(["study", "term"])["weight"]
    table = fit.studies()
    keys = pd.MultiIndex.from_frame(table[["study", "term"]])
    table = table.assign(weight=100 * table["weight"], weight_two_stage=weights.reindex(keys).to_numpy())
    return table.assign(label=table["study"].map(names))


#: Of a record from before the cross-level columns were among the sums.
NO_PRODUCTS = "its sums do not have the columns of the cross-level model"


def _left_out(sums, lagged, direction: str, labels: tuple[str, ...], products: bool) -> pd.DataFrame:
    found = []
    for record, own in zip(sums, lagged, strict=True):
        if record.study in labels:
            continue
        wanted = {"main", PRODUCTS} if products else {"main"}
        failed = [*record.failures, *own.failures]
        reasons = [f.reason for f in failed if f.direction == direction and f.variant in wanted]
        if not reasons and products and record.sums(direction) is not None:
            reasons = [NO_PRODUCTS]
        found.append((record.study, reasons[0] if reasons else "the fit did not converge"))
    return pd.DataFrame(found, columns=["study", "reason"])
