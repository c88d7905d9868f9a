"""What fit_mixed refuses, and what it says."""

import numpy as np
import pandas as pd
import pytest

from twostage.stats.base.checks import NotEstimable
from twostage.stats.mixed.fit import fit_mixed

N_GROUPS, PER_GROUP = 8, 5
N = N_GROUPS * PER_GROUP


@pytest.fixture
def data():
    """A well-behaved data set: y, X with a constant, integer groups."""
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(N_GROUPS), PER_GROUP)
    X = np.column_stack([np.ones(N), rng.normal(size=N)])
    y = X @ [1.0, 0.5] + rng.normal(size=N_GROUPS)[group] + rng.normal(size=N)
    return {"y": y, "X": X, "groups": group}


def with_value(array, index, value):
    changed = np.array(array, dtype=float)
    changed[index] = value
    return changed


MISTAKES = {
    "y too short": (lambda d: d | {"y": d["y"][:-1]}, "y has 39 rows but X has 40"),
    "Z too short": (lambda d: d | {"Z": np.ones((N - 1, 1))}, "Z has 39 rows but X has 40"),
    "groups too short": (lambda d: d | {"groups": d["groups"][:-1]}, "expected 40, got 39"),
    "X a vector": (lambda d: d | {"X": d["y"]}, "X must have 2 dimensions"),
    "y a matrix": (lambda d: d | {"y": d["X"]}, "y must have 1 dimension"),
    "no columns": (lambda d: d | {"X": np.empty((N, 0))}, "X has no columns"),
    "no rows": (lambda d: {"y": [], "X": np.empty((0, 2)), "groups": []}, "X has no rows"),
    "text": (lambda d: d | {"y": ["a"] * N}, "y must hold real numbers; found texts"),
    "complex": (lambda d: d | {"y": d["y"] + 1j}, "y must hold real numbers"),
    "NaN in y": (lambda d: d | {"y": with_value(d["y"], 4, np.nan)}, "nan in row 4"),
    "inf in X": (lambda d: d | {"X": with_value(d["X"], (7, 1), np.inf)}, "inf in row 7, column x1"),
    "NaN in Z": (lambda d: d | {"Z": with_value(d["X"], (9, 1), np.nan)}, "nan in row 9, column 1"),
    "five random effects": (lambda d: d | {"Z": np.ones((N, 5))}, "5 columns; between 1 and 4"),
    "too few names": (lambda d: d | {"names": ["a"]}, "1 entries but X has 2 columns"),
    "names repeated": (lambda d: d | {"names": ["a", "a"]}, "names must differ"),
    "NaN group": (lambda d: d | {"groups": with_value(d["groups"], 6, np.nan)}, "missing label in row 6"),
    "None group": (lambda d: d | {"groups": [None, *d["groups"][1:]]}, "missing label in row 0"),
    "NA group": (lambda d: d | {"groups": pd.array(["a"] * (N - 1) + [None])}, "missing label in row 39"),
    "groups a table": (lambda d: d | {"groups": d["X"]}, "one-dimensional"),
    "groups of lists": (lambda d: d | {"groups": [[1]] * N}, "one hashable label per row"),
}

UNANSWERABLE = {
    "one group": (lambda d: d | {"groups": np.zeros(N)}, "at least two"),
    "one row per group": (lambda d: d | {"groups": np.arange(N)}, "every group has one observation"),
    "as many random effects as rows": (
        lambda d: d | {"groups": np.repeat(np.arange(N // 2), 2), "Z": d["X"]},
        "40 observations for 20 groups"),
    "fewer rows than parameters": (
        lambda d: {k: v[:3] for k, v in d.items()}, "3 observations are fewer than the 4 parameters"),
    "collinear": (
        lambda d: d | {"X": np.column_stack([d["X"], d["X"][:, 1] * 2 - 1]), "names": ["const", "a", "b"]},
        "b is a linear combination of a"),
    "two constants": (lambda d: d | {"X": np.column_stack([d["X"], np.full(N, 0.3)])}, "x2 of X is constant"),
    "collinear without a constant": (
        lambda d: d | {"X": np.column_stack([d["X"][:, 1], np.arange(N) % 7, d["X"][:, 1] + np.arange(N) % 7])},
        "x2 is a linear combination of x0, x1"),
    "Z repeats the constant": (lambda d: d | {"Z": np.ones((N, 2))}, "repeats the constant"),
    "Z zero": (lambda d: d | {"Z": np.column_stack([np.ones(N), np.zeros(N)])}, "column 1 is zero"),
    "Z collinear": (
        lambda d: d | {"Z": np.column_stack([d["X"], d["X"].sum(axis=1)])}, "columns of Z are collinear"),
    "y constant": (lambda d: d | {"y": np.full(N, 3.0)}, "no residual variance"),
    "y zero": (lambda d: d | {"y": np.zeros(N)}, "no residual variance"),
    "y explained": (lambda d: d | {"y": d["X"] @ [1.0, 2.0]}, "no residual variance"),
    "y constant within groups": (lambda d: d | {"y": d["groups"] ** 2.0}, "residual variance is zero"),
    "y explained within groups": (
        lambda d: d | {"y": d["groups"] ** 2 + d["X"][:, 1]}, "no residual variance is left"),
    "groups explained": (
        lambda d: d | {"X": np.equal.outer(d["groups"], np.arange(N_GROUPS)).astype(float)},
        "no variation between groups"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(data, name):
    change, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message) as caught:
        fit_mixed(**change(data))
    assert not isinstance(caught.value, NotEstimable)


@pytest.mark.parametrize("name", UNANSWERABLE)
def test_what_the_data_cannot_answer_is_named(data, name):
    change, message = UNANSWERABLE[name]
    with pytest.raises(NotEstimable, match=message):
        fit_mixed(**change(data))


LABELS = {
    "text": lambda g: [f"P{k}" for k in g],
    "tuples": lambda g: [("site", int(k)) for k in g],
    "mixed": lambda g: [int(k) if k % 2 else f"P{k}" for k in g],
    "floats": lambda g: g / 3.0,
    "categories": lambda g: pd.Categorical([f"P{k}" for k in g]),
    "strings": lambda g: pd.Series([f"P{k}" for k in g], dtype="string"),
    "dates": lambda g: np.datetime64("2020-01-01") + g,
}


@pytest.mark.parametrize("name", LABELS)
def test_any_hashable_label_names_the_same_groups(data, name):
    plain = fit_mixed(**data)
    fit = fit_mixed(**data | {"groups": LABELS[name](data["groups"])})
    assert fit.n_groups == N_GROUPS
    np.testing.assert_allclose(fit.coef, plain.coef, rtol=1e-12)


def test_names_come_from_the_columns(data):
    table = pd.DataFrame(data["X"], columns=["const", "slope"])
    assert fit_mixed(**data | {"X": table}).names == ("const", "slope")
    assert fit_mixed(**data | {"X": table, "names": ["a", "b"]}).names == ("a", "b")
    assert fit_mixed(**data).names == ("x0", "x1")


def test_one_random_column_may_be_a_vector(data):
    slope = data["X"][:, 1]
    np.testing.assert_array_equal(
        fit_mixed(**data, Z=slope).cov_re, fit_mixed(**data, Z=slope[:, None]).cov_re
    )


def test_input_is_left_as_it_was(data):
    copies = {name: value.copy() for name, value in data.items()}
    fit_mixed(**data, Z=data["X"])
    for name, value in data.items():
        np.testing.assert_array_equal(value, copies[name])
