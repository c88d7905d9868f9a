"""Reading the references that metareg.R wrote, and fitting their data sets."""

import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np

from twostage.stats.pool.metareg import metareg

FOLDER = Path(__file__).parent


def read(name):
    raw = (FOLDER / name).read_bytes()
    return json.loads(gzip.decompress(raw) if name.endswith("gz") else raw)


DATA = {d["name"]: d for d in read("metareg_data.json")}


def arguments(data):
    """y, v, X and the intercept's presence, as `metareg` takes them."""
    X = np.array(data["X"], dtype=float).reshape(len(data["y"]), -1)
    return (np.array(data["y"]), np.array(data["v"]), X), {"intercept": data["intercept"]}


@cache
def ours(name, method, ci):
    positional, keywords = arguments(DATA[name])
    return metareg(*positional, method=method, ci=ci, names=DATA[name]["names"], **keywords)
