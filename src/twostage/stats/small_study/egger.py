"""Small-study effects: Egger's regression test; rank correlation and trim-and-fill from their modules."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import check_choice, frame, html, one_row, real_array
from twostage.stats.pool import PooledFit, metareg, pooled
from twostage.stats.small_study.line import weighted_line

MODELS = ("mixed", "lm")


# Of (v, n); True where the predictor is 0 for a study of infinite precision, so that the intercept is its effect.
PREDICTORS = {
    "sei": (lambda v, n: np.sqrt(v), True),
    "vi": (lambda v, n: v, True),
    "ni": (lambda v, n: n, False),
    "ninv": (lambda v, n: 1.0 / n, True),
    "sqrtni": (lambda v, n: np.sqrt(n), False),
    "sqrtninv": (lambda v, n: 1.0 / np.sqrt(n), True),
}


@dataclass(frozen=True)
class Egger:
    """Egger's regression test of funnel asymmetry.

    Attributes
    ----------
    slope, slope_se, statistic, df, p_value : float
        Coefficient of the predictor and its test; `df` is infinite for Wald inference.
    intercept, intercept_se : float
    limit, limit_ci_low, limit_ci_high : float
        Effect in a study of infinite size: the intercept with its interval where the predictor is 0 there,
        NaN for "ni" and "sqrtni".
    tau2 : float
        Residual heterogeneity of the mixed model; NaN for "lm".
    model, predictor, method, ci : str
        `method` and `ci` apply to the mixed model ("lm": "least squares", "t").
    level : float
    k : int
    converged : bool
    labels : tuple of str
    fit : PooledFit
    note : str
    """

    slope: float
    slope_se: float
    statistic: float
    df: float
    p_value: float
    intercept: float
    intercept_se: float
    limit: float
    limit_ci_low: float
    limit_ci_high: float
    tau2: float
    model: str
    predictor: str
    method: str
    ci: str
    level: float
    k: int
    converged: bool
    labels: tuple[str, ...] = field(repr=False)
    fit: PooledFit = field(repr=False)
    note: str = ""

    def tidy(self):
        """Two rows: the predictor, tested, and the intercept."""
        slope = {"term": self.predictor, "estimate": self.slope, "std_error": self.slope_se, "df": self.df}
        slope |= {"statistic": self.statistic, "p_value": self.p_value}
        intercept = {
            "term": "intercept",
            "estimate": self.intercept,
            "std_error": self.intercept_se,
            "df": self.df,
        }
        return frame([slope, intercept | {"ci_low": self.limit_ci_low, "ci_high": self.limit_ci_high}])

    def glance(self):
        """One row: model, predictor, test, limit estimate, tau2, flags."""
        names = ("k", "model", "predictor", "method", "ci", "level", "statistic", "df", "p_value")
        names += ("limit", "limit_ci_low", "limit_ci_high", "tau2", "converged", "note")
        return one_row(self, names)

    def _repr_html_(self):
        names = ("slope", "slope_se", "statistic", "df", "p_value", "limit", "limit_ci_low", "limit_ci_high")
        caption = f"Egger's test ({self.model}, {self.predictor})"
        return html(caption, one_row(self, names), note=self.note)


def egger(y, v=None, *, model="mixed", predictor="sei", n=None, **options):
    """Egger's regression test: do estimates depend on the size of their study?

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
        At least three studies.
    v : array_like, shape (k,), optional
    model : {"mixed", "lm"}
        Random-effects meta-regression by the fit's method and interval; or weighted least squares with
        weights ``1/v`` and an estimated residual variance, the original test.
    predictor : {"sei", "vi", "ni", "ninv", "sqrtni", "sqrtninv"}
        Standard error, variance; sample size, its inverse, its root, the inverse of its root.
    n : array_like, shape (k,), optional
        Sample sizes, positive; for the last four predictors only.
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`.

    Returns
    -------
    Egger

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`; unknown model or predictor; sample sizes missing where
        needed, of another length, or not positive (the studies are named).
    NotEstimable
        The predictor is the same for every study.

    Notes
    -----
    Egger et al. (1997), doi:10.1136/bmj.315.7109.629, here with the roles of slope and intercept as in the
    equivalent regression of estimates on standard errors (Sterne & Egger 2005). Checked against ``regtest``
    of metafor 3.8-1.
    """
    fit = pooled(y, v, fewest=3, purpose="Egger's test", **options)
    check_choice("model", model, MODELS)
    check_choice("predictor", predictor, PREDICTORS)
    transform, has_limit = PREDICTORS[predictor]
    x = transform(fit.v, _sizes(fit, n, needed=predictor not in ("sei", "vi")))
    numbers = (_least_squares if model == "lm" else _mixed)(fit, x, predictor)
    if not has_limit:
        numbers |= {"limit_ci_low": np.nan, "limit_ci_high": np.nan}
    limit = numbers["intercept"] if has_limit else np.nan
    return Egger(
        **numbers,
        limit=limit,
        model=model,
        predictor=predictor,
        level=fit.level,
        k=fit.k,
        labels=fit.labels,
        fit=fit,
    )


def _sizes(fit, n, *, needed):
    if not needed:
        return None
    if n is None:
        raise ValueError("this predictor needs the sample sizes n")
    n = real_array(n, "n")
    if n.shape != (fit.k,):
        raise ValueError(f"n needs one sample size for each of the {fit.k} studies, got shape {n.shape}")
    bad = [f"{fit.labels[i]}: {n[i]:g}" for i in np.flatnonzero(~(np.isfinite(n) & (n > 0)))]
    if bad:
        raise ValueError(f"sample sizes must be finite and positive: {'; '.join(bad)}")
    return n


def _least_squares(fit, x, predictor):
    line = weighted_line(fit.y, fit.v, x, predictor=predictor, level=fit.level)
    return {
        "slope": line.slope,
        "slope_se": line.slope_se,
        "statistic": line.slope_statistic,
        "df": float(line.df),
        "p_value": line.slope_p_value,
        "intercept": line.intercept,
        "intercept_se": line.intercept_se,
        "limit_ci_low": line.intercept_ci_low,
        "limit_ci_high": line.intercept_ci_high,
        "tau2": float("nan"),
        "method": "least squares",
        "ci": "t",
        "converged": True,
        "note": line.note,
    }


def _mixed(fit, x, predictor):
    model = metareg(
        fit.y, fit.v, x, names=[predictor], method=fit.method, ci=fit.ci, level=fit.level, labels=fit.labels
    )
    first, second = (
        {
            n: float(getattr(model, n)[i])
            for n in ("coef", "std_error", "statistic", "p_value", "ci_low", "ci_high")
        }
        for i in (0, 1)
    )
    return {
        "slope": second["coef"],
        "slope_se": second["std_error"],
        "statistic": second["statistic"],
        "df": float(model.df),
        "p_value": second["p_value"],
        "intercept": first["coef"],
        "intercept_se": first["std_error"],
        "limit_ci_low": first["ci_low"],
        "limit_ci_high": first["ci_high"],
        "tau2": model.tau2,
        "method": model.method,
        "ci": model.ci,
        "converged": model.converged,
        "note": model.note,
    }
