"""A model that is withheld stands in no other record, and no small count follows from the sizes of models."""

import numpy as np
import pytest
from clinic import ordinary, shared, with_scores

from twostage.params import make_parameters
from twostage.records import stage1_records
from twostage.records.record import ANALYSES, ONE_STAGE
from twostage.sharing import verdicts
from twostage.sharing.layout import MOST_DIGITS
from twostage.sharing.local import Local
from twostage.sharing.missing import missing


@pytest.fixture(scope="module")
def twelve(three):
    """A site with 12 patients: too few for the main analysis, enough to share something."""
    return with_scores(three.study("S01"), *ordinary(3, n=12))


@pytest.fixture(scope="module")
def true(twelve):
    """Its records as its notebooks leave them."""
    return stage1_records(twelve, make_parameters({}))


def numbers(value):
    """Every number in nested lists and mappings."""
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list | tuple):
        return [n for v in value for n in numbers(v)]
    return [value] if isinstance(value, float) else []


def found_elsewhere(records, coefficients) -> list[float]:
    """Which of some coefficients stand anywhere in shared records, also in another unit."""
    told = np.array([n for r in records.values() for n in numbers(r.model_dump(exclude={"parameters"}))])
    return [c for c in coefficients if np.isclose(told, c, rtol=1e-6, atol=0).any()]


def main_effects(true):
    return [e.estimate for e in true["lagged"].estimates] + [e.statistic for e in true["lagged"].estimates]


#: Each of these two rules suffices; without both the main analysis stands in the sensitivity and estimators records.
COEFFICIENTS = ("coefficients", lambda analysis, variant, parameters: 0)
IDENTITY = ("identity", lambda analysis, variant, direction, parameters: (analysis, variant, direction))


@pytest.mark.parametrize(
    ("rules", "safe"),
    [((), True), ((COEFFICIENTS,), True), ((IDENTITY,), True), ((COEFFICIENTS, IDENTITY), False)],
)
def test_a_withheld_model_stands_in_no_other_record(twelve, true, monkeypatch, rules, safe):
    for name, value in rules:
        monkeypatch.setattr(verdicts, name, value)
    records = shared(twelve, digits=MOST_DIGITS)
    assert records["lagged"].estimates == ()
    assert (found_elsewhere(records, main_effects(true)) == []) == safe


@pytest.mark.parametrize(
    "parameters",
    [{}, {"detrend": "patient"}, {"random_slopes": True}, {"standardize": "within"}, {"last_session": 3}],
)
def test_every_withheld_model_is_searched_for_in_every_record(three, parameters):
    chosen = make_parameters(parameters)
    study = with_scores(three.study("S01"), *ordinary(4, n=14))
    records = shared(study, chosen, digits=MOST_DIGITS)
    kept = {(a, f.variant, f.direction) for a, record in records.items() for f in record.fits}
    true = stage1_records(study, chosen)
    withheld = [
        e.estimate
        for a, record in true.items()
        for e in record.estimates
        if (a, e.variant, e.direction) not in kept
    ]
    assert len(withheld) > 20
    assert found_elsewhere(records, withheld) == []


def late_session(three):
    """30 patients, of whom three are there at the last session."""
    x, y = ordinary(10)
    x[3:, 6], y[3:, 6] = np.nan, np.nan
    return with_scores(three.study("S01"), x, y)


def test_the_number_of_a_withheld_transition_does_not_follow_from_the_others(three, monkeypatch):
    study = late_session(three)
    assert left_over(shared(study, analyses=("lagged", "transition"))) == 33
    monkeypatch.setattr(verdicts, "_transitions_beside", lambda records, withheld, least: {})
    assert left_over(shared(study, analyses=("lagged", "transition"))) == 3


def left_over(records) -> int:
    """Transitions of x -> y that the main analysis has and the shown single transitions do not."""
    whole, parts = (
        sum(f.n_transitions for f in records[a].fits if f.direction == "x_to_y")
        for a in ("lagged", "transition")
    )
    return whole - parts


def test_a_site_learns_what_it_is_missing_from(twelve):
    records = shared(twelve)
    lines = missing(records, "alliance", "symptoms")
    lagged = next(line for line in lines if line.startswith("Lagged effects within patients"))
    assert lagged.endswith("(the main analysis): too few patients (nfilter.glm), at least 16 are needed")
    assert any(
        line.startswith("Do the effects depend") and "at least 22 are needed" in line for line in lines
    )
    named = {line.partition(" (")[0] for line in lines}
    assert len(named) == len(
        [a for a in ANALYSES if any("withheld" in f.reason for f in records[a].failures) and a != ONE_STAGE]
    )


def test_a_site_learns_that_both_directions_are_not_pooled_jointly(three):
    study = with_scores(three.study("S01"), *ordinary(3))
    joint = "Both directions pooled jointly"
    for one_sided, said in ((0, False), (3, True), (5, False)):
        records = shared(study, analyses=("lagged",), local=Local(one_sided))
        assert any(line.startswith(joint) for line in missing(records, "x", "y")) == said
