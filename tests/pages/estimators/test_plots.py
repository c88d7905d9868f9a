"""Pictures of estimators show the numbers, each in its place."""

import numpy as np
import pytest

from twostage.pages.estimators import plots as plots_estimators
from twostage.pages.estimators.analysis import compare_estimators
from twostage.records.record import make_record
from twostage.stage1.estimators import estimators
from twostage.terms import DIRECTIONS, ESTIMATORS


@pytest.fixture(scope="module")
def results(panels):
    return {study: estimators(p, bootstraps=20) for study, p in panels.items()}


@pytest.fixture(scope="module")
def comparison(panels, results):
    return compare_estimators([make_record(panels[s], r) for s, r in results.items()])


def test_pooled_estimates_stand_in_the_order_of_the_table(comparison, three):
    ax = plots_estimators.estimators(comparison, "x_to_y", "x_within", three, truth=-0.13)
    rows = comparison.pooled.table.query("direction == 'x_to_y' and term == 'x_within'")
    points = ax.lines[2]
    np.testing.assert_allclose(points.get_xdata(), rows["estimate"].to_numpy(float))
    assert list(points.get_ydata()) == sorted(points.get_ydata(), reverse=True)
    assert list(ax.lines[1].get_xdata()) == [-0.13, -0.13]
    intervals = ax.collections[1].get_segments()
    np.testing.assert_allclose([s[:, 0] for s in intervals], rows[["ci_low", "ci_high"]].to_numpy(float))
    labels = [t.get_text().replace("\n", " ") for t in ax.get_yticklabels()]
    assert labels == [f"{ESTIMATORS[r.estimator].words} (k\u00a0=\u00a0{r.k})" for r in rows.itertuples()]


def test_without_a_truth_there_is_no_line_for_it(comparison, three):
    ax = plots_estimators.estimators(comparison, "x_to_y", "x_within", three)
    assert len(ax.lines) == 2
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["prediction interval", "confidence interval"]


def test_a_study_s_picture_has_both_directions(panels, results):
    for name, result in results.items():
        ax = plots_estimators.study_estimators(result, panels[name])
        for container, d in zip(ax.containers, DIRECTIONS.values(), strict=True):
            table = result.table.set_index(["direction", "term"]).loc[(d.name, d.cross)]
            np.testing.assert_allclose(
                container.lines[0].get_xdata().astype(float), table["estimate"].to_numpy(float)
            )


def test_every_estimator_has_a_look_of_its_own_and_a_function():
    from twostage.stage1 import estimator_batch

    for looks in ({e.marker for e in ESTIMATORS.values()}, {e.colour for e in ESTIMATORS.values()}):
        assert len(looks) == len(ESTIMATORS)
    assert list(estimator_batch._WAYS) == list(ESTIMATORS)
