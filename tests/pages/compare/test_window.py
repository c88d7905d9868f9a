"""The same studies in another window: which window, and that it is what two runs compared would show."""

import pandas as pd
import pytest

from twostage.pages.compare.analysis import compare
from twostage.pages.compare.window import compare_windows, other_window, window_name
from twostage.params import make_parameters
from twostage.records.analyse import analyse
from twostage.stage2.results import pool_results


@pytest.mark.parametrize(
    ("values", "last"),
    [
        ({}, 3),
        ({"last_session": 4}, 3),
        ({"first_session": 2, "last_session": 8, "early_last_session": 4}, 4),
        ({"min_sessions": 4}, 5),
        ({"lag": 3}, 5),
        ({"last_session": 3}, 6),
        ({"lag": 6}, 14),
    ],
)
def test_other_window_is_the_shortest_that_applies_or_twice_as_long(values, last):
    other = other_window(make_parameters(values))
    assert other.last_session == last
    # It is a possible analysis, and differs in nothing else.
    again = make_parameters(other.model_dump())
    assert again.model_copy(update={"last_session": make_parameters(values).last_session}) == make_parameters(
        values
    )


def test_comparison_is_that_of_two_runs(three):
    chosen, short = make_parameters({}), make_parameters({"last_session": 3})
    analyses = ("lagged", "crosslevel")
    records = {p: analyse(three, p, analyses).records for p in (chosen, short)}
    pooling = make_parameters({"tau2_method": "DL", "level": 0.9})
    found = compare_windows(three, records[chosen], pooling)
    assert (found.a, found.b) == ("sessions 1-3", "sessions 1-7") == tuple(map(window_name, (short, chosen)))
    how = {"tau2_method": "DL", "level": 0.9}
    runs = [
        pool_results(window_name(p), three, p.model_copy(update=how), records[p]) for p in (short, chosen)
    ]
    pd.testing.assert_frame_equal(found.tidy(), compare(*runs).tidy(), check_exact=True)
    assert list(found.parameters["parameter"]) == ["last_session"]
