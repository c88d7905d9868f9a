"""The command line: what it says, its exit status, and that bad input leaves nothing behind."""

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.notebooks import parameter_table
from twostage.records.analyse import MAIN

PROJECT = Path(__file__).resolve().parents[2]


def invoke(*arguments: str):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def entries(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def spoil(collection: Path) -> None:
    """Two problems, in two files."""
    for name, old, new in (("sessions/S02.csv", "p0001,1,", "p0001,x,"), ("studies.csv", "Germany", "")):
        text = (collection / name).read_text()
        assert old in text
        (collection / name).write_text(text.replace(old, new, 1))


def test_a_good_collection_ends_with_status_0(small):
    result = invoke("validate", small)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{small}: no problem\n"


def test_each_problem_is_one_line_and_the_status_is_2(small):
    spoil(small)
    result = invoke("validate", small)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "studies.csv, row 3, column 'country': found ''; expected a country",
        "sessions/S02.csv, row 2, column 'session': found 'x'; expected a whole number, 0 or more",
        f"{small}: 2 problems",
    ]


@pytest.mark.parametrize("command", ["validate", "run"])
def test_bad_input_ends_with_status_2_without_a_traceback_or_a_file(small, command):
    spoil(small)
    project = small.parent
    (project / "notebooks").mkdir()
    (project / "_config.yml").write_text("")
    before = entries(project)
    done = subprocess.run(
        [sys.executable, "-m", "twostage", command, "small"],
        capture_output=True,
        text=True,
        check=False,
        cwd=project,
    )
    assert done.returncode == 2, done.stderr
    assert "studies.csv, row 3, column 'country': found ''; expected a country" in done.stderr
    assert (done.stderr.splitlines()[-1] == "nothing was written") is (command == "run")
    assert "Traceback" not in done.stderr
    assert entries(project) == before


def test_many_problems_of_a_kind_are_one_line_unless_asked_for(small):
    text = (small / "studies.csv").read_text()
    (small / "studies.csv").write_text(text.replace("HSCL-11,1,4,1", "HSCL-11,1,2,1"))
    short, whole = invoke("validate", small), invoke("validate", small, "--all-problems")
    assert (short.exit_code, whole.exit_code) == (2, 2)
    lines = whole.stderr.splitlines()
    assert len(lines) > 40
    assert len(short.stderr.splitlines()) < 6
    assert short.stderr.splitlines()[0].startswith(lines[0] + "; and ")
    assert short.stderr.splitlines()[-1] == f"{lines[-1]} (each of them: --all-problems)"


def test_wrong_parameters_are_called_parameters_and_nothing_is_written(small):
    before = entries(small)
    result = invoke("run", small, "-p", "lagg=2", "--out", small / "run")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[1].startswith(
        "  - -p, parameter 'lagg': found 2; expected a known parameter"
    )
    assert result.stderr.endswith("\nnothing was written\n")
    result = invoke("run", small, "--params", "none.yml", "--out", small / "run")
    assert result.exit_code == 2
    assert "  - none.yml: found 'No such file or directory'; expected a file with lines like" in result.stderr
    assert entries(small) == before


def test_the_same_data_twice_are_reported_and_a_run_warns(small, tmp_path):
    rows = (small / "studies.csv").read_text()
    (row,) = re.findall(r"(?m)^S02,.*\n", rows)
    (small / "studies.csv").write_text(rows + row.replace("S02,Synthetic study 02", "S04,Another name"))
    for kind in ("sessions", "patients"):
        (small / kind / "S04.csv").write_bytes((small / kind / "S02.csv").read_bytes())
    result = invoke("validate", small)
    assert result.exit_code == 2
    assert "studies.csv, row 5, column 'study': found 'S04, with the same scores as S02'" in result.stderr
    assert invoke("validate", small, "--same-data").exit_code == 0
    result = invoke("run", small, "--no-book", "--out", tmp_path / "run")
    assert result.exit_code == 0
    assert result.stderr == "warning: S02 and S04 have the same data: pools count these patients twice\n"


def test_a_run_from_elsewhere_finds_the_project_and_says_so(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("run", "small", "--no-book", "-p", "last_session=3", "--out", tmp_path / "run")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"project: {PROJECT}\n")
    monkeypatch.setattr("twostage.project.package_project", lambda: None)
    result = invoke("run", "small", "--no-book")
    assert result.exit_code == 2
    assert "go to that folder and give the command again" in result.stderr
    result = invoke("run", "small", "--project", PROJECT, "--no-book", "--out", tmp_path / "other")
    assert result.exit_code == 0
    assert (tmp_path / "other" / "output").is_dir()


def test_the_tables_of_some_studies_only(small, tmp_path):
    arguments = ("run", small, "--no-book", "--study", "S03", "--out", tmp_path / "run")
    # The first run makes the folder that names the part, the second finds it.
    for _ in range(2):
        result = invoke(*arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        assert "k = 1" in result.stdout
        assert entries(tmp_path / "run" / "records") == sorted(
            ["S03", *(f"S03/{analysis}.json" for analysis in MAIN)]
        )
    wrong = invoke(*arguments, "--study", "S9")
    assert wrong.exit_code == 2
    assert "found 'S9'; expected one of S01, S02, S03" in wrong.stderr


def test_a_folder_that_is_not_there_is_bad_input(tmp_path):
    result = invoke("validate", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "no such folder" in result.stderr
    assert "twostage new-collection FOLDER makes one" in result.stderr


def test_simulate_writes_a_collection_that_is_valid(tmp_path):
    folder = tmp_path / "new" / "small"
    result = invoke("simulate", "--out", folder, "--studies", 2, "--patients", 40, "--seed", 3)
    assert result.exit_code == 0
    assert result.stdout == f"{folder}: 2 synthetic studies, 40 patients\n"
    assert entries(tmp_path / "new") == sorted(["small", *(f"small/{e}" for e in entries(folder))])
    assert invoke("validate", folder).exit_code == 0


def test_simulate_keeps_what_is_there_unless_told_otherwise(small):
    arguments = ("simulate", "--out", small, "--studies", 2, "--patients", 40)
    before = entries(small)
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "found a folder of this name" in result.stderr
    assert entries(small) == before
    assert invoke(*arguments, "--force").exit_code == 0
    assert entries(small) != before


def test_simulate_never_replaces_what_is_no_synthetic_collection(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    result = invoke("simulate", "--out", tmp_path, "--force")
    assert result.exit_code == 2
    assert "no synthetic collection" in result.stderr
    assert entries(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize(
    "arguments",
    [("--studies", "18"), ("--studies", "3", "--patients", "5"), ("--seed", "-1"), ("--seeds", "1")],
)
def test_impossible_arguments_are_bad_input(tmp_path, arguments):
    result = invoke("simulate", "--out", tmp_path / "new", *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert entries(tmp_path) == []


def test_a_disk_that_fails_is_a_failure_not_bad_input(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("twostage.simulation.write_collection", full)
    result = invoke("simulate", "--out", tmp_path / "new", "--studies", 1)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr


COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_the_command_understands(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    _, found, text = result.stdout.partition("Examples:\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert found and lines, f"{command} --help has no examples"
    of_command = get_command(app).commands[command]
    for line in lines:
        # What follows is the shell's, or another command.
        words = shlex.split(line, comments=True)
        words = words[: next((i for i, word in enumerate(words) if word in {"&&", ">", "|"}), None)]
        assert words[:2] == ["twostage", command], line
        of_command.make_context(command, words[2:])


def test_table_of_parameters_in_each_format():
    table = parameter_table().astype(str)
    as_csv = pd.read_csv(io.StringIO(invoke("params", "--format", "csv").stdout), dtype=str, na_filter=False)
    assert as_csv.equals(table.astype(as_csv.dtypes))
    as_json = json.loads(invoke("params", "--format", "json").stdout)
    assert as_json == json.loads(parameter_table().to_json(orient="records"))
    markdown = invoke("params", "--format", "md").stdout.splitlines()
    assert len(markdown) == 2 + len(table)
    assert all(re.sub(r"\\\|", "", line).count("|") == table.shape[1] + 1 for line in markdown)
    plain = invoke("params").stdout
    for row in table.itertuples():
        assert re.search(rf"^{row.parameter} +{re.escape(row.meaning.split()[0])}", plain, re.MULTILINE)
    assert invoke("params", "--format", "xml").exit_code == 2


def test_shells_can_complete_commands_and_parameters(monkeypatch):
    def complete(words: str) -> list[str]:
        environment = {"_TWOSTAGE_COMPLETE": "complete_bash", "COMP_WORDS": words}
        environment["COMP_CWORD"] = str(len(words.split(" ")) - 1)
        return CliRunner().invoke(app, [], prog_name="twostage", env=environment).stdout.split()

    assert "validate" in complete("twostage va")
    assert complete("twostage run -p last") == ["last_session="]
    assert "--study" in complete("twostage run --stu")


def test_tables_only_leave_the_notebooks_and_the_book_of_a_run_alone(small, tmp_path):
    run = tmp_path / "run"
    (run / "html").mkdir(parents=True)
    (run / "html" / "index.html").write_text("a book")
    assert invoke("run", small, "--no-book", "--out", run).exit_code == 2
    (run / "run.json").write_text(
        json.dumps({"project": ".", "collection": "c", "parameters": {}, "studies": []})
    )
    before = entries(run)
    result = invoke("run", small, "--no-book", "--out", run)
    assert result.exit_code == 2
    assert "has notebooks or a book, which would lose their tables" in result.stderr
    assert entries(run) == before


def test_all_studies_but_one(small, tmp_path):
    result = invoke("run", small, "--without", "S2", "--no-book", "--out", tmp_path / "r")
    assert result.exit_code == 2
    assert "did you mean 'S02'?" in result.stderr
    result = invoke("run", small, "--without", "S02", "--study", "S01", "--out", tmp_path / "r")
    assert (result.exit_code, "expected one of them" in result.stderr) == (2, True)
    assert invoke("run", small, "--without", "S02", "--no-book", "--out", tmp_path / "r").exit_code == 0
    studies = json.loads((tmp_path / "r" / "run.json").read_text())["studies"]
    assert "S02" not in studies and len(studies) == 2


def test_where_nothing_can_be_estimated_it_is_said_why(small, tmp_path):
    result = invoke("run", small, "--no-book", "-p", "last_session=2", "--out", tmp_path / "r")
    assert result.exit_code == 1
    assert "nothing could be estimated: the window of sessions 1 to 2 has 2 sessions, and min_sessions=3" in (
        result.stderr
    )
    assert (
        "not in the pool (lagged): S01, S02, S03: 0 transitions are too few for 5 coefficients"
        in result.stdout
    )


def test_sessions_that_the_window_misses_are_said(small):
    file = small / "collection.yml"
    content = yaml.safe_load(file.read_text())
    content["parameters"] = {"last_session": 3}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    result = invoke("validate", small)
    assert result.exit_code == 0
    assert "note: S01: sessions are numbered 1 to 7;" in result.stdout
    assert "outside of the window of sessions 1 to 3 that is analysed" in result.stdout


def test_the_version_is_said():
    result = invoke("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"twostage \d+\.\d+\.\d+\S*\n", result.stdout)
