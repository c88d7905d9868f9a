"""Unequal time between sessions: who is told it finds the average effect, and no other draw changed for it."""

import numpy as np
import pytest

from twostage.recovery.conditions import CONDITIONS
from twostage.recovery.design import StudyDesign
from twostage.recovery.draw import draw_study, draw_timed_study
from twostage.recovery.measures import summarise
from twostage.recovery.replicate import replicate
from twostage.recovery.spacing import SPACED, estimate_spaced
from twostage.stage1 import COEFFICIENTS

POOLING = {"method": "REML", "ci": "hartung-knapp", "level": 0.95}

#: Monte Carlo standard errors from an expectation.
Z = 4.0


def test_times_go_with_the_scores_and_move_by_the_steps():
    condition, design = CONDITIONS["unequal_spacing"], StudyDesign("A", "A", np.ones((3000, 5, 2), bool))
    scores, when = draw_timed_study(np.random.default_rng(1), condition, design, 4)
    assert np.array_equal(scores, draw_study(np.random.default_rng(1), condition, design, 4))
    steps = np.diff(when, axis=2)
    assert set(np.unique(steps)) == {1.0, 2.0, 3.0}
    shares = [(steps == k + 1).mean() for k in range(3)]
    assert shares == pytest.approx(condition.spacing, abs=Z * np.sqrt(0.25 / steps.size))
    # One step keeps the most of a deviation, three the least.
    kept = [
        np.corrcoef(scores[:, :, :-1, 0][steps == k], scores[:, :, 1:, 0][steps == k])[0, 1]
        for k in (1, 2, 3)
    ]
    assert kept[0] > kept[1] > kept[2]


def test_it_finds_the_average_effects():
    condition, design = CONDITIONS["unequal_spacing"], StudyDesign("A", "A", np.ones((3000, 4, 2), bool))
    scores, when = draw_timed_study(np.random.default_rng(2), condition, design, 6)
    batch = estimate_spaced(list(scores), list(when), condition.spacing)
    assert batch.usable.all()
    truth = [condition.truth(direction, term) for direction, term in COEFFICIENTS]
    spread = batch.estimate.std(axis=0, ddof=1) / np.sqrt(len(batch.estimate))
    assert np.all(np.abs(batch.estimate.mean(axis=0) - truth) < Z * spread)


def test_only_where_time_varies_is_it_among_the_estimators():
    designs = [StudyDesign(s, s, np.ones((60, 4, 2), bool)) for s in ("A", "B")]
    options = {"seed": 1, "chunk": 0, "replicates": 2, "pooling": POOLING, "bootstraps": 4}
    tables = {name: replicate(CONDITIONS[name], designs, **options) for name in ("plain", "unequal_spacing")}
    assert SPACED not in set(tables["plain"]["estimator"])
    table = summarise(tables["unequal_spacing"], lambda c, d, t: CONDITIONS[c].truth(d, t))
    own = table[table["estimator"] == SPACED]
    assert len(own) == len(COEFFICIENTS) and np.isfinite(own["bias"]).all()
