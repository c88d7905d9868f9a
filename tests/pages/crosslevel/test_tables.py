"""What the ends of scales do to interactions is said by the numbers of the simulation and of the studies."""

from types import SimpleNamespace

import pandas as pd
import pytest

from twostage.pages.crosslevel.tables import ends_sentences, ends_table, least_that_matters, most_at_an_end
from twostage.recovery.simulations import Simulation

FLOORS = Simulation(
    "floors",
    pd.DataFrame(
        {
            "share": [0.0, 0.04, 0.1],
            "found": [0.2, 0.25, 0.9],
            "mc_error": 0.04,
            "replicates": 100,
            "k": 17,
            "end": -1.0,
        }
    ),
    {},
    True,
)


def record(label: str, n: int, **shares: float):
    return SimpleNamespace(label=label, summary={"n_sessions": n} | shares)


RECORDS = [
    record("A", 100, floor_x=0.0, ceiling_x=0.1, floor_y=0.2, ceiling_y=0.0),
    record("B", 300, floor_x=0.0, ceiling_x=0.2, floor_y=0.04, ceiling_y=0.0),
    record("results only", 50, floor_x=None),
]


def test_shares_of_each_study(three):
    table = ends_table(RECORDS, three)
    assert table.iloc[0].tolist()[1:] == ["0.0 %", "10.0 %", "20.0 %", "0.0 %"]
    assert table.iloc[2].tolist()[1:] == ["–"] * 4


def test_the_end_with_most_scores_over_the_studies():
    """x's ceiling: (100 * .1 + 300 * .2) / 400 = .175; y's floor: (20 + 12) / 400 = .08."""
    assert float(most_at_an_end(RECORDS)) == pytest.approx(0.175, rel=1e-12)
    assert most_at_an_end(RECORDS[2:]) == ""


def test_a_warning_from_halfway_to_the_first_share_that_differs():
    assert least_that_matters(FLOORS) == pytest.approx(0.07)
    many = ends_sentences("0.175", FLOORS)
    assert "**In these data 18 % lie at the end that has most. With 10 % the simulation" in many
    assert "90 % ± 3.0 %" in many
    few = ends_sentences("0.0699", FLOORS)
    assert "**" not in few
    assert "7 % lie" in few
    assert "is not known" in ends_sentences("", FLOORS)
