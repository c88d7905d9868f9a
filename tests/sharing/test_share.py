"""The bundle: what is in it, equal bytes for equal input, and pooling from it as from the data."""

import html
import json
import re
import zipfile
from datetime import date
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from bundles import entries, signed

from twostage.params import make_parameters
from twostage.records import ANALYSES
from twostage.sharing.analyse import stage1_records
from twostage.sharing.archive import unpack
from twostage.sharing.check import check_bundle
from twostage.sharing.errors import DisclosureError
from twostage.sharing.layout import MEMBERS, PAGE, RECORD_MEMBERS, Filters, content_checksum
from twostage.sharing.share import make_bundle, write_bundle
from twostage.stage2 import pool_records

DAY = date(2026, 2, 3)

#: The numbers of a bundle are those of the records to the last bit; the issue asks for 1e-12.
SAME = 1e-12


def test_records_are_those_of_the_notebooks(three, pooled):
    # The notebooks' records do not have the parameters that their notebooks do not take.
    parameters = make_parameters({"early_last_session": 2, "random_slopes": True})
    records = stage1_records(three.study("S01"), parameters)
    assert records["lagged"].parameters == make_parameters({"random_slopes": True})
    assert records["outcome"].parameters == make_parameters({"early_last_session": 2})
    assert records["data"].parameters == make_parameters({})


@pytest.mark.parametrize("analysis", [a for a in ANALYSES if a != "data"])
def test_a_study_pooled_from_its_bundle_equals_the_same_study_pooled_from_its_data(
    true_records, members, analysis
):
    records = [of_study[analysis] for of_study in true_records.values()]
    bundle = check_bundle(members)
    shared = [bundle.records[analysis] if r.study == bundle.study else r for r in records]
    assert sum(a is not b for a, b in zip(shared, records, strict=True)) == 1
    ours, theirs = pool_records(shared), pool_records(records)
    numbers = ours.table.select_dtypes("number").columns
    assert len(ours.table)
    pd.testing.assert_frame_equal(ours.table, theirs.table, rtol=SAME, atol=SAME)
    pd.testing.assert_frame_equal(ours.estimates, theirs.estimates, rtol=SAME, atol=SAME)
    assert not ours.table[numbers].isna().all(axis=None)


def test_equal_input_gives_equal_bytes_but_for_the_date(three, packed):
    again = make_bundle(three, "S02", make_parameters({}), Filters(), DAY)
    assert again == packed
    later = unpack(make_bundle(three, "S02", make_parameters({}), Filters(), date(2026, 2, 4)), "later")
    first = unpack(packed, "first")
    assert {name for name in MEMBERS if later[name] != first[name]} == {"manifest.json", PAGE}


def test_a_bundle_has_its_members_and_no_other(packed):
    with zipfile.ZipFile(BytesIO(packed)) as archive:
        assert archive.namelist() == list(MEMBERS)
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def numbers(value) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(numbers, value.values()), set())
    if isinstance(value, list):
        return set().union(*map(numbers, value), set())
    return set() if isinstance(value, str | bool) or value is None else {json.dumps(value)}


def test_the_page_shows_every_number(members):
    page = html.unescape(re.sub(r"<[^>]*>", " ", members[PAGE].decode()))
    shown = set(page.split()) | set(page.replace(",", " ").split())
    for name, content in members.items():
        if name.endswith(".json"):
            missing = numbers(json.loads(content)) - shown
            assert not missing, f"{name}: {sorted(missing)[:5]}"


def test_the_page_loads_nothing_and_runs_nothing(members):
    page = members[PAGE].decode().lower()
    assert not re.search(r"<script|<img|<link|<iframe|href=|src=|url\(|@import", page)


def test_checksums_are_of_the_content(members):
    values = {a: json.loads(members[name]) for a, name in RECORD_MEMBERS.items()}
    assert {value["data_checksum"] for value in values.values()} == {content_checksum(values)}


def test_fields_that_a_later_version_adds_leave_a_bundle_valid(members):
    earlier = dict(members)
    for name in RECORD_MEMBERS.values():
        value = json.loads(members[name])
        empty = [k for k, v in value.items() if v in ([], {}) and k != "exclusions"]
        assert empty
        earlier[name] = json.dumps({k: v for k, v in value.items() if k not in empty}).encode()
    assert (
        check_bundle(signed(earlier)).records["lagged"].estimates
        == check_bundle(members).records["lagged"].estimates
    )


def test_the_bundle_and_its_page_are_written_beside_each_other(packed, members, tmp_path):
    write_bundle(packed, tmp_path / "new" / "S02.zip")
    assert entries(tmp_path) == {"new/S02.zip": packed, "new/S02.html": members[PAGE]}


@pytest.mark.parametrize("name", ["S02.html", "S02", "thesis.docx"])
def test_a_bundle_is_a_zip_file(packed, tmp_path, name):
    with pytest.raises(DisclosureError, match="a file that ends in .zip"):
        write_bundle(packed, tmp_path / name)
    assert entries(tmp_path) == {}


@pytest.mark.parametrize("name", ["S02.zip", "S02.html"])
def test_files_of_that_name_are_kept_unless_told_otherwise(packed, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="found a file of this name"):
        write_bundle(packed, tmp_path / "S02.zip")
    assert entries(tmp_path) == {name: b"mine"}
    write_bundle(packed, tmp_path / "S02.zip", replace=True)
    assert entries(tmp_path)[name] != b"mine"


def test_a_label_that_could_be_markup_is_not_shared(three):
    changed = three.studies.assign(label=["A", "B <b>", "C"])
    collection = type(three)(**{**vars(three), "studies": changed})
    with pytest.raises(DisclosureError, match="without < >"):
        make_bundle(collection, "S02", make_parameters({}), Filters(), DAY)


def test_other_filters_are_said_in_the_bundle(three):
    content = make_bundle(three, "S02", make_parameters({}), Filters(tab=3, digits=5), DAY)
    bundle = check_bundle(unpack(content, "x"))
    assert bundle.manifest.filters == Filters(tab=3, digits=5)
    assert json.loads(bundle.content["manifest.json"])["filters"]["nfilter.tab"] == 3
    estimate = bundle.records["lagged"].estimates[0].estimate
    assert estimate == float(f"{estimate:.5g}")
    assert np.isfinite(estimate)
