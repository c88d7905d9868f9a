"""Each picture takes a result and an Axes and gives the Axes back, showing the result's numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from twostage import plots, plots_study
from twostage.describe import describe
from twostage.stage1 import crosslevel, lagged, transition
from twostage.stage2 import leave_one_out


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def texts(ax) -> str:
    return "\n".join(text.get_text() for text in [*ax.texts, ax.title, ax._left_title])


@pytest.mark.parametrize(("analysis", "term"), [("lagged", "x_within"), ("outcome", "partial_r_z")])
def test_forest_shows_studies_weights_counts_and_heterogeneity(pooled, three, analysis, term):
    ax = plots.forest(pooled[analysis], "x_to_y", term, three)
    shown = texts(ax)
    for row in pooled[analysis].studies("x_to_y", term).itertuples():
        assert row.label in shown
        assert f"{row.weight:.1f} %" in shown
        assert f"{row.n_patients:,}" in shown
    assert "pooled (k = 3)" in shown
    assert "I² =" in shown
    assert "t with k - 2" in shown


def test_forest_draws_on_the_axes_it_is_given(pooled, three):
    ax = plt.subplots()[1]
    assert plots.forest(pooled["lagged"], "y_to_x", "y_within", three, ax=ax) is ax


def test_the_diamond_spans_the_interval(pooled, three):
    ax = plots.forest(pooled["lagged"], "x_to_y", "x_within", three)
    total = pooled["lagged"].row("x_to_y", "x_within")
    corners = ax.patches[0].get_xy()[:, 0]
    assert corners.min() == pytest.approx(total["ci_low"])
    assert corners.max() == pytest.approx(total["ci_high"])


def test_transitions_variants_and_leave_one_out(pooled, three):
    ax = plots.by_transition(pooled["transition"], three)
    assert len(ax.containers) == 2
    ax = plots.variants(pooled["sensitivity"], three, "x_to_y")
    assert any("sessions 1-3" in label.get_text() for label in ax.get_yticklabels())
    without = leave_one_out(pooled["lagged"], "x_to_y", "x_within")
    ax = plots.left_out(without, pooled["lagged"].row("x_to_y", "x_within"), three)
    assert len(ax.get_yticklabels()) == 3


def test_pictures_of_a_study(panels):
    panel = panels["S02"]
    for picture in (plots_study.between, plots_study.within, plots_study.added_variable):
        ax = plt.subplots()[1]
        assert picture(panel, ax) is ax
    ax = plots_study.trajectories(panel, "y")
    means = panel.everyone.groupby("session")["y"].mean()
    drawn = np.asarray(ax.containers[0].lines[0].get_ydata(), dtype=float)
    np.testing.assert_allclose(drawn, means.to_numpy(dtype=float))
    ax = plots_study.missingness(describe(panel))
    assert [bar.get_height() for bar in ax.patches] == pytest.approx(
        list(100 * describe(panel).sessions["share_both"])
    )


def test_pictures_of_a_studys_estimates(panels):
    panel = panels["S02"]
    assert len(plots_study.coefficients(lagged(panel), panel).get_yticklabels()) == 4
    assert len(plots_study.transitions(transition(panel), panel).containers) == 2
    estimates = crosslevel(panel)
    ax = plots_study.simple_slopes(estimates, panel, "x_to_y", "x_mean")
    rows = estimates.table.query("direction == 'x_to_y'").set_index("term")["estimate"]
    line = ax.lines[0].get_ydata()
    assert line[30] == pytest.approx(rows["x_within"])
    assert (line[-1] - line[0]) * rows["x_within:x_mean"] > 0
