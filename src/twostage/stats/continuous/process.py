"""The bivariate Ornstein-Uhlenbeck process: what it carries over an interval, and its covariances.

``dw = A w dt + dB``: over an interval d, ``w(t + d) = e^(A d) w(t) + e``, with ``Cov(e) = P - e^(A d) P e^(A d)'``, P the
covariance in which the process stays (``A P + P A' = -Q``). P is given through the covariance Psi of e over one unit of
time, which data determine well even where P is large. Every function takes complex numbers: derivatives are by complex
step, exact to rounding.
"""

import numpy as np

#: Of a complex step: its square is lost beside any number.
TINY = 1e-30


# Below, sinh(q) / q by its series: the next term is 1e-17.
_SMALL = 1e-4


def carried(drift: np.ndarray, intervals: np.ndarray) -> np.ndarray:
    """``e^(A d)``, shape (..., D, 2, 2), of drift matrices A (..., 2, 2) and intervals d (D,).

    Notes
    -----
    ``e^(A d) = e^(m d) (cosh(q d) I + sinh(q d) / q (A - m I))`` with m half the trace and ``q^2 = m^2 - det A``
    (Cayley and Hamilton); cos and sin where ``q^2 < 0``.
    """
    drift = np.asarray(drift)[..., None, :, :]
    m = 0.5 * (drift[..., 0, 0] + drift[..., 1, 1])
    square = 0.25 * (drift[..., 0, 0] - drift[..., 1, 1]) ** 2 + drift[..., 0, 1] * drift[..., 1, 0]
    d = np.asarray(intervals, dtype=float)
    z, level = square * d**2, np.exp(m * d)
    small, turning = np.abs(z) < _SMALL, z.real < 0
    # Each root is of a number whose real part is above 0: the imaginary part is then the step alone.
    root = np.sqrt(np.where(small, 1.0, np.where(turning, -z, z)))
    up, down = np.exp(m * d + root), np.exp(m * d - root)
    even = np.where(turning, level * np.cos(root), 0.5 * (up + down))
    odd = np.where(turning, level * np.sin(root), 0.5 * (up - down)) / root
    even = np.where(small, level * (1.0 + z / 2.0 + z**2 / 24.0 + z**3 / 720.0), even)
    odd = np.where(small, level * (1.0 + z / 6.0 + z**2 / 120.0 + z**3 / 5040.0), odd)
    about = drift - m[..., None, None] * np.eye(2)
    return even[..., None, None] * np.eye(2) + (d * odd)[..., None, None] * about


def settled(drift: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """P (..., 2, 2) from A and the covariance Psi of what is new over one unit: ``P = e^A P e^A' + Psi``."""
    phi = carried(drift, np.ones(1))[..., 0, :, :]
    product = np.einsum("...ij,...kl->...ikjl", phi, phi).reshape(*phi.shape[:-2], 4, 4)
    flat = np.asarray(residual).reshape(*phi.shape[:-2], 4, 1)
    return np.linalg.solve(np.eye(4) - product, flat).reshape(phi.shape)


def noise(drift: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Q, the covariance of the noise per unit of time, from A and P."""
    flow = drift @ spread
    return -(flow + np.swapaxes(flow, -1, -2))


def carried_slopes(drift: np.ndarray, intervals: np.ndarray) -> np.ndarray:
    """Derivatives (4, D, 2, 2) of :func:`carried` in the elements of A, row by row."""
    steps = drift + 1j * TINY * np.eye(4).reshape(4, 2, 2)
    return carried(steps, intervals).imag / TINY


def settled_slopes(drift: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Derivatives (7, 2, 2) of :func:`settled` in the elements of A and in Psi_xx, Psi_xy, Psi_yy."""
    change = np.concatenate([np.eye(4).reshape(4, 2, 2), np.zeros((3, 2, 2))])
    other = np.concatenate([np.zeros((4, 2, 2)), SYMMETRIC])
    return settled(drift + 1j * TINY * change, residual + 1j * TINY * other).imag / TINY


#: The symmetric matrices whose sums, weighted by s_xx, s_xy and s_yy, are S.
SYMMETRIC = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
