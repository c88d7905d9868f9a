"""Stage 1 and stage 2 against R, from the files in data/ to the pooled numbers.

tests/reference/stage1.R computes the whole of stage 1 in base R with lme4 and lmerTest, tests/reference/stage2.R
pools what it found with metafor; neither uses anything of this project.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.params import Parameters, make_parameters
from twostage.records.record import make_record
from twostage.stage1.equations import crosslevel, lagged, outcome
from twostage.stage1.panel import Panel, make_panel
from twostage.stage2.pool import leave_one_out, pool_records

REFERENCE = Path(__file__).parents[1] / "reference"
ANALYSES = {"lagged": lagged, "crosslevel": crosslevel, "outcome": outcome}
KEY = ["options", "study", "analysis", "variant", "direction", "term"]

# What the project asks for. Measured: 2e-10 with a random intercept (all on the boundary, where lme4 is exact);
# 1.1e-7 with random slopes, where lme4's own optimum is known to that.
ESTIMATE_TOLERANCE = 1e-6
# lmerTest differentiates numerically. Measured: 4e-6.
DF_TOLERANCE = 1e-3
# Log-likelihoods are near 10^3 and 10^4, so this is 1e-10 relative. Measured: 1.3e-10.
LOGLIK_TOLERANCE = 1e-6
# Both round the same sums to fifteen digits.
SCALE_TOLERANCE = 1e-12
# lme4 has converged: no slope of its deviance is left, and no other optimiser got lower.
GRADIENT = 1e-3
MISSED = 1e-8
# metafor's iterations stop at 1e-13 of the variance of the estimates. Measured: 7e-10.
POOLED_TOLERANCE = 1e-6
# metafor's scoring ends a little above a tau2 of 0.
ZERO_TAU2, ZERO_I2 = 1e-12, 1e-9

POOLED = ["estimate", "std_error", "statistic", "p_value", "ci_low", "ci_high", "pi_low", "pi_high"]
POOLED += ["tau2", "i2", "h2", "q", "q_p_value"]


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / f"{name}.csv")


OPTIONS = {row["options"]: row for row in read("stage1_options").to_dict("records")}


def parameters_of(options: str) -> Parameters:
    known = set(Parameters.model_fields)
    values = {name: value for name, value in OPTIONS[options].items() if name in known}
    # lmerTest's errors are the model's; those with patients as clusters have references of their own (clustered.R).
    return make_parameters(values | {"stage1_errors": "model"})


@pytest.fixture(scope="module")
def panels(default) -> dict[tuple[str, str], Panel]:
    """Every panel that stage1.R made, made by us: (options, study) -> panel."""
    studies = {study: default.study(study) for study in default.studies["study"]}
    keys = read("stage1_panels")[["options", "study"]].itertuples(index=False)
    return {(o, s): make_panel(studies[s], parameters_of(o)) for o, s in keys}


@pytest.fixture(scope="module")
def results(panels) -> dict[tuple[str, str, str], object]:
    """(options, study, analysis) -> StudyEstimates."""
    return {
        (options, study, name): fit(panel)
        for (options, study), panel in panels.items()
        for name, fit in ANALYSES.items()
    }


@pytest.fixture(scope="module")
def compared(results) -> pd.DataFrame:
    """Our estimates beside R's, one row per coefficient; R's columns end in _r."""
    ours = [
        result.tidy()
        .merge(result.fits[["variant", "direction", "loglik"]], on=["variant", "direction"])
        .assign(options=options)
        for (options, _, _), result in results.items()
    ]
    columns = {"on": KEY, "how": "outer", "suffixes": ("", "_r"), "indicator": True}
    return pd.concat(ours).merge(read("stage1_estimates"), **columns)


@pytest.fixture(scope="module")
def records(panels, results) -> dict[str, list]:
    """The records of the chosen options, all studies, by analysis."""
    chosen = {name: [] for name in ANALYSES}
    for (options, study, name), result in results.items():
        if options == "chosen":
            chosen[name].append(make_record(panels[options, study], result))
    return chosen


def gap(ours: pd.Series, theirs: pd.Series, unit: pd.Series | float = 0.0) -> float:
    """Largest difference, relative to R's number or, where that is smaller, to `unit`."""
    return float(((ours - theirs).abs() / np.maximum(theirs.abs(), unit)).max())


def test_reference_covers_sizes_directions_and_options():
    panels = read("stage1_panels")
    assert set(panels["options"]) == set(OPTIONS)
    per_study = panels.groupby("study").size()
    assert len(per_study) == 17
    assert set(per_study.index[per_study == len(OPTIONS)]) == {"S01", "S14", "S16"}
    versions = json.loads((REFERENCE / "stage1_versions.json").read_text())
    assert {"R", "lme4", "lmerTest", "minqa", "numDeriv"} < set(versions)
    assert "metafor" in json.loads((REFERENCE / "stage2_versions.json").read_text())


def test_reference_is_of_the_committed_data(default):
    """Where this fails, data/ has changed: run stage1.R and stage2.R again."""
    files = [
        default.path / "studies.csv",
        *(f for d in ("sessions", "patients") for f in (default.path / d).iterdir()),
    ]
    names = sorted((f"data/{f.relative_to(default.path).as_posix()}", f) for f in files)
    lines = [f"{hashlib.md5(f.read_bytes()).hexdigest()} {name}\n" for name, f in names]
    found = hashlib.md5("".join(lines).encode()).hexdigest()
    assert found == json.loads((REFERENCE / "stage1_versions.json").read_text())["data"]


def test_reference_has_converged():
    fits = read("stage1_estimates").dropna(subset=["gradient"])
    assert fits["gradient"].max() < GRADIENT
    assert fits["missed"].max() < MISSED


def test_compared_studies_include_measures_scored_the_other_way(default):
    directions = default.studies.set_index("study")[["x_direction", "y_direction"]]
    assert directions.loc["S14", "x_direction"] == -1
    assert directions.loc["S16", "y_direction"] == -1


def test_panels_count_the_same_patients_and_transitions(panels):
    for row in read("stage1_panels").to_dict("records"):
        panel = panels[row["options"], row["study"]]
        pairs = panel.transitions()
        ours = {
            "n_enrolled": panel.n_enrolled,
            "n_unseen": panel.exclusions["n_patients"].iloc[0],
            "n_few": panel.exclusions["n_patients"].iloc[1],
            "n_panel": panel.sessions["patient"].nunique(),
            "n_x_to_y": pairs["y_next"].notna().sum(),
            "n_y_to_x": pairs["x_next"].notna().sum(),
        }
        assert ours == {name: row[name] for name in ours}, (row["options"], row["study"])
        assert panel.scale["x"] == pytest.approx(row["scale_x"], rel=SCALE_TOLERANCE)
        assert panel.scale["y"] == pytest.approx(row["scale_y"], rel=SCALE_TOLERANCE)


def test_every_coefficient_is_in_both(compared):
    assert set(compared["_merge"]) == {"both"}
    assert len(compared) > 1000


@pytest.mark.parametrize("options", OPTIONS)
def test_coefficients_agree_with_r(compared, options):
    rows = compared[compared["options"] == options]
    assert gap(rows["estimate"], rows["estimate_r"], rows["std_error_r"]) < ESTIMATE_TOLERANCE
    assert gap(rows["std_error"], rows["std_error_r"]) < ESTIMATE_TOLERANCE
    normal = np.isinf(rows["df_r"])
    assert np.isinf(rows.loc[normal, "df"]).all()
    assert set(rows.loc[normal, "term"]) == {"partial_r_z"}
    assert gap(rows.loc[~normal, "df"], rows.loc[~normal, "df_r"]) < DF_TOLERANCE
    assert (rows["n_patients"] == rows["n_patients_r"]).all()
    assert (rows["n_transitions"] == rows["n_transitions_r"]).all()


def test_likelihoods_and_boundaries_agree_with_lme4(compared):
    fits = compared.dropna(subset=["gradient"]).drop_duplicates(["options", "study", "analysis", "direction"])
    assert (fits["loglik"] - fits["loglik_r"]).abs().max() < LOGLIK_TOLERANCE
    assert (fits["singular"].astype(bool) == fits["singular_r"].astype(bool)).all()
    # With both person means in the model the intercept's variance is 0: normal here, and no failure.
    intercepts = fits[fits["options"] != "random slopes"]
    assert intercepts["singular"].all()
    assert fits["converged"].all()


@pytest.mark.parametrize(("method", "ci", "level"), [("REML", "hartung-knapp", 0.95), ("DL", "wald", 0.9)])
def test_pooled_coefficients_agree_with_metafor(records, method, ci, level):
    tables = [pool_records(r, method=method, ci=ci, level=level).tidy() for r in records.values()]
    reference = read("stage2_estimates").query("method == @method and ci == @ci and level == @level")
    key = ["analysis", "variant", "direction", "term"]
    rows = pd.concat(tables).merge(reference, on=key, how="outer", suffixes=("", "_r"), indicator=True)
    assert set(rows["_merge"]) == {"both"}
    for count in ("k", "n_patients", "n_transitions"):
        assert (rows[count] == rows[f"{count}_r"]).all()
    units = {"tau2": ZERO_TAU2 / POOLED_TOLERANCE, "i2": ZERO_I2 / POOLED_TOLERANCE}
    # An estimate near 0 is compared in units of its standard error.
    units |= {name: rows["std_error_r"] for name in ("estimate", "ci_low", "ci_high", "pi_low", "pi_high")}
    units["statistic"] = 1.0
    gaps = {c: gap(rows[c], rows[f"{c}_r"], units.get(c, np.finfo(float).tiny)) for c in POOLED}
    assert max(gaps.values()) < POOLED_TOLERANCE, gaps


def test_leave_one_out_agrees_with_metafor(records):
    table = pool_records(records["lagged"])
    ours = leave_one_out(table, "x_to_y", "x_within").set_index("study")
    theirs = read("stage2_without").set_index("study")
    assert list(ours.index) == list(theirs.index)
    for column in ("estimate", "std_error", "ci_low", "ci_high"):
        assert gap(ours[column], theirs[column]) < POOLED_TOLERANCE
    assert gap(ours["tau2"], theirs["tau2"], ZERO_TAU2 / POOLED_TOLERANCE) < POOLED_TOLERANCE
    assert gap(ours["i2"], theirs["i2"], ZERO_I2 / POOLED_TOLERANCE) < POOLED_TOLERANCE
