"""Ways to spoil a bundle, for the fuzz run and its test: drawn at random, each with a name."""

import json
import random
import stat
import warnings
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

from bundles import signed, zipped

from twostage.sharing.layout import MANIFEST, PAGE

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
    2**63,
    10**400,
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
    "9" * 5000,
    "NaN",
    "CON",
    json.loads("[" * 50 + "]" * 50),
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
    "CON",
    "records/NUL.json",
    "COM1.json",
    "\\\\server\\share\\evil",
    "records/../manifest.json",
    "./study.json",
    "MANIFEST.JSON",
    "records/lagged.json:stream",
    "~/evil",
    "x" * 5000,
]

#: What a member may be replaced with as a whole.
CONTENTS = [
    b"",
    b"null",
    b"[]",
    b"0",
    b"[" * 200_000,
    b'{"a":' * 20_000,
    b"1" * 10_000,
    b"-" + b"9" * 4400,
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    b'{"a": "\\ud800"}',
    b"\xff\xfe\x00",
    b"PK\3\4",
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
    name, mode = rng.choice(list(members)), rng.randrange(1 << 32)
    link = (stat.S_IFLNK | 0o777) << 16
    target = rng.choice([b"../../evil", b"/etc/hostname", members[name]])
    kinds: list[Callable[[], bytes]] = [
        lambda: zipped({n if n != name else rng.choice(NAMES) or "x/": c for n, c in members.items()}),
        lambda: zipped({n: c for n, c in members.items() if n != name}),
        lambda: zipped(members | {rng.choice(NAMES) or "evil": rng.randbytes(9)}),
        lambda: zipped(members | {name: bytes(rng.randrange(5_000_000))}),
        lambda: zipped(members, lambda i: setattr(i, "external_attr", mode * (i.filename == name))),
        lambda: zipped(
            members | {name: target}, lambda i: setattr(i, "external_attr", link * (i.filename == name))
        ),
        lambda: zipped(members | {name: rng.choice([*CONTENTS, zipped(members)])}),
        lambda: zipped(members) + zipped(members | {name: b"{}"}),
        lambda: twice(zipped(members), name, rng),
        lambda: lying(zipped(members), rng),
        lambda: zipped(members | {name: damaged_text(members[name], rng)}),
    ]
    return rng.choice(kinds)()


def twice(content: bytes, name: str, rng: random.Random) -> bytes:
    """A member that is there again, under the same name or one that differs in case only."""
    target = BytesIO(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with zipfile.ZipFile(target, "a") as archive:
            archive.writestr(rng.choice([name, name.upper()]), rng.choice([b"{}", b""]))
            archive.comment = rng.randbytes(rng.choice([0, 9]))
    return target.getvalue()


#: Fields of a central directory's entry, by offset: versions, flags, method, time, CRC, sizes, lengths, attributes, place.
HEADER = [4, 6, 8, 10, 12, 16, 20, 24, 28, 30, 32, 34, 36, 38, 42]


def lying(content: bytes, rng: random.Random) -> bytes:
    """Flags, methods and sizes in the central directory that are not so: encrypted, LZMA, huge, of another disk."""
    data = bytearray(content)
    starts = [at for at in range(len(data) - 46) if data[at : at + 4] == b"PK\1\2"]
    at = rng.choice(starts) + rng.choice(HEADER)
    data[at : at + 2] = rng.choice(
        [b"\1\0", b"\x41\0", b"\x0e\0", b"\x63\0", b"\xff\xff", b"\0\0", rng.randbytes(2)]
    )
    return bytes(data)


def damaged_numbers(members: Members, rng: random.Random) -> bytes:
    """A record whose matrices, terms, counts or versions are wrong in a way that a person would think of."""
    name = rng.choice([n for n in members if n.startswith("records/")])
    record = json.loads(members[name])
    matrices = [c for key in ("covariances", "joint_covariances") for c in record[key]]
    what = rng.randrange(8)
    if what < 4 and matrices:
        change_matrix(rng.choice(matrices), what, rng)
    elif what == 4:
        other = rng.choice([n for n in members if n.startswith("records/")])
        record = json.loads(members[other])
    elif what == 5:
        record["schema_version"] = rng.choice([0, 2, 99, 2**70, "1", 1.0, True])
    elif what == 6 and record["estimates"]:
        rows = record["estimates"]
        rows.append(dict(rng.choice(rows)) | {rng.choice(list(rows[0])): rng.choice(STRANGE)})
    else:
        field = rng.choice(["n_enrolled", "exclusions", "sessions", "summary", "failures", "fits"])
        record[field] = rng.choice([STRANGE, [record[field]] * 2, {"n_patients": -5}, 10**9, [{}]])
    try:
        return zipped(signed(members | {name: json.dumps(record).encode("utf-8", errors="surrogatepass")}))
    except UnicodeError:
        return zipped(members | {name: repr(record).encode("utf-8", errors="replace")})


def unlikely_numbers(members: Members, rng: random.Random) -> bytes:
    """A record whose numbers fit each other and are far from any study's: estimates and errors scaled, matrices too."""
    name = rng.choice([n for n in members if n.startswith("records/")])
    record = json.loads(members[name])
    up, down = (10.0 ** rng.choice([-150, -8, -5, -2, 0, 0, 2, 5, 7, 150]) for _ in range(2))
    chosen = {(e["variant"], e["direction"]) for e in record["estimates"] if rng.random() < 0.5}
    for e in record["estimates"]:
        if (e["variant"], e["direction"]) in chosen:
            middle, error = e["estimate"] * up, e["std_error"] * down
            e.update(estimate=middle, std_error=error, statistic=middle / max(error, 1e-300))
            e.update(ci_low=middle - 2 * error, ci_high=middle + 2 * error)
    for c in record["covariances"]:
        if (c["variant"], c["direction"]) in chosen:
            c["matrix"] = [[v if v is None else v * down**2 for v in row] for row in c["matrix"]]
    if rng.random() < 0.5:
        for c in record["joint_covariances"]:
            c["matrix"] = [[v * down**2 for v in row] for row in c["matrix"]]
    return zipped(signed(members | {name: json.dumps(record).encode()}))


def change_matrix(c: dict, what: int, rng: random.Random) -> None:
    """Another shape, no symmetry, no positive definiteness, or numbers out of range."""
    rows = c["matrix"]
    i, j = rng.randrange(len(rows)), rng.randrange(len(rows))
    if what == 0:
        rng.choice([rows, rows[i]]).pop()
    elif what == 1:
        rows[i][j] = rng.choice([1e308, -1e308, 5e-324, float("inf"), float("nan"), None, 0])
    elif what == 2:
        rows[i][j] = rows[j][i] = (rows[i][i] or 1.0) * rng.choice([-3.0, 3.0, 1e6])
    else:
        c["matrix"] = rng.choice([[], [[]], rows[::-1], [row[::-1] for row in rows], rows + rows])


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
        "numbers, signed anew": lambda: damaged_numbers(members, rng),
        "unlikely, signed anew": lambda: unlikely_numbers(members, rng),
    }
    kind = rng.choice([*kinds, "fields, signed anew"])
    return kind, kinds[kind]()
