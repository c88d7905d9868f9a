"""The Bayesian pool: by hand, against R's own numerical integration, and by simulation."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from twostage.stats.base import NotEstimable
from twostage.stats.bayes import TauPrior, bayes_pool
from twostage.stats.bayes import distributions as laws

REFERENCE = Path(__file__).parents[2] / "reference"
# What rounding and 16-point panels leave.
EXACT = 1e-10
# Share of the posterior's standard deviation: R's uniroot for equal densities, and integrate()'s 1e-10 before it, leave
# 1e-7 in the flat part of a density.
R_TOLERANCE = 1e-6
HALF_NORMAL = TauPrior("half-normal", 0.1)


def _reference():
    with open(REFERENCE / "bayes_data.csv", newline="") as file:
        data = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    with open(REFERENCE / "bayes_fits.csv", newline="") as file:
        fits = list(csv.DictReader(file))
    return [(fit, [d for d in data if d["dataset"] == float(fit["dataset"])]) for fit in fits]


def _fit(row, data, interval="shortest"):
    df = int(float(row["df"])) or None
    prior = TauPrior(row["family"], float(row["scale"]), df)
    y, v = [d["y"] for d in data], [d["v"] for d in data]
    return bayes_pool(y, v, prior=prior, mean=float(row["mean"]), sd=float(row["sd"]), interval=interval)


@pytest.mark.parametrize("row, data", _reference(), ids=lambda x: x["dataset"] if isinstance(x, dict) else "")
def test_r_integrates_the_same(row, data):
    fit, central = _fit(row, data), _fit(row, data, "central")
    effect, tau, new = fit.effect, fit.tau, fit.new
    ours = {
        "mu_mean": effect.mean, "mu_median": effect.median, "mu_low": effect.ci_low, "mu_high": effect.ci_high,
        "mu_central_low": central.effect.ci_low, "mu_central_high": central.effect.ci_high,
        "new_median": new.median, "new_central_low": central.new.ci_low, "new_central_high": central.new.ci_high,
        "tau_mean": tau.mean, "tau_median": tau.median, "tau_low": tau.ci_low, "tau_high": tau.ci_high,
        "tau_central_low": central.tau.ci_low, "tau_central_high": central.tau.ci_high,
        "study1_mean": fit.studies()["mean"][0],
    }  # fmt: skip
    scale = {"mu": effect.ci_high - effect.ci_low, "new": new.ci_high - new.ci_low, "tau": tau.ci_high}
    for name, value in ours.items():
        if row[name] != "NA":
            unit = scale.get(name.split("_")[0], scale["mu"]) / 4.0
            assert value == pytest.approx(float(row[name]), abs=R_TOLERANCE * unit), name
    shares = {
        "below_zero": fit.probability(0.0), "below_small": fit.probability(-0.03),
        "new_below_zero": fit.probability(0.0, of="new"), "bf_tau": fit.bf_tau,
    }  # fmt: skip
    for name, value in shares.items():
        if row[name] != "NA":
            assert value == pytest.approx(float(row[name]), rel=R_TOLERANCE), name
    if row["log_bf_effect"] != "NA":
        assert math.log(fit.bf_effect) == pytest.approx(float(row["log_bf_effect"]), abs=R_TOLERANCE)
    assert fit.converged


def test_by_hand_without_heterogeneity():
    """A prior that holds tau at 0 leaves the normal-normal model: precisions add."""
    y, v = np.array([1.0, 3.0]), np.array([0.5, 0.25])
    fit = bayes_pool(y, v, prior=TauPrior("uniform", 1e-9), mean=2.0, sd=1.0, interval="central")
    precision = 2.0 + 4.0 + 1.0
    mean = (2.0 * 1.0 + 4.0 * 3.0 + 1.0 * 2.0) / precision
    assert fit.effect.mean == pytest.approx(mean, rel=EXACT)
    assert fit.effect.std_dev == pytest.approx(precision**-0.5, rel=EXACT)
    assert fit.effect.ci_high == pytest.approx(mean + norm.ppf(0.975) * precision**-0.5, rel=EXACT)
    assert fit.probability(2.0) == pytest.approx(norm.cdf((2.0 - mean) * precision**0.5), rel=EXACT)
    assert fit.tau.ci_high == pytest.approx(0.975e-9, rel=1e-6)
    # The Bayes factor of a mean of 0: the density ratio at 0, posterior over prior (Savage and Dickey).
    ratio = norm.pdf(0.0, mean, precision**-0.5) / norm.pdf(0.0, 2.0, 1.0)
    assert fit.bf_effect == pytest.approx(ratio, rel=1e-9)
    assert fit.bf_tau == pytest.approx(1.0, rel=1e-9)


def test_one_study_learns_nothing_of_tau():
    """With a uniform prior of the mean one study's likelihood does not depend on tau: its posterior is its prior."""
    fit = bayes_pool([0.3], [0.01], prior=HALF_NORMAL)
    assert fit.tau.median == pytest.approx(0.1 * norm.ppf(0.75), rel=EXACT)
    assert fit.tau.mean == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=EXACT)
    assert fit.tau.ci_low == 0.0 and fit.tau.ci_high == pytest.approx(0.1 * norm.ppf(0.975), rel=EXACT)
    # mu ~ N(0.3, 0.01 + tau^2): its variance is 0.01 + E tau^2.
    assert fit.effect.std_dev == pytest.approx(math.sqrt(0.01 + 0.01), rel=EXACT)
    assert fit.effect.mean == pytest.approx(0.3, rel=EXACT)


def test_two_equal_studies_by_hand():
    """y = -+1, v = 1, uniform prior of both: p(tau) is that of 1 + tau^2 = u in closed form under a bounded tau."""
    fit = bayes_pool([-1.0, 1.0], [1.0, 1.0], prior=TauPrior("uniform", 2.0))

    def density(t):
        return math.exp(-1.0 / (1.0 + t * t)) / math.sqrt(1.0 + t * t)

    total = quad(density, 0.0, 2.0, epsabs=1e-14)[0]
    assert fit.probability(1.0, of="tau") == pytest.approx(
        quad(density, 0.0, 1.0, epsabs=1e-14)[0] / total, rel=EXACT
    )
    assert fit.bf_tau == pytest.approx(density(0.0) * 2.0 / total, rel=EXACT)
    assert fit.effect.median == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    "prior", [HALF_NORMAL, TauPrior("half-t", 0.1, 4), TauPrior("uniform", 0.5)], ids=str
)
def test_the_bayes_factor_is_a_ratio_of_densities(prior):
    """Savage and Dickey: two ways to the same number, one of them not in the package."""
    rng = np.random.default_rng(4)
    v = rng.uniform(0.0005, 0.004, 9)
    fit = bayes_pool(rng.normal(-0.04, 0.06, 9), v, prior=prior, mean=0.01, sd=0.2)
    ratio = fit.density([0.0])[0] / norm.pdf(0.0, 0.01, 0.2)
    assert fit.bf_effect == pytest.approx(ratio, rel=1e-9)
    assert fit.bf_tau == pytest.approx(
        fit.density([0.0], of="tau")[0] / math.exp(prior.log_density(0.0)), rel=1e-9
    )


def test_shortest_intervals_are_shortest():
    rng = np.random.default_rng(5)
    v = rng.uniform(0.0005, 0.004, 6)
    y = rng.normal(-0.04, 0.15, 6)
    for prior in (HALF_NORMAL, TauPrior("half-cauchy", 0.1), TauPrior("uniform")):
        fit, central = bayes_pool(y, v, prior=prior), bayes_pool(y, v, prior=prior, interval="central")
        for of in ("effect", "new", "tau"):
            short, other = getattr(fit, of), getattr(central, of)
            inside = fit.probability(short.ci_high, of=of) - fit.probability(short.ci_low, of=of)
            assert inside == pytest.approx(0.95, abs=1e-11)
            assert short.ci_high - short.ci_low < other.ci_high - other.ci_low
            # No interval of the level that begins a little to either side is shorter.
            for shift in (-1e-3, 1e-3):
                low = short.ci_low + shift
                p = fit.probability(low, of=of) + 0.95
                if p < 1.0 and (of != "tau" or low >= 0.0):
                    high = laws.quantile(_row(fit, of), p)[0]
                    assert high - low >= short.ci_high - short.ci_low - 1e-12


def _row(fit, of):
    if of == "tau":
        return laws.Tau(fit.panels)
    row = [0 if of == "effect" else 1]
    return laws.Mixture(fit.mixtures.mass, fit.mixtures.mean[row], fit.mixtures.sd[row])


def test_a_search_finds_what_newton_finds():
    fit = bayes_pool([-0.09, 0.05, -0.2, 0.01], [0.001, 0.002, 0.004, 0.001], prior=HALF_NORMAL)
    for of in ("effect", "new"):
        newton, search = laws.shortest(_row(fit, of), 0.9), laws._searched(_row(fit, of), 0.9)
        assert np.allclose(newton, search, atol=1e-6)


def test_a_posterior_that_is_none_is_refused():
    for y, sd in (([0.1, 0.2], np.inf), ([0.1], np.inf), ([0.1], 1.0)):
        with pytest.raises(NotEstimable, match="no distribution"):
            bayes_pool(y, [0.01] * len(y), prior=TauPrior("uniform"), sd=sd)
    assert bayes_pool([0.1, 0.2], [0.01, 0.01], prior=TauPrior("uniform"), sd=1.0).converged


def test_moments_that_do_not_exist_are_not_numbers():
    two = bayes_pool([0.1, 0.2], [0.01, 0.02], prior=TauPrior("half-cauchy", 0.1))
    assert np.isinf(two.effect.std_dev) and np.isinf(two.tau.std_dev) and np.isfinite(two.tau.mean)
    one = bayes_pool([0.1], [0.01], prior=TauPrior("half-cauchy", 0.1))
    assert np.isnan(one.effect.mean) and np.isinf(one.tau.mean) and one.effect.median == pytest.approx(0.1)
    # A proper prior of the mean has a variance, a new study's effect has none.
    proper = bayes_pool([0.1], [0.01], prior=TauPrior("half-cauchy", 0.1), sd=1.0)
    assert np.isfinite(proper.effect.std_dev) and proper.effect.std_dev < 1.0 and np.isinf(proper.new.std_dev)


@pytest.mark.parametrize(
    "arguments",
    [
        ("half-normal",), ("half-normal", 0.0), ("half-normal", -1.0), ("half-normal", 1.0, 3), ("half-t", 1.0),
        ("half-t", 1.0, 0), ("half-t", 1.0, 2.5), ("half-t", 1.0, True), ("normal", 1.0), ("uniform", float("nan")),
    ],
)  # fmt: skip
def test_priors_that_are_none_are_refused(arguments):
    with pytest.raises(ValueError):
        TauPrior(*arguments)


def test_extremes():
    """Very unequal variances, many studies, estimates far from 0, agreement: all with a converged quadrature."""
    rng = np.random.default_rng(8)
    far = bayes_pool([1e6 + 0.1, 1e6 - 0.1, 1e6], [0.01, 1e-12, 1e4], prior=HALF_NORMAL)
    near = bayes_pool([0.1, -0.1, 0.0], [0.01, 1e-12, 1e4], prior=HALF_NORMAL)
    assert far.effect.median - 1e6 == pytest.approx(near.effect.median, abs=1e-8)
    many = bayes_pool(rng.normal(0, 0.1, 5000), np.full(5000, 0.001), prior=TauPrior("half-cauchy", 0.1))
    agree = bayes_pool([0.2] * 5, [0.01] * 5, prior=HALF_NORMAL)
    assert far.converged and near.converged and many.converged and agree.converged
    assert many.tau.mean == pytest.approx(math.sqrt(0.01 - 0.001), abs=0.005)
    assert agree.effect.median == pytest.approx(0.2, abs=1e-12) and agree.tau.mode == pytest.approx(
        0.0, abs=1e-9
    )


def test_truth_is_covered_when_it_is_drawn_from_the_prior():
    """Bayes's intervals have their level exactly over truths drawn from the prior: 1,000 draws, four Monte Carlo errors."""
    rng, n, k, inside = np.random.default_rng(11), 1000, 5, np.zeros(4)
    for _ in range(n):
        mu, tau = rng.normal(0, 0.1), abs(rng.normal(0, 0.1))
        v = rng.uniform(0.0005, 0.004, k)
        theta = rng.normal(mu, tau, k + 1)
        fit = bayes_pool(rng.normal(theta[:k], np.sqrt(v)), v, prior=HALF_NORMAL, sd=0.1, level=0.8)
        studies = fit.studies()
        inside += [
            fit.effect.ci_low < mu < fit.effect.ci_high,
            fit.tau.ci_low < tau < fit.tau.ci_high,
            fit.new.ci_low < theta[k] < fit.new.ci_high,
            studies["ci_low"][0] < theta[0] < studies["ci_high"][0],
        ]
    assert np.all(np.abs(inside / n - 0.8) < 4.0 * math.sqrt(0.8 * 0.2 / n)), inside / n


def test_tables_and_page():
    fit = bayes_pool([0.1, 0.2, 0.4], [0.01, 0.02, 0.01], prior=HALF_NORMAL, sd=0.1, labels=["a", "b", "<c>"])
    assert list(fit.tidy()["term"]) == ["effect", "tau", "new"]
    assert list(fit.studies()["study"]) == ["a", "b", "<c>"]
    assert fit.glance()["prior"][0] == "half-normal with scale 0.1" and len(fit.glance()) == 1
    assert "Bayesian meta-analysis of 3 estimates" in fit._repr_html_()


def test_panels_without_mass_are_not_computed():
    """Many studies: what is left out holds less than a double shows, and little is computed for each of them."""
    rng = np.random.default_rng(6)
    v = rng.uniform(0.0005, 0.004, 200)
    y = rng.normal(
        -0.04, np.sqrt(v + 0.09)
    )  # tau is far from 0, so that the first panels have no mass either
    fit = bayes_pool(y, v, prior=TauPrior("half-cauchy", 0.1), sd=0.1)
    # Without leaving out there are 50: up to 1e13 times as far as the data.
    assert len(fit.panels.nodes) <= 15 and fit.converged

    def posterior(t):
        return math.exp(float(fit.panels.log_f(np.array([t]))[0]) - fit.panels.log_total)

    inside = [quad(posterior, a, b, epsabs=1e-13)[0] for a, b in ((0.0, 0.2), (0.2, 0.4), (0.4, 5.0))]
    assert sum(inside) == pytest.approx(1.0, abs=EXACT)
    assert fit.probability(0.3, of="tau") == pytest.approx(quad(posterior, 0.1, 0.3)[0], abs=1e-8)
