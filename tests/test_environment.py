"""pyproject.toml, requirements.lock and environment.yml ask for the same software."""

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
LOCK = [Requirement(line) for line in (REPOSITORY / "requirements.lock").read_text().split("\n") if line]
PYTHONS = ("3.11.14", "3.12.1", "3.13.0")


def pins(python: str) -> dict[str, str]:
    """The versions that the lock file gives a Python."""
    of_python = {"python_full_version": python, "python_version": ".".join(python.split(".")[:2])}
    chosen = [line for line in LOCK if line.marker is None or line.marker.evaluate(of_python)]
    names = [canonicalize_name(line.name) for line in chosen]
    assert len(set(names)) == len(names), "a package is pinned twice"
    return {name: str(line.specifier) for name, line in zip(names, chosen, strict=True)}


def direct() -> list[Requirement]:
    """What the project asks for itself."""
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(line) for line in [*PROJECT["dependencies"], *(d for extra in extras for d in extra)]]


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_has_one_allowed_version_of_each_dependency(python):
    locked = pins(python)
    for wanted in direct():
        pin = locked[canonicalize_name(wanted.name)]
        assert pin.startswith("=="), f"{wanted.name} is not pinned: {pin}"
        assert wanted.specifier.contains(pin.removeprefix("==")), f"{wanted} but the lock has {pin}"


def test_lock_serves_exactly_the_supported_pythons():
    supported = SpecifierSet(PROJECT["requires-python"])
    assert all(supported.contains(python) for python in PYTHONS)
    assert not supported.contains("3.10.14")
    assert not supported.contains("3.14.0")


def test_every_line_of_the_lock_is_an_exact_version():
    assert [str(line) for line in LOCK if not str(line.specifier).startswith("==")] == []


def test_environment_has_the_locks_versions():
    python = next(d for d in ENVIRONMENT["dependencies"] if isinstance(d, str) and d.startswith("python="))
    assert python == "python=3.12"
    *listed, project = next(d for d in ENVIRONMENT["dependencies"] if isinstance(d, dict))["pip"]
    assert project == "-e ."
    found = {canonicalize_name(Requirement(line).name): str(Requirement(line).specifier) for line in listed}
    locked = pins("3.12.1")
    expected = {name: locked[name] for name in (canonicalize_name(wanted.name) for wanted in direct())}
    assert found == expected


def test_makefile_checks_for_the_supported_pythons():
    makefile = (REPOSITORY / "Makefile").read_text()
    assert "(3, 11) <= v[:2] <= (3, 13)" in makefile
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(">=3.11,<3.14")
