"""Studies whose data may not leave the house: a site shares its results as a bundle, a collection accepts it."""

from twostage.sharing.accept import accept_bundle, misfits
from twostage.sharing.layout import Bundle, BundleError, Filters
from twostage.sharing.share import free, make_bundle, replaced_differs, write_bundle
from twostage.sharing.stored import stored_bundle, stored_bundles, stored_problems
from twostage.sharing.summaries import NEVER
from twostage.sharing.words import entry, ordered, quantity, shown

__all__ = [
    "Bundle",
    "BundleError",
    "Filters",
    "NEVER",
    "accept_bundle",
    "entry",
    "free",
    "make_bundle",
    "misfits",
    "ordered",
    "quantity",
    "replaced_differs",
    "shown",
    "stored_bundle",
    "stored_bundles",
    "stored_problems",
    "write_bundle",
]
