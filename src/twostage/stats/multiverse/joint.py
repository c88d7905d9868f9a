"""All specifications at once: what they say together, held against what they say when there is no effect."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import frame, html, numbers

#: What specifications say together; of the last two only large values speak against the null hypothesis.
STATISTICS = ("median", "same_signed", "significant")


_TWO_SIDED = {"median"}


@dataclass(frozen=True, eq=False)
class JointTest:
    """Statistics of all specifications against their distribution under a null hypothesis.

    Attributes
    ----------
    names : tuple of str
    observed : ndarray, shape (S,)
    p_value, mcse : ndarray, shape (S,)
        ``(1 + draws at least as far out) / (1 + draws)``, and its Monte Carlo standard error.
    null : ndarray, shape (B, S)
        The statistics of the draws.
    """

    names: tuple[str, ...]
    observed: np.ndarray
    p_value: np.ndarray
    mcse: np.ndarray
    null: np.ndarray

    @property
    def draws(self) -> int:
        """How often the null hypothesis was drawn from."""
        return len(self.null)

    def tidy(self):
        """One row per statistic: observed, the draws' middle 95 % and median, p_value, mcse."""
        low, middle, high = np.quantile(self.null, [0.025, 0.5, 0.975], axis=0)
        return frame({"statistic": self.names, "observed": self.observed, "null_low": low, "null_median": middle,
                      "null_high": high, "p_value": self.p_value, "mcse": self.mcse})  # fmt: skip

    def glance(self):
        """One row: the number of draws."""
        return frame([{"draws": self.draws}])

    def _repr_html_(self) -> str:
        return html(f"All specifications against {self.draws} draws without an effect", self.tidy())


def joint_statistics(estimate: ArrayLike, ci_low: ArrayLike, ci_high: ArrayLike) -> np.ndarray:
    """What the specifications along the last axis say together (Simonsohn, Simmons & Nelson 2020).

    Parameters
    ----------
    estimate, ci_low, ci_high : array_like, shape (..., N)
        NaN where a specification has no estimate: it then counts nowhere.

    Returns
    -------
    ndarray, shape (..., 3)
        Median estimate; share of the estimates on the side of zero on which more of them are; share of intervals that
        exclude zero on one side, the side with more of them.

    Notes
    -----
    doi:10.1038/s41562-020-0912-z. A share is of the specifications that have an estimate.
    """
    y, low, high = (np.asarray(values, dtype=float) for values in (estimate, ci_low, ci_high))
    n = np.isfinite(y).sum(axis=-1)
    if (n == 0).any():
        raise ValueError("no specification has an estimate")
    signs = np.maximum((y > 0).sum(axis=-1), (y < 0).sum(axis=-1))
    beyond = np.maximum((low > 0).sum(axis=-1), (high < 0).sum(axis=-1))
    return np.stack([np.nanmedian(y, axis=-1), signs / n, beyond / n], axis=-1)


def joint_test(observed: ArrayLike, null: ArrayLike) -> JointTest:
    """Hold the statistics of all specifications against their draws under the null hypothesis.

    Parameters
    ----------
    observed : array_like, shape (3,)
        Of :func:`joint_statistics`.
    null : array_like, shape (B, 3)
        The same of B draws.

    Notes
    -----
    The median is tested two-sided, twice the smaller tail: under the null hypothesis it need not lie around zero, as
    estimators are biased. The observed data count as one draw (Davison & Hinkley 1997, equation 4.11), so that no
    p-value is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from twostage.stats.multiverse import joint_test
    >>> null = np.column_stack([np.linspace(-1, 1, 99), np.full(99, 0.6), np.full(99, 0.1)])
    >>> joint_test([2.0, 0.9, 0.1], null).p_value
    array([0.02, 0.01, 1.  ])
    """
    observed, null = numbers(observed, "observed", 1), numbers(null, "null", 2)
    if null.shape[1:] != (len(STATISTICS),) or observed.shape != (len(STATISTICS),) or not len(null):
        raise ValueError(f"expected {len(STATISTICS)} statistics and at least one draw of them")
    above = (1 + (null >= observed).sum(axis=0)) / (1 + len(null))
    below = (1 + (null <= observed).sum(axis=0)) / (1 + len(null))
    both = np.minimum(1.0, 2.0 * np.minimum(above, below))
    p = np.where([name in _TWO_SIDED for name in STATISTICS], both, above)
    return JointTest(STATISTICS, observed, p, np.sqrt(p * (1.0 - p) / len(null)), null)
