"""A study against the others: by hand, against metafor (tests/reference/addition.R), on simulated truth; and in words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import norm

from twostage.pages.addition.analysis import COLUMNS, addition, read_estimates, verdict
from twostage.pages.addition.plots import addition_figure
from twostage.pages.addition.tables import addition_table, alternative, main_effects, markdown, sentences
from twostage.pages.common.leave import write_pooled
from twostage.stage2.pool import pool_records
from twostage.terms import COLUMNS as STANDARD

REFERENCE = Path(__file__).parents[2] / "reference"

#: Sums of three numbers.
ROUNDING = 1e-12
#: metafor's scoring stops at a step of 1e-14; an interval's end carries that of tau2, and differences of
#: estimates lose some digits.
METAFOR = 1e-7
#: Simulated pools, and three standard errors of a share of 0.95 of them.
DRAWS = 200
COVERAGE = 0.046


def estimates(y, v, term="x_within", analysis="lagged") -> pd.DataFrame:
    """Rows as of :attr:`PooledTable.estimates`, one coefficient."""
    table = pd.DataFrame({"study": [f"S{i}" for i in range(len(y))], "estimate": y, "std_error": np.sqrt(v)})
    half = 1.96 * table["std_error"]
    table = table.assign(ci_low=table["estimate"] - half, ci_high=table["estimate"] + half)
    fixed = {"analysis": analysis, "variant": "main", "direction": "x_to_y", "term": term, "estimator": "e"}
    return table.assign(**fixed, label="Study " + table["study"]).reindex(columns=[*STANDARD, "label"])


def test_by_hand_with_equal_variances():
    # Fixed effect, v = 1: without the third (1 + 2) / 2 = 1.5 with variance 1/2; with it 9 / 3 = 3.
    result = addition(estimates([1.0, 2.0, 6.0], [1.0] * 3), "S2", method="FE", ci="wald")
    (row,) = result.table.to_dict("records")
    assert row["before_estimate"] == pytest.approx(1.5, abs=ROUNDING)
    assert row["before_std_error"] == pytest.approx(np.sqrt(0.5), abs=ROUNDING)
    assert row["after_estimate"] == pytest.approx(3.0, abs=ROUNDING)
    assert row["change"] == pytest.approx(1.5, abs=ROUNDING)
    assert row["weight"] == pytest.approx(100 / 3, abs=ROUNDING)
    # (6 - 1.5) / sqrt(1 + 1/2)
    assert row["rstudent"] == pytest.approx(4.5 / np.sqrt(1.5), abs=ROUNDING)
    assert (row["before_k"], row["after_k"], row["study_estimate"]) == (2, 3, 6.0)
    # A fixed effect takes variances as known: 1.5 -+ 1.96 sqrt(1 + 1/2) = -0.90 to 3.90.
    assert row["residual"] == pytest.approx(4.5 / np.sqrt(1.5), abs=ROUNDING)
    assert row["expected_high"] == pytest.approx(1.5 + norm.ppf(0.975) * np.sqrt(1.5), abs=ROUNDING)
    assert row["inside"] is False
    # 1.5 - 1.96 * 0.707 > 0 and 3 - 1.96 / sqrt(3) > 0
    assert (row["before_verdict"], row["after_verdict"], row["conclusion_changed"]) == ("above zero",) * 2 + (
        False,
    )


def test_a_study_that_changes_the_conclusion():
    table = addition(estimates([0.5, 0.5, 0.5, -3.0], [0.01] * 4), "S3", method="FE", ci="wald").table
    assert (table["before_verdict"][0], table["after_verdict"][0]) == ("above zero", "below zero")
    assert table["conclusion_changed"][0]


@pytest.mark.parametrize(
    ("low", "high", "words"), [(0.1, 1, "above zero"), (-1, -0.1, "below zero"), (-1, 0, "includes zero")]
)
def test_verdicts(low, high, words):
    assert verdict(low, high) == words


def test_against_metafor():
    expected = pd.read_csv(REFERENCE / "addition.csv")
    data = pd.read_csv(REFERENCE / "pool_data.csv")
    assert len(expected) > 150
    for (name, method, ci), rows in expected.groupby(["dataset", "method", "ci"]):
        of_set = data[data["dataset"] == name]
        table = estimates(of_set["y"].to_numpy(), of_set["v"].to_numpy())
        for row in rows.to_dict("records"):
            found = addition(table, f"S{row['study']}", method=method, ci=ci).table.iloc[0]
            for column in expected.columns[4:]:
                scale = max(1.0, abs(row[column]))
                assert abs(found[column] - row[column]) < METAFOR * scale, (
                    name,
                    method,
                    ci,
                    row["study"],
                    column,
                )


def test_an_estimate_of_the_same_process_lies_outside_as_often_as_the_level_says():
    # Equal variances, no heterogeneity: the range is that of one more draw of a normal distribution, and exact. The
    # prediction interval for a true effect has tau2 = 0 about half of the time, and then excludes two of five.
    rng, k = np.random.default_rng(20261125), 6
    tables = [
        estimates(rng.normal(0.2, 0.3, k + 1), [0.09] * (k + 1), term=f"draw {i}") for i in range(DRAWS)
    ]
    table = addition(pd.concat(tables), f"S{k}").table
    assert len(table) == DRAWS
    assert table["inside"].astype(bool).mean() == pytest.approx(0.95, abs=COVERAGE)
    truly = table["study_estimate"].between(table["before_pi_low"], table["before_pi_high"])
    assert truly.mean() < 0.85


def test_the_only_study_of_a_run_has_nothing_to_be_set_against():
    alone = addition(estimates([1.0], [1.0]), "S0")
    assert (alone.n_others, len(alone.table)) == (0, 0)
    (said,) = sentences(alone, "x", "y")
    assert said.startswith(
        "Study S0 is the only study of this run, so there is nothing to compare it with: add another"
    )
    other = estimates([1.0], [1.0], term="y_within").assign(study="S1")
    apart = addition(pd.concat([estimates([1.0], [1.0]), other]), "S0")
    assert (apart.n_others, len(apart.table)) == (1, 0)
    assert sentences(apart, "x", "y") == ["Study S0 shares no coefficient with another study of the pool."]


def test_coefficients_without_another_study_are_left_out():
    table = estimates([1.0, 2.0], [1.0, 1.0])
    lonely = estimates([1.0], [1.0], term="y_within")
    result = addition(pd.concat([table, lonely]), "S0")
    assert result.table["term"].tolist() == ["x_within"]
    empty = addition(lonely, "S0")
    assert empty.table.empty
    assert list(empty.table.columns) == COLUMNS
    assert addition_table(empty, "a", "b").empty
    assert empty.glance()["conclusions_changed"].tolist() == [0]


def test_a_study_without_estimates_is_an_error():
    with pytest.raises(KeyError, match="no estimate of study S9; there are S0, S1"):
        addition(estimates([1.0, 2.0], [1.0, 1.0]), "S9")


@pytest.fixture(scope="module")
def result(pooled):
    kept = pd.concat([pooled[name].estimates for name in ("lagged", "crosslevel", "outcome")])
    return addition(kept[kept["term"] != "intercept"], "S02")


def test_with_it_is_the_pooled_table_of_the_notebooks(result, pooled):
    for row in result.table.to_dict("records"):
        expected = pooled[row["analysis"]].row(row["direction"], row["term"], row["variant"])
        assert row["after_estimate"] == expected["estimate"]
        assert row["after_tau2"] == expected["tau2"]


def test_without_it_is_the_pool_of_the_other_records(result, panels):
    from twostage.records.record import make_record
    from twostage.stage1.equations import lagged

    others = pool_records([make_record(panels[s], lagged(panels[s])) for s in ("S01", "S03")])
    row = result.table[result.table["term"] == "x_within"].iloc[0]
    expected = others.row(row["direction"], "x_within")
    assert row["before_estimate"] == expected["estimate"]
    assert row["before_ci_low"] == expected["ci_low"]


def test_words(result):
    table = addition_table(result, "alliance", "symptoms")
    assert len(table) == len(result.table)
    outcome = table[table["effect"].str.startswith("early")].iloc[0]
    assert outcome["effect"].endswith("(partial r)")
    z = result.table[result.table["term"] == "partial_r_z"].iloc[0]
    assert outcome["this study"].startswith(f"{np.tanh(z['study_estimate']):.2f}".replace("-", "−"))
    # Two others have no prediction interval of k - 2 degrees of freedom, but t with one is a range.
    assert set(table["inside"]) <= {"yes", "no"}
    lines = sentences(result, "alliance", "symptoms")
    changed = int(result.table["conclusion_changed"].sum())
    assert sum(line.startswith("Conclusion changed") for line in lines) == changed
    main = main_effects(result)
    assert main.table["term"].tolist() == ["x_within", "y_within", "partial_r_z"]
    text = alternative(main, "alliance", "symptoms")
    assert text.startswith("Synthetic study 02 against the other studies. alliance → symptoms")


def test_sentences_say_inside_or_outside_and_what_changed():
    table = estimates([0.5, 0.6, 0.4, 0.5, -3.0], [0.01] * 5)
    lines = sentences(addition(table, "S4"), "a", "b")
    assert lines[0].startswith(
        "a → b (within, cross-lagged): the study's estimate lies outside the range in which the other 4 studies let one"
    )
    assert lines[0].endswith("p < .001).")
    assert "Conclusion changed: a → b (within, cross-lagged), above zero → includes zero." in lines
    same = sentences(addition(table[:4], "S3"), "a", "b")
    assert "inside the range in which the other 3 studies let one expect it" in same[0]
    assert (
        same[1] == "Adding it changes for no confidence interval of one coefficient whether zero is included."
    )


def test_markdown_is_a_table_for_a_pull_request(result):
    text = markdown(result, "alliance", "sym|ptoms", "default")
    lines = text.splitlines()
    assert lines[0] == "## Synthetic study 02 (S02) against the others"
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + len(result.table)
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert "τ² by REML, Hartung-Knapp inference, 95 % intervals. The range expected" in lines[-1]
    assert "5 of 100 estimates lie outside of it by chance. Run `default`" in lines[-1]


def test_figure_has_a_panel_per_coefficient_with_the_numbers_drawn(result):
    main = main_effects(result)
    figure = addition_figure(main, "alliance", "symptoms")
    assert isinstance(figure, Figure)
    assert len(figure.axes) == len(main.table)
    row = main.table.iloc[0]
    drawn = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() in "soD"]
    assert drawn == [row["study_estimate"], row["before_estimate"], row["after_estimate"]]


def test_estimates_come_back_from_a_runs_tables_as_they_were(pooled, result, tmp_path):
    for name in ("lagged", "crosslevel", "outcome"):
        write_pooled(pooled[name], str(tmp_path / f"stage2_{name}"))
    write_pooled(pooled["lagged"], str(tmp_path / "again"))
    (tmp_path / "again" / "studies_other.csv").write_text("a,b\n1,2\n")
    found = addition(read_estimates(tmp_path), "S02")
    expected = result.table.set_index(["analysis", "variant", "direction", "term"]).sort_index()
    order = [tuple(k) for k in found.table[["analysis", "direction", "term"]].to_numpy()]
    assert order[0] == ("lagged", "x_to_y", "x_within")
    again = found.table.set_index(["analysis", "variant", "direction", "term"]).sort_index()
    pd.testing.assert_frame_equal(again, expected.loc[again.index], check_exact=True)
    assert read_estimates(tmp_path / "nowhere").empty


def test_fits_that_did_not_converge_are_said(result):
    from twostage.pages.addition.tables import how

    assert how(replace(result, converged=False)).endswith("Not every pooled fit converged.")
