"""A collection of studies and its registry: the only reader of participants' data."""

from twostage.collection.collection import (
    VERSIONS,
    Collection,
    Study,
    examine_collection,
    locate_collection,
    read_collection,
    validate_collection,
)
from twostage.collection.large_study import LargeStudy, Piece, Pieces, merged
from twostage.collection.other_csv import SEP_LINE, Content, plain_content
from twostage.collection.parquet_file import write_parquet
from twostage.collection.part import FILE, Part, part_text, read_part
from twostage.collection.registry import TABLES, Registry, read_registry
from twostage.collection.review import JUDGEMENTS, Review, StudiesFound
from twostage.collection.same_data import duplicates, overlaps, patient_series
from twostage.collection.schema import NUMBER, REGISTRY, REGISTRY_OPTIONAL
from twostage.collection.settings import Layout, Settings, Variable, VariableSettings, read_settings
from twostage.collection.shared_studies import (
    FOLDER,
    MARK,
    MARK_NOTE,
    PULLED_MARK,
    PULLED_NOTE,
    mark_notes,
    row_findings,
    unmarked,
)
from twostage.collection.skeleton import Pair, new_collection, unedited
from twostage.collection.study_files import saved_as
from twostage.collection.study_ids import PATTERN, TELL_APART, is_device, same_file, why_not
from twostage.collection.window import outside_window
