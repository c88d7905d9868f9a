"""The generating model of the synthetic studies.

On a latent scale on which the total SD of each variable is about 1, for patient i of a study at session
t = 0 (intake), 1, ..., 7::

    x[i,t] = a_x[i] + trend_x (t - 1) + w_x[i,t]
    y[i,t] = a_y[i] + trend_y (t - 1) + w_y[i,t]

    (a_x, a_y)[i] ~ N(0, [[icc_x, r sqrt(icc_x icc_y)], [., icc_y]])       random intercepts
    w_x[i,t+1] = phi_xx w_x[i,t] + b_yx[i] w_y[i,t] + e_x                  within-patient VAR(1)
    w_y[i,t+1] = b_xy[i] w_x[i,t] + phi_yy w_y[i,t] + e_y
    b_xy[i] = b_xy + c_xy_x a_x[i] + c_xy_y a_y[i]                         cross-level interactions
    b_yx[i] = b_yx + c_yx_x a_x[i] + c_yx_y a_y[i]

A patient whose own process would not settle (an eigenvalue of modulus 0.95 or more: about 1 in 800) is
drawn again. The innovations' covariance makes the within-patient variances 1 - icc at the study's
coefficients, and the first state is drawn from that distribution. Every coefficient of a study is drawn
around its mean over studies. Posttreatment::

    post[i] = 0.55 y[i,0] + g (x[i,1] + x[i,2] + x[i,3]) / 3 - 0.6 + N(0, 0.7^2)

Scores are latent values put on the instrument's scale (flipped where it is scored the other way), rounded
to its step and clipped to its range. Sessions after the first are skipped at random; after each session a
patient may drop out, more likely the higher the symptoms (before rounding) at the last session attended.
All values are choices of this project, none is an estimate.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from twostage.beside import table_beside

_ROWS: dict[str, dict[str, Any]] = table_beside(__file__)


#: parameter -> (mean over studies, SD between studies).
GENERATING = {name: (row["mean"], row["sd"]) for name, row in _ROWS.items()}


MEANING = {name: row["meaning"] for name, row in _ROWS.items()}


#: parameter -> the coefficient of the tables that it generates; equal to it neither in scale nor in bias.
COEFFICIENT = {name: tuple(row["generates"]) for name, row in _ROWS.items() if "generates" in row}


LAST_SESSION = 7


#: Days from a session to the next one's usual day.
DAYS_APART = 7


#: Largest modulus of the eigenvalues of a patient's own VAR(1).
RADIUS = 0.95


@dataclass(frozen=True)
class Instrument:
    """A questionnaire's scale: lowest and highest score, step, direction, and where its scores lie."""

    name: str
    low: float
    high: float
    step: float
    direction: int
    centre: float
    sd: float

    def scores(self, latent: np.ndarray) -> np.ndarray:
        """Latent values as scores: flipped, scaled, rounded to the step, clipped to the range."""
        raw = self.low + (self.high - self.low) * (self.centre + self.sd * self.direction * latent)
        steps = np.round((np.clip(raw, self.low, self.high) - self.low) / self.step)
        return np.round(self.low + steps * self.step, 3)


@dataclass(frozen=True)
class Simulated:
    """One drawn study: its files' contents and what is never observed.

    Attributes
    ----------
    sessions : pandas.DataFrame
        patient, session, x, y as scores.
    patients : pandas.DataFrame
        patient, therapist, age, gender, pre, post.
    truth : dict
        The study's coefficients, on the latent scale.
    latent : pandas.DataFrame
        patient, session (0 is intake), x, y, w_x, w_y on the latent scale, at every session, missing ones too.
    persons : pandas.DataFrame
        patient, a_x, a_y (random intercepts), b_xy, b_yx (the patient's own cross-lagged effects).
    """

    sessions: pd.DataFrame
    patients: pd.DataFrame
    truth: dict[str, float]
    latent: pd.DataFrame
    persons: pd.DataFrame


def draw_truth(rng: np.random.Generator) -> dict[str, float]:
    """Draw one study's coefficients around the means over studies."""
    draws = rng.standard_normal(len(GENERATING))
    return {name: mean + sd * z for (name, (mean, sd)), z in zip(GENERATING.items(), draws, strict=True)}


def simulate_study(
    rng: np.random.Generator,
    n: int,
    x: Instrument,
    y: Instrument,
    *,
    truth: dict[str, float] | None = None,
    skip: float = 0.06,
    dropout: bool = True,
) -> Simulated:
    """Draw one study.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int
        Patients.
    x, y : Instrument
    truth : dict, optional
        The study's coefficients; drawn by :func:`draw_truth` otherwise.
    skip : float
        Probability of skipping a session after the first.
    dropout : bool
        Whether patients leave early.
    """
    truth = draw_truth(rng) if truth is None else truth
    persons = _persons(rng, n, truth)
    w_x, w_y = _within(rng, persons, truth)
    time = np.arange(LAST_SESSION + 1) - 1.0
    latent_x = persons["a_x"][:, None] + truth["trend_x"] * time + w_x
    latent_y = persons["a_y"][:, None] + truth["trend_y"] * time + w_y
    score_x, score_y = x.scores(latent_x), y.scores(latent_y)
    attended = _attended(rng, latent_y[:, 1:], skip, dropout)
    names = np.array([f"p{i + 1:04d}" for i in range(n)])
    patients = _patients(rng, names, truth, latent_x, latent_y, attended[:, -1], y)
    where = np.nonzero(attended)
    sessions = pd.DataFrame(
        {
            "patient": names[where[0]],
            "session": where[1] + 1,
            "x": _some_missing(rng, score_x[:, 1:][where]),
            "y": _some_missing(rng, score_y[:, 1:][where]),
        }
    )
    columns = {"x": latent_x, "y": latent_y, "w_x": w_x, "w_y": w_y}
    times = np.tile(np.arange(LAST_SESSION + 1), n)
    latent = pd.DataFrame(
        {"patient": np.repeat(names, LAST_SESSION + 1), "session": times}
        | {c: v.ravel() for c, v in columns.items()}
    )
    return Simulated(sessions, patients, truth, latent, pd.DataFrame({"patient": names} | persons))


def with_days(rng: np.random.Generator, sessions: pd.DataFrame) -> pd.DataFrame:
    """The sessions with the day of each, from 0: the patient's weekday, or one day before or up to two days after it."""
    patients, which = np.unique(sessions["patient"].to_numpy(dtype=str), return_inverse=True)
    late = rng.choice([-1, 0, 1, 2], size=(len(patients), LAST_SESSION), p=(0.15, 0.6, 0.15, 0.1))
    day = DAYS_APART * np.arange(LAST_SESSION) + late
    session = sessions["session"].to_numpy() - 1
    first = np.full(len(patients), LAST_SESSION)
    np.minimum.at(first, which, session)
    return sessions.assign(day=day[which, session] - day[which, first[which]])


def draw_pair(rng, size, variance_1: float, variance_2: float, covariance: float):
    """Two correlated normal vectors, written out so that no linear-algebra library decides the last digit."""
    z1, z2 = rng.standard_normal(size), rng.standard_normal(size)
    first = np.sqrt(variance_1)
    slope = covariance / first
    return first * z1, slope * z1 + np.sqrt(variance_2 - slope**2) * z2


def _persons(rng, n: int, t: dict[str, float]) -> dict[str, np.ndarray]:
    """Random intercepts and the cross-lagged effects that depend on them."""
    ix, iy = t["icc_x"], t["icc_y"]
    cov = t["r_between"] * np.sqrt(ix * iy)
    a_x, a_y = draw_pair(rng, n, ix, iy, cov)
    b_xy, b_yx = _own_effects(t, a_x, a_y)
    while (again := ~settles(t, b_xy, b_yx)).any():
        a_x[again], a_y[again] = draw_pair(rng, int(again.sum()), ix, iy, cov)
        b_xy, b_yx = _own_effects(t, a_x, a_y)
    return {"a_x": a_x, "a_y": a_y, "b_xy": b_xy, "b_yx": b_yx}


def _own_effects(t: dict[str, float], a_x: np.ndarray, a_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (
        t["b_xy"] + t["c_xy_x"] * a_x + t["c_xy_y"] * a_y,
        t["b_yx"] + t["c_yx_x"] * a_x + t["c_yx_y"] * a_y,
    )


def settles(t: dict[str, float], b_xy: np.ndarray, b_yx: np.ndarray) -> np.ndarray:
    """Whether both eigenvalues of a patient's coefficients are below the limit in modulus (Jury's test)."""
    trace = (t["phi_xx"] + t["phi_yy"]) / RADIUS
    determinant = (t["phi_xx"] * t["phi_yy"] - b_xy * b_yx) / RADIUS**2
    return (np.abs(determinant) < 1) & (abs(trace) < 1 + determinant)


def _within(rng, persons: dict[str, np.ndarray], t: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """The within-patient process of x and y, (patients, sessions from 0) each."""
    n = len(persons["a_x"])
    vx, vy = 1 - t["icc_x"], 1 - t["icc_y"]
    cov = t["r_within"] * np.sqrt(vx * vy)
    innovations = innovation_covariance(t, vx, vy, cov)
    w_x, w_y = np.empty((n, LAST_SESSION + 1)), np.empty((n, LAST_SESSION + 1))
    w_x[:, 0], w_y[:, 0] = draw_pair(rng, n, vx, vy, cov)
    for s in range(LAST_SESSION):
        e_x, e_y = draw_pair(rng, n, *innovations)
        w_x[:, s + 1] = t["phi_xx"] * w_x[:, s] + persons["b_yx"] * w_y[:, s] + e_x
        w_y[:, s + 1] = persons["b_xy"] * w_x[:, s] + t["phi_yy"] * w_y[:, s] + e_y
    return w_x, w_y


def innovation_covariance(
    t: dict[str, float], vx: float, vy: float, cov: float
) -> tuple[float, float, float]:
    """Q = W - Phi W Phi' at the study's coefficients, with W the within-patient covariance."""
    pxx, pyy, bxy, byx = t["phi_xx"], t["phi_yy"], t["b_xy"], t["b_yx"]
    q_x = vx - (pxx**2 * vx + 2 * pxx * byx * cov + byx**2 * vy)
    q_y = vy - (bxy**2 * vx + 2 * bxy * pyy * cov + pyy**2 * vy)
    q_xy = cov - (pxx * bxy * vx + (pxx * pyy + byx * bxy) * cov + byx * pyy * vy)
    return q_x, q_y, q_xy


def _attended(rng, latent_y: np.ndarray, skip: float, dropout: bool) -> np.ndarray:
    n, sessions = latent_y.shape
    came = rng.random((n, sessions)) >= skip
    came[:, 0] = True
    leaves = rng.random((n, sessions))
    present = np.ones(n, bool)
    last = latent_y[:, 0].copy()
    for s in range(1, sessions):
        last = np.where(came[:, s - 1] & present, latent_y[:, s - 1], last)
        if dropout:
            present &= leaves[:, s] >= 1 / (1 + np.exp(3.1 - 0.6 * last))
        came[:, s] &= present
    return came


def _some_missing(rng, scores: np.ndarray, share: float = 0.01) -> np.ndarray:
    return np.where(rng.random(len(scores)) < share, np.nan, scores)


def _patients(rng, names, t, latent_x, latent_y, stayed, y: Instrument) -> pd.DataFrame:
    n = len(names)
    early = (latent_x[:, 1] + latent_x[:, 2] + latent_x[:, 3]) / 3
    post = 0.55 * latent_y[:, 0] + t["g"] * early - 0.6 + 0.7 * rng.standard_normal(n)
    known = rng.random(n) < np.where(stayed, 0.92, 0.6)
    therapists = max(2, n // 8)
    age = np.clip(np.round(37 + 12 * rng.standard_normal(n)), 18, 80).astype(int)
    gender = np.select([(u := rng.random(n)) < 0.64, u < 0.985], ["woman", "man"], "other")
    return pd.DataFrame(
        {
            "patient": names,
            "therapist": [f"t{i + 1:03d}" for i in rng.integers(0, therapists, n)],
            "age": age,
            "gender": gender,
            "pre": y.scores(latent_y[:, 0]),
            "post": np.where(known, y.scores(post), np.nan),
        }
    )
