"""Tables and sentences of the recovery study, at longer lags too."""

import itertools

import numpy as np
import pandas as pd
import pytest

from twostage.display import percent
from twostage.pages.recovery.tables import PLAIN_LAGS, few_studies_table, lag_sentences, performance_table
from twostage.recovery.conditions import CONDITIONS, LAG_CONDITIONS
from twostage.recovery.store import Recovery
from twostage.terms import DIRECTIONS

MEASURES = ("empirical_se", "mean_std_error", "rmse", "coverage", "rejection")


@pytest.fixture
def study():
    rows = []
    for (name, c), d in itertools.product((CONDITIONS | LAG_CONDITIONS).items(), DIRECTIONS.values()):
        truth = c.truth(d.name, d.cross)
        row = {"condition": name, "estimator": "centred", "direction": d.name, "term": d.cross}
        # At lag 3 the mean is on the other side of zero.
        row |= {"truth": truth, "bias": -1.5 * truth if c.lag == 3 else -0.5 * truth, "bias_mcse": 0.001}
        row |= dict.fromkeys(MEASURES, 0.5) | {f"{m}_mcse": 0.01 for m in MEASURES}
        rows.append(row | {"n_replicates": 100, "n_failed": 0})
    return Recovery(pd.DataFrame(rows), {}, older_code=False, other_design=False)


def test_the_table_has_the_conditions_that_are_asked_for(study):
    table = performance_table(study, "x_to_y")
    assert len(table) == len(CONDITIONS) and "lag" not in table
    longer = performance_table(study, "x_to_y", PLAIN_LAGS)
    assert list(longer["lag"]) == ["2", "3"]
    assert list(longer["truth"]) == ["−0.11", "−0.08"]


def test_a_wrong_sign_is_called_so(study, three):
    said = lag_sentences(study, three)
    assert said.count("At lag 2") == said.count("At lag 3") == 2
    assert said.count("the wrong sign") == 2
    assert "was 0.038 (0.001) on average where −0.076 is true: the wrong sign." in said
    assert said.count("more often than in 50 % of the replicates") == 2


def test_a_mean_within_monte_carlo_error_of_zero_has_no_sign(study, three):
    s = study.summary
    s.loc[s["condition"] == "plain_lag2", "bias"] = -s["truth"] - 0.0015 * np.sign(s["truth"])
    said = lag_sentences(study, three)
    assert said.count("no different from zero") == 2 and said.count("the wrong sign") == 2


def test_a_study_without_lags_says_nothing(study, three):
    s = study.summary
    bare = Recovery(s[s["condition"].isin(CONDITIONS)], {}, older_code=False, other_design=False)
    assert lag_sentences(bare, three) == ""


def test_pools_of_few_stand_beside_those_of_all(study):
    assert few_studies_table(study).empty
    s = study.summary[study.summary["condition"].isin(CONDITIONS)]
    few = s.assign(pool="3", coverage=0.9, rejection=np.where(s["direction"] == "x_to_y", 0.06, 0.08))
    both = Recovery(pd.concat([s.assign(pool="all"), few]), {}, older_code=False, other_design=False)
    table = few_studies_table(both)
    assert len(table) == len(CONDITIONS) / 2
    assert set(table["coverage, 3 studies"]) == {percent(0.9, 0)}
    assert set(table["type I error, 3 studies"]) == {percent(0.08, 0)}
    assert set(table["coverage, all studies"]) == {percent(0.5, 0)}
    assert not any("5 studies" in column for column in table)
