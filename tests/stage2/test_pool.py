"""Stage 2: each coefficient pooled as `pool` does it, and every study that is left out named."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from twostage.display import html_table
from twostage.params import make_parameters
from twostage.problems import RecordError
from twostage.records.record import Record, make_record, write_record
from twostage.stage1.describe import describe
from twostage.stage1.each_transition import transition
from twostage.stage1.equations import crosslevel, lagged, outcome
from twostage.stage1.panel import make_panel
from twostage.stage2.pool import as_correlations, leave_one_out, patient_flow, pool_records, read_records
from twostage.stats.base import NotEstimable
from twostage.stats.pool.pool import pool

#: The same arithmetic in another order.
CLOSED_FORM = 1e-12
#: REML's tau2 is found, not computed.
ITERATED = 1e-8

STUDIES = ["S01", "S02", "S03"]


@pytest.fixture(scope="module")
def lagged_records(panels) -> list[Record]:
    return [make_record(panel, lagged(panel)) for panel in panels.values()]


@pytest.fixture(scope="module")
def outcome_records(panels) -> list[Record]:
    return [make_record(panel, outcome(panel)) for panel in panels.values()]


def changed(record: Record, **fields) -> Record:
    """A record with other content, checked like any record."""
    return Record.model_validate(json.loads(record.model_dump_json()) | fields)


def with_estimates(record: Record, change) -> Record:
    return changed(record, estimates=[change(dict(e)) for e in record.model_dump()["estimates"]])


# --- pooling


def test_the_same_in_r_holds_the_studies_in_full_precision(lagged_records):
    """That such scripts reproduce the numbers is tested where they are written (test_metareg_rcall.py)."""
    pooled = pool_records(lagged_records)
    call = pooled.r_call("x_to_y", "x_within")
    studies = pooled.studies("x_to_y", "x_within")
    assert call.startswith("# lagged, x_to_y, x_within (main): 3 studies\nlibrary(metafor)\n")
    assert ", ".join(repr(float(e)) for e in studies["estimate"]) in call
    assert f'study = c("{studies["label"][0]}"' in call
    assert 'method = "REML", test = "knha", level = 95' in call
    with pytest.raises(NotEstimable, match="no study has z"):
        pooled.r_call("x_to_y", "z")


@pytest.mark.parametrize("method", ["REML", "DL", "PM", "FE"])
@pytest.mark.parametrize("ci", ["hartung-knapp", "hartung-knapp-adhoc", "wald"])
def test_every_coefficient_is_pooled_by_itself(lagged_records, method, ci):
    table = pool_records(lagged_records, method=method, ci=ci, level=0.9)
    stacked = pd.concat([r.tidy() for r in lagged_records])
    assert len(table.tidy()) == 10
    for row in table.tidy().itertuples():
        chosen = stacked[(stacked["direction"] == row.direction) & (stacked["term"] == row.term)]
        alone = pool(chosen["estimate"], chosen["std_error"] ** 2, method=method, ci=ci, level=0.9)
        for name in ("estimate", "std_error", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2", "q"):
            assert getattr(row, name) == pytest.approx(getattr(alone, name), rel=CLOSED_FORM, nan_ok=True)
        assert (row.k, row.pi_rule, row.note) == (3, alone.pi_rule, alone.note)


def test_two_studies_by_hand(lagged_records):
    """Fixed effect: weights are inverse variances; DerSimonian-Laird: tau2 = (Q - 1) / (w1 + w2 - (w1^2 + w2^2) / w)."""

    def apart(record, estimate, error):
        return with_estimates(record, lambda e: e | {"estimate": estimate, "std_error": error})

    two = [apart(lagged_records[0], 0.1, 0.1), apart(lagged_records[1], 0.5, 0.2)]
    fixed = pool_records(two, method="FE", ci="wald").row("x_to_y", "x_within")
    assert fixed["estimate"] == pytest.approx((100 * 0.1 + 25 * 0.5) / 125, rel=CLOSED_FORM)
    assert fixed["std_error"] == pytest.approx(np.sqrt(1 / 125), rel=CLOSED_FORM)
    q = 100 * (0.1 - 0.18) ** 2 + 25 * (0.5 - 0.18) ** 2
    tau2 = (q - 1) / (125 - (100**2 + 25**2) / 125)
    random = pool_records(two, method="DL", ci="wald").row("x_to_y", "x_within")
    w = np.array([1 / (0.01 + tau2), 1 / (0.04 + tau2)])
    assert random["q"] == pytest.approx(q, rel=CLOSED_FORM)
    assert random["tau2"] == pytest.approx(tau2, rel=CLOSED_FORM)
    assert random["estimate"] == pytest.approx((w @ [0.1, 0.5]) / w.sum(), rel=CLOSED_FORM)
    assert random["std_error"] == pytest.approx(1 / np.sqrt(w.sum()), rel=CLOSED_FORM)
    weights = pool_records(two, method="DL").studies("x_to_y", "x_within")["weight"]
    assert weights.tolist() == pytest.approx((100 * w / w.sum()).tolist(), rel=CLOSED_FORM)


def test_counts_are_sums_over_the_studies(lagged_records):
    table = pool_records(lagged_records)
    for row in table.tidy().itertuples():
        studies = table.studies(row.direction, row.term)
        assert row.n_patients == studies["n_patients"].sum()
        assert row.n_transitions == studies["n_transitions"].sum()
        assert row.k == len(studies)
        assert studies["weight"].sum() == pytest.approx(100)
        assert studies["label"].tolist() == [r.label for r in lagged_records]
        assert studies["study"].tolist() == STUDIES


def test_studies_intervals_have_the_pooled_level(lagged_records, outcome_records):
    """Whatever level their notebooks showed; normal where the degrees of freedom are infinite."""
    studies = pool_records(lagged_records, level=0.8).studies("x_to_y", "x_within")
    half = t.ppf(0.9, studies["df"]) * studies["std_error"]
    assert studies["ci_high"].tolist() == pytest.approx(
        (studies["estimate"] + half).tolist(), rel=CLOSED_FORM
    )
    assert studies["ci_low"].tolist() == pytest.approx((studies["estimate"] - half).tolist(), rel=CLOSED_FORM)
    z = pool_records(outcome_records, level=0.8).studies("x_to_y", "partial_r_z")
    half = norm.ppf(0.9) * z["std_error"]
    assert z["ci_high"].tolist() == pytest.approx((z["estimate"] + half).tolist(), rel=1e-9)


def test_pooled_intervals_have_the_level_asked_for(lagged_records):
    wide, narrow = (pool_records(lagged_records, level=level) for level in (0.99, 0.5))
    assert (wide.tidy()["ci_high"] > narrow.tidy()["ci_high"]).all()
    row = wide.row("x_to_y", "x_within")
    assert row["ci_high"] == pytest.approx(row["estimate"] + t.ppf(0.995, 2) * row["std_error"], rel=1e-9)
    assert (wide.method, wide.ci, wide.level) == ("REML", "hartung-knapp", 0.99)


def test_order_of_studies_does_not_matter(lagged_records):
    there, back = pool_records(lagged_records), pool_records(lagged_records[::-1])
    for row in there.tidy().itertuples():
        assert back.row(row.direction, row.term)["estimate"] == pytest.approx(row.estimate, rel=ITERATED)


def test_one_study_is_its_own_estimate(lagged_records):
    one = lagged_records[1]
    table = pool_records([one])
    assert set(table.tidy()["k"]) == {1}
    for row, own in zip(table.tidy().itertuples(), one.tidy().itertuples(), strict=True):
        assert (row.estimate, row.std_error) == pytest.approx((own.estimate, own.std_error), rel=CLOSED_FORM)
        assert row.tau2 == row.q == 0
        assert np.isnan(row.pi_low)
        assert "one study" in row.note
    assert len(leave_one_out(table, "x_to_y", "x_within")) == 0


@pytest.mark.parametrize("which", ["none", "a study twice", "two analyses"])
def test_records_that_do_not_belong_together_are_refused(lagged_records, outcome_records, which):
    together = {
        "none": [],
        "a study twice": [*lagged_records, lagged_records[0]],
        "two analyses": [lagged_records[0], outcome_records[1]],
    }
    with pytest.raises(ValueError, match=r"found .*; expected one analysis, one record per study"):
        pool_records(together[which])


def test_two_studies_have_no_prediction_interval(lagged_records):
    row = pool_records(lagged_records[:2]).row("x_to_y", "x_within")
    assert row["k"] == 2
    assert np.isnan(row["pi_low"])
    assert "no prediction interval" in row["note"]


def test_a_coefficient_that_nobody_has(lagged_records):
    table = pool_records(lagged_records)
    with pytest.raises(
        NotEstimable, match=r"no study has y_within of x_to_y \(random\) in the analysis lagged"
    ):
        table.row("x_to_y", "y_within", "random")
    assert table.studies("x_to_y", "nothing").empty


def test_tables_show_themselves(lagged_records):
    table = pool_records(lagged_records)
    assert "<table" in table._repr_html_()
    assert len(table.glance()) == len(table.tidy())
    assert {"tau2", "i2", "q", "k"} < set(table.glance())
    copy = table.tidy()
    copy["estimate"] = 0.0
    assert (table.tidy()["estimate"] != 0).any()


# --- studies that are left out


def failed(record: Record, direction: str, reason: str) -> Record:
    """The record of a study in which one direction could not be estimated."""
    kept = [e.model_dump() for e in record.estimates if e.direction != direction]
    failure = {"variant": "main", "direction": direction, "reason": reason}
    return changed(record, estimates=kept, failures=[failure])


def test_a_study_that_lacks_a_direction_is_left_out_of_it_and_named(lagged_records):
    records = [*lagged_records[:2], failed(lagged_records[2], "y_to_x", "x does not vary")]
    table = pool_records(records)
    assert table.row("y_to_x", "y_within")["k"] == 2
    assert table.row("x_to_y", "x_within")["k"] == 3
    left = {"study": "S03", "analysis": "lagged", "variant": "main", "direction": "y_to_x"}
    assert table.left_out.to_dict("records") == [left | {"reason": "x does not vary"}]
    assert "x does not vary" in table._repr_html_()


def test_a_fit_that_did_not_converge_is_left_out_and_named(lagged_records):
    def stuck(e):
        return e | {"converged": e["direction"] == "x_to_y"}

    table = pool_records([with_estimates(lagged_records[0], stuck), *lagged_records[1:]])
    assert table.row("y_to_x", "y_within")["k"] == 2
    assert table.row("x_to_y", "x_within")["k"] == 3
    assert table.left_out[["study", "direction", "reason"]].to_numpy().tolist() == [
        ["S01", "y_to_x", "the fit did not converge"]
    ]


def test_a_boundary_fit_is_pooled(lagged_records):
    assert lagged_records[0].tidy()["singular"].any()
    assert pool_records(lagged_records).row("x_to_y", "x_within")["k"] == 3


def test_when_nobody_has_it_all_are_named(lagged_records):
    nobody = [failed(failed(r, "x_to_y", "too few"), "y_to_x", "too few") for r in lagged_records]
    nobody = [changed(r, estimates=[]) for r in nobody]
    table = pool_records(nobody)
    assert table.tidy().empty
    assert table.left_out["study"].tolist() == STUDIES
    assert table.estimates.empty
    with pytest.raises(NotEstimable, match="no study has"):
        table.row("x_to_y", "x_within")


def test_a_study_without_outcome_is_named(three):
    """From the data, not from a made-up record."""
    study = three.study("S01")
    silent = type(study)(**{**vars(study), "patients": study.patients.drop(columns="post")})
    panels = [make_panel(s, make_parameters({})) for s in (silent, three.study("S02"))]
    table = pool_records([make_record(p, outcome(p)) for p in panels])
    assert table.row("x_to_y", "partial_r_z")["k"] == 1
    assert table.left_out["study"].tolist() == ["S01"]


def test_each_transition_is_pooled_over_the_studies_that_have_it(three):
    parameters = make_parameters({})
    study = three.study("S03")
    short = type(study)(**{**vars(study), "sessions": study.sessions[study.sessions["session"] <= 4]})
    panels = [make_panel(s, parameters) for s in (three.study("S02"), short)]
    table = pool_records([make_record(p, transition(p)) for p in panels])
    assert table.row("x_to_y", "x_within", "3 to 4")["k"] == 2
    assert table.row("x_to_y", "x_within", "4 to 5")["k"] == 1
    named = table.left_out[table.left_out["study"] == "S03"]
    assert set(named["variant"]) == {"4 to 5", "5 to 6", "6 to 7"}
    assert set(named["direction"]) == {"x_to_y", "y_to_x"}


# --- reading the records of many studies


@pytest.fixture
def folder(lagged_records, tmp_path):
    for record in lagged_records:
        write_record(record, tmp_path / record.study)
    return tmp_path


def test_records_are_read_in_the_order_asked_for(folder, lagged_records):
    assert read_records(folder, STUDIES, "lagged") == lagged_records
    assert [r.study for r in read_records(folder, ["S03", "S01"], "lagged")] == ["S03", "S01"]


def test_records_are_found_upwards_from_where_a_notebook_is_opened(lagged_records, tmp_path, monkeypatch):
    for record in lagged_records:
        write_record(record, tmp_path / "runs" / "a" / record.study)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert read_records("runs/a", STUDIES, "lagged") == lagged_records
    with pytest.raises(RecordError, match="runs/b"):
        read_records("runs/b", STUDIES, "lagged")


def test_a_study_that_is_not_asked_for_is_not_read(folder):
    (folder / "S99").mkdir()
    (folder / "S99" / "lagged.json").write_text("nonsense")
    assert len(read_records(folder, STUDIES, "lagged")) == 3


def test_all_missing_and_broken_records_are_named_at_once(folder):
    (folder / "S01" / "lagged.json").unlink()
    (folder / "S03" / "lagged.json").write_text("{")
    with pytest.raises(RecordError) as caught:
        read_records(folder, STUDIES, "lagged")
    assert [p.file for p in caught.value.problems] == [
        str(folder / s / "lagged.json") for s in ("S01", "S03")
    ]


def test_a_copy_of_another_study_is_refused(folder):
    """Otherwise one study would be pooled twice."""
    (folder / "S02" / "lagged.json").write_bytes((folder / "S01" / "lagged.json").read_bytes())
    with pytest.raises(RecordError, match="found 'S01'; expected 'S02'"):
        read_records(folder, STUDIES, "lagged")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("last_session", 5),
        ("lag", 2),
        ("min_sessions", 4),
        ("standardize", "within"),
        ("detrend", "session"),
        ("random_slopes", True),
        ("early_last_session", 2),
        ("first_session", 2),
    ],
)
def test_studies_analysed_differently_are_not_pooled(folder, lagged_records, name, value):
    other = lagged_records[2].parameters.model_dump() | {name: value}
    write_record(changed(lagged_records[2], parameters=other), folder / "S03")
    with pytest.raises(RecordError) as caught:
        read_records(folder, STUDIES, "lagged")
    (problem,) = caught.value.problems
    assert (problem.file, problem.column) == (str(folder / "S03" / "lagged.json"), f"parameters.{name}")
    assert problem.value == value
    assert "as in S01" in problem.expected


@pytest.mark.parametrize(("name", "value"), [("level", 0.8), ("tau2_method", "DL"), ("ci_method", "wald")])
def test_how_to_pool_is_decided_when_pooling(folder, lagged_records, name, value):
    other = lagged_records[2].parameters.model_dump() | {name: value}
    write_record(changed(lagged_records[2], parameters=other), folder / "S03")
    assert len(read_records(folder, STUDIES, "lagged")) == 3


# --- leaving one out, correlations, flow


@pytest.mark.parametrize("ci", ["hartung-knapp", "wald"])
def test_leave_one_out_is_pooling_the_others(lagged_records, ci):
    table = pool_records(lagged_records, ci=ci, level=0.9)
    rows = leave_one_out(table, "y_to_x", "y_within")
    assert rows["study"].tolist() == STUDIES
    for i, row in enumerate(rows.itertuples()):
        others = [r for j, r in enumerate(lagged_records) if j != i]
        again = pool_records(others, ci=ci, level=0.9).row("y_to_x", "y_within")
        assert row.label == lagged_records[i].label
        for name in ("estimate", "std_error", "ci_low", "ci_high", "tau2", "i2"):
            assert getattr(row, name) == pytest.approx(again[name], rel=ITERATED, abs=CLOSED_FORM)


def test_correlations_are_the_z_values_turned_back(outcome_records):
    table = pool_records(outcome_records)
    pooled, given = as_correlations(table.tidy()).to_dict("records")
    assert (pooled["variant"], given["variant"]) == ("main", "given early y too")
    z = table.row("x_to_y", "partial_r_z")
    assert pooled["term"] == "partial_r"
    for name in ("estimate", "ci_low", "ci_high", "pi_low", "pi_high"):
        assert pooled[name] == pytest.approx(np.tanh(z[name]), rel=CLOSED_FORM)
    assert "std_error" not in pooled
    studies = as_correlations(table.estimates)
    assert len(studies) == 6
    assert studies["ci_high"].between(-1, 1).all()
    assert z["tau2"] == pooled["tau2"]


def test_correlations_leave_other_terms_out(lagged_records):
    assert as_correlations(pool_records(lagged_records).tidy()).empty


def test_patients_flow_adds_up(panels):
    records = [make_record(p, describe(p)) for p in panels.values()]
    flow = patient_flow(records)
    assert flow["study"].tolist() == [*STUDIES, "all"]
    reasons = flow.columns[3:-1]
    assert len(reasons) == 2
    assert (flow["enrolled"] - flow[list(reasons)].sum(axis=1) == flow["included"]).all()
    sums = flow.iloc[:-1].drop(columns=["study", "label"]).sum()
    assert flow.iloc[-1][sums.index].tolist() == sums.tolist()
    assert flow["included"].tolist()[:3] == [p.sessions["patient"].nunique() for p in panels.values()]
    assert flow["enrolled"].iloc[-1] == 150


def test_a_reason_that_only_one_study_has_is_zero_elsewhere(panels):
    records = [make_record(p, describe(p)) for p in panels.values()]
    extra = [*records[1].model_dump()["exclusions"], {"reason": "withdrew consent", "n_patients": 2}]
    flow = patient_flow([records[0], changed(records[1], exclusions=extra)])
    assert flow["withdrew consent"].tolist() == [0, 2, 2]
    assert flow["included"].iloc[1] == records[1].n_enrolled - sum(e["n_patients"] for e in extra)


def test_withheld_numbers_are_missing_and_sums_are_of_what_is_known(panels):
    records = [make_record(p, describe(p)) for p in panels.values()]
    rows = records[1].model_dump()["exclusions"]
    known = patient_flow(records)
    withheld = changed(records[1], n_enrolled=None, exclusions=[rows[0], rows[1] | {"n_patients": None}])
    flow = patient_flow([records[0], withheld, records[2]])
    reason = rows[1]["reason"]
    assert flow.loc[1, ["enrolled", reason]].isna().all()
    assert flow.loc[1, "included"] == known.loc[1, "included"], "the panel's size is shared"
    assert flow["label"].iloc[-1] == "all studies (sums of the numbers shown)"
    for column in ("enrolled", reason):
        assert flow[column].iloc[-1] == known[column].iloc[-1] - known.loc[1, column]
    assert flow["included"].tolist() == known["included"].tolist()
    assert "–" in html_table(flow)
    hidden = changed(withheld, summary={"n_patients": None})
    assert patient_flow([records[0], hidden])["included"].isna().tolist() == [False, True, False]


def test_the_spiral_is_pooled_term_by_term(panels):
    table = pool_records([make_record(p, crosslevel(p)) for p in panels.values()])
    for direction, cross in (("x_to_y", "x_within"), ("y_to_x", "y_within")):
        for mean in ("x_mean", "y_mean"):
            assert table.row(direction, f"{cross}:{mean}")["k"] == 3
