"""Joint regions: points on the edge by algebra, areas, quantiles from the tables, exact coverage."""

import numpy as np
import pytest

from twostage.stats.multilevel.region import RULES, critical_distance, region

# Rounding of a handful of operations.
ROUNDING = 1e-12
CENTRE, SHAPE = np.array([0.1, -0.3]), np.array([[0.04, -0.01], [-0.01, 0.09]])


@pytest.mark.parametrize("rule", RULES)
def test_every_point_lies_on_the_edge(rule):
    found = region(CENTRE, SHAPE, df=6, rule=rule, n_points=37)
    off = found.points - CENTRE
    distance = np.einsum("mi,ij,mj->m", off, np.linalg.inv(SHAPE), off)
    np.testing.assert_allclose(distance, found.critical, rtol=ROUNDING)
    np.testing.assert_array_equal(found.points[0], found.points[-1])


def test_circle_by_hand():
    """Unit covariance: a circle of radius sqrt(-2 log(1 - level))."""
    found = region([0.0, 0.0], np.eye(2), df=np.inf, level=0.95, rule="chi2")
    radius = np.sqrt(-2.0 * np.log(0.05))
    np.testing.assert_allclose(np.linalg.norm(found.points, axis=1), radius, rtol=ROUNDING)
    assert found.area == pytest.approx(np.pi * radius**2, rel=ROUNDING)
    assert found.df == np.inf


def test_extent_along_an_axis():
    """The ellipse reaches centre -+ sqrt(critical * variance)."""
    found = region(CENTRE, SHAPE, df=6, n_points=100_001)
    reach = np.sqrt(found.critical * np.diag(SHAPE))
    np.testing.assert_allclose(found.points.max(axis=0), CENTRE + reach, rtol=1e-6)
    np.testing.assert_allclose(found.points.min(axis=0), CENTRE - reach, rtol=1e-6)


def test_area_is_that_of_the_polygon():
    found = region(CENTRE, SHAPE, df=6, n_points=20_001)
    x, y = found.points.T
    polygon = 0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])  # positive: counter-clockwise
    assert found.area == pytest.approx(polygon, rel=1e-6)


def test_critical_distances_of_the_tables():
    """chi-square(2) and F(2, 10), F(2, 9) at 95 percent: 5.991, 4.103, 4.256."""
    assert critical_distance(10, 0.95, "chi2") == pytest.approx(5.991, abs=5e-4)
    assert critical_distance(10, 0.95, "F") == pytest.approx(2 * 4.103, abs=2e-3)
    assert critical_distance(10, 0.95, "hotelling") == pytest.approx(2 * 10 / 9 * 4.256, abs=3e-3)
    for rule in ("F", "hotelling"):
        assert critical_distance(1e7, 0.95, rule) == pytest.approx(
            critical_distance(1, 0.95, "chi2"), rel=1e-5
        )


def test_closed_form_of_the_two_dimensional_f():
    """P(F(2, d) > f) = (1 + 2 f / d)^(-d / 2)."""
    critical = critical_distance(7, 0.9, "F")
    assert (1 + critical / 7) ** (-3.5) == pytest.approx(0.1, rel=1e-10)
    critical = critical_distance(7, 0.9, "hotelling")
    assert (1 + critical / 7) ** (-3.0) == pytest.approx(0.1, rel=1e-10)


def test_contains():
    found = region(CENTRE, SHAPE, df=6)
    assert found.contains(CENTRE) and not found.contains([5.0, 5.0])
    inner, outer = CENTRE + 0.999 * (found.points - CENTRE), CENTRE + 1.001 * (found.points - CENTRE)
    assert found.contains(inner).all() and not found.contains(outer).any()


def test_hotelling_covers_the_mean_and_a_new_pair_exactly():
    """Six normal pairs, 20,000 times: 90 percent within four Monte Carlo standard errors."""
    rng = np.random.default_rng(4)
    Y = rng.normal(size=(20_000, 6, 2)) @ np.array([[1.0, 0.5], [0.0, 0.8]])
    mean = Y.mean(axis=1)
    S = np.einsum("nki,nkj->nij", Y - mean[:, None], Y - mean[:, None]) / 5
    inside = np.einsum("ni,nij,nj->n", mean, np.linalg.inv(S / 6), mean)
    band = 4 * np.sqrt(0.9 * 0.1 / 20_000)
    assert np.mean(inside <= critical_distance(5, 0.9, "hotelling")) == pytest.approx(0.9, abs=band)
    assert np.mean(inside <= critical_distance(5, 0.9, "F")) < 0.9 - band
    assert np.mean(inside <= critical_distance(5, 0.9, "chi2")) < 0.9 - band


def test_too_few_studies_have_no_region():
    found = region(CENTRE, SHAPE, df=1.0)
    assert np.isnan(found.critical) and np.isnan(found.points).all()
    assert np.isfinite(region(CENTRE, SHAPE, df=1.0, rule="F").critical)


def test_tables_and_display():
    found = region(CENTRE, SHAPE, df=6, kind="prediction", n_points=13)
    assert found.tidy().shape == (13, 2) and found.glance()["kind"].tolist() == ["prediction"]
    html = found._repr_html_()
    assert "prediction region" in html
    for i in range(2):
        low, high = found.points[:, i].min(), found.points[:, i].max()
        assert f"effect {i + 1}" in html and f"{low:.4g} to {high:.4g}" in html
    assert region(CENTRE, SHAPE, df=6, n_points=4).points.shape == (4, 2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"shape": [[1.0, 0.5], [0.4, 1.0]]}, "symmetric"),
        ({"shape": [[1.0, 2.0], [2.0, 1.0]]}, "positive definite"),
        ({"shape": [[0.0, 0.0], [0.0, 1.0]]}, "positive definite"),
        ({"shape": [[np.inf, 0.0], [0.0, 1.0]]}, "positive definite"),
        ({"centre": [1.0]}, r"centre must be \(2,\)"),
        ({"level": 1.0}, "level must lie"),
        ({"rule": "bonferroni"}, "rule must be one of"),
        ({"kind": "credible"}, "kind must be"),
        ({"n_points": 3}, "at least 4"),
    ],
)
def test_what_is_no_region_is_refused(change, message):
    arguments = {"centre": CENTRE, "shape": SHAPE, "df": 6} | change
    with pytest.raises(ValueError, match=message):
        region(arguments.pop("centre"), arguments.pop("shape"), **arguments)
