"""Numbers as people read them."""

import math
import re

import pandas as pd
import pytest

from twostage.display import count, html_table, interval, number, p_value, percent, readable


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.0449, "−0.04"),
        (-0.001, "0.00"),
        (1234.5, "1234.50"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, "< .001"), (0.0006, ".001"), (0.05, ".050"), (1.0, "1.000"), (None, "–")]
)
def test_p_value(p, text):
    assert p_value(p) == text


def test_truth_values_are_words_also_as_text():
    shown = readable(pd.DataFrame({"value": ["False", "True", False, True, "REML"]}))
    assert shown["value"].tolist() == ["no", "yes", "no", "yes", "REML"]


def test_interval_count_percent():
    assert interval(-0.1, 0.25) == "[−0.10, 0.25]"
    assert count(5350) == "5,350"
    assert percent(0.256) == "26 %"


def test_cells_are_rounded_by_their_column_and_text_is_escaped():
    table = pd.DataFrame(
        {"n_patients": [1200.0], "df": [12.345], "p_value": [0.0321], "label": ["<b>"], "singular": [True]}
    )
    assert readable(table).iloc[0].tolist() == ["1,200", "12.3", ".032", "<b>", "yes"]
    html = html_table(table)
    assert "&lt;b&gt;" in html
    assert '<th scope="col" class="number">patients</th>' in html
    assert '<td class="study">&lt;b&gt;</td>' in html


def test_titles_and_directions_are_words():
    table = pd.DataFrame({"direction": ["x_to_y"], "re_variance": [0.1], "icc_x": [0.5], "fisher_z": [0.2]})
    html = html_table(table)
    for words in (
        "x → y",
        "variance between patients",
        "share of variance of x between patients",
        "fisher z",
    ):
        assert words in html
    assert ">icc_x</th>" in html_table(table, spaced=False)


def test_points_stand_below_each_other():
    texts = ["1,200", "−0.25", "12.5 %", "–"]
    table = pd.DataFrame({"value": texts, "interval": ["[0.1, 0.2]", "–"] * 2, "year": ["first", "2012"] * 2})
    html = html_table(table)
    after = re.findall(r'<td class="number"(?: style="--after:(\d)")?>([^<]*)</td>', html)
    assert after[::2] == [("2", "1,200"), ("", "−0.25"), ("1", "12.5 %"), ("2", "–")]
    assert after[1::2] == [("", "[0.1, 0.2]"), ("", "–")] * 2
    # A column with a word is one of words.
    assert "<td>2012</td>" in html


def test_a_row_of_mixed_types_keeps_its_integers_whole():
    table = pd.DataFrame({"k": [17], "estimate": [0.12345], "note": [None]})
    assert readable(table).iloc[0].tolist() == ["17", "0.123", "–"]
