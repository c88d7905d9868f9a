"""Likelihood of a linear model with marginal covariance ``V + sum_c g_c K_c``, with its derivatives in g."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

LOG_2PI = np.log(2.0 * np.pi)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The likelihood at one point.

    Attributes
    ----------
    ml, reml : float
        Log-likelihood and restricted log-likelihood, the fixed effects profiled.
    gamma : ndarray, shape (p,)
        Fixed effects in the orthonormal basis.
    cov_gamma : ndarray, shape (p, p)
    rss : float
        ``(y - X beta)' M^-1 (y - X beta)``.
    gradient : ndarray, shape (c,)
        Of the criterion asked for; None where no derivatives were asked for.
    hessian, information : ndarray, shape (c, c)
        Observed Hessian and expected information.
    """

    ml: float
    reml: float
    gamma: np.ndarray
    cov_gamma: np.ndarray
    rss: float
    gradient: np.ndarray | None = None
    hessian: np.ndarray | None = None
    information: np.ndarray | None = None


def evaluate(blocks, g, *, reml, derivatives=True):
    """Likelihood at the covariance entries g.

    Parameters
    ----------
    blocks : Blocks
    g : ndarray, shape (c,)
    reml : bool
        Which criterion the derivatives belong to.
    derivatives : bool

    Returns
    -------
    Evaluation or None
        None where M(g) is not positive definite.

    Notes
    -----
    With ``W = M^-1``, ``P = W - W X (X'WX)^-1 X'W`` and orthonormal X (so that ``log|X'X| = 0``)::

        ml   = -(n log 2 pi + log|M| + y'Py) / 2
        reml = -((n - p) log 2 pi + log|M| + log|X'WX| + y'Py) / 2
        d reml / d g_c        = (y'P K_c P y - tr(P K_c)) / 2
        d2 reml / d g_c d g_d = tr(P K_c P K_d) / 2 - y'P K_c P K_d P y

    For ML the traces have W in place of P. Sums run over independent blocks.
    """
    inverse = []
    for batch in blocks.batches:
        try:
            L = np.linalg.cholesky(batch.V + np.tensordot(g, batch.K, axes=1))
        except np.linalg.LinAlgError:
            return None
        root = np.linalg.inv(L)
        W = root.transpose(0, 2, 1) @ root
        logdet = 2.0 * np.log(np.diagonal(L, axis1=1, axis2=2)).sum()
        inverse.append((W, W @ batch.X, np.einsum("bij,bj->bi", W, batch.y), logdet))
    pairs = list(zip(blocks.batches, inverse, strict=True))
    A = sum(np.einsum("bmp,bmr->pr", b.X, WX) for b, (_, WX, _, _) in pairs)
    right = sum(np.einsum("bmp,bm->p", b.X, Wy) for b, (_, _, Wy, _) in pairs)
    factor = cho_factor(A)
    cov = cho_solve(factor, np.eye(blocks.p))
    gamma = cho_solve(factor, right)
    logdet = sum(i[3] for i in inverse)
    residual = [(b.y - b.X @ gamma, Wy - WX @ gamma) for b, (_, WX, Wy, _) in pairs]
    rss = sum((r * Wr).sum() for r, Wr in residual)
    ml = -0.5 * (blocks.n * LOG_2PI + logdet + rss)
    bend = 2.0 * np.log(np.diag(factor[0])).sum()
    values = ml, ml + 0.5 * (blocks.p * LOG_2PI - bend), gamma, cov, rss
    if not derivatives:
        return Evaluation(*values)
    return Evaluation(*values, *_derivatives(pairs, residual, cov, reml))


def _derivatives(pairs, residual, cov, reml):
    """Gradient, Hessian and expected information in g."""
    slope = trace = trace2 = quad = 0.0
    first, second, cross = 0.0, 0.0, 0.0
    for (batch, (W, WX, _, _)), (_, Wr) in zip(pairs, residual, strict=True):
        WK = W @ batch.K
        KWX = batch.K @ WX
        KWr = np.einsum("cbij,bj->cbi", batch.K, Wr)
        WKWr = np.einsum("bij,cbj->cbi", W, KWr)
        slope = slope + np.einsum("cbi,bi->c", KWr, Wr)
        trace = trace + np.einsum("cbii->c", WK)
        trace2 = trace2 + np.einsum("cbij,dbji->cd", WK, WK, optimize=True)
        quad = quad + np.einsum("cbi,dbi->cd", KWr, WKWr)
        cross = cross + np.einsum("bmp,cbm->cp", WX, KWr)
        first = first + np.einsum("bmp,cbmr->cpr", WX, KWX)
        second = second + np.einsum("cbmp,dbmr->cdpr", KWX, W @ KWX, optimize=True)
    quad = quad - cross @ cov @ cross.T
    if reml:
        share = cov @ first
        trace = trace - np.einsum("cpp->c", share)
        trace2 = trace2 - 2.0 * np.einsum("pr,cdrp->cd", cov, second)
        trace2 = trace2 + np.einsum("cpr,drp->cd", share, share)
    return 0.5 * (slope - trace), 0.5 * trace2 - quad, 0.5 * trace2


def marginal(blocks, g):
    """Marginal covariance matrix M(g) of all estimates, shape (n, n), rows as in the data."""
    M = np.zeros((blocks.n, blocks.n))
    for batch in blocks.batches:
        M[batch.rows[:, :, None], batch.rows[:, None, :]] = batch.V + np.tensordot(g, batch.K, axes=1)
    return M
