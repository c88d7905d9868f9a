"""Reliabilities in the registry: read, checked, and handed to the model with measurement error."""

import numpy as np
import pytest

from twostage.collection.collection import read_collection, validate_collection
from twostage.stage1.estimator_batch import PLACES, estimate_batch
from twostage.stage1.panel import make_panel
from twostage.stats.riclpm import fit_starts


def with_columns(collection, header: str, *cells: str):
    path = collection / "studies.csv"
    first, *rows = path.read_text(encoding="utf-8").splitlines()
    lines = [f"{first},{header}", *(f"{row},{cell}" for row, cell in zip(rows, cells, strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


ALL = "x_reliability,y_reliability,reliability_kind"


def test_reliabilities_reach_the_panel(small):
    with_columns(small, ALL, "0.8,.85,within", "0.9,,total", ",,")
    collection = read_collection(small)
    panels = [make_panel(collection.study(study)) for study in collection.studies["study"]]
    assert [p.reliability for p in panels[:1]] == [(0.8, 0.85)]
    assert panels[1].reliability[0] == 0.9
    assert np.isnan([panels[1].reliability[1], *panels[2].reliability]).all()
    assert [p.reliability_kind for p in panels] == ["within", "total", "within"]


@pytest.mark.parametrize(
    "header, cells, row, column, expected",
    [
        (ALL, ("1.2,,within", ",,", ",,"), 2, "x_reliability", "above 0 and at most 1"),
        (ALL, (",,", "0.8,0,within", ",,"), 3, "y_reliability", "above 0 and at most 1"),
        (ALL, (",,", ",,", "0.8,0.8,retest"), 4, "reliability_kind", "within, where the reliabilities"),
        (ALL, ("0.8,0.8,", ",,", ",,"), 2, "reliability_kind", "within, where the reliabilities"),
        ("x_reliability", ("0.8", "", ""), 2, "reliability_kind", "within, where the reliabilities"),
    ],
)
def test_what_is_no_reliability_is_named(small, header, cells, row, column, expected):
    with_columns(small, header, *cells)
    (problem,) = validate_collection(small)
    assert (problem.file, problem.row, problem.column) == ("studies.csv", row, column)
    assert expected in problem.expected


def test_the_model_with_error_uses_them(small):
    with_columns(small, ALL, "0.8,0.9,total", ",,", ",,")
    panel = make_panel(read_collection(small).study("S01"))
    scores, _ = panel.wide()
    options = {"reliability": panel.reliability, "reliability_kind": panel.reliability_kind}
    batch = estimate_batch("riclpm_error", [scores], **options)
    fit = fit_starts(scores, error=(0.8, 0.9), kind="total")
    expected = [fit.phi[outcome, predictor] for outcome, predictor in PLACES]
    # Two paths to one maximum.
    assert batch.estimate[0] == pytest.approx(expected, abs=1e-6)
    without = estimate_batch("riclpm_error", [scores], reliability=(1.0, 1.0))
    assert without.estimate[0] == pytest.approx(estimate_batch("riclpm", [scores]).estimate[0], abs=1e-6)
    assert np.abs(batch.estimate - without.estimate).max() > 1e-3
