"""Words lead to the glossary where a page first has them, and names of studies to their chapters."""

import re
from pathlib import Path

import pytest
from sphinx.application import Sphinx

GLOSSARY = """# Glossary

```{glossary}
REML
  Restricted maximum likelihood.

prediction interval
  Where the true effect of a new study is "expected".
```
"""

PAGE = """# REML in a heading

Pooled by REML, twice by REML, and remlike. Prediction intervals of Study 01 (not Study 012), `REML`.

````{results-table} Of Study 01
:name: tab-a

<div class="wide-table">
<table><tr><td class="study">Study 01</td><td class="study">Twin</td><td>Study 01</td></tr></table>
</div>
````

See {numref}`tab-a`.

```{toctree}
glossary
notebooks/S1/index
notebooks/S2/index
```
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("book")
    chapter = "# Study 01\n\nThis is Study 01.\n"
    pages = {
        "index": PAGE,
        "glossary": GLOSSARY,
        "notebooks/S1/index": chapter,
        "notebooks/S2/index": "# Twin\n",
    }
    for name, text in pages.items():
        (folder / f"{name}.md").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(text.replace("\\\n", "\n"), encoding="utf-8")
    settings = {
        "extensions": ["myst_parser", "twostage.pipeline.book.numbered", "twostage.pipeline.book.links"],
        "twostage_studies": {"S1": "Study 01", "S2": "Twin", "S3": "Twin"},
        "numfig": True,
    }
    out = folder / "out"
    app = Sphinx(folder, None, out, out / "trees", "html", settings, status=None, warningiserror=True)
    app.build()
    return out


def links(page: Path) -> list[tuple[str, str]]:
    """Addresses and texts of a page's links, other than those beside headings."""
    found = re.findall(
        r'<a class="(?!headerlink)[^"]*" href="([^"]*)"[^>]*>(?:<span[^>]*>)?([^<]+)', page.read_text()
    )
    return [(to, text) for to, text in found if to.startswith(("glossary", "notebooks", "#tab"))]


def test_a_term_is_a_link_once_with_its_meaning(built):
    found = [text for to, text in links(built / "index.html") if "#term-" in to]
    assert found == ["REML", "Prediction intervals"]
    assert 'title="Where the true effect of a new study is &quot;expected&quot;."' in (
        built / "index.html"
    ).read_text().replace("“", "&quot;").replace("”", "&quot;")
    assert not [text for to, text in links(built / "glossary.html") if text == "REML"]


def test_a_study_is_a_link_wherever_it_is_named_but_in_its_own_chapter(built):
    page = (built / "index.html").read_text()
    chapter = "notebooks/S1/index.html"
    link = f'<a class="reference internal" href="{chapter}">Study 01</a>'
    assert f"of {link} (not Study 012)" in page and f"Of {link}<" in page
    assert f'<td class="study"><a href="{chapter}">Study 01</a></td>' in page
    # A name of two studies leads nowhere, and a cell that is no study's is none.
    assert '<td class="study">Twin</td>' in page and "<td>Study 01</td>" in page
    assert "This is Study 01." in (built / "notebooks" / "S1" / "index.html").read_text()


def test_a_table_has_a_number_that_others_refer_to(built):
    page = (built / "index.html").read_text()
    assert re.search(r'<figure class="results-table" id="tab-a">.*Table 1', page, re.S)
    # What scrolls is reached by keyboard.
    assert '<div class="wide-table" tabindex="0">' in page
    assert re.search(r'href="#tab-a"[^>]*><span class="std std-numref">Table 1</span>', page)
