"""The same study in every format and layout gives the same bytes."""

import datetime
import gc
import itertools
import shutil
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyreadr
import pyreadstat
import pytest
import yaml
from import_support import LONG, bring, empty, refused, written

from twostage.collection.collection import read_collection
from twostage.importing.job import import_file
from twostage.importing.preview import Asked, suggest
from twostage.importing.read_file import read_source
from twostage.importing.source import FileOptions, ImportProblems, many_rows
from twostage.simulation.examples import (
    WRITERS,
    Example,
    ItemKey,
    example_study,
    fill_in,
    with_dates,
    with_items,
    write_example,
)

TABLES = {"wide": lambda e: e.wide, "long": lambda e: e.long, "dates": lambda e: with_dates(e.long)}


@pytest.fixture(scope="module")
def example() -> Example:
    return example_study(seed=5, n_patients=40)


@pytest.fixture(scope="module")
def imported(example, tmp_path_factory) -> dict[tuple[str, str], Path]:
    """Each layout and format -> the collection it was imported into by its proposed mapping."""
    found = {}
    for layout, ending in itertools.product(TABLES, WRITERS):
        folder = tmp_path_factory.mktemp(f"{layout}{ending[1:]}")
        file = write_example(TABLES[layout](example), folder / f"clinic{ending}")
        collection = empty(folder / "c")
        suggestion = suggest(Asked(file, collection, "S1"), folder / "m.yml")
        (folder / "m.yml").write_text(fill_in(suggestion.text, example.facts), encoding="utf-8")
        import_file(file, collection, folder / "m.yml", "S1")
        found[layout, ending] = folder
    return found


@pytest.mark.parametrize("layout", TABLES)
@pytest.mark.parametrize("ending", WRITERS)
def test_every_format_and_layout_gives_the_same_bytes(imported, layout, ending):
    expected = written(imported["dates" if layout == "dates" else "long", ".csv"])
    assert written(imported[layout, ending]) == expected


def test_what_was_imported_is_what_was_drawn(imported, example):
    study = read_collection(imported["wide", ".sav"] / "c").study("S1")
    drawn = example.long.sort_values(["patient", "session"]).reset_index(drop=True)
    expected = drawn[["patient", "session", "wai", "oq"]].rename(columns={"wai": "x", "oq": "y"})
    pd.testing.assert_frame_equal(study.sessions, expected, check_dtype=False)
    people = example.wide.rename(columns={"oq_pre": "pre", "oq_post": "post"})[study.patients.columns]
    pd.testing.assert_frame_equal(
        study.patients, people.sort_values("patient").reset_index(drop=True), check_dtype=False
    )


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_items_with_their_key_give_the_same_bytes_as_their_scores(imported, example, tmp_path, layout):
    low, high = (int(example.facts[f"x_{end}"]) for end in ("min", "max"))
    key = ItemKey(items=low, item_min=1, item_max=high // low, reversed=(2, 5))
    file = write_example(with_items(TABLES[layout](example), key), tmp_path / "clinic.csv")
    source = imported[layout, ".csv"]
    content = yaml.safe_load((source / "m.yml").read_text(encoding="utf-8"))
    ending = "_{session}" if layout == "wide" else ""
    content["x"] = {"items": [f"wai_i{i}{ending}" for i in range(1, low + 1)], "score": "sum"}
    content["x"] |= {"item_min": 1, "item_max": high // low}
    content["x"]["reversed"] = [f"wai_i{i}{ending}" for i in key.reversed]
    (tmp_path / "m.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    shutil.copytree(source / "c", tmp_path / "c")
    import_file(file, tmp_path / "c", tmp_path / "m.yml", "S2", same_data=True)
    assert written(tmp_path, "S2") == written(source)


def test_dates_number_the_sessions_in_their_order(imported, example):
    study = read_collection(imported["dates", ".xlsx"] / "c").study("S1")
    ranks = example.long.groupby("patient")["session"].rank().astype(int)
    expected = example.long.assign(session=ranks).sort_values(["patient", "session"])
    assert list(study.sessions["session"]) == list(expected["session"])
    np.testing.assert_array_equal(study.sessions["x"], expected["wai"])


def test_spss_missing_values_and_labels_are_read_and_told(tmp_path):
    table = pd.DataFrame({"id": ["a", "b", "c"], "w": [1.5, 98.0, 99.0], "s": ["u", "-", "v"]})
    pyreadstat.write_sav(
        table,
        str(tmp_path / "a.sav"),
        column_labels={"w": "alliance"},
        missing_ranges={"w": [{"lo": 98, "hi": 99}], "s": ["-"]},
        variable_value_labels={"w": {1.5: "half"}},
    )
    source = read_source(tmp_path / "a.sav", FileOptions())
    assert source.cells["w"].tolist() == ["1.5", "", ""]
    assert source.cells["s"].tolist() == ["u", "", "v"]
    assert source.found[1] == "user-missing cells read as empty: w 2 (98, 99), s 1 (-)"
    assert (source.labels, source.values) == ({"w": "alliance"}, {"w": {"1.5": "half"}})
    assert source.emptied == {"w", "s"}
    assert source.cells.index.tolist() == [1, 2, 3]


def test_stata_floats_keep_their_own_digits(tmp_path):
    table = pd.DataFrame({"single": np.array([0.1, 2.7], dtype=np.float32), "precise": [0.1, 1 / 3]})
    table.to_stata(tmp_path / "a.dta", write_index=False)
    cells = read_source(tmp_path / "a.dta", FileOptions()).cells
    assert cells["single"].tolist() == ["0.1", "2.7"]
    assert cells["precise"].tolist() == ["0.1", "0.3333333333333333"]


def test_an_r_file_with_factors(tmp_path):
    table = pd.DataFrame({"id": ["a", "b"], "g": pd.Categorical(["m", None]), "w": [1.0, np.nan]})
    pyreadr.write_rds(str(tmp_path / "a.rds"), table)
    cells = read_source(tmp_path / "a.rds", FileOptions()).cells
    assert cells.to_numpy().tolist() == [["a", "m", "1"], ["b", "", ""]]


def workbook(path: Path, **sheets: list[list]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_excel_sheets_dates_and_blank_rows(tmp_path):
    day = datetime.datetime(2024, 3, 1)
    rows = [[], ["id", "when", "w", None], ["a", day, 0.1], [], ["b", day.replace(hour=9), True]]
    file = workbook(tmp_path / "a.xlsx", notes=[["x", "y"], [1, 2]], data=rows)
    source = read_source(file, FileOptions(sheet="data"))
    assert source.cells.to_numpy().tolist() == [
        ["a", "2024-03-01", "0.1"],
        ["b", "2024-03-01 09:00:00", "TRUE"],
    ]
    assert source.cells.index.tolist() == [3, 5], "rows as Excel numbers them"
    assert read_source(file, FileOptions()).found == ("sheet 'notes', of 2 sheets: notes, data",)
    with pytest.raises(ImportProblems, match="found 'Data'; expected one of notes, data"):
        read_source(file, FileOptions(sheet="Data"))


def test_an_excel_formula_without_its_value_is_not_taken_for_missing(tmp_path):
    file = workbook(tmp_path / "a.xlsx", data=[["id", "session", "wai", "oq"], ["a", 1, "=1+1", 3]])
    (problem,) = refused(tmp_path, file, LONG)
    assert problem.startswith("a.xlsx, row 2, column 'wai': found '=1+1'; expected its value")


def test_numbers_typed_as_texts_with_commas(tmp_path):
    file = workbook(tmp_path / "a.xlsx", data=[["id", "session", "wai", "oq"], ["a", 1, "1,5", 3]])
    assert "file: decimal: ','" in refused(tmp_path, file, LONG | {"file": {"decimal": "."}})[0]
    assert "decimal commas (detected)" in bring(tmp_path / "detected", file, LONG).found
    bring(tmp_path, file, LONG | {"file": {"decimal": ","}})
    assert written(tmp_path)[0].splitlines()[1] == "a,1,1.5,3"


@pytest.mark.parametrize("ending", [".sav", ".dta", ".rds", ".xlsx", ".RData", ".zsav"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no more", b"id,session\n1,2\n", bytes(range(256)) * 9])
def test_a_damaged_file_is_refused_by_name(tmp_path, ending, content):
    file = tmp_path / f"a{ending}"
    file.write_bytes(content)
    (problem,) = refused(tmp_path, file, LONG)
    assert problem.startswith(f"a{ending}: found ")


@pytest.mark.parametrize("ending", [".sav", ".dta", ".rds", ".xlsx"])
def test_a_file_cut_short_is_refused_by_name(example, tmp_path, ending):
    file = write_example(example.long, tmp_path / f"a{ending}")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    (problem,) = refused(tmp_path, file, LONG)
    assert problem.startswith(f"a{ending}: found ")


@pytest.mark.parametrize(
    ("name", "found"), [("a.xls", ".xls"), ("a.ods", ".ods"), ("a.por", ".por"), ("a", "no ending")]
)
def test_other_formats_are_refused_with_those_that_are_read(tmp_path, name, found):
    (tmp_path / name).write_bytes(b"x")
    (problem,) = refused(tmp_path, tmp_path / name, LONG)
    assert problem.startswith(f"{name}: found '{found}'; expected one of .csv,")
    way = {"a.xls": "save it as .xlsx", "a.ods": "save it as .xlsx", "a.por": "save them as .sav"}.get(
        name, ""
    )
    assert problem.endswith(way)


def test_an_absent_file_is_refused(tmp_path):
    (problem,) = refused(tmp_path, tmp_path / "no.csv", LONG)
    assert problem.endswith("found 'no such file'; expected a file with data")


def test_value_labels_name_genders_and_samples_unless_the_mapping_does(tmp_path):
    table = pd.DataFrame({"id": ["a", "b"], "session": [1.0, 1.0], "wai": [1.0, 2.0], "oq": [3.0, 4.0]})
    table = table.assign(sex=[1.0, 2.0], arm=[7.0, 8.0])
    labels = {"sex": {1: "man", 2: "woman"}, "arm": {7: "first", 8: "second"}}
    pyreadstat.write_sav(table, str(tmp_path / "a.sav"), variable_value_labels=labels)
    content = LONG | {"patients": {"gender": {"column": "sex", "values": {2: "female"}}}}
    content |= {"study_column": "arm", "studies": {"first": {"study": "A"}, 8: {"study": "B"}}}
    bring(tmp_path, tmp_path / "a.sav", content, study=None)
    assert written(tmp_path, "A")[1].splitlines()[1] == "a,,,man,,"
    assert written(tmp_path, "B")[1].splitlines()[1] == "b,,,female,,"


def test_a_stata_file_that_says_too_many_cases_is_refused_without_room_for_them(tmp_path, monkeypatch):
    path = tmp_path / "n.dta"
    pyreadstat.write_dta(pd.DataFrame({"s": ["a", "b"], "x": [1.0, 2.0]}), str(path))
    content = path.read_bytes()
    at = content.index(b"<N>") + 3
    path.write_bytes(content[:at] + (2**31).to_bytes(8, "little") + content[at + 8 :])
    limits, read = [], pyreadstat.read_dta

    def noted(*args, row_limit=0, **how):
        limits.append(row_limit)
        return read(*args, row_limit=row_limit, **how)

    monkeypatch.setattr(pyreadstat, "read_dta", noted)
    with pytest.raises(ImportProblems, match="readable Stata file"):
        read_source(path, FileOptions())
    assert 0 < max(limits) <= len(content)


def test_a_stata_file_of_the_shortest_texts_is_read_whole(tmp_path):
    path = tmp_path / "short.dta"
    pd.DataFrame({"s": ["a", "b"] * 10_000}).to_stata(path, write_index=False, version=118)
    assert len(read_source(path, FileOptions()).cells) == 20_000


def test_the_search_for_garbage_goes_on_after_a_file_was_read():
    assert gc.isenabled()
    with pytest.raises(ValueError, match="damaged"), many_rows():
        assert not gc.isenabled()
        raise ValueError("damaged")
    assert gc.isenabled()


@pytest.mark.filterwarnings("error")
def test_a_name_that_comes_twice_in_spss_is_said_and_no_warning(tmp_path):
    """Only a damaged file has it; the library warned on the terminal, and its second column was taken without a word."""
    file = tmp_path / "a.sav"
    pyreadstat.write_sav(pd.DataFrame({"QQA": [1.0, 2.0], "QQB": [3.0, 4.0]}), file)
    content = file.read_bytes()
    assert b"QQB" in content
    file.write_bytes(content.replace(b"QQB", b"QQA"))
    assert any("duplicated" in words for words in read_source(file, FileOptions()).found)


#: An .rds file, uncompressed: saveRDS(list(d = data.frame(id = 1)), "n.rds", version = 2, compress = FALSE).
NESTED = bytes.fromhex(
    "580a000000020004020200020300000002130000000100000313000000010000000e000000013ff000000000000000000402"
    "0000000100040009000000056e616d6573000000100000000100040009000000026964000004020000000100040009000000"
    "05636c6173730000001000000001000400090000000a646174612e6672616d6500000402000000010004000900000009726f"
    "772e6e616d65730000000d0000000280000000ffffffff000000fe00000402000001ff000000100000000100040009000000"
    "0164000000fe"
)


def test_a_list_in_rds_is_refused_with_what_to_do_in_r(tmp_path):
    """A list with data frames in it gives the library none; it was "one data frame of none" before."""
    file = tmp_path / "nested.rds"
    file.write_bytes(NESTED)
    (problem,) = refused(tmp_path, file, LONG)
    assert "expected a data frame: in R, saveRDS(as.data.frame(object), file)" in problem
