"""One study's process in continuous time, where it is known on which day each session was."""

from functools import singledispatch

import numpy as np

from twostage.stage1.estimates import require
from twostage.stage1.panel import Panel
from twostage.stats.continuous import ContinuousFit, fit_continuous

#: Share of sessions with a score whose day must be known: the others are left out.
KNOWN = 0.5


@singledispatch
def continuous(panel: Panel) -> ContinuousFit:
    """Fit a lagged process in continuous time to everyone's sessions in the window.

    ``y(t) = mu + r + w(t)``, ``dw = A w dt + noise``: the random-intercept cross-lagged panel model for sessions that are
    not equally far apart. A skipped session is a longer interval.

    Parameters
    ----------
    panel : Panel
        Its window and units; the lag is not used, because intervals are in days.

    Returns
    -------
    ContinuousFit
        Of x and y as the panel has them, per day.

    Raises
    ------
    NotEstimable
        The days are not known, or of too few sessions; as :func:`twostage.stats.continuous.fit_continuous`; no maximum was
        found.

    Examples
    --------
    >>> import twostage as ts
    >>> from twostage.stage1 import continuous
    >>> fit = continuous(ts.make_panel(ts.read_collection("data").study("S02")))
    >>> fit.unit, fit.effects([7.0, 14.0]).phi[:, 1, 0].round(2).tolist()
    (7.0, [-0.12, -0.1])
    """
    require("day" in panel.everyone, "the days of the sessions are not known")
    scores, _ = panel.wide()
    days = panel.days()
    observed, known = np.isfinite(scores).any(axis=2), np.isfinite(days)
    share = known[observed].mean() if observed.any() else 0.0
    require(share >= KNOWN, f"the days of {100 * (1 - share):.0f} % of the sessions are not known")
    there = np.where(known[..., None], scores, np.nan)
    fit = fit_continuous(there, days, level=panel.parameters.level)
    require(fit.converged, f"the fit did not converge: {fit.optimiser.message}")
    return fit


def day_gaps(panel: Panel) -> np.ndarray:
    """Days between each session and the patient's next one."""
    days = panel.days()
    gaps = [np.diff(own[np.isfinite(own)]) for own in days]
    return np.concatenate([*gaps, np.zeros(0)])
