"""Reading the reference tables of this folder: values as numbers where they are numbers."""

import csv
import gzip
from collections import defaultdict
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


def read_rows(name):
    """Rows of a table (plain or gzipped) as dicts; NA is NaN, TRUE and FALSE are bools."""
    with (gzip.open if name.endswith(".gz") else open)(FOLDER / name, "rt", newline="") as file:
        return [{column: value(text) for column, text in row.items()} for row in csv.DictReader(file)]


def value(text):
    if text in ("TRUE", "FALSE"):
        return text == "TRUE"
    try:
        return float(text.replace("NA", "nan"))
    except ValueError:
        return text


def grouped(name, *keys):
    """Tables by the values of some columns: {key: {column: array}}."""
    groups = defaultdict(list)
    for row in read_rows(name):
        groups[tuple(row[k] for k in keys)].append(row)
    return {key: {c: np.array([r[c] for r in rows]) for c in rows[0]} for key, rows in groups.items()}


def data_sets():
    """Estimates and variances of every data set: {name: (y, v)}."""
    return {name: (d["y"], d["v"]) for (name,), d in grouped("pool_data.csv", "dataset").items()}
