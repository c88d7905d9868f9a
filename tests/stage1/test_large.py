"""A study read in pieces gives what the same study gives in memory."""

import shutil
from functools import cache

import numpy as np
import pandas as pd
import pytest
import yaml

from twostage.collection import large_study, read_collection
from twostage.params import make_parameters
from twostage.records import FUNCTIONS, analyse
from twostage.simulation import simulate_collection, write_collection
from twostage.stage1 import GROUPS, transitions

duckdb = pytest.importorskip("duckdb")

#: In standard errors. Sums of some thousand terms of size 1 in another order differ by 1e-13 of them.
SAME = 1e-10
#: The same of covariance-structure models: they take a last step from 1e-5 standard errors, which leaves about its
#: square, and in memory one of them comes to the same maximum by another way (one-step prediction).
SAME_MAXIMUM = 1e-8
#: Relative, of a standard error. Covariance-structure models (by missingness pattern in both: there are gaps) differ by
#: at most 2e-14. What is not converged has no such number: where patients' own lines are removed the scores of a complete
#: patient are linearly dependent, the dynamic panel model has no maximum, its information has an eigenvalue of 1e-12 of
#: the others, and the same rows in another order change its inverse by 2e-4 in memory too.
SAME_ERROR = 1e-10


def as_parquet(folder, where, shuffle: bool = False):
    """A copy of a collection whose files are Parquet, to be read in pieces."""
    shutil.copytree(folder, where)
    for file in [*where.glob("sessions/*.csv"), *where.glob("patients/*.csv")]:
        table = pd.read_csv(file, dtype={"patient": str, "therapist": str}).rename_axis(None)
        table = table.sort_values("patient", kind="stable")
        table = table.sample(frac=1, random_state=1) if shuffle else table
        write_parquet(table, file.with_suffix(".parquet"))
        file.unlink()
    settings = yaml.safe_load((where / "collection.yml").read_text())
    settings["sessions"] = settings.get("sessions", {}) | {
        "file": "sessions/{study}.parquet",
        "in_pieces": True,
    }
    settings["patients"]["file"] = "patients/{study}.parquet"
    (where / "collection.yml").write_text(yaml.safe_dump(settings))
    return where


def write_parquet(table, path, rows_of_a_group: int = 2048):
    """A Parquet file by the engine that reads it."""
    connection = duckdb.connect()
    connection.register("given", table)
    connection.execute(f"COPY given TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {rows_of_a_group})")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    return write_collection(simulate_collection(5, n_studies=2, n_patients=2000), folder / "memory")


@pytest.fixture(scope="module")
def records_in_memory(written):
    """What is analysed in memory, once for each choice of parameters, whatever the order of the pieces."""
    collection = read_collection(written)
    return cache(lambda parameters: analyse(collection, parameters, list(FUNCTIONS)).records)


@pytest.fixture(scope="module", params=[False, True], ids=["in order", "shuffled"])
def both(request, written, tmp_path_factory):
    """The same two studies in memory and in pieces of some hundred patients."""
    where = as_parquet(written, tmp_path_factory.mktemp("pieces") / "pieces", request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_study, "PIECE_ROWS", 2000)
        collections = read_collection(written), read_collection(where)
        study = collections[1].study("S02")
        assert study.n_pieces > 1
        assert ("hash" in study.pieces.rules[0][0]) == request.param
        yield collections


CHOICES = [
    {},
    {"standardize": "within", "detrend": "session", "last_session": 5},
    {"detrend": "patient", "random_slopes": True, "min_sessions": 4},
    {"lag": 2, "standardize": "none", "first_session": 2},
]


@pytest.mark.parametrize("choice", CHOICES, ids=["defaults", "session trend", "slopes", "lag 2"])
def test_records_are_those_of_memory(both, records_in_memory, choice):
    parameters = make_parameters(choice)
    memory = records_in_memory(parameters)
    pieces = analyse(both[1], parameters, list(FUNCTIONS)).records
    for analysis in FUNCTIONS:
        for ours, theirs in zip(memory[analysis], pieces[analysis], strict=True):
            same_record(ours, theirs)


def same_record(memory, pieces):
    """The same in everything but rounding, the checksum, and what only memory can do."""
    assert memory.exclusions == pieces.exclusions
    known = {(e.variant, e.direction, e.term): e for e in pieces.estimates}
    only_memory = {"jackknife", "riclpm_error", GROUPS, *transitions(memory.parameters)}
    for e in memory.estimates:
        if e.variant in only_memory:
            continue
        other = known.pop((e.variant, e.direction, e.term))
        model = e.estimator in ("riclpm", "dpm")
        if e.converged:
            assert abs(e.estimate - other.estimate) < (SAME_MAXIMUM if model else SAME) * e.std_error, (
                e,
                other,
            )
            assert other.std_error == pytest.approx(e.std_error, rel=SAME_ERROR)
        assert (e.n_patients, e.n_transitions, e.converged) == (
            other.n_patients,
            other.n_transitions,
            other.converged,
        )
        assert e.singular == other.singular
        if e.df is not None:
            assert other.df == pytest.approx(e.df, rel=1e-8)
    assert not known
    reasons = {(f.variant, f.direction): f.reason for f in pieces.failures if f.variant not in only_memory}
    assert reasons == {
        (f.variant, f.direction): f.reason for f in memory.failures if f.variant not in only_memory
    }
    both = [c for c in memory.covariances if c.variant not in only_memory]
    for ours, theirs in zip(both, pieces.covariances, strict=True):
        close(ours.matrix, theirs.matrix)
    for ours, theirs in zip(memory.joint_covariances, pieces.joint_covariances, strict=True):
        assert (ours.directions, ours.terms, ours.n_patients, ours.n_both) == (
            theirs.directions, theirs.terms, theirs.n_patients, theirs.n_both)  # fmt: skip
        close(ours.matrix, theirs.matrix)
    assert [a.direction for a in memory.aggregates] == [a.direction for a in pieces.aggregates]
    for ours, theirs in zip(memory.aggregates, pieces.aggregates, strict=True):
        np.testing.assert_allclose(ours.within, theirs.within, rtol=1e-9, atol=1e-9)
        for one, other in zip(ours.cells, theirs.cells, strict=True):
            assert (one.transitions, one.patients) == (other.transitions, other.patients)
            np.testing.assert_allclose(one.mean, other.mean, atol=1e-10)
            np.testing.assert_allclose(one.scatter, other.scatter, atol=1e-9)
    assert pieces.summary == pytest.approx(memory.summary, rel=1e-10, nan_ok=True)
    for ours, theirs in zip(memory.sessions, pieces.sessions, strict=True):
        assert theirs == pytest.approx(ours, rel=1e-10)


def close(a, b):
    """Covariance matrices that are equal to rounding of their standard errors."""
    a, b = (np.array(m, dtype=float) for m in (a, b))
    scale = np.sqrt(np.outer(np.diagonal(a), np.diagonal(a)))
    assert np.nanmax(np.abs(a - b) / scale) < SAME
