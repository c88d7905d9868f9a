"""Both directions pooled jointly: by hand, from records on, at the boundaries, on simulated truth; tables and picture."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from twostage.display import number
from twostage.pages.joint import plots as plots_joint
from twostage.pages.joint.analysis import NO_COVARIANCE, PAIR, examine_joint, joint_options, pool_joint
from twostage.pages.joint.tables import (
    heterogeneity,
    joint_comparison,
    joint_sentences,
    joint_study_table,
    joint_table,
)
from twostage.params import make_parameters
from twostage.records.record import make_record
from twostage.stage1.equations import crosslevel, lagged
from twostage.stage2.pool import pool_records
from twostage.stats.base import attempt
from twostage.stats.base.checks import NotEstimable
from twostage.stats.multilevel.pair import pool_pair

# Same numbers by the same function, in another order.
ROUNDING = 1e-10
# The optimiser ends at a relative step of about 1e-9 in a variance.
CLOSED = 1e-7
# Four Monte Carlo standard errors: a correct method fails one such comparison in 16,000 (the seed is fixed).
BAND = 4.0


@pytest.fixture(scope="module")
def records(panels):
    return [make_record(panel, lagged(panel)) for panel in panels.values()]


def with_pair(record, study, pair, V):
    """A record of another study whose two cross-lags and their covariance are these."""
    estimates = []
    for e in record.estimates:
        new = {"study": study}
        if (e.direction, e.term) in PAIR:
            j = PAIR.index((e.direction, e.term))
            new |= {"estimate": float(pair[j]), "std_error": float(V[j, j] ** 0.5)}
        estimates.append(e.model_copy(update=new))
    joint = record.joint_covariances[0]
    matrix = np.zeros((10, 10))
    at = [list(zip(joint.directions, joint.terms, strict=True)).index(key) for key in PAIR]
    matrix[np.ix_(at, at)] = V
    joint = joint.model_copy(update={"matrix": tuple(map(tuple, matrix.tolist()))})
    changed = {"study": study, "label": study, "estimates": tuple(estimates), "joint_covariances": (joint,)}
    return record.model_copy(update=changed)


def made(record, Y, V):
    return [with_pair(record, f"S{i:02d}", y, v) for i, (y, v) in enumerate(zip(Y, V, strict=True))]


V2 = np.array([[0.02, 0.01], [0.01, 0.03]])


def heterogeneous(k=9, seed=2):
    return np.random.default_rng(seed).multivariate_normal([0.1, -0.3], [[0.3, 0.1], [0.1, 0.2]], k)


def without(record, direction):
    """The record of a study that could not estimate one direction."""
    kept = tuple(e for e in record.estimates if e.direction != direction)
    return record.model_copy(update={"estimates": kept})


# --- numbers


def test_equal_sampling_covariances_by_hand(records):
    """Means, S / k, the paired t test; the between-study correlation is that of S - V."""
    Y = heterogeneous()
    found = pool_joint(made(records[0], Y, [V2] * 9))
    S = np.cov(Y.T)
    rows = found.tidy().set_index("effect")
    np.testing.assert_allclose(rows["estimate"], [*Y.mean(axis=0), Y.mean(axis=0) @ [1, -1]], rtol=CLOSED)
    error = np.sqrt(np.array([S[0, 0], S[1, 1], S[0, 0] + S[1, 1] - 2 * S[0, 1]]) / 9)
    np.testing.assert_allclose(rows["std_error"], error, rtol=CLOSED)
    assert (rows["df"] == 8).all()
    G = S - V2
    assert found.fit.rho == pytest.approx(G[0, 1] / np.sqrt(G[0, 0] * G[1, 1]), rel=CLOSED)
    assert found.rho.low < found.fit.rho < found.rho.high
    assert found.flags == () and found.converged and not found.singular
    np.testing.assert_allclose(found.region().shape, S / 9, rtol=CLOSED)


def test_from_panels_on(records):
    """The 2 x 2 blocks of the records, pooled by the core; model variances keep the correlation."""
    Y = [[r.tidy().set_index(["direction", "term"]).loc[key, "estimate"] for key in PAIR] for r in records]
    V = np.array([r.joint_covariance().loc[list(PAIR), list(PAIR)].to_numpy() for r in records])
    robust, model = (pool_joint(records, variances=v) for v in ("robust", "model"))
    by_hand = pool_pair(np.array(Y), V)
    np.testing.assert_allclose(robust.fit.cov, by_hand.cov, rtol=ROUNDING)
    np.testing.assert_allclose(robust.fit.estimate, by_hand.estimate, rtol=ROUNDING)
    np.testing.assert_allclose(robust.studies["first_se"], np.sqrt(V[:, 0, 0]), rtol=ROUNDING)
    own = [r.tidy().set_index(["direction", "term"]).loc[PAIR[0], "std_error"] for r in records]
    np.testing.assert_allclose(model.studies["first_se"], own, rtol=ROUNDING)
    np.testing.assert_allclose(model.studies["correlation"], robust.studies["correlation"], rtol=ROUNDING)


def test_other_pairs(panels):
    """A direction's cross-lag with its change by a person mean, from the cross-level analysis."""
    of_studies = [make_record(p, crosslevel(p)) for p in panels.values()]
    pair = (("x_to_y", "x_within"), ("x_to_y", "x_within:x_mean"))
    assert pool_joint(of_studies, pair=pair).tidy()["term"].tolist()[1] == "x_to_y:x_within:x_mean"


def test_truth_is_recovered(records):
    """Effects, coverage of the difference and of the region; half the studies with one direction only."""
    rng = np.random.default_rng(8)
    G, theta, replicates = np.array([[0.05, 0.02], [0.02, 0.04]]), np.array([-0.1, -0.2]), 20
    inside, found = np.zeros(2), []
    for _ in range(replicates):
        V = [V2 * rng.uniform(0.2, 1.0) for _ in range(14)]
        Y = np.array([rng.multivariate_normal(theta, G + v) for v in V])
        of_studies = made(records[0], Y, V)
        of_studies[:3] = [without(r, "y_to_x") for r in of_studies[:3]]
        result = pool_joint(of_studies)
        found.append(result.fit.estimate)
        difference = result.fit.difference
        inside += [difference.ci_low <= 0.1 <= difference.ci_high, result.region().contains(theta)]
    found = np.array(found)
    assert (np.abs(found.mean(axis=0) - theta) < BAND * found.std(axis=0) / np.sqrt(replicates)).all()
    np.testing.assert_allclose(inside / replicates, 0.95, atol=BAND * np.sqrt(0.95 * 0.05 / replicates))


# --- who is in


def test_a_study_with_one_direction_takes_part(records):
    Y = heterogeneous()
    whole = made(records[0], Y, [V2] * 9)
    found = pool_joint([without(whole[0], "y_to_x"), *whole[1:]])
    assert found.fit.k == (9, 8) and found.fit.k_both == 8
    assert found.left_out.to_dict("records") == [
        {
            "study": "S00",
            "direction": "y_to_x",
            "reason": "its record does not have y → x (within, cross-lagged)",
        }
    ]
    assert np.isnan(found.studies.loc[0, "second"]) and found.studies.loc[0, "first"] == Y[0, 0]
    assert found.fit.first.df == 8.0 and found.fit.difference.df == 7.0


def test_why_a_study_is_not_in(records):
    whole = made(records[0], heterogeneous(5), [V2] * 5)
    bare = whole[0].model_copy(update={"joint_covariances": ()})
    lost = tuple(e.model_copy(update={"converged": e.direction == "x_to_y"}) for e in whole[1].estimates)
    unconverged = whole[1].model_copy(update={"estimates": lost})
    found = pool_joint([bare, unconverged, *whole[2:]])
    assert found.fit.k == (4, 3)
    reasons = {(r.study, r.direction): r.reason for r in found.left_out.itertuples()}
    assert reasons == {
        ("S00", "x_to_y"): NO_COVARIANCE,
        ("S00", "y_to_x"): NO_COVARIANCE,
        ("S01", "y_to_x"): "the fit did not converge",
    }


def test_what_cannot_be_pooled(records):
    with pytest.raises(NotEstimable, match=r"x → y \(within, cross\-lagged\) is known from 1 of the studies"):
        pool_joint(records[:1])
    whole = made(records[0], heterogeneous(4), [V2] * 4)
    apart = [without(r, d) for r, d in zip(whole, ("x_to_y", "y_to_x") * 2, strict=True)]
    with pytest.raises(NotEstimable, match="no study has both directions"):
        pool_joint(apart)
    with pytest.raises(ValueError, match="one record per study"):
        pool_joint([records[0], records[0]])
    with pytest.raises(ValueError, match="found none"):
        pool_joint([])
    with pytest.raises(ValueError, match="variances must be one of robust, model"):
        pool_joint(records, variances="naive")


# --- at the boundaries


def flagged(found, words):
    return any(words in flag for flag in found.flags)


def test_two_studies(records):
    found = pool_joint(made(records[0], heterogeneous(2), [V2] * 2))
    assert flagged(found, "two studies") and flagged(found, "rests on 2 studies with both")
    assert found.region() is None and found.region("prediction") is None
    assert np.isnan(found.fit.joint.p_value) and np.isfinite(found.fit.difference.p_value)
    plt.close(plots_joint.joint_region(found).figure)
    assert "too few studies" in joint_sentences(attempt(lambda: found), WORDS)["region"]


def test_correlation_at_its_bound(records):
    along = np.random.default_rng(1).normal(size=8)
    Y = np.column_stack([along, 0.7 * along])
    found = pool_joint(made(records[0], Y, [V2 / 5] * 8))
    assert found.fit.rho == pytest.approx(1.0, abs=1e-6) and found.singular
    assert flagged(found, "at its bound, 1")
    assert found.rho.high_bounded and not found.rho.low_bounded


def test_a_correlation_of_which_nothing_is_known_is_no_number(records):
    found = pool_joint(made(records[0], heterogeneous(12), [V2 / 5] * 12))
    assert found.knows_rho
    unknown = replace(found, rho=replace(found.rho, low_bounded=True, high_bounded=True))
    assert not unknown.knows_rho
    for result, said in ((found, number(found.fit.rho)), (unknown, "not estimable")):
        assert heterogeneity(result, WORDS).iloc[-1]["estimate"] == said
        assert said in joint_sentences(attempt(lambda result=result: result), WORDS)["correlation"]


@pytest.mark.parametrize("rho", [0.999, 1 - 1e-5, 1e-5 - 1])
def test_a_correlation_near_its_bound_is_not_called_at_it(records, rho):
    """Equal sampling covariances: the estimate is the correlation of S - V, which is chosen here."""
    covariance = rho * (0.3 * 0.2) ** 0.5
    G = np.array([[0.3, covariance], [covariance, 0.2]])
    Y = heterogeneous(12)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(Y.T)), (Y - Y.mean(axis=0)).T)
    found = pool_joint(made(records[0], (np.linalg.cholesky(G + V2) @ white).T, [V2] * 12))
    assert found.fit.rho == pytest.approx(rho, abs=1e-6)
    assert not flagged(found, "at its bound")


def test_no_heterogeneity(records):
    Y = np.array([[0.30, 0.10], [0.32, 0.11], [0.29, 0.09], [0.31, 0.10]])
    found = pool_joint(made(records[0], Y, [V2] * 4))
    assert found.rho is None and np.isnan(found.fit.rho) and flagged(found, "not defined")
    assert np.isnan(found.glance()["rho_low"][0])
    assert "does not vary" in joint_sentences(attempt(lambda: found), WORDS)["correlation"]


# --- options, tables, picture


class WORDS:
    """Stands for a collection: the names of its pair."""

    class x:
        label = "alliance"

    class y:
        label = "symptoms"


def test_options_of_a_run():
    assert joint_options(make_parameters({})) == {"method": "REML", "test": "t", "level": 0.95}
    other = make_parameters({"tau2_method": "ML", "ci_method": "wald", "level": 0.9})
    assert joint_options(other) == {"method": "ML", "test": "z", "level": 0.9}
    assert joint_options(make_parameters({"tau2_method": "DL"}))["method"] == "REML"


def test_tables_and_sentences(records, three):
    found = examine_joint(records, joint_options(make_parameters({})))
    result, words = found["robust"].result, joint_sentences(found["robust"], three)
    table = joint_table(result, three)
    assert len(table) == 3 and table["effect"].tolist()[2] == "difference"
    assert len(heterogeneity(result, three)) == 3
    assert joint_study_table(result, three)["study"].tolist() == [r.label for r in records]
    compared = joint_comparison(found, pool_records(records), three)
    assert compared["pooled"].tolist()[:3] == [
        "separately",
        "jointly, common variances",
        "jointly, variances of the equations",
    ]
    assert all(text in words["effects"] for text in table["estimate"][:2])
    verdict = "apart" if result.fit.difference.p_value < 0.05 else "do not tell"
    assert verdict in words["difference"]
    zero = "does not contain" if result.fit.joint.p_value < 0.05 else " contains "
    assert zero in words["region"]
    assert all(flag in words["remarks"] for flag in result.flags)
    assert "x_to_y:x_within" in result._repr_html_()
    assert result.glance()["k_both"].tolist() == [3]


def test_too_few_studies_are_told_why(records, three):
    found = examine_joint(records[:1], joint_options(make_parameters({})))
    words = joint_sentences(found["robust"], three)
    assert words["remarks"].startswith("Not computed: x → y (within, cross-lagged) is known from 1")
    assert joint_comparison(found, pool_records(records[:1]), three).empty


def test_the_picture(records, three):
    Y = heterogeneous()
    whole = made(records[0], Y, [V2] * 9)
    result = pool_joint([without(whole[0], "y_to_x"), *whole[1:]])
    ax = plots_joint.joint_region(result, collection=three)
    labels = ax.get_legend_handles_labels()[1]
    assert {"studies", "pooled", "equal effects", "95 % region of pooled effects"} <= set(labels)
    assert "studies with one effect (at the edge)" in labels
    assert len(ax.collections[0].get_offsets()) == 8
    diamond = next(line for line in ax.lines if line.get_label() == "pooled")
    np.testing.assert_allclose(np.ravel(diamond.get_data()), result.fit.estimate)
    low, high = ax.get_xlim()
    assert low < np.nanmin(result.studies["first"]) and high > np.nanmax(result.studies["first"])
    given = plt.subplots()[1]
    assert plots_joint.joint_region(result, given) is given
    plt.close("all")
