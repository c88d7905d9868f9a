"""``collection.yml``: what a collection is about and where its data are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml
from pydantic import ConfigDict, Field, field_validator

from twostage.params import make_parameters
from twostage.problems import ParameterError, Problem

FILE = "collection.yml"


@dataclass(frozen=True)
class Variable:
    """One of the pair.

    Attributes
    ----------
    name : str
        Column in the session files.
    label : str
        In words.
    better : {"higher", "lower"}
        Which end of the scale is the good one.
    """

    name: str
    label: str
    better: str


class _Model(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VariableSettings(_Model):
    """x or y in ``collection.yml``."""

    name: str = Field(min_length=1)
    label: str = Field(min_length=1)
    better: Literal["higher", "lower"]


class Layout(_Model):
    """Where a kind of table is and what its columns are called.

    Attributes
    ----------
    file : str
        Relative to the collection; ``{study}``, or another column of studies.csv, stands for its value.
    columns : dict
        Our name -> the file's.
    where : dict
        Column of the file -> column of studies.csv: the study's rows in a file that several studies share.
    """

    file: str = Field(min_length=1)
    columns: dict[str, str]
    where: dict[str, str] = {}


class _SessionsBlock(_Model):
    file: str = "sessions/{study}.csv"
    columns: dict[Literal["patient", "session", "x", "y"], str] = {}
    where: dict[str, str] = {}


class _PatientsBlock(_Model):
    file: str = "patients/{study}.csv"
    columns: dict[Literal["patient", "therapist", "age", "gender", "pre", "post"], str]
    where: dict[str, str] = {}


class _File(_Model):
    title: str = Field(min_length=1)
    note: str = Field(min_length=1)
    synthetic: bool
    x: VariableSettings
    y: VariableSettings
    parameters: dict[str, Any] = {}
    sessions: _SessionsBlock = _SessionsBlock()
    patients: _PatientsBlock | None = None

    @field_validator("parameters")
    @classmethod
    def _are_parameters(cls, values: dict[str, Any]) -> dict[str, Any]:
        try:
            make_parameters(values, FILE)
        except ParameterError as error:
            raise ValueError(
                "; ".join(f"{p.column}: expected {p.expected}" for p in error.problems)
            ) from None
        return values


@dataclass(frozen=True)
class Settings:
    """``collection.yml`` with its defaults filled in."""

    title: str
    note: str
    synthetic: bool
    x: Variable
    y: Variable
    parameters: dict[str, Any]
    sessions: Layout
    patients: Layout | None

    def patient_column(self, name: str) -> str | None:
        """The file's column for `pre` or `post`, or None."""
        return self.patients.columns.get(name) if self.patients else None


def read_settings(path: Path) -> tuple[Settings | None, list[Problem]]:
    """Read ``collection.yml`` of a folder; the settings are None where there are problems."""
    if not path.is_dir():
        return None, [Problem(str(path), None, None, "no such folder", "the folder of a collection")]
    try:
        content = yaml.safe_load((path / FILE).read_text(encoding="utf-8"))
        file = _File.model_validate(content)
    except FileNotFoundError:
        return None, [Problem(FILE, None, None, "no such file", "this file, which says what x and y are")]
    except UnicodeDecodeError as error:
        return None, [Problem(FILE, None, None, f"byte {error.start}", "text in UTF-8")]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return None, [
            Problem(FILE, mark.line + 1 if mark else None, None, str(error).split("\n")[0], "valid YAML")
        ]
    except pydantic.ValidationError as error:
        return None, [
            Problem(
                FILE,
                None,
                ".".join(map(str, d["loc"])) or None,
                _short(d["input"]),
                d["msg"].removeprefix("Value error, "),
            )
            for d in error.errors()
        ]
    return _complete(file), []


def _complete(file: _File) -> Settings:
    standard = {"patient": "patient", "session": "session", "x": file.x.name, "y": file.y.name}
    sessions = Layout(
        file=file.sessions.file, columns=standard | file.sessions.columns, where=file.sessions.where
    )
    patients = None
    if file.patients:
        patients = Layout(
            file=file.patients.file,
            columns={"patient": "patient"} | file.patients.columns,
            where=file.patients.where,
        )
    variables = {v: Variable(**getattr(file, v).model_dump()) for v in ("x", "y")}
    return Settings(
        title=file.title,
        note=file.note,
        synthetic=file.synthetic,
        parameters=file.parameters,
        sessions=sessions,
        patients=patients,
        **variables,
    )


def _short(value: object) -> object:
    text = repr(value)
    return value if len(text) <= 80 else text[:77] + "..."
