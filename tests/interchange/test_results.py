"""What a run leaves for other software: the run's own numbers, described as the standards want it."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest

from twostage.collection.collection import read_collection
from twostage.interchange.columns import NAMES
from twostage.interchange.documents import POOLED_VERSION, Pooled, schema
from twostage.interchange.effects import units
from twostage.interchange.pooled import as_results
from twostage.params import make_parameters
from twostage.records.record import find_record
from twostage.stage2.results import read_results
from twostage.stats.multilevel import pool_several
from twostage.text import read_csv

REPOSITORY = Path(__file__).parents[2]
REFERENCE = REPOSITORY / "tests" / "reference"

#: SHA-256 of version 1 of the schema. Another schema is another version: raise POOLED_VERSION, and name it here.
SCHEMAS = {1: "3564ae04cc02fe845994741829599b913da7bd05b82a67e051a00382b1df5fc2"}


def read(folder: Path, name: str):
    return json.loads((folder / "results" / name).read_text(encoding="utf-8"))


def test_effects_are_the_records_estimates_to_the_last_digit(run):
    table = pd.read_csv(run / "results" / "effects.csv")
    assert list(table) == NAMES
    known = {}
    for study in ("S01", "S02", "S03"):
        for analysis in ("outcome", "lagged", "crosslevel"):
            record = find_record(run / "records", study, analysis)
            known |= {(study, analysis, e.variant, e.direction, e.term): e for e in record.estimates}
    assert len(table) == len(known) == table["effect"].nunique()
    for row in table.itertuples():
        e = known[row.study, row.analysis, row.variant, row.direction, row.term]
        assert (row.yi, row.sei, row.n, row.n_transitions) == (
            e.estimate,
            e.std_error,
            e.n_patients,
            e.n_transitions,
        )
        assert row.vi == e.std_error**2
        assert (row.df == e.df) if e.df else np.isnan(row.df)
    registry = read_collection(run.parent / "theirs").studies.set_index("study")
    assert (table["year"] == table["study"].map(registry["year"])).all()
    assert (table["n_enrolled"] == table["study"].map(registry["n"])).all()
    assert set(table["source_of_effect"]) == {"participants"}


def test_matrices_name_rows_of_the_table_and_agree_with_it(run):
    effects = pd.read_csv(run / "results" / "effects.csv").set_index("effect")
    blocks = read(run, "vcov.json")["blocks"]
    # Two equations of each of two analyses, the outcome with and without early y, a joint matrix of each of the two.
    assert len(blocks) == 3 * (2 + 2 + 2 + 2)
    for block in blocks:
        rows = effects.loc[block["effects"]]
        assert set(rows["study"]) == {block["study"]}
        if block["of"] != "both":
            assert set(rows["direction"]) == {block["of"]}
            assert np.diag(np.array(block["matrix"], dtype=float)) == pytest.approx(rows["vi"], rel=1e-12)


def test_pooled_is_valid_and_says_what_the_run_pooled(run):
    document = read(run, "pooled.json")
    own = read(run, "pooled.jsonschema.json")
    jsonschema.Draft202012Validator.check_schema(own)
    jsonschema.Draft202012Validator(own).validate(document)
    assert document["$schema"] == own["$id"]
    told, found = as_results(Pooled.model_validate(document), "run"), read_results(run)
    assert told.checksums == found.checksums
    assert told.parameters == found.parameters
    for column in ("estimate", "std_error", "df", "ci_low", "pi_high", "tau2", "i2", "q", "k", "level"):
        np.testing.assert_array_equal(told.table[column].to_numpy(float), found.table[column].to_numpy(float))


def test_a_wrong_document_is_not_valid(run):
    document = read(run, "pooled.json")
    validator = jsonschema.Draft202012Validator(read(run, "pooled.jsonschema.json"))
    for spoil in ({"made": "yesterday"}, {"schema_version": 2}, {"more": 1}):
        assert not validator.is_valid(document | spoil)


def test_the_schema_of_a_version_stays_as_it_is():
    text = json.dumps(schema(), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == SCHEMAS[POOLED_VERSION]


def test_the_codebook_explains_each_column_and_short_name(run):
    table = pd.read_csv(run / "results" / "effects.csv")
    book = pd.read_csv(run / "results" / "codebook.csv", keep_default_na=False)
    columns = book[book["value"] == ""]
    assert list(columns["column"]) == NAMES and (columns["meaning"].str.len() > 3).all()
    for column in ("direction", "estimator"):
        explained = set(book.loc[(book["column"] == column) & (book["value"] != ""), "value"])
        assert explained == set(table[column].dropna())
    terms = {f"{t} ({d})" for t, d in zip(table["term"], table["direction"], strict=True)}
    assert set(book.loc[book["column"] == "term", "value"]) == {"", *terms}


def test_the_package_has_each_file_with_its_checksum(run):
    resources = {r["path"]: r for r in read(run, "datapackage.json")["resources"]}
    there = {path.name for path in (run / "results").iterdir()}
    assert set(resources) == there - {"datapackage.json", "ro-crate-metadata.json"}
    for name, resource in resources.items():
        content = (run / "results" / name).read_bytes()
        assert resource["bytes"] == len(content)
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert [f["name"] for f in resources["effects.csv"]["schema"]["fields"]] == NAMES


def test_the_crate_names_everything_that_it_speaks_of(run):
    graph = read(run, "ro-crate-metadata.json")["@graph"]
    known = {entity["@id"]: entity for entity in graph}
    assert len(known) == len(graph)

    def named(value):
        if isinstance(value, dict):
            yield from (
                [value["@id"]] if set(value) == {"@id"} else (n for v in value.values() for n in named(v))
            )
        elif isinstance(value, list):
            yield from (n for v in value for n in named(v))

    unknown = {
        name for entity in graph for key, v in entity.items() if key != "@id" for name in named(v)
    } - set(known)
    assert unknown == {"https://w3id.org/ro/crate/1.1"}
    files = {name for name, entity in known.items() if "File" in entity["@type"]}
    assert files == {path.name for path in (run / "results").iterdir()} - {"ro-crate-metadata.json"}
    action = known["#run"]
    assert known[action["instrument"]["@id"]]["@type"][-2:] == ["ComputationalWorkflow", "HowTo"]
    values = {
        known[o["@id"]]["name"]: known[o["@id"]]["value"] for o in action["object"] if "#value" in o["@id"]
    }
    assert values == {name: str(value) for name, value in make_parameters({}).model_dump().items()}


def test_no_file_names_a_folder_of_this_machine(run):
    for path in (run / "results").iterdir():
        text = path.read_text(encoding="utf-8")
        assert str(run.parent) not in text
        assert str(Path.home()) not in text
        assert str(REPOSITORY) not in text


def test_runcrate_reads_the_crate(run):
    if not shutil.which("runcrate"):
        pytest.skip("runcrate is not installed: pip install runcrate, and put it on the path")
    said = subprocess.run(["runcrate", "report", str(run / "results")], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "1 <- #parameter-lag" in said.stdout
    assert "effects.csv" in said.stdout


def test_frictionless_validates_the_package(run):
    if not shutil.which("frictionless"):
        pytest.skip("frictionless is not installed: pip install frictionless, and put it on the path")
    command = ["frictionless", "validate", "--json", str(run / "results" / "datapackage.json")]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout[-2000:]
    assert json.loads(said.stdout)["valid"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (("lagged", "main", "y_to_x", "intercept"), "SD of all scores of x"),
        (
            ("crosslevel", "main", "x_to_y", "x_within:y_mean"),
            "SD of all scores of y per SD of all scores of x per SD of all scores of y",
        ),
        (
            ("sensitivity", "standardized by the within-patient SD", "x_to_y", "x_within"),
            "SD within persons of y per SD within persons of x",
        ),
        (
            ("sensitivity", "as chosen", "x_to_y", "y_within"),
            "SD of all scores of y per SD of all scores of y",
        ),
        (("outcome", "main", "x_to_y", "partial_r_z"), "Fisher z of a partial correlation"),
    ],
)
def test_units(key, expected):
    assert units(*key, make_parameters({})) == expected


def test_units_without_standardization():
    raw = make_parameters({"standardize": "none"})
    assert units("lagged", "main", "x_to_y", "x_within", raw) == "scale point of y per scale point of x"


@pytest.mark.slow
def test_metafor_makes_the_same_of_the_default_collection(tmp_path):
    """interchange.R read effects.csv and vcov.json of this run as a stranger: its numbers are stored."""
    command = [sys.executable, "-m", "twostage", "run", "--no-book", "--out", str(tmp_path / "run")]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    metafor = read_csv(REFERENCE / "interchange.csv")
    key = ["analysis", "variant", "direction", "term", "estimator"]
    pooled = pd.DataFrame(read(tmp_path / "run", "pooled.json")["effects"])
    both = pooled.merge(metafor, on=key, suffixes=("", "_r"), validate="one_to_one")
    assert len(both) == len(metafor) == len(pooled) == 28
    assert (both["k"] == both["k_r"]).all()
    assert (both["n_patients"] == both["n_patients_r"]).all()
    # Both maximise by Newton's method to 1e-13; what is left are the digits of the sums.
    for name in ("estimate", "std_error", "ci_low", "ci_high", "pi_low", "pi_high"):
        assert ((both[name] - both[f"{name}_r"]).abs() / both["std_error"]).max() < 1e-7, name
    assert both["tau2"].to_numpy() == pytest.approx(both["tau2_r"].to_numpy(), rel=1e-6, abs=1e-11)
    assert both["q"].to_numpy() == pytest.approx(both["q_r"].to_numpy(), rel=1e-9)
    _both_effects_together(tmp_path / "run")


def _both_effects_together(folder: Path) -> None:
    metafor = pd.read_csv(REFERENCE / "interchange_joint.csv")
    effects = pd.read_csv(folder / "results" / "effects.csv").set_index("effect")["yi"]
    y, v = [], []
    for block in read(folder, "vcov.json")["blocks"]:
        if (block["analysis"], block["of"]) == ("lagged", "both"):
            at = [
                i
                for i, n in enumerate(block["effects"])
                if n.split("/")[3:5] in (["x_to_y", "x_within"], ["y_to_x", "y_within"])
            ]
            y.append(effects[[block["effects"][i] for i in at]].to_numpy())
            v.append(np.array(block["matrix"])[np.ix_(at, at)])
    fit = pool_several(np.array(y), np.array(v))
    # metafor's general optimiser stops 1e-7 below the maximum, which is 1e-4 standard errors in the estimates.
    assert fit.loglik >= metafor["loglik"][0] - 1e-9
    errors = np.sqrt(np.diag(fit.cov_coef))
    assert np.abs(fit.coef - metafor["estimate"]).max() < 1e-3 * errors.min()
    assert errors == pytest.approx(metafor["std_error"].to_numpy(), rel=1e-3)
