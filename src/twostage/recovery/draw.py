"""Draws a study again, many replicates at once, with the truth of a condition and the study's own design."""

import numpy as np

from twostage.recovery.conditions import BETWEEN_THERAPISTS, CROSS, PER_THERAPIST, STEP, Condition
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
    return draw_timed_study(rng, condition, design, replicates)[0]


def draw_timed_study(
    rng: np.random.Generator, condition: Condition, design: StudyDesign, replicates: int
) -> tuple[np.ndarray, np.ndarray]:
    """The scores of :func:`draw_study`, and when each session was, shape (replicates, n, T), in steps of the process."""
    n, sessions = design.observed.shape[:2]
    scores, when = draw_timed_scores(rng, condition, replicates, n, sessions)
    if condition.dropout:
        observed = observed_by_scores(rng, scores[..., 1], design, condition.dropout, unseen=condition.unseen)
    else:
        observed = np.broadcast_to(design.observed, scores.shape)
    return np.where(observed, scores, np.nan), when


def draw_scores(
    rng: np.random.Generator, condition: Condition, replicates: int, n: int, sessions: int
) -> np.ndarray:
    """Complete scores: random intercepts, trends, the within-patient process, and what the scales make of them.

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
    The equations are those of :mod:`twostage.simulation.model`; in addition patients may have coefficients and lines
    of their own, and therapists in common, the innovations' variance may grow, and time may pass unequally. The first
    session is drawn from the distribution in which the process of the study's average patient stays. A trend goes by
    sessions.
    """
    return draw_timed_scores(rng, condition, replicates, n, sessions)[0]


def draw_timed_scores(
    rng: np.random.Generator, condition: Condition, replicates: int, n: int, sessions: int
) -> tuple[np.ndarray, np.ndarray]:
    """The scores of :func:`draw_scores`, and when each session was, shape (replicates, n, sessions)."""
    shape = (replicates, n)
    t = _coefficients(rng, condition, replicates)
    levels, own = _patients(rng, condition, t, shape)
    scores, when = _process(rng, condition, t, own, shape, sessions)
    time = np.arange(sessions, dtype=float)
    middle = time - time.mean()
    for v, name in enumerate(("trend_x", "trend_y")):
        scores[..., v] += levels[v][..., None] + t[name][..., None] * time
        if condition.own_trends:
            scores[..., v] += condition.own_trends * rng.standard_normal(shape)[..., None] * middle
    return _measured(rng, condition, t, scores), when


def _measured(rng, condition, t, scores):
    """Scores as instruments give them: with error, and on scales that end and have steps."""
    if condition.reliability < 1:
        share = (1 - condition.reliability) / condition.reliability
        for v, name in enumerate(("icc_x", "icc_y")):
            spread = np.sqrt(share * (1 - t[name]))[..., None]
            scores[..., v] += spread * rng.standard_normal(scores.shape[:-1])
    if condition.floor is not None:
        scores = np.round(scores / STEP) * STEP
        scores[..., 0] = np.minimum(scores[..., 0], -condition.floor)
        scores[..., 1] = np.maximum(scores[..., 1], condition.floor)
    return scores


def _coefficients(rng, condition, replicates):
    """Coefficients of the study in each replicate, shape (replicates, 1) each."""
    t = {name: np.full((replicates, 1), value) for name, value in condition.coefficients.items()}
    for name, spread in condition.between.items():
        t[name] = t[name] + spread * rng.standard_normal((replicates, 1))
    return t


def _patients(rng, condition, t, shape):
    """Random intercepts and own coefficients; whoever's process would not settle is drawn again."""
    ix, iy = t["icc_x"], t["icc_y"]
    variances = [np.broadcast_to(a, shape) for a in (ix, iy, t["r_between"] * np.sqrt(ix * iy))]
    spread = {name: np.broadcast_to(value, shape) for name, value in t.items()}
    common, shared, rest = _therapists(rng, condition, variances, shape)
    levels = np.empty((2, *shape))
    own = {name: np.array(spread[name]) for name in (*CROSS, "phi_xx", "phi_yy")}
    again = np.ones(shape, bool)
    while again.any():
        size = int(again.sum())
        levels[:, again] = common[:, again] + draw_pair(rng, size, *(rest * a[again] for a in variances))
        for v, name in enumerate(CROSS):
            by_x, by_y = spread[f"c_{name[2:]}_x"][again], spread[f"c_{name[2:]}_y"][again]
            moderated = by_x * levels[0, again] + by_y * levels[1, again]
            alone = condition.own_effects * rng.standard_normal(size)
            own[name][again] = spread[name][again] + moderated + shared[v, again] + alone
        for name in ("phi_xx", "phi_yy") if condition.own_autoregressions else ():
            alone = condition.own_autoregressions * rng.standard_normal(size)
            own[name][again] = spread[name][again] + alone
        again = ~settles(own, own["b_xy"], own["b_yx"])
    return levels, own


def _therapists(rng, condition, variances, shape):
    """What patients have from their therapist, levels and effects, and their own share of the levels' variance."""
    if not condition.therapists:
        return np.zeros((2, *shape)), np.zeros((2, *shape)), 1.0
    replicates, n = shape
    every = (replicates, max(2, n // PER_THERAPIST))
    whose = rng.integers(0, every[1], shape)
    variances = [BETWEEN_THERAPISTS * a[:, :1] for a in variances]
    levels = np.array(draw_pair(rng, every, *variances))
    effects = condition.therapists * rng.standard_normal((2, *every))
    levels, effects = (np.take_along_axis(a, whose[None], axis=2) for a in (levels, effects))
    return levels, effects, 1 - BETWEEN_THERAPISTS


def _process(rng, condition, t, own, shape, sessions):
    """The within-patient process, shape (replicates, n, sessions, 2), and when each session is, in its steps."""
    vx, vy = 1 - t["icc_x"], 1 - t["icc_y"]
    cov = t["r_within"] * np.sqrt(vx * vy)
    innovations = innovation_covariance(t, vx, vy, cov)
    within, when = np.empty((*shape, sessions, 2)), np.zeros((*shape, sessions))
    x, y = draw_pair(rng, shape, vx, vy, cov)
    within[..., 0, 0], within[..., 0, 1] = x, y
    for s in range(sessions - 1):
        growth = 1.0 + condition.growth * s
        steps = 1 + rng.choice(len(condition.spacing), size=shape, p=condition.spacing)
        for step in range(len(condition.spacing)):
            e_x, e_y = draw_pair(rng, shape, *(growth * q for q in innovations))
            moved = own["phi_xx"] * x + own["b_yx"] * y + e_x, own["b_xy"] * x + own["phi_yy"] * y + e_y
            x, y = (np.where(step < steps, new, old) for new, old in zip(moved, (x, y), strict=True))
        within[..., s + 1, 0], within[..., s + 1, 1] = x, y
        when[..., s + 1] = when[..., s] + steps
    return within, when


def observed_by_scores(
    rng: np.random.Generator, y: np.ndarray, design: StudyDesign, strength: float, *, unseen: bool = False
) -> np.ndarray:
    """Who is observed when, with dropout that depends on the last observed y, or on the next that is not.

    The first is missing at random, the second is not.

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
    unseen : bool
        Whether y is that of the first session that is missed.

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
        leaving = int((left == s).sum()) if s < sessions - 1 else 0
        if leaving:
            drives = y[:, :, s + 1] if unseen else last_y
            noisy = np.where(candidates, strength * drives + rng.gumbel(size=last_y.shape), -np.inf)
            who = np.argpartition(-noisy, leaving - 1, axis=1)[:, :leaving]
            np.put_along_axis(present, who, False, axis=1)
    return observed
