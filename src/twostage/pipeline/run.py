"""A run: one collection, one set of parameters, one folder with everything that came of it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twostage.files import as_json, read_json
from twostage.notebooks import NOTEBOOKS, STAGE1, STAGE2, TUTORIALS, Notebook
from twostage.pipeline.errors import PipelineError
from twostage.project import project_files

#: Folder of executed notebooks that concern all studies; no study may have this name.
POOLED_FOLDER = "pooled"


#: Folder of executed tutorials; no study may have this name either.
TUTORIAL_FOLDER = "tutorials"


#: The run that shows the project itself: the one with the tutorials.
DEFAULT_RUN = "default"


#: File by which a process holds a run's folder.
LOCK = ".lock"


#: Folder that names the run's studies where they are not all of a collection.
PART_FOLDER = "part"


#: What every ``run.json`` says, whatever version wrote it, and of what type.
FIELDS = {"project": str, "collection": str, "parameters": dict, "studies": list}


#: What those of this version say besides.
NEW_FIELDS = {"has_outcome": bool, "shared": list, "has_recovery": bool}


@dataclass(frozen=True)
class Run:
    """What a run consists of and where its files are.

    Attributes
    ----------
    folder : Path
        ``runs/<name>``, absolute.
    project : Path
        The project's folder, or, without a checkout, the one in which runs are made; notebooks are executed in it.
    collection : Path
        Folder of the collection, absolute.
    parameters : dict
        Every analysis parameter, resolved.
    studies : tuple of str
        Ids of the studies, in the order of the registry.
    has_outcome : bool
        Whether the collection has intake and posttreatment scores, so that there is an outcome analysis.
    shared : tuple of str
        Those of the studies that shared records instead of data: no stage-1 notebook runs on them.
    has_recovery : bool
        Whether a recovery study is stored with the collection.
    has_multiverse : bool
        Whether a multiverse is.
    has_days : bool
        Whether the collection has the day of each session.
    has_history : bool
        Whether releases of the results are listed with the collection, and the run is as they were made.
    sources : Path, optional
        Folder from which ``notebooks/``, ``book/`` and ``_config.yml`` are read, if not the project.
    """

    folder: Path
    project: Path
    collection: Path
    parameters: dict[str, Any]
    studies: tuple[str, ...]
    has_outcome: bool
    shared: tuple[str, ...] = ()
    has_recovery: bool = False
    has_multiverse: bool = False
    has_days: bool = False
    has_history: bool = False
    sources: Path | None = None

    @property
    def analysed(self) -> tuple[str, ...]:
        """Studies with data, on which stage-1 notebooks run."""
        return tuple(study for study in self.studies if study not in self.shared)

    @property
    def stage1(self) -> tuple[str, ...]:
        """Notebooks to run on each study."""
        return self._that_apply(STAGE1)

    @property
    def stage2(self) -> tuple[str, ...]:
        """Notebooks to run on the records of all studies."""
        return self._that_apply(STAGE2)

    @property
    def tutorials(self) -> tuple[str, ...]:
        """Tutorials to execute: those of the project in its default run, none in others."""
        return self._that_apply(TUTORIALS) if self.shows_project else ()

    @property
    def shows_project(self) -> bool:
        """Whether the run's book shows the project itself too: its tutorials, and the documentation of its functions."""
        return self.folder == self.project / "runs" / DEFAULT_RUN

    def has(self, need: str) -> bool:
        """Whether the collection has what a notebook or a page needs: one of :data:`twostage.notebooks.NEEDS`."""
        there = {
            "outcome": self.has_outcome,
            "recovery": self.has_recovery,
            "multiverse": self.has_multiverse,
            "days": self.has_days,
            "history": self.has_history,
        }
        return {"": True, **there}[need]

    def _that_apply(self, notebooks: Iterable[Notebook]) -> tuple[str, ...]:
        return tuple(n.name for n in notebooks if self.has(n.needs) and len(self.studies) >= n.fewest)

    def template(self, notebook: str) -> Path:
        """The notebook to execute."""
        return (self.sources or self.project) / "notebooks" / f"{notebook}.ipynb"

    @property
    def manuscript(self) -> Path:
        """Folder of the book's pages."""
        return (self.sources or self.project) / "book"

    @property
    def config(self) -> Path:
        """The book's settings."""
        return (self.sources or self.project) / "_config.yml"

    def executed(self, notebook: str, study: str | None = None) -> Path:
        """The notebook as it was executed, on one study or on all."""
        return self.folder / "notebooks" / self.place(notebook, study)

    def place(self, notebook: str, study: str | None = None) -> str:
        """Where an executed notebook lies, in the run's folder of notebooks and in the book."""
        folder = study or (TUTORIAL_FOLDER if NOTEBOOKS[notebook].kind == "tutorial" else POOLED_FOLDER)
        return f"{folder}/{notebook}.ipynb"

    def records(self, notebook: str, study: str) -> list[Path]:
        """The records that a stage-1 notebook leaves."""
        return [self.record_folder(study) / f"{analysis}.json" for analysis in NOTEBOOKS[notebook].leaves]

    def record_folder(self, study: str) -> Path:
        """Folder of a study's records."""
        return self.folder / "records" / study

    def pooled_records(self, notebook: str) -> list[Path]:
        """The records, of all studies, that a stage-2 notebook reads."""
        return [self.record_folder(s) / f"{a}.json" for s in self.studies for a in NOTEBOOKS[notebook].reads]

    def stored_inputs(self, notebook: str) -> list[str]:
        """What is stored with the collection and read by a stage-2 notebook: `recovery`, `multiverse`."""
        return [
            name for name in ("recovery", "multiverse") if name in NOTEBOOKS[notebook].uses and self.has(name)
        ]

    def output_folder(self, notebook: str) -> Path:
        """Folder of the tables and figures of a stage-2 notebook."""
        return self.folder / "output" / notebook

    def input_file(self, name: str) -> Path:
        """File with an input of some steps."""
        return self.folder / "inputs" / f"{name}.json"

    def study_file(self, study: str) -> Path:
        """The input file of one study."""
        return self.folder / "inputs" / "studies" / f"{study}.json"

    @property
    def state(self) -> Path:
        """Folder of what the orchestration remembers."""
        return self.folder / "state"

    @property
    def unfinished(self) -> Path:
        """Folder of notebooks being executed."""
        return self.folder / "unfinished"

    @property
    def failed(self) -> Path:
        """Folder of notebooks that stopped with an error."""
        return self.folder / "failed"

    @property
    def html(self) -> Path:
        """The finished book."""
        return self.folder / "html"

    def shown(self, path: Path) -> str:
        """A path as notebooks and messages show it: relative to the project if it lies below it."""
        return (path.relative_to(self.project) if path.is_relative_to(self.project) else path).as_posix()

    def own_parameters(self, notebook: str) -> dict[str, Any]:
        """The analysis parameters that a notebook takes."""
        return {name: self.parameters[name] for name in NOTEBOOKS[notebook].takes if name in self.parameters}

    def notebook_parameters(self, notebook: str, study: str | None = None) -> dict[str, Any]:
        """Everything a notebook is given, in the order of its parameter cell."""
        values = self.own_parameters(notebook)
        places = {"collection": self.shown(self.collection), "records": self.shown(self.folder / "records")}
        if study is None:
            places["output_folder"] = self.shown(self.output_folder(notebook))
        else:
            places |= {"study": study, "record_folder": self.shown(self.record_folder(study))}
        values |= {name: place for name, place in places.items() if name in NOTEBOOKS[notebook].takes}
        return {name: values[name] for name in NOTEBOOKS[notebook].takes if name in values}

    def text(self) -> str:
        """Content of ``run.json``; paths are relative where the run lies in the project, so both may move."""
        inside = self.folder.is_relative_to(self.project)
        project = os.path.relpath(self.project, self.folder) if inside else self.project
        content = {
            "project": Path(project).as_posix(),
            "collection": self.shown(self.collection),
            "parameters": self.parameters,
            "studies": list(self.studies),
            "has_outcome": self.has_outcome,
            "shared": list(self.shared),
            "has_recovery": self.has_recovery,
            "has_multiverse": self.has_multiverse,
            "has_days": self.has_days,
            "has_history": self.has_history,
        }
        return as_json(content)


def read_about(folder: Path, fields: Mapping[str, type] = FIELDS) -> dict[str, Any]:
    """What the ``run.json`` of a folder says.

    Raises
    ------
    PipelineError
        There is none, or it is damaged, or something else than a run's.
    """
    file = folder / "run.json"
    try:
        content = read_json(file)
    except (OSError, ValueError, RecursionError) as error:
        found = getattr(error, "strerror", None) or "it is no JSON"
        raise PipelineError(f"{file}: {found}; expected what 'twostage run' writes there") from None
    wrong = [
        name
        for name, kind in fields.items()
        if not isinstance(content, dict) or not isinstance(content.get(name), kind)
    ]
    if wrong:
        raise PipelineError(
            f"{file}: no {' and no '.join(map(repr, wrong))}; expected what 'twostage run' writes there"
        )
    return content


def sources_of(project: Path) -> Path | None:
    """Where ``notebooks/``, ``book/`` and ``_config.yml`` are, if not in the folder itself."""
    files = project_files(project)
    return None if files == project else files


def load_run(folder: Path) -> Run:
    """Read a run from its folder.

    Raises
    ------
    PipelineError
        The folder's ``run.json`` is not that of a run made by this version.
    """
    folder = Path(folder).resolve()
    content = read_about(folder, FIELDS | NEW_FIELDS)
    project = (folder / content["project"]).resolve()
    return Run(
        folder=folder,
        project=project,
        collection=(project / content["collection"]).resolve(),
        parameters=content["parameters"],
        studies=tuple(content["studies"]),
        has_outcome=content["has_outcome"],
        shared=tuple(content["shared"]),
        has_recovery=content["has_recovery"],
        # Runs from before there were multiverses, releases and days do not say it.
        has_multiverse=content.get("has_multiverse", False),
        has_days=content.get("has_days", False),
        has_history=content.get("has_history", False),
        sources=sources_of(project),
    )
