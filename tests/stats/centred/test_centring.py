"""Centring on arrays: by hand, and the same rows as the panel's own transitions."""

import numpy as np
import pytest

from twostage.stats.centred.centring import centred_transitions, enough_sessions

GAP = np.nan
# Sums of the same few numbers in another order.
ROUNDING = 1e-12


def test_rows_by_hand():
    """Patient 0: x 1 3 . 5 (mean 3), y 2 2 5 . (mean 3): only 0 -> 1 and 1 -> 2 have both variables first; x is
    missing at 2. Patient 1: both only at 0 and 3: session 3 does not follow session 0."""
    Y = np.array(
        [[[1, 2], [3, 2], [GAP, 5], [5, GAP]], [[1, 1], [GAP, GAP], [GAP, GAP], [3, 5]]], dtype=float
    )
    rows = centred_transitions(Y)
    assert rows.patient.tolist() == [0, 0] and rows.session.tolist() == [0, 1]
    np.testing.assert_array_equal(rows.within, [[-2, -1], [0, -1]])
    np.testing.assert_array_equal(rows.mean, [[3, 3], [3, 3]])
    np.testing.assert_array_equal(rows.following, [[3, 2], [GAP, 5]])
    y, X, patient, names = rows.regression(0)
    assert (y.tolist(), X.tolist(), patient.tolist()) == ([3.0], [[1, -1, -2, 3, 3]], [0])
    assert names == ("intercept", "y_within", "x_within", "x_mean", "y_mean")
    assert rows.regression(1)[0].tolist() == [2.0, 5.0]
    assert centred_transitions(Y, 3).patient.tolist() == [0, 1]
    assert len(centred_transitions(Y, 7).patient) == 0


def wide(table, names=("x", "y")):
    """Patients' labels and their (n, T, 2) array."""
    patients, sessions = np.unique(table["patient"]), np.unique(table["session"])
    Y = np.full((len(patients), int(sessions.max()), 2), np.nan)
    at = np.searchsorted(patients, table["patient"]), table["session"].to_numpy() - 1
    Y[at] = table[list(names)].to_numpy()
    return patients, Y


def test_rows_are_the_panels(panels):
    for panel in panels.values():
        patients, Y = wide(panel.everyone)
        eligible = enough_sessions(Y, panel.parameters.min_sessions)
        assert set(patients[eligible]) == set(panel.sessions["patient"])
        rows = centred_transitions(Y[eligible], panel.parameters.lag)
        expected = panel.transitions().sort_values(["patient", "session"])
        assert patients[eligible][rows.patient].tolist() == expected["patient"].tolist()
        assert (rows.session + 1).tolist() == expected["session"].tolist()
        for name in ("within", "mean", "next"):
            mine = rows.following if name == "next" else getattr(rows, name)
            theirs = expected[[f"x_{name}", f"y_{name}"]].to_numpy()
            np.testing.assert_allclose(mine, theirs, rtol=ROUNDING, atol=ROUNDING)


def test_equal_scores_have_no_deviation():
    rows = centred_transitions(np.full((1, 3, 2), 0.1))
    assert not rows.within.any()


@pytest.mark.parametrize(
    ("Y", "lag", "message"),
    [
        (np.zeros((3, 4)), 1, "shape"),
        (np.zeros((3, 4, 3)), 1, "shape"),
        (np.full((2, 3, 2), np.inf), 1, "patient 0, session 0, variable 0"),
        (np.zeros((2, 3, 2)), 0, "lag"),
    ],
)
def test_wrong_input_is_refused(Y, lag, message):
    with pytest.raises(ValueError, match=message):
        centred_transitions(Y, lag)
