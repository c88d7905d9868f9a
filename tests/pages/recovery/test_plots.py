"""Pictures of the recovery study show the numbers, each in its place."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from twostage.pages.recovery import plots as plots_recovery
from twostage.recovery.conditions import CONDITIONS
from twostage.recovery.store import Recovery
from twostage.recovery.verdict import kinds
from twostage.terms import DIRECTIONS, ESTIMATORS


@pytest.fixture(scope="module")
def study():
    rng = np.random.default_rng(1)
    rows = []
    for c, e, d in itertools.product(CONDITIONS, ESTIMATORS, DIRECTIONS.values()):
        row = {"condition": c, "estimator": e, "direction": d.name, "term": d.cross}
        measures = {m: rng.uniform() for m in plots_recovery.MEASURES}
        rows.append(row | measures | {f"{m}_mcse": 0.01 for m in measures})
    return Recovery(pd.DataFrame(rows), {}, older_code=False, other_design=False)


@pytest.mark.parametrize(("measure", "null"), [("bias", False), ("coverage", False), ("rejection", True)])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_performance_by_condition_and_estimator(study, three, measure, null, direction):
    ax = plots_recovery.recovery(study, measure, direction, three, null=null)
    assert len(ax.containers) == len(ESTIMATORS)
    for container, name in zip(ax.containers, ESTIMATORS, strict=True):
        expected = [
            study.row(pair[null].name, name, direction, DIRECTIONS[direction].cross) for pair in kinds()
        ]
        np.testing.assert_allclose(container.lines[0].get_xdata(), [r[measure] for r in expected])
    target = {"bias": 0.0, "coverage": 0.95, "rejection": 0.05}[measure]
    assert ax.lines[0].get_xdata()[0] == target


def test_power_has_no_target(study, three):
    ax = plots_recovery.recovery(study, "rejection", "x_to_y", three)
    assert not any(list(line.get_xdata()) == [0.05, 0.05] for line in ax.lines)


def test_axes_can_be_given(study, three):
    _, ax = plt.subplots()
    assert plots_recovery.recovery(study, "bias", "x_to_y", three, ax=ax) is ax
