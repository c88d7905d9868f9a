"""Meta-regression: how effects of studies depend on the studies' characteristics."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import (
    INTERVALS,
    check_choice,
    check_estimates,
    check_level,
    frozen,
    omnibus_p,
    ratio,
    variance_factor,
    wald,
)
from twostage.stats.pool.design import make_design, project, times
from twostage.stats.pool.metareg_results import MetaRegression
from twostage.stats.pool.pool import Interval, Tau2Method
from twostage.stats.pool.tau2 import METHODS, estimate_tau2, generalised_q, heterogeneity


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
    y, v = frozen(y, v)
    return _result(y, v, design, shown, numbers, search, method=method, ci=ci, level=level)


def coefficients(y, v, tau2, design, ci):
    """Weighted least squares at given variances.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    tau2 : ndarray, shape (...) or (..., k)
    design : Design
    ci : str
        Inference, see :func:`metareg`.

    Returns
    -------
    dict of ndarray
        ``coef``, ``std_error``, ``statistic`` (..., p), ``cov_coef`` (..., p, p), ``variance_factor`` (...),
        ``qm`` (...): the omnibus statistic, chi-square or (Hartung-Knapp) F.

    Notes
    -----
    With ``W^(1/2) X = Q M``, M upper triangular: ``coef = M^-1 c``, covariance ``s M^-1 M^-T`` with ``c = Q'W^(1/2)
    y`` and s the variance factor. As the intercept is the first column, the test of all others is the sum of
    squares of c without its first element, over s.
    """
    k, p = design.U.shape
    offset = y @ design.U  # unweighted fit: taken out first, so that estimates far from 0 cost no digits
    total = v + (tau2[..., None] if np.ndim(tau2) < y.ndim else tau2)
    at = project(y - offset @ design.U.T, 1.0 / total, design.U)
    M_inverse = np.linalg.inv(at.R @ design.T)
    coef = times(np.linalg.inv(design.T), times(np.linalg.inv(at.R), at.c) + offset)
    factor = variance_factor(at.rss, k - p, ci)
    cov = factor[..., None, None] * (M_inverse @ np.swapaxes(M_inverse, -1, -2))
    std_error = np.sqrt(np.diagonal(cov, axis1=-2, axis2=-1))
    tested = (at.c + times(at.R, offset))[..., design.tested :]
    m = tested.shape[-1] if ci != "wald" else 1
    return {
        "coef": coef,
        "std_error": std_error,
        "statistic": ratio(coef, std_error),
        "cov_coef": cov,
        "variance_factor": factor,
        "qm": ratio((tested**2).sum(axis=-1), factor * m),
    }


def regress(y, v, design, method, ci):
    """tau2 and coefficients, all that permutations need.

    Returns
    -------
    numbers : dict of ndarray
        As of :func:`coefficients`, and ``tau2``.
    search : Tau2Search
    """
    search = estimate_tau2(y, v, method, design.U)
    return coefficients(y, v, search.tau2, design, ci) | {"tau2": search.tau2}, search


def check_options(method, ci):
    """Refuse unknown estimators and intervals."""
    check_choice("method", method, METHODS)
    check_choice("ci", ci, INTERVALS)


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


# What is left of heterogeneity beside moderators is called QE.
_RENAMED = {"q": "qe", "q_df": "qe_df", "q_p_value": "qe_p_value"}


def _result(y, v, design, labels, numbers, search, *, method, ci, level):
    k, p = design.X.shape
    df = np.inf if ci == "wald" else float(k - p)
    tau2 = float(numbers["tau2"])
    arrays = {n: numbers[n] for n in ("coef", "std_error", "cov_coef")}
    arrays |= wald(numbers["coef"], numbers["std_error"], df, level)
    fitted = design.X @ arrays["coef"]
    hat = project(y, 1.0 / (v + tau2), design.U).hat
    arrays |= {"fitted": fitted, "residuals": y - fitted, "hat": hat}
    arrays = dict(zip(arrays, frozen(*arrays.values()), strict=True))
    scalars = {
        _RENAMED.get(n, n): x for n, x in heterogeneity(y, v, numbers["tau2"], method, design.U).items()
    }
    scalars |= {n: numbers[n] for n in ("tau2", "qm", "variance_factor")}
    scalars |= {"tau": tau2**0.5, "r2": r_squared(y, v, design, tau2, method), "df": df, "qm_df2": df}
    m = p - design.tested
    return MetaRegression(
        **arrays,
        **{
            name: number if name == "qe_df" else float(number)
            for name, number in (scalars | {"qe_df": k - p}).items()
        },
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
