"""A book says how it is cited and what it was made from, in texts that nothing obeys."""

from dataclasses import replace

import pytest
import yaml
from hostile import TEXTS
from made_up import REPOSITORY
from pybtex.database import parse_string

from twostage.files import write_text
from twostage.pipeline.book.footer import CITE_ADDRESS
from twostage.pipeline.book.imprint import make_imprint
from twostage.pipeline.run import Run


@pytest.fixture
def run(three, tmp_path) -> Run:
    studies = tuple(three.studies["study"])
    return Run(
        folder=tmp_path,
        project=REPOSITORY,
        collection=three.path,
        parameters={},
        studies=studies,
        has_outcome=True,
    )


def test_the_facts_are_those_of_collection_package_and_day(run, three, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    found = make_imprint(run, three)
    assert (found.date, found.authors, found.title) == ("1970-01-02", three.authors, three.title)
    assert (found.version, found.code_licence) == (str(citation["version"]), citation["license"])
    assert found.software_authors == citation["authors"][0]["name"]
    assert found.data_licences == "CC0-1.0"
    assert found.sentence.startswith(f"{three.authors} (1970). {three.title} [")


def test_the_checksum_is_that_of_the_studies_data(run, three):
    assert make_imprint(run, three).checksum == ""
    for study in run.studies:
        write_text(run.study_file(study), '{"checksum": "a"}')
    first = make_imprint(run, three).checksum
    assert len(first) == 64 and first == make_imprint(run, three).checksum
    write_text(run.study_file(run.studies[1]), '{"checksum": "b"}')
    assert make_imprint(run, three).checksum != first


@pytest.mark.parametrize("text", [*TEXTS, "50 % of A & B: {x}_1 ~ \\y^2 #3 $"])
def test_any_title_and_any_name_is_cited(run, three, text):
    found = make_imprint(run, replace(three, title=text, authors=text))
    lines = found.bibtex().splitlines()
    entries = parse_string("\n".join(lines[1:-1]), "bibtex").entries
    assert set(entries) == {"book", "twostage"}
    # Every brace of a field is closed in it, and braces of the text are not counted.
    title = entries["book"].fields["title"]
    plain = title.replace("\\{", "").replace("\\}", "")
    assert plain.count("{") == plain.count("}")
    assert "<img" not in found.footer and "<script" not in found.footer
    assert found.footer.count("<a ") == 1 and CITE_ADDRESS in found.footer
