"""Every estimator of one study, and of many panels at once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from twostage.params import make_parameters
from twostage.records.record import make_record, read_record, write_record
from twostage.stage1.equations import lagged
from twostage.stage1.estimator_batch import COEFFICIENTS, PLACES, estimate_batch, without_own_lines
from twostage.stage1.estimators import BOOTSTRAPS, SEED, estimators
from twostage.stage1.panel import make_panel
from twostage.stats.centred.jackknife import fit_jackknife
from twostage.stats.dpm import fit_dpm
from twostage.stats.mixed import clustered, fit_mixed, with_clustered_errors
from twostage.stats.riclpm.fit import fit_riclpm
from twostage.terms import DIRECTIONS, ESTIMATORS, HEADLINE

#: Two paths to the same optimum: both stop within about 1e-12 of it.
SAME = 1e-9

NUMBERS = ["estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high"]
COUNTS = ["n_patients", "n_transitions"]
KEY = ["direction", "term"]


@pytest.fixture(scope="module")
def results(panels):
    return {study: estimators(panel) for study, panel in panels.items()}


def rows(result, estimator: str) -> pd.DataFrame:
    return result.table[result.table["estimator"] == estimator].set_index(KEY).sort_index()


def of_lagged(panel, **options) -> pd.DataFrame:
    table = lagged(panel, **options).table
    return table[table["term"].isin(["x_within", "y_within"])].set_index(KEY).sort_index()


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert len(found) == len(expected) == 4
    for name in NUMBERS:
        np.testing.assert_allclose(found[name], expected[name], rtol=SAME, atol=SAME, err_msg=name)
    for name in (*COUNTS, "converged", "singular"):
        assert (found[name] == expected[name]).all(), name


def test_each_estimator_has_both_directions_or_a_reason(panels, results):
    for study, result in results.items():
        there = [e for e in ESTIMATORS if e not in set(result.failures["variant"])]
        expected = [(e, *c) for e in there for c in COEFFICIENTS]
        assert list(result.table[["estimator", *KEY]].itertuples(index=False, name=None)) == expected
        assert (result.table["variant"] == result.table["estimator"]).all()
        # The dynamic panel model has more parameters than the small studies have patients.
        few = panels[study].everyone["patient"].nunique() < 55
        # Where the error variance is unknown, no maximum may be found either.
        failed = set(result.failures["variant"]) - {"riclpm_error"}
        assert failed == ({"dpm"} if few else set())
    assert any(len(r.failures) for r in results.values())
    assert any(r.failures.empty for r in results.values())


def test_centred_is_the_headline(panels, results):
    for study, panel in panels.items():
        assert_same(rows(results[study], HEADLINE), of_lagged(panel))


def test_detrended_is_the_headline_on_scores_without_own_lines(three, results):
    for study, result in results.items():
        panel = make_panel(three.study(study), make_parameters({"detrend": "patient"}))
        assert_same(rows(result, "detrended"), of_lagged(panel))


def test_occasions_are_dummies_of_the_session(panels, results):
    for study, panel in panels.items():
        pairs = panel.transitions()
        for d in DIRECTIONS.values():
            r = pairs.dropna(subset=[f"{d.outcome}_next"])
            dummies = pd.get_dummies(r["session"], drop_first=True, dtype=float)
            X = pd.concat(
                [pd.Series(1.0, r.index), r[[d.cross, d.auto, "x_mean", "y_mean"]], dummies], axis=1
            )
            columns = r[f"{d.outcome}_next"].to_numpy(), X.to_numpy(), r["patient"].to_numpy()
            fit = fit_mixed(*columns)
            fit = with_clustered_errors(fit, clustered(fit, *columns))
            found = rows(results[study], "centred_occasions").loc[d.name]
            for k, term in ((1, d.cross), (2, d.auto)):
                assert found.loc[term, "estimate"] == pytest.approx(fit.coef[k], abs=SAME)
                assert found.loc[term, "std_error"] == pytest.approx(fit.std_error[k], abs=SAME)
                assert found.loc[term, "df"] == pytest.approx(fit.df[k], rel=1e-6)


def test_the_others_are_the_models_themselves(panels, results):
    for study, panel in panels.items():
        scores, _ = panel.wide()
        own = fit_riclpm(scores)
        found = results[study].table.set_index(["estimator", *KEY])
        for key, place in zip(COEFFICIENTS, PLACES, strict=True):
            assert found.loc[("riclpm", *key), "estimate"] == pytest.approx(own.phi[place], abs=1e-7)
            assert found.loc[("riclpm", *key), "std_error"] == pytest.approx(own.phi_se[place], abs=1e-7)
        enough = np.isfinite(scores).all(axis=2).sum(axis=1) >= 3
        seed = np.random.SeedSequence(SEED).spawn(1)[0]
        half = fit_jackknife(scores[enough], replicates=BOOTSTRAPS, seed=seed)
        for key, place in zip(COEFFICIENTS, PLACES, strict=True):
            assert found.loc[("jackknife", *key), "estimate"] == half.phi[place]
            assert found.loc[("jackknife", *key), "std_error"] == half.phi_se[place]


def test_robust_errors_are_the_panel_models_sandwich_and_the_others_as_they_were(panels, results):
    study = next(study for study, result in results.items() if len(rows(result, "dpm")) == len(COEFFICIENTS))
    panel = panels[study]
    robust = estimators(
        replace(panel, parameters=panel.parameters.model_copy(update={"stage1_errors": "robust"}))
    )
    found, usual = (r.table.set_index(["estimator", *KEY]) for r in (robust, results[study]))
    pd.testing.assert_series_equal(found["estimate"], usual["estimate"])
    moved = found["std_error"] != usual["std_error"]
    assert set(found.index[moved].get_level_values("estimator")) == {"riclpm", "dpm", "riclpm_error"}
    scores, _ = panel.wide()
    for name, fit in (("riclpm", fit_riclpm), ("dpm", fit_dpm)):
        own = fit(scores, se="sandwich")
        for key, place in zip(COEFFICIENTS, PLACES, strict=True):
            assert found.loc[(name, *key), "std_error"] == pytest.approx(own.phi_se[place], rel=1e-6)


def test_structural_models_take_everyone_with_a_score(panels, results):
    for study, panel in panels.items():
        everyone = panel.everyone["patient"].nunique()
        assert (rows(results[study], "riclpm")["n_patients"] == everyone).all()
        assert (rows(results[study], HEADLINE)["n_patients"] <= everyone).all()
    assert any(
        (rows(r, HEADLINE)["n_patients"] < rows(r, "riclpm")["n_patients"]).all() for r in results.values()
    )


def test_normal_inference_where_there_are_no_degrees_of_freedom(results):
    for result in results.values():
        infinite = np.isinf(result.table["df"].astype(float))
        assert set(result.table.loc[~infinite, "estimator"]) == {"centred", "centred_occasions", "detrended"}


def test_three_scores_without_their_line_are_refused_in_any_company(panels):
    wide = [panel.wide()[0] for panel in panels.values()]
    batch = estimate_batch("detrended", [wide[0][:, :3], wide[0][:, 2:5]])
    assert not batch.usable.any() and np.isnan(batch.estimate).all()
    assert {reason.split(";")[0] for reason in batch.reasons.ravel()} == {"no patient has 4 scores"}
    short = np.full_like(wide[0], np.nan)
    short[:, :3] = wide[0][:, :3]
    both = estimate_batch("detrended", [short, wide[0]])
    assert not both.usable[0].any() and both.usable[1].all()
    assert estimate_batch("centred", [short]).usable.all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_many_panels_are_estimated_as_one_by_one(panels, estimator):
    wide = [panel.wide()[0] for panel in panels.values()]
    together = estimate_batch(estimator, wide, bootstraps=20)
    for b, panel in enumerate(wide):
        alone = estimate_batch(estimator, [panel], bootstraps=20)
        assert list(together.reasons[b]) == list(alone.reasons[0])
        np.testing.assert_allclose(together.estimate[b], alone.estimate[0], rtol=1e-6, atol=1e-7)
        if estimator != "jackknife":  # another seed for every panel
            np.testing.assert_allclose(together.std_error[b], alone.std_error[0], rtol=1e-6, atol=1e-7)
        for name in ("n_patients", "n_transitions", "singular", "converged"):
            assert (getattr(together, name)[b] == getattr(alone, name)[0]).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_panel_without_an_estimate_has_a_reason_and_disturbs_no_other(panels, estimator):
    good = max((panel.wide()[0] for panel in panels.values()), key=len)
    bad = np.full_like(good[:4], np.nan)
    bad[:, 0] = 1.0
    batch = estimate_batch(estimator, [good, bad], bootstraps=20)
    assert batch.usable[0].all()
    assert not batch.usable[1].any()
    assert all(batch.reasons[1])
    assert not any(batch.reasons[0])


def test_a_session_nobody_came_to_is_no_column(panels):
    good = next(iter(panels.values())).wide()[0]
    without = good.copy()
    without[:, 4] = np.nan
    both = estimate_batch("centred_occasions", [good, without])
    alone = estimate_batch("centred_occasions", [without])
    assert both.usable.all()
    np.testing.assert_allclose(both.estimate[1], alone.estimate[0], rtol=SAME, atol=SAME)


def test_own_lines_by_hand():
    Y = np.array([[[1.0, 5.0], [3.0, np.nan], [8.0, 5.0]], [[2.0, 1.0], [np.nan, np.nan], [np.nan, 4.0]]])
    found = without_own_lines(Y)
    # 1, 3, 8: mean 4, slope 3.5; residuals 0.5, -1, 0.5.
    np.testing.assert_allclose(found[0, :, 0], [4.5, 3.0, 4.5])
    np.testing.assert_allclose(found[0, [0, 2], 1], [5.0, 5.0])
    np.testing.assert_allclose(found[1, [0, 2], 1], [2.5, 2.5])
    assert found[1, 0, 0] == 2.0
    assert (np.isnan(found) == np.isnan(Y)).all()


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"lag": 2}, {"riclpm", "dpm"}),
        ({"last_session": 2, "min_sessions": 2}, {"riclpm", "dpm", "jackknife", HEADLINE}),
        ({"last_session": 3}, {"jackknife"}),
    ],
)
def test_who_cannot_be_used_says_why(three, changes, failing):
    panel = make_panel(three.study("S02"), make_parameters(changes))
    result = estimators(panel, bootstraps=20)
    assert failing <= set(result.failures["variant"])
    assert all(result.failures["reason"])
    assert not failing & set(result.table["estimator"])
    assert (HEADLINE in set(result.table["estimator"])) == (HEADLINE not in failing)


def test_a_constant_variable_stops_everybody(three):
    study = three.study("S02")
    flat = type(study)(**{**vars(study), "sessions": study.sessions.assign(x=20.0)})
    result = estimators(make_panel(flat, make_parameters({})), bootstraps=20)
    assert result.table.empty
    assert set(result.failures["variant"]) == set(ESTIMATORS)
    assert set(result.failures["reason"]) == {"x does not vary within patients"}


def test_records_carry_them(panels, results, tmp_path):
    for study, result in results.items():
        record = make_record(panels[study], result)
        again = read_record(write_record(record, tmp_path))
        pd.testing.assert_frame_equal(again.tidy(), record.tidy())
        assert len(again.tidy()) == 4 * len(ESTIMATORS) - 2 * len(result.failures)
        assert len(again.failures) == len(result.failures)
