"""Real files: one with seven samples by one command, and one openESM study, against the readings beside them."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from twostage.cli import app
from twostage.collection import Collection, read_collection, validate_collection
from twostage.collection_file import VariableSettings
from twostage.importing.facts import WANTED
from twostage.skeleton import Pair, new_collection

REAL = Path(__file__).parents[3] / "shared" / "real"
COLLECTIONS = Path(__file__).parents[1] / "collections"


def real(name: str) -> Path:
    if not (REAL / name).is_dir():
        pytest.skip(f"the folder ../shared/real/{name} with the real data is absent")
    return REAL / name


def reading(name: str) -> Collection:
    return read_collection(COLLECTIONS / name)


def into(folder: Path, collection: Collection) -> Path:
    pair = (
        VariableSettings(name=v.name, label=v.label, better=v.better) for v in (collection.x, collection.y)
    )
    return new_collection(folder / "c", Pair(*pair))


def facts(row: dict) -> dict:
    return {column: getattr(row[column], "item", lambda c=column: row[c])() for column in WANTED}


def imports(folder: Path, file: Path, *arguments: str, **mapping) -> str:
    (folder / "m.yml").write_text(yaml.safe_dump(mapping, allow_unicode=True), encoding="utf-8")
    command = ["import", str(file), "--to", str(folder / "c"), "--map", str(folder / "m.yml"), *arguments]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def scored(sessions: pd.DataFrame) -> pd.DataFrame:
    return sessions.dropna(subset=["x", "y"], how="all").reset_index(drop=True)


def of_gametime(collection: Collection) -> dict:
    """A mapping of the file with all samples."""
    rows = collection.studies.to_dict("records")
    return {
        "layout": "long",
        "patient": "pid",
        "session": "wave",
        "x": "Hours_per_day",
        "y": "Affect",
        "patients": {"age": "Age", "gender": "Gender"},
        "study_column": "Game",
        "studies": {row["sample"]: {name: row[name] for name in ("label", "study")} for row in rows},
        "study": {k: v for k, v in facts(rows[0]).items() if k != "label"},
    }


def test_seven_samples_of_one_file_by_one_command(tmp_path):
    file = real("gametime") / "gametime_long.csv.gz"
    expected = reading("gametime")
    into(tmp_path, expected)
    output = imports(tmp_path, file, "--study-column", "Game", **of_gametime(expected))
    assert "7 studies added, no problem" in output
    assert "columns that the mapping does not use: LifeSat, AN, AP, Intrinsic, Extrinsic, hours_est" in output
    assert validate_collection(tmp_path / "c") == ()
    found = read_collection(tmp_path / "c")
    assert list(found.studies["study"]) == list(expected.studies["study"])
    assert list(found.studies["n"]) == list(expected.studies["n"])
    raw = pd.read_csv(file, usecols=["Game", "pid", "Age", "Gender"], dtype={"pid": str})
    for row in expected.studies.to_dict("records"):
        study = found.study(row["study"])
        pd.testing.assert_frame_equal(scored(study.sessions), scored(expected.study(row["study"]).sessions))
        people = raw[raw["Game"] == row["sample"]].groupby("pid")[["Age", "Gender"]].first()
        assert list(study.patients["patient"]) == list(people.index)
        np.testing.assert_array_equal(study.patients["age"], people["Age"])
        assert study.patients["gender"].fillna("").tolist() == people["Gender"].fillna("").tolist()


def test_one_of_the_seven_samples_by_one_command(tmp_path):
    expected = reading("gametime")
    into(tmp_path, expected)
    row = expected.studies.sort_values("n").iloc[0]
    # Without most rows of the other samples, which take their time.
    with gzip.open(real("gametime") / "gametime_long.csv.gz", "rt", encoding="utf-8") as whole:
        lines = [line for i, line in enumerate(whole) if i < 1000 or line.startswith(row["sample"])]
    file = tmp_path / "gametime.csv"
    file.write_text("".join(lines), encoding="utf-8")
    output = imports(tmp_path, file, "--study", row["study"], **of_gametime(expected))
    assert "1 study added, no problem" in output
    found = read_collection(tmp_path / "c")
    assert list(found.studies["study"]) == [row["study"]]
    assert list(found.studies["n"]) == [row["n"]]
    theirs = scored(expected.study(row["study"]).sessions)
    pd.testing.assert_frame_equal(scored(found.study(row["study"]).sessions), theirs)


def test_an_openesm_study(tmp_path):
    file = real("openesm") / "jang2024_outpatients.csv"
    expected = reading("openesm_anx_dep")
    into(tmp_path, expected)
    row = next(r for r in expected.studies.to_dict("records") if r["sessions_file"] == file.name)
    imports(
        tmp_path,
        file,
        "--study",
        row["study"],
        layout="long",
        patient="id",
        session="session",
        x="anx",
        y="dep",
        study=facts(row),
    )
    found = read_collection(tmp_path / "c").study(row["study"])
    assert found.info["n"] == row["n"]
    pd.testing.assert_frame_equal(scored(found.sessions), scored(expected.study(row["study"]).sessions))


def test_a_proposal_for_the_real_file_finds_its_columns(tmp_path, monkeypatch):
    file = tmp_path / "gametime_long.csv"
    with gzip.open(real("gametime") / "gametime_long.csv.gz") as packed, file.open("wb") as target:
        shutil.copyfileobj(packed, target, 100_000)
    file.write_bytes(file.read_bytes()[:100_000].rpartition(b"\n")[0])
    into(tmp_path, reading("gametime"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["import", str(file), "--to", "c", "--study-column", "Game"])
    assert result.exit_code == 0
    content = yaml.safe_load((tmp_path / "gametime_long.mapping.yml").read_text(encoding="utf-8"))
    assert [content[k] for k in ("layout", "patient", "session")] == ["long", "pid", "wave"]
    assert [content[k] for k in ("x", "y")] == [{"column": "Hours_per_day"}, {"column": "Affect"}]
    assert content["studies"]["AC:NH"] == {"study": "AC_NH", "label": "AC:NH"}
