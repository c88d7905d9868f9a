"""The steps of a run as pytask tasks: each study's notebooks, those that pool all studies, the book.

pytask compares what a step depends on, and what it left, with what was there when it was last done. Inputs count as
they were when the run was planned (:class:`Given`), for that is what steps work with; what steps leave for each other
counts by its content (:class:`Made`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytask

from twostage.interchange import FOLDER as RESULTS
from twostage.notebooks import NOTEBOOKS
from twostage.pipeline.content import digest
from twostage.pipeline.plan import SOURCES, Plan
from twostage.pipeline.run import PART_FOLDER
from twostage.pipeline.work import Watched, execute_notebook, make_book


@dataclass(kw_only=True)
class Given:
    """An input of the run, for pytask: always as it was planned.

    Attributes
    ----------
    name : str
        Of the plan's file.
    found : str
        Digest of its content.
    """

    name: str
    found: str
    attributes: dict[Any, Any] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """Tells it from the others."""
        return f"given {self.name}"

    def state(self) -> str:
        """The digest."""
        return self.found

    def load(self, is_product: bool = False) -> str:
        """Steps are told what they need when they are declared."""
        return self.name

    def save(self, value: Any) -> None:
        """Nobody makes it."""
        raise NotImplementedError


@dataclass(kw_only=True)
class Made:
    """A file or a whole folder that a step leaves, for pytask: known by its content.

    Attributes
    ----------
    name : str
        Relative to the run's folder.
    place : Path
    """

    name: str
    place: Path
    attributes: dict[Any, Any] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """Tells it from the others."""
        return f"made {self.name}"

    def state(self) -> str | None:
        """The digest; None where it is missing."""
        return digest(self.place)

    def load(self, is_product: bool = False) -> str:
        """Steps are told what they need when they are declared."""
        return self.name

    def save(self, value: Any) -> None:
        """The step writes it itself."""
        raise NotImplementedError


@dataclass(kw_only=True)
class Step(pytask.TaskWithoutPath):
    """A step, with what its function is to be called with."""

    arguments: tuple[Any, ...] = ()

    def state(self) -> str:
        """What it does is in the package's code, which is an input like others."""
        return "1"

    def execute(self, **_: Any) -> None:
        """Carry it out."""
        self.function(*self.arguments)


def declare(plan: Plan, book: bool = True) -> list[Step]:
    """The steps of a run, with or without the book; new ones each time, because pytask writes on them."""
    run = plan.frozen
    steps = [_on_study(plan, notebook, study) for notebook in run.stage1 for study in run.analysed]
    steps += [_on_all(plan, notebook) for notebook in run.stage2]
    # A tutorial shows commands: it depends on all of the package.
    steps += [_notebook(plan, name, None, ["source"]) for name in run.tutorials]
    return [*steps, *([_book(plan)] if book else [])]


def _on_study(plan: Plan, notebook: str, study: str) -> Step:
    made = plan.run.records(notebook, study)
    files = plan.registry | plan.data[study]
    return _notebook(plan, notebook, study, ["package", f"studies/{study}"], (), files, made)


def _on_all(plan: Plan, notebook: str) -> Step:
    run, inputs, files = plan.run, ["package", f"pooled/{notebook}"], plan.registry | plan.copies("records/")
    if stored := run.stored_inputs(notebook):
        inputs, files = [*inputs, *stored], files | plan.stored
    if stored or "data" in NOTEBOOKS[notebook].uses:
        inputs += [f"studies/{study}" for study in run.analysed]
        files |= {file: found for study in run.analysed for file, found in plan.data[study].items()}
    needs = run.pooled_records(notebook)
    return _notebook(plan, notebook, None, inputs, needs, files, [run.output_folder(notebook)])


def _notebook(
    plan: Plan,
    notebook: str,
    study: str | None,
    inputs: list[str],
    needs: Iterable[Path] = (),
    files: Mapping[Path, str | None] = MappingProxyType({}),
    makes: Iterable[Path] = (),
) -> Step:
    template = f"{SOURCES}/notebooks/{notebook}.ipynb"
    read = {**files, **plan.copies(template), **plan.copies(f"{PART_FOLDER}/")}
    results = "package" in inputs
    watched = Watched(read, plan.code if results else plan.all_code, results)
    given = [template, *(f"inputs/{name}.json" for name in [f"parameters/{notebook}", *inputs])]
    return _step(
        plan,
        f"{notebook} {study}" if study else notebook,
        execute_notebook,
        (plan.frozen, notebook, study, watched),
        [*given, *needs],
        [plan.run.executed(notebook, study), *makes],
    )


def _book(plan: Plan) -> Step:
    """It depends on everything that a page shows."""
    run = plan.run
    executed = [run.executed(notebook, study) for notebook in run.stage1 for study in run.analysed]
    executed += [run.executed(name) for name in (*run.stage2, *run.tutorials)]
    records = [r for notebook in run.stage1 for study in run.studies for r in run.records(notebook, study)]
    tables = [run.output_folder(name) for name in run.stage2]
    inputs = ["collection", "pages", "source", "libraries", "recovery", "history"]
    inputs += [f"studies/{study}" for study in run.shared]
    given = ["run.json", *(f"inputs/{name}.json" for name in inputs)]
    files = plan.registry | plan.history | plan.copies(f"{SOURCES}/") | plan.copies(f"{PART_FOLDER}/")
    if run.has_recovery:
        files |= plan.stored | {file: found for of in plan.data.values() for file, found in of.items()}
    arguments = (plan.frozen, Watched(files, plan.all_code, results=False))
    return _step(
        plan,
        "book",
        make_book,
        arguments,
        [*given, *executed, *records, *tables],
        [run.html, run.folder / RESULTS],
    )


def _step(
    plan: Plan,
    name: str,
    function: Callable[..., None],
    arguments: tuple[Any, ...],
    needs: Iterable[str | Path],
    makes: Iterable[Path],
) -> Step:
    return Step(
        name=name,
        function=function,
        arguments=arguments,
        depends_on={"needs": [_node(plan, need) for need in needs]},
        produces={"makes": [_node(plan, made) for made in makes]},
    )


def _node(plan: Plan, what: str | Path) -> Given | Made:
    """What the plan has content for is given, wherever it lies; the rest is made."""
    name = what if isinstance(what, str) else what.relative_to(plan.run.folder).as_posix()
    if name in plan.files:
        return Given(name=name, found=plan.digest(name))
    return Made(name=name, place=plan.run.folder / name)
