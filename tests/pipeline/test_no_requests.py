"""A book asks nobody for anything: every page opened from its folder, with all its scripts."""

import pytest
from hostile import browser, has_browser

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not has_browser(), reason="needs chromium and chromedriver")
def test_pages_ask_for_files_of_the_book_only(finished_project, tmp_path):
    html = finished_project / "runs" / "default" / "html"
    pages = [path for path in sorted(html.rglob("*.html")) if "_static" not in path.parts]
    own, elsewhere, asked = html.resolve().as_uri(), {}, 0
    with browser(tmp_path / "profile", port=9571) as window:
        window.requests()
        for page in pages:
            window.open(page, query="heterogeneity" if page.name == "search.html" else "")
            found = window.requests()
            asked += len(found)
            # The browser's own first page is part of it.
            wrong = [a for a in found if not a.startswith((own, "data:", "blob:", "chrome:"))]
            if wrong:
                elsewhere[page.relative_to(html).as_posix()] = wrong
    assert elsewhere == {}
    # It saw what the pages load: a page, its styles and its scripts at the least.
    assert asked > 5 * len(pages)
