"""A recovery study is resumable, is stored with its collection, and shows in a run."""

import json

import pandas as pd
import pytest

from twostage.collection.collection import read_collection
from twostage.pipeline.inputs import prepare
from twostage.pipeline.recovery import CHUNK, carry_out_recovery, gather, make_chunk, plan_recovery
from twostage.pipeline.run import load_run
from twostage.recovery.store import LONGER_LAGS, read_recovery, write_recovery
from twostage.terms import ESTIMATORS

REPLICATES = CHUNK


@pytest.fixture
def plan(small, tmp_path):
    return plan_recovery(tmp_path, small, replicates=REPLICATES, bootstraps=5, conditions=["plain"])


@pytest.mark.slow
def test_finished_chunks_are_kept_and_the_result_is_stored(plan, small):
    folder = carry_out_recovery(plan, jobs=1)
    (chunk,) = plan.folder.iterdir()
    assert chunk == plan.file("plain", 0)
    made, content = chunk.stat().st_mtime_ns, chunk.read_bytes()
    carry_out_recovery(plan, jobs=1)
    assert chunk.stat().st_mtime_ns == made
    chunk.unlink()
    carry_out_recovery(plan, jobs=1)
    again = pd.read_csv(chunk).drop(columns="seconds")
    chunk.write_bytes(content)
    pd.testing.assert_frame_equal(again, pd.read_csv(chunk).drop(columns="seconds"))
    stored = read_recovery(read_collection(small))
    assert folder == small / "recovery"
    assert stored.caution() == ""
    assert stored.about["replicates"] == stored.about["fewest_replicates"] == REPLICATES
    assert set(stored.summary["estimator"]) == set(ESTIMATORS)
    assert (stored.summary["n_replicates"] + stored.summary["n_failed"] == REPLICATES).all()


def test_a_chunk_is_written_whole(plan, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("too much")

    monkeypatch.setattr("twostage.pipeline.recovery.replicate", fail)
    plan.folder.mkdir(parents=True)
    with pytest.raises(MemoryError):
        make_chunk(plan, "plain", 0)
    assert not list(plan.folder.iterdir())


def test_more_replicates_keep_what_is_there(plan, small, tmp_path):
    more = plan_recovery(tmp_path, small, replicates=2 * REPLICATES, bootstraps=5, conditions=["plain"])
    assert more.folder == plan.folder
    assert more.chunks()[: len(plan.chunks())] == plan.chunks()


def test_what_other_plans_made_is_summarised_too(plan):
    plan.folder.mkdir(parents=True)
    row = {
        "replicate": 0,
        "k": 3,
        "estimate": 0.1,
        "std_error": 0.1,
        "ci_low": -0.1,
        "ci_high": 0.3,
        "tau2": 0.0,
    }
    row |= {"pool": "all", "estimator": "centred", "direction": "x_to_y", "term": "x_within", "seconds": 2.0}
    for condition, chunk in (("everything", 0), ("plain", 0), ("plain", 1)):
        rows = [row | {"condition": condition, "replicate": r} for r in range(CHUNK)]
        pd.DataFrame(rows).to_csv(plan.file(condition, chunk), index=False)
    summary, about = gather(plan, 2)
    assert list(summary["condition"]) == ["plain", "everything"]
    assert list(summary["n_replicates"]) == [2 * CHUNK, CHUNK]
    assert (about["replicates"], about["fewest_replicates"], about["seconds"]) == (2 * CHUNK, CHUNK, 6.0)


def test_another_seed_or_other_studies_have_a_place_of_their_own(plan, small, tmp_path):
    options = {"replicates": REPLICATES, "bootstraps": 5, "conditions": ["plain"]}
    assert plan_recovery(tmp_path, small, **options).folder == plan.folder
    assert plan_recovery(tmp_path, small, seed=1, **options).folder != plan.folder
    sessions = small / "sessions" / "S01.csv"
    sessions.write_text("\n".join(sessions.read_text().splitlines()[:-1]) + "\n")
    assert plan_recovery(tmp_path, small, **options).folder != plan.folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicates": 0}, "multiple of 20"),
        ({"replicates": 30}, "multiple of 20"),
        ({"replicates": 20, "conditions": ["sunny"]}, "sunny"),
    ],
)
def test_what_cannot_be_done_is_refused(small, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        plan_recovery(tmp_path, small, **options)
    assert not (tmp_path / "runs").exists()


def test_another_lag_is_refused(small, tmp_path):
    text = (small / "collection.yml").read_text()
    (small / "collection.yml").write_text(text.replace("last_session: 7", "last_session: 7\n  lag: 2"))
    with pytest.raises(ValueError, match="lag: found 2"):
        plan_recovery(tmp_path, small, replicates=20)


def test_a_run_shows_what_is_stored(small, tmp_path):
    from standin import write_project

    project = write_project(tmp_path / "project")
    without = prepare(project, project / "runs" / "a", small, {}, "test").run
    assert not without.has_recovery
    assert "stage2_recovery" not in without.stage2
    write_recovery(small, pd.DataFrame({"condition": ["plain"]}), {"replicates": 20})
    plan = prepare(project, project / "runs" / "b", small, {}, "test")
    shown = plan.run
    assert shown.has_recovery
    assert "stage2_recovery" in shown.stage2
    assert shown.stored_inputs("stage2_recovery") == ["recovery"]
    assert [json.loads(p.read_text())["replicates"] for p in plan.stored if p.suffix == ".json"] == [20]
    plan.write()
    assert load_run(shown.folder).stage2 == shown.stage2
    part = prepare(project, project / "runs" / "c", small, {}, "test", only=["S01"])
    assert not part.run.has_recovery


def test_longer_lags_are_made_and_stored_without_touching_the_rest(small, tmp_path, monkeypatch):
    write_recovery(small, pd.DataFrame({"condition": ["plain"]}), {"replicates": 520})
    before = {path.name: path.read_bytes() for path in (small / "recovery").iterdir()}
    plan = plan_recovery(tmp_path, small, replicates=REPLICATES, conditions=["plain_lag2", "plain_null_lag3"])
    row = {"k": 3, "estimate": 0.1, "std_error": 0.1, "ci_low": -0.1, "ci_high": 0.3, "tau2": 0.0}
    row |= {"pool": "all", "estimator": "centred", "direction": "x_to_y", "term": "x_within", "seconds": 2.0}
    plan.folder.mkdir(parents=True)
    # A chunk at lag 1 with the same code, designs and seed belongs to the other part.
    for condition in (*plan.conditions, "plain"):
        rows = [row | {"condition": condition, "replicate": r} for r in range(CHUNK)]
        pd.DataFrame(rows).to_csv(plan.file(condition, 0), index=False)
    monkeypatch.setattr("twostage.pipeline.recovery.make_chunk", None)
    carry_out_recovery(plan, jobs=1)
    files = {path.name: path.read_bytes() for path in (small / "recovery").iterdir()}
    assert {name: files[name] for name in before} == before
    assert set(files) - set(before) == {"lags.csv", "lags.json"}
    stored = read_recovery(read_collection(small), LONGER_LAGS)
    assert list(stored.summary["condition"]) == ["plain_lag2", "plain_null_lag3"]
    assert stored.caution() == "" and stored.about["replicates"] == CHUNK
