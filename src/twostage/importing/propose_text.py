"""A proposed mapping as YAML that explains itself."""

import textwrap
from collections.abc import Sequence
from typing import Any

from twostage import schema
from twostage.importing.mapping import FILL_IN
from twostage.importing.names import listed
from twostage.importing.propose import Proposal
from twostage.strict_yaml import yaml_text

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

#: What a person may have to know of a part of the mapping.
ABOUT = {
    "file": "How the file was read; these lines make sure that it is read so again.",
    "layout": "wide: one row per patient, columns' names have the session's number; long: one row per session.",
    "patient": "The column that says whose row it is.",
    "session": "The column with the session's number (or `date` and `date_format` instead).",
    "date": "The column with the session's date.",
    "similar_ids": "Ids that may be one patient's.",
    "unusual_patients": "Rows that may be no patient's.",
    "session_labels": "What each session's label means.",
    "join_rows": "Whether rows of one session are joined.",
    "sessions": "Only these numbers are sessions.",
    "x": """\
{x}. One column, or items with their key:
#   x:
#     items: [{example}]
#     score: sum               # or mean
#     reversed: [{first}]      # count as item_min + item_max - answer
#     item_min: 1
#     item_max: 5
#     min_answered: 0.8        # fewest items answered, as a proportion; a sum is then their mean times all
#     missing: [9]             # cells that mean missing, besides the empty one""",
    "y": "{y}.",
    "missing": "Cells that mean a missing value in any column of scores, as in [-99, NA].",
    "patients": "What the file says of the patient; leave out what it does not have.",
    "study_column": "The column that says which sample a row belongs to.",
    "studies": "A study for each of its values: id and what differs from `study`; skip: true leaves one out.",
    "study": "The study's row of studies.csv.",
}

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
        if key in ABOUT:
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
        remark = schema.REGISTRY[key][1]
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
