"""No page is wider than the screen: on a phone, on a small screen, on a large one."""

import pytest
from hostile import browser, has_browser

pytestmark = pytest.mark.slow

#: What of a page's text ends right of the window and stands in nothing that scrolls; the theme's drawers wait beside it.
TOO_WIDE = """const edge = document.documentElement.clientWidth + 1;
const scrolls = (e) => ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX);
const kept = (e) => e.parentElement && (scrolls(e.parentElement) || kept(e.parentElement));
return [...document.querySelectorAll(".bd-article *, .bd-footer-content *")].filter((e) => e.getBoundingClientRect().width
  && e.getBoundingClientRect().right > edge && !kept(e)).map((e) => `${e.tagName}.${e.className}`).slice(0, 5);"""


#: Boxes with a table in them that a reader would have to scroll.
SCROLLED = """return [...document.querySelectorAll(".bd-article *")].filter((e) => e.querySelector("table")
  && ["auto", "scroll"].includes(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1)
  .map((e) => `${e.scrollWidth} > ${e.clientWidth}: ${e.textContent.trim().slice(0, 40)}`);"""


@pytest.mark.skipif(not has_browser(), reason="needs chromium and chromedriver")
def test_nothing_overflows(finished_project, tmp_path):
    html = finished_project / "runs" / "default" / "html"
    pages = [path for path in sorted(html.rglob("*.html")) if "_static" not in path.parts]
    wide = {}
    with browser(tmp_path / "profile", port=9551) as window:
        for width in (390, 1024, 1440):
            window.resize(width, 844)
            for page in pages:
                window.open(page)
                across = window.run("return document.documentElement.scrollWidth")
                if found := window.run(TOO_WIDE) or ([across] if across > width else []):
                    wide[width, page.relative_to(html).as_posix()] = found
                if width == 1440 and (found := window.run(SCROLLED)):
                    wide["scrolled", page.relative_to(html).as_posix()] = found
    assert wide == {}
