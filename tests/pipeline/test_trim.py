"""A book is light: icons that no page shows are not in it."""

from twostage.pipeline.book.trim import ICONS, trim

GONE = ',"bars-x":[1,1,[],"e000","M3"]'
SCRIPT = f'c={{"bars":[448,512,["navicon"],"f0c9","M0 96"],bug:[512,512,[],"f188",["M1","M2"]]{GONE}}};go(c)'


def test_icons_that_are_shown_stay_and_what_nothing_shows_goes(tmp_path):
    static = tmp_path / "_static"
    (static / "vendor" / "webfonts").mkdir(parents=True)
    (static / "scripts").mkdir()
    for name in ("fa-solid-900.ttf", "fa-solid-900.woff2", "fa-brands-400.ttf"):
        (static / "vendor" / "webfonts" / name).touch()
    (static / "scripts" / "theme.js.map").touch()
    (static / "scripts" / "theme.js").write_text("open('fa-bug')")
    (static / ICONS).write_text(SCRIPT)
    (tmp_path / "index.html").write_text('<i class="fa-solid fa-bars"></i>')
    trim(tmp_path)
    assert (static / ICONS).read_text() == SCRIPT.replace(GONE, ",")
    left = {path.name for path in static.rglob("*") if path.is_file()}
    assert left == {"fa-solid-900.woff2", "theme.js", "fontawesome.js"}
