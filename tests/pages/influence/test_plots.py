"""Pictures of influence carry the numbers of their results; few studies and extreme ones fit in."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from twostage.pages.influence import plots as plots_influence
from twostage.stats.influence.baujat import baujat
from twostage.stats.influence.casewise import influence
from twostage.stats.influence.cumulative import cumulative
from twostage.stats.influence.gosh import gosh
from twostage.stats.pool.pool import pool

Y = np.array([0.1, 0.2, 0.15, 0.3, 0.05, 0.25, 2.5])
V = np.array([0.01, 0.02, 0.05, 0.03, 0.04, 0.02, 0.01])
NAMES = ["Adams", "Brown", "Clark", "Davis", "Evans", "Frank", "Great outlier"]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fit():
    return pool(Y, V, labels=NAMES)


def test_panel_shows_every_diagnostic(fit):
    found = influence(fit)
    axes = plots_influence.influence_panel(found)
    assert axes.shape == (4, 2)
    shown = ("rstudent", "dffits", "cook_d", "cov_ratio", "tau2_del", "q_del", "hat", "weight")
    for ax, name in zip(axes.flat, shown, strict=True):
        line, plain, marked = ax.lines[:3]
        assert line.get_ydata() == pytest.approx(getattr(found, name))
        assert plain.get_xdata().tolist() == np.flatnonzero(~found.is_influential).tolist()
        assert marked.get_xdata().tolist() == np.flatnonzero(found.is_influential).tolist() == [6]
    assert [t.get_text() for t in axes[3, 0].get_xticklabels()] == NAMES
    limit = 3 / np.sqrt(6)
    assert [ln.get_ydata()[0] for ln in axes.flat[1].lines[3:]] == pytest.approx([-limit, limit])
    assert axes.flat[4].lines[3].get_ydata()[0] == fit.tau2


def test_panel_on_axes_given_and_with_two_studies():
    axes = plt.subplots(4, 2)[1]
    assert plots_influence.influence_panel(influence(Y[:2], V[:2]), axes) is axes
    axes[0, 0].figure.draw_without_rendering()


def test_panel_of_many_studies_keeps_its_width_and_names_those_that_stand_out():
    rng = np.random.default_rng(1)
    y, v = rng.normal(0.1, 0.1, 60), np.full(60, 0.01)
    y[7] = 2.0
    axes = plots_influence.influence_panel(influence(pool(y, v, labels=[f"Study {i}" for i in range(60)])))
    assert axes[0, 0].figure.get_size_inches()[0] < 11
    assert [t.get_text() for t in axes[3, 0].get_xticklabels()] == ["Study 7"]


def test_baujat_points_and_names(fit):
    found = baujat(fit)
    ax = plt.subplots()[1]
    assert plots_influence.baujat(found, ax) is ax
    assert ax.lines[0].get_xdata() == pytest.approx(found.heterogeneity)
    assert ax.lines[0].get_ydata() == pytest.approx(found.influence)
    named = [t.get_text() for t in ax.texts]
    assert named == ["Great outlier"]  # the others are crowded near 0
    outlier = ax.texts[0]
    assert outlier.xy == pytest.approx((found.heterogeneity[6], found.influence[6]))


def test_names_cover_neither_each_other_nor_leave_the_picture():
    ax = plots_influence.baujat(baujat(Y[:6] * 3, V[:6], labels=NAMES[:6]))
    ax.figure.canvas.draw()
    boxes = [Text.get_window_extent(t) for t in ax.texts]  # of the words alone, without the line to the point
    assert len(boxes) > 3
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    whole = ax.figure.bbox
    assert all(whole.x0 <= b.x0 and b.x1 <= whole.x1 for b in boxes)


def test_gosh_counts_every_subset_of_several_studies(fit, monkeypatch):
    monkeypatch.setattr(plots_influence, "FEW_SUBSETS", 0)
    found = gosh(fit)
    ax = plots_influence.gosh(found, effect="alliance")
    counts = 10 ** ax.collections[0].get_array().compressed()
    assert counts.sum() == pytest.approx(2**7 - 1 - 7)
    assert ax.get_xlabel() == "alliance" and ax.get_legend() is None
    assert ax.lines[0].get_xdata()[0] == fit.estimate


def test_gosh_outlines_hold_the_subsets_with_and_without_a_study(fit, monkeypatch):
    monkeypatch.setattr(plots_influence, "FEW_SUBSETS", 0)
    found = gosh(fit)
    ax = plots_influence.gosh(found, study=6)
    words = [t.get_text() for t in ax.get_legend().get_texts()]
    assert words == ["without Great outlier", "with Great outlier"]
    without, inside = (c.get_paths() for c in ax.collections[1:3])
    reach = [np.concatenate([p.vertices for p in paths if len(p.vertices)]) for paths in (without, inside)]
    # Without the outlier no heterogeneity is left; with it I2 is large: the outlines do not touch.
    assert reach[0][:, 1].max() < 20 < 60 < reach[1][:, 1].min()
    share = np.mean(found.i2[found.includes(6) & (found.size > 1)] >= reach[1][:, 1].min())
    assert share > 0.9


def test_few_subsets_are_points(fit):
    found = gosh(fit)
    ax = plots_influence.gosh(found, study=6)
    several = found.size > 1
    for line, rows in zip(
        ax.lines, (several & ~found.includes(6), several & found.includes(6)), strict=False
    ):
        assert line.get_xdata() == pytest.approx(found.estimate[rows])
        assert line.get_ydata() == pytest.approx(found.i2[rows])
    assert [line.get_marker() for line in ax.lines[:2]] == ["o", "s"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "without Great outlier",
        "with Great outlier",
    ]
    assert len(plots_influence.gosh(found).lines[0].get_xdata()) == several.sum()


def test_many_subsets_are_counted():
    rng = np.random.default_rng(1)
    ax = plots_influence.gosh(gosh(rng.normal(size=12), np.full(12, 0.2), method="DL"))
    assert ax.collections and len(ax.lines) == 1


@pytest.mark.parametrize("k", [2, 3])
def test_gosh_of_few_studies(k):
    found = gosh(Y[:k], V[:k])
    ax = plots_influence.gosh(found, study=0)
    ax.figure.draw_without_rendering()
    assert sum(len(line.get_xdata()) for line in ax.lines[:2]) == 2**k - 1 - k


def test_cumulative_rows_are_the_steps(fit):
    found = cumulative(fit, order="precision")
    ax = plt.subplots()[1]
    assert plots_influence.cumulative(found, ax) is ax
    earlier, last = ax.lines[2:4]
    assert [*earlier.get_xdata(), *last.get_xdata()] == pytest.approx(found.estimate)
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == [found.labels[0], *(f"+ {n}" for n in found.labels[1:])]
    ends = [p.vertices[:, 0].tolist() for p in ax.collections[0].get_paths()]
    assert ends == [pytest.approx([a, b]) for a, b in zip(found.ci_low, found.ci_high, strict=True)]
    assert "precision" in ax.get_xlabel()


def test_a_huge_interval_ends_in_an_arrowhead_with_its_number(fit):
    found = cumulative(fit, order="precision")  # the outlier is second: t with one degree of freedom
    ax = plots_influence.cumulative(found)
    low, high = ax.get_xlim()
    assert found.ci_low[1] < low and found.ci_high[1] > high
    assert [t.get_text() for t in ax.texts] == [f"−{-found.ci_low[1]:.2f}", f"{found.ci_high[1]:.2f}"]
    assert low < found.ci_low[3:].min() and high > found.ci_high[3:].max()


@pytest.mark.parametrize("k", [1, 2])
def test_cumulative_of_few_studies(k):
    ax = plots_influence.cumulative(cumulative(Y[:k], V[:k]))
    assert len(ax.get_yticklabels()) == k
