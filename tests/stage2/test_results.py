"""A run's pooled tables read back: the same numbers, the rows that answer the question, errors that say what is missing."""

import json

import pandas as pd
import pytest

from twostage.pages.common.leave import write_pooled
from twostage.pages.common.tables import headline_text
from twostage.params import make_parameters
from twostage.problems import RecordError
from twostage.records.record import make_record
from twostage.stage1.equations import crosslevel, lagged, outcome
from twostage.stage2.results import headline_terms, pool_results, read_results


@pytest.fixture
def run(tmp_path, pooled, three):
    """The folder of a run as far as results are read from it."""
    folder = tmp_path / "runs" / "short"
    for name, table in pooled.items():
        write_pooled(table, str(folder / "output" / f"stage2_{name}"))
    pd.DataFrame({"a": [1]}).to_csv(folder / "output" / "stage2_lagged" / "pooled_other.csv")
    (folder / "inputs" / "studies").mkdir(parents=True)
    studies = list(three.studies["study"])
    for study in studies:
        text = json.dumps({"checksum": three.study(study).checksum})
        (folder / "inputs" / "studies" / f"{study}.json").write_text(text)
    about = {"parameters": make_parameters({}).model_dump(), "studies": studies}
    (folder / "run.json").write_text(json.dumps(about))
    pair = {v: {"label": getattr(three, v).label} for v in ("x", "y")}
    (folder / "inputs" / "collection.json").write_text(json.dumps(pair))
    return folder


def test_numbers_are_those_that_were_pooled(run, pooled, three):
    results = read_results(run)
    assert results.name == "short"
    assert results.checksums == {s: three.study(s).checksum for s in three.studies["study"]}
    for name, table in pooled.items():
        mine = results.tidy()[results.tidy()["analysis"] == name].reset_index(drop=True)
        # Written with all digits, read back exactly.
        assert list(mine["estimate"]) == list(table.table["estimate"])
        assert list(mine["term"]) == list(table.table["term"])


def test_records_in_memory_give_the_same(run, panels, three):
    fits = {"lagged": lagged, "crosslevel": crosslevel, "outcome": outcome}
    records = {name: [make_record(p, fit(p)) for p in panels.values()] for name, fit in fits.items()}
    in_memory = pool_results("short", three, make_parameters({}), records)
    read = read_results(run)
    assert in_memory.checksums == read.checksums
    columns = ["analysis", "direction", "term", "k", "estimate", "ci_low", "tau2", "level"]
    pd.testing.assert_frame_equal(in_memory.headline()[columns], read.headline()[columns], check_exact=True)


def test_headline_has_each_answer_once_and_in_order(run):
    rows = read_results(run).headline()
    found = list(rows[["analysis", "variant", "direction", "term"]].itertuples(index=False, name=None))
    assert found == headline_terms()
    assert len(found) == 9


def test_headline_in_words_has_the_cross_lags_and_the_outcome(run, pooled):
    lines = headline_text(read_results(run))
    assert len(lines) == 3
    row = pooled["lagged"].row("x_to_y", "x_within")
    assert f"{row['estimate']:.2f}".replace("-", "−") in lines[0]
    assert "k = 3" in lines[0]
    assert "partial r" in lines[2]


def test_what_is_no_finished_run_is_an_error(run, tmp_path):
    with pytest.raises(RecordError, match="as 'twostage run' leaves it"):
        read_results(tmp_path)
    for path in run.glob("output/*/pooled_*.csv"):
        path.unlink()
    with pytest.raises(RecordError, match="finish the run first"):
        read_results(run)
    (run / "run.json").write_text("{")
    with pytest.raises(RecordError, match=r"run\.json"):
        read_results(run)
