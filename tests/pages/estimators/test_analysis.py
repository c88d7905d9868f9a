"""Every estimator pooled, beside the headline."""

import numpy as np
import pytest

from twostage.pages.estimators.analysis import compare_estimators
from twostage.pages.estimators.tables import (
    INSIDE,
    OTHER_SIGN,
    SAME_SIGN,
    agreement,
    estimator_table,
)
from twostage.records.record import make_record
from twostage.stage1.estimators import estimators
from twostage.stage2.pool import pool_records
from twostage.stats.pool.paired import paired_difference
from twostage.terms import ESTIMATORS, HEADLINE


@pytest.fixture(scope="module")
def records(panels):
    return [make_record(p, estimators(p, bootstraps=50)) for p in panels.values()]


@pytest.fixture(scope="module")
def comparison(records):
    return compare_estimators(records)


def test_the_headline_s_pool_is_the_lagged_analysis(comparison, pooled):
    for key in (
        ("x_to_y", "x_within"),
        ("x_to_y", "y_within"),
        ("y_to_x", "y_within"),
        ("y_to_x", "x_within"),
    ):
        ours, theirs = comparison.pooled.row(*key, HEADLINE), pooled["lagged"].row(*key)
        for name in ("estimate", "std_error", "ci_low", "ci_high", "tau2", "k"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-7), name


def test_every_estimator_has_its_own_pool(comparison):
    assert set(comparison.pooled.table["estimator"]) == set(ESTIMATORS)
    assert len(comparison.tidy()) == 4 * len(ESTIMATORS)


def test_differences_are_those_of_the_studies_that_have_both(records, comparison):
    row = comparison.differences.set_index(["estimator", "direction", "term"]).loc[
        ("riclpm", "x_to_y", "x_within")
    ]
    both = [comparison.pooled.studies("x_to_y", "x_within", e) for e in (HEADLINE, "riclpm")]
    expected = paired_difference(
        *(f(s) for s in both for f in (lambda s: s["estimate"], lambda s: s["std_error"] ** 2))
    )
    assert row["estimate"] == pytest.approx(expected.estimate)
    assert row["ci_low"] == pytest.approx(expected.ci_low)
    assert HEADLINE not in set(comparison.differences["estimator"])


def test_who_failed_is_left_out_by_name_and_reason(records):
    record = records[0]
    kept = tuple(e for e in record.estimates if e.estimator != "riclpm")
    reason = {"variant": "riclpm", "direction": "x_to_y", "reason": "too few persons"}
    failure = type(record).model_validate(record.model_dump() | {"failures": [reason]}).failures
    others = compare_estimators(
        [record.model_copy(update={"estimates": kept, "failures": failure}), *records[1:]]
    )
    assert others.pooled.row("x_to_y", "x_within", "riclpm")["k"] == len(records) - 1
    left = others.pooled.left_out.query("variant == 'riclpm'")
    assert left[["study", "reason"]].values.tolist() == [[record.study, "too few persons"]]
    row = others.differences.set_index(["estimator", "direction", "term"]).loc[
        ("riclpm", "x_to_y", "x_within")
    ]
    assert row["k"] == len(records) - 1


@pytest.mark.parametrize(
    ("estimate", "words"),
    [(0.1, INSIDE), (0.05, INSIDE), (0.3, SAME_SIGN), (0.01, SAME_SIGN), (-0.1, OTHER_SIGN)],
)
def test_agreement_in_words(estimate, words):
    assert agreement(estimate, 0.1, 0.05, 0.2) == words


def test_the_table_shows_every_estimator_of_an_effect_together(comparison, three):
    table = estimator_table(comparison, three)
    assert len(table) == 4 * len(ESTIMATORS)
    runs = (table["effect"] != table["effect"].shift()).sum()
    assert runs == table["effect"].nunique() == 4
    headline = table["estimator"] == ESTIMATORS[HEADLINE].words
    assert (table.loc[headline, "difference from the main analysis"] == "–").all()
    assert not (table.loc[~headline, "difference from the main analysis"] == "–").any()


def test_pooling_is_by_the_asked_method(records):
    wald = compare_estimators(records, method="DL", ci="wald", level=0.9)
    plain = pool_records(records, method="DL", ci="wald", level=0.9)
    assert np.allclose(wald.pooled.table["ci_low"], plain.table["ci_low"])
    assert wald.pooled.level == 0.9
