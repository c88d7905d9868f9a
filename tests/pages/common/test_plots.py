"""Each picture takes a result and an Axes and gives the Axes back, showing the result's numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from twostage.pages.common import plots
from twostage.pages.common.forest import forest
from twostage.pages.moderators.bubble import bubble
from twostage.pages.study import plots as plots_study
from twostage.stage1.describe import describe
from twostage.stage1.each_transition import transition
from twostage.stage1.equations import crosslevel, lagged
from twostage.stage2.pool import leave_one_out
from twostage.stats.pool.metareg import metareg
from twostage.stats.pool.subgroups import subgroups


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


def estimates(pooled):
    studies = pooled["lagged"].studies("x_to_y", "x_within")
    return studies, studies["estimate"].to_numpy(float), studies["std_error"].to_numpy(float) ** 2


def drawn_order(ax, labels):
    """Labels of the studies from top to bottom."""
    at = {text.get_text(): text.get_position()[1] for text in ax.texts}
    return sorted(labels, key=lambda label: -at[label])


@pytest.mark.parametrize(("sort", "column"), [("estimate", "estimate"), ("precision", "std_error")])
def test_forest_sorts_by_choice(pooled, three, sort, column):
    studies, _, _ = estimates(pooled)
    ax = forest(pooled["lagged"], "x_to_y", "x_within", three, sort=sort)
    assert drawn_order(ax, studies["label"]) == list(studies.sort_values(column)["label"])
    squares = np.asarray(ax.collections[-2].get_offsets(), dtype=float)
    np.testing.assert_allclose(squares[:, 0], studies.sort_values(column)["estimate"].to_numpy(float))
    assert list(squares[:, 1]) == sorted(squares[:, 1], reverse=True)


def test_forest_sorts_by_year_and_refuses_other_orders(pooled, three):
    studies, _, _ = estimates(pooled)
    ax = forest(pooled["lagged"], "x_to_y", "x_within", three, sort="year")
    years = three.studies.set_index("study")["year"].reindex(studies["study"])
    in_order = list(studies["label"].to_numpy()[np.argsort(years, kind="stable")])
    assert drawn_order(ax, studies["label"]) == in_order
    with pytest.raises(ValueError, match="sort must be one of"):
        forest(pooled["lagged"], "x_to_y", "x_within", three, sort="size")


def test_forest_with_subgroups_has_a_diamond_for_each(pooled, three):
    studies, y, v = estimates(pooled)
    groups = subgroups(y, v, ["a", "b", "a"])
    ax = forest(pooled["lagged"], "x_to_y", "x_within", three, subgroups=groups)
    corners = [patch.get_xy()[:, 0] for patch in ax.patches]
    assert len(corners) == 3
    for xs, i in zip(corners[1:], range(2), strict=True):
        assert (xs.min(), xs.max()) == pytest.approx((groups.ci_low[i], groups.ci_high[i]))
    assert drawn_order(ax, studies["label"]) == [studies["label"][i] for i in (0, 2, 1)]
    shown = texts(ax)
    assert "pooled (k = 2)" in shown and "all studies (k = 3)" in shown and "Between subgroups" in shown
    with pytest.raises(ValueError, match="subgroups of 2 studies"):
        forest(pooled["lagged"], "x_to_y", "x_within", three, subgroups=subgroups(y[:2], v[:2], ["a", "b"]))


def test_forest_shows_columns_and_hides_the_prediction_interval(pooled, three):
    columns = three.studies.set_index("study")[["country", "year"]]
    ax = forest(pooled["lagged"], "x_to_y", "x_within", three, columns=columns, prediction=False)
    shown = texts(ax)
    assert all(str(x) in shown for x in columns.to_numpy().ravel())
    assert "prediction interval" not in shown.lower()
    total = pooled["lagged"].row("x_to_y", "x_within")
    ax = forest(pooled["lagged"], "x_to_y", "x_within", three)
    bar = ax.collections[-1].get_segments()[0][:, 0]
    assert list(bar) == pytest.approx([total["pi_low"], total["pi_high"]])


def test_bubble_draws_the_regression():
    rng = np.random.default_rng(4)
    x, z, v = rng.normal(size=12), rng.normal(size=12), rng.uniform(0.01, 0.05, 12)
    y = 0.2 + 0.3 * x + rng.normal(size=12) * np.sqrt(v + 0.02)
    found = metareg(y, v, np.column_stack([z, x]), names=["z", "x"])
    ax = plt.subplots()[1]
    assert bubble(found, "x", ax=ax) is ax
    line = next(line for line in ax.lines if line.get_label() == "fitted")
    grid, fitted = line.get_xdata(), line.get_ydata()
    settings = np.column_stack([np.full(len(grid), z.mean()), grid])
    expected = found.predict(settings)
    np.testing.assert_allclose(fitted, expected.estimate, rtol=1e-12)
    low, high = (line.get_ydata() for line in ax.lines if line.get_linestyle() == "--")
    np.testing.assert_allclose([low, high], [expected.pi_low, expected.pi_high], rtol=1e-12)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((expected.ci_low.min(), expected.ci_high.max()))
    circles = ax.collections[1]
    np.testing.assert_allclose(np.asarray(circles.get_offsets()), np.column_stack([x, y]))
    area = circles.get_sizes() * (v + found.tau2)
    np.testing.assert_allclose(area, area[0])
    with pytest.raises(ValueError, match="moderators are z, x"):
        bubble(found, "w")


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
