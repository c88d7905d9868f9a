"""The part of a study's page that sets it against the others."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from twostage.pages.addition.analysis import addition
from twostage.pipeline.book.addition import study_section
from twostage.pipeline.book.pages import Pages

PARAMETERS = {"tau2_method": "REML", "ci_method": "hartung-knapp", "level": 0.95}
RUN = SimpleNamespace(parameters=PARAMETERS)


def kept(pooled) -> pd.DataFrame:
    return pd.concat([pooled["lagged"].estimates, pooled["outcome"].estimates])


def test_the_section_has_its_figure_and_table(pooled, three, tmp_path):
    section = study_section(RUN, kept(pooled), "S02", three, tmp_path)
    figure = tmp_path / "output" / "addition" / "S02.svg"
    assert figure.read_text(encoding="utf-8").startswith("<?xml")
    assert section["figure"].startswith(
        '```{image} /output/addition/S02.svg\n:alt: "Synthetic study 02 against'
    )
    expected = addition(kept(pooled), "S02").table
    assert section["table"].count("<tr") == 1 + len(expected)
    assert section["how"].startswith("τ² by REML")


def test_the_same_numbers_give_the_same_figure(pooled, three, tmp_path):
    for name in "ab":
        study_section(RUN, kept(pooled), "S02", three, tmp_path / name)
    first, second = ((tmp_path / name / "output" / "addition" / "S02.svg").read_bytes() for name in "ab")
    assert first == second


def test_a_study_alone_has_no_section(pooled, three, tmp_path):
    estimates = kept(pooled)
    assert study_section(RUN, estimates[estimates["study"] == "S02"], "S02", three, tmp_path) is None
    assert study_section(RUN, estimates.iloc[:0], "S02", three, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_page_shows_it_only_where_there_is_one(pooled, three, tmp_path):
    book = Path(__file__).parents[2] / "book"
    about = {"study": {"label": "Clinic", "study": "S02"}, "note": "n", "facts": {}}
    section = study_section(RUN, kept(pooled), "S02", three, tmp_path)
    with_it, without = (
        Pages(book, about).render("study.md.j2", against=against) for against in (section, None)
    )
    assert "## This study against the others" in with_it
    assert section["figure"] in with_it
    assert "`twostage addition S02`" in with_it
    assert "against" not in without
