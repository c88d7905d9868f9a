"""Stage 1 by hand: balanced designs whose least squares and REML have closed forms."""

from dataclasses import fields, replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import norm, t

from twostage.collection.collection import Study
from twostage.collection.settings import Variable
from twostage.params import make_parameters
from twostage.stage1.each_transition import transition
from twostage.stage1.equations import crosslevel, lagged, outcome, outcome_rows
from twostage.stage1.estimates import StudyEstimates
from twostage.stage1.panel import Panel, make_panel
from twostage.stage1.sensitivity import sensitivity
from twostage.stage1.vocabulary import GROUPS, variants
from twostage.terms import COLUMNS, DIRECTIONS

#: Closed forms against another order of the same sums.
CLOSED_FORM = 1e-10
#: REML's optimum is found, not computed: its standard errors carry the optimiser's last digits.
REML = 1e-7
#: Degrees of freedom come from second derivatives at that optimum.
REML_DF = 1e-6


def make(sessions: pd.DataFrame, patients: pd.DataFrame | None = None, **changes) -> Panel:
    """A panel of sessions whose deviations and means are given, not computed."""
    variables = Variable("a", "alpha", "higher"), Variable("b", "beta", "lower")
    n = sessions["patient"].nunique()
    none = pd.DataFrame({"reason": ["none"], "n_patients": [0]})
    # By hand is what the model says of its errors; those with patients as clusters are tested in tests/stats/mixed.
    parameters = make_parameters({"first_session": 1, "last_session": 7, "stage1_errors": "model"} | changes)
    units = {"x": 1.0, "y": 1.0}
    return Panel("T", "Tiny", *variables, parameters, sessions, sessions, patients, units, none, n, "0" * 64)


def rows_of(result: StudyEstimates, direction: str, variant: str = "main") -> pd.DataFrame:
    table = result.tidy()
    return table[(table["direction"] == direction) & (table["variant"] == variant)].set_index("term")


def check_inference(row, level: float) -> None:
    """Statistic, p value and interval follow from estimate, standard error and degrees of freedom."""
    statistic = row.estimate / row.std_error
    half = t.ppf(0.5 + level / 2, row.df) * row.std_error
    assert row.statistic == pytest.approx(statistic, rel=CLOSED_FORM, abs=CLOSED_FORM)
    assert row.p_value == pytest.approx(2 * t.sf(abs(statistic), row.df), rel=1e-8)
    assert row.ci_low == pytest.approx(row.estimate - half, rel=1e-8)
    assert row.ci_high == pytest.approx(row.estimate + half, rel=1e-8)


# --- several transitions: balanced, predictors orthogonal, so REML is an analysis of variance
#
# Eight patients with means (-1, 1) x (-1, 1) twice; four transitions with deviations (1, 1), (1, -1), (-1, 1), (-1, -1).
# Within: each lagged effect is (sum of outcome times column) / 32, its variance MSW / 32 on 8 * 3 - 2 = 22 df.
# Between: means' effects from the patients' averages, variance MSB / 32 on 8 - 3 = 5 df. This holds while
# MSB > MSW; otherwise the intercept's variance is 0 and both are pooled, on 32 - 5 = 27 df.

WITHIN = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
BETWEEN = [(xm, ym) for _ in range(2) for xm, ym in product((-1, 1), repeat=2)]


def balanced(spread: float) -> tuple[Panel, np.ndarray]:
    """The panel and its outcomes (8, 4); `spread` moves patients apart beyond what their means say."""
    rng = np.random.default_rng(12)
    noise = rng.normal(size=(8, 4))
    apart = spread * np.array([1, -1, 0.5, -0.5, -1, 1, 0.5, -0.5])
    scores = 2.0 + apart[:, None] + noise
    rows = [
        {"patient": f"p{i}", "session": s + 1, "x": 0.0, "y": scores[i, s - 1] if s else 0.0}
        | dict(zip(("x_within", "y_within"), WITHIN[s] if s < 4 else (0, 0), strict=True))
        | dict(zip(("x_mean", "y_mean"), BETWEEN[i], strict=True))
        for i in range(8)
        for s in range(5)
    ]
    # The predictors' own scores play no part in y's equation; y at session t + 1 is the outcome of t.
    frame = pd.DataFrame(rows).astype({c: float for c in ("x_within", "y_within", "x_mean", "y_mean")})
    return make(frame, last_session=5), scores


def anova(scores: np.ndarray) -> dict:
    """Effects and mean squares of the balanced design, from its orthogonal columns."""
    within, between = np.array(WITHIN, dtype=float), np.array(BETWEEN, dtype=float)
    lag = (scores @ within).sum(axis=0) / 32
    means = scores.mean(axis=1)
    side = between.T @ means / 8
    ssw = ((scores - means[:, None] - within @ lag) ** 2).sum()
    ssb = 4 * ((means - means.mean() - between @ side) ** 2).sum()
    return {"lag": lag, "side": side, "mean": means.mean(), "ssw": ssw, "ssb": ssb}


TERMS = ["intercept", "x_within", "y_within", "x_mean", "y_mean"]


def test_lagged_effects_by_hand_with_a_random_intercept():
    panel, scores = balanced(spread=1.5)
    a = anova(scores)
    msw, msb = a["ssw"] / 22, a["ssb"] / 5
    assert msb > 2 * msw
    result = lagged(panel)
    rows = rows_of(result, "x_to_y")
    by_hand = [a["mean"], *a["lag"], *a["side"]]
    assert list(rows.index) == TERMS
    assert rows["estimate"].tolist() == pytest.approx(by_hand, rel=CLOSED_FORM, abs=CLOSED_FORM)
    errors = np.sqrt([msb / 32, msw / 32, msw / 32, msb / 32, msb / 32])
    assert rows["std_error"].tolist() == pytest.approx(errors.tolist(), rel=REML)
    assert rows["df"].tolist() == pytest.approx([5, 22, 22, 5, 5], rel=REML_DF)
    for row in rows.itertuples():
        check_inference(row, 0.95)
    fit = result.glance().set_index("direction").loc["x_to_y"]
    assert not fit["singular"]
    assert fit["sigma2"] == pytest.approx(msw, rel=REML)
    assert fit["re_variance"] == pytest.approx((msb - msw) / 4, rel=REML)
    assert (fit["n_patients"], fit["n_transitions"]) == (8, 32)


def test_lagged_effects_by_hand_on_the_boundary():
    """Patients no further apart than chance: variance 0, `singular`, and plain least squares."""
    panel, scores = balanced(spread=0.0)
    a = anova(scores)
    assert a["ssb"] / 5 < a["ssw"] / 22
    mean_square = (a["ssb"] + a["ssw"]) / 27
    result = lagged(panel)
    rows = rows_of(result, "x_to_y")
    assert rows["estimate"].tolist() == pytest.approx(
        [a["mean"], *a["lag"], *a["side"]], rel=CLOSED_FORM, abs=CLOSED_FORM
    )
    assert rows["std_error"].tolist() == pytest.approx([np.sqrt(mean_square / 32)] * 5, rel=CLOSED_FORM)
    assert rows["df"].tolist() == pytest.approx([27] * 5, rel=CLOSED_FORM)
    assert rows["singular"].all()
    assert rows["converged"].all()
    assert result.glance().set_index("direction").loc["x_to_y", "re_variance"] == 0


@pytest.mark.parametrize("fit", [lagged, crosslevel])
def test_errors_with_patients_as_clusters_change_nothing_but_errors(panels, fit):
    panel = panels["S02"]
    other = replace(panel, parameters=panel.parameters.model_copy(update={"stage1_errors": "model"}))
    assert panel.parameters.stage1_errors == "patients"
    ours, model = fit(panel), fit(other)
    same = ["direction", "term", "estimate", "n_patients", "n_transitions", "converged", "singular"]
    pd.testing.assert_frame_equal(ours.tidy()[same], model.tidy()[same])
    pd.testing.assert_frame_equal(ours.fits, model.fits)
    assert (ours.tidy()["df"] < model.tidy()["df"]).all()
    for key, covariance in ours.covariances.items():
        errors = rows_of(ours, key[1])["std_error"].to_numpy()
        assert np.sqrt(np.diag(covariance)) == pytest.approx(errors, rel=CLOSED_FORM)
        # The joint matrix has another small-sample factor, N / (N - p).
        joint = ours.joint_covariances["main"].matrix.loc[key[1], key[1]]
        assert np.sqrt(np.diag(joint)) == pytest.approx(errors, rel=0.1)


def test_crosslevel_by_hand():
    """The products are orthogonal to all else: each interaction is (sum of outcome times product) / 32."""
    panel, scores = balanced(spread=1.5)
    a = anova(scores)
    between = np.array(BETWEEN, dtype=float)
    xw = np.array(WITHIN, dtype=float)[:, 0]
    interactions = between.T @ (scores @ xw) / 32
    msw = (a["ssw"] - 32 * interactions @ interactions) / 20
    rows = rows_of(crosslevel(panel), "x_to_y")
    assert list(rows.index) == [*TERMS, "x_within:x_mean", "x_within:y_mean"]
    by_hand = [a["mean"], *a["lag"], *a["side"], *interactions]
    assert rows["estimate"].tolist() == pytest.approx(by_hand, rel=CLOSED_FORM, abs=CLOSED_FORM)
    within = ["x_within", "y_within", "x_within:x_mean", "x_within:y_mean"]
    assert rows.loc[within, "std_error"].tolist() == pytest.approx([np.sqrt(msw / 32)] * 4, rel=REML)
    assert rows.loc[within, "df"].tolist() == pytest.approx([20] * 4, rel=REML_DF)


def test_crosslevel_is_at_the_average_patient():
    """Moving all means by a constant moves no coefficient: the means are centred before they multiply."""
    panel, _ = balanced(spread=1.5)
    moved = panel.sessions.assign(x_mean=panel.sessions["x_mean"] + 7, y_mean=panel.sessions["y_mean"] - 3)
    here, there = crosslevel(panel).tidy(), crosslevel(make(moved, last_session=5)).tidy()
    pd.testing.assert_frame_equal(here, there, rtol=1e-8, atol=1e-10)
    # The lagged model's intercept, by contrast, is where the means are zero.
    assert lagged(make(moved, last_session=5)).tidy()["estimate"].iloc[0] != pytest.approx(
        lagged(panel).tidy()["estimate"].iloc[0]
    )


def test_each_patient_counts_once_in_the_centring():
    """A patient with many transitions does not move the study mean."""
    panel, _ = balanced(spread=1.5)
    rows = panel.sessions[(panel.sessions["patient"] != "p0") | (panel.sessions["session"] <= 3)]
    result = crosslevel(make(rows, last_session=5))
    # By hand: with p0's last two transitions gone, centre each mean over the eight patients (both are 0) and regress.
    pairs = make(rows, last_session=5).transitions()
    X = pairs[["x_within", "y_within", "x_mean", "y_mean"]].assign(
        a=pairs["x_within"] * pairs["x_mean"], b=pairs["x_within"] * pairs["y_mean"]
    )
    fit = sm.MixedLM(pairs["y_next"], sm.add_constant(X), groups=pairs["patient"]).fit(reml=True)
    ours = rows_of(result, "x_to_y")["estimate"].to_numpy()
    # MixedLM's optimiser stops at about five digits.
    assert ours == pytest.approx(fit.fe_params.to_numpy(), abs=1e-4)


def test_random_slopes_by_hand():
    """Patients' own slopes vary: each lagged effect is their mean, its variance theirs over 8, on 7 df."""
    panel, scores = balanced(spread=3.0)
    own = np.array([[1, 2], [-2, 0.5], [1.5, -1], [0, -2], [2, 1], [-1, -0.5], [0.5, 1.5], [-1.5, 0]])
    within = np.array(WITHIN, dtype=float)
    scores = scores + own @ within.T
    later = panel.sessions["session"] > 1
    sessions = panel.sessions.copy()
    sessions.loc[later, "y"] = scores.ravel()
    result = lagged(make(sessions, last_session=5, random_slopes=True))
    slopes = scores @ within / 4
    rows = rows_of(result, "x_to_y")
    lags = ["x_within", "y_within"]
    assert not rows["singular"].any()
    assert rows.loc[lags, "estimate"].tolist() == pytest.approx(slopes.mean(axis=0).tolist(), rel=CLOSED_FORM)
    errors = slopes.std(axis=0, ddof=1) / np.sqrt(8)
    assert rows.loc[lags, "std_error"].tolist() == pytest.approx(errors.tolist(), rel=REML)
    assert rows.loc[lags, "df"].tolist() == pytest.approx([7, 7], rel=REML_DF)


# --- outcome


def outcome_panel(n: int, seed: int = 3, **changes) -> Panel:
    rng = np.random.default_rng(seed)
    names = [f"p{i:03d}" for i in range(n)]
    early = rng.normal(size=(n, 4)) + rng.normal(size=(n, 1))
    pre = rng.normal(size=n) - 0.3 * early.mean(axis=1)
    post = 5 + 0.5 * pre - 0.4 * early[:, :3].mean(axis=1) + rng.normal(size=n)
    rows = [(p, s + 1, early[i, s], 0.0) for i, p in enumerate(names) for s in range(4)]
    sessions = pd.DataFrame(rows, columns=["patient", "session", "x", "y"])
    return make(sessions, pd.DataFrame({"patient": names, "pre": 40 + 9 * pre, "post": post}), **changes)


def test_partial_correlation_by_hand():
    """From the three plain correlations, and as the correlation of residuals."""
    panel = outcome_panel(60)
    rows = outcome_rows(panel)
    r = rows[["x_early", "pre", "post"]].corr().to_numpy()
    by_formula = (r[0, 2] - r[0, 1] * r[1, 2]) / np.sqrt((1 - r[0, 1] ** 2) * (1 - r[1, 2] ** 2))
    pre = sm.add_constant(rows["pre"])
    left = [sm.OLS(rows[v], pre).fit().resid for v in ("x_early", "post")]
    assert by_formula == pytest.approx(np.corrcoef(*left)[0, 1], rel=CLOSED_FORM)
    row = rows_of(outcome(panel), "x_to_y").loc["partial_r_z"]
    assert row["estimate"] == pytest.approx(np.arctanh(by_formula), rel=CLOSED_FORM)


def test_early_y_is_controlled_for_besides():
    """Of no effect, early x has a correlation with the outcome through y of the same sessions; given it, none is left."""
    rng, n = np.random.default_rng(12), 4000
    names = [f"p{i:04d}" for i in range(n)]
    levels = rng.multivariate_normal([0, 0], [[1, -0.4], [-0.4, 1]], n)
    rows = [(p, s, *levels[i]) for i, p in enumerate(names) for s in (1, 2)]
    post = 0.6 * levels[:, 1] + rng.normal(size=n)
    pre = 0.5 * levels[:, 1] + rng.normal(size=n)
    sessions = pd.DataFrame(rows, columns=["patient", "session", "x", "y"])
    found = outcome(make(sessions, pd.DataFrame({"patient": names, "pre": pre, "post": post})))
    plain, given = (rows_of(found, "x_to_y", v).loc["partial_r_z"] for v in ("main", "given early y too"))
    assert plain["estimate"] < -0.1
    assert abs(given["estimate"]) < 4 * given["std_error"]
    assert given["std_error"] == pytest.approx(1 / np.sqrt(n - 5), rel=CLOSED_FORM)
    scores = np.column_stack([np.ones(n), levels[:, 1], pre])
    left = [v - scores @ np.linalg.lstsq(scores, v, rcond=None)[0] for v in (levels[:, 0], post)]
    assert given["estimate"] == pytest.approx(np.arctanh(np.corrcoef(*left)[0, 1]), abs=1e-9)
    weights = np.column_stack([levels[:, 0], pre, levels[:, 1], post])
    weights = (weights - weights.mean(axis=0)) / weights.std(axis=0, ddof=1)
    beta = np.linalg.lstsq(weights[:, :3], weights[:, 3], rcond=None)[0][0]
    own = rows_of(found, "x_to_y", "given early y too").loc["x_early_standardized"]
    assert own["estimate"] == pytest.approx(beta, abs=1e-9)
    assert own["df"] == n - 4


def test_fisher_z_has_the_variance_of_one_covariate():
    """1 / (n - 3 - 1), n being patients with early x, intake and outcome; a normal statistic."""
    row = rows_of(outcome(outcome_panel(60)), "x_to_y").loc["partial_r_z"]
    assert row["n_patients"] == 60
    assert row["std_error"] == pytest.approx(1 / np.sqrt(56), rel=CLOSED_FORM)
    assert np.isinf(row["df"])
    assert row["statistic"] == pytest.approx(row["estimate"] * np.sqrt(56), rel=CLOSED_FORM)
    assert row["p_value"] == pytest.approx(2 * norm.sf(abs(row["statistic"])), rel=1e-8)
    half = norm.ppf(0.975) / np.sqrt(56)
    assert [row["ci_low"], row["ci_high"]] == pytest.approx([row["estimate"] - half, row["estimate"] + half])


def test_standardized_weight_by_hand():
    """b1 times the ratio of standard deviations, from the raw regression."""
    panel = outcome_panel(60)
    rows = outcome_rows(panel)
    raw = sm.OLS(rows["post"], sm.add_constant(rows[["x_early", "pre"]])).fit()
    ratio = rows["x_early"].std() / rows["post"].std()
    row = rows_of(outcome(panel), "x_to_y").loc["x_early_standardized"]
    assert row["estimate"] == pytest.approx(raw.params["x_early"] * ratio, rel=CLOSED_FORM)
    assert row["std_error"] == pytest.approx(raw.bse["x_early"] * ratio, rel=CLOSED_FORM)
    assert row["df"] == 57
    assert row["p_value"] == pytest.approx(raw.pvalues["x_early"], rel=1e-8)


def test_early_x_ends_where_it_is_said_to():
    panel = outcome_panel(20, early_last_session=2)
    expected = panel.sessions.query("session <= 2").groupby("patient")["x"].mean()
    assert outcome_rows(panel).set_index("patient")["x_early"].to_numpy() == pytest.approx(
        expected.to_numpy()
    )


def test_outcome_takes_complete_cases_and_counts_the_rest():
    panel = outcome_panel(20)
    patients = panel.patients.assign(post=panel.patients["post"].where(panel.patients.index > 2))
    patients.loc[5, "pre"] = np.nan
    sessions = panel.sessions.assign(
        x=panel.sessions["x"].where((panel.sessions["patient"] != "p010") | (panel.sessions["session"] > 3))
    )
    result = outcome(make(sessions, patients))
    assert result.glance()["n_patients"].tolist() == [15]
    assert result.exclusions.iloc[-1].tolist() == ["no early x, intake or outcome score", 5]


def test_four_patients_are_too_few_for_an_outcome():
    """Fisher's z of a partial correlation has no variance below five."""
    assert outcome(outcome_panel(4)).failures["reason"].str.startswith("4 patients").all()
    assert len(outcome(outcome_panel(5)).tidy()) == 2


# --- the shape of every result


@pytest.fixture(scope="module")
def results(panels) -> list[tuple[Panel, StudyEstimates]]:
    fits = (lagged, crosslevel, outcome)
    # Lags of each transition take more patients than two of these studies have.
    found = [(panel, fit(panel)) for panel in panels.values() for fit in fits]
    return [*found, (panels["S02"], transition(panels["S02"]))]


def test_tables_have_the_standard_columns_and_no_gaps(results, panels, three):
    study = next(iter(panels))
    others = sensitivity(three.study(study), panels[study].parameters)
    for panel, result in [*results, (panels[study], others)]:
        table = result.tidy()
        assert list(table) == COLUMNS
        assert set(table["study"]) == {panel.study}
        assert set(table["analysis"]) == {result.analysis}
        assert set(table["estimator"]) == {"riclpm" if result.analysis == "transition" else "centred"}
        assert not table.isna().any().any()
        assert not table.duplicated(["variant", "direction", "term"]).any()
        assert (table["std_error"] > 0).all()
        assert (table["ci_low"] < table["estimate"]).all()
        assert (table["estimate"] < table["ci_high"]).all()
        assert table["p_value"].between(0, 1).all()


def test_covariances_agree_with_standard_errors(results):
    for _, result in results:
        if result.analysis == "transition":
            assert result.covariances == {}
            continue
        for variant, direction in result.glance()[["variant", "direction"]].itertuples(index=False):
            covariance = result.covariances[variant, direction]
            rows = rows_of(result, direction, variant)
            assert list(covariance) == list(covariance.index) == list(rows.index)
            assert np.sqrt(np.diag(covariance)) == pytest.approx(
                rows["std_error"].to_numpy(), rel=CLOSED_FORM
            )
            known = covariance.to_numpy()
            if result.analysis == "outcome":
                assert np.isnan(known[0, 1])
                assert np.isnan(known[1, 0])
            else:
                assert known == pytest.approx(known.T, rel=1e-8, abs=1e-15)
                assert np.linalg.eigvalsh(known).min() > 0
        assert len(result.covariances) == len(result.fits)


def test_patients_add_up(results):
    """Enrolled less every exclusion is the patients of the equation that has most."""
    for panel, result in results:
        assert (result.exclusions["n_patients"] >= 0).all()
        left = panel.n_enrolled - result.exclusions["n_patients"].sum()
        if result.analysis == "transition":
            assert left == panel.sessions["patient"].nunique()
            assert set(result.glance()["n_patients"]) == {panel.everyone["patient"].nunique()}
        else:
            assert left == result.glance()["n_patients"].max()


def test_patients_without_a_transition_are_counted_by_that_reason():
    """p0 comes to sessions 1 and 3 only: in the panel, but with nothing to predict."""
    panel, _ = balanced(spread=1.5)
    rows = panel.sessions
    panel = make(rows[(rows["patient"] != "p0") | rows["session"].isin([1, 3])], last_session=5)
    for fit in (lagged, crosslevel):
        result = fit(panel)
        reason = "no session with both variables followed by a score at lag 1"
        assert result.exclusions.iloc[-1].tolist() == [reason, 1]
        assert result.glance()["n_patients"].max() == 7


def test_counts_are_those_of_the_rows(results):
    for panel, result in results:
        if result.analysis not in {"lagged", "crosslevel"}:
            continue
        pairs = panel.transitions()
        for d in DIRECTIONS.values():
            used = pairs.dropna(subset=[f"{d.outcome}_next"])
            rows = rows_of(result, d.name)
            assert set(rows["n_transitions"]) == {len(used)}
            assert set(rows["n_patients"]) == {used["patient"].nunique()}


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_intervals_have_the_level_asked_for(panels, three, level):
    study = next(iter(panels))
    panel = make_panel(three.study(study), make_parameters({"level": level}))
    for fit in (lagged, transition, outcome):
        for row in fit(panel).tidy().itertuples():
            half = (norm if np.isinf(row.df) else t(row.df)).ppf(0.5 + level / 2) * row.std_error
            assert row.ci_high - row.ci_low == pytest.approx(2 * half, rel=1e-8)


def test_results_cannot_be_changed_and_show_themselves(results):
    for _, result in results:
        with pytest.raises(AttributeError):
            result.study = "other"
        copy = result.tidy()
        copy["estimate"] = 0.0
        assert (result.tidy()["estimate"] != 0).any()
        assert "<table" in result._repr_html_()
    assert {f.name for f in fields(StudyEstimates)} >= {
        "table",
        "covariances",
        "fits",
        "exclusions",
        "failures",
    }


def test_an_error_that_is_no_study_s_fault_is_not_swallowed(monkeypatch):
    """Only what the data cannot answer becomes a failure in the table."""

    def broken(*_):
        raise ValueError("a mistake of ours")

    monkeypatch.setattr("twostage.stage1.equations._leaves_residual", broken)
    panel, _ = balanced(spread=1.0)
    with pytest.raises(ValueError, match="mistake of ours"):
        lagged(panel)


# --- sensitivity


def test_variants_differ_from_the_chosen_in_one_thing_each():
    names = variants(make_parameters({}))
    assert names == {
        "as chosen": {},
        "sessions 1-3": {"last_session": 3},
        "sessions 1-5": {"last_session": 5},
        "standardized by the within-patient SD": {"standardize": "within"},
        "session trend removed": {"detrend": "session"},
        "each patient's trend removed": {"detrend": "patient"},
        "random slopes": {"random_slopes": True},
        GROUPS: {},
    }


def test_variants_that_cannot_be_are_not_tried():
    names = variants(make_parameters({"last_session": 5, "min_sessions": 4, "random_slopes": True}))
    assert not any(name.startswith("sessions") for name in names)
    assert names["fixed slopes"] == {"random_slopes": False}
    three = variants(
        make_parameters({"standardize": "none", "detrend": "patient", "lag": 3, "min_sessions": 2})
    )
    assert "sessions 1-3" not in three
    assert {"standardized by the total SD", "no trend removed", "session trend removed"} < set(three)


def test_each_variant_is_the_lagged_analysis_under_its_parameters(three):
    study = three.study("S02")
    parameters = make_parameters({})
    result = sensitivity(study, parameters)
    table = result.tidy()
    for name, change in variants(parameters).items():
        if name == GROUPS:
            continue  # What changes is no parameter; it has a test of its own.
        alone = lagged(make_panel(study, parameters.model_copy(update=change)))
        mine = table[table["variant"] == name]
        assert mine["estimate"].tolist() == alone.tidy()["estimate"].tolist()
        assert mine["std_error"].tolist() == alone.tidy()["std_error"].tolist()
        pd.testing.assert_frame_equal(result.covariances[name, "y_to_x"], alone.covariances["main", "y_to_x"])
    assert len(table) == 10 * len(variants(parameters))
    assert len(result.fits) == 2 * len(variants(parameters))


# --- groups of patients


def grouped_panel(shared: float, n_groups: int = 40, size: int = 6):
    """Patients of therapists, one of five lagged y of whom goes by what the therapist gives to all of theirs."""
    rng = np.random.default_rng(6)
    rows, patients = [], []
    for g in range(n_groups):
        effect = shared * rng.normal()
        for i in range(size):
            name = f"p{g:02d}_{i}"
            patients.append((name, f"t{g}"))
            x, y = rng.normal(), rng.normal()
            for s in range(1, 7):
                rows.append((name, s, x, y))
                y = effect * x + rng.normal()
                x = rng.normal()
    sessions = pd.DataFrame(rows, columns=["patient", "session", "x", "y"])
    who = pd.DataFrame(patients, columns=["patient", "therapist"])
    variables = Variable("a", "alpha", "higher"), Variable("b", "beta", "lower")
    info = {"label": "Tiny", "x_min": -99, "x_max": 99, "y_min": -99, "y_max": 99}
    return Study("T", info, *variables, sessions, who, "0" * 64, 1, 1)


def errors_of(study, parameters) -> dict[str, float]:
    table = sensitivity(study, parameters).tidy()
    rows = table[(table["direction"] == "x_to_y") & (table["term"] == "x_within")].set_index("variant")
    assert rows["n_patients"].nunique() == 1 or rows["n_patients"].max() == 240
    return rows["std_error"].to_dict()


def test_patients_of_one_therapist_are_one_cluster():
    """Effects that therapists' patients share make the errors of patients as clusters too small, those of groups not."""
    parameters = make_parameters({"standardize": "none"})
    study = grouped_panel(0.3)
    errors = errors_of(study, parameters)
    assert errors[GROUPS] > 1.4 * errors["as chosen"]
    # The SD of 40 therapists' effects is .3, to a tenth or so; 1,200 transitions with residuals of 1 add sampling error.
    assert errors[GROUPS] == pytest.approx(np.sqrt(0.3**2 / 40 + 1 / 1200), rel=0.25)
    alone = replace(study, patients=study.patients.assign(therapist=study.patients["patient"]))
    same = errors_of(alone, parameters)
    assert same[GROUPS] == pytest.approx(same["as chosen"], rel=1e-12)


def test_who_has_no_therapist_is_a_cluster_alone_and_a_study_without_any_has_no_such_variant():
    parameters, study = make_parameters({"standardize": "none"}), grouped_panel(0.3, n_groups=10)
    few = study.patients.assign(
        therapist=study.patients["therapist"].where(study.patients["therapist"] == "t1", "")
    )
    errors = errors_of(replace(study, patients=few), parameters)
    assert errors[GROUPS] != errors["as chosen"]
    for patients in (None, study.patients[["patient"]], study.patients.assign(therapist="")):
        assert GROUPS not in errors_of(replace(study, patients=patients), parameters)
