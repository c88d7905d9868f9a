"""What a file would become, shown before anybody decides."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pydantic

from twostage.importing.columns import check_columns, score_columns
from twostage.importing.job import open_collection
from twostage.importing.mapping import FILL_IN, ImportMapping, unfilled
from twostage.importing.propose import Proposal, propose
from twostage.importing.propose_text import mapping_text
from twostage.importing.read_file import read_source
from twostage.importing.reshape import Limits, reshape
from twostage.importing.source import FileOptions, ImportProblems, Source, cell_text, with_points
from twostage.problems import Problem, summarised

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
    command : str
        That imports with it.
    """

    source: Source
    text: str
    preview: str
    unfilled: tuple[str, ...]
    command: str


def suggest(
    file: Path, folder: Path, target: Path, study: str | None, study_column: str | None
) -> Suggestion:
    """Propose a mapping for a file.

    Parameters
    ----------
    file, folder : Path
        The data and the collection.
    target : Path
        Where the mapping will be, for the command.
    study, study_column : str, optional

    Raises
    ------
    ImportProblems
        If the file or the collection cannot be read, or there is no such study column.
    """
    registry = open_collection(folder)
    source = read_source(file, FileOptions())
    if study_column is not None and study_column not in source.cells:
        expected = f"a column of {source.name}"
        raise ImportProblems([Problem("command line", None, "--study-column", study_column, expected)])
    settings = registry.settings
    instruments = {v: list(registry.studies[f"{v}_instrument"]) for v in ("x", "y")}
    proposal = propose(source, settings, instruments, study_column)
    words = ["twostage", "import", str(file), "--to", str(folder)]
    words += ["--study", study or "ID"] if study or not study_column else []
    command = shlex.join([*words, "--map", str(target)])
    columns = list(source.cells)
    text = mapping_text(proposal, source.name, columns, command, settings.x.label, settings.y.label)
    names = {v: getattr(settings, v).name for v in ("x", "y")}
    return Suggestion(
        source, text, _preview(source, proposal, names), tuple(unfilled(proposal.content)), command
    )


def _preview(source: Source, proposal: Proposal, names: dict[str, str]) -> str:
    needed = {k: v for k, v in proposal.content.items() if k != "study"}
    missing = list(unfilled(needed))
    if missing:
        return f"no preview before {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} filled in"
    try:
        mapping = ImportMapping.model_validate(needed)
    except pydantic.ValidationError as error:
        return f"no preview: {error.errors()[0]['msg']}"
    problems = check_columns(source, mapping, "the proposal")
    if not problems:
        part, which = _one_sample(with_points(source, score_columns(source, mapping)), mapping)
        tables, problems = reshape(part, mapping, Limits(None, None))
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


__all__ = ["FILL_IN", "Suggestion", "suggest"]
