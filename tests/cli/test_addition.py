"""The command that sets a study against the others: what it prints and writes, and its exit status."""

import json

import pytest
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.pages.common.leave import write_pooled


def invoke(*arguments):
    return CliRunner().invoke(app, ["addition", *map(str, arguments)])


@pytest.fixture
def project(tmp_path, monkeypatch, pooled):
    """A project with one finished run, as far as the command reads it."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_config.yml").write_text("")
    run = tmp_path / "runs" / "default"
    for name in ("lagged", "crosslevel", "outcome"):
        write_pooled(pooled[name], str(run / "output" / f"stage2_{name}"))
    (run / "inputs").mkdir()
    pair = {v: {"label": label} for v, label in (("x", "alliance"), ("y", "symptom severity"))}
    (run / "inputs" / "collection.json").write_text(json.dumps(pair))
    parameters = {"tau2_method": "REML", "ci_method": "hartung-knapp", "level": 0.95}
    (run / "run.json").write_text(json.dumps({"parameters": parameters}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_prints_sentences_and_a_table_and_writes_markdown(project):
    result = invoke("S02", "--markdown", "S02.md")
    assert (result.exit_code, result.stderr) == (0, "")
    for words in (
        "alliance → symptom severity (within",
        "expected by the",
        "τ² by REML",
        "written: S02.md",
    ):
        assert words in result.stdout
    text = (project / "S02.md").read_text(encoding="utf-8")
    assert text.startswith("## Synthetic study 02 (S02) against the others\n")
    assert sorted(p.name for p in project.iterdir()) == ["S02.md", "_config.yml", "notebooks", "runs"]


def test_a_run_may_be_a_path(project):
    assert invoke("S02", "--run", project / "runs" / "default").stdout == invoke("S02").stdout


def test_another_study_or_run_is_bad_input(project):
    result = invoke("S09")
    assert result.exit_code == 2
    assert "found 'S09'; expected one of S01, S02, S03" in result.stderr
    result = invoke("S02", "--run", "nothing")
    assert result.exit_code == 2
    assert "expected the folder of a run, as 'twostage run' leaves it" in result.stderr


def test_without_a_project_it_is_bad_input(tmp_path, monkeypatch):
    for place in ("project", "stage2.results"):
        monkeypatch.setattr(f"twostage.{place}.package_project", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert invoke("S02").exit_code == 2


def test_a_folder_that_cannot_be_written_is_a_failure(project):
    (project / "no").write_text("")
    result = invoke("S02", "--markdown", project / "no" / "S02.md")
    assert result.exit_code == 1
    assert "Traceback" not in result.output
