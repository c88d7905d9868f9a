"""Cluster-robust inference for the coefficients of a multilevel or multivariate meta-analysis."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import fdtrc

from twostage.stats.base import check_level, critical_value, facts_table, frame, refuse_masked, two_sided_p
from twostage.stats.multilevel.blocks import independent_blocks
from twostage.stats.multilevel.inference import tested_columns
from twostage.stats.multilevel.likelihood import marginal

KINDS = ("CR0", "CR1", "CR2")


# Share of its working variance that a direction of a cluster's residuals keeps; below, it is fitted exactly: its
# residual is 0 whatever the data are, and the inverse root is a generalised one (as in clubSandwich).
NULL = 1e-10


@dataclass(frozen=True)
class WaldTest:
    """F test of several coefficients.

    Attributes
    ----------
    statistic, df1, df2, p_value : float
        NaN where there are too few clusters for the test.
    """

    statistic: float
    df1: int
    df2: float
    p_value: float


@dataclass(frozen=True, eq=False)
class RobustFit:
    """Coefficients with cluster-robust inference.

    Attributes
    ----------
    coef, std_error, statistic, df, p_value, ci_low, ci_high : ndarray, shape (p,)
        Tests and intervals by t with `df` degrees of freedom.
    cov_coef : ndarray, shape (p, p)
    kind : str
    n_clusters : int
    level : float
    names : tuple of str
    shares : ndarray, shape (J, J, p, p)
        Covariance under the working model of the scores of two clusters, which CR2's tests need; (0, 0, p, p)
        otherwise.
    omnibus : WaldTest
        All coefficients but an intercept.
    converged, singular : bool
        Of the fit behind it.
    """

    coef: np.ndarray
    cov_coef: np.ndarray = field(repr=False)
    std_error: np.ndarray
    statistic: np.ndarray
    df: np.ndarray
    p_value: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray
    kind: str
    n_clusters: int
    level: float
    names: tuple[str, ...]
    shares: np.ndarray = field(repr=False)
    omnibus: WaldTest
    converged: bool
    singular: bool

    def wald(self, tested):
        """F test that the coefficients at these positions are 0.

        Parameters
        ----------
        tested : sequence of int

        Returns
        -------
        WaldTest
            CR0, CR1: ``Q / m`` with m and J - p df. CR2: the approximate Hotelling test of Pustejovsky &
            Tipton (2018), Zhang's degrees of freedom (HTZ).
        """
        return wald(self.coef, self.cov_coef, list(tested), self.shares, self.n_clusters)

    def tidy(self):
        """One row per coefficient: term, estimate, std_error, df, statistic, p_value, ci_low, ci_high."""
        columns = ("std_error", "df", "statistic", "p_value", "ci_low", "ci_high")
        return frame(
            {"term": list(self.names), "estimate": self.coef} | {c: getattr(self, c) for c in columns}
        )

    def glance(self):
        """One row: kind, clusters, omnibus test."""
        test = {f"f_{c}": getattr(self.omnibus, c) for c in ("statistic", "df1", "df2", "p_value")}
        names = ("kind", "n_clusters", "level", "converged", "singular")
        return frame([{c: getattr(self, c) for c in names} | test])

    def _repr_html_(self):
        each = zip(self.names, self.coef, self.ci_low, self.ci_high, self.df, self.p_value, strict=True)
        rows = [
            (n, f"{b:.4g} (CI {lo:.4g} to {hi:.4g}; df {d:.3g}, p {p:.3g})") for n, b, lo, hi, d, p in each
        ]
        return facts_table(f"Cluster-robust inference ({self.kind}, {self.n_clusters} clusters)", rows)


def robust(fit, cluster, kind="CR2", level=None):
    """Cluster-robust covariance and tests of a fit's coefficients.

    Parameters
    ----------
    fit : MvFit
        The working model; its weights ``M^-1`` are used.
    cluster : array_like, shape (n,)
        Labels of the independent clusters.
    kind : {"CR0", "CR1", "CR2"}
        The sandwich; times ``J / (J - p)`` for J clusters (metafor's ``robust(adjust=TRUE)``), both with t of
        J - p df; or Bell & McCaffrey's adjustment, exactly unbiased under the working model, with
        Satterthwaite df.
    level : float, optional
        Default: the fit's.

    Returns
    -------
    RobustFit

    Raises
    ------
    ValueError
        Clusters that split a random effect or correlated sampling errors, no more clusters than coefficients,
        an unknown kind.

    Notes
    -----
    With residuals e, weights ``W_j = M_j^-1`` and ``B = (X'WX)^-1``::

        cov = B (sum_j X_j' W_j A_j e_j e_j' A_j' W_j X_j) B

    with ``A_j = I`` (CR0, CR1) and ``A_j = D_j' (D_j (M_j - X_j B X_j') D_j')^(-1/2) D_j``, ``D_j' D_j = M_j``
    (CR2). The df of a coefficient are ``2 E(v)^2 / Var(v)`` of its variance estimate v under the working model.
    Pustejovsky & Tipton 2018, doi:10.1080/07350015.2016.1247004. Checked against metafor 3.8-1 (``robust``)
    and clubSandwich 0.5.8 (``vcovCR``, ``coef_test``, ``Wald_test``).
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    level = fit.level if level is None else check_level(level)
    codes = _clusters(fit, cluster)
    J, p = int(codes.max()) + 1, len(fit.coef)
    if p >= J:
        raise ValueError(f"{J} clusters for {p} coefficients: more clusters than coefficients are needed")
    scores, shares = sandwich(
        fit.X, marginal(fit.blocks, fit.g), fit.y - fit.X @ fit.coef, codes, kind == "CR2"
    )
    cov = scores.T @ scores * (J / (J - p) if kind == "CR1" else 1.0)
    std_error = np.sqrt(np.diag(cov))
    own = np.diagonal(shares, axis1=2, axis2=3).transpose(2, 0, 1) if kind == "CR2" else np.zeros((p, 0, 0))
    df = np.array([_satterthwaite(s) for s in own]) if kind == "CR2" else np.full(p, float(J - p))
    statistic = fit.coef / std_error
    half = np.array([critical_value(d, level) for d in df]) * std_error
    return RobustFit(
        coef=fit.coef,
        cov_coef=cov,
        std_error=std_error,
        statistic=statistic,
        df=df,
        p_value=np.array([two_sided_p(s, d) for s, d in zip(statistic, df, strict=True)]),
        ci_low=fit.coef - half,
        ci_high=fit.coef + half,
        kind=kind,
        n_clusters=J,
        level=level,
        names=fit.names,
        shares=shares,
        omnibus=wald(fit.coef, cov, tested_columns(fit.X), shares, J),
        converged=fit.converged,
        singular=fit.singular,
    )


def _clusters(fit, cluster):
    refuse_masked(cluster, "cluster")
    labels = np.asarray(cluster)
    if labels.shape != (fit.n,):
        raise ValueError(f"cluster must have {fit.n} labels, got shape {labels.shape}")
    codes = np.unique(labels, return_inverse=True)[1]
    block = independent_blocks(fit.V, fit.terms)
    split = [i for i in range(fit.n) if codes[i] != codes[np.argmax(block == block[i])]]
    if split:
        raise ValueError(
            f"clusters must contain whole random effects and correlated estimates: {fit.labels[split[0]]} shares "
            "one with another cluster"
        )
    return codes


def sandwich(X, M, residual, codes, adjust):
    """Cluster scores (J, p), whose cross-product is the sandwich, and what CR2's degrees of freedom need.

    Parameters
    ----------
    X : ndarray, shape (n, p)
    M : ndarray, shape (n, n)
        Working covariance, zero between clusters.
    residual : ndarray, shape (n,)
    codes : ndarray of int, shape (n,)
    adjust : bool
        CR2.

    Returns
    -------
    scores : ndarray, shape (J, p)
    shares : ndarray, shape (J, J, p, p)
        Covariance under the working model of the scores of two clusters, (0, 0, p, p) without `adjust`.
    """
    members = [np.nonzero(codes == j)[0] for j in range(codes.max() + 1)]
    blocks = [M[np.ix_(rows, rows)] for rows in members]
    weighted = [np.linalg.solve(m, X[rows]) for m, rows in zip(blocks, members, strict=True)]
    bread = np.linalg.inv(sum(X[rows].T @ wx for rows, wx in zip(members, weighted, strict=True)))
    scores, alone, through = [], [], []
    for m, rows, wx in zip(blocks, members, weighted, strict=True):
        arm = wx @ bread
        if adjust:
            arm = _adjusted(m, X[rows], bread).T @ arm
            alone.append(arm.T @ m @ arm)
            through.append(X[rows].T @ arm)
        scores.append(arm.T @ residual[rows])
    if not adjust:
        return np.array(scores), np.zeros((0, 0, *bread.shape))
    through = np.array(through)
    shares = -np.einsum("jas,ab,kbt->jkst", through, bread, through)
    shares[np.arange(len(alone)), np.arange(len(alone))] += np.array(alone)
    return np.array(scores), shares


def _adjusted(m, X, bread):
    """CR2's matrix A_j, the same for every D with ``D'D = m``.

    With ``m = L L'`` and ``N = I - L^-1 X B X' L'^-1 = F F'``, D = L' gives ``A = L (H H')^(-1/2) L'``,
    ``H = L' L F``. Singular values of H instead of eigenvalues of H H' keep the digits where variances differ.
    """
    L = np.linalg.cholesky(m)
    white = np.linalg.solve(L, X)
    values, vectors = np.linalg.eigh(np.eye(len(m)) - white @ bread @ white.T)
    kept = values > NULL
    left, size, _ = np.linalg.svd(L.T @ L @ (vectors[:, kept] * np.sqrt(values[kept])), full_matrices=False)
    return L @ ((left / size) @ left.T) @ L.T


def _satterthwaite(shares):
    """``(sum_j P_jj)^2 / sum_jk P_jk^2``, shares of one coefficient (J, J)."""
    return float(np.trace(shares) ** 2 / (shares**2).sum())


def wald(coef, cov, tested, shares, n_clusters):
    """Cluster-robust F test that the tested coefficients are 0; see :meth:`RobustFit.wald`."""
    q, b = len(tested), coef[tested]
    quadratic = float(b @ np.linalg.solve(cov[np.ix_(tested, tested)], b))
    if shares.size == 0:
        df2 = float(n_clusters - len(coef))
        return WaldTest(quadratic / q, q, df2, float(fdtrc(q, df2, quadratic / q)))
    P = shares[:, :, tested][:, :, :, tested]
    values, vectors = np.linalg.eigh(np.einsum("jjst->st", P))
    root = (vectors / np.sqrt(values)) @ vectors.T
    P = root @ P @ root
    total = np.einsum("jkst,jkts->", P, P) + np.einsum("jkss,jktt->", P, P)
    eta = q * (q + 1.0) / total
    df2 = eta - q + 1.0
    if df2 <= 0.0:
        return WaldTest(float("nan"), q, df2, float("nan"))
    statistic = df2 / (eta * q) * quadratic
    return WaldTest(float(statistic), q, float(df2), float(fdtrc(q, df2, statistic)))
