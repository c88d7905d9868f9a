"""The matrix of lagged effects pooled and followed: from records on, with what is said where it cannot be."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from twostage.pages.joint import plots
from twostage.pages.joint.dynamics import (
    ENTRIES,
    dynamics_sentences,
    examine_dynamics,
    pool_dynamics,
    responses_table,
    without_bias,
)
from twostage.records.record import make_record
from twostage.stage1.equations import lagged
from twostage.stage2.pool import pool_records
from twostage.stats.multilevel import pool_several


@pytest.fixture(scope="module")
def records(panels):
    return [make_record(panel, lagged(panel)) for panel in panels.values()]


def effects(record):
    table = record.tidy().set_index(["direction", "term"])
    covariance = record.joint_covariance("main").loc[list(ENTRIES), list(ENTRIES)]
    return table.loc[list(ENTRIES), "estimate"].to_numpy(float), covariance.to_numpy()


def test_from_the_records_to_the_matrix(records):
    result = pool_dynamics(records)
    Y, V = zip(*map(effects, records), strict=True)
    expected = pool_several(np.array(Y), np.array(V), struct="DIAG")
    assert result.k == len(records) and result.left_out.empty
    assert result.fit.coef.tolist() == expected.coef.tolist()
    # Row by row: what x has of x and y, what y has of x and y.
    assert result.responses.response[0].ravel().tolist() == expected.coef.tolist()
    one = pool_records(records)
    for (direction, term), entry in zip(ENTRIES, expected.coef, strict=True):
        assert abs(one.row(direction, term)["estimate"] - entry) < 0.1


def test_a_unit_more_of_each_variable_has_the_effects_of_its_own_terms(records):
    result = pool_dynamics(records)
    table = result.tidy().set_index(["impulse", "variable", "occasion"])["estimate"]
    keys = {
        ("x", "x"): ("y_to_x", "x_within"),
        ("y", "x"): ("y_to_x", "y_within"),
        ("x", "y"): ("x_to_y", "x_within"),
        ("y", "y"): ("x_to_y", "y_within"),
    }
    for pair, key in keys.items():
        assert table[(*pair, "1")] == result.fit.coef[ENTRIES.index(key)]


def test_a_study_without_an_effect_is_left_out_with_the_reason(records):
    without = records[0].model_copy(
        update={"estimates": tuple(e for e in records[0].estimates if e.direction == "x_to_y")}
    )
    result = pool_dynamics([without, *records[1:]])
    assert result.k == len(records) - 1
    assert result.left_out["study"].tolist() == [records[0].study]
    assert (
        f"Without: {records[0].study}."
        in dynamics_sentences(examine_dynamics([without, *records[1:]], {}), NAMES)["remarks"]
    )


def test_one_study_is_too_few_and_it_is_said(records):
    found = examine_dynamics(records[:1], {})
    assert not found
    words = dynamics_sentences(found, NAMES)
    assert (words["x"], words["y"]) == ("", "")
    assert "two are needed" in words["remarks"]


class _Label:
    def __init__(self, label):
        self.label = label


class NAMES:
    x, y = _Label("bond"), _Label("distress")


def test_sentences_and_table_quote_the_responses(records):
    found = examine_dynamics(records, {"level": 0.9})
    words = dynamics_sentences(found, NAMES)
    first = found.result.responses.response[0, 1, 0]
    assert words["x"].startswith("After a session with one unit more bond than usual, distress differs by ")
    assert f"{abs(first):.3f}" in words["x"] and "all later sessions" in words["x"]
    other = found.result.responses
    table = responses_table(found.result, NAMES, other)
    assert list(table) == ["effect", "sessions later", "response", "90 % CI", "panel model"]
    assert (table["response"] == table["panel model"]).all()
    assert len(table) == 14


def test_a_process_that_does_not_die_out(records):
    result = pool_dynamics(records)
    explosive = replace(result.responses, radius=1.2)
    found = examine_dynamics(records, {})
    found = replace(found, result=replace(found.result, responses=explosive))
    words = dynamics_sentences(found, NAMES)
    assert "all later" not in words["x"]
    assert "do not die out" in words["remarks"]


def test_another_estimators_responses_need_all_four(records):
    pooled = pool_records(records)
    found = without_bias(pooled, "main")
    matrix = [pooled.row(*key)["estimate"] for key in ENTRIES]
    assert found.result.response[0].ravel() == pytest.approx(matrix)
    assert not without_bias(pooled, "riclpm")


def test_the_picture_has_both_directions_and_says_them(records):
    ax = plots.responses(pool_dynamics(records))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x → y", "y → x"]
    heights = ax.containers[0].lines[0].get_ydata()
    assert heights.tolist() == pool_dynamics(records).responses.response[:, 1, 0].tolist()
    plt.close("all")
