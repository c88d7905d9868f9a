"""Whom to believe follows from the measures by the rule, and nothing else."""

import itertools

import pandas as pd
import pytest

from twostage.recovery.conditions import CONDITIONS
from twostage.recovery.store import Recovery
from twostage.recovery.verdict import (
    SLACK,
    Z,
    best_calibrated,
    best_estimators,
    is_calibrated,
    kinds,
    nearest_kind,
)
from twostage.terms import DIRECTIONS, ESTIMATORS

ERROR = 0.01


def study(changes=()) -> Recovery:
    """A stored study in which everybody is calibrated and the centred estimator most precise; with changes."""
    rows = []
    for c, e, d in itertools.product(CONDITIONS.values(), ESTIMATORS, DIRECTIONS.values()):
        row = {"condition": c.name, "estimator": e, "direction": d.name, "term": d.cross, "n_replicates": 400}
        row |= {
            "bias": 0.01,
            "rmse": 0.02 if e == "centred" else 0.03,
            "coverage": 0.95,
            "coverage_mcse": ERROR,
        }
        row |= {"rejection": 0.05 if c.null else 1.0, "rejection_mcse": ERROR}
        for where, values in changes:
            if all(row[k] == v for k, v in where.items()):
                row |= values
        rows.append(row)
    return Recovery(pd.DataFrame(rows), {}, older_code=False, other_design=False)


def test_the_most_precise_of_the_calibrated_is_believed():
    table = best_estimators(study())
    assert list(table["condition"]) == [c.name for c, _ in kinds()]
    assert set(table["estimator"]) == {"centred"}
    assert set(table["runners_up"]) == {tuple(e for e in ESTIMATORS if e != "centred")}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_who_does_not_cover_in_one_direction_is_not_believed(direction):
    bad = {"condition": "plain", "estimator": "centred", "direction": direction}
    limit = 0.95 - SLACK - Z * ERROR
    at_limit = best_estimators(study([(bad, {"coverage": limit + 1e-9})])).set_index("condition")
    below = best_estimators(study([(bad, {"coverage": limit - 1e-9})])).set_index("condition")
    assert at_limit.loc["plain", "estimator"] == "centred"
    assert below.loc["plain", "estimator"] == "centred_occasions"
    assert below.loc["dropout", "estimator"] == "centred"


def test_who_cries_wolf_is_not_believed():
    bad = {"condition": "plain_null", "estimator": "centred", "direction": "y_to_x"}
    limit = 0.05 + SLACK + Z * ERROR
    assert (
        best_estimators(study([(bad, {"rejection": limit + 1e-9})]))
        .set_index("condition")
        .loc["plain", "estimator"]
        != "centred"
    )
    assert (
        best_estimators(study([(bad, {"rejection": limit - 1e-9})]))
        .set_index("condition")
        .loc["plain", "estimator"]
        == "centred"
    )


def test_if_nobody_is_calibrated_nobody_is_believed():
    changes = [
        ({"condition": "plain"}, {"coverage": 0.5}),
        ({"condition": "plain", "estimator": "dpm"}, {"coverage": 0.6}),
        ({"condition": "plain_null", "estimator": "riclpm"}, {"rejection": 0.9}),
    ]
    found = study(changes)
    row = best_estimators(found).set_index("condition").loc["plain"]
    assert row["estimator"] == ""
    assert row["nearest"] == best_calibrated(found, CONDITIONS["plain"]) == "dpm"
    assert row["coverage"] == 0.6
    assert row["headline_coverage"] == 0.5
    assert not is_calibrated(found, CONDITIONS["plain"], "dpm")
    assert is_calibrated(found, CONDITIONS["dropout"], "dpm")


def test_a_type_1_error_that_is_too_large_counts_as_coverage_that_is_too_small():
    changes = [({"condition": "plain"}, {"coverage": 0.5}), ({"condition": "plain_null"}, {"rejection": 0.9})]
    changes += [({"condition": "plain_null", "estimator": "jackknife"}, {"rejection": 0.4})]
    assert best_calibrated(study(changes), CONDITIONS["plain"]) == "jackknife"


def test_where_the_study_lacks_a_kind_of_data_the_one_most_like_data_stands_for_it():
    found = study()
    assert nearest_kind(found, "floors").name == "floors"
    s = found.summary

    def without(*names):
        gone = s["condition"].isin([n + end for n in names for end in ("", "_null")])
        return Recovery(s[~gone], {}, older_code=False, other_design=False)

    assert nearest_kind(without("floors"), "floors").name == "realistic"
    assert nearest_kind(without("floors", "realistic"), "floors").name == "everything"
    only = Recovery(s[s["condition"].isin(["plain", "plain_null"])], {}, older_code=False, other_design=False)
    assert nearest_kind(only, "realistic").name == "plain"
    assert nearest_kind(Recovery(s.iloc[:0], {}, older_code=False, other_design=False), "plain") is None


def test_an_estimator_that_was_never_pooled_is_no_candidate():
    table = best_estimators(study([({"estimator": "centred"}, {"n_replicates": 0})]))
    assert "centred" not in set(table["estimator"])
    assert not any("centred" in r for r in table["runners_up"])
