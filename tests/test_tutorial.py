"""A tutorial shows a command with its answer, and fails when the command does."""

from pathlib import Path

import pytest

from twostage.params import TUTORIALS
from twostage.tutorial import PROJECT, TutorialError, Workshop

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def workshop(tmp_path):
    return Workshop(str(tmp_path / "new"), REPOSITORY)


def test_command_is_shown_with_its_answer_and_no_place_of_this_machine(workshop, capsys):
    workshop.run("twostage simulate --out 'a b' --studies 1 --patients 20")
    assert capsys.readouterr().out == (
        "$ twostage simulate --out 'a b' --studies 1 --patients 20\na b: 1 synthetic studies, 20 patients\n"
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


def test_workshop_is_a_project_of_its_own_and_takes_no_used_folder(workshop):
    assert sorted(p.name for p in workshop.folder.iterdir()) == sorted(PROJECT)
    with pytest.raises(TutorialError, match="new or empty"):
        Workshop(str(workshop.folder), workshop.folder)
    temporary = Workshop(project=workshop.folder)
    place = temporary.folder
    assert (place / "_config.yml").is_file()
    del temporary
    assert not place.exists()


def test_there_is_a_tutorial():
    assert "tutorial_methodologist" in TUTORIALS
