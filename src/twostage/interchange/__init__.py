"""Results for other people's software, and other people's results as studies of a collection."""

from twostage.interchange.columns import COLUMNS
from twostage.interchange.documents import Pooled, plain
from twostage.interchange.package import MEANINGS
from twostage.interchange.pooled import FILE as POOLED
from twostage.interchange.pooled import as_results, pooled_document
from twostage.interchange.pull import pull
from twostage.interchange.read import ResultsError
from twostage.interchange.releases import (
    Release,
    ReleaseError,
    add_release,
    make_release,
    read_releases,
    read_versions,
    release_folder,
    same_results,
    zero,
)
from twostage.interchange.results import FOLDER, LINKED, How, result_files
