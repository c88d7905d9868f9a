"""Location-scale meta-regression: moderators of the effects and of their heterogeneity."""

import numpy as np

from twostage.stats.errors import NotEstimable
from twostage.stats.metareg import check_options, inference
from twostage.stats.metareg_core import coefficients, omnibus_p
from twostage.stats.metareg_design import check_estimates, make_design
from twostage.stats.metareg_likelihood import log_likelihood, maximise_likelihood
from twostage.stats.metareg_scale_fit import LocationScale
from twostage.stats.metareg_scale_likelihood import ScaleProblem, maximise
from twostage.stats.metareg_tau2 import generalised_q
from twostage.stats.pool_fit import check_level

__all__ = ["LocationScale", "locationscale"]

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
        As of :func:`twostage.stats.metareg.metareg`. With Hartung-Knapp, alpha is tested by t with k - q df and its
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
        As of :func:`twostage.stats.metareg.metareg`, for X and for Z. NotEstimable also for REML with k - p < q: the
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
    problem = ScaleProblem(y - design.U @ (design.U.T @ y), v, design.U, scale.U, method == "REML")
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
    effects = (numbers["coef"], numbers["std_error"], numbers["statistic"])
    qe = float(generalised_q(y - design.U @ (design.U.T @ y), v, design.U, np.zeros(())))
    tests = {"qm": qm, "qm_df": m, "qm_df2": df, "qm_p_value": float(omnibus_p(qm, m, df))}
    tests |= {"qe": qe, "qe_df": k - p, "qe_p_value": float(omnibus_p(qe, k - p, np.inf))}
    named = {"names": design.names, "df": df, "variance_factor": factor}
    return numbers | inference(*effects, df, rules["level"]) | tests | named


def _scale_part(found, scale, rules):
    """Scale coefficients with their tests, and every study's tau2."""
    k, q = scale.X.shape
    df = np.inf if rules["ci"] == "wald" else float(k - q)
    alpha, cov = _in_units(found, scale)
    std_error = np.sqrt(np.diagonal(cov))
    effects = {"std_error": std_error, "statistic": alpha / std_error}
    effects |= inference(alpha, std_error, effects["statistic"], df, rules["level"])
    tested, m = slice(scale.tested, None), q - scale.tested
    size, z = std_error[tested], effects["statistic"][tested]
    qs = float(z @ np.linalg.solve(cov[tested, tested] / np.outer(size, size), z))
    qs = qs if np.isinf(df) else qs / m
    test = {"qs": qs, "qs_df": m, "qs_df2": df, "qs_p_value": float(omnibus_p(qs, m, df))}
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
    without = float(log_likelihood(problem.y, problem.v, problem.U, homogeneous, reml=problem.reml))
    lr = max(0.0, 2.0 * (found.loglik - without))
    return {"lr": lr, "lr_df": df, "lr_p_value": float(omnibus_p(lr, df, np.inf))}
