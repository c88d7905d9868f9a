"""No cell of a table that is written here is a formula, and tables come back as they were."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twostage.text.csv_cells import guarded, plain, read_csv, to_csv, write_csv

FORMULAS = [
    '=HYPERLINK("http://x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "＝1",
    "'=1",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_as_a_text(text):
    assert to_csv(pd.DataFrame({"label": [text]})).split("\n", 1)[1].lstrip('"').startswith("'")


@pytest.mark.parametrize("text", ["-0.05", "+1e-3", ".5", "− 1", "a=b", "Bern", "", "'Zitat' 2020"])
def test_numbers_and_other_texts_stay(text):
    assert guarded(text) == text
    assert plain(text) == text


def test_numbers_are_never_touched():
    assert (
        to_csv(pd.DataFrame({"estimate": [-0.5, 1e-300], "n": [-1, 2]})) == "estimate,n\n-0.5,-1\n1e-300,2\n"
    )


@given(st.text(alphabet="'=+-@\t\r1a.", max_size=6))
def test_what_is_written_comes_back(text):
    assert plain(guarded(text)) == text


def test_a_table_comes_back(tmp_path):
    texts = [
        text for text in [*FORMULAS, "Bern"] if "\r" not in text
    ]  # an end of a line, which no text may have
    table = pd.DataFrame({"label": texts, "=name": range(len(texts)), "p": [-0.5] * len(texts)})
    write_csv(table, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_csv(tmp_path / "t.csv"), table)


def test_a_table_with_other_signs_than_ascii_opens_in_excel_and_comes_back(tmp_path):
    table = pd.DataFrame({"label": ["Zürich", "Łódź"], "n": [1, 2]})
    write_csv(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbflabel,n\n")
    assert read_csv(tmp_path / "t.csv").equals(table.astype({"label": str}))
    write_csv(table.assign(label="x"), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes().startswith(b"label,n\n")
