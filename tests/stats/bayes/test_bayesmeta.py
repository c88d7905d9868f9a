"""The Bayesian pool against R's bayesmeta: what its article and vignette print, and what it says on a finer grid.

The article is Röver (2020, doi:10.18637/jss.v093.i06), section 3.2 to 3.4; the vignette is "bayesmeta introduction" of
version 3.4.
"""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from twostage.stats.bayes import TauPrior, bayes_pool

REFERENCE = Path(__file__).parents[2] / "reference"

# bayesmeta's posterior of tau has no grid: its numbers are right to the digits that it prints.
PRINTED = {"vignette": 0.6e-6, "article": 0.6e-7}
# Its mixtures over tau are sums over a grid, so coarse by default (delta = 0.01) that its article prints the end of one
# interval once as -2.2312306 and once as -2.2311251. This is how far, in standard deviations, the printed numbers of the
# effect are from those of a finer grid (below).
GRID = 0.0035
# A grid with delta = 1e-5 leaves a thousandth of that.
FINE = 1e-5
# bayesmeta searches the shortest interval by R's optimize(): near its minimum the length is flat, so that the ends are
# known to the square root of what the length is.
ENDS = 2e-4
# R's optimize() stops at 1e-4 of the mode's interval.
MODE = 1e-4


def _odds_ratios(exposed, of_exposed, control, of_control):
    """Log odds ratios and variances, 0.5 added to each cell of a table with a 0 (as metafor's escalc)."""
    a, n, c, m = (np.array(x, dtype=float) for x in (exposed, of_exposed, control, of_control))
    more = 0.5 * ((a == 0) | (a == n) | (c == 0) | (c == m))
    a, b, c, d = a + more, n - a + more, c + more, m - c + more
    return np.log(a * d / (b * c)), 1 / a + 1 / b + 1 / c + 1 / d


# Rubin (1981): the effects of coaching in eight schools.
_EFFECTS = [28.39, 7.94, -2.75, 6.82, -0.64, 0.63, 18.01, 12.16]
_ERRORS = [14.9, 10.2, 16.3, 11.0, 9.4, 11.4, 10.4, 17.6]
_SCHOOLS = np.array(_EFFECTS), np.array(_ERRORS) ** 2
# Crins et al. (2014): acute rejections, treated and control, in the order of the article.
_CRINS = _odds_ratios(
    [14, 16, 3, 9, 4, 0], [61, 28, 18, 54, 36, 50], [15, 19, 8, 29, 11, 3], [20, 28, 12, 54, 36, 34]
)
# Hinks et al. (2010): odds ratios and their 95 % intervals.
_LOW, _HIGH = np.log([0.71, 0.66, 0.63]), np.log([1.07, 0.94, 1.08])
_HINKS = np.log([0.88, 0.79, 0.82]), ((_HIGH - _LOW) / (2 * norm.ppf(0.975))) ** 2
CASES = {
    "schools_cauchy": (*_SCHOOLS, TauPrior("half-cauchy", 25.0), 50.0),
    "schools_uniform": (*_SCHOOLS, TauPrior("uniform"), math.inf),
    "crins": (*_CRINS, TauPrior("half-normal", 0.5), 4.0),
    "hinks": (*_HINKS, TauPrior("half-normal", 0.5), 4.0),
}


def _fit(case, **options):
    y, v, prior, sd = CASES[case]
    return bayes_pool(y, v, prior=prior, sd=sd, labels=[f"study {i + 1}" for i in range(len(y))], **options)


def _summaries(fit):
    """Term -> its numbers; of the studies too."""
    studies = fit.studies().set_index("study").to_dict("index")
    return studies | {row["term"]: row for row in fit.tidy().to_dict("records")}


def _rows(name):
    with open(REFERENCE / name, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("case", ["schools_cauchy", "schools_uniform", "crins"])
def test_what_is_published(case):
    ours = _summaries(_fit(case))
    rows = [row for row in _rows("bayesmeta_published.csv") if row["case"] == case]
    assert len(rows) >= 18
    for row in rows:
        found = ours[row["term"]]
        allowed = PRINTED[row["source"]] if row["term"] == "tau" else GRID * found["std_dev"]
        assert found[row["statistic"]] == pytest.approx(float(row["printed"]), abs=allowed), row


@pytest.mark.parametrize("case", list(CASES))
def test_a_finer_grid_ends_at_the_same(case):
    fit = _fit(case)
    ours = _summaries(fit)
    rows = [row for row in _rows("bayesmeta_fits.csv") if row["case"] == case]
    assert [row["term"] for row in rows] == ["tau", "effect", "new", "study 1", "study 2"]
    for row in rows:
        found = ours[row["term"]]
        for name in ("median", "mean", "std_dev", "ci_low", "ci_high"):
            allowed = (ENDS if name.startswith("ci_") else FINE) * found["std_dev"]
            assert found[name] == pytest.approx(float(row[name]), abs=allowed), (row["term"], name)
        if "mode" in found:
            assert found["mode"] == pytest.approx(float(row["mode"]), abs=MODE * found["std_dev"])
        if row["below_zero"] != "NA":
            below = fit.probability(0.0, of=row["term"])
            assert below == pytest.approx(float(row["below_zero"]), abs=FINE)
    for name in ("bf_tau", "bf_effect"):
        if rows[0][name] != "NA":
            assert getattr(fit, name) == pytest.approx(float(rows[0][name]), rel=FINE)


def test_quantiles_and_tails_of_the_article():
    """Section 3.4: 1 - pposterior(tau = 1), qposterior(tau.p = 0.99), and a central interval of 99 %."""
    fit = _fit("crins", level=0.99, interval="central")
    assert 1.0 - fit.probability(1.0, of="tau") == pytest.approx(0.02097488, abs=0.6e-8)
    # R's uniroot() leaves 1e-6 of these two.
    assert fit.probability(1.109186, of="tau") == pytest.approx(0.99, abs=1e-6)
    assert fit.tau.ci_low == pytest.approx(0.003547657, abs=0.6e-9)
    assert fit.tau.ci_high == pytest.approx(1.205400562, abs=0.6e-9)
    # Section 3.6: the two randomized studies alone.
    y, v, prior, sd = CASES["crins"]
    two = bayes_pool(y[[0, 4]], v[[0, 4]], prior=prior, sd=sd)
    assert two.probability(0.0) == pytest.approx(0.9974968, abs=1e-4)
    assert [round(x, 2) for x in (two.effect.ci_low, two.effect.ci_high)] == [-2.86, -0.69]
    assert [round(x, 2) for x in (two.new.ci_low, two.new.ci_high)] == [-3.25, -0.28]
