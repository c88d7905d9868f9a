"""Texts of several paragraphs from outside: what they may have arrives, all else is shown as text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from twostage.text import essay_myst, essay_texts

WORKS = {"known2020", "other2021"}


def kinds(text: str) -> set[str]:
    """What a MyST parser makes of a text: kinds of blocks and inlines."""
    config = MdParserConfig(
        enable_extensions={"dollarmath", "colon_fence", "deflist", "substitution", "amsmath"}
    )
    tokens = create_md_parser(config, RendererHTML).parse(text)
    inner = [t for token in tokens for t in token.children or ()]
    return {token.type for token in (*tokens, *inner)}


def test_what_it_may_have():
    text = "# Title\n\nA *b* **c** [d](doi:10.1/x)\nand on.\n\n- one\n- two\n  - inner\n\n1. first\n"
    myst = essay_myst(text)
    assert myst.startswith("## Title\n\nA *b* **c** [d](<https://doi.org/10.1/x>) and on.")
    assert "- one" in myst and "\n  - inner" in myst and "\n1. first" in myst


def test_citations_of_known_works_only():
    assert essay_myst("As [@known2020; @other2021] and @known2020 say", WORKS) == (
        "As {cite:p}`known2020,other2021` and {cite:t}`known2020` say"
    )
    for text in ("[@known2020; @stranger]", "@stranger", "a@known2020", "[@known2020"):
        assert "cite:p" not in essay_myst(text, WORKS)
    assert "{cite" not in essay_myst("@known2020")


#: Everything that MyST obeys and a text of a stranger's must not.
HOSTILE = [
    *(
        "{cite:p}`known2020`",
        "{{ title }}",
        "`code`",
        "$x$",
        "$$x$$",
        "<b>bold</b>",
        "<!-- note -->",
        "![p](https://x)",
    ),
    *(
        "```{include} /etc/passwd\n```",
        ":::{note}\nhere\n:::",
        "(target)=\n# x",
        "% comment",
        "+++",
        "---",
        "| a | b |\n|---|---|",
    ),
    *(
        "[x](javascript:alert(1))",
        "[x]: https://x\n\n[x]",
        "<https://x>",
        "    indented",
        "> quote",
        "***",
        "~~~\nx\n~~~",
    ),
    *(
        "Term\n: definition",
        "[^1]\n\n[^1]: foot",
        "\\begin{equation}\nx\n\\end{equation}",
        "&lt;b&gt;",
        "{eval-rst}`x`",
    ),
]

ALLOWED = {
    *("paragraph_open", "paragraph_close", "inline", "text", "softbreak", "heading_open", "heading_close"),
    *("em_open", "em_close", "strong_open", "strong_close", "link_open", "link_close", "text_special"),
    *("bullet_list_open", "bullet_list_close", "ordered_list_open", "ordered_list_close"),
    *("list_item_open", "list_item_close"),
}


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_else_is_obeyed(text):
    for whole in (text, f"Before.\n\n{text}\n\nAfter.", f"- item\n  {text}"):
        assert kinds(essay_myst(whole)) <= ALLOWED


@given(st.text(alphabet="ab *_[](){}<>#-+`$:|\\!%~=&;@^1.\n", max_size=60))
def test_no_text_makes_anything_else(text):
    assert kinds(essay_myst(text, {"a1"})) <= ALLOWED | {"myst_role"} - (
        set() if "@" in text else {"myst_role"}
    )


@given(st.text(alphabet="ab #-\n", max_size=60))
def test_its_texts_are_all_there(text):
    found = "".join(essay_texts(text))
    assert sorted(re.sub(r"[\s#-]|\d\.", "", found)) == sorted(re.sub(r"[\s#-]", "", text))
    assert isinstance(MarkdownIt().render(essay_myst(text)), str)
