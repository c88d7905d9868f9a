"""Selection model: what the pooled effect would be had significance decided what was published."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import chdtrc

from twostage.stats.base import (
    NotEstimable,
    OptimiserRecord,
    check_choice,
    critical_value,
    frame,
    frozen,
    html,
    one_row,
    test_text,
    wald,
)
from twostage.stats.pool import PooledFit, pool, pooled
from twostage.stats.small_study.selection_fit import climb, log_likelihood, maximise, prepare

ALTERNATIVES = ("greater", "less", "two-sided")


@dataclass(frozen=True, eq=False)
class SelectionFit:
    """A step-function selection model.

    Attributes
    ----------
    estimate, std_error, statistic, p_value, ci_low, ci_high : float
        Effect adjusted for selection, Wald inference.
    tau2, tau2_se, tau2_ci_low, tau2_ci_high : float
        Between-study variance. On the boundary 0 it has no standard error (NaN) and the other parameters'
        errors are those given tau2 = 0.
    delta, delta_se, delta_statistic, delta_p_value, delta_ci_low, delta_ci_high : ndarray, shape (J,)
        Probability of publication relative to the first interval, whose weight is 1; statistics test 1.
    steps : tuple of float
        Ends of the J p-value intervals, the last of them 1.
    counts : ndarray of int, shape (J,)
        Studies in each.
    p_values : ndarray, shape (k,)
        Of the single studies.
    loglik, loglik_unselected : float
        With selection; of the ordinary ML fit.
    lrt, lrt_df, lrt_p_value : float
        Likelihood-ratio test of selection (all weights 1).
    tau2_lrt, tau2_lrt_p_value : float
        Likelihood-ratio test of tau2 = 0 within the selection model (NaN where tau2 is fixed, or where the
        weights of the model without tau2 grow without end).
    alternative : str
    level : float
    k : int
    converged, boundary : bool
        `boundary`: tau2 estimated at 0.
    covariance : ndarray
        Of (estimate, tau2, delta_2, ...); NaN for what is fixed.
    labels : tuple of str
    unadjusted : PooledFit
        The fit given.
    optimiser : OptimiserRecord
        How the maximum was found, from the start that led to it.
    note : str
    """

    estimate: float
    std_error: float
    statistic: float
    p_value: float
    ci_low: float
    ci_high: float
    tau2: float
    tau2_se: float
    tau2_ci_low: float
    tau2_ci_high: float
    delta: np.ndarray
    delta_se: np.ndarray
    delta_statistic: np.ndarray
    delta_p_value: np.ndarray
    delta_ci_low: np.ndarray
    delta_ci_high: np.ndarray
    steps: tuple[float, ...]
    counts: np.ndarray
    p_values: np.ndarray = field(repr=False)
    loglik: float
    loglik_unselected: float
    lrt: float
    lrt_df: int
    lrt_p_value: float
    tau2_lrt: float
    tau2_lrt_p_value: float
    alternative: str
    level: float
    k: int
    converged: bool
    boundary: bool
    covariance: np.ndarray = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    unadjusted: PooledFit = field(repr=False)
    optimiser: OptimiserRecord = field(repr=False)
    note: str = ""

    def tidy(self):
        """One row each for the effect, tau2 and every weight."""
        names = ("estimate", "std_error", "statistic", "p_value", "ci_low", "ci_high")
        rows = [{"term": "effect"} | {n: getattr(self, n) for n in names}]
        tau2 = (self.tau2, self.tau2_se, np.nan, np.nan, self.tau2_ci_low, self.tau2_ci_high)
        rows.append({"term": "tau2"} | dict(zip(names, tau2, strict=True)))
        low = (0.0, *self.steps[:-1])
        for j, (start, end) in enumerate(zip(low, self.steps, strict=True)):
            row = {"term": f"delta {start:g} < p <= {end:g}"} | {"estimate": float(self.delta[j])}
            row |= {n: float(getattr(self, f"delta_{s}")[j]) for n, s in zip(names[1:], _SHORT, strict=True)}
            rows.append(row)
        return frame(rows)

    def glance(self):
        """One row: log-likelihoods, tests, convergence."""
        names = ("k", "alternative", "loglik", "loglik_unselected", "lrt", "lrt_df", "lrt_p_value")
        names += ("tau2_lrt", "tau2_lrt_p_value", "converged", "boundary", "note")
        return one_row(self, names)

    def _repr_html_(self):
        test = test_text("likelihood ratio", self.lrt, self.lrt_df, np.inf, self.lrt_p_value)
        return html("Selection model", self.tidy(), [("test of selection", test)], self.note)


_SHORT = ("se", "statistic", "p_value", "ci_low", "ci_high")


def selection_model(y, v=None, *, steps=(0.025,), alternative="greater", **options):
    """Step-function selection model by maximum likelihood; with one step the three-parameter model.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
        At least as many studies as parameters. A fixed-effect fit fixes tau2 at 0.
    v : array_like, shape (k,), optional
    steps : sequence of float
        p-values, in (0, 1), at which the probability of publication may change.
    alternative : {"greater", "less", "two-sided"}
        Which p-value is selected on: that of the test against positive or negative effects, or both.
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`. tau2 is estimated by ML in any case.

    Returns
    -------
    SelectionFit

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`; steps outside (0, 1) or repeated; unknown alternative.
    NotEstimable
        Fewer studies than parameters; an interval without any p-value (named), as its weight has no estimate.

    Notes
    -----
    Hedges & Vevea (1996), doi:10.3102/10769986021004299; the three-parameter model is that of Iyengar &
    Greenhouse (1988), doi:10.1214/ss/1177013012. Newton's method with exact derivatives from several starting
    values, on the logarithm of the weights; the highest maximum is reported. Standard errors from the
    observed information. Checked against ``selmodel(type="stepfun")`` of metafor 3.8-1, which bounds weights
    at 100 and whose standard errors at tau2 = 0 do not hold (its numerical derivatives cross the boundary).
    """
    fit = pooled(y, v, purpose="a selection model", **options)
    steps = _checked_steps(steps, alternative)
    fixed = fit.method == "FE"
    parameters = 1 + (not fixed) + len(steps)
    if fit.k < parameters:
        raise NotEstimable(f"{parameters} parameters need at least as many studies, got {fit.k}")
    data, p_values = prepare(fit.y, fit.v, np.array(steps), alternative)
    counts = np.bincount(data.interval, minlength=len(steps) + 1)
    _check_intervals(counts, steps)
    plain = pool(fit.y, fit.v, method="FE" if fixed else "ML", ci="wald")
    sign = -1.0 if alternative == "less" else 1.0
    best = maximise(data, sign * plain.estimate, plain.tau2, fixed)
    counts, p_values = frozen(counts, p_values)
    numbers = _inference(data, best, fixed, sign, fit.level)
    return SelectionFit(
        **numbers,
        **_tests(data, best, plain.loglik, fixed),
        steps=(*steps, 1.0),
        counts=counts,
        p_values=p_values,
        alternative=alternative,
        level=fit.level,
        k=fit.k,
        labels=fit.labels,
        unadjusted=fit,
        optimiser=best.optimiser,
        note=_note(best, numbers["std_error"], fixed),
    )


def _tests(data, best, loglik_unselected, fixed):
    """Likelihood-ratio tests of selection and of tau2, and how the maximum was reached."""
    lrt, tau2_lrt, df = max(0.0, 2.0 * (best.loglik - loglik_unselected)), float("nan"), data.n_intervals - 1
    if not fixed:
        without = climb(data, best.mu, 0.0, best.delta, fixed=True) if best.tau2 > 0.0 else best
        tau2_lrt = max(0.0, 2.0 * (best.loglik - without.loglik)) if without.converged else float("nan")
    return {
        "tau2": best.tau2,
        "delta": frozen(best.delta)[0],
        "loglik": best.loglik,
        "loglik_unselected": loglik_unselected,
        "lrt": lrt,
        "lrt_df": df,
        "lrt_p_value": float(chdtrc(df, lrt)),
        "tau2_lrt": tau2_lrt,
        "tau2_lrt_p_value": float(chdtrc(1, tau2_lrt)),
        "converged": best.converged,
        "boundary": not fixed and best.tau2 == 0.0,
    }


def _inference(data, best, fixed, sign, level):
    """Wald inference from the observed information of the parameters not on a boundary."""
    _, _, hessian = log_likelihood(data, best.mu, best.tau2, best.delta, derivatives=True)
    free = np.ones(len(hessian), dtype=bool)
    free[1] = not fixed and best.tau2 > 0.0
    covariance = np.full(hessian.shape, np.nan)
    information = -hessian[np.ix_(free, free)]
    if np.linalg.eigvalsh(information).min() > 0.0:
        covariance[np.ix_(free, free)] = np.linalg.inv(information)
    # The second parameter and the weights do not change sign with the direction of the effects.
    covariance[0, 1:] *= sign
    covariance[1:, 0] *= sign
    error = np.sqrt(np.diag(covariance))
    c = critical_value(np.inf, level)
    estimate, delta, delta_se = sign * best.mu, best.delta, np.append(np.nan, error[2:])
    delta_test = wald(delta - 1.0, delta_se)
    numbers = {"estimate": estimate, "std_error": float(error[0]), "covariance": frozen(covariance)[0]}
    numbers |= {name: float(number) for name, number in wald(estimate, float(error[0]), level=level).items()}
    numbers |= {"tau2_se": float(error[1]), "tau2_ci_low": max(0.0, best.tau2 - c * float(error[1]))}
    numbers |= {"tau2_ci_high": best.tau2 + c * float(error[1])}
    if np.isnan(error[1]):
        numbers["tau2_ci_low"] = np.nan
    names = ("se", "statistic", "p_value", "ci_low", "ci_high")
    arrays = (delta_se, delta_test["statistic"], delta_test["p_value"])
    arrays += (np.maximum(0.0, delta - c * delta_se), delta + c * delta_se)
    return numbers | {f"delta_{n}": frozen(a)[0] for n, a in zip(names, arrays, strict=True)}


def _checked_steps(steps, alternative):
    check_choice("alternative", alternative, ALTERNATIVES)
    steps = tuple(sorted(float(s) for s in np.atleast_1d(steps)))
    if not steps or len(set(steps)) < len(steps) or not all(0.0 < s < 1.0 for s in steps):
        raise ValueError(f"steps must be different p-values strictly between 0 and 1, got {steps}")
    return steps


def _check_intervals(counts, steps):
    ends = (0.0, *steps, 1.0)
    empty = [f"{ends[j]:g} < p <= {ends[j + 1]:g}" for j in np.flatnonzero(counts == 0)]
    if empty:
        raise NotEstimable(f"no study has a p-value in {' nor in '.join(empty)}: choose other steps")


def _note(best, std_error, fixed):
    notes = []
    if not best.converged:
        notes.append("did not converge")
    if not fixed and best.tau2 == 0.0:
        notes.append("tau2 estimated at 0; the other standard errors are those given tau2 = 0")
    if np.isnan(std_error):
        notes.append("the information matrix is singular: no standard errors")
    if best.endless:
        notes.append(
            "the likelihood is higher still where weights grow or shrink without end: there is no highest maximum"
        )
    if best.n_maxima > 1:
        notes.append(f"{best.n_maxima} local maxima found; the highest is reported")
    return "; ".join(notes)
