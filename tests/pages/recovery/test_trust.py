"""How far the main analysis can be trusted: the sentences are those of the stored numbers, and say which way it errs."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from twostage.collection import read_collection
from twostage.display import percent, percent_of
from twostage.pages.common.tables import NO_EFFECT
from twostage.pages.recovery.tables import best_estimator_table
from twostage.pages.recovery.trust import ERRS, KNEW, NOT_RUN, OTHER_STUDIES, errs_sentence, trust_sentences
from twostage.recovery.conditions import CONDITIONS
from twostage.recovery.store import Recovery, read_recovery
from twostage.recovery.verdict import Z, best_calibrated, kinds, nearest_kind
from twostage.terms import DIRECTIONS, ESTIMATORS, HEADLINE, arrow, estimator_words
from twostage.words import Words, speaking

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def default():
    return read_collection(REPOSITORY / "data")


@pytest.fixture(scope="module")
def stored(default):
    return read_recovery(default)


def an_effect(estimator, direction, term):
    return replace(
        NO_EFFECT, studies=2, estimate=f"{estimator} {direction} {term}", ci="[1.00, 2.00]", level="95"
    )


def test_what_an_estimator_knew_in_the_replicates_is_said(default, stored):
    said = trust_sentences(stored, default, lambda *key: NO_EFFECT)
    best = best_calibrated(stored, nearest_kind(stored, default.condition))
    assert best != HEADLINE
    assert f"In these data it could not be estimated.{KNEW.get(best, '')}" in said
    assert KNEW.get(best, "") in trust_sentences(stored, default, an_effect)
    assert "not estimated in any study" not in said


def test_the_first_screen_has_the_same_shares_in_fewer_words(default, stored):
    brief, whole = (trust_sentences(stored, default, an_effect, brief=b) for b in (True, False))
    kind = nearest_kind(stored, default.condition)
    shares = [
        percent(stored.row(condition, HEADLINE, d.name, d.cross)[measure])
        for condition, measure in ((kind.name, "coverage"), (f"{kind.name}_null", "rejection"))
        for d in DIRECTIONS.values()
    ]
    assert (
        f"held the truth in {shares[0]} and {shares[1]}, and excluded zero in {shares[2]} and {shares[3]}"
        in brief
    )
    assert all(share in whole for share in shares) and kind.words in brief
    assert "best calibrated" not in brief and len(brief) < 0.8 * len(whole)
    assert brief.endswith(stored.caution())


def test_every_number_is_the_stored_study_s(default, stored):
    """The sentences name the shares of both directions, with effects and without, of both estimators."""
    said = trust_sentences(stored, default, an_effect)
    kind = nearest_kind(stored, default.condition)
    best = best_calibrated(stored, kind)
    expected = []
    for estimator in dict.fromkeys([HEADLINE, best]):
        for condition, measure in ((kind.name, "coverage"), (f"{kind.name}_null", "rejection")):
            for d in DIRECTIONS.values():
                row = stored.row(condition, estimator, d.name, d.cross)
                share = percent_of(row[measure], row["n_replicates"])
                expected.append(f"{share} ({arrow(d.name, default.x.label, default.y.label)})")
    places = [said.index(text) for text in expected]
    assert places == sorted(places)
    assert "± 0.0" not in said
    assert kind.words in said
    if best != HEADLINE:
        assert estimator_words(best) in said
        assert f"{best} x_to_y x_within" in said and f"{best} y_to_x y_within" in said


@pytest.mark.parametrize("way", [-1, 1])
def test_the_side_to_which_it_errs_is_that_of_the_bias(default, stored, way):
    kind = nearest_kind(stored, default.condition)
    s = stored.summary.copy()
    here = (s["condition"] == kind.name) & (s["estimator"] == HEADLINE)
    s.loc[here, "bias"] = way * 0.02 * s["truth"].map(lambda t: 1 if t > 0 else -1)
    said = trust_sentences(replace(stored, summary=s), default, an_effect)
    assert ("erred away from zero where" in said) == (way == 1)
    assert ("erred toward zero where" in said) == (way == -1)


def test_which_way_it_errs_in_general_is_what_the_stored_study_found(stored):
    """Each part of the sentence that the book, the paper and the README have, against the stored numbers."""
    for d in DIRECTIONS.values():
        auto = stored.row("plain", HEADLINE, d.name, d.auto)
        assert auto["bias"] < -Z * auto["bias_mcse"]
        cross = stored.row("plain", HEADLINE, d.name, d.cross)
        assert cross["bias"] * cross["truth"] < 0 and abs(cross["bias"]) > Z * cross["bias_mcse"]
        for name in ("shared_trends_null", "measurement_error_null", "error_and_trends_null"):
            row = stored.row(name, HEADLINE, d.name, d.cross)
            if row is not None:
                assert row["rejection"] > 0.05 + Z * row["rejection_mcse"], name


@pytest.mark.parametrize("file", ["README.md", "book/index.md", "book/discussion.md", "book/paper.md.j2"])
def test_nobody_says_that_it_errs_toward_zero_only(file):
    text = " ".join((REPOSITORY / file).read_text(encoding="utf-8").split())
    own = text.replace(" ".join(ERRS.split("few sessions ")[1].split()), "")
    assert "biased toward zero" not in own and "effects toward zero" not in own
    assert ("{{ errs() }}" in text) or "it finds effects that are not there" in text


def test_without_a_study_of_these_studies_that_is_said(default, stored):
    assert trust_sentences(None, default, an_effect) == NOT_RUN
    assert trust_sentences(replace(stored, other_design=True), default, an_effect) == OTHER_STUDIES
    empty = replace(stored, summary=stored.summary.iloc[:0])
    assert trust_sentences(empty, default, an_effect) == NOT_RUN


def test_a_kind_of_data_that_is_not_stored_is_named(default, stored):
    s = stored.summary
    bare = replace(stored, summary=s[s["condition"].isin(["plain", "plain_null"])])
    said = trust_sentences(bare, replace(default, condition="floors"), an_effect)
    assert 'does not have the condition "floors"' in said and CONDITIONS["plain"].words in said


def test_results_that_are_out_of_date_are_called_so(default, stored):
    said = trust_sentences(replace(stored, older_code=True), default, an_effect)
    assert "out of date" in said


def test_other_fields_words_and_the_collections_own_names(default, stored):
    """The project's words become the collection's; names that the collection gives stay as they are."""
    x = replace(default.x, label="patient activity")
    games = replace(default, x=x, condition="dropout")
    with speaking(Words("player", "players", "day", "days", "start", "end")):
        said = trust_sentences(stored, games, an_effect) + errs_sentence()
    assert "players with a higher y leave earlier" in said and "few days" in said
    assert "patient activity → symptom severity" in said
    assert not re.search(r"patients|sessions?\b", said)


def test_the_main_analysis_has_a_row_beside_each_that_is_believed(stored):
    table = best_estimator_table(stored)
    main = f"for comparison: {estimator_words(HEADLINE)}"
    for _, rows in table.groupby("if your data look like this"):
        assert list(rows["believe"])[-1] in (
            main,
            estimator_words(HEADLINE),
            f"none; nearest: {estimator_words(HEADLINE)}",
        )
    row = table[table["believe"] == main].iloc[0]
    (name,) = [c.name for c, _ in kinds() if c.words == row["if your data look like this"]]
    coverage = min(stored.row(name, HEADLINE, d.name, d.cross)["coverage"] for d in DIRECTIONS.values())
    assert row["coverage"] == percent(coverage, 1)


def test_who_is_calibrated_is_said_to_be(default):
    rows = []
    for e in ESTIMATORS:
        for name in ("realistic", "realistic_null"):
            for d in DIRECTIONS.values():
                row = {"condition": name, "estimator": e, "direction": d.name, "term": d.cross, "truth": -0.1}
                row |= {"n_replicates": 100, "bias": 0.0, "bias_mcse": 0.1, "rmse": 0.1}
                row |= {"coverage": 0.95, "coverage_mcse": 0.02, "rejection": 0.05, "rejection_mcse": 0.02}
                rows.append(row)
    study = Recovery(pd.DataFrame(rows), {}, older_code=False, other_design=False)
    said = trust_sentences(study, default, an_effect)
    assert "No estimator was better calibrated." in said and "to neither side" in said
    s = study.summary
    s.loc[(s["estimator"] == HEADLINE) & (s["condition"] == "realistic"), "coverage"] = 0.1
    s.loc[s["estimator"] != HEADLINE, "rmse"] = s["estimator"].map(lambda e: 0.05 if e == "dpm" else 0.06)
    said = trust_sentences(study, default, an_effect)
    assert "dynamic panel model" in said and "not what its interval claims" not in said
    s.loc[s["condition"] == "realistic", "coverage"] = s["estimator"].map(
        lambda e: 0.4 if e == "dpm" else 0.3
    )
    assert "not what its interval claims" in trust_sentences(study, default, an_effect)
