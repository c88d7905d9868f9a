"""A first mapping from the names of a file's columns; what names do not tell is left to fill in."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from twostage.beside import table_beside
from twostage.collection import NUMBER, Settings, schema, why_not
from twostage.importing.blocks import SESSION
from twostage.importing.instruments import INSTRUMENTS, Finding, find_score, instrument_of
from twostage.importing.mapping import FILL_IN
from twostage.importing.marks import with_points
from twostage.importing.names import (
    ITEM_MARKS,
    ItemGrid,
    at_moment,
    item_grids,
    labelled,
    listed,
    named,
    wide_groups,
)
from twostage.importing.propose_facts import items_block, known_facts, version_of
from twostage.importing.questions import ask
from twostage.importing.recipes import Recipe
from twostage.importing.sessions import moment
from twostage.importing.source import Source
from twostage.text import yaml_text

#: The first line, by which a mapping is known to be a file's.
FIRST = "# Mapping of {file} for `twostage import`"


HEAD = """
# Proposed from the names of the columns; each line says why. Nothing is imported yet.
# Check every line, replace each {fill_in}, then run
#
#   {command}
#
# Columns of the file ({n}):
{columns}
# Not used by this mapping ({n_unused}):
{unused}
"""


#: A mapping's keys in their order, with what a person may have to know of each; empty where its line says all.
ABOUT: dict[str, str] = {key: text.rstrip() for key, text in table_beside(__file__).items()}


#: Keys that may stand in a mapping and are not proposed.
EXTRA = """\

# Only these sessions, the others are left out:
# keep_sessions: [1, 7]
"""


def first_line(file: str) -> str:
    """How the mapping of a data file begins."""
    return FIRST.format(file=_line(file))


def _wrapped(columns: Sequence[str]) -> str:
    """Names of columns in comments of several lines."""
    indent = "#   "
    text = ", ".join(map(_line, listed(columns))) or "none"
    return textwrap.fill(text, 110, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


@dataclass(frozen=True)
class Proposal:
    """A mapping's content with a remark on each part.

    Attributes
    ----------
    content : dict
        As in the mapping's file.
    remarks : dict
        key (``x``, ``study.year``) -> why, or what to do.
    unused : tuple of str
        Columns of the file that the content does not name.
    """

    content: dict[str, Any]
    remarks: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


def mapping_text(proposal: Proposal, file: str, columns: list[str], command: str, x: str, y: str) -> str:
    """The file of a proposal.

    Parameters
    ----------
    proposal : Proposal
    file : str
        Name of the data file.
    columns : list of str
        Its columns.
    command : str
        The command that imports with this mapping.
    x, y : str
        Labels of the pair.
    """
    counts = {"n": len(columns), "n_unused": len(proposal.unused)}
    lists = {"columns": _wrapped(columns), "unused": _wrapped(proposal.unused)}
    head = HEAD.format(fill_in=FILL_IN, command=_line(command), **counts, **lists)
    parts = [first_line(file), head]
    ending = "_{session}" if proposal.content["layout"] == "wide" else ""
    example = {"first": f"'item1{ending}'", "example": f"'item1{ending}', 'item2{ending}'"}
    for key, value in proposal.content.items():
        if ABOUT.get(key):
            about = ABOUT[key]
            parts.append("\n# " + about.format(x=_line(x), y=_line(y), **example) + "\n")
        parts.append(_entry(key, value, proposal.remarks, key, 0))
        if key == "layout":
            parts.append(EXTRA)
    return "".join(parts).rstrip("\n") + "\n"


def _entry(key: str, value: Any, remarks: dict[str, str], path: str, depth: int) -> str:
    indent = "  " * depth
    remark = _line(remarks.get(path, ""))
    if path.startswith("study.") and value == FILL_IN and not remark:
        remark = schema.REGISTRY[key][1] + "; this line may go" * (key in schema.MAY_LACK)
    note = f"  # {remark}" if remark else ""
    if isinstance(value, dict):
        if not value:
            return f"{indent}{_scalar(key)}: {{}}{note}\n"
        inner = "".join(_entry(k, v, remarks, f"{path}.{k}", depth + 1) for k, v in value.items())
        return f"{indent}{_scalar(key)}:{note}\n{inner}"
    return f"{indent}{_scalar(key)}: {_scalar(value)}{note}\n"


def _scalar(value: Any) -> str:
    # Quotes with escapes keep on one line what would otherwise need several.
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    text = yaml_text(
        value, allow_unicode=style is None, default_flow_style=True, default_style=style, width=1_000_000
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _line(text: str) -> str:
    """Text for a comment: one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


BY_NAME = "by its name"


_TIMES = ("", " %H:%M", " %H:%M:%S")


#: Date formats that a proposal tells apart. Where two fit, as where no day is after the 12th, a person must say it.
FORMATS = (
    "ISO",
    "unix",
    *(f"%d.%m.{year}{time}" for year in ("%Y", "%y") for time in _TIMES),
    *(f"{day}{mark}%Y{time}" for mark in "/-" for day in (f"%d{mark}%m", f"%m{mark}%d") for time in _TIMES),
    *(f"%Y/%m/%d{time}" for time in _TIMES),
)


#: Dates that a format is guessed from; the import reads every one of them.
LOOKED_AT = 2_000


def propose(
    source: Source,
    settings: Settings,
    instruments: dict[str, Iterable[str]],
    study_column: str | None = None,
    recipe: Recipe | None = None,
) -> Proposal:
    """Propose a mapping.

    Parameters
    ----------
    source : Source
    settings : Settings
        Of the collection: the names of x and y are looked for among the columns.
    instruments : dict
        ``x`` and ``y`` -> instruments of the collection's other studies, looked for as well.
    study_column : str, optional
        Column that says which sample a row belongs to.
    recipe : Recipe, optional
        Of the system that wrote the file.
    """
    columns, remarks = list(source.cells), {}
    patient = _first(_called("patient", source, recipe))
    looked = {v: (getattr(settings, v), instruments.get(v, ())) for v in ("x", "y")}
    wide, grids = _numbered(columns)
    likely = any(find_score(*for_what, [*wide, *grids]).name for for_what in looked.values())
    layout, remarks["layout"] = _layout(source, patient, likely, study_column, recipe)
    file = _file(source)
    content: dict[str, Any] = {"file": file} if file else {}
    content |= {"layout": layout, "patient": patient or FILL_IN, "missing": _there(source, recipe)}
    remarks["patient"] = (
        _why(source, "patient", patient) if patient else _choices(listed(_asked(source, recipe)))
    )
    if layout == "long":
        content |= _when(source, recipe, remarks, patient)
    names = [*wide, *grids] if layout == "wide" else _scorelike(source, content, recipe)
    found = _find(looked, names, {} if layout == "wide" else source.labels)
    versions = {v: version_of(found[v], grids) for v in ("x", "y")}
    for v in ("x", "y"):
        grid = grids.get(found[v].name) if layout == "wide" else None
        content[v] = items_block(grid, versions[v]) if grid else {"column": found[v].name or FILL_IN}
        remarks[v] = (
            _items_remark(grid, found[v]) if grid else _remark(source, layout, wide, found[v], recipe)
        )
    _only_sessions(content, remarks, found, wide, grids)
    patients, why = _patients(source, found["y"])
    if patients and settings.patients:
        content["patients"] = patients
        remarks |= why
    content |= _samples(source, study_column)
    ask(source, content, remarks, {v: known[0].ends for v, known in versions.items() if len(known) == 1})
    content["study"], facts = known_facts(source, settings, content, found, versions)
    remarks = {k: r for k, r in (remarks | facts).items() if r}
    return Proposal(_in_order(content), remarks, tuple(_unused(columns, content)))


def _numbered(columns: Sequence[str]) -> tuple[dict[str, list[int]], dict[str, ItemGrid]]:
    """Names that differ in a session's number, of scores and of items."""
    grids = _named_grids(item_grids(columns, _counts))
    of_items = {column for grid in grids.values() for column in grid.columns}
    return wide_groups([c for c in columns if c not in of_items]), grids


def _counts(name: str) -> tuple[int, ...]:
    """How many items the questionnaire of a name has."""
    instrument = instrument_of(name, INSTRUMENTS)
    return instrument.items if instrument else ()


def _find(looked: dict[str, tuple], names: Sequence[str], labels: Mapping[str, str]) -> dict[str, Finding]:
    """Scores by the names of the columns, else by their labels."""
    found = {v: find_score(*for_what, names) for v, for_what in looked.items()}
    columns = {labels[name]: name for name in names if labels.get(name)}
    for v in found if len(set(columns)) == len([n for n in names if labels.get(n)]) else ():
        by_label = found[v] if found[v].name or found[v].why else find_score(*looked[v], list(columns))
        if by_label.name in columns:
            found[v] = replace(by_label, name=columns[by_label.name])
    if found["x"].name is not None and found["x"].name == found["y"].name:
        both = f"{found['x'].name} could be x as well as y"
        found = {v: replace(f, name=None, why=both) for v, f in found.items()}
    return found


def _in_order(content: dict[str, Any]) -> dict[str, Any]:
    return {key: content[key] for key in ABOUT if key in content}


def _named_grids(grids: Sequence[ItemGrid]) -> dict[str, ItemGrid]:
    """Grids of items by the name that their score would have: ``phq_s{session}`` for ``phq_s{session}_i{item}``."""
    marks = "|".join(ITEM_MARKS)
    between = r"(?:[^\w{}]|_)*"
    expression = rf"{between}(?:(?<![^\W_])(?:{marks}))?{between}\{{item(?::0)?\}}"
    return {re.sub(expression, "", grid.pattern, flags=re.I): grid for grid in grids}


def _items_remark(grid: ItemGrid, found: Finding) -> str:
    sessions, items = grid.sessions, grid.items
    return f"items {items[0]} to {items[-1]} for sessions {sessions[0]} to {sessions[-1]}: {found.why}"


def _only_sessions(
    content: dict[str, Any],
    remarks: dict[str, str],
    found: dict[str, Finding],
    wide: dict[str, list[int]],
    grids: dict[str, ItemGrid],
) -> None:
    """Say which numbers are sessions, where columns have others: items, or a total that is named by its items."""
    if content["layout"] != "wide":
        return
    ends, doubts = [], []
    for v in ("x", "y"):
        name = found[v].name
        if name in grids:
            ends += grids[name].sessions
        elif name in wide:
            numbers = wide[name]
            near = next((i for i in range(1, len(numbers)) if numbers[i] - numbers[i - 1] > 2), len(numbers))
            near = near if near > 1 else len(numbers)
            ends += numbers[:near]
            doubts += [name.replace(SESSION, str(n)) for n in numbers[near:]]
    if doubts or any(found[v].name in grids for v in ("x", "y")):
        content["sessions"] = [min(ends), max(ends)]
        remarks["sessions"] = "the numbers that {session} stands for" + (
            f"; NOT {', '.join(doubts)}: a total of so many items? If these are sessions, say so here"
            if doubts
            else ""
        )


def _asked(source: Source, recipe: Recipe | None) -> list[str]:
    """The file's columns without those that its system adds by itself."""
    return [c for c in source.cells if not (recipe and recipe.adds(c))] or list(source.cells)


def _scorelike(source: Source, content: dict[str, Any], recipe: Recipe | None) -> list[str]:
    """Columns that may be scores: most cells are numbers, or answers that begin with or contain one."""
    columns = [c for c in _asked(source, recipe) if c not in content.values()]
    cells = with_points(source, columns).cells
    return [c for c in columns if _is_numeric(cells[c], r"[^\d]*\d+[^\d]*|" + NUMBER)] or columns


def _called(role: str, source: Source, recipe: Recipe | None) -> list[str]:
    """Columns of a role: by the rules of the system that wrote the file, by their names, else by the one label."""
    ruled = recipe.columns(role, source.cells) if recipe else []
    # What a system calls a session may be its patient.
    taken = recipe.columns("patient", source.cells) if recipe and role != "patient" else []
    found = dict.fromkeys([*ruled, *(c for c in named(role, list(source.cells)) if c not in taken)])
    by_label = [c for c in labelled(role, _questions(source)) if c not in taken]
    return list(found) or (by_label if len(by_label) == 1 else [])


def _questions(source: Source) -> dict[str, str]:
    """What is asked in each column: its label, or a name of several words."""
    return {c: source.labels.get(c, c) for c in source.cells if c in source.labels or " " in c.strip()}


def _why(source: Source, role: str, column: str) -> str:
    """By what a column of a role was found."""
    by_label = column not in named(role, [column]) and column in labelled(role, source.labels)
    return f"by its label: {source.labels[column]}" if by_label else BY_NAME


def _there(source: Source, recipe: Recipe | None) -> list[str]:
    """A system's words for missing values that the file has."""
    cells = source.cells
    return [
        text for text in (recipe.missing if recipe else ()) if any((cells[c] == text).any() for c in cells)
    ]


def _layout(
    source: Source, patient: str | None, likely: bool, study_column: str | None, recipe: Recipe | None
) -> tuple[str, str]:
    """wide or long and why; `likely`: whether names that differ in a number look like x or y."""
    timed = _called("session", source, recipe) + _called("date", source, recipe)
    if patient is not None:
        keys = source.cells[list(dict.fromkeys([study_column or patient, patient]))]
        if keys[keys[patient] != ""].duplicated().any():
            return "long", f"values of {patient} come in several rows"
    if not likely and timed:
        return "long", f"there is a column {timed[0]}"
    return "wide", f"each row has another {patient}" if patient else ""


def _file(source: Source) -> dict[str, Any]:
    used = source.options.given()
    if source.options.separator is not None and "decimal" not in used:
        used["decimal"] = FILL_IN
    return {key: list(value) if isinstance(value, tuple) else value for key, value in used.items()}


def _first(found: Sequence[str]) -> str | None:
    return found[0] if found else None


def _choices(columns: Sequence[str], n: int = 12) -> str:
    return "one of " + ", ".join(columns[:n]) + (", ..." if len(columns) > n else "")


def _when(
    source: Source, recipe: Recipe | None, remarks: dict[str, str], patient: str | None
) -> dict[str, Any]:
    columns = list(source.cells)
    called, date = _called("session", source, recipe), _first(_called("date", source, recipe))
    rows = [c for c in called if _numbers_rows(source.cells, patient, c)]
    session = _first([c for c in called if c not in rows] or ([] if date else called))
    if session or not date:
        remarks["session"] = _why(source, "session", session) if session else _choices(listed(columns))
        if session in rows:
            remarks["session"] += "; NOT if it numbers the rows of the file: no number comes twice"
        return {"session": session or FILL_IN}
    cells = source.cells[date][source.cells[date] != ""]
    fitting = _formats(cells.unique()[:LOOKED_AT])
    example = cells.iloc[0] if len(cells) else ""
    remarks["date"] = f"{BY_NAME}; sessions are numbered by the order of their dates within the patient"
    remarks["date_format"] = f"ISO, unix, or as in '%d.%m.%Y' or '%m/%d/%Y'; the first date is {example!r}"
    return {"date": date, "date_format": fitting[0] if len(fitting) == 1 else FILL_IN}


def _numbers_rows(cells: pd.DataFrame, patient: str | None, column: str) -> bool:
    """Whether a column tells rows apart, not the sessions of a patient: no value comes twice, of several patients' rows."""
    values = cells[column][cells[column] != ""]
    if not patient or not values.is_unique:
        return False
    of = cells.loc[values.index, patient]
    return 1 < of.nunique() < len(of)


def _formats(texts: Sequence[str]) -> list[str]:
    """The date formats that every text has."""
    texts = [text for text in texts if not re.fullmatch(r"\d{1,8}", text)]  # Python takes 20240131 for ISO
    found = [f for f in FORMATS if len(texts) and all(moment(text, f) is not None for text in texts)]
    return ["ISO"] if "ISO" in found else [f for f in found if f != "unix" or _since_1970(texts)]


def _since_1970(texts: Sequence[str]) -> bool:
    """Whether numbers are seconds, or their thousandths, since 1970: of a time after 2001."""
    return all(re.fullmatch(r"1\d{9}(\.\d+)?|1\d{12}", text) for text in texts)


def _remark(
    source: Source, layout: str, wide: dict[str, list[int]], found: Finding, recipe: Recipe | None
) -> str:
    """Which columns a score is proposed to be and why, or which to choose from."""
    if found.name is None:
        if found.why:
            return found.why
        names = (
            [_spelt(s, n) for s, n in wide.items()] if layout == "wide" else listed(_numeric(source, recipe))
        )
        return _choices(names) if names else "no columns end in a session's number"
    if layout == "wide":
        sessions = wide[found.name]
        items = len(sessions) in found.items
        doubt = f"; NOT if these are its {len(sessions)} items: see the key above" * items
        first = found.name.replace(SESSION, str(sessions[0]), 1)
        return f"{_spelt(found.name, sessions)}: {found.why}{_label(source, first)}{doubt}"
    return found.why + _label(source, found.name)


def _label(source: Source, column: str) -> str:
    label = source.labels.get(column)
    return f"; the file's label of {column}: {label}" if label else ""


def _spelt(pattern: str, sessions: Sequence[int]) -> str:
    return f"{pattern} for sessions {sessions[0]} to {sessions[-1]}"


def _numeric(source: Source, recipe: Recipe | None) -> list[str]:
    cells = with_points(source, _asked(source, recipe)).cells[_asked(source, recipe)]
    return [c for c in cells if (cells[c] == "").sum() < len(cells) and _is_numeric(cells[c])]


def _is_numeric(cells: pd.Series, pattern: str = NUMBER) -> bool:
    """Whether most cells are numbers; the others may be words for missing values."""
    counts = cells[cells != ""].value_counts()
    numbers = sum(n for text, n in counts.items() if re.fullmatch(pattern, text))
    return bool(numbers > counts.sum() / 2)


def _patients(source: Source, y: Finding) -> tuple[dict[str, Any], dict[str, str]]:
    columns, patients, remarks = list(source.cells), {}, {}
    for role in ("therapist", "age", "gender"):
        column = _first(_called(role, source, None))
        if column is None:
            continue
        patients[role], remarks[f"patients.{role}"] = {"column": column}, _why(source, role, column)
        values = source.values.get(column, {})
        if values and role != "age":
            patients[role]["values"] = dict(values)
            remarks[f"patients.{role}"] = f"{BY_NAME}; the file's own value labels"
    for when, words in (("pre", "before"), ("post", "after")):
        found = at_moment(when, columns, y.words)
        if not found:
            continue
        patients[when] = {"column": found[0] if len(found) == 1 else FILL_IN}
        why = f"the score of y {words} treatment, "
        why += BY_NAME if len(found) == 1 else f"{_choices(found)}; or delete this entry"
        remarks[f"patients.{when}"] = why
    return patients, remarks


def _samples(source: Source, study_column: str | None) -> dict[str, Any]:
    if study_column is None:
        return {}
    labels = source.values.get(study_column, {})
    values = [labels.get(v, v) for v in source.cells[study_column].drop_duplicates() if v != ""]
    ids: dict[str, str] = {}
    for value in values:
        id = re.sub(r"\W+", "_", value, flags=re.ASCII).strip("_") or "study"
        taken = {i.casefold() for i in ids.values()}
        ids[value] = next(
            n for n in (id, *(f"{id}_{i}" for i in range(2, 1000))) if n.casefold() not in taken
        )
    studies = {v: {"study": i, "label": v} for v, i in ids.items() if why_not(i) is None}
    return {"study_column": study_column, "studies": studies}


def _unused(columns: Sequence[str], content: dict[str, Any]) -> Iterator[str]:
    """Columns that no part of the content names."""
    parts = [content.get(key) for key in ("patient", "session", "date", "study_column")]
    for block in (content["x"], content["y"], *content.get("patients", {}).values()):
        parts += block.get("items", [block.get("column")])
    expressions = [
        "[0-9]{1,4}".join(re.escape(part) for part in text.split(SESSION, 1)) for text in parts if text
    ]
    return (c for c in columns if not any(re.fullmatch(e, c) for e in expressions))
