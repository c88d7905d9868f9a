"""Which code a stored result came from: a checksum of a module and of all of ours that it uses."""

import ast
import hashlib
from importlib.util import find_spec
from pathlib import Path

from twostage.beside import files_beside

PACKAGE = "twostage"


def code_checksum(module: str) -> str:
    """SHA-256 over a module and the modules of this package that it imports, directly or through others.

    So do the files of data beside these modules. Only imports at the top of a module count: those inside functions are
    for display, not for numbers. A folder's face is no code: of what it gathers, the modules count that the names come
    from.

    Parameters
    ----------
    module : str
        Full name, such as ``twostage.recovery.replicate``.

    Returns
    -------
    str
    """
    found: dict[str, bytes] = {}
    _collect(module, (), found)
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name}\0".encode() + found[name])
    return digest.hexdigest()


def _collect(module: str, names: tuple[str, ...], found: dict[str, bytes]) -> None:
    """Add a module's source, and of what it imports; of a folder's face only what gives the names."""
    spec = find_spec(module)
    if module in found or spec is None or spec.origin is None:
        return
    file = Path(spec.origin)
    source = file.read_bytes()
    is_face = spec.submodule_search_locations is not None
    if not is_face:
        found[module] = b"".join(
            path.read_bytes().replace(b"\r\n", b"\n") for path in (file, *files_beside(file))
        )
    for origin, wanted in _imports(source):
        if is_face:
            wanted = tuple(name for name in wanted if name in names)
        if wanted or not is_face:
            _collect(origin, wanted, found)
    for name in names if is_face else ():
        if _is_module(f"{module}.{name}"):
            _collect(f"{module}.{name}", (), found)


def _imports(source: bytes) -> list[tuple[str, tuple[str, ...]]]:
    """The modules of this package, and the names, that a module imports at its top."""
    rows = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            rows.append((node.module or "", tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Import):
            rows += [(alias.name, ()) for alias in node.names if alias.name.startswith(f"{PACKAGE}.")]
    return rows


def _is_module(name: str) -> bool:
    return find_spec(name) is not None
