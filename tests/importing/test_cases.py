"""Inputs as people's software makes them: each gets in whole, or is refused with the way out."""

from pathlib import Path

import pyreadstat
import pytest
import yaml
from import_support import FACTS, bring, empty, refused, snapshot, written
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.importing.mapping import FILL_IN

CASES = Path(__file__).parents[3] / "shared" / "cases"

LONG = {"layout": "long", "patient": "id", "session": "session", "x": "wai", "y": "oq"}


def case(name: str) -> Path:
    if not (CASES / name).exists():
        pytest.skip(f"the case ../shared/cases/{name} is absent")
    return CASES / name


def proposed(folder: Path, file: Path, monkeypatch, *options: str) -> tuple[dict, str]:
    """What is proposed for a file, and what the command says."""
    empty(folder / "c")
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(app, ["import", str(file), "--to", "c", "--study", "S1", *options])
    assert result.exit_code == 0, result.output
    (mapping,) = folder.glob("*.mapping.yml")
    return yaml.safe_load(mapping.read_text(encoding="utf-8")), result.output


def completed(content: dict, answers: dict) -> dict:
    """A proposal with a person's answers; nothing else is left to fill in but the study."""
    content = {**content, **answers, "study": FACTS}
    assert FILL_IN not in str({k: v for k, v in content.items()})
    return content


def counts(folder: Path) -> tuple[int, int]:
    """Patients and rows of sessions with both scores."""
    sessions, patients = written(folder)
    rows = [line.split(",") for line in sessions.splitlines()[1:]]
    return len(patients.splitlines()) - 1, sum(all(row[-2:]) for row in rows)


#: Case -> what a person answers to the proposal; all give 12 patients and 84 rows with both scores.
WHOLE = {
    "csv-ids/ids.csv": {"similar_ids": "same"},
    "csv-ids/ids_case.csv": {"similar_ids": "same"},
    "csv-mixed-decimals/thousands.csv": {},
    "csv-number-forms/minus.csv": {},
    "csv-preamble/title.csv": {},
    "csv-quoted-decimals/q.csv": {},
    "csv-row-per-questionnaire/fragebogen.csv": {},
    "csv-semicolon-in-text/n.csv": {},
    "csv-semicolon-in-text/n2.csv": {},
    "csv-session-words/t.csv": {},
    "csv-session-words/wide_dot.csv": {},
    "csv-session-words/wide_t.csv": {},
    "csv-sessions/text.csv": {},
    "csv-sessions/zero.csv": {"session_shift": 1},
    "csv-short-rows/kurz.csv": {},
    "csv-totals-row/summe.csv": {},
    "csv-totals-row/summe_breit.csv": {},
    "csv-utf16le-no-bom/u16.csv": {},
    "csv-footer/quelle.csv": {},
    "qualtrics/survey.csv": {},
    "redcap/redcap.csv": {},
    "spss-dates/datum.sav": {},
    "spss-long-names/lang.sav": {
        "x": {"column": "Therapeutische_Allianz_Gesamtwert_nach_der_Sitzung_Nummer_{session}"},
        "y": {"column": "Outcome_Questionnaire_45_Gesamtwert_nach_der_Sitzung_Nummer_{session}"},
    },
    "spss-dates/datumzeit.sav": {},
    "spss-string-numbers/strings.sav": {},
    "whitespace-dat/spaces.txt": {"similar_ids": "same"},
    "xlsx-chartsheet/diagramm.xlsx": {},
    "xlsx-dimension/export_a1.xlsx": {},
    "xlsx-dimension/export_all_rows.xlsx": {},
    "xlsx-dimension/export_part.xlsx": {},
    "xlsx-dimension/export_whole_sheet.xlsx": {},
    "xlsx-dimension/good.xlsx": {},
    "xlsx-hidden-rows/gefiltert.xlsx": {},
    "xlsx-merged-patient/praxis_lang.xlsx": {},
    "xlsx-no-style/a.xlsx": {},
    "xlsx-no-style/nostyle.xlsx": {},
    "xlsx-notes-below/legende.xlsx": {},
    "xlsx-two-header-rows/praxis.xlsx": {},
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_case_gets_in_whole(tmp_path, monkeypatch, name):
    file = case(name)
    content, _ = proposed(tmp_path, file, monkeypatch)
    low = {"study": FACTS | {"x_min": -10, "y_max": 3000}}
    bring(tmp_path, file, completed(content, WHOLE[name]) | low)
    assert counts(tmp_path) == (12, 84)


#: Case -> mapping, and what the refusal names: the way out.
REFUSED = {
    "csv-dates/dup_day.csv": ({"session": None, "date": "date", "date_format": "%d.%m.%Y"}, "row 12"),
    "csv-ids/ids.csv": ({}, "similar_ids: same"),
    "csv-ids/ids_case.csv": ({}, "'Pat01' and 'pat01'"),
    "csv-mixed-decimals/mixed.csv": ({}, "file: decimal"),
    "csv-mixed-decimals/thousands_silent.csv": ({}, "--thousands"),
    "csv-thousands-with-decimal-comma/schritte.csv": ({"file": {"decimal": ","}}, "'.' if this is 1525"),
    "csv-preamble/title.csv": ({}, "--header-row 4"),
    "csv-row-per-questionnaire/fragebogen.csv": ({}, "join_rows: true"),
    "csv-session-words/t.csv": ({}, "session_labels: {'T1': 1}"),
    "csv-sessions/half.csv": ({}, "session_labels: {'3.5': leave out}"),
    "csv-short-rows/kurz.csv": ({}, "--short-rows true"),
    "csv-totals-row/summe.csv": ({}, "unusual_patients: {'Mittelwert': leave out}"),
    "csv-text-cells/text.csv": ({}, "row "),
    "csv-two-therapies/zwei.csv": ({}, "again"),
    "spss-umlaut-encoding/falsch.sav": ({}, "--encoding"),
    "whitespace-dat/gzip-named.txt": ({}, "an R file"),
    "xlsx-damaged/damaged.xlsx": ({}, "a readable Excel file"),
    "xlsx-damaged/damaged2.xlsx": ({}, "a readable Excel file"),
    "xlsx-merged-patient/praxis_lang.xlsx": (
        {"patient": "Patient", "session": "Sitzung", "x": "WAI", "y": "OQ-45"},
        "fill_down: [Patient]",
    ),
    "xlsx-two-header-rows/praxis.xlsx": ({}, "--header-row 1-2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_case_is_refused_with_the_way_out(tmp_path, name):
    mapping, way = REFUSED[name]
    content = {k: v for k, v in (LONG | mapping).items() if v is not None}
    assert way in "\n".join(refused(tmp_path, case(name), content))


def test_hidden_rows_and_chart_sheets_are_told(tmp_path):
    report = bring(tmp_path / "h", case("xlsx-hidden-rows/gefiltert.xlsx"), LONG)
    assert "7 hidden rows (a filter?) read like the others, row 2 first" in report.found
    report = bring(tmp_path / "d", case("xlsx-chartsheet/diagramm.xlsx"), LONG)
    assert "sheets with a chart only were passed over: Diagramm" in report.found


def test_sessions_from_0_are_told(tmp_path):
    report = bring(tmp_path, case("csv-sessions/zero.csv"), LONG)
    (note,) = report.studies[0].tables.notes
    assert note.startswith("sessions are numbered 0 to 6; 12 of 84 rows are outside of the window")
    assert "session_shift: 1" in note


def test_thousands_are_read_where_the_mapping_says_so(tmp_path):
    marks = {"file": {"decimal": ",", "thousands": "."}, "study": FACTS | {"y_max": 3000}}
    bring(tmp_path, case("csv-thousands-with-decimal-comma/schritte.csv"), LONG | marks)
    assert written(tmp_path)[0].splitlines()[1] == "1,1,4.42,1525"


def test_items_of_each_session_are_found(tmp_path, monkeypatch):
    content, _ = proposed(tmp_path, case("csv-items/items.csv"), monkeypatch)
    assert content["x"]["items"] == [f"wai{{session}}{i}" for i in range(1, 13)]
    assert content["y"] == {
        "items": [f"phq_s{{session}}_i{i}" for i in range(1, 10)],
        **{"score": "sum", "reversed": [], "item_min": 0, "item_max": 3},
    }
    assert content["sessions"] == [1, 7]
    assert [content["study"][f"y_{end}"] for end in ("min", "max")] == [0, 27]


def test_a_total_named_by_its_items_is_no_session(tmp_path, monkeypatch):
    content, output = proposed(tmp_path, case("csv-wide-gap/gap.csv"), monkeypatch)
    assert content["sessions"] == [1, 7]
    assert "NOT wai_12" in output


def test_the_baseline_row_of_redcap_says_what_is_known_of_the_patient(tmp_path, monkeypatch):
    file = case("redcap/redcap.csv")
    content, output = proposed(tmp_path, file, monkeypatch)
    assert "looks like an export of REDCap" in output
    bring(tmp_path, file, completed(content, {}))
    rows = [line.split(",") for line in written(tmp_path)[1].splitlines()[1:]]
    assert all(row[2] and row[4] for row in rows)


def test_words_for_missing_and_codes_are_proposed(tmp_path, monkeypatch):
    content, said = proposed(tmp_path, case("sema3/sema.csv"), monkeypatch)
    assert content["missing"] == ["<no-response>", "<not-shown>"]
    assert "looks like an export of SEMA3 (by <no-response>, <not-shown>)" in said
    bring(tmp_path, case("sema3/sema.csv"), completed(content, {}))
    assert counts(tmp_path) == (12, 81)
    (tmp_path / "um").mkdir()
    content, _ = proposed(tmp_path / "um", case("spss-user-missing/um_undeclared.sav"), monkeypatch)
    assert content["missing"] == [-99, 999, 777]


def test_an_age_that_rises_is_the_first_and_told(tmp_path):
    patients = {"age": "age", "therapist": {"column": "therapist", "changes": "first"}}
    report = bring(tmp_path, case("csv-age-birthday/alter.csv"), LONG | {"patients": patients})
    notes = report.studies[0].tables.notes
    assert any(note.startswith("age changes in ") for note in notes)
    assert any(note.startswith("therapist changes in 1 patient:") for note in notes)


def test_a_dry_run_of_a_proposal_writes_nothing(tmp_path, monkeypatch):
    empty(tmp_path / "c")
    monkeypatch.chdir(tmp_path)
    before = snapshot(tmp_path)
    for file in sorted(case("csv-sessions").glob("*.csv")):
        result = CliRunner().invoke(app, ["import", str(file), "--to", "c", "--dry-run"])
        assert result.exit_code == 0
    assert snapshot(tmp_path) == before


def test_a_system_beside_a_mapping_is_refused_with_the_way_out(tmp_path):
    empty(tmp_path / "c")
    words = ["import", str(case("sema3/sema.csv")), "--to", str(tmp_path / "c"), "--study", "S1"]
    result = CliRunner().invoke(app, [*words, "--map", "m.yml", "--from", "sema3"])
    assert result.exit_code == 2
    assert "option '--from': found 'sema3'; expected no --from beside --map" in result.output


def test_missing_values_of_stata_are_no_numbers(tmp_path):
    report = bring(tmp_path, case("stata-extended-missing/ext.dta"), LONG)
    table = report.studies[0].tables.sessions
    assert len(table) == 84
    raw, _ = pyreadstat.read_dta(case("stata-extended-missing/ext.dta"))
    assert table["x"].notna().sum() == raw["wai"].notna().sum()
