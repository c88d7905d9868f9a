"""One stage and two side by side: the same studies, one change at a time, and words that say what moved."""

from dataclasses import replace

import numpy as np
import pytest

from twostage.pages.onestage import plots
from twostage.pages.onestage.analysis import (
    COMMON,
    MODEL_ERRORS,
    NO_PRODUCTS,
    SEPARATE,
    STEPS,
    TWO_STAGE,
    examine_stages,
)
from twostage.pages.onestage.tables import APPROXIMATE, stages_sentences, stages_study_table, stages_table
from twostage.params import make_parameters
from twostage.records import Aggregate, analyse
from twostage.stage2 import pool_records
from twostage.stats.base import Attempt, NotEstimable
from twostage.stats.pool import pool
from twostage.terms import DIRECTIONS

HOW = {"method": "REML", "ci": "hartung-knapp", "level": 0.95}


@pytest.fixture(scope="module")
def records(three):
    return analyse(three, make_parameters({}), ["onestage", "lagged", "crosslevel"]).records


@pytest.fixture(scope="module")
def found(records):
    return examine_stages(records["onestage"], records["lagged"], **HOW)


def test_two_stages_are_the_main_analysis(found, records):
    pooled = pool_records(records["lagged"], **HOW)
    for name, d in DIRECTIONS.items():
        table = found[name].result.table.set_index(["term", "way"])
        for term in (d.cross, d.auto):
            row = pooled.row(name, term)
            assert table.loc[(term, TWO_STAGE), "estimate"] == row["estimate"]
            assert table.loc[(term, TWO_STAGE), "ci_low"] == row["ci_low"]


def test_the_models_errors_are_the_studies_own(found):
    result = found["x_to_y"].result
    own = pool(result.fit.slopes[:, 0], result.fit.slope_errors[:, 0] ** 2)
    row = result.table.set_index(["term", "way"]).loc[("x_within", MODEL_ERRORS)]
    assert row["estimate"] == own.estimate


def test_steps_add_up(found):
    result = found["y_to_x"].result
    own = result.table[result.table["term"] == "y_within"].set_index("way")
    assert list(own.index) == [TWO_STAGE, *STEPS]
    whole = (own.loc[COMMON, "estimate"] - own.loc[TWO_STAGE, "estimate"]) / own.loc[TWO_STAGE, "std_error"]
    assert result.steps("y_within").sum() == pytest.approx(whole, rel=1e-9)
    assert own.loc[SEPARATE, "estimate"] == result.fit.coef[0]


def test_a_study_without_sums_is_named_and_in_neither(records):
    bare = records["onestage"][0].model_copy(update={"aggregates": ()})
    found = examine_stages([bare, *records["onestage"][1:]], records["lagged"], **HOW)
    result = found["x_to_y"].result
    assert set(result.table["k"]) == {2}
    assert result.left_out["study"].tolist() == [bare.study]


def test_one_study_is_too_few(records):
    found = examine_stages(records["onestage"][:1], records["lagged"][:1], **HOW)
    assert not found["x_to_y"] and "at least two" in found["x_to_y"].reason
    with pytest.raises(NotEstimable):
        plots.stages(found, None)


def test_cross_level_effects_are_those_of_the_studies_records(records):
    """At an intercept variance of 0, as here, a study's slopes by itself are its own equation's, from rows or from sums."""
    found = examine_stages(records["onestage"], records["crosslevel"], products=True, **HOW)
    for name, d in DIRECTIONS.items():
        result = found[name].result
        assert result.fit.names == d.interactions and (result.fit.re_variance == 0).all()
        for record, slopes in zip(records["crosslevel"], result.fit.slopes, strict=True):
            own = record.tidy().query("direction == @name").set_index("term")["estimate"]
            # Doubles through sums and back; estimates are near 0.1.
            np.testing.assert_allclose(slopes, own[list(d.interactions)], rtol=1e-9)


def test_a_record_without_cross_level_columns_is_named(records):
    bare, *others = records["onestage"]
    narrow = bare.model_copy(update={"aggregates": tuple(Aggregate.of(d, bare.sums(d)) for d in DIRECTIONS)})
    found = examine_stages([narrow, *others], records["crosslevel"], products=True, **HOW)
    assert found["x_to_y"].result.left_out["reason"].tolist() == [NO_PRODUCTS]
    assert examine_stages([narrow, *others], records["lagged"], **HOW)["x_to_y"].result.left_out.empty


def test_joined_cells_and_an_intercept_variance_are_called_approximate(found, three):
    """Every number that rests on them, in each table, the sentence, the remark and the figure."""
    result = found["x_to_y"].result
    fit = replace(result.fit, joined=(True, False, False), re_variance=np.array([0.1, 0.0, 0.2]))
    assert fit.approximate == (True, False, False) and not fit.exact and not fit.tidy()["exact"].any()
    table = result.table.assign(exact=~result.table["way"].isin([MODEL_ERRORS, SEPARATE]))
    studies = result.studies.assign(joined=lambda t: t["study"] == "S01", exact=lambda t: t["study"] != "S01")
    near = replace(result, fit=fit, table=table, studies=studies)
    shown = stages_table(near, three).groupby("how").size()
    assert shown[f"{SEPARATE}{APPROXIMATE}"] == shown[f"{MODEL_ERRORS}{APPROXIMATE}"] == 2
    assert {TWO_STAGE, COMMON} < set(shown.index)
    assert sorted(stages_study_table(near, three)["cells joined"]) == ["no", "no", f"yes{APPROXIMATE}"]
    words = stages_sentences({"x_to_y": Attempt(near, "")}, three)
    assert f"in one{APPROXIMATE}" in words["x_to_y"] and "approximate" in words["remarks"]
    ax = plots.stages({"x_to_y": Attempt(near, "")}, three)
    assert f"{SEPARATE}{APPROXIMATE}" in [t.get_text() for t in ax.get_yticklabels()]


def test_what_is_shown(found, three):
    for one in found.values():
        assert len(stages_table(one.result, three)) == 8
        weights = one.result.studies.groupby("term")[["weight", "weight_two_stage"]].sum()
        np.testing.assert_allclose(weights, 100.0)
        assert len(stages_study_table(one.result, three)) == 3
    words = stages_sentences(found, three)
    assert "in two stages and" in words["x_to_y"] and "3 studies" in words["y_to_x"]
    ax = plots.stages(found, three)
    assert [t.get_text() for t in ax.get_yticklabels()] == [TWO_STAGE, *STEPS]
