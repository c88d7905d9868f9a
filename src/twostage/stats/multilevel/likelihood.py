"""Likelihood of a linear model with marginal covariance ``V + sum_c g_c K_c``, with its derivatives in g."""

from dataclasses import dataclass

import numpy as np

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
        None where M(g) is not finite and positive definite.

    Notes
    -----
    With ``W = M^-1``, ``P = W - W X (X'WX)^-1 X'W`` and orthonormal X (so that ``log|X'X| = 0``)::

        ml   = -(n log 2 pi + log|M| + y'Py) / 2
        reml = -((n - p) log 2 pi + log|M| + log|X'WX| + y'Py) / 2
        d reml / d g_c        = (y'P K_c P y - tr(P K_c)) / 2
        d2 reml / d g_c d g_d = tr(P K_c P K_d) / 2 - y'P K_c P K_d P y

    For ML the traces have W in place of P. Sums run over independent blocks.
    """
    if not np.isfinite(g).all():
        return None
    inverse = []
    for batch in blocks.batches:
        try:
            L = np.linalg.cholesky(batch.V + np.tensordot(g, batch.K, axes=1))
        except np.linalg.LinAlgError:
            return None
        root = np.linalg.inv(L)
        W = root.transpose(0, 2, 1) @ root
        logdet = 2.0 * np.log(np.diagonal(L, axis1=1, axis2=2)).sum()
        inverse.append((W, W @ batch.X, (W @ batch.y[:, :, None])[..., 0], logdet))
    pairs = list(zip(blocks.batches, inverse, strict=True))
    A = sum((b.X.swapaxes(1, 2) @ WX).sum(axis=0) for b, (_, WX, _, _) in pairs)
    right = sum((b.X.swapaxes(1, 2) @ Wy[:, :, None]).sum(axis=0)[:, 0] for b, (_, _, Wy, _) in pairs)
    factor = np.linalg.inv(np.linalg.cholesky(A))
    cov = factor.T @ factor
    gamma = cov @ right
    logdet = sum(i[3] for i in inverse)
    residual = [(b.y - b.X @ gamma, Wy - WX @ gamma) for b, (_, WX, Wy, _) in pairs]
    rss = sum((r * Wr).sum() for r, Wr in residual)
    ml = -0.5 * (blocks.n * LOG_2PI + logdet + rss)
    logdet_a = -2.0 * np.log(np.diag(factor)).sum()
    values = ml, ml + 0.5 * (blocks.p * LOG_2PI - logdet_a), gamma, cov, rss
    if not derivatives:
        return Evaluation(*values)
    return Evaluation(*values, *_derivatives(pairs, residual, cov, reml))


def _derivatives(pairs, residual, cov, reml):
    """Gradient, Hessian and expected information in g."""
    slope = trace = trace2 = quad = bend = first = cross = 0.0
    for (batch, (W, WX, _, _)), (_, Wr) in zip(pairs, residual, strict=True):
        c = len(batch.K)
        WK, KWX = W @ batch.K, batch.K @ WX
        KWr = (batch.K @ Wr[:, :, None])[..., 0]
        WKWr = (W @ KWr[..., None])[..., 0]
        slope = slope + KWr.reshape(c, -1) @ Wr.ravel()
        quad = quad + KWr.reshape(c, -1) @ WKWr.reshape(c, -1).T
        cross = cross + KWr.reshape(c, -1) @ WX.reshape(-1, len(cov))
        trace = trace + np.trace(WK, axis1=2, axis2=3).sum(axis=1)
        trace2 = trace2 + WK.reshape(c, -1) @ WK.swapaxes(2, 3).reshape(c, -1).T
        first = first + (WX.swapaxes(1, 2) @ KWX).sum(axis=1)
        bend = bend + (KWX @ cov).reshape(c, -1) @ (W @ KWX).reshape(c, -1).T
    quad = quad - cross @ cov @ cross.T
    if reml:
        share = cov @ first
        trace = trace - np.trace(share, axis1=1, axis2=2)
        trace2 = trace2 - 2.0 * bend
        trace2 = trace2 + share.reshape(len(share), -1) @ share.swapaxes(1, 2).reshape(len(share), -1).T
    return 0.5 * (slope - trace), 0.5 * trace2 - quad, 0.5 * trace2


def marginal(blocks, g):
    """Marginal covariance matrix M(g) of all estimates, shape (n, n), rows as in the data."""
    M = np.zeros((blocks.n, blocks.n))
    for batch in blocks.batches:
        M[batch.rows[:, :, None], batch.rows[:, None, :]] = batch.V + np.tensordot(g, batch.K, axes=1)
    return M
