"""PET-PEESE: the effect a study of infinite precision would show, by weighted regression."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import EFFECT, Inference, frame, html, two_sided_p
from twostage.stats.pool import PooledFit, pooled
from twostage.stats.small_study.line import Line, weighted_line

ALTERNATIVES = ("two-sided", "greater", "less")


@dataclass(frozen=True)
class PetPeese(Inference[float]):
    """PET, PEESE, and the one of both that the conditional rule chooses.

    Attributes
    ----------
    estimate, std_error, statistic, df, p_value, ci_low, ci_high : float
        Of the chosen one (its interval ignores that it was chosen).
    chosen : {"PET", "PEESE"}
    decision_p_value : float
        Of PET's test that the effect is 0, by `alternative`.
    alpha : float
    alternative : str
    pet, peese : Line
        Regressions on the standard error and on the sampling variance; the intercept is the estimate, PET's
        slope the test of funnel asymmetry.
    k : int
    labels : tuple of str
    unadjusted : PooledFit
    """

    estimate: float
    df: int
    chosen: str
    decision_p_value: float
    alpha: float
    alternative: str
    pet: Line
    peese: Line
    k: int
    labels: tuple[str, ...] = field(repr=False)
    unadjusted: PooledFit = field(repr=False)

    def tidy(self):
        """Three rows: PET, PEESE, PET-PEESE."""
        rows = [{"estimator": n} | _estimate(line) for n, line in (("PET", self.pet), ("PEESE", self.peese))]
        return frame([*rows, {"estimator": "PET-PEESE"} | {n: getattr(self, n) for n in EFFECT}])

    def glance(self):
        """One row: the choice and the test of funnel asymmetry."""
        row = {n: getattr(self, n) for n in ("k", "chosen", "decision_p_value", "alpha", "alternative")}
        return frame([row | {"asymmetry_p_value": self.pet.slope_p_value, "note": self.pet.note}])

    def _repr_html_(self):
        return html(f"PET-PEESE ({self.chosen} chosen)", self.tidy())


def _estimate(line):
    ends = ("se", "statistic", "p_value", "ci_low", "ci_high")
    names = ("std_error", "statistic", "p_value", "ci_low", "ci_high")
    row = {"estimate": line.intercept, "df": line.df}
    return row | {n: getattr(line, f"intercept_{e}") for n, e in zip(names, ends, strict=True)}


def petpeese(y, v=None, *, alpha=0.10, alternative="two-sided", **options):
    """PET, PEESE and the conditional PET-PEESE estimate.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
        At least three studies.
    v : array_like, shape (k,), optional
    alpha : float
        PEESE is taken where PET's test of no effect has a smaller p-value. The default, two-sided 10
        percent, is the one-sided 5 percent test in either direction.
    alternative : {"two-sided", "greater", "less"}
        Of that test.
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`. Only `level` and `labels` matter.

    Returns
    -------
    PetPeese

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`; `alpha` outside (0, 1) or an unknown alternative.
    NotEstimable
        All sampling variances are equal.

    Notes
    -----
    Stanley & Doucouliagos (2014), doi:10.1002/jrsm.1095. Weighted least squares with weights ``1/v`` and an
    estimated residual variance: ``y = b0 + b1 sqrt(v)`` (PET), ``y = b0 + b1 v`` (PEESE). Checked against R's
    ``lm``.
    """
    fit = pooled(y, v, fewest=3, purpose="PET-PEESE", **options)
    if not 0.0 < alpha < 1.0 or alternative not in ALTERNATIVES:
        raise ValueError(
            f"alpha must lie in (0, 1), alternative be one of {', '.join(ALTERNATIVES)}; "
            f"got {alpha!r} and {alternative!r}"
        )
    pet = weighted_line(fit.y, fit.v, np.sqrt(fit.v), predictor="std_error", level=fit.level)
    peese = weighted_line(fit.y, fit.v, fit.v, predictor="variance", level=fit.level)
    p = float(two_sided_p(pet.intercept_statistic, pet.df))
    if alternative != "two-sided":
        expected = pet.intercept_statistic > 0 if alternative == "greater" else pet.intercept_statistic < 0
        p = p / 2.0 if expected else 1.0 - p / 2.0
    chosen = "PEESE" if p < alpha else "PET"
    numbers = _estimate(peese if chosen == "PEESE" else pet)
    return PetPeese(
        **numbers,
        chosen=chosen,
        decision_p_value=p,
        alpha=float(alpha),
        alternative=alternative,
        pet=pet,
        peese=peese,
        k=fit.k,
        labels=fit.labels,
        unadjusted=fit,
    )
