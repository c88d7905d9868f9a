"""The site's list of what it shared: the same again is the same file, another is refused, nothing goes unnoted."""

import json
import shutil
from datetime import date

import pytest
from bundles import entries
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.sharing import ledger
from twostage.sharing.layout import DisclosureError, Filters
from twostage.sharing.ledger import FILE, Entry, Ledger, note, read_ledger, refuse_second
from twostage.sharing.share import share_study

DAY = date(2026, 2, 3)


def share_s01(collection, target, today=DAY, **more):
    chosen = read_collection(collection)
    return share_study(chosen, "S01", make_parameters({}), Filters(), target, today=today, **more)


def entry(**change) -> Entry:
    """Something that was shared."""
    values = {"date": "2026-02-03", "study": "S01", "data": "a" * 64, "results": "b" * 64}
    values |= {"parameters": {"lag": 1}, "filters": {"digits": 2}, "package_version": "0.1.0"}
    return Entry(**values | change)


@pytest.fixture(scope="module")
def shared_once(written, tmp_path_factory):
    """A site that shared a study: its collection, the bundle, and what is noted."""
    site = shutil.copytree(written, tmp_path_factory.mktemp("once") / "site")
    share_s01(site, site.parent / "S01.zip")
    return site, site.parent / "S01.zip"


def test_what_is_noted(shared_once):
    site, _ = shared_once
    (noted,) = json.loads((site / FILE).read_text())["bundles"]
    assert (noted["date"], noted["study"], noted["filters"]["digits"]) == ("2026-02-03", "S01", 2)
    assert noted["data"] == read_collection(site).study("S01").checksum
    assert noted["parameters"]["min_sessions"] == 3
    assert read_ledger(site).bundles[0].model_dump(mode="json") == noted


def test_the_list_is_in_no_bundle(shared_once):
    site, target = shared_once
    noted = read_ledger(site).bundles[0]
    assert noted.data.encode() not in target.read_bytes()
    assert noted.data not in target.with_suffix(".html").read_text()


def test_the_same_again_is_the_same_file_whenever_and_wherever(shared_once, tmp_path):
    site, target = shared_once
    before = (site / FILE).read_bytes()
    again = share_s01(site, tmp_path / "elsewhere" / "again.zip", date(2027, 1, 1))
    assert again.again
    assert (tmp_path / "elsewhere" / "again.zip").read_bytes() == target.read_bytes()
    assert (site / FILE).read_bytes() == before


def test_the_command_says_why_and_how(shared_once, tmp_path):
    site, _ = shared_once
    arguments = [
        "share",
        "S01",
        "--collection",
        str(site),
        "-p",
        "min_sessions=4",
        "--out",
        str(tmp_path / "x.zip"),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    for said in (
        FILE,
        "a bundle of S01 of 2026-02-03",
        "min_sessions 3 (now 4)",
        "subtracted",
        "--second-bundle",
    ):
        assert said in result.stderr
    assert entries(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "c" * 64}, "the study's data"),
        ({"parameters": {"lag": 2}}, "lag 1 (now 2)"),
        ({"filters": {"digits": 6}}, "digits 2 (now 6)"),
        ({"package_version": "0.2.0"}, "twostage 0.1.0 (now 0.2.0)"),
        ({"study": "s01"}, "nothing but the numbers"),
        ({"study": "S99"}, "nothing but the numbers"),
    ],
)
def test_each_difference_is_named(tmp_path, change, said):
    noted = Ledger(bundles=(entry(),))
    with pytest.raises(DisclosureError) as error:
        refuse_second(noted, entry(results="d" * 64, **change), tmp_path)
    assert said in str(error.value)
    refuse_second(noted, entry(**change), tmp_path)


def test_another_study_is_another_matter(tmp_path):
    other = entry(study="S02", data="c" * 64, results="d" * 64)
    refuse_second(Ledger(bundles=(entry(),)), other, tmp_path)


def test_the_same_patients_under_another_id_are_another_bundle_of_the_study(small, tmp_path):
    share_s01(small, tmp_path / "S01.zip")
    for table in ("sessions", "patients"):
        lines = (small / table / "S01.csv").read_text().splitlines(keepends=True)
        last = lines[-1].split(",")[0]
        fewer = [line for line in lines if line.split(",")[0] != last]
        (small / table / "S09.csv").write_text("".join(fewer))
        (small / table / "S01.csv").unlink()
    registry = small / "studies.csv"
    n = len({line.split(",")[0] for line in fewer[1:]})
    registry.write_text(
        registry.read_text().replace("S01,", "S09,", 1).replace(f",{n + 1},simulated", f",{n},simulated", 1)
    )
    renamed, target = read_collection(small), tmp_path / "S09.zip"
    with pytest.raises(
        DisclosureError, match="a bundle of S01 .* other results: the study's id, and [0-9]+ patients"
    ):
        share_study(renamed, "S09", make_parameters({}), Filters(), target, today=DAY)
    assert not target.exists()
    assert share_study(renamed, "S09", make_parameters({}), Filters(), target, today=DAY, second=True).earlier
    other = share_study(renamed, "S02", make_parameters({}), Filters(), tmp_path / "S02.zip", today=DAY)
    assert other.earlier is None


def test_what_was_shared_before_may_be_shared_again_after_a_second_bundle(tmp_path):
    noted = Ledger(bundles=(entry(), entry(results="d" * 64, date="2026-03-01")))
    refuse_second(noted, entry(date="2026-04-01"), tmp_path)
    assert noted.same_results(entry()).date == "2026-02-03"
    assert noted.other_results(entry()).date == "2026-03-01"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"bundles": [{}]}', '{"bundles": 1, "bundles": []}'])
def test_a_damaged_list_is_no_empty_list(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(DisclosureError, match="take it from a copy of the collection"):
        read_ledger(tmp_path)


def test_what_cannot_be_noted_is_not_shared(small, tmp_path, monkeypatch):
    before = entries(small)

    def read_only(source, target):
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr("twostage.files.os.replace", read_only)
    with pytest.raises(DisclosureError, match="Permission denied.*one that is not is not shared"):
        share_s01(small, tmp_path / "out" / "S01.zip")
    assert entries(small) == before
    assert entries(tmp_path / "out") == {}


def test_the_list_is_replaced_in_one_step(tmp_path, monkeypatch):
    note(Ledger(), entry(), tmp_path)
    before = entries(tmp_path)
    monkeypatch.setattr(
        ledger.Path, "write_bytes", lambda path, content: (_ for _ in ()).throw(OSError(28, "full"))
    )
    with pytest.raises(DisclosureError, match="full"):
        note(read_ledger(tmp_path), entry(results="d" * 64), tmp_path)
    assert entries(tmp_path) == before
