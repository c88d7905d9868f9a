"""Several effects of each study pooled jointly, whatever their number."""

import numpy as np

from twostage.stats.base import real_array
from twostage.stats.multilevel.model import pool_mv
from twostage.stats.multilevel.results import MvFit
from twostage.stats.multilevel.terms import inner_outer


def pool_several(Y, V, *, struct="UN", method="REML", level=0.95, names=None, labels=None) -> MvFit:
    """Pool m effects per study jointly, ``Y_i ~ N(theta, V_i + G)``.

    Parameters
    ----------
    Y : array_like, shape (k, m)
        The studies' estimates; NaN where a study lacks one.
    V : array_like, shape (k, m, m)
        Their sampling covariance matrices, squared units of Y; rows and columns of missing estimates are not looked at.
    struct : {"UN", "HCS", "DIAG"}
        Covariance G of the true effects between studies, as of :func:`~twostage.stats.multilevel.model.pool_mv`.
    method : {"REML", "ML"}
    level : float
        Coverage of the intervals, in (0, 1).
    names, labels : sequence of str, optional
        Of the effects and of the studies.

    Returns
    -------
    MvFit
        `coef` (m,) and `cov_coef` (m, m) of the pooled effects, `G`.

    Raises
    ------
    ValueError
        Shapes that do not fit, and as :func:`~twostage.stats.multilevel.model.pool_mv`.

    Notes
    -----
    A study with some of the effects contributes to the others through the correlations (van Houwelingen, Arends & Stijnen
    2002, doi:10.1002/sim.1040). Checked against metafor's ``rma.mv``.

    Examples
    --------
    >>> import numpy as np
    >>> Y = [[0.1, -0.2, 0.3], [0.2, -0.1, 0.2], [0.3, -0.1, 0.4], [0.1, -0.3, 0.3]]
    >>> fit = pool_several(Y, np.tile(0.01 * np.eye(3), (4, 1, 1)), struct="DIAG")
    >>> fit.coef.round(3).tolist()
    [0.175, -0.175, 0.3]
    """
    Y, V = real_array(Y, "Y"), real_array(V, "V")
    if Y.ndim != 2 or V.shape != (*Y.shape, Y.shape[1]):
        raise ValueError(f"Y must be (k, m) and V (k, m, m); got {Y.shape} and {V.shape}")
    k, m = Y.shape
    names = [f"effect {j + 1}" for j in range(m)] if names is None else [str(x) for x in names]
    labels = [f"study {i}" for i in range(k)] if labels is None else [str(x) for x in labels]
    if len(labels) != k:
        raise ValueError(f"{len(labels)} labels for {k} studies")
    present = ~np.isnan(Y)
    study, effect = np.nonzero(present)
    blocks = [V[i][np.ix_(p, p)] for i, p in enumerate(present) if p.any()]
    return pool_mv(
        Y[present],
        blocks,
        np.eye(m)[effect],
        random=inner_outer(effect, study),
        struct=struct,
        method=method,
        level=level,
        names=names,
        labels=[f"{labels[i]}, {names[j]}" for i, j in zip(study, effect, strict=True)],
    )
