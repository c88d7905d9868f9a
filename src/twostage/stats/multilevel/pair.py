"""Two effects per study pooled jointly: the bivariate random-effects model."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import chdtrc, fdtrc

from twostage.stats.base import (
    EFFECT,
    WaldTest,
    check_choice,
    check_level,
    frame,
    html,
    quadratic_form,
    real_array,
    wald,
)
from twostage.stats.multilevel.inference import TESTS
from twostage.stats.multilevel.region import Region, region
from twostage.stats.multilevel.results import MvFit
from twostage.stats.multilevel.several import pool_several

_GLANCE = ("k", "k_both", "method", "test", "level", "rho", "loglik", "converged", "singular", "note")


@dataclass(frozen=True)
class Contrast:
    """One effect or difference of effects with its Wald test and interval; `df` is infinite for normal ones."""

    estimate: float
    std_error: float
    df: float
    statistic: float
    p_value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, eq=False)
class PairFit:
    """Both pooled effects, their covariance, and how the studies' true effects vary together.

    Attributes
    ----------
    first, second : Contrast
        The pooled effects.
    difference : Contrast
        First less second; its test is the test that they are equal.
    joint : WaldTest
        Test that both are 0: chi-square divided by 2 (infinite df2), or Hotelling's F.
    cov : ndarray, shape (2, 2)
        Covariance matrix of the two estimates.
    G : ndarray, shape (2, 2)
        Between-study covariance matrix.
    rho : float
        Between-study correlation of the two effects; NaN where one does not vary.
    k : tuple of int
        Studies with the first, with the second effect.
    k_both : int
        Studies with both.
    method, test : str
    level : float
    names : tuple of str
    loglik : float
    converged, singular : bool
    note : str
    fit : MvFit
        The model behind it, for its profile-likelihood intervals and predictions.
    """

    first: Contrast
    second: Contrast
    difference: Contrast
    joint: WaldTest
    cov: np.ndarray
    G: np.ndarray
    rho: float
    k: tuple[int, int]
    k_both: int
    method: str
    test: str
    level: float
    names: tuple[str, str]
    loglik: float
    converged: bool
    singular: bool
    note: str
    fit: MvFit = field(repr=False)

    @property
    def estimate(self):
        """Both pooled effects, shape (2,)."""
        return self.fit.coef

    @property
    def tau2(self):
        """Between-study variances, shape (2,)."""
        return np.diag(self.G)

    def region(self, kind="confidence", *, level=None, rule=None, n_points=181) -> Region:
        """Joint region of the two effects.

        Parameters
        ----------
        kind : {"confidence", "prediction"}
            For the pooled effects, with their covariance; or for the true effects in a new study, with the
            between-study covariance added.
        level : float, optional
            Default: the fit's.
        rule : {"hotelling", "F", "chi2"}, optional
            See :func:`twostage.stats.multilevel.region.critical_distance`. Default: chi2 after ``test="z"``,
            otherwise hotelling.
        n_points : int

        Returns
        -------
        Region
            Its degrees of freedom are k - 1 (confidence) or k - 2 (prediction, as in the univariate interval
            of Higgins, Thompson & Spiegelhalter 2009, doi:10.1111/j.1467-985X.2008.00552.x), k being the
            number of studies with the rarer effect.

        Raises
        ------
        ValueError
            As :func:`twostage.stats.multilevel.region.region`.
        """
        rule = ("chi2" if self.test == "z" else "hotelling") if rule is None else rule
        df = float(min(self.k) - (2 if kind == "prediction" else 1))
        shape = self.cov + self.G if kind == "prediction" else self.cov
        level = self.level if level is None else level
        return region(self.estimate, shape, df=df, level=level, rule=rule, kind=kind, n_points=n_points)

    def tidy(self):
        """Three rows, the two effects and their difference: term, estimate, ..., ci_low, ci_high."""
        terms = (*self.names, f"{self.names[0]} - {self.names[1]}")
        rows = zip(terms, (self.first, self.second, self.difference), strict=True)
        return frame([{"term": t} | {c: getattr(x, c) for c in EFFECT} for t, x in rows])

    def glance(self):
        """One row: studies, heterogeneity of both effects, their correlation, joint test, flags."""
        tau2 = {f"tau2_{n}": float(t) for n, t in zip(self.names, self.tau2, strict=True)}
        return frame([{c: getattr(self, c) for c in _GLANCE} | tau2 | self.joint.numbers("joint_")])

    def _repr_html_(self):
        terms = (*self.names, "difference")
        rows = [
            (
                t,
                f"{x.estimate:.4g} ({100 * self.level:g}% CI {x.ci_low:.4g} to {x.ci_high:.4g}; p {x.p_value:.3g})",
            )
            for t, x in zip(terms, (self.first, self.second, self.difference), strict=True)
        ]
        rows.append(
            ("tau", " and ".join(f"{np.sqrt(t):.4g}" for t in self.tau2) + f"; correlation {self.rho:.3g}")
        )
        rows.append(("both 0", f"p {self.joint.p_value:.3g}"))
        flags = ("" if self.converged else "did not converge. ") + ("singular. " if self.singular else "")
        return html(f"Two effects pooled jointly ({self.method})", facts=rows, note=flags + self.note)


def pool_pair(Y, V, *, method="REML", test="t", level=0.95, names=("first", "second"), labels=None):
    """Pool two effects per study jointly, ``Y_i ~ N((theta1, theta2), V_i + G)``.

    Parameters
    ----------
    Y : array_like, shape (k, 2)
        Both estimates of each study; NaN where a study has only one.
    V : array_like, shape (k, 2, 2)
        Their sampling covariance matrices, squared units of Y; rows and columns of missing estimates are not
        looked at.
    method : {"REML", "ML"}
        G is unrestricted (UN).
    test : {"t", "z"}
        "t": t with k - 1 df for each effect, k being the studies that have it; for the difference and the joint
        test, the studies with the rarer effect. Exact for equal V_i and G off its boundary; "z": normal and
        chi-square.
    level : float
        Coverage of the intervals, in (0, 1).
    names : pair of str
    labels : sequence of str, optional
        Names of the studies, used in messages.

    Returns
    -------
    PairFit

    Raises
    ------
    ValueError
        Numbers that cannot be used (the studies are named), fewer than two studies with an effect, none with
        both, unknown options.

    Notes
    -----
    A study with one effect contributes to both through the correlation (van Houwelingen, Arends & Stijnen 2002,
    doi:10.1002/sim.1040). Joint test with Hotelling's ``(m - 1) / (2 m) Q`` on 2 and m - 1 df, m = k - 1 and Q
    the chi-square statistic. Checked against metafor 3.8-1's ``rma.mv`` with ``struct="UN"``.
    """
    check_choice("test", test, TESTS)
    level = check_level(level)
    Y, V = real_array(Y, "Y"), real_array(V, "V")
    if Y.ndim != 2 or Y.shape[1] != 2 or V.shape != (len(Y), 2, 2):
        raise ValueError(f"Y must be (k, 2) and V (k, 2, 2); got {Y.shape} and {V.shape}")
    names = tuple(str(x) for x in names)
    if len(set(names)) != 2:
        raise ValueError(f"names must be two different names, got {names}")
    present = ~np.isnan(Y)
    k = tuple(int(c) for c in present.sum(axis=0))
    if min(k) < 2:
        raise ValueError(
            f"each effect is needed from at least two studies; {names[int(np.argmin(k))]} has {min(k)}"
        )
    fit = pool_several(Y, V, method=method, level=level, names=names, labels=labels)
    df = np.array([*k, min(k)]) - 1.0 if test == "t" else np.full(3, np.inf)
    contrasts = [_contrast(fit, c, d, level) for c, d in zip(((1, 0), (0, 1), (1, -1)), df, strict=True)]
    return PairFit(
        *contrasts,
        joint=_joint(fit, df[2]),
        cov=fit.cov_coef,
        G=fit.G,
        rho=fit.components[2].estimate,
        k=k,
        k_both=int(present.all(axis=1).sum()),
        method=method,
        test=test,
        level=level,
        names=names,
        loglik=fit.loglik,
        converged=fit.converged,
        singular=fit.singular,
        note=fit.note,
        fit=fit,
    )


def _contrast(fit, weights, df, level):
    weights = np.array(weights, dtype=float)
    estimate = float(weights @ fit.coef)
    std_error = float(np.sqrt(weights @ fit.cov_coef @ weights))
    test = {name: float(number) for name, number in wald(estimate, std_error, df, level).items()}
    return Contrast(estimate, std_error, float(df), **test)


def _joint(fit, m):
    quadratic = quadratic_form(fit.coef, fit.cov_coef)
    if np.isinf(m):
        return WaldTest(quadratic / 2.0, 2, np.inf, float(chdtrc(2.0, quadratic)))
    if m <= 1.0:
        return WaldTest(float("nan"), 2, float("nan"), float("nan"))
    statistic = (m - 1.0) / (2.0 * m) * quadratic
    return WaldTest(statistic, 2, m - 1.0, float(fdtrc(2.0, m - 1.0, statistic)))
