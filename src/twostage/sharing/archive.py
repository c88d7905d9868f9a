"""The zip file of a bundle: written so that equal bundles are equal bytes, read without trusting a byte."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping

from twostage.problems import Problem
from twostage.sharing.layout import (
    MEMBERS,
    MOST_ARCHIVE,
    MOST_MEMBER,
    MOST_RATIO,
    MOST_TOTAL,
    OPTIONAL,
    BundleError,
)

#: The earliest date a zip file can have; a real one would make equal bundles differ.
NO_DATE = (1980, 1, 1, 0, 0, 0)


_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


#: What the standard library raises on malformed archives; nothing here touches a disk.
_MALFORMED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,  # unknown compression methods too
    UnicodeError,
    ValueError,
)


def pack(members: Mapping[str, bytes]) -> bytes:
    """A bundle's members as a zip file."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, NO_DATE)
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content, compresslevel=9)
    return target.getvalue()


def unpack(content: bytes, source: str) -> dict[str, bytes]:
    """The members of a zip file that has exactly the members of a bundle; all in memory.

    Parameters
    ----------
    content : bytes
        Of the file.
    source : str
        The file's name, for the messages.

    Raises
    ------
    BundleError
        If it is no zip file, a member is not one of a bundle's, missing, there twice, encrypted, no plain file,
        compressed in an unusual way, too large or compressed too well.
    """
    if len(content) > MOST_ARCHIVE:
        raise BundleError(
            [Problem(source, None, None, f"{len(content)} bytes", f"at most {MOST_ARCHIVE} bytes")]
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            for check in (_wrong_names, _wrong_entries):
                if problems := check(entries, source):
                    raise BundleError(problems)
            return {entry.filename: _read(archive, entry, source) for entry in entries}
    except _MALFORMED as error:
        if isinstance(error, BundleError):
            raise
        found = f"{type(error).__name__}: {str(error)[:200]}"
        raise BundleError(
            [Problem(source, None, None, found, "a bundle, the whole zip file that a site shared")]
        ) from None


def _wrong_names(entries: list[zipfile.ZipInfo], source: str) -> list[Problem]:
    # The name as it is in the file: the library cuts it at a zero byte.
    names = [entry.orig_filename for entry in entries]
    expected = f"the members of a bundle only ({', '.join(MEMBERS)})"
    problems = [Problem(source, None, None, name[:200], expected) for name in names if name not in MEMBERS]
    problems += [
        Problem(source, None, None, f"{name} {names.count(name)} times", "each member once")
        for name in MEMBERS
        if names.count(name) not in ((0, 1) if name in OPTIONAL else (1,))
    ]
    return problems[:20]


def _wrong_entries(entries: list[zipfile.ZipInfo], source: str) -> list[Problem]:
    problems = []
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        faults = {
            f"encrypted (flags {entry.flag_bits:#x})": entry.flag_bits & 0x2041,
            f"no plain file (mode {entry.external_attr >> 16:o})": kind not in (0, stat.S_IFREG)
            or entry.is_dir(),
            f"compression method {entry.compress_type}": entry.compress_type not in _METHODS,
            f"{entry.file_size} bytes": entry.file_size > MOST_MEMBER,
            f"{entry.file_size} bytes from {entry.compress_size}": entry.file_size
            > MOST_RATIO * max(entry.compress_size, 1),
        }
        expected = f"a plain file, stored or deflated, of at most {MOST_MEMBER} bytes"
        problems += [
            Problem(source, None, entry.filename[:200], f, expected) for f, bad in faults.items() if bad
        ]
    total = sum(entry.file_size for entry in entries)
    if total > MOST_TOTAL:
        problems.append(Problem(source, None, None, f"{total} bytes in all", f"at most {MOST_TOTAL} bytes"))
    return problems[:20]


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, source: str) -> bytes:
    """One member; its declared size may be a lie, so never more than that is read."""
    with archive.open(entry) as member:
        content = member.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        found = f"not the declared {entry.file_size} bytes"
        raise BundleError(
            [Problem(source, None, entry.filename, found, "the size that the archive declares")]
        )
    return content
