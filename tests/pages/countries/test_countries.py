"""Studies within countries: by hand, against the core, on simulated truth, and what is told where there are too few."""

import numpy as np
import pandas as pd
import pytest

from twostage.pages.countries.analysis import LEAST, pool_in_countries
from twostage.pages.countries.tables import component_table, country_sentence, country_table
from twostage.stage2.pool import PooledTable
from twostage.stats.base import attempt
from twostage.stats.base.checks import NotEstimable
from twostage.stats.pool.pool import pool

# The optimiser ends at a relative step of about 1e-9 in a variance.
CLOSED = 1e-6
# Four Monte Carlo standard errors: a correct method fails one such comparison in 16,000 (the seed is fixed).
BAND = 4.0


def table_of(y, v, method="REML") -> PooledTable:
    """A pooled table of one coefficient with these estimates and sampling variances."""
    studies = [f"S{i:02d}" for i in range(len(y))]
    estimates = pd.DataFrame({"study": studies, "label": studies, "estimate": y, "std_error": np.sqrt(v)})
    estimates = estimates.assign(direction="x_to_y", term="x_within", variant="main")
    fit = pool(np.asarray(y), np.asarray(v), method=method)
    names = ("estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high", "tau2")
    row = {c: getattr(fit, c) for c in names}
    table = pd.DataFrame([{"direction": "x_to_y", "term": "x_within", "variant": "main"} | row])
    return PooledTable("lagged", estimates, table, {}, pd.DataFrame(), method, "hartung-knapp", 0.95)


def in_countries(y, v, countries, **options):
    named = {f"S{i:02d}": c for i, c in enumerate(countries)}
    return pool_in_countries(table_of(y, v, **options), named, "x_to_y", "x_within")


def balanced(seed=3, J=6, m=3):
    rng = np.random.default_rng(seed)
    y = (rng.normal(0, 0.5, J)[:, None] + rng.normal(0, 0.3, (J, m))).ravel()
    return y, np.full(J * m, 0.01), [f"country {c}" for c in np.repeat(np.arange(J), m)]


def test_balanced_countries_by_hand():
    """Analysis of variance: components from the mean squares; t of the country means, J - 1 degrees of freedom."""
    y, v, countries = balanced()
    found = in_countries(y, v, countries)
    by = y.reshape(6, 3)
    within = by.var(axis=1, ddof=1).mean()
    between = 3 * by.mean(axis=1).var(ddof=1)
    assert found.within.estimate == pytest.approx(within - 0.01, rel=CLOSED)
    assert found.between.estimate == pytest.approx((between - within) / 3, rel=CLOSED)
    rows = found.tidy().set_index("pooled")
    error = by.mean(axis=1).std(ddof=1) / np.sqrt(6)
    for name in ("three-level", "three-level, CR2"):
        assert rows.loc[name, "std_error"] == pytest.approx(error, rel=CLOSED)
        assert rows.loc[name, "df"] == pytest.approx(5.0, rel=CLOSED)
    assert rows.loc["plain", "std_error"] < 0.8 * error
    assert found.between.low < found.between.estimate < found.between.high
    assert found.converged and not found.singular


def test_truth_is_covered():
    """Twelve countries of one to three studies: both intervals cover, the plain one, blind to countries, does not."""
    rng = np.random.default_rng(5)
    country = np.repeat(np.arange(12), np.tile([1, 2, 5], 4))
    inside, replicates = np.zeros(3), 40
    for _ in range(replicates):
        v = rng.uniform(0.002, 0.01, len(country))
        y = 0.2 + rng.normal(0, 0.4, 12)[country] + rng.normal(size=len(country)) * np.sqrt(v)
        rows = in_countries(y, v, [f"c{i}" for i in country]).tidy()
        inside += ((rows["ci_low"] <= 0.2) & (rows["ci_high"] >= 0.2)).to_numpy()
    band = BAND * np.sqrt(0.95 * 0.05 / replicates)
    np.testing.assert_allclose(inside[1:] / replicates, 0.95, atol=band)
    assert inside[0] / replicates < 0.95 - band


def test_studies_without_a_country_stand_for_themselves():
    y, v, countries = balanced()
    countries[0:3] = ["not stated", "several", "not stated"]
    found = in_countries(y, v, countries)
    assert len(found.studies) == 8 and found.n_unknown == 3
    assert "3 without one known country count as countries of their own" in country_sentence(
        attempt(lambda: found)
    )
    assert "come from 5 countries, 5 of them" in country_sentence(attempt(lambda: found))


def test_too_few_countries_are_told():
    y, v, countries = balanced(J=3)
    with pytest.raises(NotEstimable, match=f"come from 3 known countries: at least {LEAST} are needed"):
        in_countries(y, v, countries)
    with pytest.raises(NotEstimable, match="no country has two studies"):
        in_countries(y[:5], v[:5], list("abcde"))
    with pytest.raises(NotEstimable, match="come from 0 known countries"):
        in_countries(y, v, ["not stated"] * 9)
    with pytest.raises(KeyError, match="S08"):
        in_countries(y, v, countries[:8])
    words = country_sentence(attempt(in_countries, y, v, countries))
    assert words.startswith("Not computed: the studies come from 3 known countries")


def test_method_and_boundary():
    y, v, countries = balanced()
    assert in_countries(y, v, countries, method="ML").fit.method == "ML"
    flat = in_countries(0.2 + 0.01 * y, v, countries)
    assert flat.singular and flat.between.estimate == 0.0
    assert "A variance is estimated as 0." in country_sentence(attempt(lambda: flat))


def test_tables_and_display():
    found = in_countries(*balanced())
    assert country_table(found)["pooled"].tolist() == ["plain", "three-level", "three-level, CR2"]
    assert component_table(found)["estimate"].str.len().min() > 3
    assert found.glance()["k_several"].tolist() == [6]
    assert "three-level" in found._repr_html_()


def test_few_degrees_of_freedom_are_told():
    """One country with nearly all the weight."""
    y, v, countries = balanced()
    v[3:] = 2.0
    words = country_sentence(attempt(in_countries, y, v, countries))
    assert "CR2 has only " in words


def test_from_records_on(pooled, three):
    """Three studies of the small collection are too few, and the reason is theirs."""
    countries = dict(zip(three.studies["study"], three.studies["country"], strict=True))
    with pytest.raises(NotEstimable, match="known countries"):
        pool_in_countries(pooled["lagged"], countries, "x_to_y", "x_within")
