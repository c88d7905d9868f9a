"""A tutorial shows a command with its answer, and fails when the command does."""

from pathlib import Path

import pytest
import yaml

from twostage.notebooks import TUTORIALS
from twostage.simulation.examples import ItemKey, fill_in_items
from twostage.tutorial import PROJECT, WIDTH, TutorialError, Workshop

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def workshop(tmp_path):
    return Workshop(str(tmp_path / "new"), REPOSITORY)


def test_command_is_shown_with_its_answer_and_no_place_of_this_machine(workshop, capsys):
    workshop.run("twostage simulate --out 'a b' --studies 1 --patients 20")
    assert capsys.readouterr().out == (
        "$ twostage simulate --out 'a b' --studies 1 --patients 20\na b: 1 synthetic study, 20 patients\n"
    )
    assert (workshop.folder / "a b" / "studies.csv").is_file()
    workshop.run("twostage run 'a b' -p last_session=3 --no-book")
    out = capsys.readouterr().out
    assert str(workshop.folder.parent) not in out
    assert "k = 1" in out


def test_command_that_fails_stops_the_tutorial(workshop, capsys):
    with pytest.raises(TutorialError, match="exit status 2, not 0"):
        workshop.run("twostage validate nowhere")
    workshop.run("twostage validate nowhere", status=2)
    assert capsys.readouterr().out.count("no such folder") == 2
    with pytest.raises(TutorialError, match="exit status 0, not 2"):
        workshop.run("twostage params", status=2)
    with pytest.raises(TutorialError, match="expected a command of twostage"):
        workshop.run("rm -rf .")


def test_files_are_shown_from_a_line_on(workshop, capsys):
    (workshop.folder / "a.yml").write_text("1\n2\n3\n")
    workshop.show("a.yml", last=2)
    assert capsys.readouterr().out == "... (1 lines before)\n2\n3\n"
    workshop.show("a.yml")
    assert capsys.readouterr().out == "1\n2\n3\n"


def test_long_lines_are_continued_and_rows_of_tables_are_not(workshop, capsys):
    sentence, row = "  - " + "word " * 30, "effect" + " " * 60 + "0.1  " + "0.2" + " " * 30 + "0.3"
    (workshop.folder / "long.txt").write_text(f"{sentence}\n{row}\n\nend\n", encoding="utf-8")
    workshop.show("long.txt")
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert len(first) <= WIDTH and first.startswith("  - word") and second.startswith("      word")
    assert f"{first} {second.strip()}".split() == sentence.split()
    assert rest == [row, "", "end"]


def test_a_part_of_a_file_and_the_first_lines_of_an_answer(workshop, capsys):
    (workshop.folder / "a.yml").write_text("a:\n  1\n\nb:\n  2\n  3\n\nc:\n")
    workshop.show("a.yml", part="b:")
    assert capsys.readouterr().out == "b:\n  2\n  3\n"
    workshop.run("twostage params", first=1)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "$ twostage params"
    assert (len(shown), shown[-1].endswith("lines more)")) == (3, True)


def test_collections_that_hold_the_same_study_and_some_that_do_not(workshop, capsys):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        workshop.run(f"twostage simulate --out {name} --studies 1 --patients 20 --seed {seed}")
    capsys.readouterr()
    workshop.same("S01", "a", "b")
    assert capsys.readouterr().out.count("the same, byte by byte, in a, b") == 3
    with pytest.raises(TutorialError, match=r"sessions/S01\.csv: expected the same in a, b, c"):
        workshop.same("S01", "a", "b", "c")
    registry = workshop.folder / "b" / "studies.csv"
    registry.write_text(registry.read_text().replace("S01,Synthetic", "S01,Other"))
    with pytest.raises(TutorialError, match="the row S01 of studies"):
        workshop.same("S01", "a", "b")


@pytest.mark.parametrize(
    "proposed",
    [
        "  column: FILL IN\n",
        "  items: ['a_{session}',\n      'b_{session}']\n  score: FILL IN\n  reversed: []\n  item_min: FILL IN\n",
    ],
)
def test_the_key_of_items_takes_the_place_of_what_was_proposed(proposed):
    key = ItemKey(items=2, item_min=1, item_max=5, reversed=(2,))
    text = fill_in_items(f"x:  # look like items\n{proposed}\ny:\n  column: FILL IN\n", key)
    items = ["wai_i1_{session}", "wai_i2_{session}"]
    assert yaml.safe_load(text) == {
        "x": {"items": items, "score": "sum", "reversed": items[1:], "item_min": 1, "item_max": 5},
        "y": {"column": "FILL IN"},
    }


def test_a_file_of_each_kind_is_imported_in_the_tutorial():
    text = (REPOSITORY / "notebooks" / "tutorial_researcher.ipynb").read_text(encoding="utf-8")
    for file in ("clinic.sav", "clinic.xlsx", "items.csv"):
        assert f"twostage import {file} --to" in text


def test_workshop_is_a_project_of_its_own_and_takes_no_used_folder(workshop, monkeypatch):
    assert sorted(p.name for p in workshop.folder.iterdir()) == sorted(PROJECT)
    with pytest.raises(TutorialError, match="new or empty"):
        Workshop(str(workshop.folder), workshop.folder)
    # A notebook that is opened where it lies finds the project upwards; without one it says so.
    monkeypatch.chdir(workshop.folder / "notebooks")
    temporary = Workshop()
    place = temporary.folder
    assert (place / "_config.yml").is_file()
    del temporary
    assert not place.exists()


def test_without_a_project_a_tutorial_says_so(monkeypatch):
    monkeypatch.setattr("twostage.tutorial.project_folder", lambda start: None)
    with pytest.raises(TutorialError, match="expected the project's folder or one in it"):
        Workshop()


def test_there_is_a_tutorial():
    assert "tutorial_methodologist" in [notebook.name for notebook in TUTORIALS]
