"""A proposal names what names tell, leaves the rest to a person, and is YAML whatever columns are called."""

from dataclasses import replace

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from import_support import FACTS, SETTINGS, empty, snapshot
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.importing.job import WANTED
from twostage.importing.mapping import FILL_IN
from twostage.importing.names import wide_groups
from twostage.importing.propose import first_line, mapping_text, propose
from twostage.importing.source import FileOptions, Source
from twostage.simulation.examples import example_study, fill_in, write_example


def source(columns: list[str], *rows: list[str]) -> Source:
    cells = pd.DataFrame(rows or [["1"] * len(columns)], columns=columns, dtype=str)
    return Source("f.csv", cells, FileOptions("utf-8", ",", "."))


def proposed(columns: list[str], *rows: list[str], **how) -> dict:
    return propose(source(columns, *rows), SETTINGS, {"x": ["WAI-SR"], "y": ["OQ-45"]}, **how).content


def test_long_by_names_in_other_words():
    content = proposed(["Klient", "Patient_ID", "Sitzung", "WAI", "oq45", "Alter", "Geschlecht", "Therapeut"])
    assert content["layout"] == "long"
    assert (content["patient"], content["session"]) == ("Patient_ID", "Sitzung")
    assert (content["x"], content["y"]) == ({"column": "WAI"}, {"column": "oq45"})
    assert content["patients"] == {
        "therapist": {"column": "Therapeut"},
        "age": {"column": "Alter"},
        "gender": {"column": "Geschlecht"},
    }


def test_wide_by_numbered_stems():
    columns = ["code", "wai_s1", "wai_s2", "OQ.1", "OQ.2", "OQ.3", "oq_pre", "post"]
    content = proposed(columns)
    assert content["layout"] == "wide"
    assert (content["x"], content["y"]) == ({"column": "wai_s{session}"}, {"column": "OQ.{session}"})
    assert content["patients"] == {"pre": {"column": "oq_pre"}, "post": {"column": "post"}}


def test_a_name_that_ends_like_a_mark_keeps_its_end():
    content = proposed(["id", "alliance_1", "alliance_2", "symptoms_1", "symptoms_2", "mean_t1", "mean_t2"])
    assert (content["x"], content["y"]) == (
        {"column": "alliance_{session}"},
        {"column": "symptoms_{session}"},
    )


def test_dates():
    long = ["id", "date", "alliance", "symptoms"]
    assert proposed(long, ["a", "2024-01-31", "1", "1"])["date_format"] == "ISO"
    assert proposed(long, ["a", "31.01.2024", "1", "1"])["date_format"] == "%d.%m.%Y"
    assert proposed(long, ["a", "01/02/2024", "1", "1"])["date_format"] == FILL_IN
    assert proposed(long, ["a", "31/01/2024 08:15", "1", "1"])["date_format"] == "%d/%m/%Y %H:%M"
    assert proposed(long, ["a", "01/31/2024", "1", "1"])["date_format"] == "%m/%d/%Y"
    assert proposed(long, ["a", "1711843200", "1", "1"])["date_format"] == "unix"


def test_what_names_do_not_tell_is_left_to_fill_in():
    proposal = propose(source(["u", "session", "v", "w"]), SETTINGS, {})
    assert [proposal.content[k] for k in ("patient", "x", "y")] == [
        FILL_IN,
        {"column": FILL_IN},
        {"column": FILL_IN},
    ]
    assert proposal.remarks["patient"] == "one of u, session, v, w"


@pytest.mark.parametrize(
    ("emptied", "codes"),
    [((), " (missing codes included)"), (("wai_1",), " (missing codes included)"), (("wai_1", "wai_2"), "")],
)
def test_missing_codes_are_among_the_numbers_unless_every_column_declared_its_own(emptied, codes):
    file = source(["id", "wai_1", "wai_2", "oq_1", "oq_2"], ["a", "1.7", "5", "9", "9"])
    proposal = propose(replace(file, emptied=frozenset(emptied)), SETTINGS, {})
    assert proposal.remarks["study.x_max"] == f"highest possible score; in the file 1.7 to 5{codes}"


def test_two_columns_that_could_be_x_are_no_proposal():
    assert proposed(["id", "session", "wai_patient", "wai_therapist", "oq"])["x"] == {"column": FILL_IN}


def test_no_fact_of_the_study_is_guessed():
    content = proposed(["id", "session", "wai", "oq"])
    assert content["study"] == {column: FILL_IN for column in WANTED}


def test_samples_get_ids_of_their_own():
    rows = [["a", name] for name in ("AC:NH", "ac nh", "2nd", "é")]
    content = proposed(["id", "arm"], *rows, study_column="arm")
    assert {k: v["study"] for k, v in content["studies"].items()} == {
        "AC:NH": "AC_NH",
        "ac nh": "ac_nh_2",
        "2nd": "2nd",
        "é": "study",
    }


def test_stems():
    assert wide_groups(["wai_1", "wai_02", "wai_x", "oq1", "7", "a1b2", "a1b3"]) == {
        "wai_{session}": [1, 2],
        "a1b{session}": [2, 3],
    }
    assert wide_groups(["T1_wai", "T2_wai", "s_1.oq", "s_2.oq", "x1_y", "x2_y"]) == {
        "T{session}_wai": [1, 2],
        "s_{session}.oq": [1, 2],
    }


COLUMN = (
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).map(str.strip).filter(bool)
)


@settings(deadline=None)
@given(st.lists(COLUMN, min_size=1, max_size=8, unique=True), st.text(max_size=10), st.booleans())
def test_whatever_columns_are_called_the_file_says_what_was_proposed(columns, label, several):
    named = [*columns, "session"] if "session" not in columns else columns
    proposal = propose(source(named), SETTINGS, {}, named[0] if several else None)
    text = mapping_text(proposal, "f.csv", named, "twostage import", label, label)
    assert yaml.safe_load(text) == proposal.content


def invoke(*arguments):
    return CliRunner().invoke(app, ["import", *map(str, arguments)])


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a data file and an empty collection, in which commands run."""
    monkeypatch.chdir(tmp_path)
    example = example_study(seed=3, n_patients=30)
    write_example(example.long.rename(columns={"wai": "alliance", "oq": "symptoms"}), tmp_path / "clinic.csv")
    empty(tmp_path / "c")
    return tmp_path, example


def test_without_a_mapping_one_is_shown_and_written_and_nothing_imported(place):
    folder, _ = place
    before = snapshot(folder / "c")
    result = invoke("clinic.csv", "--to", "c", "--study", "S1")
    assert (result.exit_code, result.stderr) == (0, "")
    for words in (
        "semicolons between columns (detected)",
        "rows of 30 patients, the first 8:",
        "FILL IN stands for",
    ):
        assert words in result.stdout
    assert "twostage import clinic.csv --to c --study S1 --map clinic.mapping.yml" in result.stdout
    assert snapshot(folder / "c") == before
    assert sorted(p.name for p in folder.iterdir()) == ["c", "clinic.csv", "clinic.mapping.yml"]
    assert (folder / "clinic.mapping.yml").read_text() in result.stdout


def test_a_mapping_that_is_there_is_not_overwritten_and_no_proposal_buries_the_reason(place):
    folder, _ = place
    mine = f"{first_line('clinic.csv')}, mine"
    (folder / "clinic.mapping.yml").write_text(mine)
    result = invoke("clinic.csv", "--to", "c", "--study", "S1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        "clinic.mapping.yml: a mapping of this name is there already; it was left as it is" in result.stderr
    )
    assert "nothing was imported" in result.stderr
    assert "\n  twostage import clinic.csv --to c --study S1 --map clinic.mapping.yml\n" in result.stderr
    assert (folder / "clinic.mapping.yml").read_text() == mine
    assert "patient: patient" in invoke("clinic.csv", "--to", "c", "--dry-run").stdout


def test_files_of_one_name_have_mappings_of_their_own(place):
    folder, example = place
    write_example(example.wide, folder / "clinic.sav")
    for file, mapping in (("clinic.csv", "clinic.mapping.yml"), ("clinic.sav", "clinic.sav.mapping.yml")):
        result = invoke(file, "--to", "c", "--study", "S1")
        assert result.exit_code == 0
        assert f"{mapping} written; nothing is imported yet" in result.stdout
        assert result.stdout.endswith(f"--study S1 --map {mapping}\n")
        assert (folder / mapping).read_text().startswith(first_line(file))
        assert mapping in invoke(file, "--to", "c", "--study", "S1").stderr


def test_a_dry_run_writes_no_mapping(place):
    folder, _ = place
    result = invoke("clinic.csv", "--to", "c", "--study", "S1", "--dry-run")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (
        0,
        "dry run; nothing was written or imported",
    )
    assert not (folder / "clinic.mapping.yml").exists()


def test_completed_it_imports(place):
    folder, example = place
    invoke("clinic.csv", "--to", "c", "--study", "S1")
    mapping = folder / "clinic.mapping.yml"
    result = invoke("clinic.csv", "--to", "c", "--study", "S1", "--map", mapping)
    assert result.exit_code == 2
    assert "key 'study.licence': found 'FILL IN'; expected the licence; only you can know it" in result.stderr
    assert result.stderr.endswith("nothing was written\n")
    mapping.write_text(fill_in(mapping.read_text(), FACTS | example.facts))
    result = invoke("clinic.csv", "--to", "c", "--study", "S1", "--map", mapping)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "S1: 30 patients" in result.stdout
    assert "c: 1 study added, no problem\nnext: twostage run c\n" in result.stdout


def test_bad_input_has_status_2_and_a_failing_disk_status_1(place, monkeypatch):
    folder, example = place
    assert invoke("no.csv", "--to", "c").exit_code == 2
    assert invoke("clinic.csv", "--to", "nowhere").exit_code == 2
    result = invoke("clinic.csv", "--to", "c", "--study-column", "nothing")
    assert (result.exit_code, "column of clinic.csv" in result.stderr) == (2, True)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    invoke("clinic.csv", "--to", "c")
    mapping = folder / "clinic.mapping.yml"
    mapping.write_text(fill_in(mapping.read_text(), example.facts))
    monkeypatch.setattr("twostage.importing.job.add_studies", full)
    result = invoke("clinic.csv", "--to", "c", "--study", "S1", "--map", mapping)
    assert result.exit_code == 1
    assert "No space left on device; no file is left half-written" in result.stderr


def test_names_that_are_whole_questions_are_understood():
    names = ["Patienten-Code (bitte eingeben)", "Sitzungsnummer", "WAI-SR: Gesamtwert", "OQ-45: Gesamtwert"]
    content = proposed(names, ["a1", "1", "40", "60"], ["a1", "2", "40", "60"])
    assert [content[key] for key in ("patient", "session")] == names[:2]
    assert [content[v]["column"] for v in ("x", "y")] == names[2:]
