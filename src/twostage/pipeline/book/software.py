"""What a book offers to other people's software: links at the foot of each page, and the page that says what it is."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from twostage.display import html_table
from twostage.files import write_files
from twostage.interchange import COLUMNS, FOLDER, LINKED, MEANINGS, Pooled
from twostage.pipeline.book.footer import BESIDE_ADDRESS, SOFTWARE_ADDRESS
from twostage.text import Markup

#: Folder of the book's source whose content lies beside the pages.
BESIDE = "beside"


def offer(results: Mapping[str, bytes], target: Path) -> list[Path]:
    """Write the results where the book takes them from; the folders that it is to copy."""
    if not results:
        return []
    write_files({target / BESIDE / FOLDER / name: content for name, content in results.items()})
    return [target / BESIDE]


def results_footer(results: Mapping[str, bytes]) -> str:
    """Links to the results for the foot of each page, as HTML; nothing where there are none."""
    if not results:
        return ""
    links = ", ".join(f'<a href="{BESIDE_ADDRESS}{FOLDER}/{name}">{name}</a>' for name in LINKED)
    return f'<div class="imprint"><p><a href="{SOFTWARE_ADDRESS}">For other software</a>: {links}</p></div>'


def software_context(results: Mapping[str, bytes]) -> dict:
    """What the page on the results can use: has_results, result_files (a list with links), effect_columns, pooled_fields
    (HTML tables)."""
    lines = [f'- <a href="{FOLDER}/{name}">{name}</a>: {meaning}.' for name, meaning in MEANINGS.items()]
    columns = [
        {"column": c.name, "type": c.kind, "empty": "" if c.always else "may be", "meaning": c.meaning}
        for c in COLUMNS
    ]
    fields = [
        {"field": f.alias or name, "meaning": str(f.description)} for name, f in Pooled.model_fields.items()
    ]
    tables = {"effect_columns": columns, "pooled_fields": fields}
    shown = {name: html_table(pd.DataFrame(rows)) for name, rows in tables.items()}
    return shown | {"has_results": bool(results), "result_files": Markup("\n".join(lines))}
