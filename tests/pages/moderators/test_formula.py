"""Formulas of moderators: columns, factors, new rows, and what is refused by name."""

import numpy as np
import pandas as pd
import pytest

from twostage.pages.moderators.formula import ModeratorError, moderators
from twostage.stats.pool.metareg import metareg

STUDIES = pd.DataFrame(
    {
        "year": [1990.0, 1995.0, 2001.0, 2004.0, 2010.0, 2012.0, 2015.0, 2020.0],
        "setting": ["clinic", "school", "clinic", "home", "school", "home", "clinic", "school"],
        "rct": [True, False, True, True, False, False, True, False],
        "n": [20, 35, 50, 80, 41, 66, 120, 90],
    },
    index=[f"S{i}" for i in range(1, 9)],
)
Y = np.array([0.1, 0.5, 0.2, 0.7, 0.6, 0.4, 0.3, 0.9])
V = np.linspace(0.02, 0.09, 8)


def test_numeric_and_categorical_columns():
    found = moderators(STUDIES, "~ year + setting")
    assert found.names == ("year", "setting[T.home]", "setting[T.school]") and found.intercept
    home = (STUDIES["setting"] == "home").astype(float)
    school = (STUDIES["setting"] == "school").astype(float)
    np.testing.assert_array_equal(found.X, np.column_stack([STUDIES["year"], home, school]))
    assert found.factors == {
        "1": ("Intercept",),
        "year": ("year",),
        "setting": ("setting[T.home]", "setting[T.school]"),
    }


@pytest.mark.parametrize(
    "formula, names, intercept",
    [
        ("year", ("year",), True),
        ("~ 1", (), True),
        ("~ 0 + setting", ("setting[clinic]", "setting[home]", "setting[school]"), False),
        ("~ rct", ("rct",), True),
        ("~ log(n)", ("log(n)",), True),
        ("~ center(year) + I(n**2)", ("center(year)", "I(n ** 2)"), True),
        (
            "~ C(setting, contr.treatment('school'))",
            (
                "C(setting, contr.treatment('school'))[T.clinic]",
                "C(setting, contr.treatment('school'))[T.home]",
            ),
            True,
        ),
    ],
)
def test_formulas(formula, names, intercept):
    found = moderators(STUDIES, formula)
    assert [n.replace(" ", "") for n in found.names] == [n.replace(" ", "") for n in names]
    assert found.intercept == intercept and found.X.shape == (8, len(names))


def test_interactions_are_products():
    found = moderators(STUDIES, "~ year * rct")
    assert found.names == ("year", "rct", "year:rct")
    np.testing.assert_array_equal(found.X[:, 2], found.X[:, 0] * found.X[:, 1])


def test_fit_is_metareg_on_these_columns():
    found = moderators(STUDIES, "~ year + setting")
    fit = found.fit(Y, V, ci="wald", labels=list(STUDIES.index))
    same = metareg(Y, V, found.X, names=found.names, ci="wald")
    np.testing.assert_array_equal(fit.coef, same.coef)
    assert fit.test(found.factors["setting"]).df1 == 2
    cells = moderators(STUDIES, "~ 0 + setting").fit(Y, V)
    assert cells.names == ("setting[clinic]", "setting[home]", "setting[school]")


def test_prediction_for_new_rows_keeps_the_coding():
    found = moderators(STUDIES, "~ center(year) + setting")
    fit = found.fit(Y, V)
    new = pd.DataFrame({"year": [2000.0, 2000.0], "setting": ["school", "clinic"]})
    design = found.design(new)
    np.testing.assert_allclose(
        design[:, 0], 2000.0 - STUDIES["year"].mean()
    )  # the studies' mean, not the new rows'
    np.testing.assert_array_equal(design[:, 1:], [[0, 1], [0, 0]])
    at = found.predict(fit, new, level=0.9)
    assert at.estimate[0] - at.estimate[1] == pytest.approx(fit.coef[fit.names.index("setting[T.school]")])
    assert at.level == 0.9
    np.testing.assert_allclose(found.predict(fit, STUDIES).estimate, fit.fitted)


@pytest.mark.parametrize(
    "formula, message",
    [
        ("~ year +", "a formula that can be read"),
        ("y ~ year", "no left-hand side"),
        ("~ yaer", "column 'yaer'.*one of year, setting, rct, n"),
        ("~ year + Setting + N", "2 problems"),
        ("~ log(setting)", "a formula that can be read"),
    ],
)
def test_formulas_that_cannot_be_used(formula, message):
    with pytest.raises(ModeratorError, match="(?s)" + message) as error:
        moderators(STUDIES, formula)
    assert all(p.expected for p in error.value.problems)


def test_every_missing_value_is_named():
    table = STUDIES.copy()
    table.loc["S2", "year"] = np.nan
    table.loc[["S3", "S5"], "setting"] = None
    with pytest.raises(ModeratorError) as error:
        moderators(table, "~ year + setting")
    named = {(p.column, p.expected) for p in error.value.problems}
    assert named == {
        ("year", "a value for study 'S2'"),
        ("setting", "a value for study 'S3'"),
        ("setting", "a value for study 'S5'"),
    }


def test_new_rows_that_cannot_be_used():
    found = moderators(STUDIES, "~ year + setting")
    with pytest.raises(ModeratorError, match="'ward'.*one of clinic, school, home"):
        found.design(pd.DataFrame({"year": [2000.0], "setting": ["ward"]}))
    with pytest.raises(ModeratorError, match="column 'setting'"):
        found.design(pd.DataFrame({"year": [2000.0]}))
    with pytest.raises(ModeratorError, match="a value for study 0"):
        found.design(pd.DataFrame({"year": [np.nan], "setting": ["home"]}))


def test_constant_moderators_are_metaregs_to_name():
    with pytest.raises(ValueError, match="moderator same is constant"):
        moderators(STUDIES.assign(same=3.0), "~ year + same").fit(Y, V)
