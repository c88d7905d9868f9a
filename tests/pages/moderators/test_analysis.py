"""Moderators of a pooled coefficient: from registry and records to tests, words and pictures."""

import dataclasses
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from twostage.display import number
from twostage.pages.moderators.analysis import (
    grouped,
    heterogeneity_moderated,
    one_at_a_time,
    predictions,
    usable,
)
from twostage.pages.moderators.plots import bubbles, subgroup_forest
from twostage.pages.moderators.studies import (
    StudyModerator,
    moderator_table,
    shown_moderators,
    study_moderators,
)
from twostage.pages.moderators.tables import (
    aside_words,
    caution_words,
    moderation_table,
    moderation_words,
    predictions_table,
    scale_table,
    scale_words,
)
from twostage.records.record import Record, make_record
from twostage.stage1.describe import describe
from twostage.stage1.equations import lagged
from twostage.stage2.pool import pool_records
from twostage.stats.base.inference import holm
from twostage.stats.pool.locationscale import locationscale
from twostage.stats.pool.metareg import metareg
from twostage.stats.pool.permutation import permutation_test
from twostage.stats.pool.subgroups import SubgroupFit

#: The same arithmetic on the same arrays.
ROUNDING = 1e-12
K = 12
STUDIES = [f"S{i:02d}" for i in range(1, K + 1)]
SLOPE = 0.02


def changed(record: Record, **fields) -> Record:
    return Record.model_validate(json.loads(record.model_dump_json()) | fields)


@pytest.fixture(scope="module")
def collection(three):
    """Twelve studies in the registry: two designs, one country for nearly all, one setting."""
    first = three.studies.iloc[[0]]
    rows = pd.concat([first.assign(study=s, label=f"Study {s}") for s in STUDIES], ignore_index=True)
    rows["year"] = [2001 + 2 * i for i in range(K)]
    rows["design"] = ["trial", "naturalistic"] * (K // 2)
    rows["country"] = ["A"] * 6 + ["B"] * 4 + ["C", "not stated"]
    rows["setting"] = "clinic"
    rows["x_instrument"] = [f"x{i}" for i in range(K)]
    rows["y_instrument"] = ["one"] * 8 + ["two"] * 2 + ["three", "four"]
    return dataclasses.replace(three, studies=rows.reset_index(drop=True))


@pytest.fixture(scope="module")
def described(panels) -> list[Record]:
    panel = next(iter(panels.values()))
    base = make_record(panel, describe(panel))
    return [
        changed(
            base,
            study=s,
            label=f"Study {s}",
            summary=base.summary
            | {"pre_mean": 10.0 + i, "missing_share": 0.01 * i, "n_patients": 32.0 * 2**i},
        )
        for i, s in enumerate(STUDIES)
    ]


@pytest.fixture(scope="module")
def twelve(panels):
    """Effects that fall with the year, of studies cloned from one."""
    panel = next(iter(panels.values()))
    base = make_record(panel, lagged(panel))
    noise = 0.06 * np.random.default_rng(2).normal(size=K)
    records = []
    for i, study in enumerate(STUDIES):
        rows = [
            e.model_dump() | {"study": study, "estimate": 0.3 - 2 * SLOPE * i + noise[i], "std_error": 0.03}
            for e in base.estimates
        ]
        records.append(changed(base, study=study, label=f"Study {study}", estimates=rows))
    return pool_records(records)


@pytest.fixture(scope="module")
def table(collection, described):
    return moderator_table(collection, described)


@pytest.fixture(scope="module")
def wanted(collection):
    return study_moderators(collection)


@pytest.fixture(scope="module")
def forward(twelve, table, wanted):
    return one_at_a_time(twelve, "x_to_y", table, wanted, n=200)


def test_table_by_hand(collection, table):
    about = collection.studies.iloc[0]
    span = about["y_max"] - about["y_min"]
    row = table.iloc[3]
    assert (row["study"], row["year"], row["design"]) == ("S04", 2007, "naturalistic")
    assert row["log_n"] == pytest.approx(8.0, rel=ROUNDING)
    assert row["missing"] == pytest.approx(0.03, rel=ROUNDING)
    assert row["severity"] == pytest.approx(100 * (13.0 - about["y_min"]) / span, rel=ROUNDING)
    # Eight studies share an instrument: their mean intake scores average 13.5; two share another, two have their own.
    within = table["severity_within"] * span / 100
    np.testing.assert_allclose(within[:8], np.arange(8) - 3.5, atol=1e-9)
    np.testing.assert_allclose(within[8:], [-0.5, 0.5, np.nan, np.nan], atol=1e-9)
    assert table["country"].isna().tolist() == [False] * 11 + [True]
    shown = shown_moderators(table)
    assert shown.loc[11, "country"] == "–" and shown.loc[0, "year"] == "2001"


def test_a_record_of_something_else_is_refused(collection, described, panels):
    with pytest.raises(ValueError, match="S99/data"):
        moderator_table(collection, [changed(described[0], study="S99")])


def test_each_test_is_the_meta_regression_of_that_moderator(forward, twelve, table, wanted):
    studies = twelve.studies("x_to_y", "x_within")
    y, v = studies["estimate"].to_numpy(), studies["std_error"].to_numpy() ** 2
    row = forward.table.set_index("moderator").loc["year"]
    alone = metareg(y, v, table["year"].to_numpy())
    assert row["slope"] == pytest.approx(alone.coef[1], rel=ROUNDING)
    assert (row["statistic"], row["p_value"]) == pytest.approx((alone.qm, alone.qm_p_value), rel=ROUNDING)
    assert (row["df"], row["df2"], row["k"]) == (1, K - 2, K)
    assert row["ci_low"] < -SLOPE < row["ci_high"]
    assert row["permutation_p_value"] == permutation_test(alone, n=200, seed=1).qm_p_value
    assert row["tau_high"] == pytest.approx(alone.qprofile().tau_high, rel=ROUNDING)
    design = metareg(y, v, (table["design"] == "trial").to_numpy(float))
    assert forward.table.set_index("moderator").loc["design", "statistic"] == pytest.approx(
        design.qm, rel=1e-9
    )
    adjusted = holm(forward.table["permutation_p_value"])
    np.testing.assert_allclose(forward.table["holm_p_value"], adjusted)


def test_what_cannot_be_tested_is_named(forward, wanted):
    assert set(forward.fits) == {
        "year",
        "log_n",
        "severity",
        "severity_within",
        "missing",
        "design",
        "country",
        "y_instrument",
    }
    words = aside_words(forward)
    assert "Setting is not tested: it is the same in all 12 studies (clinic)." in words
    assert "not tested: no two studies share a category." in words
    assert "Country: not known for Study S12." in words
    assert "Country: left out, because they are alone in their category: Study S11 (C)." in words
    assert forward.glance().loc[0, "tested"] == 8


def test_few_studies_are_said_and_nothing_crashes(pooled, three, panels):
    records = [make_record(p, describe(p)) for p in panels.values()]
    table, wanted = moderator_table(three, records), study_moderators(three)
    few = one_at_a_time(pooled["lagged"], "x_to_y", table, wanted)
    assert few.table.empty
    assert "Year is not tested: 3 studies are too few for 2 coefficients." in aside_words(few)
    assert caution_words(few, 0.95) == "No moderator could be tested."
    assert predictions(few, wanted).empty and moderation_table(few, 0.95).empty
    assert predictions_table(predictions(few, wanted), 0.95).empty
    assert "could be tested" in bubbles(few, wanted, three, "", "").data
    found = heterogeneity_moderated(pooled["lagged"], "x_to_y", table, wanted[0])
    assert not found and found.reason == "3 studies are too few for 2 coefficients"
    said = "Year: no location-scale model, 3 studies are too few for 2 coefficients."
    assert scale_words({"year": found}, wanted) == said and scale_table({"year": found}, wanted).empty


@pytest.mark.parametrize(("n", "tested"), [(5, True), (4, False)])
def test_a_test_needs_three_residual_degrees_of_freedom(n, tested):
    numbers = pd.DataFrame({"label": list("abcde"), "year": [1.0, 2.0, 3.0, 4.0, 5.0]})[:n]
    groups = pd.DataFrame({"label": list("abcdef"), "design": ["one", "two"] * 3})[: n + n % 2]
    for data, moderator in (
        (numbers, StudyModerator("year", "year", False)),
        (groups, StudyModerator("design", "design", True)),
    ):
        used, words = usable(data, moderator)
        assert bool(used) == tested and not words
        assert tested or used.reason == "4 studies are too few for 2 coefficients"


def test_a_moderator_nobody_has():
    data = pd.DataFrame({"label": ["a", "b"], "severity": [np.nan, np.nan], "group": [None, None]})
    for name, category in (("severity", False), ("group", True)):
        used, words = usable(data, StudyModerator(name, "thing", category))
        assert not used and used.reason == "it is not known for any study" and not words


def test_predictions_are_those_of_the_fit(forward, wanted):
    found = predictions(forward, wanted).set_index("moderator")
    years = found.loc["year"]
    assert years["at"].tolist() == [2001, 2012, 2023]
    expected = forward.fits["year"].predict([[2001.0], [2012.0], [2023.0]])
    np.testing.assert_allclose(years["pi_low"].astype(float), expected.pi_low, rtol=ROUNDING)
    design = found.loc["design"]
    assert design["at"].tolist() == ["trial", "naturalistic"] and design["k"].tolist() == [6, 6]
    shown = predictions_table(predictions(forward, wanted), 0.95)
    assert shown.loc[0, ["moderator", "at", "k"]].tolist() == ["year", "2001", ""]


def test_subgroups_or_words(twelve, table, wanted, collection, tmp_path):
    by = {m.name: m for m in wanted}
    found = grouped(twelve, "x_to_y", table, by["design"])
    assert isinstance(found.result, SubgroupFit) and found.result.tau2_rule == "common"
    assert found.result.groups == ("trial", "naturalistic")
    assert subgroup_forest(found, twelve, "x_to_y", collection, str(tmp_path), "design").figure
    alt = json.loads((tmp_path / "design.json").read_text(encoding="utf-8"))["alt"]
    assert "12 studies in 2 groups: trial" in alt
    none = grouped(twelve, "x_to_y", table, by["setting"])
    assert "all studies belong to one group, clinic" in none.reason
    assert subgroup_forest(none, twelve, "x_to_y", collection, "", "").data == none.words
    plt.close("all")


def test_heterogeneity_by_a_number(twelve, table, wanted):
    studies = twelve.studies("x_to_y", "x_within")
    y, v, z = studies["estimate"].to_numpy(), studies["std_error"].to_numpy() ** 2, table["log_n"].to_numpy()
    found = heterogeneity_moderated(twelve, "x_to_y", table, wanted[1])
    fit = found.result
    alone = locationscale(y, v, z, z)
    np.testing.assert_allclose(fit.alpha, alone.alpha, rtol=ROUNDING)
    shown = scale_table({"log_n": found}, wanted)
    assert shown.loc[0, "moderator"] == wanted[1].label
    assert shown.loc[0, "change of log τ² per unit"] == number(alone.alpha[1])
    assert scale_words({"log_n": found}, wanted) == "Every model was fitted."
    fixed = dataclasses.replace(twelve, method="DL")
    assert heterogeneity_moderated(fixed, "x_to_y", table, wanted[1]).result.method == "REML"


def test_tables_and_words_have_the_numbers(forward):
    shown = moderation_table(forward, 0.95).set_index("moderator")
    row = forward.table.set_index("label").loc["year"]
    assert shown.loc["year", "test"] == f"F(1, 10) = {row['statistic']:.2f}"
    assert shown.loc["design", "change per unit [95 % CI]"] == "–"
    words = caution_words(forward, 0.95)
    below = int((forward.table["permutation_p_value"] <= 0.05).sum())
    assert below >= 2
    assert (
        "8 moderators were tested with 10 to 12 studies each" in words and f"there are {below}, and" in words
    )
    assert moderation_words([forward], 0.95).loc[0, ["direction", "words"]].tolist() == ["x_to_y", words]


def test_bubbles_show_every_number(forward, wanted, collection, tmp_path):
    assert bubbles(forward, wanted, collection, str(tmp_path), "bubbles").figure
    assert len(plt.gcf().axes) == 5
    alt = json.loads((tmp_path / "bubbles.json").read_text(encoding="utf-8"))["alt"]
    assert alt.count("Bubble plot of") == 5
    plt.close("all")
