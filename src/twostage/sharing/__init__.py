"""Studies whose data a site may not pass on: it shares its results as a bundle, and a collection accepts the bundle."""

from twostage.sharing.accept import accept_bundle, misfits
from twostage.sharing.consistency import DESCRIBED
from twostage.sharing.layout import Bundle, BundleError, Filters, Pulled
from twostage.sharing.ledger import FILE
from twostage.sharing.missing import missing
from twostage.sharing.pulled import add_pulled, pulled_bundle
from twostage.sharing.share import share_study
from twostage.sharing.stored import stored_bundle, stored_bundles, stored_problems
from twostage.sharing.strict_json import read_json
from twostage.sharing.summaries import NEVER
from twostage.sharing.versions import version_note
from twostage.sharing.words import entry, ordered, quantity, shown
