"""A collection of studies and its registry: the only reader of participants' data."""

from twostage.collection.collection import (
    Collection,
    Study,
    examine_collection,
    locate_collection,
    read_collection,
    validate_collection,
)
from twostage.collection.part import FILE, Part, part_text, read_part
from twostage.collection.registry import TABLES, Registry, read_registry
from twostage.collection.same_data import twins
from twostage.collection.schema import NUMBER, STUDY_ID, matches
from twostage.collection.settings import Layout, Settings, Variable, VariableSettings, read_settings
from twostage.collection.shared_studies import FOLDER, MARK, MARK_NOTE, row_findings
from twostage.collection.skeleton import Pair, new_collection, unedited

__all__ = [
    "Collection",
    "FILE",
    "FOLDER",
    "Layout",
    "MARK",
    "MARK_NOTE",
    "NUMBER",
    "Pair",
    "Part",
    "Registry",
    "STUDY_ID",
    "Settings",
    "Study",
    "TABLES",
    "Variable",
    "VariableSettings",
    "examine_collection",
    "locate_collection",
    "matches",
    "new_collection",
    "part_text",
    "read_collection",
    "read_part",
    "read_registry",
    "read_settings",
    "row_findings",
    "twins",
    "unedited",
    "validate_collection",
]
