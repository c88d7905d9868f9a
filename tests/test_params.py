"""Parameters: each wrong one is an error that names it, what was found and what was expected."""

import numpy as np
import pydantic
import pytest

from twostage.notebooks import (
    HOME,
    NOTEBOOKS,
    RECORD_HOME,
    STAGE1,
    STAGE2,
    TUTORIALS,
    Notebook,
    check_parameters,
    parameter_cell,
    parameter_table,
)
from twostage.params import PLACES, Parameters, allowed_values, make_parameters
from twostage.problems import ParameterError

NAMES = list(Parameters.model_fields)


def problems_of(values) -> list:
    with pytest.raises(ParameterError) as caught:
        make_parameters(values, "here.yml")
    assert all(p.file == "here.yml" for p in caught.value.problems)
    return list(caught.value.problems)


def test_defaults_are_those_of_the_article():
    p = make_parameters({})
    assert (p.first_session, p.last_session, p.lag, p.min_sessions) == (1, 7, 1, 3)
    assert (p.standardize, p.detrend, p.random_slopes, p.early_last_session) == ("total", "none", False, 3)
    assert (p.tau2_method, p.ci_method, p.level) == ("REML", "hartung-knapp", 0.95)


def test_values_given_replace_defaults():
    p = make_parameters({"last_session": 5, "detrend": "session", "level": 0.9})
    assert (p.last_session, p.detrend, p.level, p.lag) == (5, "session", 0.9, 1)


def test_parameters_cannot_be_changed():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        make_parameters({}).lag = 2


UNKNOWN = {
    "last_sesion": "did you mean 'last_session'?",
    "standardise": "did you mean 'standardize'?",
    "min_session": "did you mean 'min_sessions'?",
    "Lag": "did you mean 'lag'?",
    "tau2_methods": "did you mean 'tau2_method'?",
    "zzz": "one of first_session, last_session, lag",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_name_is_an_error_that_names_the_nearest(name):
    (problem,) = problems_of({name: 3})
    assert (problem.column, problem.value) == (name, 3)
    assert UNKNOWN[name] in problem.expected


WRONG = [
    ("last_session", "7", "whole number, 0 to 1000"),
    ("last_session", 5.0, "whole number, 0 to 1000"),
    ("last_session", 5.5, "whole number"),
    ("last_session", True, "whole number"),
    ("last_session", None, "whole number"),
    ("last_session", [7], "whole number"),
    ("last_session", 1001, "0 to 1000"),
    ("first_session", -1, "0 to 1000"),
    ("lag", 0, "whole number, 1 to 100"),
    ("lag", -1, "1 to 100"),
    ("min_sessions", 1, "whole number, 2 to 1000"),
    ("standardize", "Total", "total | within | none"),
    ("standardize", None, "total | within | none"),
    ("standardize", True, "total | within | none"),
    ("standardize", ["total"], "total | within | none"),
    ("detrend", "linear", "none | session | patient"),
    ("random_slopes", "false", "True | False"),
    ("random_slopes", 0, "True | False"),
    ("random_slopes", "yes", "True | False"),
    ("stage1_errors", "cr2", "patients | model | robust"),
    ("early_last_session", "3", "whole number"),
    ("tau2_method", "reml", "REML | DL"),
    ("ci_method", "knha", "hartung-knapp | hartung-knapp-adhoc | wald"),
    ("level", 95, "number, 0.5 to 0.999"),
    ("level", 0.2, "number, 0.5 to 0.999"),
    ("level", "0.95", "number, 0.5 to 0.999"),
    ("level", float("nan"), "number, 0.5 to 0.999"),
    ("level", float("inf"), "number, 0.5 to 0.999"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_a_wrong_value_is_an_error_that_names_it(name, value, expected):
    (problem,) = problems_of({name: value})
    assert problem.column == name
    assert problem.value is value or problem.value == value
    assert expected in problem.expected
    assert name in str(problem)


def test_every_parameter_has_a_wrong_value_above():
    assert {name for name, _, _ in WRONG} == set(NAMES)


@pytest.mark.parametrize(
    ("values", "name", "found", "least"),
    [
        ({"first_session": 5, "last_session": 4}, "last_session", 4, "first_session + lag = 6"),
        ({"first_session": 3, "last_session": 3}, "last_session", 3, "first_session + lag = 4"),
        ({"last_session": 4, "lag": 4}, "last_session", 4, "first_session + lag = 5"),
    ],
)
def test_sessions_that_contradict_each_other(values, name, found, least):
    (problem,) = problems_of(values)
    assert (problem.column, problem.value) == (name, found)
    assert least in problem.expected


def test_early_x_must_lie_in_the_window_only_where_it_is_used():
    later = {"first_session": 4}
    assert make_parameters(later).early_last_session == 3
    assert check_parameters(later, "stage1_lagged").first_session == 4
    with pytest.raises(ParameterError) as raised:
        check_parameters(later, "stage1_outcome")
    (problem,) = raised.value.problems
    assert (problem.column, problem.value) == ("early_last_session", 3)
    assert "first_session = 4" in problem.expected


def test_the_shortest_window_is_possible():
    p = make_parameters({"first_session": 2, "last_session": 5, "lag": 3, "early_last_session": 2})
    assert p.last_session - p.first_session == p.lag


def test_all_problems_are_named_at_once():
    found = problems_of({"lag": 0, "detrnd": "none", "level": 2.0})
    assert {p.column for p in found} == {"lag", "detrnd", "level"}


# --- what a notebook was given


def given(notebook: str, **changes) -> dict:
    """A notebook's namespace after its parameter cell, with what Python and IPython put there."""
    namespace: dict = {}
    exec(parameter_cell(notebook), namespace)
    extras = {"In": ["x"], "Out": {}, "_": 1, "np": np, "read_collection": print, "_i1": "text"}
    return namespace | extras | changes


def test_a_notebook_s_own_cell_is_accepted():
    made = {notebook: check_parameters(given(notebook), notebook) for notebook in NOTEBOOKS}
    assert made == dict.fromkeys(NOTEBOOKS, make_parameters({}))


@pytest.mark.parametrize("notebook", [n.name for n in (*STAGE1, *STAGE2)])
def test_each_value_of_a_notebook_counts(notebook):
    other = {
        "last_session": 5,
        "level": 0.9,
        "random_slopes": True,
        "tau2_method": "DL",
        "early_last_session": 2,
    }
    taken = {name: value for name, value in other.items() if name in NOTEBOOKS[notebook].takes}
    # These show stored results, whatever the parameters of a run.
    assert taken or notebook in {"stage2_recovery", "stage2_multiverse"}
    made = check_parameters(given(notebook, **taken), notebook)
    assert {name: getattr(made, name) for name in taken} == taken


@pytest.mark.parametrize(
    ("notebook", "changes", "column", "expected"),
    [
        ("stage1_lagged", {"last_sesion": 5}, "last_sesion", "did you mean 'last_session'?"),
        ("stage1_lagged", {"studdy": "S03"}, "studdy", "did you mean 'study'?"),
        ("stage1_lagged", {"tau2_method": "DL"}, "tau2_method", "a parameter of this notebook"),
        ("stage2_lagged", {"last_session": 5}, "last_session", "a parameter of this notebook"),
        ("stage1_data", {"random_slopes": True}, "random_slopes", "a parameter of this notebook"),
        ("stage1_lagged", {"options": {"a": 1}}, "options", "a parameter of this notebook"),
        ("stage1_lagged", {"nothing": None}, "nothing", "a parameter of this notebook"),
        ("stage1_lagged", {"study": 3}, "study", "a text: a study id of the collection"),
        ("stage1_lagged", {"collection": None}, "collection", "a text: path"),
        ("stage1_lagged", {"last_session": "5"}, "last_session", "whole number"),
        ("stage1_lagged", {"last_session": 1}, "last_session", "first_session + lag = 2"),
        ("stage2_lagged", {"level": 95}, "level", "0.5 to 0.999"),
    ],
)
def test_what_a_notebook_does_not_take_is_an_error(notebook, changes, column, expected):
    with pytest.raises(ParameterError) as caught:
        check_parameters(given(notebook, **changes), notebook)
    (problem,) = caught.value.problems
    assert (problem.file, problem.column) == (notebook, column)
    assert expected in problem.expected


def test_a_notebook_names_all_its_problems_at_once():
    with pytest.raises(ParameterError) as caught:
        check_parameters(given("stage1_lagged", lag=0, studdy="S03", study=3), "stage1_lagged")
    assert {p.column for p in caught.value.problems} == {"lag", "studdy", "study"}


# --- the table and the cells made of it


def test_the_table_holds_every_parameter_once():
    table = parameter_table()
    assert table["parameter"].tolist() == [*PLACES, *NAMES]
    assert (table["meaning"].str.len() > 5).all()
    assert (table["allowed"].str.len() > 3).all()
    for name, default in zip(table["parameter"], table["default"], strict=True):
        if name in PLACES:
            assert default == PLACES[name][0]
        else:
            assert default == Parameters.model_fields[name].default
            assert type(default) is type(Parameters.model_fields[name].default)


def test_the_table_names_the_notebooks_that_take_a_parameter():
    takers = parameter_table().set_index("parameter")["notebooks"].str.split(", ")
    for name, notebooks in takers.items():
        assert notebooks == [n for n, about in NOTEBOOKS.items() if name in about.takes], name
        assert notebooks != [""], f"{name} is taken by no notebook"


def test_units_are_given_where_there_are_any():
    units = parameter_table().set_index("parameter")["unit"]
    counted = ["first_session", "last_session", "lag", "min_sessions", "early_last_session", "level"]
    assert (units[counted].str.len() > 0).all()
    assert (units.drop(counted) == "").all()


@pytest.mark.parametrize("name", NAMES)
def test_allowed_values_are_allowed_and_their_ends_are(name):
    text = allowed_values(name)
    if "|" in text:
        values = [{"True": True, "False": False}.get(v, v) for v in text.split(" | ")]
        assert len(values) > 1
    else:
        kind, ends = text.split(", ")
        values = [(float if kind == "number" else int)(end) for end in ends.split(" to ")]
    # The window must hold a lag: give it room on the other side.
    room = {
        "first_session": {"last_session": 1000, "early_last_session": 1000},
        "last_session": {"first_session": 0},
    }
    room |= {"lag": {"last_session": 1000}, "early_last_session": {"first_session": 0}}
    refused = {("first_session", 1000), ("last_session", 0)}
    for value in values:
        if (name, value) not in refused:
            made = make_parameters({name: value} | room.get(name, {}))
            assert getattr(made, name) == value


def test_every_line_of_a_cell_says_what_it_is():
    for notebook in NOTEBOOKS:
        lines = parameter_cell(notebook).split("\n")
        assert [line.split(" = ")[0] for line in lines] == list(NOTEBOOKS[notebook].takes)
        for name, line in zip(NOTEBOOKS[notebook].takes, lines, strict=True):
            _, comment = line.split("  # ")
            assert comment.endswith(f"; {allowed_values(name)}"), (notebook, name)


def test_stages_hand_on_what_is_pooled():
    """Every record that a stage-2 notebook reads is left by a stage-1 notebook."""
    assert {record for notebook in STAGE2 for record in notebook.reads} <= set(RECORD_HOME)
    assert {*STAGE1, *STAGE2, *TUTORIALS} == set(NOTEBOOKS.values())


def test_a_record_or_a_table_has_one_home():
    for stage, home in ((STAGE1, RECORD_HOME), (STAGE2, HOME)):
        assert len(home) == sum(len(notebook.leaves) for notebook in stage)


@pytest.mark.parametrize(
    "wrong",
    [{"takes": ("lagg",)}, {"uses": ("weather",)}, {"needs": "luck"}, {"name": "stage3_other"}],
)
def test_the_table_of_notebooks_refuses_what_nobody_knows(wrong):
    with pytest.raises(ValueError, match=r"lagg|weather|luck|stage3_other"):
        Notebook(**({"name": "stage2_other", "takes": ("level",)} | wrong))


def test_every_record_can_be_shared():
    from twostage.records.analyse import FUNCTIONS

    assert set(FUNCTIONS) == set(RECORD_HOME)
