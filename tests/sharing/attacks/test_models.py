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
from twostage.sharing.verdicts import WITHHELD


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


def test_the_transitions_are_of_one_model_and_tell_no_count_of_one(three):
    """What a model of each transition told: how many came to each session, the last by subtraction."""
    study = with_scores(three.study("S01"), *ordinary(10, n=80))
    record = shared(study, analyses=("transition",))["transition"]
    assert len({(e.n_patients, e.n_transitions) for e in record.estimates}) == 1
    assert len(record.fits) == 12
    few = shared(study, analyses=("transition",), glm=0.2)["transition"]
    assert few.fits == ()
    assert {f.reason for f in few.failures} == {
        f"{WITHHELD}too few patients (nfilter.glm), at least 95 are needed"
    }


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
