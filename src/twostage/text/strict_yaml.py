"""The YAML that people write for us, read strictly and within bounds: settings, parameters, mappings, `-p` values.

Numbers and texts are those of YAML 1.2's core schema, where ``yes``, ``NO`` (a country), ``12:30`` and ``2020-01-31``
are texts. Numbers that YAML 1.1 and 1.2 read differently (``010`` is 8 to one and 10 to the other) are refused, as
is whatever a settings file does not need and an attack does: aliases, tags, keys that come twice, endless nesting.
"""

import math
import re
import stat
from pathlib import Path
from typing import Any

import yaml

from twostage.problems import Problem, ProblemError

#: Bytes of a file; the longest mapping of a file with 200 samples has some 40 kB.
MOST_BYTES = 250_000


#: Deeper nesting than any of our files has.
MOST_DEPTH = 12


#: Digits of a whole number; a double holds 15 exactly.
MOST_DIGITS = 18


_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")


_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")


#: Octal, hexadecimal, binary and underscored numbers, and those with leading zeros.
_DIFFERENT = re.compile(r"[-+]?(0[0-9_]+|0[bB][01_]+|0[oO][0-7_]+|0[xX][0-9a-fA-F_]+|[1-9][0-9]*(_[0-9]+)+)")


#: Breaks of lines to YAML 1.1, which PyYAML escapes between double quotes only and else folds.
_BREAKS = set("\x85\u2028\u2029")


#: What PyYAML was doing when a text began with a sign that has a meaning.
_TOKENS = {"while scanning an alias", "while scanning an anchor", "while scanning for the next token"}


_CONSTANTS: dict[str, bool | None] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}


_CONSTANTS |= {name: None for name in ("", "~", "null", "Null", "NULL")}


class YamlError(ProblemError):
    """A text that is no YAML of the kind that we read; has one problem, with its line."""

    subject = "YAML"


class _Refusal(Exception):
    def __init__(self, node: yaml.Node, found: str, expected: str):
        super().__init__(found)
        self.row, self.found, self.expected = node.start_mark.line + 1, found, expected


def read_yaml(path: Path, name: str) -> Any:
    """Content of a file; None of an empty one.

    Parameters
    ----------
    path : Path
    name : str
        What to call the file in messages.

    Raises
    ------
    OSError
        If it cannot be read.
    YamlError
    """
    if not (stat.S_ISREG(mode := path.stat().st_mode) or stat.S_ISDIR(mode)):
        # Reading a device or a pipe need not end.
        raise YamlError([Problem(name, None, None, "a device or a pipe", "a readable file")])
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise YamlError([Problem(name, None, None, "a larger file", f"at most {MOST_BYTES:,} bytes")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        found = f"byte 0x{content[error.start]:02x}"
        raise YamlError([Problem(name, row, None, found, "text in UTF-8")]) from None
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> Any:
    """A text's content; `name` says in messages where it is from.

    Raises
    ------
    YamlError
    """
    if len(text) > MOST_BYTES:
        raise YamlError([Problem(name, None, None, "a longer text", f"at most {MOST_BYTES:,} characters")])
    try:
        node = _Loader(text).get_single_node()
        return None if node is None else _value(node)
    except _Refusal as refusal:
        problem = Problem(name, refusal.row, None, refusal.found, refusal.expected)
    except yaml.reader.ReaderError as error:
        row = text[: error.position].count("\n") + 1
        problem = Problem(name, row, None, f"the character U+{error.character:04X}", "printable text")
    except yaml.MarkedYAMLError as error:
        problem = Problem(name, _row(error), None, error.problem or error.context, _expected(error))
    raise YamlError([problem])


def _row(error: yaml.MarkedYAMLError) -> int | None:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else None


def _expected(error: yaml.MarkedYAMLError) -> str:
    if error.problem == "mapping values are not allowed here":
        return "valid YAML; a text with a colon in it needs quotes"
    if error.context in _TOKENS:
        return "valid YAML; a text that begins with a sign like * & @ % ` needs quotes"
    return "valid YAML"


def yaml_text(value: Any, **options: Any) -> str:
    """A value as YAML that :func:`parse_yaml` reads back as it was; options as of :func:`yaml.dump`."""
    return yaml.dump(value, Dumper=_Dumper, **{"allow_unicode": True, "sort_keys": False} | options)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML writes without quotes what is a text to YAML 1.1 only, as 4e5.
    number = any(pattern.fullmatch(text) for pattern in (_INTEGER, _FLOAT, _DIFFERENT))
    style = '"' if _BREAKS & set(text) else "'" if number else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


class _Loader(yaml.SafeLoader):
    """Composes nodes, which :func:`_value` reads; refuses before anything is built that is costly to build."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node:
        event = self.peek_event()
        if self.check_event(yaml.AliasEvent) or getattr(event, "anchor", None):
            mark = "*" if self.check_event(yaml.AliasEvent) else "&"
            expected = "no aliases and anchors; a text that begins with * or & needs quotes"
            raise _Refusal(event, f"{mark}{event.anchor}", expected)
        if getattr(event, "tag", None):
            raise _Refusal(event, event.tag, "no tags; a text that begins with ! needs quotes")
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise _Refusal(event, "keys within keys", f"at most {MOST_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(inner) for inner in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    return _scalar(node)


def _mapping(node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _Refusal(key_node, "a key of several values", "a name or a number before the colon")
        if key_node.value == "<<" and key_node.style is None:
            raise _Refusal(key_node, "<<", "no merging of keys: write them out")
        key = _scalar(key_node)
        # True and 1 are one key to Python.
        if key in found:
            raise _Refusal(key_node, f"{key_node.value[:80]!r} again", "each key once")
        found[key] = _value(value_node)
    return found


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    if node.style is not None:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _DIFFERENT.fullmatch(text):
        expected = "a plain decimal number, or quotes around a text: programs read this one differently"
        raise _Refusal(node, text[:40], expected)
    if _INTEGER.fullmatch(text):
        if len(text) > MOST_DIGITS:
            raise _Refusal(node, f"a number of {len(text)} digits", f"at most {MOST_DIGITS} digits")
        return int(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            raise _Refusal(node, text[:40], "a number within a double's range")
        return value
    return text
