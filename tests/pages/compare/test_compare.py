"""Two runs side by side: the differences are differences, what one run lacks is said, no standard error is made up."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.notebooks import RECORD_HOME
from twostage.pages.common.leave import write_pooled
from twostage.pages.compare.analysis import compare
from twostage.pages.compare.page import comparison_page, write_comparison
from twostage.pages.compare.plots import alt
from twostage.pages.compare.plots import side_by_side as draw
from twostage.pages.compare.tables import notes, side_by_side, verdict
from twostage.params import make_parameters
from twostage.pipeline.run import Run
from twostage.problems import ProblemError
from twostage.records.analyse import FUNCTIONS, MAIN, analyse
from twostage.records.record import make_record
from twostage.stage1.equations import lagged
from twostage.stage2.pool import pool_records
from twostage.stage2.results import Results, find_results, pool_results

#: One coefficient's row of a pooled table; tests change what they are about.
ROW = {
    "analysis": "lagged",
    "variant": "main",
    "direction": "x_to_y",
    "term": "x_within",
    "estimator": "centred",
    "k": 3,
    "n_patients": 100,
    "n_transitions": 400,
    "estimate": -0.10,
    "ci_low": -0.15,
    "ci_high": -0.05,
    "p_value": 0.01,
    "pi_low": -0.2,
    "pi_high": 0.0,
    "tau2": 0.04,
    "i2": 50.0,
    "level": 0.95,
}


def results(name, *rows, checksums=None, **values) -> Results:
    table = pd.DataFrame([ROW | row for row in rows or ({},)])
    checksums = {"S01": "a", "S02": "b"} if checksums is None else checksums
    return Results(name, make_parameters(values), checksums, "alliance", "symptoms", table)


@pytest.fixture(scope="module")
def windows(three):
    """Sessions 1-3 against 1-7 of three small studies."""
    both = []
    for name, values in (("short", {"last_session": 3}), ("long", {})):
        parameters = make_parameters(values)
        both.append(pool_results(name, three, parameters, analyse(three, parameters).records))
    return compare(*both)


def test_differences_are_the_second_less_the_first():
    other = {"estimate": -0.02, "ci_low": -0.07, "ci_high": 0.03, "tau2": 0.01, "k": 5, "n_patients": 90}
    (row,) = compare(results("a"), results("b", other)).tidy().to_dict("records")
    assert row["estimate_diff"] == pytest.approx(0.08)
    assert (row["k_diff"], row["n_patients_diff"]) == (2, -10)
    assert row["tau2_diff"] == pytest.approx(-0.03)
    assert (row["excludes_zero_a"], row["excludes_zero_b"]) == (True, False)
    assert not [column for column in row if "error" in column or "p_value" in column]


def test_a_difference_says_what_is_subtracted_from_what():
    other = {"estimate": -0.02, "ci_low": -0.07, "ci_high": 0.03}
    comparison = compare(results("a"), results("b", other))
    assert side_by_side(comparison)["b − a"].tolist() == ["0.080"]
    assert "b minus a: 0.080" in verdict(comparison)


def test_coefficient_of_one_run_only_has_no_difference():
    found = compare(results("a", {}, {"term": "y_within"}), results("b", {}, {"term": "y_mean"}))
    table = found.tidy().set_index("term")
    assert list(table.index) == ["x_within", "y_within", "y_mean"]
    assert np.isnan(table.loc["y_within", "estimate_b"]) and np.isnan(table.loc["y_mean", "estimate_a"])
    assert table.loc[["y_within", "y_mean"], "estimate_diff"].isna().all()
    assert table.loc["y_within", "excludes_zero_b"] is None
    assert (found.glance()["n_both"].item(), found.glance()["n_only_a"].item()) == (1, 1)
    assert set(side_by_side(found, everything=True)["b"]) > {"–"}


def test_fisher_z_is_compared_as_correlation():
    z = {"analysis": "outcome", "term": "partial_r_z", "estimate": 0.5, "ci_low": 0.1, "ci_high": 0.9}
    (row,) = compare(results("a", z), results("b", z | {"estimate": 0.2})).tidy().to_dict("records")
    assert row["term"] == "partial_r"
    assert row["estimate_diff"] == pytest.approx(math.tanh(0.2) - math.tanh(0.5))
    assert row["ci_low_a"] == pytest.approx(math.tanh(0.1))
    assert row["tau2_a"] == 0.04


def test_parameters_that_differ_are_listed_and_no_others():
    found = compare(results("a"), results("b", last_session=3, standardize="within"))
    rows = list(found.parameters.itertuples(index=False, name=None))
    assert rows == [("last_session", 7, 3), ("standardize", "total", "within")]
    assert any("not on one scale" in note for note in notes(found))
    assert compare(results("a"), results("b")).parameters.empty


def test_notes_say_whose_data_they_are_and_give_no_standard_error():
    same = compare(results("a"), results("b"))
    assert same.shared == ("S01", "S02")
    assert "dependent" in notes(same)[0] and "no simple standard error" in notes(same)[0]
    other = compare(results("a"), results("b", checksums={"S02": "c", "S03": "d"}))
    assert (other.shared, other.only_a, other.only_b, other.changed) == ((), ("S01",), ("S03",), ("S02",))
    said = " ".join(notes(other))
    assert "dependent" not in said and "without a standard error" in said
    assert "only in a: S01" in said and "only in b: S03" in said and "with other data: S02" in said


def test_other_variables_are_no_comparison():
    other = replace(results("b"), x="positive affect")
    with pytest.raises(
        ProblemError, match="positive affect and symptoms.*alliance and symptoms, the pair of a"
    ):
        compare(results("a"), other)


def test_runs_of_one_name_stay_apart():
    found = compare(results("run"), results("run"))
    assert (found.a, found.b) == ("run (first)", "run (second)")
    assert {"run (first)", "run (second)"} <= set(side_by_side(found))


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ((-0.2, -0.1), (-0.3, -0.1), "both intervals exclude zero"),
        ((-0.2, 0.1), (-0.3, 0.1), "both intervals include zero"),
        ((-0.2, -0.1), (-0.3, 0.1), "excludes zero in a only"),
        ((-0.2, 0.1), (-0.3, -0.1), "excludes zero in b only"),
    ],
)
def test_sentence_says_what_the_intervals_say(first, second, words):
    ends = [{"ci_low": low, "ci_high": high} for low, high in (first, second)]
    assert words in verdict(compare(results("a", ends[0]), results("b", ends[1])))


def test_a_change_of_sign_is_said_and_seen():
    other = {"estimate": 0.12, "ci_low": 0.02, "ci_high": 0.22}
    found = compare(results("a"), results("b", other))
    assert notes(found)[0] == (
        "The sign changes: alliance → symptoms (within, cross-lagged) is −0.100 in a and 0.120 in b; both intervals "
        "exclude zero, on opposite sides."
    )
    assert side_by_side(found)["interval"].tolist() == ["below zero → above zero"]
    assert "both intervals exclude zero, on opposite sides." in verdict(found)
    unsure = compare(results("a"), results("b", other | {"ci_low": -0.02}))
    assert notes(unsure)[0].endswith("; the interval includes zero in b.")
    assert side_by_side(unsure)["interval"].tolist() == ["below zero → includes zero"]
    for estimate in (-0.2, 0.0002):
        assert "sign" not in notes(compare(results("a"), results("b", {"estimate": estimate})))[0]


def test_windows_of_other_lengths_are_not_compared_without_a_word_on_bias():
    found = compare(results("a", last_session=3), results("b"))
    assert found.sessions == (3, 7)
    (said,) = [note for note in notes(found) if "bias" in note]
    assert said.startswith("The window holds 3 sessions in a and 7 in b.")
    assert "partly one of bias" in said and "Estimators side by side" in said
    shifted = compare(results("a", first_session=2, last_session=8), results("b"))
    assert not [note for note in notes(shifted) if "bias" in note]


def test_lags_are_not_compared_without_a_word_on_bias():
    found = compare(results("a"), results("b", lag=3))
    assert found.lags == (1, 3)
    (said,) = [note for note in notes(found) if "bias" in note]
    assert said.startswith("The lag is 1 in a and 3 in b. These are different effects")
    assert "larger at lag 3" in said and "turn the sign" in said
    (both,) = [note for note in notes(compare(results("a", lag=2), results("b", lag=2))) if "bias" in note]
    assert both.startswith("Both runs have the lag 2.") and "larger at lag 2" in both
    shorter = notes(compare(results("a", lag=3, last_session=5), results("b", lag=3)))
    assert [note for note in shorter if "drawn to zero and beyond" in note]
    assert not [note for note in notes(compare(results("a"), results("b"))) if "lag" in note.split()]


def test_the_page_links_to_the_estimators_of_a_book_that_is_there(windows, tmp_path):
    book = tmp_path / "run" / "html"
    book.mkdir(parents=True)
    (book / "results_estimators.html").write_text("")
    page = write_comparison(windows, tmp_path / "run" / "comparisons" / "other", book)
    (link,) = re.findall(r'href="([^#"]+)"', page.read_text(encoding="utf-8"))
    assert (page.parent / link).resolve() == book / "results_estimators.html"


def test_window_changes_the_pool_of_the_same_studies(windows, three):
    assert windows.shared == tuple(three.studies["study"])
    assert list(windows.parameters["parameter"]) == ["last_session"]
    assert len(windows.headline()) == 9
    autoregression = windows.headline().set_index(["direction", "term"]).loc[("x_to_y", "y_within")]
    # Nickell: with three sessions the autoregression comes out far lower than with seven.
    assert autoregression["estimate_diff"] > 0.2
    assert windows._repr_html_().count("<tr") == 1 + 9


def test_figure_shows_both_runs_of_each_coefficient(windows):
    ax = draw(windows)
    lines = [line for line in ax.lines if line.get_label() in {"short", "long"}]
    assert [len(line.get_xdata()) for line in lines] == [9, 9]
    assert list(lines[1].get_xdata()) == list(windows.headline()["estimate_b"])
    assert len(ax.get_yticklabels()) == 9
    assert "short" in alt(windows) and "long" in alt(windows)
    plt.close(ax.figure)


def test_page_is_one_file_that_loads_nothing(windows, tmp_path):
    page = write_comparison(windows, tmp_path / "new" / "folder")
    assert sorted(p.name for p in page.parent.iterdir()) == [
        "comparison.csv",
        "comparison.png",
        "comparison.svg",
        "index.html",
    ]
    text = page.read_text(encoding="utf-8")
    assert "<svg" in text and "dependent" in text
    assert not re.search(r"<(script|img|link|iframe)\b|@import|url\(\s*['\"]?(https?:)?//", text)
    assert not re.search(r"(?:src|href)=[\"'](?!#)", text)
    assert text.count("<tr") == 2 + (1 + 9) + (1 + len(windows.tidy()))
    read = pd.read_csv(page.parent / "comparison.csv")
    assert list(read["estimate_diff"].dropna()) == list(windows.tidy()["estimate_diff"].dropna())


def test_names_cannot_become_markup(windows):
    page = comparison_page(replace(windows, a="<script>1</script>"), "<svg></svg>")
    assert "<script>" not in page


def test_analyses_without_notebooks_are_those_of_the_notebooks(three, panels):
    analyses = set(RECORD_HOME)
    assert set(FUNCTIONS) <= analyses
    assert set(MAIN) <= set(FUNCTIONS)
    done = analyse(three, make_parameters({}), ["lagged"])
    assert done.records["lagged"] == [make_record(panel, lagged(panel)) for panel in panels.values()]


def write_run(folder, collection, values):
    """The folder of a run with pooled tables, as far as comparisons read it."""
    parameters = make_parameters(values)
    studies = tuple(collection.studies["study"])
    run = Run(folder, folder.parent.parent, collection.path, parameters.model_dump(), studies, True)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(run.text())
    for name, records in analyse(collection, parameters, ["lagged"]).records.items():
        write_pooled(pool_records(records), str(run.output_folder(f"stage2_{name}")))
    write = run.input_file("collection")
    write.parent.mkdir(parents=True)
    write.write_text('{"x": {"label": "alliance"}, "y": {"label": "symptoms"}}')
    run.study_file("S01").parent.mkdir()
    for study in studies:
        run.study_file(study).write_text('{"checksum": "same"}')


def test_command_prints_and_writes_the_comparison(three, tmp_path, monkeypatch):
    write_run(tmp_path / "runs" / "long", three, {})
    write_run(tmp_path / "runs" / "short", three, {"last_session": 3})
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["compare", "long", "runs/short"])
    assert done.exit_code == 0, done.output
    assert "last_session: 7 in long, 3 in short" in done.stdout
    assert "no simple standard error" in done.stdout
    assert "alliance → symptoms" in done.stdout
    page = tmp_path / "runs" / "short" / "comparisons" / "long" / "index.html"
    assert page.is_file()
    assert done.stdout.rstrip().endswith(f"page: {page}")
    assert "mean alliance" not in done.stdout
    every = CliRunner().invoke(app, ["compare", "long", "short", "--all", "--out", "here"])
    assert "mean alliance" in every.stdout
    assert (tmp_path / "here" / "comparison.svg").is_file()


def test_a_run_is_found_from_elsewhere_in_the_package_s_project(three, tmp_path, monkeypatch):
    write_run(tmp_path / "project" / "runs" / "long", three, {})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("twostage.stage2.results.package_project", lambda: tmp_path / "project")
    folder, found = find_results("long")
    assert (folder, found.name) == (tmp_path / "project" / "runs" / "long", "long")


def test_command_names_the_runs_there_are(three, tmp_path, monkeypatch):
    write_run(tmp_path / "runs" / "long", three, {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("twostage.stage2.results.package_project", lambda: None)
    done = CliRunner().invoke(app, ["compare", "long", "lang"])
    assert done.exit_code == 2
    assert "found 'no such run'; expected a run's folder or one of long" in done.stderr
    (tmp_path / "file").write_text("")
    assert CliRunner().invoke(app, ["compare", "long", "long", "--out", "file"]).exit_code == 1
