"""What a collection calls its persons and occasions."""

import pytest

from twostage.collection import read_collection
from twostage.problems import CollectionError
from twostage.words import PLAIN, Words, plural, say, speaking

CHILDREN = Words("child", "children", "day", "days", "baseline", "follow-up")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("A patient's mean over the sessions", "A child's mean over the days"),
        ("the patients' levels", "the children's levels"),
        ("within-patient, session-by-session", "within-child, day-by-day"),
        ("Sessions and patients", "Days and children"),
        ("the outcome, given intake", "the follow-up, given baseline"),
        ("an intake score", "a baseline score"),
        ("each patient's own line (patient)", "each child's own line (patient)"),
        ("`session` and sessions/S01.csv, n_patients, first_session=3", None),
        ("impatient obsessions", None),
    ],
)
def test_our_texts_in_their_words(ours, theirs):
    assert CHILDREN(ours) == (ours if theirs is None else theirs)
    assert PLAIN(ours) == ours


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("day", "days"),
        ("study", "studies"),
        ("class", "classes"),
        ("child", "children"),
        ("week of term", "week of terms"),
    ],
)
def test_plurals(one, many):
    assert plural(one) == many


@pytest.mark.parametrize(
    ("word", "said"), [("athlete", "an athlete"), ("user", "a user"), ("hour", "an hour")]
)
def test_articles(word, said):
    assert Words(person=word)("a patient") == said


def test_words_hold_while_they_are_spoken():
    with pytest.raises(ValueError), speaking(CHILDREN):
        assert say("patients") == "children"
        raise ValueError
    assert say("patients") == "patients"


def test_a_collection_names_them(small):
    file = small / "collection.yml"
    before = file.read_text()
    file.write_text(before + "words:\n  person: player\n  occasion: school day\n")
    words = read_collection(small).words
    assert (words.persons, words.occasions, words.start) == ("players", "school days", "intake")
    for wrong in ("person: '*player*'", "person: ''", "persn: player", "person: a\u200bb", "occasion: [day]"):
        file.write_text(before + f"words:\n  {wrong}\n")
        with pytest.raises(CollectionError, match="words"):
            read_collection(small)


def test_facts_that_other_fields_do_not_have_are_optional(small):
    file = small / "studies.csv"
    rows = [line.split(",") for line in file.read_text().splitlines()]
    gone = [rows[0].index(name) for name in ("setting", "treatment", "design")]
    file.write_text("\n".join(",".join(c for i, c in enumerate(row) if i not in gone) for row in rows) + "\n")
    assert set(read_collection(small).studies[["setting", "treatment", "design"]].to_numpy().ravel()) == {""}


def test_an_introduction_is_read_and_checked(small):
    assert read_collection(small).introduction == ""
    file = small / "introduction.md"
    file.write_text("Why we ask.\n\n- This\n- and that.\n")
    assert read_collection(small).introduction.startswith("Why we ask.")
    for wrong in (b"\xff", "a\u202eb".encode(), b"x" * 200_000):
        file.write_bytes(wrong)
        with pytest.raises(CollectionError, match=r"introduction\.md"):
            read_collection(small)
