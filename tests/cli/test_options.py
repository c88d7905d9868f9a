"""What commands say besides their work."""

import shutil

import pandas as pd
import pytest

from twostage.cli.options import synthetic_note


@pytest.fixture
def collection(small, tmp_path):
    """A copy of a synthetic collection whose first study calls itself real."""
    folder = tmp_path / "mine"
    shutil.copytree(small, folder)
    table = pd.read_csv(folder / "studies.csv", dtype=str, keep_default_na=False)
    table.loc[0, "source"] = "own data"
    table.to_csv(folder / "studies.csv", index=False)
    return folder, list(table["study"])


def test_a_real_study_in_a_synthetic_collection_is_remarked(collection):
    folder, studies = collection
    note = synthetic_note(folder, *studies)
    assert f"the source of {studies[0]} does not" in note
    assert "new-collection" in note and str(folder / "collection.yml") in note
    assert synthetic_note(folder, *studies[1:]) == ""


def test_a_collection_of_real_studies_is_not(collection):
    folder, studies = collection
    settings = folder / "collection.yml"
    text = settings.read_text(encoding="utf-8")
    assert "synthetic: true" in text
    settings.write_text(text.replace("synthetic: true", "synthetic: false"), encoding="utf-8")
    assert synthetic_note(folder, *studies) == ""
