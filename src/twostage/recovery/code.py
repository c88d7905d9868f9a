"""Which code a stored result came from: a checksum of a module and of all of ours that it uses."""

import ast
import hashlib
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "twostage"


def code_checksum(module: str) -> str:
    """SHA-256 over a module and the modules of this package that it imports, directly or through others.

    Only imports at the top of a module count: those inside functions are for display, not for numbers.

    Parameters
    ----------
    module : str
        Full name, such as ``twostage.recovery.replicate``.

    Returns
    -------
    str
    """
    found: dict[str, bytes] = {}
    _collect(module, found)
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name}\0".encode() + found[name])
    return digest.hexdigest()


def _collect(module: str, found: dict[str, bytes]) -> None:
    spec = find_spec(module)
    if module in found or spec is None or spec.origin is None:
        return
    found[module] = source = Path(spec.origin).read_bytes().replace(b"\r\n", b"\n")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            _collect(node.module, found)
            for alias in node.names:
                if find_spec(node.module).submodule_search_locations:
                    _collect(f"{node.module}.{alias.name}", found)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(f"{PACKAGE}."):
                    _collect(alias.name, found)
