"""The two commands: what they say, their exit status, and what they leave behind."""

import shutil

import pytest
from bundles import entries, zipped
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.sharing.accept import read_bundle


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_share_and_accept(written, centre, tmp_path):
    site = shutil.copytree(written, tmp_path / "site")
    out = tmp_path / "out" / "S02.zip"
    result = invoke("share", "S02", "--collection", site, "--out", out, "--nfilter-tab", 6, "--round", 5)
    assert result.exit_code == 0, result.output
    assert f"{out}: results of S02, " in result.stdout
    assert f"read {out.with_suffix('.html')} before you send it" in result.stdout
    result = invoke("accept", out, "--to", centre)
    assert (result.exit_code, result.stderr) == (0, "")
    first, *missing, last = result.stdout.splitlines()
    assert first == f"{centre}: S02 (Synthetic study 02) was added, with its results only"
    assert last == f"next: twostage run {centre}"
    # Eight patients tell the directions of this study apart, more than the six that are asked for.
    assert missing == []
    assert invoke("validate", centre).exit_code == 0
    again = invoke("accept", out, "--to", centre)
    assert again.exit_code == 2
    assert again.stderr == (
        "1 problem in the bundle:\n  - S02.zip, manifest.json, column 'study': found 'S02'; expected a study that the "
        "collection does not have; to replace its earlier bundle use --replace\nnothing was written\n"
    )
    assert invoke("accept", out, "--to", centre, "--replace").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("S02", "--nfilter-subset", 500), "at least nfilter.subset = 500 patients"),
        (("S09",), "found 'S09'; expected one of"),
        (("S02", "--params", "nowhere.yml"), "nowhere.yml"),
        (("S02", "--nfilter-tab", 0), "nfilter-tab"),
        (("S02", "--round", 1), "round"),
    ],
)
def test_what_is_not_shared_ends_with_status_2_and_leaves_nothing(small, tmp_path, arguments, said):
    before = entries(tmp_path)
    result = invoke("share", *arguments, "--collection", small, "--out", tmp_path / "S02.zip")
    assert result.exit_code == 2
    assert said in result.stderr
    # What the command line itself refuses is refused before anything begins.
    assert ("nothing was written\n" in result.stderr) == ("Usage" not in result.stderr)
    assert entries(tmp_path) == before


def test_a_file_that_is_there_is_kept(small, tmp_path):
    (tmp_path / "S01.zip").write_text("mine")
    arguments = ("share", "S01", "--collection", small, "--out", tmp_path / "S01.zip")
    result = invoke(*arguments)
    assert result.exit_code == 2
    for said in ("S01.zip: found a file of this name", "(--out)", "(--force)", "nothing was written"):
        assert said in result.stderr
    assert (tmp_path / "S01.zip").read_text() == "mine"
    assert invoke(*arguments, "--force").exit_code == 0


def test_parameters_by_name_go_over_those_of_the_file(small, tmp_path):
    file = tmp_path / "short.yml"
    file.write_text("last_session: 5\nlag: 2\n")
    arguments = ("share", "S01", "--collection", small, "--params", file, "--out", tmp_path / "S01.zip")
    assert invoke(*arguments, "-p", "last_session=4").exit_code == 0
    parameters = read_bundle(tmp_path / "S01.zip").manifest.parameters
    assert (parameters.last_session, parameters.lag) == (4, 2)
    wrong = invoke(*arguments, "-p", "last_sesion=4", "--force")
    assert wrong.exit_code == 2
    for said in ("short.yml and -p", "did you mean 'last_session'", "nothing was written"):
        assert said in wrong.stderr


def test_a_hostile_bundle_ends_with_status_2_and_nothing_is_written(centre, members, tmp_path):
    (tmp_path / "evil.zip").write_bytes(zipped(members | {"../evil": b"x"}))
    before = entries(tmp_path)
    result = invoke("accept", tmp_path / "evil.zip", "--to", centre)
    assert result.exit_code == 2
    assert "problem in the bundle" in result.stderr
    assert result.stderr.endswith("nothing was written\n")
    assert "Traceback" not in result.output
    assert entries(tmp_path) == before


def test_a_collection_that_is_none_is_bad_input(packed, tmp_path):
    (tmp_path / "good.zip").write_bytes(packed)
    result = invoke("accept", tmp_path / "good.zip", "--to", tmp_path / "nowhere")
    assert (result.exit_code, "no such folder" in result.stderr) == (2, True)


def test_an_edited_bundle_is_a_problem_of_the_collection(centre, packed, tmp_path):
    (tmp_path / "good.zip").write_bytes(packed)
    assert invoke("accept", tmp_path / "good.zip", "--to", centre).exit_code == 0
    path = centre / "bundles" / "S02" / "records" / "lagged.json"
    path.write_text(path.read_text().replace("0", "1", 1))
    result = invoke("validate", centre)
    assert result.exit_code == 2
    assert "bundles/S02/records/lagged.json, column 'sha256'" in result.stderr
