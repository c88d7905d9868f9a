"""Pooling and meta-regression of a data frame's columns; arrays go to the numeric core as they are."""

from collections.abc import Hashable, Sequence
from typing import Any, overload

import pandas as pd
from numpy.typing import ArrayLike

from twostage.pages.moderators.formula import moderators
from twostage.problems import Problem, ProblemError
from twostage.stats import pool as core
from twostage.stats.pool import Interval, MetaRegression, PooledFit, PredictionRule, Tau2Method


class ColumnError(ProblemError):
    """A data frame does not have a column that was asked for."""

    subject = "data frame"


@overload
def pool(
    data: pd.DataFrame,
    *,
    y: str,
    v: str,
    labels: str | None = None,
    method: Tau2Method = "REML",
    ci: Interval = "hartung-knapp",
    level: float = 0.95,
    prediction: PredictionRule = "k-2",
) -> PooledFit: ...


@overload
def pool(
    y: ArrayLike,
    /,
    v: ArrayLike,
    *,
    labels: Sequence[str] | None = None,
    method: Tau2Method = "REML",
    ci: Interval = "hartung-knapp",
    level: float = 0.95,
    prediction: PredictionRule = "k-2",
) -> PooledFit: ...


def pool(
    data: Any = None,
    v: Any = None,
    *,
    y: Any = None,
    labels: Any = None,
    method: Tau2Method = "REML",
    ci: Interval = "hartung-knapp",
    level: float = 0.95,
    prediction: PredictionRule = "k-2",
) -> PooledFit:
    """Pool k estimates with a random-effects model, ``y_i ~ N(theta, v_i + tau2)``.

    ``pool(data, y="yi", v="vi")`` takes columns of a data frame, ``pool(y, v)`` arrays.

    Parameters
    ----------
    data : DataFrame or array_like, shape (k,)
        One row per study; or the estimates themselves.
    v : str or array_like, shape (k,)
        Their sampling variances (squared standard errors), positive: a column's name, or the numbers.
    y : str, optional
        The column of the estimates, where `data` is a data frame.
    labels : str or sequence of str, optional
        Names of the studies, used in messages: a column's name, or the names. Default: the data frame's index,
        where it is not merely counted.
    method : {"REML", "FE", "DL", "PM", "ML", "EB", "SJ", "HS", "HE"}
        Estimator of tau2; FE sets tau2 = 0.
    ci : {"hartung-knapp", "hartung-knapp-adhoc", "wald"}
        Standard error and quantiles of the confidence interval.
    level : float
        Coverage of confidence and prediction intervals, in (0, 1).
    prediction : {"k-2", "k-1", "normal"}
        Quantiles of the prediction interval. :func:`twostage.stats.pool.pool.pool` has the formulas and sources.

    Returns
    -------
    PooledFit

    Raises
    ------
    ColumnError
        A ValueError: the data frame lacks a column.
    ValueError
        As of :func:`twostage.stats.pool.pool.pool`; every study at fault is named.

    See Also
    --------
    pool_many : Many meta-analyses at once.
    metareg : Effects that depend on moderators.

    Examples
    --------
    >>> import pandas as pd
    >>> import twostage as ts
    >>> studies = pd.DataFrame({"yi": [0.21, 0.08, 0.30], "vi": [0.010, 0.014, 0.020]}, index=["A", "B", "C"])
    >>> fit = ts.pool(studies, y="yi", v="vi")
    >>> f"{fit.estimate:.3f} [{fit.ci_low:.3f}, {fit.ci_high:.3f}], tau2 {fit.tau2:.3f}"
    '0.188 [-0.063, 0.440], tau2 0.000'

    Arrays give the same, and another estimator of tau2 and the normal interval are options:

    >>> wald = ts.pool([0.21, 0.08, 0.30], [0.010, 0.014, 0.020], method="DL", ci="wald")
    >>> round(wald.estimate, 3), round(wald.std_error, 3)
    (0.188, 0.067)
    """
    estimates, variances, names = _taken("pool", data, y, v, labels)
    return core.pool(
        estimates, variances, method=method, ci=ci, level=level, prediction=prediction, labels=names
    )


@overload
def metareg(
    data: pd.DataFrame,
    *,
    y: str,
    v: str,
    X: str | Sequence[str] | None = None,
    labels: str | None = None,
    method: Tau2Method = "REML",
    ci: Interval = "hartung-knapp",
    level: float = 0.95,
) -> MetaRegression: ...


@overload
def metareg(
    y: ArrayLike,
    /,
    v: ArrayLike,
    X: ArrayLike | None = None,
    *,
    names: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    method: Tau2Method = "REML",
    ci: Interval = "hartung-knapp",
    level: float = 0.95,
    intercept: bool = True,
) -> MetaRegression: ...


def metareg(
    data: Any = None,
    v: Any = None,
    X: Any = None,
    *,
    y: Any = None,
    labels: Any = None,
    names: Sequence[str] | None = None,
    method: Tau2Method = "REML",
    ci: Interval = "hartung-knapp",
    level: float = 0.95,
    intercept: bool = True,
) -> MetaRegression:
    """Regress k estimates on moderators with random effects, ``y_i ~ N(x_i'beta, v_i + tau2)``.

    ``metareg(data, y="yi", v="vi", X="~ year + setting")`` takes a data frame, ``metareg(y, v, X)`` arrays.

    Parameters
    ----------
    data : DataFrame or array_like, shape (k,)
        One row per study; or the estimates themselves.
    v : str or array_like, shape (k,)
        Their sampling variances, positive: a column's name, or the numbers.
    X : str, sequence of str, or array_like, optional
        Of a data frame, a formula (:func:`twostage.pages.moderators.formula.moderators`: texts become dummies,
        ``a:b`` is an interaction, ``0 +`` leaves out the intercept) or the names of numeric columns. Otherwise the
        moderators, shape (k, q), without a column for the intercept. Default: none, the pooled effect.
    y : str, optional
        The column of the estimates, where `data` is a data frame.
    labels : str or sequence of str, optional
        As of :func:`pool`.
    names : sequence of str, optional
        Names of the moderators, where `X` is an array.
    method : {"REML", "FE", "DL", "PM", "ML", "EB", "SJ", "HS", "HE"}
        Estimator of residual heterogeneity.
    ci : {"hartung-knapp", "hartung-knapp-adhoc", "wald"}
        Covariance and quantiles; :func:`twostage.stats.pool.metareg.metareg` has the formulas and sources.
    level : float
        Coverage, in (0, 1).
    intercept : bool
        Whether to add an intercept; a formula says it itself.

    Returns
    -------
    MetaRegression

    Raises
    ------
    ColumnError, ModeratorError
        ValueErrors: the data frame lacks a column, a formula cannot be used, or a study lacks a value.
    ValueError, NotEstimable
        As of :func:`twostage.stats.pool.metareg.metareg`.

    Examples
    --------
    >>> import pandas as pd
    >>> import twostage as ts
    >>> studies = pd.DataFrame(
    ...     {
    ...         "yi": [0.21, 0.08, 0.30, 0.11, 0.25],
    ...         "vi": [0.010, 0.014, 0.020, 0.012, 0.016],
    ...         "year": [2004, 2009, 2002, 2015, 2006],
    ...         "setting": ["clinic", "online", "clinic", "online", "clinic"],
    ...     }
    ... )
    >>> fit = ts.metareg(studies, y="yi", v="vi", X=["year"])
    >>> fit.tidy()[["term", "estimate", "std_error"]].round(4)
            term  estimate  std_error
    0  intercept   27.3458    11.9689
    1       year   -0.0135     0.0060
    >>> ts.metareg(studies, y="yi", v="vi", X="~ setting").names
    ('intercept', 'setting[T.online]')
    """
    estimates, variances, labels = _taken("metareg", data, y, v, labels)
    how: dict[str, Any] = {"labels": labels, "method": method, "ci": ci, "level": level}
    if isinstance(data, pd.DataFrame) and isinstance(X, str):
        if names is not None or not intercept:
            raise TypeError("a formula names the moderators, and '0 +' in it leaves out the intercept")
        return moderators(data, X).fit(estimates, variances, **how)
    if isinstance(data, pd.DataFrame) and X is not None:
        _require(data, *X)
        X = data[list(X)]
    return core.metareg(estimates, variances, X, names=names, intercept=intercept, **how)


def _taken(function: str, data: Any, y: Any, v: Any, labels: Any) -> tuple[Any, Any, Any]:
    """Estimates, variances and names of the studies, from a data frame or as they are."""
    if not isinstance(data, pd.DataFrame):
        if (data is None) == (y is None) or v is None:
            raise TypeError(f"expected {function}(y, v) or {function}(data, y='column', v='column')")
        return (y if data is None else data), v, labels
    if y is None or v is None:
        raise TypeError(f"name the columns: {function}(data, y='column', v='column')")
    _require(data, y, v, *([] if labels is None else [labels]))
    counted = isinstance(data.index, pd.RangeIndex)
    names = data[labels] if labels is not None else None if counted else data.index
    return data[y], data[v], None if names is None else [str(name) for name in names]


def _require(data: pd.DataFrame, *wanted: Any) -> None:
    """Refuse what is no column of a data frame."""
    expected = f"one of its columns: {', '.join(map(str, data.columns))}"
    wrong = [name for name in wanted if not isinstance(name, Hashable) or name not in data.columns]
    if wrong:
        raise ColumnError([Problem("data", None, None, name, expected) for name in wrong])
