"""A bundle of a newer version is accepted with a note of what differs."""

import json

import pytest
from bundles import changed, sealed, zipped
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.sharing.accept import read_bundle
from twostage.sharing.layout import MANIFEST
from twostage.sharing.versions import version_note


def of_version(members, tmp_path, text, name="S02.zip"):
    def change(value):
        value["package_version"] = text

    path = tmp_path / name
    path.write_bytes(zipped(sealed(changed(members, MANIFEST, change))))
    return path


@pytest.mark.parametrize(
    ("theirs", "own", "said"),
    [
        ("0.2.0", "0.1.0", True),
        ("0.1.0", "0.1.0", False),
        ("0.1.0", "0.2.0", False),
        ("0.10.0", "0.9.1", True),
        ("0.1.1.dev3", "0.1.0", True),
    ],
)
def test_only_a_newer_version_is_a_note(members, tmp_path, theirs, own, said):
    note = version_note(read_bundle(of_version(members, tmp_path, theirs)), own)
    assert bool(note) == said
    if said:
        assert f"made by twostage {theirs}, which is newer than this one ({own})" in note
        assert "It lacks" not in note


def test_what_the_bundle_lacks_is_named(members, tmp_path):
    """A bundle without an estimator that this version has."""

    def change(value):
        value["estimates"] = [e for e in value["estimates"] if e["variant"] != "dpm"]
        value["fits"] = [e for e in value["fits"] if e["variant"] != "dpm"]
        value["failures"] = [e for e in value["failures"] if e["variant"] != "dpm"]

    # Whatever a reader thinks of such a bundle: the note is about its records.
    bundle = read_bundle(of_version(members, tmp_path, "9.0.0"))
    content = json.loads(bundle.records["estimators"].model_dump_json())
    change(content)
    bundle.records["estimators"] = type(bundle.records["estimators"]).model_validate(content)
    assert "It lacks what this version has: estimators (dpm)." in version_note(bundle, "0.1.0")


def test_accept_says_it(members, centre, tmp_path):
    path = of_version(members, tmp_path, "9.0.0")
    result = CliRunner().invoke(app, ["accept", str(path), "--to", str(centre)])
    assert result.exit_code == 0, result.output
    assert "made by twostage 9.0.0, which is newer than this one" in result.output
    assert (centre / "bundles" / "S02").is_dir()
