"""A formula names columns; it is no program, and nothing from outside becomes one."""

import ast
from pathlib import Path

import pandas as pd
import pytest

from twostage.pages.moderators.formula import ModeratorError, moderators
from twostage.pages.moderators.grammar import refused

ROOT = Path(__file__).resolve().parents[3]
TABLE = pd.DataFrame(
    {"year": [2001, 2005, 2010, 2012], "setting": ["a", "b", "a", "b"], "mean age": [30, 31, 35, 33]}
)

PROGRAMS = [
    "~ year.values.tofile('x')",
    "~ C(year.values.tofile('x'))",
    "~ log(year.values.tofile('x'))",
    "~ {year.values.tofile('x')}",
    "~ year + {__import__('os').system('touch x')}",
    "~ C(setting, year.values.tofile('x'))",
    "~ C(setting, contr.treatment(year.values.tofile('x')))",
    "~ C(setting, levels=year.values.tofile('x'))",
    "~ I(year.values.tofile('x'))",
    "~ I(year ** year.values.tofile('x'))",
    "~ I(year ** 99999999)",
    "~ `year`.values.tofile('x')",
    "~ log(`year`.values.tofile('x'))",
    "~ np.log(year)",
    "~ poly(year, 2)",
    "~ year.values",
    "~ year + " * 200,
    "~ [x for x in year]",
    "~ year / setting",
    "~ 'text'",
]


@pytest.mark.parametrize("formula", PROGRAMS)
def test_what_is_not_in_the_grammar_is_refused_before_it_is_evaluated(formula, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModeratorError, match=r"names of columns|at most|can be read"):
        moderators(TABLE, formula)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("~ year", 1),
        ("~ year + setting", 2),
        ("~ year * setting", 3),
        ("~ year + year:setting", 2),
        ("~ 0 + setting", 2),
        ("~ year - 1", 1),
        ("~ (year + setting)**2", 3),
        ("~ C(setting)", 1),
        ('~ C(setting, contr.treatment("b"))', 1),
        ("~ log(year) + I(year**2)", 2),
        ("~ center(year)", 1),
        ("~ `mean age`", 1),
        ("~ log(`mean age`)", 1),
    ],
)
def test_the_grammar_is_accepted(formula, columns):
    assert refused(formula) is None
    assert moderators(TABLE, formula).X.shape == (4, columns)


def test_only_names_of_our_own_reach_a_formula():
    """moderators() is called twice: with a formula written there, and with the one that a program gives to metareg()."""
    calls = []
    for path in [
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "notebooks").glob("*.ipynb"),
        *(ROOT / "book").glob("*"),
    ]:
        if path.is_file() and path.suffix in {".ipynb", ".md", ".j2", ".yml"}:
            assert "import moderators" not in path.read_text(encoding="utf-8"), path
        elif path.suffix == ".py" and "moderators.formula import" in path.read_text(encoding="utf-8"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = [
                n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            ]
            calls += [path.relative_to(ROOT).as_posix()] * names.count("moderators")
    assert sorted(calls) == ["src/twostage/frames.py", "src/twostage/pages/moderators/analysis.py"]


def test_the_one_call_names_the_package_s_moderators(monkeypatch):
    """The analysis makes its formula of the names in study_moderators(), which are constants."""
    tree = ast.parse((ROOT / "src/twostage/pages/moderators/studies.py").read_text(encoding="utf-8"))
    made = [
        n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "StudyModerator"
    ]
    assert made
    assert all(isinstance(call.args[0], ast.Constant) and call.args[0].value.isidentifier() for call in made)
