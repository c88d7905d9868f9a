"""Meta-regression: how effects of studies depend on the studies' characteristics."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import (
    INTERVALS,
    check_estimates,
    check_level,
    critical_value,
    omnibus_p,
    two_sided_p,
)
from twostage.stats.pool.design import make_design
from twostage.stats.pool.metareg_core import heterogeneity, regress
from twostage.stats.pool.metareg_results import MetaRegression
from twostage.stats.pool.pool import Interval, Tau2Method
from twostage.stats.pool.projection import project
from twostage.stats.pool.tau2_column import METHODS, estimate_tau2, generalised_q


def metareg(
    y: ArrayLike,
    v: ArrayLike,
    X: ArrayLike | None = None,
    *,
    names: Sequence[str] | None = None,
    method: Tau2Method = "REML",
    ci: Interval = "hartung-knapp",
    level: float = 0.95,
    labels: Sequence[str] | None = None,
    intercept: bool = True,
) -> MetaRegression:
    """Regress k estimates on moderators with random effects, ``y_i ~ N(x_i'beta, v_i + tau2)``.

    Parameters
    ----------
    y : array_like, shape (k,)
        Estimates.
    v : array_like, shape (k,)
        Their sampling variances (squared standard errors, squared units of y), positive.
    X : array_like, shape (k, q) or (k,), optional
        Moderators, without a column for the intercept; categorical ones as dummies (see
        :func:`twostage.pages.moderators.formula.moderators` for formulas). Default: none, the pooled effect.
    names : sequence of str, optional
        Names of the moderators. Default: a data frame's columns, else x1, x2, ...
    method : {"REML", "FE", "DL", "PM", "ML", "EB", "SJ", "HS", "HE"}
        Estimator of residual heterogeneity, see :func:`twostage.stats.pool.tau2.estimate_tau2`.
    ci : {"hartung-knapp", "hartung-knapp-adhoc", "wald"}
        With ``W = diag(1 / (v + tau2))`` and ``s = y'Py / (k-p)``: covariance ``(X'WX)^-1``, normal quantiles and
        chi-square omnibus test (wald); ``s (X'WX)^-1``, t with k - p df and F(m, k - p) (Knapp & Hartung 2003,
        doi:10.1002/sim.1482); ``max(1, s) (X'WX)^-1``, t and F (ad hoc).
    level : float
        Coverage, in (0, 1).
    labels : sequence of str, optional
        Names of the studies, used in messages.
    intercept : bool
        Whether to add an intercept. Without, a moderator that is 1 for every study is the intercept (as in
        metafor) and becomes the first column.

    Returns
    -------
    MetaRegression

    Raises
    ------
    ValueError
        Shapes, estimates or moderators that are not finite, variances that are not finite and positive (study and
        moderator are named), unknown options.
    NotEstimable
        A ValueError: k <= p, a moderator that is constant, or moderators that are collinear (named).

    Notes
    -----
    ``beta = (X'WX)^-1 X'Wy``. R2 is the share of heterogeneity accounted for, ``100 max(0, (t0 - tau2) / t0)`` with
    t0 the same method's tau2 without moderators (Raudenbush 2009), 0 where t0 = 0; for FE the adjusted R2 of the
    weighted regression.

    Checked against metafor 3.8-1 (``rma``) on published and extreme data sets, all methods and intervals. Three
    differences. (a) Of several maxima of the likelihood the highest is reported. (b) Moderators that depend on each
    other are an error; metafor drops one. (c) Without an intercept metafor 3.8-1 centres y before it estimates tau2
    and QE, which is wrong unless the columns add up to a constant; here y is used as it is.
    """
    y, v, shown = check_estimates(y, v, labels)
    check_options(method, ci)
    level = check_level(level)
    design = make_design(X, len(y), names=names, intercept=intercept, labels=labels)
    numbers, search = regress(y, v, design, method, ci)
    _freeze(y, v)
    return _result(y, v, design, shown, numbers, search, method=method, ci=ci, level=level)


def check_options(method, ci):
    """Refuse unknown estimators and intervals."""
    for name, value, known in (("method", method, METHODS), ("ci", ci, INTERVALS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")


def inference(coef, std_error, statistic, df, level):
    """p-values and intervals of coefficients, as a dict of arrays."""
    half = critical_value(df, level) * std_error
    return {"p_value": two_sided_p(statistic, df), "ci_low": coef - half, "ci_high": coef + half}


def r_squared(y, v, design, tau2, method):
    """Heterogeneity accounted for, in percent; NaN without an intercept or without moderators."""
    k, p = design.X.shape
    if not design.tested:
        return float("nan")
    centred = y - y.mean()
    if method == "FE":
        total = float(generalised_q(centred, v, np.zeros(())))
        rest = float(project(centred, 1.0 / v, design.U).rss)
        share = 1.0 - (rest / (k - p)) / (total / (k - 1)) if total > 0.0 else 0.0
    else:
        without = float(estimate_tau2(y, v, method).tau2)
        share = (without - tau2) / without if without > 0.0 else 0.0
    return 100.0 * max(0.0, share)


def _result(y, v, design, labels, numbers, search, *, method, ci, level):
    k, p = design.X.shape
    df = np.inf if ci == "wald" else float(k - p)
    tau2 = float(numbers["tau2"])
    arrays = {n: numbers[n] for n in ("coef", "std_error", "statistic", "cov_coef")}
    arrays |= inference(arrays["coef"], arrays["std_error"], arrays["statistic"], df, level)
    fitted = design.X @ arrays["coef"]
    hat = project(y, 1.0 / (v + tau2), design.U).hat
    arrays |= {"fitted": fitted, "residuals": y - fitted, "hat": hat}
    _freeze(*arrays.values())
    scalars = heterogeneity(y, v, design, numbers["tau2"], method)
    scalars |= {n: numbers[n] for n in ("tau2", "qm", "variance_factor")}
    scalars |= {"tau": tau2**0.5, "r2": r_squared(y, v, design, tau2, method), "df": df, "qm_df2": df}
    m = p - design.tested
    return MetaRegression(
        **arrays,
        **{name: float(number) for name, number in scalars.items()},
        qe_df=k - p,
        qm_df=m,
        qm_p_value=float(omnibus_p(numbers["qm"], m, df)),
        **{"k": k, "converged": bool(search.converged), "boundary": bool(search.boundary)},
        **{"method": method, "ci": ci, "level": level, "search": search},
        note="; ".join(_notes(numbers, search, method, ci)),
        **{"y": y, "v": v, "design": design, "names": design.names, "labels": labels},
    )


def _notes(numbers, search, method, ci):
    notes = []
    if numbers["variance_factor"] == 0.0:
        notes.append("the moderators reproduce the estimates exactly: Hartung-Knapp intervals have width 0")
    if method == "FE" and ci != "wald":
        notes.append("Hartung-Knapp inference is not meant for a fixed-effect model")
    if search.n_maxima > 1:
        notes.append(
            f"the likelihood of tau2 has {int(search.n_maxima)} local maxima; the highest is reported"
        )
    return notes


def _freeze(*arrays):
    for array in arrays:
        array.flags.writeable = False
