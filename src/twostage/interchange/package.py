"""``datapackage.json``: the files of ``results/`` with checksums and the meaning of each column, for Frictionless."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any

from twostage.interchange.columns import table_schema
from twostage.interchange.documents import Pooled

#: The file, the one table among those that it describes column by column, and what that table's columns mean for people.
FILE, TABLE, CODEBOOK = "datapackage.json", "effects.csv", "codebook.csv"


#: What each file is.
MEANINGS = {
    TABLE: "Every estimate of every study, one row each",
    CODEBOOK: "What the columns of effects.csv mean, and the short names in them",
    "pooled.json": "What was pooled: effects with heterogeneity and prediction intervals, moderators, who was left out",
    "pooled.jsonschema.json": "JSON Schema of pooled.json",
    "vcov.json": "Sampling covariances of the estimates of each study",
    "workflow.json": "How the results were made: command, notebooks, parameters",
    "README.md": "What these files are",
    FILE: "Frictionless Data Package: the files with checksums, and the columns of effects.csv",
    "ro-crate-metadata.json": "Workflow Run RO-Crate: inputs, notebooks, parameters, software, people, licences",
}


_TYPES = {".csv": "text/csv", ".json": "application/json", ".md": "text/markdown"}


def media_type(name: str) -> str:
    """Of a file, by its ending."""
    return _TYPES[PurePosixPath(name).suffix]


def data_package(contents: Mapping[str, bytes], document: Pooled) -> dict[str, Any]:
    """The description of the files.

    Parameters
    ----------
    contents : mapping
        Name -> content of the files to describe.
    document : Pooled
    """
    licences = sorted({study.licence for study in document.studies})
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "results",
        "title": document.collection.title,
        "description": document.collection.note,
        "created": f"{document.made}T00:00:00Z",
        "version": version("twostage"),
        "keywords": ["meta-analysis", "individual participant data", "within-person processes"],
        "contributors": [{"title": name} for name in document.people],
        "sources": [
            {"title": f"{study.study}: {study.label} (licence of its data: {study.licence})"}
            for study in document.studies
        ],
        "licencesOfTheData": licences,
        "resources": [_resource(name, content) for name, content in contents.items()],
    }


def _resource(name: str, content: bytes) -> dict[str, Any]:
    told = {
        "name": name.rsplit(".", 1)[0].replace(".", "-").lower(),
        "path": name,
        "title": MEANINGS[name],
        "mediatype": media_type(name),
        "bytes": len(content),
        "hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
    }
    if name != TABLE:
        return told
    return told | {"type": "table", "format": "csv", "encoding": "utf-8", "schema": table_schema()}
