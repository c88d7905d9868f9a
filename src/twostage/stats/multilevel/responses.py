"""What one unit more of a variable does over time, from a matrix of lagged effects: impulse responses and their sum."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base import check_level, frame, html, real_array, wald

#: Largest number of occasions ahead.
MOST = 100


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses of two variables to one unit more of either, occasion by occasion and in all.

    Attributes
    ----------
    phi : (2, 2) array
        phi[i, j]: effect of variable j on variable i one occasion later.
    response, response_se : (H, 2, 2) arrays
        response[h - 1, i, j]: by how much variable i differs h occasions after a unit more of j; standard errors.
    total, total_se : (2, 2) arrays
        The sum over all later occasions; NaN where it does not exist.
    radius : float
        Spectral radius of phi.
    df : float
    level : float
    names : tuple of str
    """

    phi: np.ndarray
    response: np.ndarray
    response_se: np.ndarray
    total: np.ndarray
    total_se: np.ndarray
    radius: float
    df: float
    level: float
    names: tuple[str, str]

    @property
    def stable(self) -> bool:
        """Whether every response dies out, so that their sum exists."""
        return self.radius < 1.0

    def tidy(self):
        """One row per impulse, variable and occasion, then the sums (occasion "all later")."""
        H = len(self.response)
        estimate = np.concatenate([self.response, self.total[None]])
        std_error = np.concatenate([self.response_se, self.total_se[None]])
        occasions = [*map(str, range(1, H + 1)), "all later"]
        rows = [(j, i, h) for j in range(2) for i in range(2) for h in range(H + 1)]
        impulse, variable, at = np.array(rows).T
        columns = {
            "impulse": [self.names[j] for j in impulse],
            "variable": [self.names[i] for i in variable],
            "occasion": [occasions[h] for h in at],
            "estimate": estimate[at, variable, impulse],
            "std_error": std_error[at, variable, impulse],
            "df": self.df,
        }
        return frame(columns | wald(columns["estimate"], columns["std_error"], self.df, self.level))

    def glance(self):
        """One row: spectral radius, whether responses die out, half-life of the slowest part in occasions."""
        half = np.log(0.5) / np.log(self.radius) if 0.0 < self.radius < 1.0 else np.nan
        return frame([{"radius": self.radius, "stable": self.stable, "half_life": half, "df": self.df}])

    def _repr_html_(self) -> str:
        columns = ["impulse", "variable", "occasion", "estimate", "std_error", "ci_low", "ci_high"]
        note = "" if self.stable else "The responses do not die out: their sums do not exist."
        return html("Impulse responses", self.tidy()[columns], note=note)


def impulse_responses(phi, cov, *, horizon=6, df=np.inf, level=0.95, names=("x", "y")) -> Responses:
    """Responses to one unit more of either variable, with standard errors by the delta method.

    Parameters
    ----------
    phi : array_like, shape (2, 2)
        Effect of column j on row i one occasion later.
    cov : array_like, shape (4, 4)
        Covariance matrix of ``phi.ravel()``: of phi[0, 0], phi[0, 1], phi[1, 0], phi[1, 1].
    horizon : int
        How many occasions ahead, 1 to 100.
    df : float
        Degrees of freedom of the intervals; infinite: normal.
    level : float
        Coverage of the intervals, in (0, 1).
    names : pair of str

    Returns
    -------
    Responses

    Raises
    ------
    ValueError
        Shapes, a horizon or a level that cannot be; a covariance matrix that is none.

    Notes
    -----
    After h occasions the response is ``Phi^h``; the sum over all later ones, where every eigenvalue of Phi is smaller
    than 1, is ``(I - Phi)^-1 - I``. With E_ij the matrix that is 1 in i, j::

        d Phi^h / d phi_ij        = sum_{m=0}^{h-1} Phi^m E_ij Phi^(h-1-m)
        d (I - Phi)^-1 / d phi_ij = (I - Phi)^-1 E_ij (I - Phi)^-1

    (Lütkepohl 2005, New Introduction to Multiple Time Series Analysis, propositions 3.6 and 2.3.3). It takes the process as
    a first-order one with the same effects at every occasion. The delta method is poor where the spectral radius comes
    near 1. Checked against hand algebra, numerical derivatives and R.

    Examples
    --------
    >>> import numpy as np
    >>> found = impulse_responses([[0.3, -0.1], [-0.2, 0.4]], 0.001 * np.eye(4), horizon=2)
    >>> found.response[1].round(2).tolist()  # Phi squared
    [[0.11, -0.07], [-0.14, 0.18]]
    >>> found.total.round(3).tolist()
    [[0.5, -0.25], [-0.5, 0.75]]
    """
    phi, cov = real_array(phi, "phi"), real_array(cov, "cov")
    if phi.shape != (2, 2) or cov.shape != (4, 4):
        raise ValueError(f"phi must be (2, 2) and cov (4, 4); got {phi.shape} and {cov.shape}")
    if not (np.isfinite(phi).all() and np.isfinite(cov).all() and np.allclose(cov, cov.T, rtol=1e-8)):
        raise ValueError("phi must be finite, and cov finite and symmetric")
    if not isinstance(horizon, int) or not 1 <= horizon <= MOST:
        raise ValueError(f"horizon must be a whole number from 1 to {MOST}, got {horizon!r}")
    powers = np.stack([np.linalg.matrix_power(phi, h) for h in range(horizon + 1)])
    slopes = np.stack([_slope(powers, h) for h in range(1, horizon + 1)])
    radius = float(np.abs(np.linalg.eigvals(phi)).max())
    total = total_se = np.full((2, 2), np.nan)
    if radius < 1.0:
        inverse = np.linalg.inv(np.eye(2) - phi)
        total, total_se = inverse - np.eye(2), _error(np.einsum("ai,jb->abij", inverse, inverse), cov)
    return Responses(
        phi=phi,
        response=powers[1:],
        response_se=_error(slopes, cov),
        total=total,
        total_se=total_se,
        radius=radius,
        df=float(df),
        level=check_level(level),
        names=(str(names[0]), str(names[1])),
    )


def _slope(powers, h):
    """Derivatives of Phi^h, (2, 2, 2, 2): of entry a, b by entry i, j."""
    return sum(np.einsum("ai,jb->abij", powers[m], powers[h - 1 - m]) for m in range(h))


def _error(slopes, cov):
    """Standard errors of what has these derivatives (..., 2, 2, 2, 2)."""
    flat = slopes.reshape(*slopes.shape[:-2], 4)
    return np.sqrt(np.maximum(np.einsum("...k,kl,...l->...", flat, cov, flat), 0.0))
