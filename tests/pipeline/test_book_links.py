"""Every link of a built book leads somewhere, nothing is loaded from elsewhere, commands are understood."""

from pathlib import Path

import pytest
from book_links import button_fault, command_fault, follow

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_link_and_command_of_a_book(finished_project):
    seen, faults = follow(finished_project / "runs" / "default" / "html", finished_project)
    assert faults == []
    assert min(seen[kind] for kind in ("link", "download", "loaded file", "command", "style sheet")) > 0


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ('<a href="nowhere.html">x</a>', "nothing there: nowhere.html"),
        ('<a href="../../secret">x</a>', "leads out of the book"),
        (
            '<script src="https://cdn.example.org/a.js"></script>',
            "from elsewhere: https://cdn.example.org/a.js",
        ),
        ('<link rel="stylesheet" href="//example.org/a.css">', "from elsewhere"),
        ("<pre>twostage run --nonsense</pre>", "No such option"),
        ("<pre>twostage fly</pre>", "no such command"),
        ("<pre><span>papermill</span> notebooks/nothing.ipynb out.ipynb</pre>", "no such notebook"),
        ("<pre>papermill notebooks/stage1_data.ipynb out.ipynb -p last_sesion 3</pre>", "no such parameter"),
        (
            '<a href="https://mybinder.org/v2/gh/a/b/main?urlpath=lab%2Ftree%2Fnotebooks%2Fno.ipynb">x</a>',
            "not in the",
        ),
    ],
)
def test_what_is_wrong_is_found(tmp_path, tag, said):
    (tmp_path / "page.html").write_text(f"<html>{tag}</html>", encoding="utf-8")
    (fault,) = follow(tmp_path, REPOSITORY)[1]
    assert fault.startswith("page.html: ")
    assert said in fault


def test_what_is_right_is_no_fault():
    colab = "https://colab.research.google.com/github/a/b/blob/v1/x/notebooks/stage1_data.ipynb"
    assert button_fault(colab, REPOSITORY) is None
    command = "papermill notebooks/stage1_data.ipynb out.ipynb -r study S03 -p last_session 3"
    assert command_fault(command, REPOSITORY) is None
    assert command_fault("twostage run -p last_session=3 --study S01   # a remark", REPOSITORY) is None
