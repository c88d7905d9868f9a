"""Numbers as people read them."""

import math
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twostage.display import (
    count,
    fixed,
    html_table,
    interval,
    number,
    number_in,
    p_value,
    percent,
    percent_of,
    readable,
    with_interval,
)

sys.path.insert(0, str(Path(__file__).parent))
from intervals import outside


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


@pytest.mark.parametrize("value", [-0.085, -0.0849999999999999, -0.0850000000000001, 0.125 - 0.21])
def test_what_differs_by_rounding_is_rounded_alike(value):
    """Estimates of one thing by two paths differ by 1e-15: printed to the last digit they stay the same number."""
    assert number(value) == "−0.09"
    assert number(-value) == "0.09"


def test_a_half_is_rounded_away_from_zero():
    assert [fixed(x, 2) for x in (0.125, -0.125, 0.375, 2.675, 1e20, 5e-324)] == [
        *("0.13", "-0.13", "0.38", "2.68", f"{10**20}.00", "0.00")
    ]
    assert fixed(1.7976931348623157e308, 17).startswith("179769313486")


def test_a_share_that_never_happened_has_no_error_of_zero():
    """Exact end: 1 - .05^(1/40) = .0722; with three of forty sqrt(.075 * .925 / 40) = .0416."""
    assert percent_of(0.0, 40) == "0 % (of 40; at most 7.2 %)"
    assert percent_of(1.0, 40) == "100 % (of 40; at least 92.8 %)"
    assert percent_of(0.075, 40) == "8 % ± 4.2 %"
    assert percent_of(math.nan, 40) == percent_of(0.5, 0) == "–"


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


ENDS = st.floats(-10, 10, allow_subnormal=False)


@given(ends=st.lists(ENDS, min_size=3, max_size=3), digits=st.integers(0, 4))
def test_a_number_is_shown_within_its_interval_with_as_many_digits(ends, digits):
    low, value, high = sorted(ends)
    shown = f"[{number_in(value, low, high, digits)}]"
    low_shown, high_shown = interval(low, high, digits).strip("[]").split(", ")
    assert len({text.strip("[]").partition(".")[2].__len__() for text in (shown, low_shown, high_shown)}) == 1
    assert float(low_shown.replace("−", "-")) <= float(shown.strip("[]").replace("−", "-"))
    assert not outside(f'estimate,95 % CI\n{shown.strip("[]")},"{interval(low, high, digits)}"\n')
    assert with_interval(value, low, high, digits) == f"{shown.strip('[]')} {interval(low, high, digits)}"


def test_what_lies_outside_its_interval_is_found():
    assert outside('estimate,95 % CI\n0.000,"[−0.0007, −0.0002]"\n') == [("0.000", "[−0.0007, −0.0002]")]
    assert outside('effect,change [95 % CI]\na,"0.31 [0.10, 0.30]"\n') == [("0.31", "0.31 [0.10, 0.30]")]
    assert not outside('τ,"τ, 95 % CI"\n0.02,"[0.00, 0.05]"\n')
