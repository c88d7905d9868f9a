"""Where the time between sessions varies: the process in continuous time, which is told how far apart they are."""

from collections.abc import Sequence

import numpy as np

from twostage.stage1 import PLACES, EffectBatch, empty_columns
from twostage.stats.base import NotEstimable
from twostage.stats.continuous import fit_continuous

#: The estimator in the tables of a recovery study, and for readers. Analyses of collections do not have it: their
#: records have no days.
SPACED, SPACED_WORDS = "continuous", "process in continuous time, told how far apart sessions are"


def estimate_spaced(
    panels: Sequence[np.ndarray], times: Sequence[np.ndarray], spacing: Sequence[float]
) -> EffectBatch:
    """Both directions' lagged effects of many panels, on average over the time between sessions.

    Parameters
    ----------
    panels : sequence of B arrays, shape (n_b, T, 2)
    times : sequence of B arrays, shape (n_b, T)
        When each session was, in steps of the process.
    spacing : sequence of float
        Probabilities that 1, 2, ... steps lie between sessions: effects are those of the mean over them, as the true ones
        are.

    Returns
    -------
    EffectBatch
    """
    columns = empty_columns(len(panels))
    steps = np.arange(1.0, len(spacing) + 1)
    for b, (panel, when) in enumerate(zip(panels, times, strict=True)):
        try:
            fit = fit_continuous(panel, when)
        except NotEstimable as error:
            columns["reasons"][b] = str(error)
            continue
        effects = fit.effects(steps, np.asarray(spacing))
        for j, place in enumerate(PLACES):
            columns["estimate"][b, j] = effects.phi[0][place]
            columns["std_error"][b, j] = effects.phi_se[0][place]
        columns["df"][b], columns["loglik"][b], columns["n_patients"][b] = np.inf, fit.loglik, fit.n_obs
        columns["converged"][b] = fit.converged and np.isfinite(effects.phi_se).all()
        columns["singular"][b] = not fit.admissible
        columns["evaluations"][b] = fit.optimiser.evaluations
    return EffectBatch(**columns)
