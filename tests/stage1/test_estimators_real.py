"""Every estimator on the studies of real collections: an estimate, or a reason."""

from pathlib import Path

import numpy as np
import pytest

from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.stage1.estimators import estimators
from twostage.stage1.panel import make_panel
from twostage.terms import ESTIMATORS

REAL = Path(__file__).parents[3] / "shared" / "real"
COLLECTIONS = {"openesm_anx_dep": "openesm", "openesm_pa_na": "openesm", "gametime": "gametime"}

#: Estimators without an estimate in some study of a collection, and how their reasons begin or end.
WITHOUT = {
    "openesm_anx_dep": {
        ("habets2020_parkinson", "dpm"): "54 parameters besides the means",
        ("jang2024_outpatients", "dpm"): "54 parameters besides the means",
    },
    "openesm_pa_na": {
        ("habets2020_parkinson", "dpm"): "54 parameters besides the means",
        ("jang2024_outpatients", "dpm"): "54 parameters besides the means",
        ("soderberg2024", "jackknife"): "say too little about change within patients",
        ("soderberg2024", "dpm"): "the observed information is not positive definite",
        **{
            (s, "riclpm_error"): "no maximum within"
            for s in ("habets2020_parkinson", "pronizius2024_lockdown1", "soderberg2024")
        },
    },
    "gametime": {
        (game, estimator): reason
        for game in ("acnh", "apex", "crew2", "eve", "forza", "gts", "outriders")
        for estimator, reason in (
            ("jackknife", "3 sessions are too few to halve"),
            ("detrended", "no patient has 4 scores"),
            ("riclpm_error", "a model with unknown error needs 4 occasions"),
        )
    },
}


@pytest.fixture(scope="module", params=COLLECTIONS)
def real(request):
    """Name of a collection and its studies' estimates."""
    if not (REAL / COLLECTIONS[request.param]).is_dir():
        pytest.skip(f"the folder ../shared/real/{COLLECTIONS[request.param]} with the real data is absent")
    collection = read_collection(Path(__file__).parents[1] / "collections" / request.param)
    parameters = make_parameters(collection.defaults)
    studies = [collection.study(study) for study in collection.studies["study"]]
    found = {s.id: estimators(make_panel(s, parameters), bootstraps=50) for s in studies}
    return request.param, found


def test_what_cannot_be_estimated_is_named_with_the_reason(real):
    name, found = real
    failures = {
        (study, row.variant): row.reason for study, e in found.items() for row in e.failures.itertuples()
    }
    assert set(failures) == set(WITHOUT[name])
    for key, reason in failures.items():
        assert WITHOUT[name][key] in reason


def test_everything_else_is_an_estimate_with_a_standard_error(real):
    name, found = real
    for study, result in found.items():
        there = {e for e in ESTIMATORS if (study, e) not in WITHOUT[name]}
        assert set(result.table["estimator"]) == there
        assert result.table["converged"].all()
        assert np.isfinite(result.table[["estimate", "std_error"]].astype(float)).all(axis=None)
        assert (result.table["std_error"] > 1e-4).all()


def test_the_uncentred_models_find_more_persistence_than_the_centred_one(real):
    """The bias of centring, in the data: autoregressions come out lower in every study."""
    for result in real[1].values():
        table = result.table.set_index(["estimator", "direction", "term"])["estimate"]
        for key in (("x_to_y", "y_within"), ("y_to_x", "x_within")):
            assert table[("riclpm", *key)] > table[("centred", *key)]
