"""YAML is read as a person means it, within bounds, or refused with the line."""

import time

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from twostage.text.strict_yaml import MOST_BYTES, YamlError, parse_yaml, read_yaml, yaml_text

BOMB = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n"

REFUSED = {
    "alias bomb": (BOMB, 1, "no aliases and anchors"),
    "unquoted star": ("title: *z*\n", 1, "needs quotes"),
    "tag": ("a: 1\nb: !!python/object/apply:os.getcwd []\n", 2, "no tags"),
    "plain tag": ("a: !!int '8'\n", 1, "no tags"),
    "deep flow": ("a: " + "[" * 100_000, 1, "at most 12 levels"),
    "deep block": ("\n".join(" " * i + "a:" for i in range(300)), 12, "at most 12 levels"),
    "digits": ("a: 1\nb: " + "9" * 5000, 2, "at most 18 digits"),
    "octal": ("lag: 010\n", 1, "programs read this one differently"),
    "new octal": ("a:\n - 0o10\n", 2, "programs read this one differently"),
    "hexadecimal": ("a: 0x1F\n", 1, "programs read this one differently"),
    "underscores": ("a: 1_000\n", 1, "programs read this one differently"),
    "key twice": ("lag: 1\nlag: 2\n", 2, "each key once"),
    "key twice inside": ("a:\n  b: 1\n  c: 2\n  b: 3\n", 4, "each key once"),
    "key twice, other type": ("1: a\ntrue: b\n", 2, "each key once"),
    "key of several": ("? [a, b]\n: 1\n", 1, "a name or a number"),
    "merge": ("a: {<<: {b: 1}}\n", 1, "no merging"),
    "infinite": ("a: 1e999\n", 1, "double's range"),
    "two documents": ("a: 1\n---\nb: 2\n", 2, "valid YAML"),
    "open": ("a: [1\n", 2, "valid YAML"),
    "control": ("a: 1\nb: x\x07\n", 2, "printable"),
    "long": ("#" * (MOST_BYTES + 1), None, "at most 250,000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_at_once_with_the_line(name):
    text, row, expected = REFUSED[name]
    start = time.process_time()
    with pytest.raises(YamlError) as caught:
        parse_yaml(text, "c.yml")
    assert time.process_time() - start < 2
    (problem,) = caught.value.problems
    assert (problem.file, problem.row) == ("c.yml", row)
    assert expected in problem.expected


def test_numbers_and_words_are_those_of_yaml_1_2():
    read = {
        "NO": "NO", "yes": "yes", "off": "off", "true": True, "False": False, "null": None, "~": None, "": None,
        "12:30": "12:30", "2020-01-31": "2020-01-31", "4e5": 4e5, "1.5": 1.5, "-.5": -0.5, "0": 0, "-7": -7,
        "0.9": 0.9, ".nan": ".nan", ".inf": ".inf", "'010'": "010", '"1"': "1", "S01": "S01", "00.5": 0.5,
    }  # fmt: skip
    for text, value in read.items():
        found = parse_yaml(f"a: {text}\n", "c.yml")["a"]
        assert (found, type(found)) == (value, type(value)), text


def test_a_file_is_bounded_decoded_and_may_be_empty(tmp_path):
    path = tmp_path / "c.yml"
    for content, row in ((b"a" * (MOST_BYTES + 1), None), (b"a: 1\nb: \xff\n", 2)):
        path.write_bytes(content)
        with pytest.raises(YamlError) as caught:
            read_yaml(path, "c.yml")
        assert caught.value.problems[0].row == row
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(path, "c.yml") == {"a": 1}
    path.write_bytes(b"# nothing\n")
    assert read_yaml(path, "c.yml") is None
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "none.yml", "none.yml")


SCALAR = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, width=32)
TEXT = (
    st.text()
    | st.from_regex(r"[-+]?0?[xob]?[0-9_.e:]{1,6}", fullmatch=True)
    | st.sampled_from(["yes", "~", "<<"])
)


@example({"\x85": None})
@example(["a\x85\n b", "\u2028", "x\u2029 y"])
@given(
    st.recursive(
        (SCALAR | TEXT).filter(lambda v: v not in (float("inf"), -float("inf"))),
        lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
        max_leaves=8,
    )
)
def test_what_we_write_is_read_back_as_it_was(value):
    try:
        text = yaml_text(value)
        found = parse_yaml(text, "c.yml")
    except YamlError as error:
        assert "levels" in error.problems[0].expected
    else:
        assert found == value
        assert yaml.safe_load(text) == value
