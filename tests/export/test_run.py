"""A run exported as a whole: what is in it, whose numbers they are, and that it says what the data are."""

import io
import json
import re

import docx
import openpyxl
import pandas as pd
import pytest
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.display import number
from twostage.export import export_run
from twostage.export.items import figures, numbers, tables
from twostage.export.paper import paper_text
from twostage.export.run import _captions as captions
from twostage.export.source import open_source
from twostage.export.syntax import scripts
from twostage.problems import RecordError
from twostage.terms import DIRECTIONS
from twostage.text import read_csv

#: The run behind these takes half a minute.
pytestmark = pytest.mark.slow

SAID = "The data are synthetic."


def test_every_table_and_figure_says_that_the_data_are_synthetic(source):
    found, shown = tables(source), figures(source)
    assert len(found) > 15 and len(shown) > 25
    assert all(table.note.endswith(SAID) for table in found)
    assert all(figure.note.endswith(SAID) for figure in shown)
    assert captions(shown).count(SAID) == len(shown)
    assert all(SAID in text for _, text in scripts(source))


def test_titles_and_cells_hold_no_internal_names_and_no_nan(source):
    for table in tables(source):
        texts = [table.title, *map(str, table.cells.columns), *map(str, table.cells.to_numpy().ravel())]
        assert not [text for text in texts if re.search(r"\bnan\b|x_to_y|_within", text)], table.title
    assert not [figure.title for figure in figures(source) if "_" in figure.title]


def test_the_pooled_table_has_the_runs_numbers(source, finished):
    table = next(t for t in tables(source) if t.title == "Pooled Effects").cells
    pooled = read_csv(finished / "output" / "stage2_lagged" / "pooled_lagged.csv")
    row = pooled[(pooled["direction"] == "x_to_y") & (pooled["term"] == "x_within")].iloc[0]
    shown = table[
        table["Effect"].str.contains("cross-lagged") & table["Effect"].str.startswith("alliance")
    ].iloc[0]
    assert shown["Estimate"] == number(row["estimate"])
    assert shown["95% CI"] == f"[{number(row['ci_low'])}, {number(row['ci_high'])}]"
    exact = numbers(source)["pooled_lagged"]
    assert exact["estimate"].tolist() == pooled["estimate"].tolist()


def test_the_text_quotes_the_runs_numbers_and_cites_what_it_lists(source, finished):
    text = paper_text(source)
    assert SAID in text
    pooled = read_csv(finished / "output" / "stage2_lagged" / "pooled_lagged.csv")
    for d in DIRECTIONS.values():
        row = pooled[(pooled["direction"] == d.name) & (pooled["term"] == d.cross)].iloc[0]
        ends = f"{number(row['ci_low'])}, {number(row['ci_high'])}"
        assert f"{number(row['estimate'])}, 95% CI \\[{ends}\\]" in text
    assert not re.search(r"\bnan\b|\[–|\{\{|\{%|None", text)
    body, listed = text.split("## References")
    assert (
        "(Bates et al., 2015)" in body
        and "Bates, D., Mächler, M., Bolker, B., & Walker, S. (2015)." in listed
    )
    assert len(listed.strip().split("\n\n")) == len(set(re.findall(r"[A-Z][^(;]*?, \d{4}(?=[;)])", body)))


def test_other_choices_are_told(source):
    from dataclasses import replace

    from twostage.params import make_parameters

    other = make_parameters(
        {"lag": 2, "standardize": "none", "detrend": "patient", "ci_method": "wald", "random_slopes": True}
    )
    text = paper_text(replace(source, parameters=other, context=source.context | {"parameters": other}))
    assert "at session *t* + 2" in text and "2 sessions later" in text and "can turn the sign" in text
    assert "units of their scales" in text and "own linear trend" in text and "Wald's" in text
    assert "random effects of both deviations" in text and "dynamic panel models" not in text


def test_the_text_on_one_study_has_no_second_stage(source):
    from dataclasses import replace

    several, one = (paper_text(replace(source, context=source.context | {"n_studies": k})) for k in (2, 1))
    assert "Stage 2: Across Studies" in several and "R syntax for both stages" in several
    assert "&#" not in several + one
    assert "Stage 2" not in one and "random-effects model" not in one and "both stages" not in one


def test_r_syntax_of_each_study_and_each_pool(source):
    found = dict(scripts(source))
    assert {f"stage1_{study}.R" for study in source.run.studies} <= set(found)
    assert {"stage2_lagged.R", "stage2_crosslevel.R", "stage2_outcome.R", "stage2_estimators.R"} <= set(found)
    assert found["stage2_lagged.R"].count("rma(yi, vi") == 10


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "paper"
    export_run(str(finished), folder)
    return folder


def test_the_folder(exported, source):
    told = json.loads((exported / "export.json").read_text())
    there = {p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file()}
    assert there - {"export.json"} == set(told["files"])
    shown = figures(source)
    for i, figure in enumerate(shown, start=1):
        for ending in ("svg", "pdf", "png"):
            assert f"figures/figure_{i:02d}_{figure.name}.{ending}" in there
    assert SAID in (exported / "README.txt").read_text()
    document = docx.Document(io.BytesIO((exported / "tables/tables.docx").read_bytes()))
    assert len(document.tables) == len(tables(source))
    assert sum(SAID in p.text for p in document.paragraphs) == len(document.tables)
    text = docx.Document(io.BytesIO((exported / "text/methods_and_results.docx").read_bytes()))
    assert any(SAID in p.text for p in text.paragraphs)
    book = openpyxl.load_workbook(exported / "tables/tables.xlsx")
    for sheet in book:
        values = [str(cell.value) for row in sheet.iter_rows() for cell in row if cell.value is not None]
        assert any(SAID in value for value in values), sheet.title
        assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]


def test_the_workbook_says_what_its_short_names_mean(exported):
    sheets = pd.read_excel(exported / "tables/tables.xlsx", sheet_name=None)
    about = sheets["codebook"]
    columns = {c for name, t in sheets.items() if not name.startswith(("Table", "codebook")) for c in t}
    short = {c for c in columns if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", c)}
    assert short and short <= set(about["column"])
    said = about.dropna(subset=["value"]).set_index(["column", "value"])["meaning"]
    assert said["direction", "x_to_y"].endswith("→ symptom severity")
    assert said["term", "x_within (x_to_y)"].endswith("(within, cross-lagged)")
    assert {"centred", "riclpm"} <= set(about.loc[about["column"] == "estimator", "value"])


def test_again_gives_the_same_and_a_changed_text_is_kept(exported, finished):
    before = json.loads((exported / "export.json").read_text())["files"]
    same = {name for name in before if not name.endswith((".docx", ".xlsx"))}
    result = CliRunner().invoke(app, ["export", str(finished), "--to", str(exported)])
    assert result.exit_code == 0, result.output
    after = json.loads((exported / "export.json").read_text())["files"]
    # Word and Excel files have the time at which they were made.
    assert {n: before[n] for n in same} == {n: after[n] for n in same} and set(before) == set(after)
    text = exported / "text/methods_and_results.md"
    text.write_text("my own words")
    result = CliRunner().invoke(app, ["export", str(finished), "--to", str(exported)])
    assert result.exit_code == 2 and "changed since it was exported" in result.output
    assert text.read_text() == "my own words"


def test_a_run_without_pages_says_what_to_do(finished, tmp_path):
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(finished, bare)
    shutil.rmtree(bare / "output" / "stage2_joint")
    with pytest.raises(RecordError, match="no stage2_joint.*twostage run.*without --no-book"):
        open_source(str(bare))
