"""Influence of studies in words and tables; with few studies the reason instead."""

from dataclasses import replace

import numpy as np
import pytest

from twostage.display import number
from twostage.pages.influence.analysis import examine_influence
from twostage.pages.influence.tables import (
    baujat_table,
    casewise_table,
    cumulative_table,
    gosh_table,
    influence_sentences,
)
from twostage.stage2.pool import named_fit
from twostage.stats.base.checks import NotEstimable
from twostage.stats.influence.casewise import influence, leave_one_out
from twostage.stats.pool.pool import pool

K = 17


@pytest.fixture(scope="module")
def seventeen(few, default, with_effects):
    rng = np.random.default_rng(8)
    y, v = rng.normal(-0.06, 0.03, K), rng.uniform(0.0002, 0.002, K)
    y[4] = -0.6
    return with_effects(few[3], default, y, v)


@pytest.fixture(scope="module")
def report(seventeen, default):
    return examine_influence(seventeen, "x_to_y", default)


def test_the_fit_is_the_pooled_one_with_names(few, three):
    fit = named_fit(few[3], "y_to_x")
    assert fit.estimate == few[3].row("y_to_x", "y_within")["estimate"]
    assert list(fit.labels) == three.studies["label"].tolist()
    with pytest.raises(NotEstimable, match="no study has this effect"):
        named_fit(replace(few[3], fits={}), "y_to_x")


def test_numbers_are_those_of_the_core(report, seventeen):
    fit = report.total.result
    expected = influence(fit.y, fit.v)
    table = casewise_table(report.casewise.result)
    assert table["Cook's D"].tolist() == [number(d) for d in expected.cook_d]
    assert table["residual"].tolist() == [number(r) for r in expected.rstudent]
    assert report.foremost == 4 == int(np.argmax(expected.cook_d))
    assert table.loc[4, "influential"] == "yes" and (table["influential"] == "yes").sum() == 1
    assert baujat_table(report.baujat.result)["study"][0] == fit.labels[4]
    without = leave_one_out(fit)
    medians = gosh_table(report.gosh.result)
    assert without.i2[4] < 60 and float(medians.loc[4, "I² (%), with"]) > 80
    assert report.gosh.result.exhaustive and report.gosh.result.size.size == 2**K - 1


def test_years_order_the_studies(report, default):
    years = default.studies.set_index("label")["year"]
    in_order = [years[label] for label in report.by_year.result.labels]
    assert in_order == sorted(in_order) and report.by_year.result.by == "year"
    table = cumulative_table(report.by_year.result)
    assert table["k"].tolist() == [str(i + 1) for i in range(K)]
    assert table["estimate"].iloc[-1] == number(report.total.result.estimate, 3)


def test_sentences_quote_the_results(report):
    said = influence_sentences(report)
    fit, cook = report.total.result, report.casewise.result.cook_d
    assert said["casewise"] == (
        f"By the usual limits of DFFITS, Cook's distance, hat values and DFBETAS, 1 of the 17 studies is influential: "
        f"{fit.labels[4]}. The largest Cook's distance, "
        f"{number(cook[4])}, is that of {fit.labels[4]}."
    )
    assert said["baujat"].startswith(f"{fit.labels[4]} adds most to the heterogeneity and moves")
    assert f"all {2**K - 1 - K:,} subsets of at least two studies" in said["gosh"]
    ends = f"[{number(fit.ci_low, 3)}, {number(fit.ci_high, 3)}]"
    assert ends in said["year"] and ends in said["precision"]


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0.1, 0.1, 0.1, 0.12], "From the first study on the interval excludes zero; with all 4"),
        ([0.0, 0.1, 0.3, -0.5], "With all 4 studies the interval, "),
        ([0.01, 0.03, 0.02, 0.05], "The interval excludes zero only with the last study added; it is then"),
        ([0.02, 0.2, 0.2, 0.2], " studies on ("),
    ],
)
def test_what_accumulates(few, default, with_effects, y, expected):
    v = np.full(4, 0.0004)
    table = with_effects(few[3], default, y, v)
    fit = replace(pool(y, v, ci="wald"), labels=named_fit(table, "x_to_y").labels)
    table = replace(table, fits={("main", "x_to_y", "x_within"): fit})
    found = examine_influence(table, "x_to_y", default)
    assert expected in influence_sentences(found)["precision"]


def test_one_study_has_no_influence(few, three):
    report = examine_influence(few[1], "x_to_y", three)
    assert report.foremost is None
    assert not report.casewise and not report.baujat and not report.gosh
    said = influence_sentences(report)
    assert said["casewise"] == "Not computed: influence needs at least 2 studies, got 1."
    assert said["year"] == "There is only one study, so there is nothing to accumulate."


def test_no_study_at_all(few, three):
    nothing = replace(few[1], fits={}, estimates=few[1].estimates.head(0))
    report = examine_influence(nothing, "x_to_y", three)
    assert set(influence_sentences(report).values()) == {"Not computed: no study has this effect."}


@pytest.mark.parametrize("k", [2, 3])
def test_few_studies(few, three, k):
    report = examine_influence(few[k], "x_to_y", three)
    assert len(casewise_table(report.casewise.result)) == len(gosh_table(report.gosh.result)) == k
    said = influence_sentences(report)
    assert all(said.values())
    assert (said["gosh"] == "Two studies have no smaller subset of several studies.") == (k == 2)


def test_identical_studies_do_not_break_it(few, default, with_effects):
    table = with_effects(few[3], default, [0.1] * 4, [0.01] * 4)
    report = examine_influence(table, "x_to_y", default)
    assert "none of the 4 studies is influential" in influence_sentences(report)["casewise"]
    assert report.foremost in range(4) and len(casewise_table(report.casewise.result)) == 4
