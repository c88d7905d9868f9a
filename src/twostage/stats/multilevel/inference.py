"""Wald inference, heterogeneity tests and information criteria of a multilevel or multivariate fit."""

import numpy as np
from scipy.special import chdtrc

from twostage.stats.base import WaldTest, wald
from twostage.stats.multilevel.likelihood import evaluate
from twostage.stats.multilevel.terms import Nested

TESTS = ("z", "t")


DFS = ("residual", "contain")


def contained_df(X, terms):
    """Containment degrees of freedom of each coefficient, shape (p,); metafor's ``dfs="contain"``."""
    n, p = X.shape
    factors = []
    for term in terms:
        if isinstance(term, Nested):
            factors += list(term.codes)
        else:
            factors += [term.outer * len(term.levels) + term.inner, term.outer]
    df = np.full(p, float(n))
    for codes in factors:
        _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
        constant = (X[first[codes]] == X).all(axis=0)
        df[constant] = np.minimum(df[constant], len(first))
    return np.maximum(df - p, 1.0)


def infer(blocks, at, X, names, df, options):
    """Coefficients with their tests, QE, QM, likelihoods and criteria, as keyword arguments of MvFit."""
    n, p = X.shape
    inverse = np.linalg.inv(blocks.R)
    coef, cov = blocks.start + inverse @ at.gamma, inverse @ at.cov_gamma @ inverse.T
    df = np.broadcast_to(df, p).astype(float)
    std_error = np.sqrt(np.diag(cov))
    tested = tested_columns(X)
    # With coefficients of different degrees of freedom, the smallest ones.
    test = WaldTest.of(coef[tested], cov[np.ix_(tested, tested)], np.min(df[tested]))
    plain = evaluate(blocks, np.zeros(len(blocks.batches[0].K)), reml=True, derivatives=False)
    return {
        "coef": coef,
        "cov_coef": cov,
        "std_error": std_error,
        "df": df,
        **wald(coef, std_error, df, options["level"]),
        "qe": plain.rss,
        "qe_df": n - p,
        "qe_p_value": float(chdtrc(n - p, plain.rss)),
        "qm": test.statistic,
        "qm_df1": test.df1,
        "qm_df2": test.df2,
        "qm_p_value": test.p_value,
        "loglik": at.reml if options["method"] == "REML" else at.ml,
        "loglik_ml": at.ml,
        "loglik_reml": at.reml,
        "n": n,
    }


def tested_columns(X):
    """Columns of X that the omnibus test concerns: all but an intercept, or all where nothing else is there."""
    intercept = (X == 1.0).all(axis=0)
    return np.nonzero(~intercept)[0] if (~intercept).any() else np.arange(X.shape[1])


def heterogeneity_shares(V, X, pieces, parameters):
    """I2 in percent, by the name of the variance component; ``total`` where one number describes all estimates.

    Parameters
    ----------
    V : ndarray, shape (n, n)
    X : ndarray, shape (n, p)
    pieces : sequence of Piece
    parameters : sequence of (ndarray, ndarray, ndarray)
        Per piece its variances, correlations and the inner level of each estimate.

    Returns
    -------
    dict of str to float

    Notes
    -----
    With ``P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1`` the typical sampling variance is ``(n - p) / tr(P)``
    (Higgins & Thompson 2002, doi:10.1002/sim.1186, extended to correlated errors by Viechtbauer in metafor's
    documentation). Where the variance differs by level (HCS, UN, DIAG), each level has its own: sum and
    trace over its estimates, p replaced by their share of the hat matrix's trace.
    """
    W = np.linalg.inv(V)
    B = np.linalg.solve(X.T @ W @ X, X.T @ W)
    P, hat = np.diag(W - W @ X @ B), np.einsum("ip,pi->i", X, B)

    def typical(rows):
        """Sampling variance of a typical estimate among `rows`, as in I^2."""
        return (rows.sum() - hat[rows].sum()) / P[rows].sum()

    common = {
        (p.name if p.kind == "nested" else "tau2"): float(v[0][0])
        for p, v in zip(pieces, parameters, strict=True)
        if len(v[0]) == 1
    }
    several = [(p, v) for p, v in zip(pieces, parameters, strict=True) if len(v[0]) > 1]
    if several:
        piece, (tau2, _, inner) = several[0]
        sizes = sum(common.values()) + tau2
        return {
            name: float(100.0 * size / (size + typical(inner == j)))
            for j, (name, size) in enumerate(zip(piece.levels, sizes, strict=True))
        }
    total = sum(common.values())
    whole = total + typical(np.ones(len(X), dtype=bool))
    shares = common | {"total": total}
    return {name: float(100.0 * size / whole) for name, size in shares.items()}
