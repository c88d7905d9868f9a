"""Two processes never carry out the same run at once."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from standin import write_project

from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.run import LOCK
from twostage.pipeline.session import carry_out, steps_to_do
from twostage.pipeline.tables_only import write_tables


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A project whose default run has been prepared and not carried out."""
    project = write_project(tmp_path_factory.mktemp("prepared") / "project", studies=2)
    plan_run(project, Request()).write()
    return project


def entries(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every entry of a folder, but the lock: when it was written and what is in it."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.name != LOCK}
    return {name: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for name, p in found.items()}


@pytest.mark.parametrize("second", [carry_out, write_tables, steps_to_do])
def test_a_second_command_leaves_a_run_in_progress_as_it_is(prepared, second):
    folder = prepared / "runs" / "default"
    with FileLock(folder / LOCK):
        before = entries(folder)
        other = plan_run(prepared, Request(name="default", assignments=("tau2_method=DL",)))
        if second is steps_to_do:
            assert "stage2_lagged" in second(other)
        else:
            with pytest.raises(PipelineError, match="another process"):
                second(other)
        assert entries(folder) == before


def test_a_run_in_progress_is_left_alone(tmp_path):
    (tmp_path / "unfinished").mkdir()
    run = SimpleNamespace(folder=tmp_path, unfinished=tmp_path / "unfinished")
    plan = SimpleNamespace(run=run)
    with FileLock(tmp_path / ".lock"), pytest.raises(PipelineError, match="another process"):
        carry_out(plan)
    assert run.unfinished.is_dir()
