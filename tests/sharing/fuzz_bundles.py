"""Malformed bundles, as many as you like: each is refused with a reason or says what the good bundle says.

    python tests/sharing/fuzz_bundles.py 10000 [seed]

draws a synthetic study, shares it, spoils the bundle again and again, offers each to a collection, and prints what
came of it. Ends with status 1 if anything but the declared error was raised or anything was left half-written.
"""

import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from bundles import entries, remove_study
from malformed import Members, malformed

sys.path.insert(0, str(Path(__file__).parents[1]))

from later import use

from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.pipeline.shared import shared_page
from twostage.records import stage1_records
from twostage.records.record import Record
from twostage.sharing.accept import accept_bundle
from twostage.sharing.archive import unpack
from twostage.sharing.check import check_bundle
from twostage.sharing.layout import PAGE, BundleError, Filters
from twostage.sharing.share import make_bundle
from twostage.sharing.stored import shared_records, stored_problems
from twostage.simulation.simulate import simulate_collection, write_collection

#: Records by analysis of the studies that are in the collection already.
Others = Sequence[Mapping[str, Record]]

#: One in so many accepted bundles goes through everything that comes later.
THOROUGH = 10


def offer(
    content: bytes, original: bytes, kind: str, centre: Path, before: Members, others: Others
) -> tuple[str, str | None]:
    """Offer a bundle to a collection; returns what came of it and what is wrong with that."""
    path = centre.parent / "bundle.zip"
    path.write_bytes(content)
    try:
        accept_bundle(path, centre)
    except BundleError:
        return "refused", None if entries(centre) == before else "something was written"
    except Exception:
        return "failed", traceback.format_exc()
    try:
        return "accepted", wrong_acceptance(content, original, kind, centre) or fails_later(centre, others)
    except Exception:
        return "accepted", traceback.format_exc()
    finally:
        shutil.rmtree(centre / "bundles")


def fails_later(centre: Path, others: Others) -> str | None:
    """Pool what was accepted with other studies' records, and make its page, tables and sentences; None without them."""
    if not others:
        return None
    collection = read_collection(centre)
    (study,) = collection.shared
    records = shared_records(collection)[study]
    together = {a: [of_study[a] for of_study in (*others, records)] for a in records}
    with tempfile.TemporaryDirectory() as out:
        use(collection, together, Path(out))
    shared_page(collection, study)
    return None


def wrong_acceptance(content: bytes, original: bytes, kind: str, centre: Path) -> str | None:
    """What is wrong with an accepted bundle: without new checksums it must say what the original says."""
    if problems := stored_problems(centre):
        return f"accepted, but stored with problems: {problems}"
    if not kind.endswith("signed anew") and unpack(content, "it") != unpack(original, "original"):
        return "accepted with another content"
    written = entries(centre / "bundles")
    bundle = check_bundle(unpack(content, "it"))
    expected = {f"{bundle.study}/{name}": c for name, c in bundle.content.items() if name != PAGE}
    return None if written == expected else "accepted, but something else is there"


def fuzz(n: int, seed: int, packed: bytes, centre: Path, others: Others = ()) -> tuple[Counter, list[str]]:
    """Offer n malformed bundles; returns counts by kind and outcome, and everything that is wrong.

    `others` are the records of the collection's studies; with them, one acceptance in :data:`THOROUGH` is used.
    """
    rng, members, before = random.Random(seed), unpack(packed, "original"), entries(centre)
    counts: Counter = Counter()
    faults = []
    for i in range(n):
        kind, content = malformed(packed, members, rng)
        chosen = others if rng.randrange(THOROUGH) == 0 else ()
        outcome, fault = offer(content, packed, kind, centre, before, chosen)
        counts[kind, outcome] += 1
        faults += [f"seed {seed}, bundle {i}, {kind}: {fault}"] if fault else []
    return counts, faults


def main() -> int:
    """Run from the command line."""
    warnings.simplefilter("error")
    n, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        site = write_collection(simulate_collection(11, n_studies=3, n_patients=150), Path(folder) / "site")
        collection = read_collection(site)
        packed = make_bundle(collection, "S02", make_parameters({}), Filters(digits=None), date(2026, 2, 3))
        centre = shutil.copytree(site, Path(folder) / "centre")
        remove_study(centre, "S02")
        others = [stage1_records(collection.study(s), make_parameters({})) for s in ("S01", "S03")]
        start = time.process_time()
        counts, faults = fuzz(n, seed, packed, centre, others)
    print(f"{n} malformed bundles, seed {seed}, {time.process_time() - start:.0f} s of processor time")
    for (kind, outcome), count in sorted(counts.items()):
        print(f"  {kind}: {count} {outcome}")
    print(f"{len(faults)} tracebacks or wrong acceptances", *faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
