"""What is wrong with a bundle is said, and nothing is written; what is right is in."""

import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from bundles import changed, entries, remove_study, sealed, signed, zipped

from twostage.collection.collection import read_collection, validate_collection
from twostage.files import HOST
from twostage.params import make_parameters
from twostage.problems import CollectionError
from twostage.records.analyse import analyse
from twostage.sharing import archive
from twostage.sharing.accept import accept_bundle, read_bundle
from twostage.sharing.archive import unpack
from twostage.sharing.layout import (
    MANIFEST,
    MOST_ARCHIVE,
    MOST_MEMBER,
    PAGE,
    REPORT,
    STUDY,
    BundleError,
    to_json,
)
from twostage.sharing.stored import shared_records, stored_bundle, stored_problems

LAGGED = "records/lagged.json"


@pytest.fixture
def refused(centre, tmp_path):
    """Offer a bundle that must be refused; returns the message."""
    before = entries(centre)

    def offer(content: bytes) -> str:
        path = tmp_path / "bundle.zip"
        path.write_bytes(content)
        with pytest.raises(BundleError) as error:
            accept_bundle(path, centre)
        assert entries(centre) == before
        assert not (centre / "bundles").exists()
        return str(error.value)

    return offer


@pytest.fixture
def accepted(centre, packed, tmp_path):
    """A collection that has accepted the bundle, and the bundle's file."""
    path = tmp_path / "bundle.zip"
    path.write_bytes(packed)
    accept_bundle(path, centre)
    return centre, path


def test_a_bundle_becomes_a_study_of_the_collection(centre, packed, members, tmp_path):
    before, labels = entries(centre), dict(read_collection(centre).studies[["study", "label"]].to_numpy())
    (tmp_path / "bundle.zip").write_bytes(packed)
    accept_bundle(tmp_path / "bundle.zip", centre)
    written = {n: c for n, c in entries(centre).items() if n not in before}
    assert written == {f"bundles/S02/{n}": c for n, c in members.items() if n != PAGE}
    assert {n: c for n, c in entries(centre).items() if n in before} == before
    collection = read_collection(centre)
    assert collection.studies["study"].tolist() == ["S01", "S03", "S02"]
    assert collection.studies["label"].tolist() == [labels["S01"], labels["S03"], "Synthetic study 02 †"]
    assert collection.shared == ("S02",)
    assert validate_collection(centre) == stored_problems(centre) == ()
    with pytest.raises(CollectionError, match="this one shared its results only"):
        collection.study("S02")


def test_a_second_bundle_of_a_study_must_be_asked_for(accepted):
    centre, path = accepted
    before = entries(centre)
    with pytest.raises(BundleError, match="use --replace"):
        accept_bundle(path, centre)
    assert entries(centre) == before
    accept_bundle(path, centre, replace=True)
    assert entries(centre) == before


def test_the_data_of_a_study_are_never_replaced_by_a_bundle(small, packed, tmp_path):
    (tmp_path / "bundle.zip").write_bytes(packed)
    before = entries(small)
    for replace in (False, True):
        with pytest.raises(BundleError, match="whose data the collection does not have"):
            accept_bundle(tmp_path / "bundle.zip", small, replace=replace)
    assert entries(small) == before


@pytest.mark.parametrize("there", [False, True])
def test_a_disk_that_fails_leaves_what_was(centre, packed, tmp_path, monkeypatch, there):
    path = tmp_path / "bundle.zip"
    path.write_bytes(packed)
    if there:
        accept_bundle(path, centre)
    before = entries(centre)
    place = os.replace

    def full(source, target):
        if Path(target) == centre / "bundles" / "S02" and Path(source).suffix != ".old":
            raise OSError(28, "No space left on device")
        place(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        accept_bundle(path, centre, replace=True)
    assert entries(centre) == before


def test_a_collection_may_have_no_study_but_shared_ones(centre, packed, tmp_path):
    for study in ("S01", "S03"):
        remove_study(centre, study)
    (tmp_path / "bundle.zip").write_bytes(packed)
    accept_bundle(tmp_path / "bundle.zip", centre)
    collection = read_collection(centre)
    assert collection.studies["study"].tolist() == ["S02"] == list(collection.shared)
    assert collection.studies["n"].sum() > 0
    assert collection.studies["year"].dtype == int
    assert validate_collection(centre) == ()


def test_shared_records_take_the_place_of_data(centre, accepted, true_records):
    collection = read_collection(centre)
    with pytest.raises(CollectionError, match="shared its results only"):
        analyse(collection, make_parameters({}))
    found = analyse(collection, make_parameters({}), shared=shared_records(collection)).records
    for analysis, records in found.items():
        assert [r.study for r in records] == ["S01", "S03", "S02"]
        assert records[2].label == "Synthetic study 02 †"
        assert [r.estimates for r in records] == [true_records[r.study][analysis].estimates for r in records]


# --- the archive


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "records/../../evil.json",
        "/etc/evil.json",
        "C:\\evil.json",
        "..\\evil.json",
        "records\\lagged.json",
        "./manifest.json",
        "records/",
        "RECORDS/LAGGED.JSON",
        "",
    ],
)
def test_path_traversal_and_strange_names(refused, members, name):
    assert "the members of a bundle only" in refused(zipped(members | {name: b"x"}))


def test_a_name_that_is_cut_at_a_zero_byte(refused, members):
    content = zipped({n if n != LAGGED else f"{LAGGED}#.exe": c for n, c in members.items()})
    assert f"{LAGGED}\\x00.exe" in refused(content.replace(b"json#.exe", b"json\0.exe"))


def test_a_symlink(refused, members):
    def link(info):
        if info.filename == LAGGED:
            info.external_attr = (stat.S_IFLNK | 0o777) << 16

    assert "no plain file (mode 120777)" in refused(zipped(members, link))


@pytest.mark.parametrize("kind", [stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_other_things_that_are_no_plain_files(refused, members, kind):
    def special(info):
        if info.filename == LAGGED:
            info.external_attr = kind << 16

    assert "no plain file" in refused(zipped(members, special))


def test_a_member_twice(refused, members):
    target = BytesIO(zipped(members))
    with zipfile.ZipFile(target, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(LAGGED, b"{}")
    assert f"{LAGGED} 2 times" in refused(target.getvalue())


@pytest.mark.parametrize("name", [MANIFEST, STUDY, REPORT, PAGE, LAGGED])
def test_a_member_is_missing(refused, members, name):
    assert f"{name} 0 times" in refused(zipped({n: c for n, c in members.items() if n != name}))


def patched(content: bytes, offset: int, value: bytes) -> bytes:
    """A field of the first central directory entry changed."""
    at = content.index(b"PK\1\2") + offset
    return content[:at] + value + content[at + len(value) :]


def test_an_encrypted_member(refused, members):
    assert "encrypted" in refused(patched(zipped(members), 8, struct.pack("<H", 1)))


def test_an_unusual_compression(refused, members):
    assert "compression method 12" in refused(patched(zipped(members), 10, struct.pack("<H", 12)))


def test_a_zip_bomb(refused, members):
    bomb = zipped(members | {LAGGED: b"0" * (MOST_MEMBER - 1)})
    assert len(bomb) < MOST_MEMBER / 10
    assert f"found '{MOST_MEMBER - 1} bytes from" in refused(bomb)


def test_a_member_that_is_too_large(refused, members):
    assert f"found '{MOST_MEMBER + 1} bytes'" in refused(
        zipped(members | {LAGGED: os.urandom(MOST_MEMBER + 1)})
    )


def test_members_that_are_too_large_together(refused, members, monkeypatch):
    total = sum(map(len, members.values()))
    monkeypatch.setattr(archive, "MOST_TOTAL", total - 1)
    assert f"found '{total} bytes in all'" in refused(zipped(members))


def test_an_archive_that_is_too_large(refused):
    assert f"at most {MOST_ARCHIVE} bytes" in refused(bytes(MOST_ARCHIVE + 1))


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_declared_size_that_is_a_lie(refused, members, size):
    assert "bundle" in refused(patched(zipped(members), 24, struct.pack("<I", size)))


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip", b"PK\5\6" + bytes(18)])
def test_no_archive(refused, content):
    assert "bundle" in refused(content)


def test_no_file(tmp_path):
    with pytest.raises(BundleError, match="No such file"):
        read_bundle(tmp_path / "nowhere.zip")
    with pytest.raises(BundleError, match="Is a directory"):
        read_bundle(tmp_path)


# --- checksums and JSON


def test_a_member_that_does_not_match_its_checksum(refused, members):
    content = members[LAGGED].replace(b"0", b"1", 1)
    message = refused(zipped(members | {LAGGED: content}))
    assert f"{LAGGED}, column 'sha256'" in message


def test_a_page_that_does_not_match_its_checksum(refused, members):
    assert f"{PAGE}, column 'sha256'" in refused(zipped(members | {PAGE: b"<script>"}))


def test_a_manifest_that_does_not_match_its_seal(refused, members):
    content = members[MANIFEST].replace(b"2026-02-03", b"2026-02-04")
    assert "column 'seal'" in refused(zipped(members | {MANIFEST: content}))


def resigned(members, name: str, old: bytes, new: bytes) -> bytes:
    """A text in a member replaced, and the manifest's checksums put right."""
    assert old in members[name]
    return zipped(sealed(members | {name: members[name].replace(old, new, 1)}))


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 400])
def test_numbers_that_are_none(refused, members, word):
    message = refused(resigned(members, LAGGED, b'"statistic": ', b'"statistic": ' + word + b', "old": '))
    assert "strict JSON" in message
    assert "number" in message


def test_a_name_twice(refused, members):
    message = refused(resigned(members, LAGGED, b'"label"', b'"study": "S02", "label"'))
    assert "the name 'study' comes twice" in message


def test_no_utf8(refused, members):
    assert "is no UTF-8" in refused(resigned(members, LAGGED, b"Synthetic", b"Synth\xe9tic"))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b'{"a":' * 5_000, b"\xef\xbb\xbf{}", b"null", b"[]"]
)
def test_no_json_of_that_kind(refused, members, content):
    assert LAGGED in refused(zipped(signed(members | {LAGGED: content})))


@pytest.mark.parametrize("text", ["<script>", "a`b`", "{evil}", "two\nlines", "\u202eevil", "x" * 501, "$$"])
def test_texts_that_could_be_markup(refused, members, text):
    message = refused(zipped(changed(members, STUDY, lambda v: v.update(label=text))))
    assert "a text o" in message or "at most 500 characters" in message


# --- what the members say


@pytest.mark.parametrize("version", [2, 0, "1", None, True, 1.5])
def test_another_schema_version(refused, members, version):
    message = refused(zipped(changed(members, MANIFEST, lambda v: v.update(schema_version=version))))
    assert "this version of twostage reads no other" in message


def test_another_schema_version_of_the_records(refused, members):
    message = refused(zipped(changed(members, LAGGED, lambda v: v.update(schema_version=99))))
    assert f"{LAGGED}, column 'schema_version'" in message


def test_a_field_that_nobody_knows(refused, members):
    for name in (MANIFEST, STUDY, REPORT, LAGGED):
        assert name in refused(zipped(changed(members, name, lambda v: v.update(evil=1))))


def matrix(change):
    """Change the first covariance matrix of the lagged record."""

    def edit(record):
        change(record["covariances"][0])

    return edit


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (matrix(lambda c: c["matrix"].pop()), "matrix of 4 rows for 5 terms"),
        (matrix(lambda c: c["matrix"][0].pop()), "inhomogeneous"),
        (matrix(lambda c: c["terms"].append("more")), "matrix of 5 rows for 6 terms"),
        (matrix(lambda c: c["matrix"][0].__setitem__(1, 99.0)), "not symmetric"),
        (
            matrix(lambda c: c.update(matrix=[[1e3 * (i != j) for i in range(5)] for j in range(5)])),
            "semidefinite",
        ),
        (matrix(lambda c: c.update(terms=[*c["terms"][1:], "other"])), "nothing that this version"),
        (matrix(lambda c: c.update(terms=[*c["terms"][1:], c["terms"][1]])), "the terms of the equation"),
    ],
)
def test_wrong_shapes_and_no_covariance_matrices(refused, members, change, said):
    assert said in refused(zipped(changed(members, LAGGED, change)))


def test_a_standard_error_that_is_not_the_root_of_its_variance(refused, members):
    def edit(record):
        e = record["estimates"][1]
        e["std_error"] *= 1.001
        e["statistic"] = e["estimate"] / e["std_error"]

    assert "std_error squared" in refused(zipped(changed(members, LAGGED, edit)))


def test_a_standard_error_whose_square_is_out_of_range(refused, members):
    def edit(record):
        e = record["estimates"][1]
        e.update(std_error=1e308, statistic=e["estimate"] / 1e308)

    assert "a standard error from 1e-08 to 1e+06: outside this range, double precision" in refused(
        zipped(changed(members, LAGGED, edit))
    )


OUT_OF_BOUNDS = {
    "estimate": [1e154, -1e154, 1e7, 1e308],
    "std_error": [1e-150, 5e-324, 1e-9, 1e7],
    "df": [1e-9, 5e-324, 1e300],
    "ci_high": [1e300],
    "n_patients": [10**13, -1],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in OUT_OF_BOUNDS.items() for v in values])
def test_a_number_that_cannot_be_weighed_against_others(refused, members, name, value):
    def edit(record):
        e = record["estimates"][1]
        e[name] = value
        e["statistic"] = min(e["estimate"] / max(e["std_error"], 1e-300), 1e300)
        e["ci_low"], e["ci_high"] = min(e["ci_low"], e["estimate"]), max(e["ci_high"], e["estimate"])

    assert f"estimates.1.{name}" in refused(zipped(changed(members, LAGGED, edit)))


def test_thousands_of_invented_words_are_refused_by_name(refused, members):
    def invent(record):
        row, fit = record["estimates"][0], record["fits"][0]
        record["estimates"] += [row | {"variant": f"v{i}"} for i in range(4000)]
        record["fits"] += [fit | {"variant": f"v{i}"} for i in range(4000)]

    text = refused(zipped(changed(members, "records/sensitivity.json", invent)))
    assert "v0, x_to_y, intercept, centred" in text
    assert "more: nothing that this version of twostage writes in sensitivity" in text


@pytest.mark.parametrize(
    ("key", "field", "value", "words"),
    [
        ("estimates", "term", "z_within", "main, x_to_y, z_within, centred: nothing"),
        ("estimates", "estimator", "bayes", "bayes: nothing that this version of twostage writes in lagged"),
        ("fits", "variant", "robust", "robust, x_to_y: nothing"),
        ("exclusions", "reason", "included", "each once and none but no score in sessions 1 to 7"),
        ("exclusions", "reason", "study", "each once and none but"),
    ],
)
def test_a_word_that_a_newer_version_may_have_is_refused(refused, members, key, field, value, words):
    assert words in refused(
        zipped(changed(members, LAGGED, lambda record: record[key][0].update({field: value})))
    )


def test_a_description_has_no_other_quantities(refused, members):
    def more(record):
        record["summary"]["icc_z"] = 0.5

    assert "column 'summary.icc_z'" in refused(zipped(changed(members, "records/data.json", more)))


@pytest.mark.parametrize("id", ["pooled", "CON", "tau"])
def test_an_id_that_cannot_be_used(refused, members, id):
    assert "another name" in refused(zipped(changed(members, "study.json", lambda row: row.update(study=id))))


def first(**values):
    """Change the first estimate of the lagged record."""

    def edit(record):
        record["estimates"][0].update(values)

    return edit


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (first(std_error=0.0), "more than 0"),
        (first(std_error=-1.0), "more than 0"),
        (first(p_value=1.5), "at most 1"),
        (first(estimate="0.1"), "a number"),
        (first(estimate=None), "a number"),
        (first(estimate=True), "a number"),
        (first(direction="both"), "x_to_y"),
        (first(statistic=12.0), "estimate / std_error"),
        (first(ci_low=99.0), "an interval around the estimate"),
        (first(n_patients=10**6), "as the fit says"),
        (first(converged=False), "as the fit says"),
        (first(term="x_mean"), "each coefficient once"),
        (lambda r: r.pop("covariances"), "one matrix for each equation"),
        (lambda r: r.pop("fits"), "one fit for each equation"),
        (lambda r: r.update(study="S03"), "estimates of S02/lagged in this record"),
        (lambda r: r.update(label="other"), "as in study.json"),
        (lambda r: r.update(n_enrolled=3), "the n of study.json"),
        (lambda r: r["exclusions"][0].update(n_patients=10**6), "in all"),
        (lambda r: r["parameters"].update(lag=2), "as the manifest says"),
        (lambda r: r["parameters"].update(lag=0), "at least 1"),
    ],
)
def test_numbers_that_do_not_fit_each_other(refused, members, change, said):
    assert said in refused(zipped(changed(members, LAGGED, change)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda r: r["summary"].pop("n_patients"),
            "column 'summary.n_patients': found None; expected a number",
        ),
        (lambda r: r["summary"].update(missing_share=1.5), "a number from 0 to 1"),
        (lambda r: r["summary"].update(r_within=-2.0), "a number from -1 to 1"),
        (lambda r: r["sessions"].append({}), "column 'sessions.7': found []"),
        (lambda r: r["sessions"][0].update(session=9.0), "a session from 1 to 7"),
        (lambda r: r["sessions"][0].update(session=None), "a session from 1 to 7"),
    ],
)
def test_a_description_that_later_pages_could_not_show(refused, members, change, said):
    assert said in refused(zipped(changed(members, "records/data.json", change)))


def test_a_description_in_another_record(refused, members):
    record = changed(members, LAGGED, lambda r: r.update(sessions=[{}]))
    assert "nothing in this record" in refused(zipped(record))


def test_counts_of_the_description_must_agree(refused, members):
    def edit(record):
        record.update(n_enrolled=90, exclusions=[{"reason": "a", "n_patients": 5}])
        record["summary"].update(n_enrolled=90.0, n_patients=80.0)

    assert "85, the enrolled less the excluded" in refused(
        zipped(changed(members, "records/data.json", edit))
    )


def test_the_checksum_of_a_record_is_of_its_content(refused, members):
    record = json.loads(members[LAGGED]) | {"data_checksum": "0" * 64}
    assert "the checksum of the records' content" in refused(
        zipped(sealed(members | {LAGGED: to_json(record)}))
    )


def test_a_record_in_the_place_of_another(refused, members):
    assert "as the member's name says" in refused(
        zipped(signed(members | {LAGGED: members["records/crosslevel.json"]}))
    )


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("study", "../S02", "letters, digits and underscores"),
        ("year", "20x6", "a year of four digits"),
        ("country", "", "a country"),
        ("x_max", "-99", "more than x_min"),
        ("n", "-5", "the number of patients"),
        ("n", 5, "a text, as in studies.csv"),
    ],
)
def test_a_row_of_the_registry_that_is_none(refused, members, column, value, said):
    assert said in refused(zipped(changed(members, STUDY, lambda v: v.update({column: value}))))


@pytest.mark.parametrize("study", ["../S02", "S 2", "", "x" * 65])
def test_a_study_that_cannot_be_a_folder(refused, members, study):
    assert "study" in refused(zipped(changed(members, MANIFEST, lambda v: v.update(study=study))))


# --- what the collection asks for


def test_each_difference_from_the_collection_is_named(centre, packed, tmp_path):
    path = centre / "collection.yml"
    text = path.read_text().replace("last_session: 7", "last_session: 5\n  standardize: within\n  level: 0.9")
    path.write_text(
        text.replace("better: lower", "better: higher").replace("name: alliance", "name: bond", 1)
    )
    for sessions in (centre / "sessions").iterdir():
        sessions.write_text(sessions.read_text().replace("alliance", "bond", 1))
    dictionary = centre / "dictionary.csv"
    dictionary.write_text(dictionary.read_text().replace("alliance,", "bond,", 1))
    (tmp_path / "bundle.zip").write_bytes(packed)
    before = entries(centre)
    with pytest.raises(BundleError) as error:
        accept_bundle(tmp_path / "bundle.zip", centre)
    found = [(p.column, p.value) for p in error.value.problems]
    assert found == [
        ("x.name", "alliance"),
        ("y.better", "lower"),
        ("parameters.last_session", 7),
        ("parameters.standardize", "total"),
    ]
    assert entries(centre) == before


# --- what was accepted may be edited


def test_an_edited_file_is_found(accepted):
    centre, _ = accepted
    path = centre / "bundles" / "S02" / LAGGED
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    (problem,) = stored_problems(centre)
    assert (problem.file, problem.column) == (f"bundles/S02/{LAGGED}", "sha256")
    with pytest.raises(BundleError, match="sha256"):
        stored_bundle(read_collection(centre), "S02")


def test_a_lost_file_is_found(accepted):
    centre, _ = accepted
    (centre / "bundles" / "S02" / LAGGED).unlink()
    (problem,) = stored_problems(centre)
    assert (problem.file, problem.expected) == (f"bundles/S02/{LAGGED}", "this member")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"study": 1}'])
def test_a_row_that_cannot_be_read_is_a_problem_of_the_collection(accepted, text):
    centre, _ = accepted
    (centre / "bundles" / "S02" / "study.json").write_text(text)
    with pytest.raises(CollectionError, match=r"bundles/S02/study\.json"):
        read_collection(centre)
    assert validate_collection(centre)


def test_a_folder_with_another_name_is_a_problem(accepted):
    centre, _ = accepted
    (centre / "bundles" / "S02").rename(centre / "bundles" / "S04")
    assert "as the folder is called" in str(validate_collection(centre)[0])


def test_a_study_with_data_and_a_bundle_is_a_problem(accepted):
    centre, _ = accepted
    (centre / "bundles" / "S02").rename(centre / "bundles" / "S03")
    assert any("not in studies.csv" in str(p) for p in validate_collection(centre))


def test_a_withheld_number_of_patients_is_missing_in_the_registry(accepted, members):
    centre, _ = accepted
    path = centre / "bundles" / "S02" / "study.json"
    path.write_text(json.dumps(json.loads(members[STUDY]) | {"n": ""}))
    n = read_collection(centre).studies["n"]
    assert n.isna().tolist() == [False, False, True]
    assert n.dropna().tolist() == read_collection(centre).studies["n"].tolist()[:2]


def renamed(members, study: str) -> bytes:
    """The bundle of another study by its id and label, with the same results."""
    values = {name: json.loads(content) for name, content in members.items() if name != PAGE}
    for name, value in values.items():
        if name in (MANIFEST, "study.json") or name.startswith("records/"):
            value["study"] = study
        for row in value.get("estimates", []):
            row["study"] = study
    texts = {name: json.dumps(value).encode() for name, value in values.items()}
    return zipped(signed(members | texts))


def test_the_same_study_under_another_id_is_recognised_by_its_results(accepted, members, tmp_path):
    centre, _ = accepted
    path = tmp_path / "again.zip"
    path.write_bytes(renamed(members, "S77"))
    with pytest.raises(BundleError, match="S77, with the results of S02"):
        accept_bundle(path, centre)
    assert [p.name for p in (centre / "bundles").iterdir()] == ["S02"]


def test_a_bundle_beside_its_own_data_is_recognised(written, members, tmp_path):
    centre = shutil.copytree(written, tmp_path / "centre")
    path = tmp_path / "again.zip"
    path.write_bytes(renamed(members, "S77"))
    with pytest.raises(BundleError, match="S77, with the results of S02"):
        accept_bundle(path, centre)
    assert not (centre / "bundles").exists()


def test_data_that_come_after_their_bundle_are_a_problem(written, members, tmp_path):
    both = shutil.copytree(written, tmp_path / "both")
    for name, content in unpack(renamed(members, "S77"), "it").items():
        if name != PAGE:
            (both / "bundles" / "S77" / name).parent.mkdir(parents=True, exist_ok=True)
            (both / "bundles" / "S77" / name).write_bytes(content)
    (problem,) = stored_problems(both)
    assert problem.file == "bundles/S77/records/lagged.json"
    assert problem.value == "S77, with the results of S02"


def test_a_bundle_moved_away_by_a_command_that_was_killed_comes_back(accepted):
    centre, _ = accepted
    before, bundles = entries(centre), centre / "bundles"
    # As `accept --replace` leaves it when it is killed between its two renamings.
    (bundles / "S02").rename(left_by_the_dead(bundles / "S02", "old"))
    (left_by_the_dead(bundles / "S02", "part") / "records").mkdir(parents=True)
    assert read_collection(centre).shared == ("S02",)
    assert entries(centre) == before
    assert [path.name for path in bundles.iterdir()] == ["S02"]


def left_by_the_dead(path, end):
    """An unfinished name of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return path.with_name(f".{path.name}.{HOST}-{ended.pid}-{'0' * 8}.{end}")
