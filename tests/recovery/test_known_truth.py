"""Known truth through our own stage 1 and stage 2: recovered without centring on observed means, and biased with.

Simulated latent values (no rounding) go through the very functions that analyse data. `oracle` panels carry each
patient's true intercepts where a study's panel carries the observed means; everything after that is the same.
"""

import numpy as np
import pandas as pd
import pytest
from statsmodels.api import OLS

from twostage.collection.collection import Study
from twostage.collection.settings import Variable
from twostage.params import make_parameters
from twostage.records.record import make_record
from twostage.simulation.model import COEFFICIENT, GENERATING, Instrument, Simulated, simulate_study
from twostage.simulation.simulate import simulate_collection
from twostage.stage1.equations import crosslevel, lagged, outcome
from twostage.stage1.panel import Panel, make_panel
from twostage.stage2.pool import pool_records
from twostage.terms import DIRECTIONS

MEANS = {name: mean for name, (mean, _) in GENERATING.items()}
PLAIN = MEANS | dict.fromkeys(("c_xy_x", "c_xy_y", "c_yx_x", "c_yx_y", "trend_x", "trend_y"), 0.0)

#: Standard errors from the truth: a correct estimator fails one such comparison in 16,000, and the seeds are fixed.
Z = 4.0
#: Nickell's first-order formula, -(1 + phi) / (T - 1), leaves out terms of order 1 / T^2; at T = 7 they are 17 %.
FIRST_ORDER = 0.2
#: The limit by algebra is of infinitely many patients; estimates from 8,000 differ by their standard error only.
PATIENTS = 8000

FINE = Instrument("fine", 0, 1000, 0.001, 1, 0.5, 0.05)
VARIABLES = Variable("a", "alpha", "higher"), Variable("b", "beta", "lower")


def draw(seed: int, truth: dict[str, float], **options) -> Simulated:
    return simulate_study(np.random.default_rng(seed), PATIENTS, FINE, FINE, truth=truth, **options)


def attended(study: Simulated) -> pd.DataFrame:
    """Latent values of the sessions that took place, with the patients' intercepts."""
    rows = study.latent.merge(study.sessions[["patient", "session"]], on=["patient", "session"])
    return rows.merge(study.persons, on="patient").sort_values(["patient", "session"]).reset_index(drop=True)


def oracle_panel(study: Simulated, name: str = "S01", **changes) -> Panel:
    """The panel that someone who knows trends and intercepts would make."""
    t, rows = study.truth, attended(study)
    time = rows["session"] - 1
    sessions = rows[["patient", "session"]].assign(
        x=rows["x"] - t["trend_x"] * time,
        y=rows["y"] - t["trend_y"] * time,
        x_mean=rows["a_x"],
        y_mean=rows["a_y"],
        x_within=rows["w_x"],
        y_within=rows["w_y"],
    )
    n = len(study.persons)
    none = pd.DataFrame({"reason": ["none"], "n_patients": [0]})
    parameters, units = make_parameters({"standardize": "none"} | changes), {"x": 1.0, "y": 1.0}
    return Panel(name, name, *VARIABLES, parameters, sessions, sessions, None, units, none, n, "0" * 64)


def observed_panel(study: Simulated, **changes) -> Panel:
    """The panel that everybody else makes: unrounded scores, observed means."""
    sessions = attended(study)[["patient", "session", "x", "y"]]
    info = {"label": "T", "x_min": 0, "x_max": 1, "y_min": 0, "y_max": 1}
    data = Study("T", info, *VARIABLES, sessions, None, "0" * 64, 1, 1)
    return make_panel(data, make_parameters({"standardize": "none"} | changes))


def coefficients(result) -> dict[tuple[str, str], tuple[float, float]]:
    """(direction, term) -> estimate, standard error."""
    rows = result.tidy().itertuples()
    return {(r.direction, r.term): (r.estimate, r.std_error) for r in rows}


# --- without centring on observed means


@pytest.fixture(scope="module")
def ordinary() -> Simulated:
    """Skipped sessions, dropout that depends on symptoms, trends, interactions."""
    return draw(21, MEANS, skip=0.08)


def expected(study: Simulated) -> dict[tuple[str, str], float]:
    """What the cross-level model estimates: the cross-lag is at the patients' average intercepts."""
    t, mean = study.truth, study.persons[["a_x", "a_y"]].mean()
    found = {COEFFICIENT[p]: t[p] for p in COEFFICIENT if p != "g"}
    for p in ("xy", "yx"):
        found[COEFFICIENT[f"b_{p}"]] += t[f"c_{p}_x"] * mean["a_x"] + t[f"c_{p}_y"] * mean["a_y"]
    side = {"x_to_y": (0.0, 1.0), "y_to_x": (1.0, 0.0)}
    for direction, values in side.items():
        found |= {(direction, m): v for m, v in zip(("x_mean", "y_mean"), values, strict=True)}
    return found


def test_true_intercepts_recover_every_coefficient(ordinary):
    estimates = coefficients(crosslevel(oracle_panel(ordinary)))
    truth = expected(ordinary)
    assert len(truth) == 12
    for key, value in truth.items():
        estimate, error = estimates[key]
        assert error < 0.02, key
        assert abs(estimate - value) < Z * error, (key, value, estimate, error)


def test_true_intercepts_recover_the_lagged_effects():
    study = draw(22, PLAIN, skip=0.08)
    estimates = coefficients(lagged(oracle_panel(study)))
    for name in ("phi_xx", "phi_yy", "b_xy", "b_yx"):
        estimate, error = estimates[COEFFICIENT[name]]
        assert error < 0.01
        assert abs(estimate - PLAIN[name]) < Z * error, (name, estimate, error)


def test_with_true_intercepts_no_patient_variance_is_left(ordinary):
    """All that patients have in common over time is in the model: the random intercept finds next to nothing."""
    fits = crosslevel(oracle_panel(ordinary)).glance()
    assert (fits["re_variance"] < 0.01 * fits["sigma2"]).all()


def test_true_intercepts_recover_the_effects_two_sessions_on():
    """At lag 2 the coefficients are those of phi squared (constant coefficients).

    Transition by transition: over all of them residuals two steps long overlap, which a random intercept takes for
    differences between patients.
    """
    study = draw(23, PLAIN, skip=0.08)
    phi = np.array([[PLAIN["phi_xx"], PLAIN["b_yx"]], [PLAIN["b_xy"], PLAIN["phi_yy"]]])
    twice = phi @ phi
    rows = oracle_panel(study, lag=2).transitions()
    assert set(rows["session"]) == {1, 2, 3, 4, 5}
    places = {("y_to_x", "x_within"): (0, 0), ("y_to_x", "y_within"): (0, 1)}
    places |= {("x_to_y", "x_within"): (1, 0), ("x_to_y", "y_within"): (1, 1)}
    for (direction, term), at in places.items():
        d = DIRECTIONS[direction]
        for _, own in rows.dropna(subset=[f"{d.outcome}_next"]).groupby("session"):
            fit = OLS(own[f"{d.outcome}_next"], own.assign(intercept=1.0)[list(d.lagged)]).fit()
            assert abs(fit.params[term] - twice[at]) < Z * fit.bse[term], (direction, term)
            assert fit.bse[term] < 0.03


@pytest.fixture(scope="module")
def pooled_oracle():
    """All seventeen studies with true intercepts, through records and pooling."""
    whole = simulate_collection()
    panels = {name: oracle_panel(study, name) for name, study in whole.studies.items()}
    records = [make_record(panel, crosslevel(panel)) for panel in panels.values()]
    return whole, pool_records(records)


def test_two_stages_recover_the_generating_means(pooled_oracle):
    """Mean over studies, within four of the pooled standard errors, which hold the studies' spread."""
    _, table = pooled_oracle
    for name in COEFFICIENT.keys() - {"g"}:
        row = table.row(*COEFFICIENT[name])
        mean, tau = GENERATING[name]
        floor = tau / np.sqrt(17)
        assert row["k"] == 17
        assert row["std_error"] < 0.02
        assert abs(row["estimate"] - mean) < Z * max(row["std_error"], floor), (name, row["estimate"])


def test_two_stages_follow_the_studies_that_were_drawn(pooled_oracle):
    """The pooled estimate against the drawn coefficients under the same weights: sampling error only."""
    whole, table = pooled_oracle
    for name in COEFFICIENT.keys() - {"g"}:
        studies = table.studies(*COEFFICIENT[name])
        drawn = np.array([whole.studies[s].truth[name] for s in studies["study"]])
        weights = studies["weight"] / 100
        error = np.sqrt((weights**2 * studies["std_error"] ** 2).sum())
        # Patients' average intercepts are not exactly 0: a cross-lag moves by at most this much.
        slack = 0.0 if name[0] != "b" else 0.02
        assert abs(weights @ studies["estimate"] - weights @ drawn) < Z * error + slack, name


def test_prediction_interval_holds_the_drawn_studies(pooled_oracle):
    """Fourteen of seventeen or more, for coefficients whose spread the studies can show."""
    whole, table = pooled_oracle
    for name in ("phi_xx", "phi_yy", "b_xy", "b_yx"):
        row = table.row(*COEFFICIENT[name])
        drawn = np.array([study.truth[name] for study in whole.studies.values()])
        assert ((row["pi_low"] < drawn) & (drawn < row["pi_high"])).sum() >= 14


# --- with it: Nickell's bias


def within_limit(t: dict[str, float], n_sessions: int) -> dict[tuple[str, str], float]:
    """What regression on observed-mean-centred scores tends to as patients grow in number, by algebra.

    Scores are x[t] = a + w[t] with cov(w[s], w[r]) = phi^(s-r) W: all moments of predictors and outcome follow.
    """
    phi = np.array([[t["phi_xx"], t["b_yx"]], [t["b_xy"], t["phi_yy"]]])
    variances = np.array([[t["icc_x"], t["icc_y"]], [1 - t["icc_x"], 1 - t["icc_y"]]])
    corr = [np.array([[1, r], [r, 1]]) for r in (t["r_between"], t["r_within"])]
    between, within = (np.sqrt(np.outer(v, v)) * c for v, c in zip(variances, corr, strict=True))
    steps = [np.linalg.matrix_power(phi, h) @ within for h in range(n_sessions)]
    blocks = [
        [between + (steps[s - r] if s >= r else steps[r - s].T) for r in range(n_sessions)]
        for s in range(n_sessions)
    ]
    cov = np.block(blocks)
    mean = np.tile(np.eye(2) / n_sessions, n_sessions)
    one = [np.eye(n_sessions)[s] for s in range(n_sessions)]
    X = [np.vstack([np.kron(one[s], np.eye(2)) - mean, mean]) for s in range(n_sessions - 1)]
    later = [np.kron(one[s + 1], np.eye(2)) for s in range(n_sessions - 1)]
    xx = sum(x @ cov @ x.T for x in X)
    xy = sum(x @ cov @ y.T for x, y in zip(X, later, strict=True))
    limit = np.linalg.solve(xx, xy)
    terms = ("x_within", "y_within", "x_mean", "y_mean")
    columns = {"y_to_x": 0, "x_to_y": 1}
    return {(d, term): limit[i, j] for d, j in columns.items() for i, term in enumerate(terms)}


@pytest.fixture(scope="module")
def textbook() -> Simulated:
    """Nothing but the process: every session, no trend, no interaction."""
    return draw(24, PLAIN, skip=0.0, dropout=False)


@pytest.mark.parametrize("n_sessions", [4, 7])
def test_centring_has_exactly_the_bias_of_algebra(textbook, n_sessions):
    result = lagged(observed_panel(textbook, last_session=n_sessions))
    estimates, limit = coefficients(result), within_limit(PLAIN, n_sessions)
    assert result.glance()["singular"].all(), (
        "the person means leave the intercept nothing, see the methods page"
    )
    for key, value in limit.items():
        estimate, error = estimates[key]
        # Residuals of one patient add up to nearly nothing, so the naive standard error is on the safe side.
        assert abs(estimate - value) < Z * error, (key, value, estimate, error)
        assert error < 0.012


def test_the_autoregression_is_too_low_by_nickells_formula(textbook):
    estimates = coefficients(lagged(observed_panel(textbook)))
    for name in ("phi_xx", "phi_yy"):
        estimate, error = estimates[COEFFICIENT[name]]
        first_order = -(1 + PLAIN[name]) / 6
        assert estimate - PLAIN[name] == pytest.approx(first_order, rel=FIRST_ORDER)
        assert estimate < PLAIN[name] - 10 * error, "far beyond chance"


def test_the_cross_lag_shrinks_toward_zero_and_keeps_its_sign(textbook):
    estimates = coefficients(lagged(observed_panel(textbook)))
    for name in ("b_xy", "b_yx"):
        estimate, error = estimates[COEFFICIENT[name]]
        assert PLAIN[name] + 3 * error < estimate < -10 * error


@pytest.mark.parametrize("name", ["phi_xx", "phi_yy", "b_xy", "b_yx"])
def test_the_bias_fades_with_longer_series(name):
    """As 1 / T: halved when the series is doubled."""
    bias = [within_limit(PLAIN, n)[COEFFICIENT[name]] - PLAIN[name] for n in (100, 200)]
    assert bias[1] / bias[0] == pytest.approx(0.5, rel=0.1)


def test_the_bias_is_far_larger_at_three_sessions():
    """What the sensitivity analysis of sessions 1-3 shows is mostly this."""
    three, seven = (within_limit(PLAIN, n)[COEFFICIENT["phi_yy"]] for n in (3, 7))
    assert three < -0.3
    assert 0.1 < seven < 0.2


# --- the default collection


@pytest.fixture(scope="module")
def pooled_default(default):
    parameters = make_parameters(default.defaults)
    panels = [make_panel(default.study(study), parameters) for study in default.studies["study"]]
    fits = {"lagged": lagged, "crosslevel": crosslevel, "outcome": outcome}
    return {
        name: pool_records(
            [make_record(panel, fit(panel)) for panel in panels],
            method="REML",
            ci="hartung-knapp",
            level=0.95,
        )
        for name, fit in fits.items()
    }


def analyses_with(term: str) -> tuple[str, ...]:
    if term == "partial_r_z":
        return ("outcome",)
    return ("crosslevel",) if ":" in term else ("lagged", "crosslevel")


def test_every_pooled_coefficient_has_the_generating_sign(default, pooled_default):
    truth = default.truth[default.truth["study"] == "mean"].dropna(subset=["term"])
    truth = truth[truth["term"] != ""]
    assert len(truth) == 9
    for row in truth.itertuples():
        for analysis in analyses_with(row.term):
            found = pooled_default[analysis].row(row.direction, row.term)
            assert found["k"] == 17
            assert found["converged"]
            ends = np.sign(row.value) * np.array([found["ci_low"], found["ci_high"]])
            assert ends.min() > 0, (analysis, row.parameter, found["ci_low"], found["ci_high"])


def test_the_centred_headline_is_biased_as_said(default, pooled_default):
    """The autoregressions are too low by about (1 + phi) / 6, the cross-lags a little nearer to 0."""
    truth = default.truth[default.truth["study"] == "mean"].set_index("parameter")["value"]
    for name in ("phi_xx", "phi_yy"):
        found = pooled_default["lagged"].row(*COEFFICIENT[name])
        # Dropout shortens the series (more bias) and trends add to the autoregression (less): half as much either way.
        assert found["estimate"] - truth[name] == pytest.approx(-(1 + truth[name]) / 6, rel=0.5)
        assert found["ci_high"] < truth[name]
    for name in ("b_xy", "b_yx"):
        found = pooled_default["lagged"].row(*COEFFICIENT[name])
        assert truth[name] < found["estimate"] < 0
