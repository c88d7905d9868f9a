"""What is said of an input's problems: all of them on request, a line for each kind without."""

import pickle
from typing import Annotated, Literal

import pydantic
import pytest
from pydantic import ConfigDict, Field

from twostage.problems import (
    FEW,
    LINES,
    CollectionError,
    ParameterError,
    Problem,
    ProblemError,
    expectation,
    summarised,
)

RANGE = "0 to 60 (x_min and x_max of the mapping's study)"


def too_high(column: str, *values: float) -> list[Problem]:
    return [Problem("c.sav", row, column, value, RANGE) for row, value in enumerate(values, 1)]


def test_many_of_a_kind_are_the_first_with_count_last_row_and_extremes():
    (line,) = summarised(too_high("wai_1", 65.0, 84.0, 61.5, 70.0))
    assert line == (
        f"c.sav, row 1, column 'wai_1': found 65.0; expected {RANGE}; and 3 more like it up to row 4, "
        "values from 61.5 to 84"
    )


def test_texts_have_examples_instead_of_extremes():
    problems = [Problem("c.csv", 2 + i, "wai", value, "a number") for i, value in enumerate("xyxzw")]
    (line,) = summarised(problems)
    assert line.endswith("and 4 more like it up to row 6, values 'x', 'y', 'z', ...")


def test_few_are_told_one_by_one():
    problems = too_high("wai_1", *[61.0] * FEW)
    assert summarised(problems) == [str(problem) for problem in problems]


def test_kinds_and_columns_are_kept_apart_and_rows_named_in_the_expectation_are_not():
    again = [Problem("c.csv", r, "s", "again", f"another s than in row {r - 1}") for r in range(2, 9)]
    dates = [Problem("c.csv", r, "s", "x", "a date, as in 2024-03-31") for r in range(2, 9)]
    lines = summarised([*again, *dates, *too_high("wai_1", *range(61, 70))])
    assert len(lines) == 3
    assert lines[0].startswith(
        "c.csv, row 2, column 's': found 'again'; expected another s than in row 1; and 6"
    )


def test_what_has_no_row_is_never_counted_together():
    problems = [Problem("m.yml", None, "x", value, "a column") for value in ("a", ["b"], "c", "d", "e")]
    assert len(summarised(problems)) == len(problems)


def test_no_more_lines_than_fit_and_the_rest_is_counted():
    problems = [p for i in range(LINES + 4) for p in too_high(f"wai_{i}", *range(61, 71))]
    lines = summarised(problems)
    assert len(lines) == LINES + 1
    assert lines[-1] == "and 40 more problems"


def test_a_summary_says_how_to_see_each_problem_and_the_error_has_them_all():
    error = ProblemError(too_high("wai_1", *range(61, 90)))
    assert str(error).count("\n") == 29
    summary = error.summary("--all-problems").splitlines()
    assert summary[0] == "29 problems in the input:"
    assert summary[-1] == "(each of them: --all-problems)"
    assert len(summary) == 3
    short = ProblemError(too_high("wai_1", 61.0))
    assert short.summary("never") == str(short)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ParameterError([Problem("-p", None, "lagg", 1, "a parameter")]), "-p, parameter 'lagg'"),
        (ParameterError([Problem("short.yml", None, "lagg", 1, "a parameter")]), "parameter 'lagg'"),
        (CollectionError([Problem("collection.yml", None, "x.name", 1, "a text")]), "key 'x.name'"),
        (CollectionError([Problem("command line", None, "--study", 1, "an id")]), "option '--study'"),
        (CollectionError([Problem("studies.csv", 2, "n", 1, "3")]), "row 2, column 'n'"),
    ],
)
def test_a_place_is_called_what_it_is(error, words):
    assert words in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


class Inner(pydantic.BaseModel):
    needed: int

    @pydantic.model_validator(mode="after")
    def _odd(self):
        if self.needed % 2 == 0:
            raise ValueError("an odd number with {braces}")
        return self


class Everything(pydantic.BaseModel):
    """A field for each kind of value that our inputs have."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=2, max_length=3, pattern="^a")] = "aa"
    whole: Annotated[int, Field(ge=2, le=3)] = 2
    number: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5
    switch: bool = False
    pair: tuple[int, int] = (1, 2)
    some: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    choice: Literal["a", "b"] = "a"
    keys: dict[str, str] = {}
    inner: Inner | None = None


WORDS = {
    "text": [(7, "a text"), ("a", "a text of at least 2 characters"), ("aaaa", "a text of at most 3 characters"),
             ("bb", "a text of the form ^a")],
    "whole": [("x", "a whole number"), (2.5, "a whole number"), ([], "a whole number"), ("9" * 5000, "a whole number"),
              (1, "at least 2"), (4, "at most 3")],
    "number": [("x", "a number"), ({}, "a number"), (0, "more than 0"), (1, "less than 1"),
               (float("nan"), "a finite number")],
    "switch": [(7, "true or false"), ("perhaps", "true or false"), ([], "true or false")],
    "pair": [(7, "a list"), ((1,), "this key and its value"), ((1, 2, 3), "at most 2 of them")],
    "some": [("x", "a list"), ([], "at least 1 of them"), ([1, 2, 3], "at most 2 of them")],
    "choice": [("c", "'a' or 'b'"), ([], "'a' or 'b'")],
    "keys": [("x", "keys and their values"), ({1: "x"}, "a text")],
    "inner": [("x", "keys and their values"), ({}, "this key and its value"),
              ({"needed": 2}, "an odd number with {braces}")],
    "unknown": [(1, "no such key")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "words"), [(n, *case) for n, cases in WORDS.items() for case in cases]
)
def test_what_pydantic_expected_is_said_in_our_words(name, value, words):
    with pytest.raises(pydantic.ValidationError) as caught:
        Everything.model_validate({name: value})
    assert expectation(caught.value.errors()[0]) == words


def test_json_that_cannot_be_read():
    with pytest.raises(pydantic.ValidationError) as caught:
        Everything.model_validate_json("{")
    assert expectation(caught.value.errors()[0]).startswith("JSON (EOF")
