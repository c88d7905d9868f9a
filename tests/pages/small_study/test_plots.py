"""Funnel and radial plots carry the numbers of their results."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from twostage.pages.small_study import plots as plots_smallstudy
from twostage.stats.pool.pool import pool
from twostage.stats.small_study.funnel import funnel
from twostage.stats.small_study.radial import radial
from twostage.stats.small_study.trimfill import trimfill

Z90, Z95, Z99 = 1.6448536269514722, 1.959963984540054, 2.5758293035489004
Y = np.array([0.1, 0.12, 0.2, 0.35, 0.5, 0.7, 0.9])
V = np.array([0.01, 0.012, 0.02, 0.04, 0.06, 0.09, 0.12])
NAMES = ["Adams", "Brown", "Clark", "Davis", "Evans", "Frank", "Green"]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fit():
    return pool(Y, V, labels=NAMES)


def legend(ax):
    return [t.get_text() for t in ax.get_legend().get_texts()]


def test_funnel_points_and_contours(fit):
    ax = plt.subplots()[1]
    assert plots_smallstudy.funnel(funnel(fit), ax=ax) is ax
    assert ax.lines[0].get_xdata() == pytest.approx(Y)
    assert ax.lines[0].get_ydata() == pytest.approx(np.sqrt(V))
    assert ax.lines[1].get_xdata()[0] == fit.estimate
    bottom, top = ax.get_ylim()
    assert top == 0.0 and bottom > np.sqrt(V.max())  # precise studies on top
    widest = [c.get_paths()[0].vertices[:, 0].max() for c in ax.collections]
    assert widest == pytest.approx([z * bottom for z in (Z99, Z95, Z90)])
    assert legend(ax) == ["study", "pooled", "p > .10", ".05 < p < .10", ".01 < p < .05", "p < .01"]


def test_a_study_lies_in_the_region_of_its_p_value(fit):
    """The first level is drawn last, so a point is in the shade of the innermost region that holds it."""
    found = funnel(fit)
    ax = plots_smallstudy.funnel(found)
    inside = np.array([[c.get_paths()[0].contains_point(p) for c in ax.collections]
                       for p in zip(found.y, found.std_error, strict=True)])  # fmt: skip
    assert (inside.sum(axis=1) == 3 - found.region).all() and set(found.region) >= {0, 2, 3}


def test_filled_studies_are_open_squares(fit):
    filled = trimfill(fit, estimator="L0", side="left")
    assert filled.k0 > 0
    ax = plots_smallstudy.funnel(funnel(fit), filled)
    squares = ax.lines[2]
    assert squares.get_marker() == "s" and squares.get_markerfacecolor() == "white"
    assert squares.get_xdata() == pytest.approx(filled.filled.y[filled.is_filled])
    assert ax.lines[3].get_xdata()[0] == filled.filled.estimate
    low, high = ax.get_xlim()
    assert low < min(squares.get_xdata()) and high > Y.max()
    assert {"filled", "pooled, filled"} <= set(legend(ax))
    none = trimfill(fit, estimator="L0", side="right")
    assert none.k0 == 0 and "filled" not in legend(plots_smallstudy.funnel(funnel(fit), none))


def test_radial_points_line_and_band():
    fit = pool(Y * 3, V, method="FE", labels=NAMES)
    found = radial(fit)
    ax = plt.subplots()[1]
    assert plots_smallstudy.radial(found, ax) is ax
    line, _, inside, outside = ax.lines
    assert inside.get_xdata().size + outside.get_xdata().size == 7 and found.outside.any()
    assert outside.get_ydata() == pytest.approx(found.statistic[found.outside])
    assert line.get_ydata()[1] / line.get_xdata()[1] == pytest.approx(fit.estimate)
    band = ax.collections[0].get_paths()[0].vertices
    right = band[band[:, 0] == line.get_xdata()[1], 1]
    assert np.ptp(right) == pytest.approx(2 * Z95)
    assert {t.get_text() for t in ax.texts} <= {n for n, out in zip(NAMES, found.outside, strict=True) if out}
    assert ax.texts


def test_the_right_scale_reads_slopes(fit):
    ax = plots_smallstudy.radial(radial(fit), effect="partial r")
    scale = ax.child_axes[0]
    ax.figure.draw_without_rendering()
    low, high = ax.get_ylim()
    right = ax.get_xlim()[1]
    assert scale.get_ylim() == pytest.approx((low / right, high / right))
    assert scale.get_ylabel() == "partial r"


def test_one_study():
    fit = pool([0.3], [0.04])
    for ax in (plots_smallstudy.funnel(funnel(fit)), plots_smallstudy.radial(radial(fit))):
        ax.figure.draw_without_rendering()
        assert 0.3 in ax.lines[0].get_xdata() or ax.lines[2].get_xdata() == pytest.approx([5.0])
