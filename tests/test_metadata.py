"""What cites, archives and installs the software says the same everywhere, and its address is one setting."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]


def text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


PROJECT = tomllib.loads(text("pyproject.toml"))["project"]
CITATION = yaml.safe_load(text("CITATION.cff"))
CODEMETA = json.loads(text("codemeta.json"))
ZENODO = json.loads(text(".zenodo.json"))
#: The one setting: where the repository is, once it is public.
ADDRESS = yaml.safe_load(text("_config.yml"))["repository"]["url"]

FACTS = {
    "version": [PROJECT["version"], CITATION["version"], CODEMETA["version"], ZENODO["version"]],
    "title": [CITATION["title"], CODEMETA["name"], ZENODO["title"]],
    "description": [
        PROJECT["description"],
        CITATION["abstract"],
        CODEMETA["description"],
        ZENODO["description"],
    ],
    "licence": [
        PROJECT["license"],
        CITATION["license"],
        CODEMETA["license"].removeprefix("https://spdx.org/licenses/"),
        ZENODO["license"],
    ],
    "authors": [
        [person["name"] for person in people]
        for people in (PROJECT["authors"], CITATION["authors"], CODEMETA["author"], ZENODO["creators"])
    ],
    "keywords": [PROJECT["keywords"], CITATION["keywords"], CODEMETA["keywords"], ZENODO["keywords"]],
    "article": [
        CITATION["references"][0]["doi"],
        CODEMETA["referencePublication"].removeprefix("https://doi.org/"),
        ZENODO["related_identifiers"][0]["identifier"],
    ],
}


@pytest.mark.parametrize("fact", FACTS)
def test_every_file_says_the_same(fact):
    first, *others = FACTS[fact]
    assert others == [first] * len(others)


def test_the_title_begins_with_the_packages_name_and_the_licence_is_the_files():
    assert CITATION["title"].split(":")[0] == CODEMETA["identifier"] == PROJECT["name"]
    assert text("LICENSE").startswith(f"{PROJECT['license']} License")


def test_the_address_is_that_of_the_books_settings_or_nowhere():
    """It is to be copied to all of them when the repository is public: CONTRIBUTING.md says how."""
    related = [r["identifier"] for r in ZENODO["related_identifiers"] if r["relation"] == "isSupplementTo"]
    said = {
        "pyproject.toml": list(PROJECT.get("urls", {}).values()),
        "CITATION.cff": [CITATION[key] for key in ("repository-code",) if key in CITATION],
        "codemeta.json": [CODEMETA[key] for key in ("codeRepository",) if key in CODEMETA],
        ".zenodo.json": related,
    }
    assert {
        file: ADDRESS in found if ADDRESS else not found for file, found in said.items()
    } == dict.fromkeys(said, True), f"_config.yml has {ADDRESS!r}, the others {said}"
