"""``twostage pull`` and ``twostage update`` as they are typed: what they say, and how they refuse."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from twostage.cli.app import app

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def say(*arguments: object):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_a_clinic_joins_by_its_pulled_results_and_the_update_says_what_that_changed(run, ours, tmp_path):
    first = say("update", ours, "--no-book", "--out", tmp_path / "run")
    assert first.exit_code == 0, first.output
    assert "the first release" in first.output
    pulled = say("pull", run, "--to", ours, "--prefix", "t_")
    assert pulled.exit_code == 0, pulled.output
    assert (
        "t_S02 (Synthetic study 02) was added, from Alliance and early symptoms (there S02)" in pulled.output
    )
    second = say("update", ours, "--no-book", "--out", tmp_path / "run")
    assert second.exit_code == 0, second.output
    assert "Studies joined: t_S01, t_S02, t_S03." in second.output
    assert "2 → 5" in second.output
    told = json.loads((ours / "releases" / "002" / "changes.json").read_text(encoding="utf-8"))
    assert told["studies"]["added"] == ["t_S01", "t_S02", "t_S03"]
    effects = (tmp_path / "run" / "results" / "effects.csv").read_text(encoding="utf-8")
    assert effects.count(",pulled,") == 3 * 28
    third = say("update", ours, "--finished", tmp_path / "run", "--since", 1)
    assert "nothing changed since release 2" in third.output
    assert "Studies joined" in third.output
    assert sorted(p.name for p in (ours / "releases").iterdir()) == ["001", "002"]


def test_refusals_have_status_2_and_reasons(run, ours, tmp_path):
    taken = say("pull", run, "--to", ours)
    assert taken.exit_code == 2
    assert "use --prefix" in taken.stderr
    assert "nothing was written" in taken.stderr
    nowhere = say("pull", tmp_path / "nowhere", "--to", ours)
    assert nowhere.exit_code == 2
    assert "a folder results/ that a run left" in nowhere.stderr
    none = say("update", ours, "--since", 3)
    assert none.exit_code == 2
    assert "there is no release yet" in none.stderr
    other = say("update", ours, "--finished", run)
    assert other.exit_code == 2
    assert "a run of all studies of" in other.stderr
