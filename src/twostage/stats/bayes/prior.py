"""What is believed of the between-study standard deviation tau before the data are seen."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from twostage.stats.base import check_choice

FAMILIES = ("half-normal", "half-cauchy", "half-t", "uniform")


@dataclass(frozen=True)
class TauPrior:
    """A prior distribution of tau.

    Parameters
    ----------
    family : {"half-normal", "half-cauchy", "half-t", "uniform"}
        The absolute value of a normal, Cauchy or t variable with mean 0, or uniform from 0 to `scale`.
    scale : float
        Scale of that variable (for the normal its standard deviation), units of the effects. An infinite scale is
        for the uniform prior only, which is then improper.
    df : int, optional
        Degrees of freedom of half-t, a whole number: the moments of its tails are then reached by the quadrature.

    Raises
    ------
    ValueError
        An unknown family, a scale that is not positive, degrees of freedom where there are none or missing.

    Notes
    -----
    Gelman 2006 (doi:10.1214/06-BA117A) on half-t, half-Cauchy and uniform; Röver et al. 2021
    (doi:10.1002/jrsm.1475) on how to choose a scale.

    Examples
    --------
    >>> from twostage.stats.bayes import TauPrior
    >>> print(TauPrior("half-normal", 0.1))
    half-normal with scale 0.1
    """

    family: str
    scale: float = np.inf
    df: int | None = None

    def __post_init__(self):
        check_choice("family", self.family, FAMILIES)
        if not self.scale > 0.0 or (np.isinf(self.scale) and self.family != "uniform"):
            raise ValueError(
                f"scale must be positive, and finite unless the prior is uniform; got {self.scale!r}"
            )
        whole = isinstance(self.df, int) and not isinstance(self.df, bool) and self.df >= 1
        if whole != (self.family == "half-t") or (self.df is not None and not whole):
            raise ValueError(
                f"df must be a whole number from 1 on for half-t, and None otherwise; got {self.df!r}"
            )

    @property
    def proper(self) -> bool:
        """Whether it is a probability distribution."""
        return bool(np.isfinite(self.scale))

    @property
    def tail(self) -> float:
        """The power of tau with which the density falls; infinite where it falls faster or ends."""
        if self.family == "uniform":
            return np.inf if self.proper else 0.0
        return {"half-normal": np.inf, "half-cauchy": 2.0, "half-t": (self.df or 0) + 1.0}[self.family]

    @property
    def end(self) -> float:
        """Beyond this the density is 0, or below 1e-300 of its largest."""
        return {"uniform": 1.0, "half-normal": 40.0}.get(self.family, np.inf) * self.scale

    def log_density(self, tau):
        """Log of the density at tau >= 0 (for an improper prior of 1)."""
        tau = np.asarray(tau, dtype=float)
        if self.family == "uniform":
            inside = 0.0 if not self.proper else -np.log(self.scale)
            return np.where(tau <= self.scale, inside, -np.inf)
        z2 = (tau / self.scale) ** 2
        if self.family == "half-normal":
            return 0.5 * np.log(2.0 / np.pi) - np.log(self.scale) - 0.5 * z2
        df = self.df or 1  # Cauchy's is t's with one degree of freedom
        constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df * np.pi)
        return np.log(2.0) + constant - np.log(self.scale) - 0.5 * (df + 1) * np.log1p(z2 / df)

    def __str__(self):
        if not self.proper:
            return "uniform (improper)"
        if self.family == "uniform":
            return f"uniform from 0 to {self.scale:g}"
        return f"{self.family} with scale {self.scale:g}{f', df {self.df}' if self.df else ''}"
