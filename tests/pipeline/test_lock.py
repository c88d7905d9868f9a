"""Two processes never carry out the same run at once."""

from types import SimpleNamespace

import pytest
from filelock import FileLock

from twostage.pipeline.errors import PipelineError
from twostage.pipeline.session import carry_out


def test_a_run_in_progress_is_left_alone(tmp_path):
    (tmp_path / "unfinished").mkdir()
    run = SimpleNamespace(folder=tmp_path, unfinished=tmp_path / "unfinished")
    plan = SimpleNamespace(run=run)
    with FileLock(tmp_path / ".lock"), pytest.raises(PipelineError, match="another process"):
        carry_out(plan)
    assert run.unfinished.is_dir()
