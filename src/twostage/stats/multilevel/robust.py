"""Cluster-robust inference for the coefficients of a multilevel or multivariate meta-analysis."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import fdtrc

from twostage.stats.base import (
    Inference,
    WaldTest,
    check_choice,
    check_level,
    coefficient_rows,
    frame,
    html,
    quadratic_form,
    ratio,
    refuse_masked,
    wald,
)
from twostage.stats.multilevel.blocks import independent_blocks
from twostage.stats.multilevel.inference import tested_columns
from twostage.stats.multilevel.likelihood import marginal

KINDS = ("CR0", "CR1", "CR2")


# Share of its working variance that a direction of a cluster's residuals keeps; below, it is fitted exactly: its
# residual is 0 whatever the data are, and the inverse root is a generalised one (as in clubSandwich).
NULL = 1e-10


# Share of a coefficient's working variance that comes from all clusters but one; below, it rests on that one.
ALONE = 1e-12


@dataclass(frozen=True, eq=False)
class RobustFit(Inference[np.ndarray]):
    """Coefficients with cluster-robust inference.

    Attributes
    ----------
    coef, std_error, statistic, df, p_value, ci_low, ci_high : ndarray, shape (p,)
        Tests and intervals by t with `df` degrees of freedom. All but `coef` are NaN where a coefficient rests on one
        cluster alone: how it varies between clusters cannot be seen.
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
    df: np.ndarray
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
        return joint_test(self.coef, self.cov_coef, list(tested), self.shares, self.n_clusters)

    def tidy(self):
        """One row per coefficient: term, estimate, std_error, df, statistic, p_value, ci_low, ci_high."""
        return coefficient_rows(self)

    def glance(self):
        """One row: kind, clusters, omnibus test."""
        names = ("kind", "n_clusters", "level", "converged", "singular")
        return frame([{c: getattr(self, c) for c in names} | self.omnibus.numbers("f_")])

    def _repr_html_(self):
        each = zip(self.names, self.coef, self.ci_low, self.ci_high, self.df, self.p_value, strict=True)
        rows = [
            (n, f"{b:.4g} (CI {lo:.4g} to {hi:.4g}; df {d:.3g}, p {p:.3g})") for n, b, lo, hi, d, p in each
        ]
        return html(f"Cluster-robust inference ({self.kind}, {self.n_clusters} clusters)", facts=rows)


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
    check_choice("kind", kind, KINDS)
    level = fit.level if level is None else check_level(level)
    codes = _clusters(fit, cluster)
    J, p = int(codes.max()) + 1, len(fit.coef)
    if p >= J:
        raise ValueError(f"{J} clusters for {p} coefficients: more clusters than coefficients are needed")
    M, adjust = marginal(fit.blocks, fit.g), kind == "CR2"
    scores, shares, alone = sandwich(fit.X, M, fit.y - fit.X @ fit.coef, codes, adjust)
    cov = scores.T @ scores * (J / (J - p) if kind == "CR1" else 1.0)
    cov[alone], cov[:, alone] = np.nan, np.nan
    std_error = np.sqrt(np.diag(cov))
    df = _satterthwaite(shares) if adjust else np.full(p, float(J - p))
    df[alone] = np.nan
    return RobustFit(
        coef=fit.coef,
        cov_coef=cov,
        std_error=std_error,
        df=df,
        **wald(fit.coef, std_error, df, level),
        kind=kind,
        n_clusters=J,
        level=level,
        names=fit.names,
        shares=shares,
        omnibus=joint_test(fit.coef, cov, tested_columns(fit.X), shares, J),
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
    alone : ndarray of bool, shape (p,)
        Coefficients that rest on one cluster.
    """
    members = [np.nonzero(codes == j)[0] for j in range(codes.max() + 1)]
    blocks = [M[np.ix_(rows, rows)] for rows in members]
    weighted = [np.linalg.solve(m, X[rows]) for m, rows in zip(blocks, members, strict=True)]
    information = np.array([X[rows].T @ wx for rows, wx in zip(members, weighted, strict=True)])
    bread = np.linalg.inv(information.sum(axis=0))
    parts = np.einsum("ab,jbc,ca->ja", bread, information, bread)
    rest = parts.sum(axis=0) - parts.max(axis=0) <= ALONE * np.diag(bread)
    scores, alone, through = [], [], []
    for m, rows, wx in zip(blocks, members, weighted, strict=True):
        arm = wx @ bread
        if adjust:
            arm = _adjusted(m, X[rows], bread).T @ arm
            alone.append(arm.T @ m @ arm)
            through.append(X[rows].T @ arm)
        scores.append(arm.T @ residual[rows])
    if not adjust:
        return np.array(scores), np.zeros((0, 0, *bread.shape)), rest
    through = np.array(through)
    shares = -np.einsum("jas,ab,kbt->jkst", through, bread, through)
    shares[np.arange(len(alone)), np.arange(len(alone))] += np.array(alone)
    return np.array(scores), shares, rest


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
    """``(sum_j P_jj)^2 / sum_jk P_jk^2`` of each coefficient, shape (p,); P its shares (J, J)."""
    own = np.diagonal(shares, axis1=2, axis2=3)
    return ratio(np.trace(own) ** 2, (own**2).sum(axis=(0, 1)))


def joint_test(coef, cov, tested, shares, n_clusters):
    """Cluster-robust F test that the tested coefficients are 0; see :meth:`RobustFit.wald`."""
    q, b, within = len(tested), coef[tested], cov[np.ix_(tested, tested)]
    if np.isnan(within).any():
        return WaldTest(float("nan"), q, float("nan"), float("nan"))
    if shares.size == 0:
        return WaldTest.of(b, within, n_clusters - len(coef))
    P = shares[:, :, tested][:, :, :, tested]
    values, vectors = np.linalg.eigh(np.einsum("jjst->st", P))
    if values[0] <= ALONE * values[-1]:
        return WaldTest(float("nan"), q, float("nan"), float("nan"))
    root = (vectors / np.sqrt(values)) @ vectors.T
    P = root @ P @ root
    total = np.einsum("jkst,jkts->", P, P) + np.einsum("jkss,jktt->", P, P)
    eta = q * (q + 1.0) / total
    df2 = eta - q + 1.0
    if df2 <= 0.0:
        return WaldTest(float("nan"), q, df2, float("nan"))
    statistic = df2 / (eta * q) * quadratic_form(b, within)
    return WaldTest(float(statistic), q, float(df2), float(fdtrc(q, df2, statistic)))
