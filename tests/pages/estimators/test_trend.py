"""A common trend is found from the session means, said, and the effects without it stand beside."""

from types import SimpleNamespace

import numpy as np
import pytest

from twostage.pages.estimators.trend import common_trends, trend_sentences
from twostage.records.record import make_record
from twostage.stage1 import describe, estimators
from twostage.stage2 import pool_records


def record(x, y):
    names = ("session", "x_mean", "x_sd", "n_x", "y_mean", "y_sd", "n_y")
    rows = [dict(zip(names, (t + 1, x[t], 1.0, 100, y[t], 2.0, 50), strict=True)) for t in range(len(x))]
    return SimpleNamespace(sessions=tuple(rows))


def test_slopes_by_hand():
    """Means 0, 1, 2 at sessions 1 to 3: slope 1; weights 100 / 1 and sum of squares 2 give 1 / 200; of y 50 / 4: 1 / 25."""
    found = common_trends([record([0, 1, 2], [4, 2, 0])])
    assert found["x"].estimate == pytest.approx(1.0)
    assert found["y"].estimate == pytest.approx(-2.0)
    assert np.array([found["x"].v[0], found["y"].v[0]]) == pytest.approx([1 / 200, 1 / 25])
    assert common_trends([SimpleNamespace(sessions=())]) == {}


def test_a_warning_only_where_both_change(panels, three):
    pooled = pool_records([make_record(p, estimators(p, bootstraps=50)) for p in list(panels.values())[:2]])
    beside = trend_sentences({}, pooled, three)
    row = pooled.row("x_to_y", "x_within", "centred_occasions")
    assert beside.startswith("With an effect of each session")
    assert f"{row['estimate']:.2f}".replace("-", "−") in beside
    both = common_trends([record([0, 1, 2], [4, 2, 0]), record([0, 1.1, 2], [4, 2.1, 0])])
    assert trend_sentences(both, pooled, three).startswith(
        "Warning: both change over the sessions for everyone"
    )
    flat = common_trends([record([0, 1, 2], [0, 0, 0]), record([0, 1, 2], [0, 0.1, 0])])
    assert "Warning" not in trend_sentences(flat, pooled, three)
    assert common_trends([make_record(p, describe(p)) for p in panels.values()]).keys() == {"x", "y"}
