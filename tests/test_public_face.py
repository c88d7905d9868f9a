"""``import twostage as ts``: a dozen names, each imported when it is first used, each with an example that runs."""

import doctest
import importlib
import inspect
import operator
import os
import subprocess
import sys
import typing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import twostage as ts
from twostage.frames import ColumnError
from twostage.pages.moderators.formula import ModeratorError
from twostage.pipeline.book.api import PAGES, write_api_pages
from twostage.problems import ParameterError
from twostage.stats.pool import metareg, pool

PROJECT = Path(__file__).resolve().parent.parent
FUNCTIONS = [name for name in ts.__all__ if name not in ("__version__", "plots")]

STUDIES = pd.DataFrame(
    {
        "yi": [0.21, 0.08, 0.30, 0.11, 0.25],
        "vi": [0.010, 0.014, 0.020, 0.012, 0.016],
        "year": [2004, 2009, 2002, 2015, 2006],
        "setting": ["clinic", "online", "clinic", "online", "clinic"],
    },
    index=["A", "B", "C", "D", "E"],
)


def test_import_is_light():
    code = (
        "import sys, twostage as ts; heavy = {'pandas', 'numpy', 'matplotlib', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy; assert dir(ts) == sorted(ts.__all__); ts.pool_many; "
        "assert 'matplotlib' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def test_names_are_those_that_are_promised():
    promised = "read_collection make_panel lagged estimators pool pool_many metareg fit_mixed fit_riclpm fit_dpm compare"
    assert set(FUNCTIONS) == set(promised.split())
    assert ts.plots.forest.__doc__
    assert ts.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'poool'"):
        ts.poool  # noqa: B018


def test_names_for_type_checkers_are_those_at_run_time():
    """What stands under TYPE_CHECKING is imported from where the lazy names come."""
    source = inspect.getsource(ts)
    checked = source[source.index("if TYPE_CHECKING:") : source.index("#: Where each")]
    for name, home in ts._HOMES.items():
        line = next(line for line in checked.splitlines() if line.strip().startswith(f"from {home} import"))
        assert name in line.partition(" import ")[2].split(", ")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_run(name, monkeypatch):
    monkeypatch.chdir(PROJECT)
    run_examples(getattr(ts, name).__doc__, name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_parameter_has_a_type(name):
    function = getattr(ts, name)
    hints = typing.get_type_hints(function)
    assert set(inspect.signature(function).parameters) | {"return"} <= set(hints), name


def test_examples_of_plots_and_of_the_readme_run(monkeypatch):
    monkeypatch.chdir(PROJECT)
    run_examples(ts.plots.__doc__, "plots")
    run_examples((PROJECT / "README.md").read_text(), "README.md")


def run_examples(text, name):
    """Run the examples of a text; fails with what came instead, or if there is none."""
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    assert test.examples, f"{name} has no example"
    found = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=found.append)
    assert not found, "".join(found)


def test_a_data_frames_columns_give_what_arrays_give():
    expected = pool(STUDIES["yi"], STUDIES["vi"], method="DL", ci="wald", level=0.9, prediction="normal")
    how = {"method": "DL", "ci": "wald", "level": 0.9, "prediction": "normal"}
    arrays = (
        ts.pool(list(STUDIES["yi"]), list(STUDIES["vi"]), **how),
        ts.pool(y=STUDIES["yi"], v=STUDIES["vi"], **how),
    )
    for fit in (ts.pool(STUDIES, y="yi", v="vi", **how), *arrays):
        pd.testing.assert_frame_equal(fit.glance(), expected.glance())
        pd.testing.assert_frame_equal(fit.tidy(), expected.tidy())


def test_meta_regression_of_columns_and_of_a_formula():
    y, v = STUDIES["yi"], STUDIES["vi"]
    how = {"method": "PM", "ci": "wald", "level": 0.9}
    expected = metareg(y, v, STUDIES[["year"]], **how).tidy()
    for fit in (
        ts.metareg(STUDIES, y="yi", v="vi", X=["year"], **how),
        ts.metareg(STUDIES, y="yi", v="vi", X="~ year", **how),
        ts.metareg(y, v, STUDIES["year"], names=["year"], **how),
    ):
        pd.testing.assert_frame_equal(fit.tidy(), expected)
    dummy = (STUDIES["setting"] == "online").to_numpy(float)
    no_intercept = metareg(y, v, np.column_stack([1 - dummy, dummy]), intercept=False)
    of_formula = ts.metareg(STUDIES, y="yi", v="vi", X="~ 0 + setting")
    np.testing.assert_allclose(of_formula.coef, no_intercept.coef, rtol=1e-12)
    assert ts.metareg(STUDIES, y="yi", v="vi").k == 5


def test_messages_name_the_studies():
    bad = STUDIES.assign(vi=[0.01, -0.01, 0.02, np.nan, 0.01], who=list("pqrst"))
    with pytest.raises(ValueError, match=r"\(B\).*\n?.*\(D\)"):
        ts.pool(bad, y="yi", v="vi")
    with pytest.raises(ValueError, match=r"\(q\)"):
        ts.pool(bad, y="yi", v="vi", labels="who")
    assert ts.pool(STUDIES.reset_index(), y="yi", v="vi").labels == ("0", "1", "2", "3", "4")
    assert ts.pool(STUDIES, y="yi", v="vi").labels == tuple("ABCDE")


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(ColumnError, match="(?s)found 'y'.*found 'w'; expected one of its columns: yi, vi"):
        ts.pool(STUDIES, y="y", v="w")
    with pytest.raises(ColumnError, match="found 'age'"):
        ts.metareg(STUDIES, y="yi", v="vi", X=["year", "age"])
    with pytest.raises(ModeratorError, match="age"):
        ts.metareg(STUDIES, y="yi", v="vi", X="~ age")
    with pytest.raises(TypeError, match="name the columns"):
        ts.pool(STUDIES, "vi")
    with pytest.raises(TypeError, match="expected pool"):
        ts.pool([0.1, 0.2])
    with pytest.raises(TypeError, match="expected metareg"):
        ts.metareg([0.1], [0.1], y=[0.1])
    with pytest.raises(TypeError, match="a formula names the moderators"):
        ts.metareg(STUDIES, y="yi", v="vi", X="~ year", intercept=False)


def test_a_notebook_shows_collections_and_panels_as_tables_of_text(three):
    named = three.studies.assign(label=["<b>A</b>", "B", "C"])
    shown = replace(three, studies=named)._repr_html_()
    assert "&lt;b&gt;A" in shown
    assert "<b>A" not in shown
    assert "patients in the panel" in ts.make_panel(three.study("S01"))._repr_html_()


def test_parameters_by_name(three):
    study = three.study("S01")
    panel = ts.make_panel(study, last_session=5, standardize="within")
    assert (panel.parameters.last_session, panel.parameters.standardize, panel.parameters.lag) == (
        5,
        "within",
        1,
    )
    again = ts.make_panel(study, panel.parameters, lag=2)
    assert (again.parameters.last_session, again.parameters.lag) == (5, 2)
    assert ts.make_panel(study).parameters.last_session == 7
    with pytest.raises(ParameterError, match="did you mean 'last_session'"):
        ts.make_panel(study, last_sesion=5)


def test_each_public_name_and_what_it_returns_is_on_one_page_of_the_book():
    documented = [name for page in PAGES for name in page.functions]
    assert sorted(documented) == sorted([*FUNCTIONS, *(f"plots.{name}" for name in ts.plots.__all__)])
    classes = {name.rpartition(".")[2] for page in PAGES for name in page.classes}
    returned = {typing.get_type_hints(getattr(ts, name))["return"].__name__ for name in FUNCTIONS}
    assert returned <= classes
    assert not [
        name
        for name in FUNCTIONS
        if not hasattr(typing.get_type_hints(getattr(ts, name))["return"], "_repr_html_")
    ]
    for page in PAGES:
        for name in (*page.functions, *page.classes):
            thing = operator.attrgetter(name)(import_all(name))
            assert inspect.getdoc(thing), name


def test_pages_ask_for_the_documentation_of_each_name(tmp_path):
    assert write_api_pages(tmp_path) == [f"api/{page.file}" for page in PAGES]
    text = (tmp_path / "api" / "statistics.md").read_text()
    assert ".. autofunction:: twostage.pool\n" in text
    assert ".. autoclass:: twostage.stats.pool.PooledFit\n   :members:\n" in text


def import_all(name):
    """The package, with the module imported that a name is in."""
    if name not in FUNCTIONS:
        importlib.import_module(f"twostage.{name.rpartition('.')[0]}")
    return ts
