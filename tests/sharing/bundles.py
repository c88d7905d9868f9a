"""Bundles taken apart, changed and put together again, with and without right checksums."""

import json
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from twostage.sharing.archive import NO_DATE
from twostage.sharing.layout import MANIFEST, RECORD_MEMBERS, content_checksum, digest, seal, to_json


def entries(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def sealed(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same members with a manifest that has their checksums and the right seal, if it is one at all."""
    manifest = json.loads(members[MANIFEST])
    if not isinstance(manifest, dict):
        return dict(members)
    manifest["members"] = {name: digest(content) for name, content in members.items() if name != MANIFEST}
    try:
        return {**members, MANIFEST: to_json(manifest | {"seal": seal(manifest)})}
    except ValueError:
        # A number or text that cannot be written as it should be has no seal.
        return dict(members)


def signed(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same with the checksum of the records' content put right as well, as far as they can be read."""
    try:
        values = {a: json.loads(members[name]) for a, name in RECORD_MEMBERS.items() if name in members}
        checksum = {"data_checksum": content_checksum(values)}
    except (ValueError, AttributeError, RecursionError):
        return sealed(members)
    new = {
        name: json.dumps(json.loads(members[name]) | checksum).encode()
        for name in RECORD_MEMBERS.values()
        if name in members
    }
    return sealed({**members, **new})


def changed(members: Mapping[str, bytes], name: str, change: Callable[[Any], Any]) -> dict[str, bytes]:
    """One member changed by a function of its content, all checksums put right."""
    value = json.loads(members[name])
    change(value)
    return signed({**members, name: json.dumps(value).encode()})


def zipped(
    members: Mapping[str, bytes], edit: Callable[[zipfile.ZipInfo], None] = lambda info: None
) -> bytes:
    """A zip file of some members, each with its header as edited."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, NO_DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            edit(info)
            archive.writestr(info, content)
    return target.getvalue()


def remove_study(collection: Path, study: str) -> None:
    """Take a study out of a collection."""
    for name in ("studies.csv", "truth.csv"):
        path = collection / name
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith(f"{study},")), encoding="utf-8")
    for folder in ("sessions", "patients"):
        (collection / folder / f"{study}.csv").unlink()
