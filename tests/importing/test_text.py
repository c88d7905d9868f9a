"""Text files: what is detected is right, or refused; the same study whatever the file looks like."""

import gzip
import io
import tempfile
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from import_support import LONG, WIDE, bring, contents, refused, written

from twostage.importing.grid import cells_of
from twostage.importing.identity import unusual
from twostage.importing.marks import with_points
from twostage.importing.read_text import SEPARATORS, _lines, _plain_cells, read_text
from twostage.importing.source import FileOptions, cell_text, number_text
from twostage.text.csv_cells import plain

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")


def read(tmp_path: Path, content: bytes | str, name: str = "a.csv", **options):
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / name).write_bytes(data)
    return read_text(tmp_path / name, FileOptions(**options))


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separator_encoding_and_line_ends_are_found_and_told(tmp_path, separator, encoding, end):
    lines = [["id", "Größe", "x"], ["é", "1", "2"], ["b", "", "4"]]
    text = end.join(separator.join(cells) for cells in lines) + end
    source = read(tmp_path, text.encode(encoding))
    assert source.cells.to_numpy().tolist() == lines[1:]
    assert list(source.cells) == lines[0]
    assert source.cells.index.tolist() == [2, 3]
    assert source.options == FileOptions(encoding, separator, ".")
    assert source.found == (
        f"text in {encoding} (detected)",
        f"{SEPARATORS[separator]} between columns (detected)",
        "decimal points",
    )


def test_decimal_commas_become_points_in_scores_only(tmp_path):
    source = read(tmp_path, "id;x\na;1,5\nb;-2\n")
    assert (source.options.decimal, source.found[-1]) == (",", "decimal commas (detected)")
    assert with_points(source, ["x"]).cells["x"].tolist() == ["1.5", "-2"]
    assert with_points(read(tmp_path, 'id,x\na,"1,5"\n'), ["x"]).cells["x"].tolist() == ["1.5"]
    bring(tmp_path, "id;session;wai;oq\n1,5;1;1,5;-0,0\n2.50;1;2;3\n", LONG | {"file": {"decimal": ","}})
    assert written(tmp_path)[0].splitlines()[1:] == ["1,5,1,1.5,0".replace("1,5", '"1,5"', 1), "2.50,1,2,3"]


def test_both_decimal_marks_are_left_to_the_mapping(tmp_path):
    assert read(tmp_path, "id;x\na;1,5\nb;2.5\n").options.decimal is None
    both = "id;session;wai;oq\na;1;1,5;2.5\n"
    assert refused(tmp_path, both, LONG) == [
        "data.csv: found 'both decimal points and decimal commas'; "
        "expected file: decimal: '.' or ',' in the mapping, or --decimal"
    ]
    (problem,) = refused(tmp_path, both, LONG | {"file": {"decimal": "."}})
    assert problem.startswith("data.csv, row 2, column 'wai': found '1,5'; expected a number")
    bring(tmp_path, both, LONG | {"file": {"decimal": ","}})
    assert written(tmp_path)[0].splitlines()[1] == "a,1,1.5,2.5"


def test_empty_lines_and_columns_that_spreadsheets_leave(tmp_path):
    source = read(tmp_path, "\nid,x,,\na,1,,\n,,,\n\nb,2,,\n")
    assert list(source.cells) == ["id", "x"]
    assert source.cells.index.tolist() == [3, 6]
    assert source.found[-2] == "3 empty lines left out"


def test_gzip(tmp_path):
    assert read(tmp_path, gzip.compress(b"id,x\na,1\n"), "a.csv.gz").cells.to_numpy().tolist() == [["a", "1"]]


REFUSED = {
    "empty": (b"", {}, "data.csv, row 1: found 'an empty file'; expected names of columns"),
    "names only": (b"id,session,wai,oq\n", {}, "data.csv: found 'no data'; expected a row of names"),
    "one column": (b"id\na\n", {}, "data.csv, row 1: found 'id'; expected names of columns with commas"),
    "ragged": (
        b"id,session,wai,oq\na,1,2,3\nb,1,2\n",
        {},
        "data.csv, row 3: found '3 cells'; expected 4 cells",
    ),
    "open quote": (b'id,session,wai,oq\na,1,2,"3\n', {}, "data.csv: found 'unexpected end of data'"),
    "not the encoding": (b"id,x\n\xe9,1\n", {"encoding": "utf-8"}, "data.csv, row 2: found 'byte 0xe9'"),
    "no encoding": (b"id,x\na,1\n", {"encoding": "utf-9"}, "data.csv, column 'encoding': found 'utf-9'"),
    "no text codec": (b"id,x\na,1\n", {"encoding": "hex"}, "data.csv, column 'encoding': found 'hex'"),
    "neither": (b"id,x\n\x81,1\n", {}, "data.csv, row 2: found 'byte 0x81'; expected text in UTF-8 or"),
    "two separators": (b"a;b,c;d,e\n1;2,3;4,5\n", {}, "data.csv, row 1: found 'commas or semicolons'"),
    "half a character": (b"\xff\xfei\x00d", {}, "data.csv, row 1: found"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_text_that_cannot_be_read_is_refused_with_its_place(tmp_path, name):
    content, options, message = REFUSED[name]
    problems = refused(tmp_path, content, LONG | {"file": options})
    assert problems[0].startswith(message), problems


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (0.1, "0.1"),
        (-0.0, "0"),
        (1 / 3, "0.3333333333333333"),
        (1234567890123456.0, "1234567890123456"),
        (1e20, "1e+20"),
        (0.0001, "0.0001"),
        (1e-7, "1e-07"),
        (123456789.125, "123456789.125"),
        (float("nan"), ""),
        (np.float32(0.5), "0.5"),
        (np.int64(7), "7"),
        (np.bool_(True), "TRUE"),
        (pd.NaT, ""),
        (pd.NA, ""),
        (pd.Timestamp("2024-01-02"), "2024-01-02"),
        (" a\r\nb ", "a b"),
    ],
)
def test_cells_as_text(value, text):
    assert cell_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_as_text(value):
    assert float(number_text(value)) == value


#: Ids as clinics have them: any printable text that no rule of the format takes for something else.
IDS = st.sampled_from(["1,5", "1.50", "007", "1e3", "NA", "-"]) | st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12
)
SCORES = st.none() | st.integers(0, 100) | st.integers(0, 10_000).map(lambda n: n / 100)


@st.composite
def studies(draw) -> dict[str, dict[int, tuple]]:
    """patient -> session -> (x, y), neither always missing."""
    ids = draw(st.lists(IDS, min_size=1, max_size=5, unique=True))
    cells = st.tuples(SCORES, SCORES).filter(lambda pair: pair != (None, None))
    sessions = st.dictionaries(st.integers(1, 9), cells, min_size=1, max_size=6)
    return {id: draw(sessions) for id in ids}


@st.composite
def looks(draw) -> tuple[str, str, str, str]:
    """separator, decimal mark, encoding, line end of a file."""
    separator = draw(st.sampled_from(list(SEPARATORS)))
    marks = (".", ",")
    return (
        separator,
        draw(st.sampled_from(marks)),
        draw(st.sampled_from(ENCODINGS)),
        draw(st.sampled_from(("\n", "\r\n"))),
    )


def rendered(table: pd.DataFrame, look: tuple[str, str, str, str]) -> bytes:
    separator, decimal, encoding, end = look
    text = table.to_csv(index=False, sep=separator, decimal=decimal, lineterminator=end)
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        assume(False)
        raise


def long_table(study) -> pd.DataFrame:
    rows = [(id, s, *pair) for id, sessions in study.items() for s, pair in sessions.items()]
    return pd.DataFrame(rows, columns=["id", "session", "wai", "oq"]).astype({"wai": float, "oq": float})


def wide_table(study) -> pd.DataFrame:
    table = long_table(study).pivot(index="id", columns="session", values=["wai", "oq"])
    table.columns = [f"{name}_{session}" for name, session in table.columns]
    return table.reset_index()


#: A file of the usual look: separator, decimal sign, encoding, end of lines.
PLAINEST = (",", ".", "utf-8", "\n")


def kept(table: pd.DataFrame, scores: list[str]) -> dict:
    """What a mapping says where a person's id is like a row of totals, or unlike the others' and without scores."""
    cells = table.astype(object).where(table.notna(), "").astype(str)
    found = unusual(cells, "id", scores)
    return {"unusual_patients": dict.fromkeys(found, "keep")} if found else {}


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@example({"AVERAGE": {1: (None, 0)}}, PLAINEST, PLAINEST, Random(1))
@given(studies(), looks(), looks(), st.randoms(use_true_random=False))
def test_any_look_and_either_layout_give_the_same_bytes_and_what_went_in(study, first, second, random):
    long, wide = long_table(study), wide_table(study)
    long = long.sample(frac=1, random_state=random.randrange(1000))
    # What a rule cannot know is said in the mapping.
    said = [
        {"file": {"separator": s, "decimal": d, "encoding": e}} | kept(table, scores)
        for (s, d, e, _), table, scores in ((first, long, ["wai", "oq"]), (second, wide, [*wide][1:]))
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, table, look in (("long", long, first), ("wide", wide, second)):
            Path(folder, f"{name}.csv").write_bytes(rendered(table, look))
        files = contents(Path(folder, "long.csv"), LONG | said[0])
        assert contents(Path(folder, "wide.csv"), WIDE | said[1]) == files
    scores = {"alliance": [""], "symptoms": [""]}
    text = io.StringIO(files["sessions/S1.csv"])
    back = pd.read_csv(text, dtype={"patient": str}, keep_default_na=False, na_values=scores)
    back["patient"] = back["patient"].map(plain)  # a text that begins as a formula is written as a text
    expected = long.sort_values(["id", "session"]).reset_index(drop=True)
    np.testing.assert_array_equal(back[["patient", "session"]], expected[["id", "session"]])
    np.testing.assert_array_equal(back["alliance"].astype(float), expected["wai"])
    np.testing.assert_array_equal(back["symptoms"].astype(float), expected["oq"])


PIECE = st.text(st.sampled_from("ab 1.;\u00a0\u2028'#\"\r\n\t,"), max_size=5)


@settings(deadline=None, max_examples=200)
@example([["", ""], ['""']], ",")
@given(st.lists(st.lists(PIECE, min_size=1, max_size=4), min_size=1, max_size=6), st.sampled_from(",;\t|"))
def test_a_text_is_read_at_once_as_it_is_row_by_row(rows, separator):
    text = "\n".join(separator.join(row) for row in rows)
    at_once = _plain_cells(text, separator)
    if at_once is None:
        return
    lines = _lines(text, separator)
    cells, lengths = cells_of(lines)
    assert list(at_once[1]) == list(lengths)
    assert list(at_once[0].index) == list(cells.index)
    assert at_once[0].to_numpy().tolist() == cells.to_numpy().tolist()
