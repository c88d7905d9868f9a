"""The files of ``results/``: what a run leaves for machines and for other people's software."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twostage.collection import Collection
from twostage.files import as_json
from twostage.interchange import crate, package, pooled
from twostage.interchange.columns import COLUMNS, codebook_of
from twostage.interchange.documents import schema
from twostage.interchange.effects import covariance_text, effect_table
from twostage.records import ANALYSES, Record, find_record
from twostage.stage2 import read_results
from twostage.text import to_csv

#: Folder of the files, in a run's folder and in its book.
FOLDER = "results"


#: The files to which pages lead, in the order in which they name them.
LINKED = (package.TABLE, pooled.FILE, "vcov.json", package.FILE, crate.FILE)


@dataclass(frozen=True)
class How:
    """How a run was made.

    Attributes
    ----------
    day : str
    command : str
        As typed in the project's folder.
    notebooks : dict
        Name -> SHA-256 of each notebook that was executed; none in a run of tables only.
    """

    day: str
    command: str
    notebooks: Mapping[str, str] = field(default_factory=dict)


def result_files(run: Path, collection: Collection, how: How) -> dict[str, bytes]:
    """The files of a run that has pooled something.

    Parameters
    ----------
    run : Path
        Its folder, with records and pooled tables.
    collection : Collection
        As analysed.
    how : How

    Returns
    -------
    dict
        Name -> content.

    Raises
    ------
    RecordError
        If records or tables are missing or damaged.
    """
    document = pooled.pooled_document(read_results(run), collection, run / "output", how.day)
    records = _records(run / "records", list(collection.studies["study"]))
    workflow = {
        "command": how.command,
        "notebooks": dict(how.notebooks),
        "parameters": document.parameters,
    }
    effects = effect_table(records, collection)
    texts = {
        package.TABLE: to_csv(effects),
        package.CODEBOOK: to_csv(codebook_of(effects, collection.x.label, collection.y.label)),
        pooled.FILE: as_text(document.model_dump(mode="json", by_alias=True)),
        "pooled.jsonschema.json": as_text(schema()),
        "vcov.json": covariance_text(records),
        "workflow.json": as_json(workflow),
        "README.md": _readme(document.collection.note),
    }
    contents = {name: text.encode() for name, text in texts.items()}
    described = as_text(package.data_package(contents, document))
    linked = as_text(crate.crate(document, workflow, [*contents, package.FILE]))
    return contents | {package.FILE: described.encode(), crate.FILE: linked.encode()}


def as_text(value: Any) -> str:
    """JSON in the order in which it was made, for those who read it too."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _records(folder: Path, studies: Sequence[str]) -> list[Record]:
    there = [a for a in ANALYSES if studies and (folder / studies[0] / f"{a}.json").is_file()]
    return [find_record(folder, study, analysis) for study in studies for analysis in there]


def _readme(note: str) -> str:
    files = "\n".join(f"- `{name}`: {meaning}." for name, meaning in package.MEANINGS.items())
    columns = "\n".join(f"- `{c.name}` ({c.kind}): {c.meaning}." for c in COLUMNS)
    return f"# Results for other software\n\n{note}\n\n{files}\n\n## Columns of effects.csv\n\n{columns}\n"
