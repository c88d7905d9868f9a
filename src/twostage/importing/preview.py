"""What a file would become, shown before anybody decides."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic

from twostage.importing.job import open_collection, usable, window
from twostage.importing.mapping import ImportMapping, unfilled
from twostage.importing.names import named
from twostage.importing.propose import Proposal, first_line, mapping_text, propose
from twostage.importing.read_file import read_source
from twostage.importing.recipes import Recipe, recipe_of, told
from twostage.importing.reshape import Limits, reshape
from twostage.importing.source import FileOptions, ImportProblems, Source, cell_text
from twostage.problems import Problem, expectation, summarised

#: Rows that a preview shows, and problems it names.
ROWS, NAMED = 8, 5


@dataclass(frozen=True)
class Suggestion:
    """A proposed mapping, ready to be shown and written.

    Attributes
    ----------
    source : Source
    text : str
        Of the mapping's file.
    preview : str
        The first rows of the sessions that it would give, or why there are none.
    unfilled : tuple of str
        Keys that a person must fill in.
    unused : tuple of str
        Columns that the mapping does not name.
    command : str
        That imports with it.
    """

    source: Source
    text: str
    preview: str
    unfilled: tuple[str, ...]
    unused: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class Asked:
    """What a command asks for.

    Attributes
    ----------
    file, folder : Path
        The data and the collection.
    study, study_column : str or None
    how : FileOptions
        How to read the file.
    system : str or None
        What wrote it: the name of a recipe, or "none"; None: guessed.
    facts : dict
        What is known of the study from elsewhere: keys of a mapping's `study`.
    """

    file: Path
    folder: Path
    study: str | None = None
    study_column: str | None = None
    how: FileOptions = FileOptions()
    system: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def command(self, mapping: Path) -> str:
        """The command that imports with a mapping."""
        words = ["twostage", "import", str(self.file), "--to", str(self.folder)]
        words += ["--study", self.study or "ID"] if self.study or not self.study_column else []
        return shlex.join([*words, "--map", str(mapping)])


def mapping_place(file: Path, folder: Path = Path()) -> tuple[Path, bool]:
    """Where the mapping of a data file belongs, and whether it is there already.

    Parameters
    ----------
    file : Path
        The data.
    folder : Path
        In which mappings are written.

    Returns
    -------
    place : Path
        ``clinic.mapping.yml`` for ``clinic.sav``; ``clinic.sav.mapping.yml`` where another file's has this name.
    there : bool
    """
    names = (f"{file.name.split('.')[0] or 'study'}.mapping.yml", f"{file.name}.mapping.yml")
    for place in (folder / name for name in names):
        if not place.exists():
            return place, False
        if _begins(place, first_line(file.name)):
            return place, True
    return place, True


def _begins(path: Path, line: str) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as text:
            return text.readline().startswith(line)
    except OSError:
        return False


def suggest(asked: Asked, target: Path) -> Suggestion:
    """Propose a mapping for a file.

    Parameters
    ----------
    asked : Asked
    target : Path
        Where the mapping will be, for the command.

    Raises
    ------
    ImportProblems
        If the file or the collection cannot be read, or there is no such study column.
    """
    registry = open_collection(asked.folder)
    source, recipe = _read(asked)
    if asked.study_column is not None and asked.study_column not in source.cells:
        expected = f"a column of {source.name}"
        raise ImportProblems([Problem("command line", None, "--study-column", asked.study_column, expected)])
    settings = registry.settings
    instruments = {v: list(registry.studies[f"{v}_instrument"]) for v in ("x", "y")}
    proposal = propose(source, settings, instruments, asked.study_column, recipe)
    for key, value in asked.facts.items():
        proposal.content["study"][key] = value
        proposal.remarks[f"study.{key}"] = "from the data set's own description"
    command = asked.command(target)
    text = mapping_text(
        proposal, source.name, list(source.cells), command, settings.x.label, settings.y.label
    )
    names = {v: getattr(settings, v).name for v in ("x", "y")}
    shown = _preview(source, proposal, names, window(settings))
    return Suggestion(source, text, shown, tuple(unfilled(proposal.content)), proposal.unused, command)


def _read(asked: Asked) -> tuple[Source, Recipe | None]:
    """A file, read as the system that wrote it wants, and with what a patient's merged cells mean."""
    source = read_source(asked.file, asked.how, guess=True)
    recipe = recipe_of(source.cells, asked.system)
    how = asked.how
    if recipe and not how.skip_rows:
        how = replace(how, skip_rows=recipe.heading_rows(source.cells))
    patient = next(iter(named("patient", list(source.cells))), None)
    if patient is not None and not how.fill_down and source.options.separator:
        cells = source.cells[patient]
        # A patient's code in the first of its rows only, as spreadsheets with merged cells are saved as text.
        if cells.iloc[0] and (cells == "").mean() > 0.3:
            how = replace(how, fill_down=(patient,))
    labels = recipe.labels(source.cells) if recipe else {}
    source = source if how == asked.how else read_source(asked.file, how, guess=True)
    if recipe:
        source = replace(
            source,
            labels={**labels, **source.labels},
            found=(*source.found, told(recipe, source.cells, asked.system)),
        )
    return source, recipe


def _preview(source: Source, proposal: Proposal, names: dict[str, str], analysed: tuple[int, int]) -> str:
    needed = {k: v for k, v in proposal.content.items() if k != "study"}
    missing = list(unfilled(needed))
    if missing:
        return f"no preview before {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} filled in"
    try:
        mapping = ImportMapping.model_validate(needed)
    except pydantic.ValidationError as error:
        return f"no preview: {expectation(error.errors()[0])}"
    ready, problems = usable(source, mapping, "the proposal")
    if not problems:
        part, which = _one_sample(ready, mapping)
        tables, problems = reshape(part, mapping, Limits(None, None, window=analysed))
    if problems:
        lines = [f"  - {line}" for line in summarised(problems, lines=NAMED)]
        return "\n".join(["no preview, with this mapping there would be:", *lines])
    shown = tables.sessions.rename(columns=names).head(ROWS)
    counts = f"{len(tables.sessions)} rows of {len(tables.patients)} patients{which}, the first {len(shown)}:"
    return "\n".join([counts, _plain(shown), *(f"  ({note})" for note in tables.notes)])


def _plain(table: pd.DataFrame) -> str:
    texts = pd.DataFrame({c: [cell_text(v) for v in table[c].tolist()] for c in table})
    return texts.to_string(index=False)


def _one_sample(source: Source, mapping: ImportMapping) -> tuple[Source, str]:
    if mapping.study_column is None:
        return source, ""
    first = source.cells[mapping.study_column].iloc[0]
    rows = source.cells[source.cells[mapping.study_column] == first]
    return replace(source, cells=rows), f" in the sample {first!r}"
