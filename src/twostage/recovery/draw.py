"""Draws a study again, many replicates at once, with the truth of a condition and the study's own design."""

import numpy as np

from twostage.recovery.conditions import CROSS, Condition
from twostage.recovery.design import StudyDesign
from twostage.simulation import draw_pair, innovation_covariance, settles


def draw_study(
    rng: np.random.Generator, condition: Condition, design: StudyDesign, replicates: int
) -> np.ndarray:
    """Draw a study's scores.

    Parameters
    ----------
    rng : numpy.random.Generator
    condition : Condition
    design : StudyDesign
        Number of patients and sessions; who was observed when, or with dropout that depends on the scores how many
        left after, and how many missed, each session.
    replicates : int

    Returns
    -------
    ndarray, shape (replicates, n, T, 2)
        x and y on the latent scale of :mod:`twostage.simulation.model`, NaN where not observed.
    """
    n, sessions = design.observed.shape[:2]
    scores = draw_scores(rng, condition, replicates, n, sessions)
    if condition.dropout:
        observed = observed_by_scores(rng, scores[..., 1], design, condition.dropout)
    else:
        observed = np.broadcast_to(design.observed, scores.shape)
    return np.where(observed, scores, np.nan)


def draw_scores(
    rng: np.random.Generator, condition: Condition, replicates: int, n: int, sessions: int
) -> np.ndarray:
    """Complete scores: random intercepts, trends and the within-patient process.

    Parameters
    ----------
    rng : numpy.random.Generator
    condition : Condition
    replicates, n, sessions : int

    Returns
    -------
    ndarray, shape (replicates, n, sessions, 2)

    Notes
    -----
    The equations are those of :mod:`twostage.simulation.model`; in addition patients may have effects and lines
    of their own and the innovations' variance may grow. The first session is drawn from the distribution in which the
    process of the study's average patient stays.
    """
    shape = (replicates, n)
    t = _coefficients(rng, condition, replicates)
    levels, effects = _patients(rng, condition, t, shape)
    scores = _process(rng, condition, t, effects, shape, sessions)
    time = np.arange(sessions, dtype=float)
    middle = time - time.mean()
    for v, name in enumerate(("trend_x", "trend_y")):
        scores[..., v] += levels[v][..., None] + t[name][..., None] * time
        if condition.own_trends:
            scores[..., v] += condition.own_trends * rng.standard_normal(shape)[..., None] * middle
    return scores


def _coefficients(rng, condition, replicates):
    """Coefficients of the study in each replicate, shape (replicates, 1) each."""
    t = {name: np.full((replicates, 1), value) for name, value in condition.coefficients.items()}
    for name, spread in condition.between.items():
        t[name] = t[name] + spread * rng.standard_normal((replicates, 1))
    return t


def _patients(rng, condition, t, shape):
    """Random intercepts and own cross-lagged effects; whoever's process would not settle is drawn again."""
    ix, iy = t["icc_x"], t["icc_y"]
    variances = [np.broadcast_to(a, shape) for a in (ix, iy, t["r_between"] * np.sqrt(ix * iy))]
    spread = {name: np.broadcast_to(value, shape) for name, value in t.items()}
    levels, effects = np.empty((2, *shape)), np.empty((2, *shape))
    again = np.ones(shape, bool)
    while again.any():
        levels[:, again] = draw_pair(rng, int(again.sum()), *(a[again] for a in variances))
        own = condition.own_effects * rng.standard_normal((2, int(again.sum())))
        for v, name in enumerate(CROSS):
            by_x, by_y = spread[f"c_{name[2:]}_x"][again], spread[f"c_{name[2:]}_y"][again]
            moderated = by_x * levels[0, again] + by_y * levels[1, again]
            effects[v, again] = spread[name][again] + moderated + own[v]
        again = ~settles(t, *effects)
    return levels, effects


def _process(rng, condition, t, effects, shape, sessions):
    """The within-patient process, shape (replicates, n, sessions, 2)."""
    vx, vy = 1 - t["icc_x"], 1 - t["icc_y"]
    cov = t["r_within"] * np.sqrt(vx * vy)
    innovations = innovation_covariance(t, vx, vy, cov)
    within = np.empty((*shape, sessions, 2))
    within[..., 0, 0], within[..., 0, 1] = draw_pair(rng, shape, vx, vy, cov)
    for s in range(sessions - 1):
        x, y = within[..., s, 0], within[..., s, 1]
        growth = 1.0 + condition.growth * s
        e_x, e_y = draw_pair(rng, shape, *(growth * q for q in innovations))
        within[..., s + 1, 0] = t["phi_xx"] * x + effects[1] * y + e_x
        within[..., s + 1, 1] = effects[0] * x + t["phi_yy"] * y + e_y
    return within


def observed_by_scores(
    rng: np.random.Generator, y: np.ndarray, design: StudyDesign, strength: float
) -> np.ndarray:
    """Who is observed when, with dropout that depends on the last observed y (missing at random).

    As many patients as in the study leave after each session, and among those who are still there as many as in the
    study miss the session, or one of its scores, whoever they are.

    Parameters
    ----------
    rng : numpy.random.Generator
    y : ndarray, shape (replicates, n, T)
        Complete scores.
    design : StudyDesign
    strength : float
        Log odds ratio of leaving, per unit of y.

    Returns
    -------
    ndarray of bool, shape (replicates, n, T, 2)
    """
    replicates, n, sessions = y.shape
    observed = np.zeros((replicates, n, sessions, 2), bool)
    present, last_y = np.ones((replicates, n), bool), np.zeros((replicates, n))
    left = design.last
    for s in range(sessions):
        there = design.observed[left >= s, s]
        order = np.argsort(np.where(present, rng.random(present.shape), np.inf), axis=1)[:, : len(there)]
        np.put_along_axis(observed[:, :, s, 0], order, there[:, 0][None], axis=1)
        np.put_along_axis(observed[:, :, s, 1], order, there[:, 1][None], axis=1)
        last_y = np.where(observed[:, :, s, 1], y[:, :, s], last_y)
        # The largest of k weights times exponential noise: k draws without replacement with these weights.
        candidates = present & observed[:, :, s].any(axis=2)
        noisy = np.where(candidates, strength * last_y + rng.gumbel(size=last_y.shape), -np.inf)
        leaving = int((left == s).sum()) if s < sessions - 1 else 0
        if leaving:
            who = np.argpartition(-noisy, leaving - 1, axis=1)[:, :leaving]
            np.put_along_axis(present, who, False, axis=1)
    return observed
