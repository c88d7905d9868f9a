"""A pooled result as it would have been read over time: studies added one by one."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import EFFECT, frame, frozen, html, real_array
from twostage.stats.pool import PooledFit, Repooled, pooled, refit

PRECISION = "precision"


_STEPS = (*EFFECT, "tau2", "i2", "h2", "q", "q_p_value", "converged")


@dataclass(frozen=True, eq=False)
class Cumulative(Repooled[np.ndarray]):
    """Pooled results of the first 1, 2, ..., k studies in an order; arrays of shape (k,).

    Attributes
    ----------
    estimate, std_error, df, statistic, p_value, ci_low, ci_high, tau2, i2, h2, q, q_p_value : ndarray
        As of :class:`~twostage.stats.pool.results.PooledFit`. The first step is one study: its own normal
        interval, whatever the fit's.
    converged : ndarray of bool
    order : ndarray of int
        Study added at each step, counted from 0 in the fit's order.
    labels : tuple of str
        Its name.
    by : str
        What the order follows.
    fit : PooledFit
        Of all studies.
    """

    converged: np.ndarray
    order: np.ndarray
    labels: tuple[str, ...]
    by: str
    fit: PooledFit = field(repr=False)

    def tidy(self):
        """One row per step: step, study added, the pooled result so far."""
        steps = np.arange(1, self.fit.k + 1)
        return frame({"step": steps, "study": self.labels} | {n: getattr(self, n) for n in _STEPS})

    def glance(self):
        """One row: k, order, and the step from which on the interval always excludes 0 (NaN: never)."""
        excludes = (self.ci_low > 0.0) | (self.ci_high < 0.0)
        included = np.flatnonzero(~excludes)
        last = included[-1] + 1 if included.size else 0
        row = {
            "k": self.fit.k,
            "by": self.by,
            "excludes_zero_from": last + 1.0 if last < self.fit.k else np.nan,
        }
        return frame([row | {"converged": bool(self.converged.all())}])

    def _repr_html_(self):
        names = ("estimate", "ci_low", "ci_high", "tau2", "i2")
        columns = {"+ study": self.labels} | {n: getattr(self, n) for n in names}
        return html(f"Cumulative meta-analysis by {self.by}", columns)


def cumulative(y, v=None, *, order=None, descending=False, by=None, **options):
    """Pool the first study, the first two, and so on.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
    v : array_like, shape (k,), optional
    order : "precision" or array_like, shape (k,), optional
        One value per study to sort by, say the year (ties keep the given order); "precision" starts with the
        smallest sampling variance. Default: as given.
    descending : bool
        Largest value first (with "precision": least precise first).
    by : str, optional
        Name of the order for tables, default "precision", "given order" or "values given".
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`.

    Returns
    -------
    Cumulative

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`; an order of another length or with missing values.

    Notes
    -----
    Lau and others (1992), doi:10.1056/NEJM199207233270406. Checked against ``cumul`` of metafor 3.8-1 (which,
    for the first study, has a Hartung-Knapp standard error of 0 and no interval).
    """
    fit = pooled(y, v, fewest=1, purpose="a cumulative meta-analysis", **options)
    values, name = _values(fit, order)
    index = np.argsort(-values if descending else values, kind="stable")
    steps = [refit(fit, index[None, :m]) for m in range(1, fit.k + 1)]
    numbers = frozen(*(np.concatenate([getattr(s, n) for s in steps]) for n in _STEPS), index)
    named = dict(zip((*_STEPS, "order"), numbers, strict=True))
    return Cumulative(**named, labels=tuple(fit.labels[i] for i in index), by=by or name, fit=fit)


def _values(fit, order):
    if order is None:
        return np.arange(fit.k, dtype=float), "given order"
    if isinstance(order, str):
        if order != PRECISION:
            raise ValueError(f"order must be {PRECISION!r} or one value per study, got {order!r}")
        return fit.v, PRECISION
    values = real_array(order, "order")
    if values.shape != (fit.k,):
        raise ValueError(f"order needs one value for each of the {fit.k} studies, got shape {values.shape}")
    missing = [fit.labels[i] for i in np.flatnonzero(np.isnan(values))]
    if missing:
        raise ValueError(f"order is missing for: {', '.join(missing)}")
    return values, "values given"
