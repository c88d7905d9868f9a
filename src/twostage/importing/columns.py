"""Which of a file's columns a mapping means."""

import difflib
import re
from collections.abc import Iterator

from twostage.importing.blocks import SESSION, ScoreBlock
from twostage.importing.mapping import ImportMapping
from twostage.importing.source import Source
from twostage.problems import Problem


def check_columns(source: Source, mapping: ImportMapping, name: str) -> list[Problem]:
    """One problem for each column of the mapping that the file does not have.

    Parameters
    ----------
    source : Source
    mapping : ImportMapping
    name : str
        The mapping's file.
    """
    problems = []
    for key, column in _plain(mapping):
        if column in source.twice:
            own = " or ".join(map(repr, source.twice[column]))
            problems.append(Problem(name, None, key, column, f"which of the columns of this name: {own}"))
        elif column not in source.cells:
            near = difflib.get_close_matches(column, list(source.cells), n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            problems.append(Problem(name, None, key, column, f"a column of {source.name}{hint}"))
    if mapping.layout == "wide":
        for v in ("x", "y"):
            problems += wide_columns(source, getattr(mapping, v), f"{name}: {v}", mapping.sessions)[1]
    return problems


def used_columns(source: Source, mapping: ImportMapping) -> list[str]:
    """The file's columns that the mapping names; they exist."""
    return list(dict.fromkeys([c for _, c in _plain(mapping)] + score_columns(source, mapping)))


def _plain(mapping: ImportMapping) -> Iterator[tuple[str, str]]:
    """Columns that the mapping gives by their whole name."""
    for key in ("patient", "session", "date", "study_column"):
        if getattr(mapping, key) is not None:
            yield key, getattr(mapping, key)
    for key in ("therapist", "gender"):
        if getattr(mapping.patients, key) is not None:
            yield f"patients.{key}", getattr(mapping.patients, key).column
    for key, block in mapping.scores():
        where = key if key in ("x", "y") else f"patients.{key}"
        for column in block.names():
            if SESSION not in column or mapping.layout == "long":
                yield where, column


def score_columns(source: Source, mapping: ImportMapping) -> list[str]:
    """The file's columns with scores, items or the session's number; the mapping's columns exist."""
    found = [mapping.session] if mapping.session else []
    for name, block in mapping.scores():
        if mapping.layout == "wide" and name in ("x", "y"):
            found += [
                c
                for columns in wide_columns(source, block, name, mapping.sessions)[0].values()
                for c in columns
            ]
        else:
            found += block.names()
    return list(dict.fromkeys(found))


def unused_columns(source: Source, mapping: ImportMapping) -> list[str]:
    """The file's columns that the mapping does not name; its own exist."""
    used = set(used_columns(source, mapping))
    return [column for column in source.cells if column not in used]


def wide_columns(
    source: Source, block: ScoreBlock, name: str, only: tuple[int, int] | None = None
) -> tuple[dict[int, tuple[str, ...]], list[Problem]]:
    """The columns of a score for each session of a wide file; `only` these numbers are sessions.

    Returns
    -------
    columns : dict
        session -> its columns, in the order of the block's.
    problems : list of Problem
        If there is no session, a session lacks an item, or two columns are one session's.
    """
    if block.columns is not None:
        return {session: (column,) for session, column in block.columns.items()}, []
    found: dict[int, dict[str, str]] = {}
    problems = []
    for pattern in block.names():
        expression = "([0-9]{1,4})".join(re.escape(part) for part in pattern.split(SESSION, 1))
        for column in (*source.cells, *source.twice):
            match = re.fullmatch(expression, column)
            if not match or not (only is None or only[0] <= int(match[1]) <= only[1]):
                continue
            if column in source.twice:
                own = ", ".join(source.twice[column])
                problems.append(Problem(name, None, pattern, column, f"this name once; the file has {own}"))
                continue
            session = found.setdefault(int(match[1]), {})
            if pattern in session:
                both = f"{session[pattern]} and {column}"
                problems.append(Problem(name, None, pattern, both, "one column for each session"))
            session[pattern] = column
    if not found:
        problems.append(Problem(name, None, None, block.names()[0], f"such columns in {source.name}"))
    for session, columns in sorted(found.items()):
        problems += [
            Problem(
                source.name, None, p.replace(SESSION, str(session)), "no such column", f"all items ({name})"
            )
            for p in block.names()
            if p not in columns
        ]
    if problems:
        return {}, problems
    return {s: tuple(found[s][p] for p in block.names()) for s in sorted(found)}, []
