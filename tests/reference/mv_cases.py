"""The data sets and models of mv.R and robust.R, as arrays and as fits of `pool_mv`."""

import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np

from twostage.stats.multilevel.model import pool_mv
from twostage.stats.multilevel.terms import inner_outer, nested

HERE = Path(__file__).parent


@cache
def read(name):
    """One of the reference files."""
    path = HERE / name
    return json.loads(
        path.read_text() if path.exists() else gzip.decompress((HERE / f"{name}.gz").read_bytes())
    )


def arrays(name):
    """y, V, factors and columns of a data set."""
    data = read("mv_data.json")[name]
    V = data["V"]
    if isinstance(V[0], list):
        V = [np.array(block, dtype=float) for block in V]
    columns = {c: np.array(x, dtype=float) for c, x in dict(data["columns"]).items()}  # R writes none as []
    return np.array(data["y"]), V, data["factors"], columns | {"1": np.ones(len(data["y"]))}


def model_matrix(case):
    """The columns of a model, None for an intercept alone."""
    wanted = case["columns"]
    return np.column_stack([arrays(case["data"])[3][c] for c in wanted]) if wanted else None


def random_terms(case):
    """What goes into `random`."""
    factors = arrays(case["data"])[2]
    terms = [nested(**{f: factors[f] for f in case["nested"]})] if case.get("nested") else []
    if case.get("inner"):
        terms.append(inner_outer(factors[case["inner"]], factors[case["outer"]]))
    return terms


def key(case):
    """A name for a model."""
    words = [case["data"], case.get("struct") or "nested", case["method"], "+".join(case["columns"] or [])]
    return " ".join(w for w in words if w)


@cache
def fit(name, **options):
    """The fit of the model with this name."""
    case = next(c for c in read("mv_fits.json") if key(c) == name)
    y, V, _, _ = arrays(case["data"])
    arguments = {"random": random_terms(case), "struct": case.get("struct"), "method": case["method"]}
    return pool_mv(y, V, model_matrix(case), **arguments, **options)
