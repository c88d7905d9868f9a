"""Location-scale meta-regression: moderators of the effects and of their heterogeneity."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import (
    NotEstimable,
    WaldTest,
    check_choice,
    check_estimates,
    check_level,
    frame,
    html,
    omnibus_p,
    one_row,
    test_text,
    wald,
)
from twostage.stats.pool.design import Design, make_design, residual
from twostage.stats.pool.locationscale_likelihood import ScaleMaximum, ScaleProblem, maximise
from twostage.stats.pool.metafor import TESTS, Script, estimates, moderators
from twostage.stats.pool.metareg import check_options, coefficients
from twostage.stats.pool.metareg_results import Prediction, Regression, interval_at, new_design
from twostage.stats.pool.tau2 import generalised_q, log_likelihood, maximise_likelihood

# Found from metafor's own start, then refined from there: its default stops at about 1e-4.
_REFINE = (
    'list(alpha.init = c(fit$alpha), optimizer = "optim", optmethod = "BFGS", reltol = 1e-16, maxit = 1000)'
)


_INFERENCE = ("std_error", "df", "statistic", "p_value", "ci_low", "ci_high")


_GLANCE = (
    *("k", "method", "ci", "level", "qe", "qe_df", "qe_p_value", "qm", "qm_df", "qm_df2", "qm_p_value"),
    *("qs", "qs_df", "qs_df2", "qs_p_value", "lr", "lr_df", "lr_p_value", "loglik", "converged", "note"),
)


@dataclass(frozen=True, eq=False)
class LocationScale(Regression):
    """A location-scale model, ``y_i ~ N(x_i'beta, v_i + tau2_i)``, ``log tau2_i = z_i'alpha``.

    Attributes
    ----------
    names : tuple of str
        Of the p location coefficients, the intercept (if any) first.
    coef, std_error, statistic, p_value, ci_low, ci_high : ndarray, shape (p,)
    df : float
        k - p, infinite for Wald.
    cov_coef : ndarray, shape (p, p)
    scale_names : tuple of str
        Of the q scale coefficients.
    alpha, alpha_std_error, alpha_statistic, alpha_p_value, alpha_ci_low, alpha_ci_high : ndarray, shape (q,)
        Changes of log tau2. Standard errors from the observed information; NaN where it is not positive definite.
    alpha_df : float
        k - q, infinite for Wald.
    cov_alpha : ndarray, shape (q, q)
    tau2 : ndarray, shape (k,)
        Heterogeneity of each study.
    qm, qm_df, qm_df2, qm_p_value : float
        Omnibus test of the location moderators.
    qs, qs_df, qs_df2, qs_p_value : float
        Wald-type omnibus test of the scale moderators.
    lr, lr_df, lr_p_value : float
        Likelihood ratio test of the same hypothesis; NaN without scale moderators or without a scale intercept.
    qe, qe_df, qe_p_value : float
        Test of residual heterogeneity.
    loglik, variance_factor : float
    k : int
    converged : bool
        False where there is no finite maximum: `coef`, `tau2` and `loglik` are at their limits, `alpha` is not.
    method, ci : str
    level : float
    search : ScaleMaximum
    note : str
    y, v : ndarray, shape (k,)
    design, scale : Design
    labels : tuple of str
    """

    scale_names: tuple[str, ...]
    alpha: np.ndarray
    alpha_std_error: np.ndarray
    alpha_df: float
    alpha_statistic: np.ndarray
    alpha_p_value: np.ndarray
    alpha_ci_low: np.ndarray
    alpha_ci_high: np.ndarray
    cov_alpha: np.ndarray = field(repr=False)
    tau2: np.ndarray = field(repr=False)
    qs: float
    qs_df: int
    qs_df2: float
    qs_p_value: float
    lr: float
    lr_df: int
    lr_p_value: float
    search: ScaleMaximum = field(repr=False)
    scale: Design = field(repr=False)

    def predict(self, Xnew=None, Znew=None, *, level=None, prediction="k-p-q") -> Prediction:
        """Effects expected at given location and scale moderators.

        Parameters
        ----------
        Xnew : array_like, shape (m, .), optional
            Location moderators; default: the studies'.
        Znew : array_like, shape (m, .), optional
            Scale moderators; default: the studies'.
        level : float, optional
        prediction : {"k-p-q", "k-p", "normal"}

        Returns
        -------
        Prediction

        Notes
        -----
        As :func:`twostage.stats.pool.metareg_results.predict`, tau2 being that of the new scale moderators; without a
        finite maximum that is not known, and there is no prediction interval. Checked against metafor 3.8-1's
        ``predict(newmods=, newscale=)``; k - p - q is its ``pi.type="riley"``.
        """
        p, q = len(self.names), len(self.scale_names)
        rules: dict[str, tuple[float, str]] = {
            "k-p-q": (self.k - p - q, "t with k - p - q degrees of freedom")
        }
        rules |= {"k-p": (self.k - p, "t with k - p degrees of freedom"), "normal": (np.inf, "normal")}
        pi_df, text = rules[check_choice("prediction", prediction, rules)]
        X, Z = new_design(self.design, Xnew), new_design(self.scale, Znew, "scale moderator")
        if len(X) != len(Z):
            raise ValueError(f"{len(X)} rows of moderators, {len(Z)} of scale moderators")
        if not self.converged:
            return interval_at(self, X, np.full(len(Z), np.nan), level, np.nan, text)
        return interval_at(self, X, np.exp(Z @ self.alpha), level, pi_df, text)

    @property
    def optimiser(self):
        """How the optimum was found, an OptimiserRecord."""
        return self.search.record

    def r_call(self, *, data=True) -> str:
        """The metafor calls; see :class:`twostage.stats.pool.metafor.Script`."""
        columns, mods = moderators(self.design, estimates(self))
        columns, scale = moderators(self.scale, columns)
        how = f'data = dat, method = "{self.method}", test = "{TESTS[self.ci]}", level = {100 * self.level:g}'
        call = f"fit <- rma(yi, vi, mods = {mods}, scale = {scale}, {how}"
        return Script(columns, [f"{call})", f"{call},\n  control = {_REFINE})"]).text(data=data)

    def tidy(self):
        """One row per coefficient: part (location, scale), term, estimate and inference."""
        location = frame({"part": "location", "term": self.names, "estimate": self.coef} | self._columns(""))
        scale = frame(
            {"part": "scale", "term": self.scale_names, "estimate": self.alpha} | self._columns("alpha_")
        )
        return frame(location.to_dict("records") + scale.to_dict("records"))

    def _columns(self, prefix):
        return {c: getattr(self, prefix + c) for c in _INFERENCE}

    def glance(self):
        """One row: tests, log-likelihood, flags."""
        return one_row(self, _GLANCE)

    def _repr_html_(self):
        facts = [
            ("moderators", test_text("QM", self.qm, self.qm_df, self.qm_df2, self.qm_p_value)),
            ("scale", test_text("QS", self.qs, self.qs_df, self.qs_df2, self.qs_p_value)),
            ("tau2", f"{self.tau2.min():.4g} to {self.tau2.max():.4g} ({self.method})"),
            ("interval", f"{self.ci}, {100 * self.level:g}%"),
            ("note", self.note),
        ]
        return html(f"Location-scale model of {self.k} estimates", self.tidy(), facts)


NO_MAXIMUM = (
    "no finite maximum: the likelihood rises, or is flat, as the heterogeneity of some studies tends to 0"
)


LOWER = "; a finite maximum of the log-likelihood is lower by {:.3g}"


def locationscale(
    y,
    v,
    X=None,
    Z=None,
    *,
    names=None,
    scale_names=None,
    method="REML",
    ci="hartung-knapp",
    level=0.95,
    labels=None,
    intercept=True,
    scale_intercept=True,
):
    """Fit a location-scale model: ``y_i ~ N(x_i'beta, v_i + tau2_i)``, ``log tau2_i = z_i'alpha``.

    Parameters
    ----------
    y, v, X, names, ci, level, labels, intercept
        As of :func:`twostage.stats.pool.metareg.metareg`. With Hartung-Knapp, alpha is tested by t with k - q df and its
        omnibus test is F.
    Z : array_like, shape (k, r) or (k,), optional
        Moderators of heterogeneity, without the intercept's column. Default: none, the same tau2 for all.
    scale_names : sequence of str, optional
    method : {"REML", "ML"}
    scale_intercept : bool

    Returns
    -------
    LocationScale

    Raises
    ------
    ValueError, NotEstimable
        As of :func:`twostage.stats.pool.metareg.metareg`, for X and for Z. NotEstimable also for REML with k - p < q: the
        restricted likelihood knows k - p contrasts of the estimates, which cannot determine q scale coefficients.

    Notes
    -----
    Viechtbauer & López-López 2022, doi:10.1002/jrsm.1562. The likelihood is maximised by a trust-region Newton method
    with analytic derivatives from several starts; where it is highest as some tau2_i tend to 0 there is no finite
    estimate and `converged` is False: `coef`, `tau2` and `loglik` are then at their limits, up to rounding, `alpha`
    is where the search ended and has no standard errors.

    Checked against metafor 3.8-1, ``rma(scale =)``. Where there is no finite maximum, that stops with an error, with
    standard errors that are NaN or above 10^3, or at a lower maximum. Its own standard errors of alpha come from a
    numerical Hessian, 10^-2 off where years of the calendar are in the location.
    """
    y, v, shown = check_estimates(y, v, labels)
    check_options(method, ci)
    if method not in ("REML", "ML"):
        raise ValueError(f"a location-scale model is fitted by REML or ML; got {method!r}")
    rules = {"method": method, "ci": ci, "level": check_level(level)}
    k, what = len(y), "scale moderator"
    design = make_design(X, k, names=names, intercept=intercept, labels=labels)
    scale = make_design(Z, k, names=scale_names, intercept=scale_intercept, labels=labels, what=what)
    _check_contrasts(method, design.X.shape, scale.X.shape[1])
    problem = ScaleProblem(residual(y, design.U), v, design.U, scale.U, method == "REML")
    homogeneous = maximise_likelihood(problem.y, v, design.U, reml=problem.reml)[0]
    found = maximise(problem, float(homogeneous))
    scale_part, tau2 = _scale_part(found, scale, rules)
    return LocationScale(
        **_location_part(y, v, tau2, design, rules),
        **scale_part,
        **_likelihood_ratio(found, problem, scale, homogeneous),
        **rules,
        tau2=tau2,
        loglik=found.loglik,
        k=k,
        converged=found.converged,
        search=found,
        note=_note(found),
        **{"y": y, "v": v, "design": design, "scale": scale, "labels": shown},
    )


def _check_contrasts(method, shape, q):
    left = shape[0] - shape[1]
    if method == "REML" and left < q:
        raise NotEstimable(
            f"REML: {left} residual degrees of freedom cannot determine {q} scale coefficients"
        )


def _note(found):
    if found.converged:
        return ""
    return NO_MAXIMUM + ("" if np.isnan(found.finite) else LOWER.format(found.loglik - found.finite))


def _location_part(y, v, tau2, design, rules):
    k, p = design.X.shape
    df = np.inf if rules["ci"] == "wald" else float(k - p)
    numbers = coefficients(y, v, tau2, design, rules["ci"])
    qm, factor, m = float(numbers.pop("qm")), float(numbers.pop("variance_factor")), p - design.tested
    effects = wald(numbers["coef"], numbers["std_error"], df, rules["level"])
    qe = float(generalised_q(residual(y, design.U), v, 0.0, design.U))
    tests = {"qm": qm, "qm_df": m, "qm_df2": df, "qm_p_value": float(omnibus_p(qm, m, df))}
    tests |= {"qe": qe, "qe_df": k - p, "qe_p_value": float(omnibus_p(qe, k - p, np.inf))}
    named = {"names": design.names, "df": df, "variance_factor": factor}
    return numbers | effects | tests | named


def _scale_part(found, scale, rules):
    """Scale coefficients with their tests, and every study's tau2."""
    k, q = scale.X.shape
    df = np.inf if rules["ci"] == "wald" else float(k - q)
    alpha, cov = _in_units(found, scale)
    std_error = np.sqrt(np.diagonal(cov))
    effects = {"std_error": std_error} | wald(alpha, std_error, df, rules["level"])
    tested, m = slice(scale.tested, None), q - scale.tested
    found_test = WaldTest.of(alpha[tested], cov[tested, tested], df)
    test = {"qs": found_test.statistic, "qs_df": m, "qs_df2": df, "qs_p_value": found_test.p_value}
    named = {"scale_names": scale.names, "alpha": alpha, "alpha_df": df, "cov_alpha": cov}
    return named | {f"alpha_{n}": a for n, a in effects.items()} | test, np.exp(scale.X @ alpha)


def _in_units(found, scale):
    """alpha and its covariance from the orthonormal coordinates; no covariance without a maximum."""
    inverse = np.linalg.inv(scale.T)
    if not found.converged:
        return inverse @ found.g, np.full(scale.T.shape, np.nan)
    return inverse @ found.g, inverse @ np.linalg.inv(found.information) @ inverse.T


def _likelihood_ratio(found, problem, scale, homogeneous):
    df = len(found.g) - 1
    if not scale.tested:
        return {"lr": float("nan"), "lr_df": df, "lr_p_value": float("nan")}
    without = float(log_likelihood(problem.y, problem.v, homogeneous, problem.U, reml=problem.reml))
    lr = max(0.0, 2.0 * (found.loglik - without))
    return {"lr": lr, "lr_df": df, "lr_p_value": float(omnibus_p(lr, df, np.inf))}
