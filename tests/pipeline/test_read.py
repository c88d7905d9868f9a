"""A run's tables are read once, and again where they are others."""

import pytest

from twostage.pipeline.book import read
from twostage.pipeline.book.read import read_table


def test_a_table_is_read_once_and_again_when_it_changed(tmp_path, monkeypatch):
    read_before, times = read.read_csv, []
    monkeypatch.setattr(read, "read_csv", lambda *a, **k: times.append(a) or read_before(*a, **k))
    file = tmp_path / "pooled.csv"
    file.write_text("study,k\nS01,1\n")
    first = read_table(file)
    first["k"] = 7
    assert list(read_table(file)["k"]) == [1] and len(times) == 1
    assert list(read_table(file, texts=True)["k"]) == ["1"] and len(times) == 2
    file.write_text("study,k\nS01,12\n")
    assert list(read_table(file)["k"]) == [12] and len(times) == 3
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.csv")
