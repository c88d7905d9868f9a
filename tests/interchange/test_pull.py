"""Another group's results as studies: the same numbers, marked, and nothing that does not fit."""

import csv
import hashlib
import json
import random
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from twostage.collection.collection import read_collection
from twostage.interchange.pull import pull
from twostage.interchange.read import ResultsError
from twostage.params import make_parameters
from twostage.problems import ProblemError
from twostage.records.record import ANALYSES, find_record
from twostage.sharing.layout import BundleError
from twostage.sharing.stored import shared_records, stored_bundle, stored_problems
from twostage.stage2.pool import patient_flow, pool_records

TODAY = date(2026, 5, 6)

MAPPING = """\
source: Doe et al. (2024), table 2
licence: CC-BY-4.0
columns: {study: trial, yi: d, sei: se, n: N, n_transitions: pairs, year: published}
values: {direction: x_to_y, term: x_within, country: Norway, x_instrument: WAI-SR, x_min: 12, x_max: 60,
         y_instrument: OQ-45, y_min: 0, y_max: 180}
"""

TABLE = "trial,d,se,N,pairs,published\nDoe1,-0.125,0.05,80,400,2019\nDoe2,-0.0625,0.04,120,610,2021\n"


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def sealed(folder: Path) -> None:
    """Say in the package that the files are as they are now: what a careful forger does."""
    path = folder / "datapackage.json"
    package = json.loads(path.read_text())
    for resource in package["resources"]:
        content = (folder / resource["path"]).read_bytes()
        resource |= {"bytes": len(content), "hash": f"sha256:{hashlib.sha256(content).hexdigest()}"}
    path.write_text(json.dumps(package))


def change_cell(folder: Path, row: int, column: str, value: str) -> None:
    with (folder / "effects.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows[row][column] = value
    with (folder / "effects.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    sealed(folder)


@pytest.fixture
def table(tmp_path) -> tuple[Path, Path]:
    (tmp_path / "doe.csv").write_text(TABLE)
    (tmp_path / "mapping.yml").write_text(MAPPING)
    return tmp_path / "doe.csv", tmp_path / "mapping.yml"


def refused(source, ours, *words, kind=ProblemError, **options) -> str:
    before = files(ours)
    with pytest.raises(kind) as error:
        pull(source, ours, today=TODAY, **options)
    assert files(ours) == before, "nothing was written"
    assert all(word in str(error.value) for word in words), str(error.value)
    return str(error.value)


def test_pulled_records_have_the_estimates_and_matrices_of_the_run(run, ours):
    pull(run, ours, today=TODAY, prefix="t_")
    collection = read_collection(ours)
    assert collection.shared == ("t_S01", "t_S02", "t_S03")
    records = shared_records(collection)
    for study in ("S01", "S02", "S03"):
        for analysis in ("lagged", "crosslevel", "outcome"):
            own, theirs = records[f"t_{study}"][analysis], find_record(run / "records", study, analysis)
            for a, b in zip(own.estimates, theirs.estimates, strict=True):
                assert a.model_dump(
                    exclude={"study", "p_value", "ci_low", "ci_high", "statistic"}
                ) == b.model_dump(exclude={"study", "p_value", "ci_low", "ci_high", "statistic"})
                for name in ("p_value", "ci_low", "ci_high", "statistic"):
                    assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-9, abs=1e-300)
            assert own.covariances == theirs.covariances
            assert own.joint_covariances == theirs.joint_covariances
        assert records[f"t_{study}"]["sensitivity"].estimates == ()
    assert set(records["t_S01"]) == set(ANALYSES)


def test_a_pulled_study_is_marked_where_it_is_named_and_knows_its_origin(run, ours):
    pull(run / "results", ours, today=TODAY, studies=["S02"], prefix="t_")
    collection = read_collection(ours)
    assert collection.origins == {"S01": "participants", "S02": "participants", "t_S02": "pulled"}
    assert collection.studies["label"].tolist()[-1].endswith(" ‡")
    bundle = stored_bundle(collection, "t_S02")
    origin = bundle.manifest.pulled
    assert (origin.title, origin.study, origin.original) == (collection.title, "S02", "participants")
    assert origin.checksum == hashlib.sha256((run / "results" / "effects.csv").read_bytes()).hexdigest()
    assert bundle.manifest.filters is None
    assert stored_problems(ours) == ()


def test_the_pool_of_both_groups_is_that_of_all_records(run, ours):
    pull(run, ours, today=TODAY, prefix="t_")
    pulled = [r["lagged"] for r in shared_records(read_collection(ours)).values()]
    theirs = [find_record(run / "records", s, "lagged") for s in ("S01", "S02", "S03")]
    a, b = pool_records(pulled).table, pool_records(theirs).table
    np.testing.assert_array_equal(a[["estimate", "std_error", "tau2"]], b[["estimate", "std_error", "tau2"]])


def test_how_many_were_left_out_of_a_pulled_study_is_not_known(run, ours):
    pull(run, ours, today=TODAY, prefix="t_", studies=["S01"])
    flow = patient_flow([shared_records(read_collection(ours))["t_S01"]["data"]])
    n = read_collection(ours).studies.set_index("study").loc["t_S01", "n"]
    assert (flow["enrolled"].iloc[0], flow["included"].isna().iloc[0]) == (n, True)
    assert flow.iloc[0, 3:].isna().all()


@pytest.mark.parametrize("name", ["effects.csv", "pooled.json", "vcov.json"])
def test_a_changed_file_is_refused(theirs, ours, name):
    path = theirs / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    refused(theirs, ours, name, "sha256", "changed", kind=ResultsError, prefix="t_")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("yi", "much", "a number"),
        ("yi", "1e999", "a number"),
        ("vi", "0.5", "sei squared"),
        ("sei", "", "its standard error"),
        ("sei", "-1", "sei squared"),
        ("converged", "perhaps", "True or False"),
        ("n", "3.5", "a whole number"),
        ("term", "x_within:z", "nothing that this version"),
        ("analysis", "gossip", "effects of this study and analysis"),
        ("label", "Another", "as in the study's first row"),
        ("study", "S9", "a study that pooled.json names"),
        ("effect", "S01/lagged/main/x_to_y/x_within/centred", "each effect once"),
        ("country", "a\u202eb", "U+202E"),
    ],
)
def test_a_cell_that_cannot_be_is_refused_by_name_though_the_checksums_fit(
    theirs, ours, column, value, words
):
    change_cell(theirs, 0, column, value)
    refused(theirs, ours, words, prefix="t_")


def test_an_error_that_is_not_of_its_matrix_is_refused(theirs, ours):
    change_cell(theirs, 3, "sei", "0.25")
    change_cell(theirs, 3, "vi", "0.0625")
    refused(theirs, ours, "std_error squared", prefix="t_")


def test_a_matrix_of_other_effects_is_refused(theirs, ours):
    path = theirs / "vcov.json"
    path.write_text(path.read_text().replace("S01/lagged/main/x_to_y/x_within/centred", "S01/lagged/other"))
    sealed(theirs)
    refused(theirs, ours, "the name of a row of effects.csv", prefix="t_")


def test_a_title_with_brackets_is_no_reason_to_refuse(theirs, ours):
    path = theirs / "pooled.json"
    path.write_text(path.read_text().replace("Alliance and early symptoms", "Alliance [2024] <b>"))
    sealed(theirs)
    pull(theirs, ours, today=TODAY, prefix="t_")
    assert stored_bundle(read_collection(ours), "t_S01").manifest.pulled.title == "Alliance 2024 b"


def test_another_version_is_refused(theirs, ours):
    path = theirs / "pooled.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    sealed(theirs)
    refused(theirs, ours, "schema_version", "same version", prefix="t_")


def test_another_pair_and_other_parameters_are_refused(theirs, ours):
    settings = ours / "collection.yml"
    before = settings.read_text()
    settings.write_text(
        before.replace("name: alliance", "name: bond").replace("label: alliance", "label: bond")
    )
    for path in [ours / "dictionary.csv", *(ours / "sessions").iterdir()]:
        path.write_text(path.read_text().replace("alliance", "bond"))
    lines = settings.read_text().split("parameters:")[0]
    settings.write_text(f"{lines}parameters: {{last_session: 5}}\n")
    refused(theirs, ours, "x.name", "parameters.last_session", prefix="t_")


def test_an_id_that_is_taken_needs_a_prefix_and_no_study_is_added(theirs, ours):
    said = refused(theirs, ours, "use --prefix", kind=BundleError)
    assert "S01, manifest.json" in said
    refused(theirs, ours, "letters, digits and underscores", prefix="t/")


def test_the_same_study_under_another_id_is_refused(run, theirs):
    whole = run.parent / "theirs"
    refused(theirs, whole, "a pool would count its patients twice", prefix="t_")


def test_pulled_again_only_with_replace(theirs, ours):
    pull(theirs, ours, today=TODAY, prefix="t_")
    refused(theirs, ours, "--replace", prefix="t_")
    before = files(ours)
    pull(theirs, ours, today=TODAY, prefix="t_", replace=True)
    assert files(ours) == before
    refused(theirs, ours, "with the results of t_S01", prefix="u_")


def test_a_study_that_they_do_not_have(theirs, ours):
    refused(theirs, ours, "one of S01, S02, S03", studies=["S11"], prefix="t_")


def test_a_pulled_study_cannot_be_edited(run, ours):
    pull(run, ours, today=TODAY, prefix="t_")
    path = ours / "bundles" / "t_S01" / "records" / "lagged.json"
    path.write_text(path.read_text().replace("0.1", "0.2", 1))
    assert "sha256" in str(stored_problems(ours)[0])


def test_a_plain_table_with_a_mapping(table, ours):
    source, mapping = table
    pull(source, ours, today=TODAY, mapping=mapping)
    records = shared_records(read_collection(ours))
    (effect,) = records["Doe1"]["lagged"].estimates
    assert (effect.estimate, effect.std_error, effect.df, effect.n_patients) == (-0.125, 0.05, None, 80)
    # The normal quantile, by hand: -0.125 +- 1.959964 * 0.05.
    assert (effect.ci_low, effect.ci_high) == pytest.approx((-0.2229982, -0.0270018), abs=1e-7)
    assert records["Doe1"]["lagged"].covariance("x_to_y").to_numpy() == pytest.approx(0.0025)
    fit = pool_records([r["lagged"] for r in records.values()], method="FE", ci="wald").row(
        "x_to_y", "x_within"
    )
    # Weights 400 and 625: (-0.125 * 400 - 0.0625 * 625) / 1025.
    assert fit["estimate"] == pytest.approx(-0.086890243902439)
    assert stored_bundle(read_collection(ours), "Doe2").manifest.pulled.original == "table"
    assert stored_problems(ours) == ()


def test_a_table_with_variances_is_the_same(table, ours):
    source, mapping = table
    source.write_text(source.read_text().replace("0.05,", "0.0025,").replace("0.04,", "0.0016,"))
    mapping.write_text(mapping.read_text().replace("sei: se", "vi: se"))
    pull(source, ours, today=TODAY, mapping=mapping)
    effects = [r["lagged"].estimates[0] for r in shared_records(read_collection(ours)).values()]
    assert [e.std_error for e in effects] == pytest.approx([0.05, 0.04], rel=1e-15)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sei: se", "sei: error", "a column 'error'"),
        ("sei: se, ", "", "a standard error (sei) or a variance (vi)"),
        ("country: Norway, ", "", "where; a column or a value of the mapping"),
        ("yi: d", "effect_size: d", "one of study, label"),
        ("x_min: 12", "x_min: 99", "more than x_min"),
        ("licence: CC-BY-4.0\n", "", "licence"),
        ("direction: x_to_y", "direction: sideways", "direction"),
        ("source: Doe", "parameters: {last_sesion: 5}\nsource: Doe", "last_session"),
        ("source: Doe", "parameters: {lag: 2}\nsource: Doe", "parameters.lag"),
        ("source: Doe et al. (2024), table 2", "source: <b>Doe</b>", "without < >"),
    ],
)
def test_a_mapping_that_does_not_do_is_refused(table, ours, old, new, words):
    source, mapping = table
    text = mapping.read_text()
    assert old in text
    mapping.write_text(text.replace(old, new))
    refused(source, ours, words, mapping=mapping)


@pytest.mark.parametrize(
    ("old", "new", "words"), [("0.05", "0", "column 'sei'"), ("80", "", "n"), ("Doe2", "Doe1", "")]
)
def test_a_table_that_does_not_do_is_refused(table, ours, old, new, words):
    source, mapping = table
    source.write_text(source.read_text().replace(old, new))
    refused(source, ours, words, mapping=mapping)


def test_an_effect_that_a_study_with_data_has_is_that_study(table, run):
    source, mapping = table
    e = next(e for e in find_record(run / "records", "S02", "lagged").estimates if e.term == "x_within")
    source.write_text(f"trial,d,se,N,pairs,published\nDoe1,{e.estimate!r},{e.std_error!r},40,200,2019\n")
    refused(source, run.parent / "theirs", "with an effect of S02", mapping=mapping)


def test_no_damage_ends_in_anything_but_a_refusal(theirs, ours):
    """Bytes at random places of the three files, with the checksums of what is there now."""
    draw, whole = (
        random.Random(20260506),
        {n: (theirs / n).read_bytes() for n in ("effects.csv", "pooled.json", "vcov.json")},
    )
    before, taken = files(ours), 0
    for _ in range(25):
        name = draw.choice(list(whole))
        content = bytearray(whole[name])
        for _ in range(draw.randint(1, 3)):
            content[draw.randrange(len(content))] = draw.choice(b'0-e.,"{}[]\n\x00\xffaZ')
        (theirs / name).write_bytes(bytes(content))
        sealed(theirs)
        try:
            pull(theirs, ours, today=TODAY, prefix="t_", replace=True)
            taken += 1
        except ProblemError:
            assert files(ours) == before
        before = files(ours)
        (theirs / name).write_bytes(whole[name])
    assert taken < 13, "most damage is seen"


def test_levels_of_intervals_are_the_collections(run, ours):
    pull(run, ours, today=TODAY, prefix="t_")
    record = shared_records(read_collection(ours))["t_S01"]["lagged"]
    assert record.parameters == make_parameters({})
