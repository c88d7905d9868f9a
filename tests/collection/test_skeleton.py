"""An empty collection is valid, says that it is empty, and is never written over something."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.collection.collection import read_collection, validate_collection
from twostage.collection.settings import VariableSettings
from twostage.collection.skeleton import NOTE, Pair, new_collection
from twostage.pipeline.inputs import prepare
from twostage.problems import CollectionError


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def variable(name: str, better: str = "higher") -> VariableSettings:
    return VariableSettings(name=name, label=f"{name}: a 'label' # with marks", better=better)


def write_note(folder: Path) -> None:
    file = folder / "collection.yml"
    file.write_text(file.read_text().replace(NOTE, "Made for a test."))


def test_it_is_valid_and_names_its_pair(tmp_path):
    folder = new_collection(tmp_path / "deep" / "new", Pair(variable("sleep"), variable("mood", "lower")))
    assert validate_collection(folder) == ()
    collection = read_collection(folder)
    assert collection.studies.empty
    assert (collection.x.name, collection.y.name, collection.y.better) == ("sleep", "mood", "lower")
    assert collection.x.label == "sleep: a 'label' # with marks"
    assert not collection.synthetic
    assert {"sleep", "mood"} <= set(collection.dictionary["variable"])
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "README.md",
        "collection.yml",
        "dictionary.csv",
        "studies.csv",
    ]


def test_the_command_and_what_validate_says_of_it(tmp_path):
    result = invoke("new-collection", tmp_path / "new", "--x", "sleep", "--y", "mood", "--y-better", "higher")
    assert result.exit_code == 0, result.output
    assert "next: twostage import FILE --to" in result.stdout
    result = invoke("validate", tmp_path / "new")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"collection.yml, key 'note': found '{NOTE}'; expected a note of your own"
    )
    write_note(tmp_path / "new")
    result = invoke("validate", tmp_path / "new")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'new'}: no problem; no study yet (twostage import adds one)\n"


def test_an_analysis_of_no_study_is_refused(tmp_path):
    folder = new_collection(tmp_path / "new", Pair(variable("sleep"), variable("mood")))
    with pytest.raises(
        CollectionError, match=r"studies\.csv, column 'study': found 'no study yet'; expected at least"
    ):
        prepare(tmp_path, tmp_path / "run", folder, {}, "test")
    with pytest.raises(CollectionError, match="key 'note': found 'Say here"):
        prepare(tmp_path, tmp_path / "run", folder, {}, "test")
    write_note(folder)
    with pytest.raises(CollectionError) as caught:
        prepare(tmp_path, tmp_path / "run", folder, {}, "test")
    assert [p.column for p in caught.value.problems] == ["study"]
    assert not (tmp_path / "run").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    result = invoke("new-collection", tmp_path)
    assert result.exit_code == 2
    assert "found 'something there'; expected no folder, or an empty one" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "new").mkdir()
    assert invoke("new-collection", tmp_path / "new").exit_code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("x", "y"), [("age", "mood"), ("mood", "mood"), ("", "mood"), (" a", "mood"), ("a\nb", "mood")]
)
def test_names_that_columns_cannot_have_are_refused(tmp_path, x, y):
    result = invoke("new-collection", tmp_path / "new", "--x", x, "--y", y)
    assert result.exit_code == 2
    assert "expected a column's name, none of patient, session" in result.stderr
    assert list(tmp_path.iterdir()) == []
