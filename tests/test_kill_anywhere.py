"""Each command survives being killed at a random moment; ``kill_anywhere.py`` kills more often."""

import os
import sys
from pathlib import Path

import pytest

# The tests are not a package; their shared helpers are found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from kill_anywhere import SCENARIOS, kill_anywhere

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes as Linux shows them"),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_nothing_is_lost_and_the_same_command_leads_to_equal_results(scenario, tmp_path):
    for kill in kill_anywhere(scenario, tmp_path, kills=1, seed=os.getpid()):
        assert not kill.problems, kill
