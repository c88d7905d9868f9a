"""Items to scores by hand; wide and long; what is missing; what is refused, with row, column and value."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_support import LONG, WIDE, bring, empty, refused, write_mapping, written
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.importing.blocks import ScoreBlock
from twostage.importing.scores import score, to_number

#: Scores are sums of a few numbers below 100: what rounding may do to them.
ROUNDING = 1e-9

ITEMS = {"items": ["i1", "i2", "i3"], "score": "sum", "item_min": 1, "item_max": 5, "reversed": ["i2"]}


def scored(rows: list[list[str]], **key) -> list[float]:
    cells = pd.DataFrame(rows, columns=["i1", "i2", "i3"], dtype=str)
    numbers, problems = score(cells, "f", ScoreBlock(**ITEMS | key), ("i1", "i2", "i3"), ())
    assert not problems
    return numbers.tolist()


def test_sum_and_mean_with_a_reversed_item():
    # 1 + (1 + 5 - 2) + 3 = 8
    assert scored([["1", "2", "3"]]) == [8.0]
    assert scored([["1", "2", "3"]], score="mean") == pytest.approx([8 / 3], abs=ROUNDING)


def test_a_sum_of_some_items_is_their_mean_times_all():
    rows = [["1", "2", ""], ["", "", "3"], ["", "", ""]]
    # (1 + 4) / 2 * 3 = 7.5 with two of three items answered
    np.testing.assert_allclose(scored(rows, min_answered=0.6), [7.5, np.nan, np.nan], atol=ROUNDING)
    np.testing.assert_allclose(
        scored(rows, min_answered=0.6, score="mean"), [2.5, np.nan, np.nan], atol=ROUNDING
    )
    np.testing.assert_allclose(scored(rows, min_answered=1 / 3), [7.5, 9.0, np.nan], atol=ROUNDING)
    np.testing.assert_array_equal(scored(rows), [np.nan] * 3)


def test_two_thirds_of_the_items_are_two_of_three():
    assert scored([["1", "2", ""]], min_answered=2 / 3) == [7.5]


ANSWERS = st.lists(st.none() | st.integers(1, 5), min_size=3, max_size=3)


@given(ANSWERS, st.sets(st.sampled_from(["i1", "i2", "i3"])), st.floats(0.01, 1))
def test_reversing_every_item_mirrors_the_score(answers, some, least):
    rows = [["" if a is None else str(a) for a in answers]]
    rest = sorted({"i1", "i2", "i3"} - some)
    here = scored(rows, reversed=sorted(some), min_answered=least)
    there = scored(rows, reversed=rest, min_answered=least)
    np.testing.assert_allclose(np.add(here, there), 18 if np.isfinite(here[0]) else np.nan, atol=ROUNDING)


def test_missing_codes_are_numbers_or_texts():
    cells = pd.Series(["99.0", "-9", "NA", "", "3"])
    numbers, problems = to_number(cells, "f", "c", ["99", "-9", "NA"])
    np.testing.assert_array_equal(numbers, [np.nan] * 4 + [3.0])
    assert not problems


LONG_ITEMS = LONG | {"y": {"items": ["q1", "q2"], "score": "sum", "item_min": 0, "item_max": 3}}
WIDE_ITEMS = WIDE | {
    "x": {"columns": {1: "first", 3: "third"}},
    "y": {"items": ["q1_s{session}", "q2_s{session}"], "score": "sum", "item_min": 0, "item_max": 3},
}


def test_items_in_both_layouts_and_columns_without_a_pattern(tmp_path):
    long = "id,session,wai,q1,q2\na,1,5,0,3\na,3,6,1,1\n"
    wide = "id,first,third,q1_s1,q2_s1,q1_s03,q2_s3\na,5,6,0,3,1,1\n"
    bring(tmp_path / "long", long, LONG_ITEMS)
    bring(tmp_path / "wide", wide, WIDE_ITEMS)
    assert written(tmp_path / "long") == written(tmp_path / "wide")
    assert written(tmp_path / "long")[0] == "patient,session,alliance,symptoms\na,1,5,3\na,3,6,2\n"


def test_a_patient_without_scores_keeps_one_row_and_empty_sessions_go(tmp_path):
    report = bring(tmp_path, "id,wai_1,oq_1,wai_2,oq_2\nb,,,,\na,1,,,\n", WIDE)
    assert written(tmp_path)[0] == "patient,session,alliance,symptoms\na,1,1,\nb,1,,\n"
    assert report.tidy()["notes"].tolist() == [
        "3 rows or cells of sessions without either score left out; 1 patients without any score keep one row"
    ]


def test_only_some_sessions_are_kept(tmp_path):
    data = "id,session,wai,oq\na,1,1,1\na,9,2,2\nb,9,3,3\n"
    report = bring(tmp_path, data, LONG | {"keep_sessions": [1, 7]})
    assert written(tmp_path)[0].splitlines()[1:] == ["a,1,1,1", "b,1,,"]
    assert report.tidy()["notes"][0].startswith("2 rows outside of sessions 1 to 7 left out")


def test_facts_of_a_patient_may_stand_in_one_row_only(tmp_path):
    content = LONG | {"patients": {"age": "alter", "pre": {"column": "pre"}, "therapist": "t"}}
    bring(tmp_path, "id,session,wai,oq,alter,pre,t\na,1,1,1,,20,\na,2,2,2,31,,x\n", content)
    assert written(tmp_path)[1].splitlines()[1] == "a,x,31,,20,"


DATES = LONG | {"session": None, "date": "when", "date_format": "%d.%m.%Y"}


def test_dates_are_ranked_within_the_patient(tmp_path):
    data = "id;when;wai;oq\na;3.2.2024;3;3\na;31.12.2023;1;1\nb;1.1.2024;9;9\na;1.2.2024;2;2\n"
    bring(tmp_path, data, DATES)
    assert written(tmp_path)[0].splitlines()[1:] == ["a,1,1,1", "a,2,2,2", "a,3,3,3", "b,1,9,9"]


BAD = {
    "no number": (
        "id,session,wai,oq\na,1,x,2\n",
        LONG,
        "data.csv, row 2, column 'wai': found 'x'; expected a number",
    ),
    "infinite": (
        "id,session,wai,oq\na,1,1e999,2\n",
        LONG,
        "row 2, column 'wai': found '1e999'; expected a number",
    ),
    "too high": (
        "id,session,wai,oq\na,1,101,2\n",
        LONG,
        "row 2, column 'wai': found 101; expected 0 to 100 (x_min and x_max of the mapping's study)",
    ),
    "wide too high": (
        "id,wai_4,oq_4\na,101,2\n",
        WIDE,
        "row 2, column 'wai_4': found 101; expected 0 to 100",
    ),
    "item too high": (
        "id,session,wai,q1,q2\na,1,1,4,0\n",
        LONG_ITEMS,
        "row 2, column 'q1': found 4; expected 0 to 3 (item_min and item_max of the mapping)",
    ),
    "pre too high": (
        "id,session,wai,oq,pre\na,1,1,1,200\n",
        LONG | {"patients": {"pre": "pre"}},
        "row 2, column 'pre': found 200; expected 0 to 180",
    ),
    "no patient": ("id,session,wai,oq\n,1,1,2\n", LONG, "row 2, column 'id': found ''; expected a patient"),
    "no session": (
        "id,session,wai,oq\na,,1,2\n",
        LONG,
        "row 2, column 'session': found ''; expected a whole",
    ),
    "half a session": (
        "id,session,wai,oq\na,1.5,1,2\n",
        LONG,
        "row 2, column 'session': found '1.5'; expected a whole",
    ),
    "far session": (
        "id,session,wai,oq\na,1001,1,2\n",
        LONG,
        "column 'session': found '1001'; expected a whole",
    ),
    "session twice": (
        "id,session,wai,oq\na,1,1,2\nb,1,1,1\na,1,3,4\n",
        LONG,
        "row 4, column 'session': found 'patient a, session 1 again'; expected another session than in row 2",
    ),
    "patient twice": (
        "id,wai_1,oq_1\na,1,2\na,3,4\n",
        WIDE,
        "row 3, column 'patient': found 'patient a again'",
    ),
    "two ages": (
        "id,session,wai,oq,age\na,1,1,2,30\na,2,1,2,31\n",
        LONG | {"patients": {"age": {"column": "age", "changes": "refuse"}}},
        "row 3, column 'age': found 31; expected 30, as in the patient's other rows",
    ),
    "no date": (
        "id,when,wai,oq\na,2024-01-01,1,2\n",
        DATES,
        "column 'when': found '2024-01-01'; expected a date, as in",
    ),
    "day twice": (
        "id,when,wai,oq\na,1.1.2024,1,2\na,01.01.2024,1,2\n",
        DATES,
        "row 3, column 'when': found 'patient a",
    ),
    "no column": (
        "id,session,WAI,oq\na,1,1,2\n",
        LONG,
        "m.yml, key 'x': found 'wai'; expected a column of data.csv",
    ),
    "no wide column": (
        "id,wai1,oq_1\na,1,1\n",
        WIDE,
        "m.yml: x: found 'wai_{session}'; expected such columns in",
    ),
    "item of a session": (
        "id,first,third,q1_s1,q2_s1,q1_s2\na,1,1,1,1,1\n",
        WIDE_ITEMS,
        "data.csv, column 'q2_s2': found 'no such column'; expected all items",
    ),
    "two columns of a session": (
        "id,wai_1,wai_01,oq_1\na,1,1,1\n",
        WIDE,
        "column 'wai_{session}': found 'wai_1 and wai_01'; expected one column for each session",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_will_not_do_is_named_with_row_column_and_value(tmp_path, name):
    data, content, message = BAD[name]
    problems = refused(tmp_path, data, content)
    assert len(problems) == 1
    assert message in problems[0]


def test_a_comma_in_a_number_is_explained(tmp_path):
    (problem,) = refused(tmp_path, 'id,session,wai,oq\na,1,"1,5",2.5\n', LONG | {"file": {"decimal": "."}})
    assert problem.endswith("decimal commas: say --decimal ',', or file: decimal: ',' in the mapping")


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("12 345", "a mark between thousands: say --thousands, or file: thousands: in the mapping"),
        ("1,5,5", "missing codes"),
        ("x,y", "missing codes"),
    ],
)
def test_no_decimal_comma_is_advised_where_the_mapping_says_it(tmp_path, cell, hint):
    data = f"id;session;wai;oq\na;1,00;{cell};2,5\n"
    (problem,) = refused(tmp_path, data, LONG | {"file": {"decimal": ","}})
    assert problem.startswith(f"data.csv, row 2, column 'wai': found '{cell}'; expected a number")
    assert problem.endswith(hint)
    assert "decimal" not in problem


def test_a_wrong_range_is_a_line_for_each_column(tmp_path):
    rows = "".join(f"p{i},{i + 100},{i},{i + 200}\n" for i in range(1, 41))
    content = WIDE | {"x": "wai_{session}", "y": "oq_{session}"}
    (tmp_path / "f.csv").write_text(f"id,wai_1,oq_1,oq_2\n{rows}")
    mapping = write_mapping(tmp_path / "m.yml", content)
    empty(tmp_path / "c")
    words = [
        "import",
        str(tmp_path / "f.csv"),
        "--to",
        str(tmp_path / "c"),
        "--study",
        "S1",
        "--map",
        str(mapping),
    ]
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "80 problems in the import:",
        "  - f.csv, row 2, column 'wai_1': found 101; expected 0 to 100 (x_min and x_max of the mapping's study); and 39 "
        "more like it up to row 41, values from 101 to 140",
        "  - f.csv, row 2, column 'oq_2': found 201; expected 0 to 180 (y_min and y_max of the mapping's study); and 39 "
        "more like it up to row 41, values from 201 to 240",
        "(each of them: --all-problems)",
        "nothing was written",
    ]
    assert len(CliRunner().invoke(app, [*words, "--all-problems"]).stderr.splitlines()) == 82


def test_all_problems_come_at_once(tmp_path):
    problems = refused(tmp_path, "id,session,wai,oq\n,1,x,999\na,y,x,999\n", LONG)
    assert [p.split(": ")[0] for p in problems] == [
        "data.csv, row 2, column 'id'",
        "data.csv, row 3, column 'session'",
        "data.csv, row 3, column 'wai'",
        "data.csv, row 3, column 'oq'",
    ]
