"""Tables and sentences say what the results say."""

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from twostage.collection.shared_studies import MARK_NOTE
from twostage.pages.common.leave import save_figure, write_pooled
from twostage.pages.common.tables import (
    NO_EFFECT,
    effect,
    forest_alt,
    heterogeneity_table,
    left_out_sentence,
    pooled_how,
    pooled_table,
    study_table,
)
from twostage.pages.study.tables import coefficient_table, study_heading, variant_table


def row(**changes):
    numbers = {
        "term": "x_within",
        "estimate": -0.051,
        "ci_low": -0.08,
        "ci_high": -0.02,
        "pi_low": np.nan,
        "pi_high": np.nan,
    }
    more = {"p_value": 0.004, "tau2": 0.0025, "i2": 33.3, "k": 17, "n_patients": 5350, "n_transitions": 21995}
    return numbers | more | changes


def test_effect_is_quoted_with_its_interval():
    e = effect(row(), 0.95)
    assert e.text == "−0.05 (95 % CI [−0.08, −0.02])"
    assert (e.pi, e.tau, e.i2, e.n_patients) == ("–", "0.050", "33", "5,350")
    assert e.excludes_zero
    assert not effect(row(ci_high=0.01), 0.95).excludes_zero


def test_an_interval_that_excludes_zero_is_never_shown_as_one_that_touches_it():
    e = effect(row(ci_low=-0.15, ci_high=-0.0041), 0.95)
    assert e.ci == "[−0.150, −0.004]" and e.excludes_zero
    assert effect(row(ci_low=-0.15, ci_high=0.0041), 0.95).ci == "[−0.15, 0.00]"


def test_one_study_and_none_are_said_as_they_are():
    one = effect(row(k=1), 0.95)
    assert (one.tau, one.i2, one.spread) == ("–", "–", "")
    assert one.found("the effect") == f"The effect was {one.text} in one study."
    assert "pooled" not in one.over
    assert NO_EFFECT.found("the effect") == "No study gives an estimate of the effect."
    assert not NO_EFFECT.excludes_zero and NO_EFFECT.verdict == "no study has it"


def test_fisher_z_is_quoted_as_a_correlation():
    e = effect(row(term="partial_r_z", estimate=np.arctanh(-0.25)), 0.95)
    assert e.estimate == "−0.25"
    assert e.low == pytest.approx(np.tanh(-0.08))


def test_pooled_table_has_a_row_per_coefficient_without_the_intercept(pooled, three):
    table = pooled_table(pooled["lagged"], three)
    assert len(table) == 8
    assert table["k"].unique().tolist() == ["3"]
    assert "alliance → symptom severity (within, cross-lagged)" in set(table["effect"])


def test_transitions_are_told_apart(pooled, three):
    table = pooled_table(pooled["transition"], three, ["x_within"])
    assert {"1 to 2", "6 to 7"} <= set(table["variant"])


def test_heterogeneity_has_intervals(pooled, three):
    table = heterogeneity_table(pooled["lagged"], three, ["x_within"])
    fit = pooled["lagged"].fits["main", "x_to_y", "x_within"]
    assert len(table) == 2
    assert table["τ"].iloc[0] == f"{fit.tau:.3f}"


def test_how_it_was_pooled_names_the_prediction_rule(pooled):
    text = pooled_how(pooled["lagged"])
    assert "REML" in text
    assert "Hartung-Knapp" in text
    assert "k - 2 degrees of freedom" in text


def test_study_table_and_alt_text_agree_with_the_pool(pooled, three):
    table = study_table(pooled["outcome"], "x_to_y", "partial_r_z")
    assert table["study"].tolist() == ["Synthetic study 01", "Synthetic study 02", "Synthetic study 03"]
    alt = forest_alt(pooled["outcome"], "x_to_y", "partial_r_z", three)
    z = pooled["outcome"].row("x_to_y", "partial_r_z")["estimate"]
    assert f"pooled {effect(pooled['outcome'].row('x_to_y', 'partial_r_z'), 0.95).estimate}" in alt
    assert abs(np.tanh(z)) < abs(z)


def test_left_out_studies_are_named(pooled):
    assert left_out_sentence(pooled["lagged"]).startswith("Every study")
    lost = [
        ("S01", "dpm", "x_to_y", "too few"),
        ("S01", "dpm", "y_to_x", "too few"),
        ("S02", "main", "y_to_x", "flat"),
    ]
    some = replace(
        pooled["lagged"], left_out=pd.DataFrame(lost, columns=["study", "variant", "direction", "reason"])
    )
    expected = "Left out: S01 (dynamic panel model): too few; S02 (y → x): flat."
    assert left_out_sentence(some).startswith(expected)


def test_coefficient_tables_of_a_study(panels, three):
    from twostage.stage1.equations import lagged
    from twostage.stage1.sensitivity import sensitivity

    panel = panels["S02"]
    html = coefficient_table(lagged(panel), panel).data
    assert html.count("<tr>") + html.count('<tr style="text-align') >= 11
    assert "sessions 1-3" in variant_table(sensitivity(three.study("S02"), panel.parameters), panel).data
    assert "no number is an estimate" in study_heading(three, "S02").data


def test_written_tables_read_back(pooled, tmp_path):
    write_pooled(pooled["lagged"], str(tmp_path / "out"))
    back = pd.read_csv(tmp_path / "out" / "pooled_lagged.csv")
    np.testing.assert_allclose(back["estimate"], pooled["lagged"].table["estimate"], rtol=1e-15)
    assert back["level"].unique().tolist() == [0.95]
    write_pooled(pooled["lagged"], "")


def test_a_saved_figure_has_its_text_and_no_date(tmp_path):
    bytes_ = []
    for name in ("a", "b"):
        ax = plt.subplots()[1]
        assert save_figure(ax, str(tmp_path / name), "figure", "what it shows") is ax
        plt.close(ax.figure)
        bytes_.append((tmp_path / name / "figure.svg").read_bytes())
    assert json.loads((tmp_path / "a" / "figure.json").read_text()) == {"alt": "what it shows"}
    assert b"<dc:date>" not in bytes_[0]


def test_a_study_without_data_is_explained_where_it_is_marked(pooled):
    table = pooled["lagged"]
    marked = replace(table, estimates=table.estimates.assign(label=table.estimates["label"] + " †"))
    assert left_out_sentence(marked) == f"{left_out_sentence(table)} {MARK_NOTE}"
    assert "†" not in left_out_sentence(table)
