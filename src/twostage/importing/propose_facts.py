"""What is known of the instruments of a proposal, with where it is from; the rest is left to fill in."""

import re
from typing import Any

import pandas as pd

from twostage.collection import NUMBER, Settings
from twostage.importing.instruments import Finding
from twostage.importing.job import WANTED
from twostage.importing.mapping import FILL_IN
from twostage.importing.marks import with_points
from twostage.importing.names import ItemGrid
from twostage.importing.questions import score_columns
from twostage.importing.source import Source, number_text
from twostage.importing.versions import Version, fitting, versions_of


def version_of(found: Finding, grids: dict[str, ItemGrid]) -> list[Version]:
    if found.name is None:
        return []
    grid = grids.get(found.name)
    return versions_of(found.name, found.names, len(grid.items) if grid else None)


def items_block(grid: ItemGrid, versions: list[Version]) -> dict[str, Any]:
    """A score of items, by the key of its version where there is only one."""
    names = grid.names()
    answers = {v.answers for v in versions}
    keys = {(v.score, v.reversed) for v in versions}
    low, high = answers.pop() if len(answers) == 1 and None not in answers else (FILL_IN, FILL_IN)
    usual, turned = keys.pop() if len(keys) == 1 else (FILL_IN, ())
    turned = FILL_IN if turned is None else [names[i - 1] for i in turned if i <= len(names)]
    return {"items": names, "score": usual, "reversed": turned, "item_min": low, "item_max": high}


def known_facts(
    source: Source,
    settings: Settings,
    content: dict[str, Any],
    found: dict[str, Finding],
    versions: dict[str, list[Version]],
) -> tuple[dict[str, Any], dict[str, str]]:
    several = "studies" in content
    facts = {c: FILL_IN for c in WANTED if not (several and c == "label")}
    remarks = {}
    for v in ("x", "y"):
        label, known = getattr(settings, v).label, versions[v]
        if found[v].title:
            words = "; ".join(version.in_words() for version in known)
            remarks[f"study.{v}_instrument"] = (
                f"which version? the names of the columns suggest: {found[v].title}{f' ({words})' * bool(known)}"
            )
        remarks[f"study.{v}_direction"] = f"1: a higher score means more {label}; -1: scored the other way"
        numbers, seen = _seen(source, content, v)
        remarks[f"study.{v}_min"] = f"lowest possible score{seen}"
        remarks[f"study.{v}_max"] = f"highest possible score{seen}"
        if len(known) == 1:
            _of_version(v, known[0], numbers, seen, content[v], facts, remarks)
    return facts, remarks


def _of_version(
    v: str,
    version: Version,
    numbers: pd.Series,
    seen: str,
    block: dict[str, Any],
    facts: dict[str, Any],
    remarks: dict[str, str],
) -> None:
    """Fill in what is known of an instrument, and say where it is from."""
    facts |= {f"{v}_instrument": version.title, f"{v}_direction": version.direction}
    remarks[f"study.{v}_instrument"] = f"by the name of the column ({version.source}); is it this version?"
    remarks[f"study.{v}_direction"] += f"; {version.title}: {version.direction}"
    if "items" in block:
        way = version.score, version.ends
    elif numbers.empty:
        return
    else:
        way = fitting(version, numbers.min(), numbers.max(), bool((numbers % 1 == 0).all()))
    if way is None:
        remarks[f"study.{v}_min"] += f"; {version.in_words()} does not fit"
        return
    for end, value in zip(("min", "max"), way[1], strict=True):
        facts[f"{v}_{end}"] = int(value) if value == int(value) else value
        remarks[f"study.{v}_{end}"] = f"{version.title} as a {way[0]}{seen}"


def _seen(source: Source, content: dict[str, Any], v: str) -> tuple[pd.Series, str]:
    """The numbers of a score, and from where to where they go, in words."""
    columns = score_columns(source, content[v])
    chosen = [with_points(source, columns).cells[c] for c in columns]
    cells = pd.concat(chosen) if chosen else pd.Series([], dtype=str)
    cells = cells.map(lambda text: str(content[v].get("values", {}).get(text, text)))
    codes = [str(code) for code in content["missing"]]
    numbers = pd.to_numeric(cells[cells.str.fullmatch(NUMBER) & ~cells.isin(codes)])
    if numbers.empty or "items" in content[v]:
        return numbers, ""
    words = f" (without {', '.join(c for c in codes if re.fullmatch(NUMBER, c))})"
    note = words if any(re.fullmatch(NUMBER, c) for c in codes) else " (missing codes included)"
    note = "" if source.emptied.issuperset(columns) else note
    return numbers, f"; in the file {number_text(numbers.min())} to {number_text(numbers.max())}{note}"
