"""Releases: what changed is said, each is kept as it was, and nothing is overwritten."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.collection.collection import read_collection
from twostage.interchange.documents import Moderator, Pooled
from twostage.interchange.releases import (
    Release,
    ReleaseError,
    add_release,
    make_release,
    read_releases,
    read_versions,
    same_results,
    version_rows,
)
from twostage.pages.history.analysis import changes
from twostage.pages.history.page import change_files
from twostage.pages.history.plots import alt, answer_over_time
from twostage.pages.history.tables import changes_table, history_table, markdown, moderators_table, sentences
from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.run import load_run
from twostage.pipeline.tables_only import write_tables
from twostage.pipeline.update import finished_run, release_run
from twostage.simulation.simulate import simulate_collection, write_collection

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def document(run) -> Pooled:
    return Pooled.model_validate_json((run / "results" / "pooled.json").read_bytes(), strict=True)


def moved(document: Pooled, **effect) -> Pooled:
    """The same with other numbers of the main effect of x on y, and a study less."""
    effects = [
        e.model_copy(update=effect)
        if (e.analysis, e.direction, e.term) == ("lagged", "x_to_y", "x_within")
        else e
        for e in document.effects
    ]
    return document.model_copy(update={"effects": tuple(effects), "studies": document.studies[:2]})


def release(number: int, document: Pooled) -> Release:
    return make_release(number, document)[0]


def add(folder: Path, number: int, document: Pooled) -> None:
    made, content = make_release(number, document)
    add_release(folder, made, {"pooled.json": content})


@pytest.fixture
def pair(document) -> tuple[Release, Release]:
    """A release in which x to y is below zero, and one in which its interval includes zero and a study is gone."""
    first = moved(document, estimate=-0.2, ci_low=-0.3, ci_high=-0.1, tau2=0.04, i2=50.0, k=3)
    second = moved(document, estimate=0.05, ci_low=-0.1, ci_high=0.2, tau2=0.01, i2=20.0, k=2)
    return release(1, first.model_copy(update={"studies": document.studies})), release(2, second)


def test_what_flipped_is_said_first_and_by_hand(pair):
    found = changes(*pair)
    row = found.effects[
        (found.effects["direction"] == "x_to_y") & (found.effects["term"] == "x_within")
    ].iloc[0]
    assert (row["zero_before"], row["zero_after"], row["flipped"], row["sign_changed"]) == (
        "below zero",
        "includes zero",
        True,
        True,
    )
    assert found.effects["flipped"].sum() == 1
    assert (found.added, found.withdrawn, found.replaced) == ((), ("S03",), ())
    said = sentences(found)
    assert said[0] == "Study withdrawn: S03."
    assert said[1].startswith("Flipped: alliance → symptom severity")
    assert "its interval lay below zero before, includes zero now" in said[1]
    assert (
        "−0.200 [−0.300, −0.100] of 3 studies before, 0.050 [−0.100, 0.200] of 2 now; τ 0.200 before, 0.100 now"
        in said[-2]
    )
    table = changes_table(found).set_index("effect")
    line = next(
        cells for label, cells in table.iterrows() if label.startswith("alliance → symptom severity (within")
    )
    assert (line["τ"], line["I² (%)"], line["k"], line["moved by"]) == (
        "0.200 → 0.100",
        "50 → 20",
        "3 → 2",
        "0.250",
    )
    assert (line["interval"], line["verdict"]) == ("below zero → includes zero", "flipped")


def test_a_verdict_flips_without_a_change_of_sign_and_a_sign_without_a_verdict(document, pair):
    near = release(2, moved(document, estimate=-0.05, ci_low=-0.2, ci_high=0.1))
    row = (
        changes(pair[0], near)
        .effects.set_index(["analysis", "direction", "term"])
        .loc["lagged", "x_to_y", "x_within"]
    )
    assert (row["flipped"], row["sign_changed"]) == (True, False)
    row = (
        changes(near, pair[1])
        .effects.set_index(["analysis", "direction", "term"])
        .loc["lagged", "x_to_y", "x_within"]
    )
    assert (row["flipped"], row["sign_changed"]) == (False, True)


def test_nothing_flipped_is_said_too(pair):
    found = changes(pair[0], replace(pair[0], number=2))
    assert found.glance().iloc[0].tolist() == [0, 0, 0, 0, 0, 0]
    assert sentences(found)[:2] == [
        "The studies and their data are the same.",
        "No verdict flipped: of 9 intervals each says the same of zero as before.",
    ]


def test_a_replaced_study_and_another_parameter_are_named(pair):
    first, second = pair
    other = first.document.studies[0].model_copy(update={"checksum": "0" * 64})
    document = first.document.model_copy(
        update={
            "studies": (other, *first.document.studies[1:]),
            "parameters": first.document.parameters | {"last_session": 5},
            "package_version": "9.9",
        }
    )
    said = sentences(changes(first, release(2, document)))
    assert "Study replaced by other data or results: S01." in said
    assert "Parameter last_session: 7 before, 5 now." in said
    assert any(line.startswith("Made by twostage 9.9, before by ") for line in said)


def moderator(**values) -> Moderator:
    given = {"direction": "x_to_y", "moderator": "year", "label": "year", "k": 9, "slope": 0.1}
    empty = dict.fromkeys(Moderator.model_fields)
    return Moderator.model_validate(empty | given | values)


def test_a_moderator_that_flips_is_said(pair):
    ends = [
        replace(r, document=r.document.model_copy(update={"moderators": (moderator(holm_p_value=p),)}))
        for r, p in zip(pair, (0.2, 0.01), strict=True)
    ]
    found = changes(*ends)
    assert any("year is related to the effect now, and was not before" in line for line in sentences(found))
    assert moderators_table(found)["verdict"].tolist() == ["flipped"]
    # Of one that only one release tested nothing flipped.
    without = replace(pair[0], document=pair[0].document.model_copy(update={"moderators": ()}))
    assert moderators_table(changes(without, ends[1]))["verdict"].tolist() == ["–"]


def test_page_markdown_and_json_say_the_same_and_obey_nothing(pair):
    first, second = pair
    about = second.document.collection.model_copy(update={"note": "<b>*so*</b> [x](y)"})
    second = replace(second, document=second.document.model_copy(update={"collection": about}))
    found = changes(first, second)
    files = change_files(found)
    data = json.loads(files["changes.json"])
    assert data["studies"] == {"added": [], "withdrawn": ["S03"], "replaced": []}
    assert [e["term"] for e in data["effects"] if e["flipped"]] == ["x_within"]
    page = files["index.html"].decode()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "http" not in page
    assert r"\<b\>\*so\*" in markdown(found)
    for line in sentences(found)[:1]:
        assert line in page


def test_releases_are_read_as_they_were_added_and_rows_are_only_appended(document, tmp_path):
    add(tmp_path, 1, document)
    first = (tmp_path / "versions.csv").read_bytes()
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.json")}
    add(tmp_path, 2, moved(document, estimate=0.5))
    assert (tmp_path / "versions.csv").read_bytes().startswith(first)
    assert all(path.read_bytes() == content for path, content in before.items())
    releases = read_releases(tmp_path)
    assert [r.number for r in releases] == [1, 2]
    assert same_results(releases[0].document, document)
    assert not same_results(releases[0].document, releases[1].document)
    versions = read_versions(tmp_path)
    # Nine effects answer the question in each.
    assert versions["release"].tolist() == [1] * 9 + [2] * 9
    assert versions["studies"].tolist() == [3] * 9 + [2] * 9
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_release_is_never_replaced(document, tmp_path):
    add(tmp_path, 1, document)
    with pytest.raises(ReleaseError, match="another update was faster"):
        add(tmp_path, 1, moved(document, estimate=0.5))
    with pytest.raises(ReleaseError, match="another update was faster"):
        add(tmp_path, 3, document)
    # A folder that no row names may be somebody's.
    (tmp_path / "releases" / "002").mkdir()
    with pytest.raises(ReleaseError, match="another update was faster"):
        add(tmp_path, 2, document)


def test_the_same_numbers_of_other_data_are_another_release(document):
    other = document.studies[0].model_copy(update={"checksum": "0" * 64})
    assert not same_results(document, document.model_copy(update={"studies": (other, *document.studies[1:])}))
    assert same_results(document, document.model_copy(update={"run": "another", "made": "2020-01-01"}))


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("releases/001/pooled.json", b'"k"', b'"K"', "a release is never changed"),
        ("versions.csv", b"\n1,", b"\n7,", "as releases are counted"),
        ("versions.csv", b"release,date", b"released,date", "the columns release, date"),
    ],
)
def test_a_changed_release_is_refused(document, tmp_path, name, old, new, words):
    add(tmp_path, 1, document)
    path = tmp_path / name
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(ReleaseError, match=words):
        read_releases(tmp_path)


def test_validate_names_a_changed_release(document, ours):
    add(ours, 1, document)
    assert CliRunner().invoke(app, ["validate", str(ours)]).exit_code == 0
    path = ours / "releases" / "001" / "pooled.json"
    path.write_bytes(path.read_bytes() + b"\n")
    said = CliRunner().invoke(app, ["validate", str(ours)])
    assert said.exit_code == 2
    assert "a release is never changed" in said.stderr


def test_a_release_whose_file_is_gone_is_refused(document, tmp_path):
    add(tmp_path, 1, document)
    shutil.rmtree(tmp_path / "releases")
    with pytest.raises(ReleaseError, match="the release that versions.csv names"):
        read_releases(tmp_path)


def test_the_picture_shows_each_release(pair):
    import pandas as pd

    versions = pd.concat([version_rows(r) for r in pair], ignore_index=True)
    axes = answer_over_time(versions, "alliance", "symptoms")
    (line,) = [
        line for line in axes[0].get_lines() if len(line.get_xdata()) == 2 and line.get_marker() == "o"
    ]
    assert line.get_ydata().tolist() == [-0.2, 0.05]
    assert [t.get_text().split("\n")[0] for t in axes[-1].get_xticklabels()] == ["1", "2"]
    assert "release 1 −0.200 [−0.300, −0.100], release 2 0.050" in alt(versions, "alliance", "symptoms")
    assert history_table(versions, "alliance", "symptoms")["release"].tolist() == ["1", "2"]
    plt.close("all")


def test_an_update_adds_a_release_once_and_another_when_a_study_leaves(tmp_path):
    whole = write_collection(simulate_collection(11, n_studies=3, n_patients=150), tmp_path / "whole")
    ask = Request(whole, out=tmp_path / "run", tables_only=True)
    plan = plan_run(REPOSITORY, ask)
    write_tables(plan)
    first = release_run(plan.run)
    assert (first.new, first.changes, first.release.number) == (True, None, 1)
    again = release_run(finished_run(tmp_path / "run", whole))
    assert (again.new, again.release.number) == (False, 1)
    lines = (whole / "studies.csv").read_text().splitlines(keepends=True)
    (whole / "studies.csv").write_text("".join(lines[:-1]))
    for kind in ("sessions", "patients"):
        (whole / kind / "S03.csv").unlink()
    truth = whole / "truth.csv"
    truth.write_text("".join(row for row in truth.read_text().splitlines(keepends=True) if "S03" not in row))
    shutil.rmtree(whole / "recovery", ignore_errors=True)
    plan = plan_run(REPOSITORY, ask)
    assert plan.run.has_history
    write_tables(plan)
    second = release_run(plan.run)
    assert second.new
    assert second.changes.withdrawn == ("S03",)
    assert sorted(p.name for p in second.folder.iterdir()) == [
        "changes.json",
        "changes.md",
        "index.html",
        "pooled.json",
    ]
    assert load_run(tmp_path / "run").has_history
    assert read_collection(whole).shared == ()
    with pytest.raises(ReleaseError, match="one of 1, 2"):
        release_run(plan.run, since=7)


def test_a_run_of_other_parameters_is_no_release(tmp_path):
    whole = write_collection(simulate_collection(11, n_studies=2, n_patients=80), tmp_path / "whole")
    plan = plan_run(
        REPOSITORY, Request(whole, assignments=("last_session=5",), out=tmp_path / "run", tables_only=True)
    )
    plan.write()
    with pytest.raises(ReleaseError, match="own parameters"):
        finished_run(tmp_path / "run", whole)
