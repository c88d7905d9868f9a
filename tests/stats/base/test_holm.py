"""Holm's adjustment: by hand, against R, and the error rate it promises."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.base.inference import holm

REFERENCE = Path(__file__).parents[2] / "reference" / "holm.json"
# The same products of doubles.
ROUNDING = 1e-14
REPLICATES = 4000


def test_three_tests_by_hand():
    """3 x 0.01, 2 x 0.02 and 1 x 0.03, which may not be less than the one before."""
    np.testing.assert_allclose(holm([0.03, 0.01, 0.02]), [0.04, 0.03, 0.04], rtol=ROUNDING)


def test_against_r():
    cases = json.loads(REFERENCE.read_text(encoding="utf-8"))["cases"]
    assert len(cases) >= 5
    for case in cases:
        p, adjusted = (np.array(case[c], dtype=float) for c in ("p", "adjusted"))
        np.testing.assert_allclose(holm(p), adjusted, rtol=ROUNDING)


def test_any_false_rejection_is_as_rare_as_promised():
    """Ten tests of true hypotheses that depend on each other; four Monte Carlo errors (the seed is fixed)."""
    rng = np.random.default_rng(8)
    z = (rng.normal(size=(REPLICATES, 10)) + rng.normal(size=(REPLICATES, 1))) / math.sqrt(2.0)
    p = np.vectorize(math.erfc)(np.abs(z) / math.sqrt(2.0))
    any_rejected = np.mean([(holm(row) <= 0.05).any() for row in p])
    assert any_rejected <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / REPLICATES)
    assert np.mean((p <= 0.05).any(axis=1)) > 0.2


def test_tests_that_were_not_made_do_not_count():
    np.testing.assert_allclose(holm([np.nan, 0.02]), [np.nan, 0.02])
    assert holm([]).shape == (0,)
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.2])
