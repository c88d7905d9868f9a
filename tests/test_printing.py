"""Tables for a terminal: aligned, long cells wrapped, nothing lost."""

import pandas as pd

from twostage.printing import WIDEST, as_markdown, as_text, rows_of


def test_columns_are_aligned_and_long_cells_wrapped():
    long = " ".join(["word"] * 20)
    text = as_text(*rows_of(pd.DataFrame({"a_b": ["x", "yy"], "c": [long, 1]})))
    head, rule, first, second, third, last = text.splitlines()
    assert head == "a_b  c"
    assert rule == "---  " + "-" * max(len(line) - 5 for line in (first, second, third))
    assert max(len(line) for line in text.splitlines()) <= 5 + WIDEST
    assert " ".join(line[5:] for line in (first, second, third)) == long
    assert last == "yy   1"


def test_markdown_escapes_what_would_end_a_cell():
    assert as_markdown(*rows_of(pd.DataFrame({"a": ["x | y"]}))) == "| a |\n| --- |\n| x \\| y |"


def test_table_without_rows_has_its_heading():
    assert as_text(*rows_of(pd.DataFrame({"a": []}))) == "a\n-"


def test_a_table_fits_a_narrow_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    words = "a sentence of several words that is long enough " * 2
    table = pd.DataFrame({"name": ["first", "second"], "meaning": [words, words], "default": [words, "1"]})
    lines = as_text(*rows_of(table)).splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(line[8:35].strip() for line in lines[2:]).startswith("a sentence of several words")
