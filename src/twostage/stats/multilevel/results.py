"""Result of a multilevel or multivariate meta-analysis."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import Inference, check_level, coefficient_rows, critical_value, frame, html, one_row
from twostage.stats.multilevel.blocks import Blocks
from twostage.stats.multilevel.inference import heterogeneity_shares
from twostage.stats.multilevel.profile import ProfileInterval, profile
from twostage.stats.multilevel.search import Search
from twostage.stats.multilevel.terms import InnerOuter

_COLUMNS = ("estimate", "std_error", "df", "ci_low", "ci_high", "pi_low", "pi_high")


@dataclass(frozen=True, eq=False)
class MvPrediction:
    """Predicted average effects, and intervals for the true effect of a new study.

    Attributes
    ----------
    estimate, std_error, df, ci_low, ci_high, pi_low, pi_high : ndarray, shape (m,)
        `pi_low` and `pi_high` are NaN where the variance differs by inner level and no level was named.
    level : float
    """

    estimate: np.ndarray
    std_error: np.ndarray
    df: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray
    pi_low: np.ndarray
    pi_high: np.ndarray
    level: float

    def tidy(self):
        """One row per prediction."""
        return frame({c: getattr(self, c) for c in _COLUMNS})

    def glance(self):
        """One row: level, number of predictions."""
        return frame([{"level": self.level, "n": len(self.estimate)}])

    def _repr_html_(self):
        each = zip(self.estimate, self.ci_low, self.ci_high, self.pi_low, self.pi_high, strict=True)
        rows = [
            (str(i), f"{e:.4g} (CI {a:.4g} to {b:.4g}; prediction {c:.4g} to {d:.4g})")
            for i, (e, a, b, c, d) in enumerate(each)
        ]
        return html(f"Predictions, level {self.level:g}", facts=rows)


def predict(fit, X=None, inner=None, level=None):
    """Average effects at given moderators, with confidence and prediction intervals.

    Parameters
    ----------
    fit : MvFit
    X : array_like, shape (m, p) or (p,), optional
        Default: 1 for a fit with one coefficient.
    inner : str or sequence of str, length m, optional
        Inner level whose variance enters the prediction interval, where variances differ by level.
    level : float, optional
        Default: the fit's.

    Returns
    -------
    MvPrediction

    Raises
    ------
    ValueError
        X of the wrong shape or left out, an unknown inner level.

    Notes
    -----
    ``x'b -+ c sqrt(x' cov x)`` and ``x'b -+ c sqrt(x' cov x + sum_j sigma2_j + tau2)``; c is the normal
    quantile or that of t with the smallest df among the coefficients that x involves. Checked against
    metafor 3.8-1's ``predict``.
    """
    p = len(fit.coef)
    if X is None and p > 1:
        raise ValueError(f"X is needed: the fit has {p} coefficients")
    X = np.atleast_2d(np.array([[1.0]] if X is None else X, dtype=float))
    if X.ndim != 2 or X.shape[1] != p or not np.isfinite(X).all():
        raise ValueError(f"X must be finite and (m, {p}), got shape {X.shape}")
    level = fit.level if level is None else check_level(level)
    estimate, variance = X @ fit.coef, np.einsum("mp,pq,mq->m", X, fit.cov_coef, X)
    df = np.array([fit.df[row != 0.0].min() if (row != 0.0).any() else fit.df.min() for row in X])
    c = critical_value(df, level)
    spread = variance + _between(fit, inner, len(X))
    half, reach = c * np.sqrt(variance), c * np.sqrt(spread)
    ends = estimate - half, estimate + half, estimate - reach, estimate + reach
    return MvPrediction(estimate, np.sqrt(variance), df, *ends, level)


def _between(fit, inner, m):
    """Variance of true effects at each prediction, shape (m,)."""
    total = np.zeros(m)
    for piece, (variances, _, _) in zip(fit.pieces, fit.parameters, strict=True):
        if len(variances) == 1:
            total += variances[0]
            continue
        if inner is None:
            return np.full(m, np.nan)
        wanted = [inner] * m if isinstance(inner, str) else [str(x) for x in inner]
        unknown = sorted(set(wanted) - set(piece.levels))
        if unknown or len(wanted) != m:
            raise ValueError(f"inner must name {m} of the levels {', '.join(piece.levels)}; got {wanted}")
        total += variances[[piece.levels.index(x) for x in wanted]]
    return total


_GLANCE = (
    *("n", "method", "struct", "test", "dfs", "level", "qe", "qe_df", "qe_p_value"),
    *("qm", "qm_df1", "qm_df2", "qm_p_value", "loglik", "aic", "bic", "aicc"),
    *("converged", "singular", "note"),
)


@dataclass(frozen=True)
class Component:
    """A variance (squared units of y) or a correlation of the random effects.

    Attributes
    ----------
    term : str
        ``sigma2[factor]``, ``tau2``, ``tau2[level]``, ``rho`` or ``rho[level,level]``.
    kind : str
        "sigma2", "tau2" or "rho".
    piece : int
        Which random term.
    index : tuple of int
        Inner level(s).
    estimate : float
        NaN for a correlation of effects that do not vary.
    count : int
        Groups of the factor; estimates at the inner level(s).
    """

    term: str
    kind: str
    piece: int
    index: tuple[int, ...]
    estimate: float
    count: int


@dataclass(frozen=True, eq=False)
class MvFit(Inference[np.ndarray]):
    """A multilevel or multivariate meta-analysis of n estimates with p coefficients.

    Attributes
    ----------
    coef, std_error, statistic, df, p_value, ci_low, ci_high : ndarray, shape (p,)
        Fixed effects and their Wald inference; `df` is infinite for the normal distribution.
    cov_coef : ndarray, shape (p, p)
    qe, qe_df, qe_p_value : float
        Residual heterogeneity: ``(y - X b)' V^-1 (y - X b)`` at b without random effects, chi-square.
    qm, qm_df1, qm_df2, qm_p_value : float
        Omnibus test of all coefficients but an intercept: chi-square (infinite `qm_df2`) or F.
    loglik, loglik_ml, loglik_reml : float
        The criterion; log-likelihood and restricted log-likelihood (with metafor's constant
        ``log|X'X| / 2``) at the estimates.
    n : int
    method, test, dfs, struct : str
    level : float
    names : tuple of str, length p
    pieces : tuple of Piece
    g : ndarray, shape (c,)
        Entries of the random effects' covariance, term by term.
    singular : bool
        A variance is 0, a correlation 1 or -1, or G of deficient rank.
    on_edge : tuple of bool
        The same for each random term (nested factors one by one).
    converged : bool
    search : Search
    note : str
    y : ndarray, shape (n,)
    V : ndarray, shape (n, n)
    X : ndarray, shape (n, p)
    terms : tuple of Nested or InnerOuter
    blocks : Blocks
    labels : tuple of str, length n
    """

    coef: np.ndarray
    cov_coef: np.ndarray = field(repr=False)
    df: np.ndarray
    qe: float
    qe_df: int
    qe_p_value: float
    qm: float
    qm_df1: int
    qm_df2: float
    qm_p_value: float
    loglik: float
    loglik_ml: float
    loglik_reml: float
    n: int
    method: str
    test: str
    dfs: str
    level: float
    names: tuple[str, ...]
    pieces: tuple = field(repr=False)
    g: np.ndarray
    singular: bool
    on_edge: tuple[bool, ...]
    converged: bool
    search: Search = field(repr=False)
    note: str
    y: np.ndarray = field(repr=False)
    V: np.ndarray = field(repr=False)
    X: np.ndarray = field(repr=False)
    terms: tuple = field(repr=False)
    struct: str
    blocks: Blocks = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    @property
    def components(self):
        """Variances and correlations, a tuple of :class:`Component`."""
        out = []
        for i, (piece, (variances, rho, _)) in enumerate(zip(self.pieces, self.parameters, strict=True)):
            if piece.kind == "nested":
                out.append(
                    Component(f"sigma2[{piece.name}]", "sigma2", i, (), float(variances[0]), piece.counts[0])
                )
                continue
            several = len(variances) > 1
            for j, value in enumerate(variances):
                count = piece.counts[j] if several else self.n
                name = f"tau2[{piece.levels[j]}]" if several else "tau2"
                out.append(Component(name, "tau2", i, (j,), float(value), count))
            upper = zip(*np.triu_indices(len(piece.levels), 1), strict=True)
            for (j, k), value in zip(upper, rho, strict=False):  # CS and HCS have one correlation for all
                name = f"rho[{piece.levels[j]},{piece.levels[k]}]" if piece.kind == "UN" else "rho"
                out.append(Component(name, "rho", i, (int(j), int(k)), float(value), self.n))
        return tuple(out)

    @property
    def parameters(self):
        """Per random term: variances, correlations, inner level of each estimate."""
        out, at = [], 0
        inner = [t.inner for t in self.terms if isinstance(t, InnerOuter)]
        for piece in self.pieces:
            size = len(piece.start(1.0, 0.0))
            where = np.zeros(self.n, dtype=int) if piece.kind == "nested" else inner[0]
            out.append((*piece.parameters(self.g[at : at + size]), where))
            at += size
        return out

    @property
    def G(self):
        """Covariance matrix (q, q) of the inner levels' effects; None without :func:`inner_outer`."""
        at = 0
        for piece in self.pieces:
            size = len(piece.start(1.0, 0.0))
            if piece.kind == "CS":
                same = np.eye(len(piece.levels), dtype=bool)
                return np.where(same, self.g[at], self.g[at + 1])
            if piece.kind != "nested":
                return piece.matrix(self.g[at : at + size])
            at += size
        return None

    @property
    def i2(self):
        """Heterogeneity in percent, see :func:`twostage.stats.multilevel.inference.heterogeneity_shares`."""
        return heterogeneity_shares(self.V, self.X, self.pieces, self.parameters)

    @property
    def n_parameters(self):
        """Coefficients and parameters of the random effects."""
        return len(self.coef) + len(self.components)

    @property
    def n_effective(self):
        """Estimates, less the coefficients for REML: what information criteria count."""
        return self.n - (len(self.coef) if self.method == "REML" else 0)

    @property
    def aic(self):
        """``-2 loglik + 2 parameters``."""
        return -2.0 * self.loglik + 2.0 * self.n_parameters

    @property
    def bic(self):
        """``-2 loglik + log(n) parameters``, n - p in place of n for REML."""
        return -2.0 * self.loglik + np.log(self.n_effective) * self.n_parameters

    @property
    def optimiser(self):
        """How the optimum was found, an OptimiserRecord."""
        return self.search.optimum.record

    @property
    def aicc(self):
        """AIC corrected for small samples, as metafor defines it."""
        m = self.n_parameters
        n = max(self.n_effective, m + 2)
        return -2.0 * self.loglik + 2.0 * m * n / (n - m - 1)

    def profile(self, term, level=None) -> ProfileInterval:
        """Profile-likelihood interval of a variance or correlation; see :func:`profile`."""
        return profile(self, term, level)

    def predict(self, X=None, inner=None, level=None) -> MvPrediction:
        """Predicted effects with intervals, see :func:`twostage.stats.multilevel.results.predict`."""
        return predict(self, X, inner, level)

    def tidy(self):
        """One row per coefficient: term, estimate, std_error, df, statistic, p_value, ci_low, ci_high."""
        return coefficient_rows(self)

    def tidy_components(self):
        """One row per variance and correlation: term, estimate, count."""
        return frame([{c: getattr(x, c) for c in ("term", "estimate", "count")} for x in self.components])

    def glance(self):
        """One row: how it was fitted, tests, likelihood, flags."""
        return one_row(self, _GLANCE)

    def _repr_html_(self):
        rows = [
            (n, f"{b:.4g} ({100 * self.level:g}% CI {lo:.4g} to {hi:.4g}; p {p:.3g})")
            for n, b, lo, hi, p in zip(
                self.names, self.coef, self.ci_low, self.ci_high, self.p_value, strict=True
            )
        ]
        rows += [(c.term, f"{c.estimate:.4g}") for c in self.components]
        rows.append(("QE", f"{self.qe:.4g}, df {self.qe_df}, p {self.qe_p_value:.3g}"))
        flags = ("" if self.converged else "did not converge. ") + ("singular. " if self.singular else "")
        return html(
            f"Multivariate meta-analysis of {self.n} estimates ({self.method})",
            facts=rows,
            note=flags + self.note,
        )
