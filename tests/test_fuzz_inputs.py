"""Malformed settings, registries, data and parameters are refused, or they work to the last table."""

import sys
from pathlib import Path

import pytest

# The tests are not a package; their shared helpers are found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from fuzz_inputs import fuzz

#: Inputs in this test; the script beside it runs as many as it is told.
N = 120


@pytest.mark.filterwarnings("error")
def test_inputs_are_refused_without_a_traceback_or_work(small):
    counts, faults = fuzz(N, 5, small)
    assert faults == []
    assert sum(counts.values()) == N
    refused = {kind for kind, outcome in counts if outcome == "refused"}
    assert refused == {"settings", "registry", "data", "parameters"}
    assert any(outcome == "accepted" for _, outcome in counts)
