"""What a collection says of how its review was done: read as it stands, or refused by name."""

import pytest
import yaml

from twostage.collection import StudiesFound, read_collection, validate_collection


def say(collection, review) -> None:
    path = collection / "collection.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8")) | {"review": review}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def judge(collection, *rows: str) -> None:
    lines = ["study,domain,judgement,reason", *rows, ""]
    (collection / "risk_of_bias.csv").write_text("\n".join(lines), encoding="utf-8")


def test_statements_and_counts(small):
    say(small, {"protocol": " OSF, *first* version\n", "studies": {"identified": 812, "sought": 25}})
    review = read_collection(small).review
    assert review.protocol == "OSF, *first* version"
    assert review.search == ""
    assert review.studies == StudiesFound(identified=812, sought=25)


def test_who_says_nothing_states_nothing(small):
    collection = read_collection(small)
    assert collection.risk_of_bias is None
    assert collection.review.studies == StudiesFound()


@pytest.mark.parametrize(
    ("review", "column", "expected"),
    [
        ({"protocoll": "x"}, "review.protocoll", "only keys that a collection has"),
        ({"search": ["a", "b"]}, "review.search", "a text"),
        ({"studies": {"identified": "many"}}, "review.studies.identified", "a whole number"),
        ({"studies": {"identified": -1}}, "review.studies.identified", "at least 0"),
        ({"studies": {"screened": 20, "sought": 21}}, "review.studies", "sought at most screened, 20"),
    ],
)
def test_what_cannot_be_is_named(small, review, column, expected):
    say(small, review)
    found = [p for p in validate_collection(small) if p.column == column]
    assert found and expected in found[0].expected, validate_collection(small)


def test_judgements_are_read_as_text(small):
    judge(small, "S01,1,low,", "S01,missing data,some concerns,many left")
    judged = read_collection(small).risk_of_bias
    assert judged["domain"].tolist() == ["1", "missing data"]
    assert judged["reason"].tolist() == ["", "many left"]


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        ("S01,d,medium,", "judgement", "one of low, some concerns, high, no information"),
        ("S77,d,low,", "study", "a study of studies.csv"),
        ("S01,,low,", "domain", "a domain of the tool"),
        ("S02,d,high,again", "domain", "each domain once"),
    ],
)
def test_judgements_that_cannot_be_used_are_named(small, row, column, expected):
    judge(small, "S02,d,low,", row)
    found = [
        p for p in validate_collection(small) if (p.file, p.row, p.column) == ("risk_of_bias.csv", 3, column)
    ]
    assert found and expected in found[0].expected, validate_collection(small)
