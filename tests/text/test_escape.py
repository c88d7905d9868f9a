"""A text goes into a page, an option, HTML, code and a terminal, and arrives as the same text."""

import html
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.mdit_to_docutils.base import DocutilsRenderer
from myst_parser.parsers.directives import MarkupError, parse_directive_text
from myst_parser.parsers.mdit import create_md_parser

from twostage.characters import terminal, unseen
from twostage.text.escape import (
    Markup,
    code,
    fence,
    image,
    markup,
    myst,
    option,
    paragraphs,
    rich_html,
    rich_myst,
    rich_texts,
)

CONFIG = yaml.safe_load((Path(__file__).resolve().parents[2] / "_config.yml").read_text(encoding="utf-8"))
EXTENSIONS = CONFIG["parse"]["myst_enable_extensions"]
PARSER = create_md_parser(MdParserConfig(enable_extensions=set(EXTENSIONS)), DocutilsRenderer)

QUICK = settings(deadline=None)

#: Letters by which markup of any kind begins or ends, and some that are only letters.
RISKY = "\\`*_{}[]()<>#+-.!&$|~:=@^%\"'/;,? 1aé中🎉\u00a0"
TEXTS = st.one_of(
    st.text(alphabet=RISKY, min_size=1, max_size=12),
    st.text(min_size=1, max_size=20).filter(lambda t: not unseen(t)),
)
HOSTILE = [
    "Clinic #2 (Bern)", "'Zitat' 2020", '"x" y', "$5 bis $6", "*z*", "{ref}", "{ref}`x`", "a_b_c", "_a_", "<b>", "&amp;",
    "&lt;img src=x onerror=alert(1)&gt;", "back\\slash\\", "`tick`", "|", "***", "~~~bar", "- x", "+ x", "1. x", "1) x",
    "# x", "> x", ": x", "x: y", "    code", "```{eval-rst}", ":::{note}", "{{ x }}", "{% raw %}", "(x)=", "+++", "% x",
    "---", "===", "[^1]", "[a](b)", "![a](b)", "<http://x>", "http://x.org", "\\begin{equation}", "$$x$$", "\\(x\\)",
    "a  b", " a", "a ", "\u00a0a", "中文", "🎉", "x\\", "C #", "**a", "a**", "@b", "[a]: http://x", "<!-- x -->", "</div>",
]  # fmt: skip


def shown(tokens: list[Token]) -> str:
    """The text that tokens show; anything but text fails."""
    text = ""
    for token in tokens:
        assert token.type in {"text", "paragraph_open", "paragraph_close", "inline"}, token
        text += shown(token.children) if token.type == "inline" else token.content
    return text


def rendered(source: str) -> str:
    return shown(PARSER.parse(source))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_shown_as_it_is(text):
    assert rendered(myst(text)) == text


@QUICK
@given(TEXTS)
def test_any_text_is_shown_as_it_is(text):
    assert rendered(myst(text)) == text


@QUICK
@given(TEXTS, TEXTS)
def test_texts_beside_each_other_make_no_markup(a, b):
    assert rendered(f"From {myst(a)} and {myst(b)}, or {myst(a)}") == f"From {a} and {b}, or {a}"


@QUICK
@given(TEXTS)
def test_in_a_heading_list_and_quotation(text):
    for before, kind in (("# ", "heading_open"), ("- ", "bullet_list_open"), ("> ", "blockquote_open")):
        tokens = PARSER.parse(before + myst(text))
        assert tokens[0].type == kind
        inline = [token for token in tokens if token.type == "inline"]
        assert [shown(token.children) for token in inline] == [text]


@QUICK
@given(TEXTS)
def test_between_stars(text):
    (inline,) = [t for t in PARSER.parse(f"**{myst(text)}** (S01)") if t.type == "inline"]
    kinds = [token.type for token in inline.children if token.type != "text" or token.content]
    assert kinds == ["strong_open", "text", "strong_close", "text"]
    assert "".join(token.content for token in inline.children) == f"{text} (S01)"


@QUICK
@given(TEXTS)
def test_code_is_code(text):
    (inline,) = [t for t in PARSER.parse(f"so {code(text)}.") if t.type == "inline"]
    if text.strip(" "):
        assert [t.content for t in inline.children if t.type == "code_inline"] == [text]


@QUICK
@given(TEXTS)
def test_a_fence_ends_where_it_ends(text):
    tokens = PARSER.parse(f"{fence(text, 'bash')}\n\nend")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content == f"{text}\n"


@QUICK
@given(TEXTS)
def test_the_option_of_a_directive(text):
    from docutils.parsers.rst.directives.images import Image

    (token,) = PARSER.parse(image("/a.svg", text))
    try:
        found = parse_directive_text(Image, "/a.svg", token.content)
    except MarkupError as error:  # pragma: no cover
        pytest.fail(str(error))
    assert not found.warnings
    assert found.options["alt"] == text
    assert yaml.safe_load(f"alt: {option(text)}") == {"alt": text}


@QUICK
@given(TEXTS)
def test_html_text_and_attribute(text):
    assert html.unescape(markup(text)) == text
    assert not re.search("[<>\"']", markup(text))


def test_markup_is_left_and_what_is_made_of_it_is_text():
    assert myst(Markup("**a**")) == "**a**"
    assert myst(Markup("**a**") + "") == "\\*\\*a\\*\\*"


def test_paragraphs():
    assert paragraphs("*a*\n\n*b*") == "\\*a\\*\n\n\\*b\\*"


def test_ends_of_lines_and_unseen_characters_that_no_reader_refused():
    assert myst("a\n\n# b\x00") == "a  \\# b\ufffd".replace("a  ", "a &#32;")


@pytest.mark.parametrize("steering", ["\x1b[31m", "\x9b31m", "\u202e", "\u200b", "\r", "\x07", "\ufeff"])
def test_a_terminal_is_not_steered(steering):
    shown = terminal(f"a{steering}b\nc")
    assert shown.isascii() and "\x1b" not in shown and "\r" not in shown
    assert shown.startswith("a\\") and shown.endswith("b\nc")


def test_a_terminal_shows_all_languages():
    assert terminal("Zürich 中文 🎉 → −") == "Zürich 中文 🎉 → −"


NOTES = {
    "*so* and **so**": "<em>so</em> and <strong>so</strong>",
    "[words](https://x.org/?a=1&b=2)": '<a href="https://x.org/?a=1&amp;b=2">words</a>',
    "[d](doi:10.1/x)": '<a href="https://doi.org/10.1/x">d</a>',
    "[m](mailto:a@b.c)": '<a href="mailto:a@b.c">m</a>',
    "[no](javascript:alert(1))": "[no](javascript:alert(1))",
    "[no](data:text/html,x)": "[no](data:text/html,x)",
    "[no](/etc/passwd)": "[no](/etc/passwd)",
    "<script>x</script>": "&lt;script&gt;x&lt;/script&gt;",
    "{{ x }} `c` {ref}`y`": "{{ x }} `c` {ref}`y`",
    "# a\n\n- b\n": "# a - b",
    '[q](https://x.org/" onclick="x)': "[q](https://x.org/&quot; onclick=&quot;x)",
    "![i](https://x.org/i.png)": '!<a href="https://x.org/i.png">i</a>',
    "see ![i](https://x.org/i.png)": 'see !<a href="https://x.org/i.png">i</a>',
    "http://x.org": "http://x.org",
}


NOTE_TOKENS = {"text", "em_open", "em_close", "strong_open", "strong_close", "link_open", "link_close"}


@pytest.mark.parametrize("note", NOTES)
def test_a_note_has_emphasis_and_links_only(note):
    assert rich_html(note) == NOTES[note]
    tokens = [t for token in PARSER.parse(rich_myst(note)) for t in token.children or ()]
    assert {t.type for t in tokens} <= {
        "text",
        "em_open",
        "em_close",
        "strong_open",
        "strong_close",
        "link_open",
        "link_close",
    }
    assert "".join(t.content for t in tokens) == html.unescape(re.sub("<[^>]*>", "", NOTES[note]))
    assert "".join(rich_texts(note)) == "".join(t.content for t in tokens)


@QUICK
@given(TEXTS)
def test_no_note_makes_other_markup(text):
    tokens = [t for token in PARSER.parse(f"> {rich_myst(text)}") for t in token.children or ()]
    assert {t.type for t in tokens} <= {
        "text",
        "em_open",
        "em_close",
        "strong_open",
        "strong_close",
        "link_open",
        "link_close",
    }
    for link in (t for t in tokens if t.type == "link_open"):
        assert re.match("https?://|mailto:", str(link.attrs["href"]))
    assert not re.search("<(?!/?(em|strong|a)[ >])", rich_html(text))


def test_json_is_the_form_of_options():
    assert json.loads(option('a "b" # c')) == 'a "b" # c'
