"""Differencing in every other record than the main analysis's, and the rules that no attack above switches off."""

import numpy as np
import pandas as pd
import pytest
from clinic import ordinary, shared, with_scores, without
from test_differencing import AS_THEY_ARE, HALF, PATIENTS, hits
from weapons import (
    deviation_of_one,
    few_patients,
    last_of_few,
    outcome_of_one,
    row_of_one,
    score_of_one,
    subtracted,
)

from twostage.sharing import disclosure, summaries
from twostage.sharing.layout import DEFAULT_DIGITS, MOST_DIGITS, DisclosureError
from twostage.sharing.local import Local
from twostage.stage1.panel import make_panel

#: Part of a standard deviation within which a score counts as found out: half a step of the scales here, or so.
PART = 0.1

#: The same where a rule is to stop it that leaves more: a quarter.
QUARTER = 0.25


def those(study, *analyses, local=None, **filters):
    """Records as they are shared, of scores as they are; nobody stands out, so it is not looked for (faster)."""
    return shared(study, AS_THEY_ARE, analyses, local or Local(), **filters)


@pytest.fixture(scope="module")
def study(three):
    """30 patients with intake and outcome."""
    x, y = ordinary(12)
    noise = np.random.default_rng(1).normal(0, 8, (2, 30))
    pre, post = np.round(y[:, 0] + 20 + noise[0]), np.round(y[:, 6] + noise[1])
    return with_scores(three.study("S01"), np.round(10 * x), y, pre=pre, post=post)


def by_one_patient(study, analyses, weapon, digits) -> float:
    """Share of patients found out by a bundle with them less one without."""
    whole = those(study, *analyses, digits=digits)
    found = [weapon(whole, those(without(study, p), *analyses, digits=digits), p) for p in PATIENTS]
    return float(np.mean([hit for of_one in found for hit in of_one]))


# --- differencing by one patient


def left_of(rows: pd.DataFrame, patient: str, term: str) -> float:
    """What the other predictors leave of one patient's: predicted from the other patients."""
    others = [name for name in ("x_within", "y_within", "x_mean", "y_mean") if name != term]
    own = (rows["patient"] == patient).to_numpy()
    Z = np.column_stack([np.ones(len(rows)), rows[others]])
    rest, mine = Z[~own], Z[own]
    e = rows.loc[own, term] - mine @ np.linalg.lstsq(rest, rows.loc[~own, term], rcond=None)[0]
    spread = np.eye(len(mine)) + mine @ np.linalg.inv(rest.T @ rest) @ mine.T
    return float(np.sqrt(e @ np.linalg.solve(spread, e)))


def from_variances(study, fitted, told, variant):
    """The attack by variances on a record, against what is true."""
    rows = make_panel(study, AS_THEY_ARE).transitions().dropna(subset=["y_next"])

    def weapon(whole, fewer, patient):
        pairs = [(records[fitted], records[told]) for records in (whole, fewer)]
        terms = ("x_within", "y_within")
        found = {term: deviation_of_one(*pairs, (variant, "x_to_y"), term) for term in terms}
        return [abs(found[term] - left_of(rows, patient, term)) <= HALF for term in terms]

    return weapon


def cross_level(study):
    """The attack on the main analysis, on this one."""
    return lambda whole, fewer, patient: hits(
        subtracted(whole["crosslevel"], fewer["crosslevel"]), study, patient
    )


def outcome(study):
    """Three correlations for three scores."""
    early = study.sessions[study.sessions["session"] <= 3].groupby("patient")["x"].mean()
    scores = study.patients.set_index("patient")[["pre", "post"]].assign(early=early)[
        ["early", "pre", "post"]
    ]

    def weapon(whole, fewer, patient):
        rest = scores.drop(index=patient)
        true = np.abs(((scores.loc[patient] - rest.mean()) / rest.std()).to_numpy())
        solutions = outcome_of_one(whole["outcome"], fewer["outcome"])
        return [any((np.abs(np.abs(z) - true) <= PART).all() for z in solutions)]

    return weapon


ATTACKS = {
    "crosslevel": (("crosslevel",), cross_level),
    "outcome": (("outcome",), outcome),
    "estimators": (
        ("lagged", "estimators"),
        lambda study: from_variances(study, "lagged", "estimators", "centred"),
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_by_one_patient_in_each_record(study, name):
    """Rounding is the rule; before it the list of what was shared, whose tests ask for every record alike."""
    analyses, attack = ATTACKS[name]
    assert by_one_patient(study, analyses, attack(study), MOST_DIGITS) == 1.0
    assert by_one_patient(study, analyses, attack(study), DEFAULT_DIGITS) < 0.35


# --- the covariance-structure models: they take everyone, also those who came once


def with_six_who_came_once(base, unit: float):
    """60 patients with lags, five sessions, and six with one score each; in units of a step or others."""
    rng = np.random.default_rng(3)
    n, x, y = 66, np.zeros((66, 5)), np.zeros((66, 5))
    levels, a, b = rng.normal([52, 60], [5, 10], (n, 2)), rng.normal(0, 4, n), rng.normal(0, 6, n)
    for t in range(5):
        x[:, t], y[:, t] = np.round(levels[:, 0] + a), np.round(levels[:, 1] + b)
        a, b = (
            0.3 * a - 0.05 * b + rng.normal(0, 4, n),
            0.3 * b - 0.2 * a + rng.normal(0, 6, n),
        )
    x[-6:, 1:], y[-6:] = np.nan, np.nan
    return with_scores(base, unit * x, unit * y), x[:, 0]


FIVE_SESSIONS = AS_THEY_ARE.model_copy(update={"last_session": 5})


def only_scores(base, variant, unit, digits) -> list[float]:
    """How far off the only scores of three patients are, in SDs of their session; empty if there is nothing to go by."""
    study, first = with_six_who_came_once(base, unit)
    sd, mean = np.nanstd(first, ddof=1), np.nanmean(first)

    def record(study):
        return shared(study, FIVE_SESSIONS, ("estimators",), Local(), digits=digits)["estimators"]

    whole, off = record(study), []
    for patient in (63, 64, 65):
        found = score_of_one(whole, record(without(study, f"P{patient}")), variant, unit * sd)
        off += [] if found is None else [abs(found / unit - abs(first[patient] - mean)) / sd]
    return off


#: Units in which the log-likelihood of these data is between -10 and 10, and two digits of it are exact.
NEAR_ZERO = {"riclpm": 0.0403, "dpm": 0.0399}


@pytest.mark.parametrize("variant", NEAR_ZERO)
@pytest.mark.parametrize("digits", [MOST_DIGITS, DEFAULT_DIGITS])
def test_the_likelihood_less_that_without_a_patient(three, monkeypatch, variant, digits):
    unit = 1.0 if digits == MOST_DIGITS else NEAR_ZERO[variant]
    assert only_scores(three.study("S01"), variant, unit, digits) == []
    monkeypatch.setattr(disclosure, "without_likelihoods", lambda records: records)
    found = only_scores(three.study("S01"), variant, unit, digits)
    assert len(found) == 3
    assert max(found) < QUARTER


# --- rules that the other attacks do not switch off


def test_the_one_row_by_which_the_two_directions_differ(study):
    """One bundle is enough: the same predictors, and one patient without y at the last session."""
    rows = study.sessions
    rows = rows.assign(y=rows["y"].mask((rows["patient"] == "P05") & (rows["session"] == 7)))
    study = type(study)(**{**study.__dict__, "sessions": rows})
    panel = make_panel(study, AS_THEY_ARE).transitions()
    only = panel["y_next"].isna()
    assert only.sum() == 1
    true = (panel[only].iloc[0] - panel[~only].mean(numeric_only=True)).abs()
    assert row_of_one(those(study, "lagged", local=Local(1), digits=MOST_DIGITS)["lagged"]) is None
    found = row_of_one(those(study, "lagged", local=Local(0), digits=MOST_DIGITS)["lagged"])
    assert found.to_numpy() == pytest.approx(true[found.index].to_numpy(float), abs=0.01)


@pytest.mark.parametrize("one_sided", [3, 6])
def test_the_common_matrix_counts_those_in_one_direction(three, monkeypatch, one_sided):
    """Three patients have no y after any of their sessions with both; beside them, three others lack a single one."""
    x, y = ordinary(14, n=33)
    for patient in range(one_sided):
        y[patient, 1] = np.nan
        if patient < 3:
            x[patient, [2, 4, 5]], y[patient, [2, 4, 5]] = np.nan, np.nan
    study = with_scores(three.study("S01"), x, y)

    def few():
        joint = those(study, "lagged", local=Local(one_sided))["lagged"].joint_covariances
        return [c.n_patients - c.n_both for c in joint]

    assert few() == []
    monkeypatch.setattr(disclosure, "tells_of_few", lambda record, withholds, least: False)
    assert few() == [3]


def test_the_counts_of_a_few(three, monkeypatch):
    """Two patients came once; three are left at the last session but one, and 28 at the second."""
    x, y = ordinary(15, n=32)
    x[30:, 1:], y[30:, 1:] = np.nan, np.nan
    x[28:30, 1], y[28:30, 1] = np.nan, np.nan
    x[3:, 5], y[3:, 5] = np.nan, np.nan
    study = with_scores(three.study("S01"), x, y)
    assert few_patients(those(study)["data"], 5) == set()
    monkeypatch.setattr(summaries.Counts, "allows", lambda self, n, total=False: True)
    assert {2, 3, 4} <= few_patients(those(study)["data"], 5)


def test_the_last_of_a_handful(three, monkeypatch):
    """A study of six is not shared: who knows five of them, as their therapist does, has the sixth."""
    study = with_scores(three.study("S01"), *ordinary(16, n=6))
    first = study.sessions[study.sessions["session"] == 1].set_index("patient")["y"]
    with pytest.raises(DisclosureError, match="nfilter.subset"):
        those(study)
    monkeypatch.setattr(disclosure, "_panel_size", lambda records, filters: 6)
    found = last_of_few(those(study), first.drop("P03").sum())
    assert abs(found - first["P03"]) < QUARTER * first.std()
