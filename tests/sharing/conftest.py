"""A site's collection, the bundle of its largest study, and a collection that may accept it."""

import sys
from datetime import date
from pathlib import Path

import pytest

from twostage.collection.collection import Collection
from twostage.params import make_parameters
from twostage.records import stage1_records
from twostage.records.record import Record
from twostage.sharing.archive import unpack
from twostage.sharing.layout import Filters
from twostage.sharing.share import make_bundle

# The tests are not a package; their shared helpers are found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from bundles import remove_study

STUDY, DAY = "S02", date(2026, 2, 3)


@pytest.fixture(scope="session")
def true_records(three: Collection) -> dict[str, dict[str, Record]]:
    """Each study's records, as its notebooks leave them."""
    return {s: stage1_records(three.study(s), make_parameters({})) for s in three.studies["study"]}


@pytest.fixture(scope="session")
def packed(three: Collection) -> bytes:
    """The bundle of one study."""
    return make_bundle(three, STUDY, make_parameters({}), Filters(digits=None), DAY)


@pytest.fixture(scope="session")
def members(packed: bytes) -> dict[str, bytes]:
    """Its members."""
    return unpack(packed, "bundle.zip")


@pytest.fixture
def centre(small: Path) -> Path:
    """The collection without that study's data."""
    remove_study(small, STUDY)
    return small
