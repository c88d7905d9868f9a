"""The same studies in another window of sessions: what the pool would have been."""

from collections.abc import Mapping, Sequence

from twostage.collection import Collection
from twostage.pages.compare.analysis import Comparison, compare
from twostage.params import Parameters
from twostage.records import Record, analyse
from twostage.stage1 import WINDOW_LENGTHS
from twostage.stage2 import pool_results
from twostage.words import say

#: Names of the parameters by which records are pooled, not made.
POOLING = ("tau2_method", "ci_method", "level")


def other_window(parameters: Parameters) -> Parameters:
    """The window to compare a chosen one with.

    The shortest of :data:`~twostage.stage1.vocabulary.WINDOW_LENGTHS` that is shorter than the chosen window and
    leaves an analysis; where there is none, a window twice as long.
    """
    first, last = parameters.first_session, parameters.last_session
    least = max(parameters.min_sessions, parameters.lag + 1)
    shorter = [n for n in WINDOW_LENGTHS if n >= least and first + n - 1 < last]
    end = first + min(shorter) - 1 if shorter else last + (last - first + 1)
    return parameters.model_copy(update={"last_session": end})


def window_name(parameters: Parameters) -> str:
    """``sessions 1-7``."""
    return f"{say('sessions')} {parameters.first_session}-{parameters.last_session}"


def compare_windows(
    collection: Collection, records: Mapping[str, Sequence[Record]], pooling: Parameters
) -> Comparison:
    """Analyse the studies again in :func:`other_window` and set both pools side by side, the shorter first.

    Parameters
    ----------
    collection : Collection
    records : mapping
        Analysis -> records in the chosen window. Studies that shared records instead of data cannot be analysed
        again and are in neither pool.
    pooling : Parameters
        Of which `tau2_method`, `ci_method` and `level` are used.

    Returns
    -------
    Comparison
    """
    there = [id for id in collection.studies["study"] if id not in collection.shared]
    how = {name: getattr(pooling, name) for name in POOLING}
    made_with = next(iter(records.values()))[0].parameters
    chosen = made_with.model_copy(update=how)
    other = other_window(chosen)
    kept = {name: [r for r in found if r.study in there] for name, found in records.items()}
    again = analyse(collection.only(there), other, list(records)).records
    pools = {
        p.last_session: pool_results(window_name(p), collection, p, of)
        for p, of in ((chosen, kept), (other, again))
    }
    short, long = (pools[end] for end in sorted(pools))
    return compare(short, long)
