"""The drawn collections have the truth, the design and the dropout that their condition says."""

import numpy as np
import pytest

from twostage.recovery.conditions import BETWEEN_THERAPISTS, CONDITIONS, MEANS, PARAMETER, PLAIN, STEP
from twostage.recovery.design import StudyDesign, design_checksum
from twostage.recovery.draw import draw_scores, draw_study, observed_by_scores
from twostage.recovery.studies import study_designs

#: Standard errors from an expectation: a correct sample fails one such comparison in 16,000, and the seeds are fixed.
Z = 4.0


@pytest.fixture(scope="module")
def designs(three):
    from twostage.params import make_parameters

    return study_designs(three, make_parameters({}))


def slopes(scores: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Least squares of the next deviations from the true levels on these, rows y and x, columns x and y."""
    within = scores - levels
    now, later = within[:, :-1].reshape(-1, 2), within[:, 1:].reshape(-1, 2)
    return np.linalg.lstsq(now, later, rcond=None)[0].T[::-1]


def levels_of(scores):
    """A long series tells a patient's level to about nothing: its mean."""
    return scores.mean(axis=1, keepdims=True)


def test_a_long_series_has_the_coefficients_of_the_plain_condition():
    """With 400 sessions the bias of centring, (1 + phi) / 400, is below the tolerance."""
    scores = draw_scores(np.random.default_rng(1), CONDITIONS["plain"], 1, 300, 400)[0]
    found = slopes(scores, levels_of(scores))
    truth = [[PLAIN["b_xy"], PLAIN["phi_yy"]], [PLAIN["phi_xx"], PLAIN["b_yx"]]]
    assert np.abs(found - truth).max() < 0.01
    variance = scores.mean(axis=1).var(axis=0, ddof=1)
    error = np.sqrt(2 / 300)
    assert abs(variance[0] / PLAIN["icc_x"] - 1) < Z * error
    assert abs(variance[1] / PLAIN["icc_y"] - 1) < Z * error


def test_without_effects_nothing_crosses():
    scores = draw_scores(np.random.default_rng(2), CONDITIONS["plain_null"], 1, 300, 400)[0]
    found = slopes(scores, levels_of(scores))
    assert np.abs([found[0, 0], found[1, 1]]).max() < 0.01
    assert found[0, 1] > 0.4


def test_shared_trends_move_everybody():
    scores = draw_scores(np.random.default_rng(3), CONDITIONS["shared_trends"], 1, 20_000, 7)[0]
    mean = scores.mean(axis=0)
    for v, name in enumerate(("trend_x", "trend_y")):
        assert abs((mean[-1, v] - mean[0, v]) / 6 - MEANS[name]) < Z * np.sqrt(2 / 20_000) / 6


def test_own_trends_differ_and_average_out():
    condition = CONDITIONS["own_trends"]
    scores = draw_scores(np.random.default_rng(4), condition, 1, 20_000, 60)[0]
    time = np.arange(60) - 29.5
    lines = np.einsum("t,nt->n", time, scores[..., 0]) / (time @ time)
    # The process adds about 0.01 to the SD of lines of 60 sessions.
    assert abs(lines.std() - condition.own_trends) < 0.004
    assert abs(lines.mean()) < Z * lines.std() / np.sqrt(20_000)


def test_unequal_variances_grow_and_equal_ones_do_not():
    plain, growing = (
        draw_scores(np.random.default_rng(5), CONDITIONS[name], 1, 20_000, 7)[0].var(axis=0)
        for name in ("plain", "unequal_variances")
    )
    assert np.abs(plain / plain[0] - 1).max() < Z * np.sqrt(4 / 20_000)
    assert (np.diff(growing, axis=0)[1:] > 0).all()
    assert (growing[-1] / growing[0] > 1.15).all()


def test_heterogeneous_effects_differ_between_replicates_of_a_study():
    spread = CONDITIONS["heterogeneous"].between["phi_yy"]
    scores = draw_scores(np.random.default_rng(6), CONDITIONS["heterogeneous"], 60, 100, 200)
    found = np.array([slopes(s, levels_of(s))[0, 1] for s in scores])
    # Sampling adds little beside it: about 1 / sqrt(20,000).
    assert abs(found.std(ddof=1) / spread - 1) < Z / np.sqrt(2 * 59)


def test_moderation_makes_the_effect_depend_on_the_level():
    scores = draw_scores(np.random.default_rng(7), CONDITIONS["moderated"], 1, 600, 200)[0]
    level = levels_of(scores)[:, 0]
    high = level[:, 0] > np.quantile(level[:, 0], 0.75)
    low = level[:, 0] < np.quantile(level[:, 0], 0.25)
    effect = [slopes(scores[g], scores[g].mean(axis=1, keepdims=True))[0, 0] for g in (low, high)]
    assert effect[1] < effect[0] - 0.05


@pytest.mark.parametrize("name", ["plain", "dropout"])
def test_as_many_are_observed_as_in_the_study(designs, name):
    design = designs[0]
    scores = draw_study(np.random.default_rng(8), CONDITIONS[name], design, 5)
    observed = np.isfinite(scores)
    assert scores.shape == (5, *design.observed.shape)
    assert (observed.sum(axis=1) == design.observed.sum(axis=0)).all()


def test_patients_with_more_symptoms_leave(designs):
    design = max(designs, key=lambda d: len(d.observed))
    y = np.random.default_rng(9).standard_normal((400, *design.observed.shape[:2]))
    observed = observed_by_scores(np.random.default_rng(10), y, design, 1.0)
    last = observed.shape[2] - 1 - observed.any(axis=3)[:, :, ::-1].argmax(axis=2)
    leave = (last == 0) & observed[:, :, 0, 1]
    stay = (last > 0) & observed[:, :, 0, 1]
    assert y[:, :, 0][leave].mean() > 0.5
    assert y[:, :, 0][stay].mean() < 0
    none = observed_by_scores(np.random.default_rng(10), y, design, 0.0)
    last = none.shape[2] - 1 - none.any(axis=3)[:, :, ::-1].argmax(axis=2)
    same = y[:, :, 0][(last == 0) & none[:, :, 0, 1]]
    assert abs(same.mean()) < Z / np.sqrt(len(same))


def test_leaving_depends_on_what_was_observed_only():
    """Two draws with the same observed scores and others where nothing was observed leave the same way."""
    observed = np.ones((40, 4, 2), bool)
    observed[:12, 2:] = False
    observed[12:20, 1, 1] = False
    design = StudyDesign("S", "S", observed)
    y = np.random.default_rng(11).standard_normal((50, 40, 4))
    first = observed_by_scores(np.random.default_rng(12), y, design, 1.0)
    hidden = np.where(first[..., 1], y, 99.0)
    again = observed_by_scores(np.random.default_rng(12), hidden, design, 1.0)
    assert (first == again).all()


def test_draws_repeat_and_differ(designs):
    condition, design = CONDITIONS["everything"], designs[0]
    one, same, other = (draw_study(np.random.default_rng(s), condition, design, 2) for s in (1, 1, 2))
    assert np.array_equal(one, same, equal_nan=True)
    assert not np.array_equal(one, other, equal_nan=True)


def test_every_condition_says_what_is_true():
    for name, condition in CONDITIONS.items():
        assert condition.name == name
        truths = {key: condition.truth(*key) for key in PARAMETER}
        cross = truths["x_to_y", "x_within"], truths["y_to_x", "y_within"]
        if condition.null:
            assert cross == (0.0, 0.0)
        elif len(condition.spacing) == 1:
            assert cross == (MEANS["b_xy"], MEANS["b_yx"])
            assert truths["x_to_y", "y_within"] == MEANS["phi_yy"]


def test_the_design_is_that_of_the_observed_scores(three, designs, panels):
    for design in designs:
        panel = panels[design.study]
        scores, patients = panel.wide()
        assert len(patients) == len(design.observed) == panel.everyone["patient"].nunique()
        assert np.isfinite(scores).sum() == panel.everyone[["x", "y"]].notna().sum().sum()
        row = panel.everyone.iloc[7]
        place = patients.get_loc(row["patient"]), row["session"] - panel.parameters.first_session
        assert np.array_equal(scores[place], row[["x", "y"]].to_numpy(float), equal_nan=True)


def test_the_checksum_ignores_the_order_of_patients_and_nothing_else(designs):
    first = designs[0]
    turned = StudyDesign(first.study, first.label, first.observed[::-1])
    fewer = StudyDesign(first.study, first.label, first.observed[1:])
    assert design_checksum((first,)) == design_checksum((turned,))
    assert len({design_checksum((d,)) for d in (first, fewer)} | {design_checksum(designs)}) == 3


def test_where_time_varies_the_truth_is_the_mean_of_the_powers():
    """By simulation: regress on the true deviations of a long series; and by hand for two steps."""
    condition = CONDITIONS["unequal_spacing"]
    scores = draw_scores(np.random.default_rng(13), condition, 1, 300, 400)[0]
    found = slopes(scores, levels_of(scores))
    names = [
        [("x_to_y", "x_within"), ("x_to_y", "y_within")],
        [("y_to_x", "x_within"), ("y_to_x", "y_within")],
    ]
    assert np.abs(found - [[condition.truth(*key) for key in row] for row in names]).max() < 0.01
    one, two, three = condition.spacing
    b, phi = PLAIN["b_xy"], PLAIN["phi_xx"] + PLAIN["phi_yy"]
    squared = b * phi
    cubed = PLAIN["phi_xx"] * squared + b * (PLAIN["phi_yy"] ** 2 + b * PLAIN["b_yx"])
    assert condition.truth("x_to_y", "x_within") == pytest.approx(one * b + two * squared + three * cubed)


def test_error_takes_its_share_of_the_variance_within_patients():
    """Of scores at equal distances error adds to the variance and to nothing else."""
    options = (1, 4000, 40)
    clean, noisy = (
        draw_scores(np.random.default_rng(14), CONDITIONS[name], *options)[0]
        for name in ("plain", "measurement_error")
    )
    rho = CONDITIONS["measurement_error"].reliability
    within = np.array([1 - PLAIN["icc_x"], 1 - PLAIN["icc_y"]])
    added = noisy.var(axis=(0, 1)) - clean.var(axis=(0, 1))
    # The draws differ: patients' levels decide how exact the variances are.
    assert np.abs(added - within * (1 - rho) / rho).max() < Z * np.sqrt(4 / 4000) * 0.6
    between = [np.cov(s[:, 0, 0], s[:, 30, 0])[0, 1] for s in (clean, noisy)]
    assert abs(between[1] - between[0]) < Z * np.sqrt(4 / 4000)


def test_scales_end_and_have_steps():
    scores = draw_scores(np.random.default_rng(15), CONDITIONS["floors"], 1, 4000, 7)[0]
    floor = CONDITIONS["floors"].floor
    assert scores[..., 1].min() == pytest.approx(floor) and scores[..., 0].max() == pytest.approx(-floor)
    at_the_end = (scores[..., 1] <= floor + 1e-9).mean()
    assert 0.15 < at_the_end < 0.30
    steps = scores / STEP
    assert np.abs(steps - np.round(steps)).max() < 1e-9


def test_what_is_carried_over_differs_between_patients():
    condition = CONDITIONS["own_autoregressions"]
    scores = draw_scores(np.random.default_rng(16), condition, 1, 300, 400)[0]
    own = np.array([slopes(s[None], s[None].mean(axis=1, keepdims=True))[0, 1] for s in scores])
    # Sampling adds about 1 / sqrt(400), draws that do not settle are drawn again.
    assert abs(own.std() - np.hypot(condition.own_autoregressions, np.sqrt(0.8 / 400))) < 0.02
    assert abs(own.mean() - PLAIN["phi_yy"]) < 0.03


def test_patients_of_one_therapist_are_alike(monkeypatch):
    """The means of 200 patients of each of 40 therapists vary as their share says, and not where there are none."""
    monkeypatch.setattr("twostage.recovery.draw.PER_THERAPIST", 200)
    rng = np.random.default_rng(17)
    scores = draw_scores(_Ordered(rng), CONDITIONS["therapists"], 1, 8000, 60)[0].mean(axis=1)
    means = scores.reshape(40, 200, 2).mean(axis=1).var(axis=0, ddof=1)
    expected = BETWEEN_THERAPISTS * np.array([PLAIN["icc_x"], PLAIN["icc_y"]])
    assert np.abs(means / expected - 1).max() < Z * np.sqrt(2 / 39) + 0.1
    plain = draw_scores(rng, CONDITIONS["plain"], 1, 8000, 60)[0].mean(axis=1)
    assert plain.reshape(40, 200, 2).mean(axis=1).var(axis=0, ddof=1).max() < 0.2 * expected.min()


class _Ordered:
    """A generator that gives every therapist the patients in a row."""

    def __init__(self, rng):
        self._rng = rng

    def __getattr__(self, name):
        return getattr(self._rng, name)

    def integers(self, low, high, size):
        return np.broadcast_to(np.repeat(np.arange(high), size[1] // high), size)


def test_leaving_may_depend_on_what_is_not_seen():
    """Who leaves has a higher next y; the last y that was seen decides nothing."""
    observed = np.ones((200, 4, 2), bool)
    observed[:80, 2:] = False
    design = StudyDesign("S", "S", observed)
    y = np.random.default_rng(18).standard_normal((100, 200, 4))
    found = observed_by_scores(np.random.default_rng(19), y, design, 1.0, unseen=True)
    gone = ~found[:, :, 2, 1]
    assert gone.sum(axis=1).tolist() == [80] * 100
    assert y[:, :, 2][gone].mean() > 0.4
    assert abs(y[:, :, 1][gone].mean()) < Z / np.sqrt(gone.sum())
