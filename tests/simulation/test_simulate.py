"""The simulator does what its model says: truth recovered, known bias shown, files reproduced."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import chi2

from twostage.params import make_parameters
from twostage.records.record import make_record
from twostage.simulation import simulate
from twostage.simulation.model import (
    GENERATING,
    RADIUS,
    Instrument,
    draw_truth,
    innovation_covariance,
    simulate_study,
)
from twostage.simulation.simulate import SEED, SIZES, simulate_collection, write_collection
from twostage.stage1 import equations as stage1
from twostage.stage1.panel import make_panel
from twostage.stage2.pool import pool_records

DATA = Path(__file__).parents[2] / "data"
MEANS = {name: mean for name, (mean, _) in GENERATING.items()}

#: Estimates from simulated data may lie this many standard errors from the truth: 1 in 16,000 by chance.
Z = 4.0

#: Scores far from their ends and finely graded: nothing is clipped and rounding is negligible.
FINE = Instrument("fine", 0, 1000, 0.001, 1, 0.5, 0.05)


def draw(n: int, seed: int, **options):
    return simulate_study(np.random.default_rng(seed), n, FINE, FINE, **options)


#: Values so far apart that none can be taken for another.
APART = MEANS | {
    "phi_xx": 0.25,
    "phi_yy": 0.5,
    "b_xy": -0.2,
    "b_yx": -0.05,
    "c_xy_x": -0.12,
    "c_xy_y": 0.04,
    "c_yx_x": -0.04,
    "c_yx_y": 0.09,
}


@pytest.fixture(scope="module")
def one():
    """One large study."""
    return draw(6000, 5, truth=APART)


@pytest.fixture(scope="module")
def complete():
    """One large study without interactions, trends and gaps: the textbook's case."""
    plain = MEANS | dict.fromkeys(("c_xy_x", "c_xy_y", "c_yx_x", "c_yx_y", "trend_x", "trend_y"), 0.0)
    return draw(20_000, 6, truth=plain, skip=0.0, dropout=False)


@pytest.fixture(scope="module")
def whole():
    return simulate_collection(days=True)


def least_squares(y: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and standard errors."""
    inverse = np.linalg.inv(X.T @ X)
    coef = inverse @ (X.T @ y)
    sigma2 = np.sum((y - X @ coef) ** 2) / (len(y) - X.shape[1])
    return coef, np.sqrt(sigma2 * np.diag(inverse))


def oracle(study, attended_only: bool) -> dict[str, tuple[float, float, float]]:
    """Regressions on deviations from the true intercepts: parameter -> truth, estimate, standard error."""
    rows = study.latent.merge(study.persons, on="patient")
    if attended_only:
        rows = rows.merge(study.sessions[["patient", "session"]], on=["patient", "session"])
    later = rows[["patient", "session", "w_x", "w_y"]].assign(session=lambda d: d["session"] - 1)
    pairs = rows.merge(later, on=["patient", "session"], suffixes=("", "_next"))
    found = {}
    for outcome, names in (
        ("y", ("b_xy", "phi_yy", "c_xy_x", "c_xy_y")),
        ("x", ("b_yx", "phi_xx", "c_yx_x", "c_yx_y")),
    ):
        other = "x" if outcome == "y" else "y"
        cross = pairs[f"w_{other}"]
        X = np.column_stack([cross, pairs[f"w_{outcome}"], cross * pairs["a_x"], cross * pairs["a_y"]])
        coef, error = least_squares(pairs[f"w_{outcome}_next"].to_numpy(), X)
        found |= {p: (study.truth[p], b, s) for p, b, s in zip(names, coef, error, strict=True)}
    return found


@pytest.mark.parametrize("attended_only", [False, True], ids=["every session", "attended sessions"])
def test_the_unbiased_regression_recovers_the_truth(one, attended_only):
    for name, (truth, estimate, error) in oracle(one, attended_only).items():
        assert error < 0.012, name
        assert abs(estimate - truth) < Z * error, (name, truth, estimate, error)


def test_it_recovers_the_truth_of_each_study_of_the_collection(whole):
    z = [(b - truth) / s for study in whole.studies.values() for truth, b, s in oracle(study, True).values()]
    assert len(z) == 17 * 8
    low, high = chi2.ppf([1e-4, 1 - 1e-4], len(z))
    assert low < np.sum(np.square(z)) < high


def test_intercepts_variances_and_trends_are_the_models(one):
    t, n = one.truth, len(one.persons)
    first = one.latent[one.latent["session"] == 0]
    within, between = np.cov(first["w_x"], first["w_y"]), np.cov(one.persons["a_x"], one.persons["a_y"])
    error = Z * np.sqrt(2 / n)
    for i, v in enumerate("xy"):
        assert between[i, i] == pytest.approx(t[f"icc_{v}"], rel=error)
        assert within[i, i] == pytest.approx(1 - t[f"icc_{v}"], rel=error)
        means = one.latent.groupby("session")[v].mean()
        slope = (means.loc[7] - means.loc[0]) / 7
        assert slope == pytest.approx(t[f"trend_{v}"], abs=Z * np.sqrt(2 / n) / 7)
    for matrix, name in ((between, "r_between"), (within, "r_within")):
        r = matrix[0, 1] / np.sqrt(matrix[0, 0] * matrix[1, 1])
        assert np.arctanh(r) == pytest.approx(np.arctanh(t[name]), abs=Z / np.sqrt(n - 3))


def test_without_interactions_the_process_is_stationary(complete):
    t = complete.truth
    by_session = complete.latent.groupby("session")[["w_x", "w_y"]]
    error = Z * np.sqrt(2 / len(complete.persons))
    for v in "xy":
        np.testing.assert_allclose(by_session.var()[f"w_{v}"], 1 - t[f"icc_{v}"], rtol=error)


def test_outcome_depends_on_intake_and_early_x(one):
    wide = one.latent.pivot(index="patient", columns="session", values="x")
    y0 = one.latent[one.latent["session"] == 0].set_index("patient")["y"]
    post = (one.patients.set_index("patient")["post"] / 1000 - FINE.centre) / FINE.sd
    rows = pd.DataFrame({"post": post, "early": wide[[1, 2, 3]].mean(axis=1), "y0": y0}).dropna()
    X = np.column_stack([np.ones(len(rows)), rows["early"], rows["y0"]])
    coef, error = least_squares(rows["post"].to_numpy(), X)
    for b, s, truth in zip(coef, error, (-0.6, one.truth["g"], 0.55), strict=True):
        assert abs(b - truth) < Z * s


def centred(study) -> tuple[np.ndarray, np.ndarray]:
    """Regression of y on the next session's deviations from observed means: x, y, means of x and y."""
    rows = study.latent[study.latent["session"] > 0]
    x, y = (rows.pivot(index="patient", columns="session", values=v).to_numpy() for v in "xy")
    xm, ym = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    parts = [(x - xm)[:, :-1], (y - ym)[:, :-1], *(np.broadcast_to(m, (len(x), 6)) for m in (xm, ym))]
    return least_squares(y[:, 1:].ravel(), np.column_stack([p.ravel() for p in parts]))


def limit_of_centred(t: dict[str, float]) -> np.ndarray:
    """What that regression tends to as patients grow in number, by algebra from the model's covariances."""
    phi = np.array([[t["phi_xx"], t["b_yx"]], [t["b_xy"], t["phi_yy"]]])
    vx, vy = 1 - t["icc_x"], 1 - t["icc_y"]
    w = t["r_within"] * np.sqrt(vx * vy)
    a = t["r_between"] * np.sqrt(t["icc_x"] * t["icc_y"])
    within, between = np.array([[vx, w], [w, vy]]), np.array([[t["icc_x"], a], [a, t["icc_y"]]])
    cov = np.empty((14, 14))
    for s in range(7):
        for r in range(7):
            lagged = np.linalg.matrix_power(phi, abs(s - r)) @ within
            cov[2 * s : 2 * s + 2, 2 * r : 2 * r + 2] = between + (lagged if s >= r else lagged.T)
    mean = np.tile(np.eye(2), 7) / 7
    xx, xy = np.zeros((4, 4)), np.zeros(4)
    for s in range(6):
        now = np.zeros((2, 14))
        now[:, 2 * s : 2 * s + 2] = np.eye(2)
        X = np.vstack([now - mean, mean])
        xx += X @ cov @ X.T
        xy += X @ cov[:, 2 * (s + 1) + 1]
    return np.linalg.solve(xx, xy)


def test_centring_on_the_observed_mean_has_the_bias_that_algebra_says(complete):
    limit = limit_of_centred(complete.truth)
    coef, error = centred(complete)
    # Rows of one patient share his mean: their errors are correlated, so the naive standard error is widened.
    np.testing.assert_allclose(coef, limit, atol=2 * Z * error.max())
    assert 2 * Z * error[:2].max() < 0.05


def test_that_bias_is_nickells_in_direction_and_size():
    cross, auto = limit_of_centred(MEANS)[:2]
    # Nickell (1981): about -(1 + phi) / (T - 1) with T - 1 = 6 transitions; the mean is over all 7 sessions.
    assert auto - MEANS["phi_yy"] == pytest.approx(-(1 + MEANS["phi_yy"]) / 6, rel=0.25)
    assert MEANS["b_xy"] < cross < 0, "toward 0, but not beyond"


def test_a_patients_own_process_settles(whole):
    for study in whole.studies.values():
        t, p = study.truth, study.persons
        phi = np.empty((len(p), 2, 2))
        phi[:, 0, 0], phi[:, 0, 1] = t["phi_xx"], p["b_yx"]
        phi[:, 1, 0], phi[:, 1, 1] = p["b_xy"], t["phi_yy"]
        assert np.abs(np.linalg.eigvals(phi)).max() < RADIUS


def test_innovations_have_a_covariance_matrix_in_every_study_that_may_be_drawn():
    rng = np.random.default_rng(3)
    for _ in range(2000):
        t = draw_truth(rng)
        vx, vy = 1 - t["icc_x"], 1 - t["icc_y"]
        q_x, q_y, q_xy = innovation_covariance(t, vx, vy, t["r_within"] * np.sqrt(vx * vy))
        assert q_x > 0
        assert q_y > 0
        assert q_xy**2 < q_x * q_y


def test_patients_leave_as_their_symptoms_say():
    study = draw(6000, 8, truth=MEANS, skip=0.0)
    seen = study.sessions.groupby("patient")["session"].max()
    rows = study.latent[study.latent["session"].between(1, 6)].merge(seen.rename("last"), on="patient")
    at_risk = rows[rows["session"] <= rows["last"]]
    left = (at_risk["session"] == at_risk["last"]).to_numpy()
    p = 1 / (1 + np.exp(3.1 - 0.6 * at_risk["y"].to_numpy()))
    y = at_risk["y"].to_numpy()
    for weight in (np.ones_like(p), y - y.mean()):
        surprise = np.sum(weight * (left - p))
        assert abs(surprise) < Z * np.sqrt(np.sum(weight**2 * p * (1 - p)))
    slope_without = np.sum((y - y.mean()) * (left - left.mean()))
    assert slope_without > Z * np.sqrt(np.sum((y - y.mean()) ** 2) * left.mean())


def test_sessions_are_skipped_at_random_and_never_the_first():
    study = draw(6000, 9, truth=MEANS, skip=0.1, dropout=False)
    rows = study.latent[study.latent["session"] > 0].merge(
        study.sessions[["patient", "session"]], on=["patient", "session"], how="left", indicator=True
    )
    skipped = (rows["_merge"] == "left_only").to_numpy()
    assert not skipped[rows["session"] == 1].any()
    later = rows["session"] > 1
    assert skipped[later].mean() == pytest.approx(0.1, abs=Z * np.sqrt(0.09 / later.sum()))
    r = np.corrcoef(skipped[later], rows.loc[later, "y"])[0, 1]
    assert abs(r) < Z / np.sqrt(later.sum())


def test_the_collection_has_the_sizes_it_names(whole):
    registry = whole.registry
    assert len(registry) == 17
    assert registry["country"].nunique() == 9
    assert registry["n"].sum() == sum(SIZES) == 5350
    assert (registry["n"].min(), registry["n"].max()) == (35, 1500)
    assert {-1, 1} == set(registry["x_direction"]) == set(registry["y_direction"])
    assert registry["label"].str.startswith("Synthetic study").all()
    for row in registry.itertuples():
        study = whole.studies[row.study]
        assert study.sessions["patient"].nunique() == study.patients["patient"].nunique() == row.n
        assert study.sessions["session"].between(1, 7).all()
        assert not study.sessions.duplicated(["patient", "session"]).any()


def test_scores_are_those_the_instruments_can_give(whole):
    steps = {i.name: i.step for i in (*simulate._ALLIANCE.values(), *simulate._SYMPTOMS.values())}
    for row in whole.registry.to_dict("records"):
        study = whole.studies[row["study"]]
        columns = [("x", study.sessions["x"]), ("y", study.sessions["y"])]
        columns += [("y", study.patients[c]) for c in ("pre", "post")]
        for v, scores in columns:
            known = scores.dropna()
            low, high, step = float(row[f"{v}_min"]), float(row[f"{v}_max"]), steps[row[f"{v}_instrument"]]
            assert known.between(low, high).all()
            ticks = (known - low) / step
            np.testing.assert_allclose(ticks, ticks.round(), atol=1e-6)
            assert known.isin([low, high]).mean() < 0.03
            assert known.size / scores.size > 0.9 or scores.name == "post"


def test_an_instrument_scored_the_other_way_is(whole):
    for row in whole.registry.to_dict("records"):
        study = whole.studies[row["study"]]
        both = study.sessions.merge(study.latent, on=["patient", "session"], suffixes=("", "_latent"))
        for v in "xy":
            r = both[[v, f"{v}_latent"]].corr().iloc[0, 1]
            assert r * row[f"{v}_direction"] > 0.97


def test_posttreatment_is_known_for_most(whole):
    share = pd.concat([s.patients["post"].notna() for s in whole.studies.values()]).mean()
    assert 0.7 < share < 0.95


def test_truth_names_every_value_and_where_it_leads(whole):
    truth = whole.truth
    assert set(truth["study"]) == {*whole.studies, "mean", "tau"}
    assert (truth.groupby("study").size() == len(GENERATING)).all()
    assert (truth["meaning"].str.len() > 10).all()
    assert (
        whole.studies["S03"].truth["b_xy"] == truth.set_index(["study", "parameter"])["value"]["S03", "b_xy"]
    )
    drawn = truth[truth["study"].isin(whole.studies)].pivot(
        index="study", columns="parameter", values="value"
    )
    for name, (mean, tau) in GENERATING.items():
        assert drawn[name].mean() == pytest.approx(mean, abs=Z * tau / np.sqrt(17))
        assert drawn[name].nunique() == 17


def test_the_centred_estimator_shows_every_sign(default):
    """Signs, not sizes: the bias of the centred estimator is no secret (statistics and tests above)."""
    parameters = make_parameters(default.defaults)
    panels = [make_panel(default.study(study), parameters) for study in default.studies["study"]]
    pooled = {
        name: pool_records([make_record(panel, analysis(panel)) for panel in panels]).table
        for name, analysis in (
            ("lagged", stage1.lagged),
            ("crosslevel", stage1.crosslevel),
            ("outcome", stage1.outcome),
        )
    }
    truth = default.truth[(default.truth["study"] == "mean") & default.truth["term"].notna()]
    assert len(truth) == 9
    for row in truth.itertuples():
        kind = "crosslevel" if ":" in row.term else "outcome" if row.term == "partial_r_z" else "lagged"
        table = pooled[kind]
        found = table[(table["direction"] == row.direction) & (table["term"] == row.term)]
        found = found[found["variant"] == "main"]
        assert len(found) == 1, row.parameter
        low, high = found[["ci_low", "ci_high"]].iloc[0] * np.sign(row.value)
        assert min(low, high) > 0, row.parameter


def contents(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_the_committed_files_are_what_the_committed_seed_gives(whole, tmp_path):
    assert whole.seed == SEED
    # The introduction is written by people, the recovery study and the multiverse by other commands.
    others = ("recovery/", "multiverse/", "introduction.md")
    committed = {name: sum_ for name, sum_ in contents(DATA).items() if not name.startswith(others)}
    assert contents(write_collection(whole, tmp_path / "again")) == committed


def test_another_seed_gives_other_data(whole):
    other = simulate_collection(SEED + 1)
    assert not other.studies["S01"].sessions.equals(whole.studies["S01"].sessions)


def test_a_study_does_not_depend_on_how_many_follow(whole):
    few = simulate_collection(n_studies=3, days=True)
    for name, study in few.studies.items():
        pd.testing.assert_frame_equal(study.sessions, whole.studies[name].sessions)
        pd.testing.assert_frame_equal(study.patients, whole.studies[name].patients)


def test_days_change_nothing_else_and_are_weekly(whole):
    plain = simulate_collection(n_studies=2)
    for name, study in plain.studies.items():
        sessions = whole.studies[name].sessions
        pd.testing.assert_frame_equal(sessions.drop(columns="day"), study.sessions)
        pd.testing.assert_frame_equal(whole.studies[name].patients, study.patients)
        first = sessions.groupby("patient")["day"].first()
        apart = sessions.groupby("patient")[["session", "day"]].diff().dropna()
        assert (first == 0).all()
        # A day before to two days after the weekday: two sessions' intervals are off by three days at most.
        assert ((apart["day"] - 7 * apart["session"]).abs() <= 3).all()
        assert (apart["day"] > 0).all() and apart["day"].nunique() > 5


@pytest.mark.parametrize(("studies", "patients"), [(1, 10), (3, 150), (17, 170), (5, 333)])
def test_a_small_collection_has_the_size_asked_for(studies, patients):
    drawn = simulate_collection(2, n_studies=studies, n_patients=patients)
    assert len(drawn.studies) == studies
    assert sum(len(s.patients) for s in drawn.studies.values()) == drawn.registry["n"].sum() == patients
    assert drawn.registry["n"].min() >= 10


@pytest.mark.parametrize("wrong", [{"n_studies": 0}, {"n_studies": 18}, {"n_studies": 3, "n_patients": 29}])
def test_an_impossible_size_is_refused(wrong):
    with pytest.raises(ValueError, match=r"found \d+; expected"):
        simulate_collection(**wrong)


def test_a_folder_that_is_there_is_kept(drawn, small):
    before = contents(small)
    with pytest.raises(FileExistsError, match="expected none"):
        write_collection(drawn, small)
    assert contents(small) == before


def test_a_synthetic_collection_is_replaced_whole(drawn, small):
    before = contents(small)
    (small / "sessions/S77.csv").write_text("stray")
    write_collection(drawn, small, replace=True)
    assert contents(small) == before
    assert [p.name for p in small.parent.iterdir()] == ["small"]


@pytest.mark.parametrize("kind", ["folder of something else", "real collection", "file"])
def test_nothing_but_a_synthetic_collection_is_ever_replaced(drawn, small, kind):
    if kind == "folder of something else":
        (small / "collection.yml").unlink()
    elif kind == "real collection":
        content = yaml.safe_load((small / "collection.yml").read_text())
        (small / "collection.yml").write_text(yaml.safe_dump(content | {"synthetic": False}))
    else:
        small = small / "studies.csv"
    before = contents(small.parent)
    with pytest.raises(FileExistsError, match="no synthetic collection"):
        write_collection(drawn, small, replace=True)
    assert contents(small.parent) == before


def test_a_collection_that_cannot_be_put_in_place_leaves_what_was(drawn, small, monkeypatch):
    before = contents(small.parent)
    move = os.replace

    def stubborn(source, target):
        if Path(target) == small and Path(source).suffix != ".old":
            raise OSError("Device or resource busy")
        move(source, target)

    monkeypatch.setattr(os, "replace", stubborn)
    with pytest.raises(OSError, match="busy"):
        write_collection(drawn, small, replace=True)
    assert contents(small.parent) == before
    assert [p.name for p in small.parent.iterdir()] == ["small"]


@pytest.mark.parametrize("there", [False, True])
def test_a_write_that_fails_leaves_what_was(drawn, small, monkeypatch, there):
    folder = small if there else small.parent / "new"
    before = contents(small.parent)

    def full(table, path):
        raise OSError("No space left on device")

    monkeypatch.setattr(simulate, "_csv", full)
    with pytest.raises(OSError, match="No space"):
        write_collection(drawn, folder, replace=True)
    assert contents(small.parent) == before
    assert [p.name for p in small.parent.iterdir()] == ["small"]
