"""Small-study effects in words and tables; with few studies the reason instead."""

from dataclasses import replace

import numpy as np
import pytest

from twostage.display import interval, number, p_value
from twostage.pages.small_study.analysis import FILLS, examine_small_studies
from twostage.pages.small_study.tables import adjusted_table, asymmetry_table, smallstudy_sentences
from twostage.stats.small_study.egger import egger
from twostage.stats.small_study.petpeese import petpeese
from twostage.stats.small_study.rank import rank_test
from twostage.stats.small_study.selection import selection_model
from twostage.stats.small_study.trimfill import trimfill

K = 12


@pytest.fixture(scope="module")
def report(few, default, with_effects):
    """Small studies with larger effects: an asymmetric funnel."""
    rng = np.random.default_rng(3)
    v = np.geomspace(0.0005, 0.02, K)
    y = -0.05 - 1.5 * np.sqrt(v) + rng.normal(0.0, 0.6, K) * np.sqrt(v)
    return examine_small_studies(with_effects(few[3], default, y, v), "x_to_y", default)


def plain(table):
    """With ordinary spaces."""
    return table.replace("\u00a0", " ", regex=True)


def test_tests_are_those_of_the_core(report):
    y, v = report.total.result.y, report.total.result.v
    mixed, lm, rank = egger(y, v), egger(y, v, model="lm"), rank_test(y, v)
    table = plain(asymmetry_table(report)).set_index("test")
    assert table.loc["Egger, mixed model", "p"] == p_value(mixed.p_value) != p_value(lm.p_value)
    assert table.loc["Egger, least squares", "slope (SE)"] == f"{number(lm.slope)} ({number(lm.slope_se)})"
    assert table.loc["Egger, least squares", "statistic"] == f"t(10) = {number(lm.statistic)}"
    assert table.loc["rank correlation", "statistic"] == f"τ = {number(rank.tau)}"
    said = smallstudy_sentences(report)["tests"].replace("\u00a0", " ")
    assert f"(least squares) p = {p_value(lm.p_value)}" in said and "little power" not in said


def test_adjusted_effects_are_those_of_the_core(report):
    y, v = report.total.result.y, report.total.result.v
    table = plain(adjusted_table(report)).set_index("effect")
    assert len(table) == 1 + len(FILLS) + 4
    for estimator, side in FILLS:
        fill, row = (
            trimfill(y, v, estimator=estimator, side=side),
            table.loc[f"trim-and-fill {estimator}, {side}"],
        )
        assert row["remark"] == f"{fill.k0} filled" and row["k"] == str(K + fill.k0)
        assert row["estimate [CI]"].startswith(number(fill.filled.estimate, 3) + " [")
    selection = selection_model(y, v, alternative="less")
    assert table.loc["selection model", "estimate [CI]"].endswith(
        interval(selection.ci_low, selection.ci_high, 3)
    )
    assert number(selection.delta[1]) in table.loc["selection model", "remark"]
    both = petpeese(y, v)
    assert table.loc["PET", "estimate [CI]"].startswith(number(both.pet.intercept, 3) + " [")
    assert table.loc["PET-PEESE", "remark"] == f"{both.chosen} chosen"
    assert number(report.total.result.estimate, 3) in table.loc["as observed", "estimate [CI]"]


def test_selection_goes_the_way_of_the_effect(report, few, default, with_effects):
    y, v = report.total.result.y, report.total.result.v
    mirrored = examine_small_studies(with_effects(few[3], default, -y, v), "x_to_y", default)
    assert report.selection.result.alternative == "less"
    assert mirrored.selection.result.alternative == "greater"
    assert mirrored.selection.result.estimate == pytest.approx(-report.selection.result.estimate)


def test_sentences_quote_the_results(report):
    said = smallstudy_sentences(report)
    fill = report.fills["L0", "right"].result
    assert (
        fill.k0 and f"{fill.k0} on the right by L0 (pooled {number(fill.filled.estimate, 3)} " in said["fill"]
    )
    assert p_value(report.selection.result.lrt_p_value) in said["selection"]
    assert (
        f"takes {report.petpeese.result.chosen}: {number(report.petpeese.result.estimate, 3)} "
        in said["petpeese"]
    )


@pytest.mark.parametrize("k", [1, 2, 3])
def test_few_studies_are_told_why(few, three, k):
    report = examine_small_studies(few[k], "y_to_x", three)
    tests, adjusted, said = asymmetry_table(report), adjusted_table(report), smallstudy_sentences(report)
    assert report.funnel and report.radial
    assert (len(tests), len(adjusted)) == (3, 9) and all(said.values())
    assert not tests.isna().any(axis=None) and not adjusted.isna().any(axis=None)
    if k < 3:
        assert tests["remark"][0] == f"Egger's test needs at least 3 studies, got {k}"
        assert said["petpeese"] == f"PET-PEESE: not computed: PET-PEESE needs at least 3 studies, got {k}."
        assert not report.drawn
    if k == 1:
        assert said["tests"] == (
            "Not tested: Egger's test needs at least 3 studies, got 1; the rank correlation test needs at least 2 "
            "studies, got 1."
        )
        assert "trim-and-fill needs at least 2 studies" in said["fill"]
    if k == 3:
        assert "With 3 studies these tests have little power." in said["tests"]


def test_no_study_and_equal_variances(few, three, default, with_effects):
    nothing = replace(few[1], fits={}, estimates=few[1].estimates.head(0))
    report = examine_small_studies(nothing, "x_to_y", three)
    assert (
        not report.funnel
        and smallstudy_sentences(report)["fill"] == "Not computed: no study has this effect."
    )
    assert len(adjusted_table(report)) == 9
    equal = with_effects(few[3], default, [0.1, 0.2, 0.0, 0.4], [0.01] * 4)
    report = examine_small_studies(equal, "x_to_y", default)
    assert "constant" in asymmetry_table(report)["remark"][0]
    assert "is the same for every study" in asymmetry_table(report)["remark"][1]
    assert smallstudy_sentences(report)["tests"].startswith("Not tested: ")


def test_a_selection_model_without_a_maximum_is_no_result(few, default, with_effects):
    y = [0.12, 0.05, 0.31, 0.22, -0.04, 0.18, 0.09, 0.27, 1000.0, 0.15]
    table = with_effects(few[3], default, y, [0.02, 0.03, 0.05, 0.01, 0.04, 0.02, 0.06, 0.03, 0.02, 0.05])
    key = ("main", "x_to_y", "x_within")
    fixed = replace(table.fits[key], method="FE", estimate=100.0)
    report = examine_small_studies(replace(table, fits={key: fixed}), "x_to_y", default)
    assert "has no maximum" in smallstudy_sentences(report)["selection"]
