"""What a weighted regression removes from k estimates: residuals and traces, for many data sets at once.

With weights w (the diagonal of W) and a design U, ``P = W - W U (U'WU)^-1 U'W``. Everything here goes through an
orthonormal basis Q of ``W^(1/2) U``, for which ``P = W^(1/2) (I - QQ') W^(1/2)``: no inverse of a cross-product,
which would lose twice the digits, is ever formed.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Projection:
    """A weighted regression of y on U.

    Attributes
    ----------
    w, root : ndarray, shape (..., k)
        Weights and their square roots.
    Q : ndarray, shape (..., k, p)
    R : ndarray, shape (..., p, p)
        ``W^(1/2) U = QR``, R upper triangular.
    c : ndarray, shape (..., p)
        ``Q' W^(1/2) y``.
    r : ndarray, shape (..., k)
        Weighted residuals ``(I - QQ') W^(1/2) y``: ``y'Py`` is their sum of squares.
    """

    w: np.ndarray
    root: np.ndarray
    Q: np.ndarray
    R: np.ndarray
    c: np.ndarray
    r: np.ndarray

    @property
    def rss(self):
        """``y'Py``, shape (...): the generalised Q statistic."""
        return (self.r**2).sum(axis=-1)

    @property
    def hat(self):
        """Leverages, shape (..., k): the diagonal of ``U (U'WU)^-1 U'W``."""
        return (self.Q**2).sum(axis=-1)

    @property
    def log_det(self):
        """``log det U'WU``, shape (...)."""
        return 2.0 * np.log(np.abs(np.diagonal(self.R, axis1=-2, axis2=-1))).sum(axis=-1)

    def remove(self, z):
        """``(I - QQ') z`` for z of shape (..., k)."""
        return z - _times(self.Q, _into(self.Q, z))

    def powers(self):
        """``Py`` (..., k), ``y'PPy`` and ``y'PPPy`` (...)."""
        py = self.root * self.r
        return py, (py**2).sum(axis=-1), (self.remove(self.root * py) ** 2).sum(axis=-1)

    def trace(self):
        """``tr P``, shape (...)."""
        return (self.w * (1.0 - self.hat)).sum(axis=-1)

    def trace_product(self, a, b):
        """``tr((I-QQ') A (I-QQ') B)`` for diagonal A and B, given as arrays of shape (..., k)."""
        both = a * b
        inner = _gram(self.Q, a) * np.swapaxes(_gram(self.Q, b), -1, -2)
        return (both * (1.0 - 2.0 * self.hat)).sum(axis=-1) + inner.sum(axis=(-2, -1))


def project(y, w, U):
    """Regress y on U with weights w.

    Parameters
    ----------
    y, w : ndarray, shape (..., k)
    U : ndarray, shape (k, p)
        Full column rank.

    Returns
    -------
    Projection
    """
    root = np.sqrt(w)
    Q, R = np.linalg.qr(root[..., None] * U)
    z = root * y
    c = _into(Q, z)
    return Projection(w, root, Q, R, c, z - _times(Q, c))


def traces(w, v, U):
    """Traces of products of P and ``V = diag(v)``: tr(P), tr(PV), tr(PP), tr(PPV), tr(PVPV).

    Parameters
    ----------
    w, v : ndarray, shape (..., k)
        Weights, and sampling variances.
    U : ndarray, shape (k, p)

    Returns
    -------
    dict of ndarray, shape (...)
        Named ``p``, ``pv``, ``pp``, ``ppv``, ``pvpv``.
    """
    at = project(np.zeros_like(w), w, U)
    wv = w * v
    return {
        "p": at.trace(),
        "pv": (wv * (1.0 - at.hat)).sum(axis=-1),
        "pp": at.trace_product(w, w),
        "ppv": at.trace_product(w, wv),
        "pvpv": at.trace_product(wv, wv),
    }


def _into(Q, z):
    return (Q * z[..., None]).sum(axis=-2)


def _times(Q, c):
    return (Q @ c[..., None])[..., 0]


def _gram(Q, d):
    return np.swapaxes(Q, -1, -2) @ (d[..., None] * Q)
