"""Malformed bundles, as many as you like: each is refused with a reason or says what the good bundle says.

    python tests/sharing/fuzz_bundles.py 10000 [seed]

draws a synthetic study, shares it, spoils the bundle again and again, offers each to a collection, and prints what
came of it. Ends with status 1 if anything but the declared error was raised or anything was left half-written.
"""

import json
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from bundles import entries, signed, zipped

from twostage.collection import read_collection
from twostage.params import make_parameters
from twostage.sharing.accept import accept_bundle
from twostage.sharing.archive import unpack
from twostage.sharing.check import check_bundle
from twostage.sharing.errors import BundleError
from twostage.sharing.layout import MANIFEST, PAGE, Filters
from twostage.sharing.share import make_bundle
from twostage.sharing.stored import stored_problems
from twostage.simulate import simulate_collection, write_collection

Members = dict[str, bytes]

#: What a field of a member may be replaced with.
STRANGE = [
    None,
    True,
    0,
    -1,
    1,
    1.5,
    1e308,
    -1e308,
    5e-324,
    10**17,
    float("nan"),
    float("inf"),
    "",
    "x",
    "../../etc",
    "<script>alert(1)</script>",
    "\x00",
    "\ud800",
    "{{ 7 * 7 }}",
    [],
    {},
    [[]],
    [1, [2, [3]]],
    {"a": {"b": 1}},
]

NAMES = [
    "../evil",
    "/evil",
    "C:/evil",
    "evil\\..\\evil",
    "records/",
    "",
    "manifest.json ",
    "\u202emanifest.json",
]


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """A zip file with some bytes changed, lost, added or moved."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(data))
        # Headers are a small part of the file and the interesting one.
        if rng.random() < 0.5:
            at = rng.randrange(max(len(data) - 900, 0), len(data))
        what = rng.randrange(5)
        if what == 0:
            data[at] = rng.randrange(256)
        elif what == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif what == 2:
            del data[at : at + rng.choice([1, 4, 100, len(data)])]
        elif what == 3:
            data[at:at] = rng.randbytes(rng.choice([1, 4, 100]))
        else:
            data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"PK\1\2", b"PK\3\4"])
        if not data:
            break
    return bytes(data)


def damaged_archive(members: Members, rng: random.Random) -> bytes:
    """Members under other names, twice, missing, or with strange headers."""
    what, name = rng.randrange(6), rng.choice(list(members))
    if what == 0:
        return zipped({n if n != name else rng.choice(NAMES) or "x/": c for n, c in members.items()})
    if what == 1:
        return zipped({n: c for n, c in members.items() if n != name})
    if what == 2:
        return zipped(members | {rng.choice(NAMES) or "evil": rng.randbytes(9)})
    if what == 3:
        return zipped(members | {name: bytes(rng.randrange(5_000_000))})
    if what == 4:
        mode = rng.randrange(1 << 32)
        return zipped(members, lambda i: setattr(i, "external_attr", mode if i.filename == name else 0))
    return zipped(members | {name: damaged_text(members[name], rng)})


def damaged_text(content: bytes, rng: random.Random) -> bytes:
    """One member with bytes changed."""
    data = bytearray(content)
    at = rng.randrange(len(data))
    data[at : at + rng.choice([0, 1, 50])] = rng.choice(
        [b"", b"0", b"9", b"-", b"e9", b'"', b"[", b"\xff", b"NaN"]
    )
    return bytes(data)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all fields of nested lists and mappings."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, v in inner for p in ((*path, key), *places(v, (*path, key)))]


def damaged_field(members: Members, rng: random.Random) -> bytes:
    """One field of one member replaced, removed, added or doubled, with all checksums put right."""
    name = rng.choice([n for n in members if n != PAGE])
    value = json.loads(members[name])
    path = rng.choice(places(value))
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1], rng)
    try:
        content = json.dumps(value).encode("utf-8", errors="surrogatepass")
    except ValueError:
        content = repr(value).encode()
    if name == MANIFEST:
        return zipped(signed(members | {name: content}) if rng.random() < 0.8 else members | {name: content})
    return zipped(signed(members | {name: content}))


def change(parent: Any, key: Any, rng: random.Random) -> None:
    """Change one entry of a list or mapping."""
    what, old = rng.randrange(5), parent[key]
    if what == 0:
        parent.pop(key)
    elif what == 1 and isinstance(parent, list):
        parent.append(rng.choice([old, *STRANGE]))
    elif what == 1:
        parent[str(rng.choice(["evil", "", "n_evil", f"{key} "]))] = old
    elif what == 2 and isinstance(old, int | float) and not isinstance(old, bool):
        parent[key] = rng.choice([-old, old * 1.000001, old * 10, old + 1, str(old), int(old)])
    else:
        parent[key] = rng.choice(STRANGE)


def malformed(packed: bytes, members: Members, rng: random.Random) -> tuple[str, bytes]:
    """One malformed bundle and the kind of damage."""
    kinds: dict[str, Callable[[], bytes]] = {
        "bytes of the file": lambda: damaged_bytes(packed, rng),
        "members and headers": lambda: damaged_archive(members, rng),
        "fields, signed anew": lambda: damaged_field(members, rng),
    }
    kind = rng.choice(["bytes of the file", "members and headers", *["fields, signed anew"] * 2])
    return kind, kinds[kind]()


def offer(
    content: bytes, original: bytes, kind: str, centre: Path, before: Members
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
        return "accepted", wrong_acceptance(content, original, kind, centre)
    finally:
        shutil.rmtree(centre / "bundles")


def wrong_acceptance(content: bytes, original: bytes, kind: str, centre: Path) -> str | None:
    """What is wrong with an accepted bundle: without new checksums it must say what the original says."""
    if problems := stored_problems(centre):
        return f"accepted, but stored with problems: {problems}"
    if kind != "fields, signed anew" and unpack(content, "it") != unpack(original, "original"):
        return "accepted with another content"
    written = entries(centre / "bundles")
    bundle = check_bundle(unpack(content, "it"))
    expected = {f"{bundle.study}/{name}": c for name, c in bundle.content.items() if name != PAGE}
    return None if written == expected else "accepted, but something else is there"


def fuzz(n: int, seed: int, packed: bytes, centre: Path) -> tuple[Counter, list[str]]:
    """Offer n malformed bundles; returns counts by kind and outcome, and everything that is wrong."""
    rng, members, before = random.Random(seed), unpack(packed, "original"), entries(centre)
    counts: Counter = Counter()
    faults = []
    for i in range(n):
        kind, content = malformed(packed, members, rng)
        outcome, fault = offer(content, packed, kind, centre, before)
        counts[kind, outcome] += 1
        faults += [f"bundle {i}, {kind}: {fault}"] if fault else []
    return counts, faults


def main() -> int:
    """Run from the command line."""
    n, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        site = write_collection(simulate_collection(11, n_studies=3, n_patients=150), Path(folder) / "site")
        collection = read_collection(site)
        packed = make_bundle(collection, "S02", make_parameters({}), Filters(), date(2026, 2, 3))
        centre = write_collection(
            simulate_collection(11, n_studies=1, n_patients=20), Path(folder) / "centre"
        )
        start = time.process_time()
        counts, faults = fuzz(n, seed, packed, centre)
    print(f"{n} malformed bundles, seed {seed}, {time.process_time() - start:.0f} s of processor time")
    for (kind, outcome), count in sorted(counts.items()):
        print(f"  {kind}: {count} {outcome}")
    print(f"{len(faults)} tracebacks or wrong acceptances", *faults[:5], sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
