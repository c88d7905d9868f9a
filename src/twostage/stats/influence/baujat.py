"""Which studies make the heterogeneity, and which move the result (Baujat plot)."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import frame, frozen, html, ratio
from twostage.stats.pool import PooledFit, all_but_one, pooled, refit


@dataclass(frozen=True, eq=False)
class Baujat:
    """Coordinates of a Baujat plot, shape (k,).

    Attributes
    ----------
    heterogeneity : ndarray
        Horizontal: squared Pearson residual; with a fixed-effect fit the contributions to Cochran's Q.
    influence : ndarray
        Vertical: squared change of the pooled effect over its variance without the study.
    labels : tuple of str
    fit : PooledFit
    """

    heterogeneity: np.ndarray
    influence: np.ndarray
    labels: tuple[str, ...]
    fit: PooledFit = field(repr=False)

    def tidy(self):
        """One row per study: study, heterogeneity, influence."""
        return frame(self._columns())

    def glance(self):
        """One row: k, method, and the study that lies highest and farthest right."""
        right, top = self.labels[int(self.heterogeneity.argmax())], self.labels[int(self.influence.argmax())]
        row = {"k": self.fit.k, "method": self.fit.method}
        return frame([row | {"most_heterogeneous": right, "most_influential": top}])

    def _columns(self):
        return {"study": self.labels, "heterogeneity": self.heterogeneity, "influence": self.influence}

    def _repr_html_(self):
        return html("Baujat plot", self._columns())


def baujat(y, v=None, **options):
    """Contribution of each study to heterogeneity and to the pooled effect.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
        At least two studies.
    v : array_like, shape (k,), optional
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`. Baujat and others use ``method="FE"``.

    Returns
    -------
    Baujat

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`.

    Notes
    -----
    Baujat, Mahe, Pignon & Hill (2002), doi:10.1002/sim.1221. With ``t`` the pooled effect and a minus sign
    for the fit without study i, ``heterogeneity = (y_i - t)^2 / (v_i + tau2)`` and
    ``influence = (t - t_-)^2 / s_-^2``. Checked against ``baujat`` of metafor 3.8-1.
    """
    fit = pooled(y, v, purpose="a Baujat plot", **options)
    without = refit(fit, all_but_one(fit.k))
    numbers = frozen(
        (fit.y - fit.estimate) ** 2 / (fit.v + fit.tau2),
        ratio((fit.estimate - without.estimate) ** 2, without.std_error**2),
    )
    return Baujat(*numbers, labels=fit.labels, fit=fit)
