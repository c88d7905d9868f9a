"""Texts that mean something to a program that shows them, and where somebody could write them."""

import base64
import csv
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

#: Kind -> texts that are built and arrive as they are. Whatever runs sets window.pwned or makes a file PWNED.
SHOWN = {
    "CommonMark": ["*z* **b** _c_ a_b_c", "# x", "1. x", "- x", "> x", "```x", "~~~bar", "***", "[a](javascript:pwned)",
        "a\\b\\"],
    "MyST": ["{ref}`x`", "{download}`/etc/passwd`", "```{eval-rst} .. automodule:: antigravity", ":::{note}", "(x)=",
        "+++", "% x"],
    "Jinja": ["{{ cycler.__init__.__globals__.os.popen('touch PWNED').read() }}", "{% raw %}", "{# x #}", "{{ title }}"],
    "HTML": [
        '<img src=x onerror="window.pwned=1">', "<script>window.pwned=2</script>", '"><svg onload=window.pwned=3>',
        "&lt;img src=x onerror=window.pwned=4&gt;", "&amp; &nbsp; &copy", "<b>", "</table></div><h1>z", "<!-- x",
    ],
    "LaTeX": ["\\begin{equation}", "\\(x^2\\)", "\\[y\\]", "$$x$$", "\\href{javascript:window.pwned=5}{x}"],
    "mathtext": ["$5 bis $6", "$\\frac{a}{b}$", "$\\foo$"],
    "CSV formula": ['=HYPERLINK("http://x.org","y")', "+1+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3"],
    "languages": ["中文 诊所", "日本 クリニック", "한국 병원", "🎉👍", "עברית", "عيادة"],
    "harmless": ["Clinic #2 (Bern)", "'Zitat' 2020", '"x" y', "a -- b ... c", "a | b", "`c`", "&#39;q&#39; \\'", "http://x.org",
        "L" * 300],
}  # fmt: skip
TEXTS = [text for texts in SHOWN.values() for text in texts]

#: Kind -> texts that are refused by name, with the character that nobody sees.
REFUSED = {
    "terminal": ["\x1b[31mred", "a\x07b", "a\x9b31m", "a\rb"],
    "bidi": ["a\u202eb", "a\u2066b", "\u200fa"],
    "zero width": ["a\u200bb", "\ufeffa", "a\u2060b", "a\u00adb"],
    "ends of lines": ["a\nb", "a\u2028b", "a\x85b", "a\tb"],
    "fillers": ["a\u3164b"],
}
UNSEEN = [text for texts in REFUSED.values() for text in texts]

#: Columns of studies.csv that are texts.
COLUMNS = [
    "label",
    "country",
    "setting",
    "treatment",
    "design",
    "x_instrument",
    "y_instrument",
    "source",
    "licence",
]


def write_registry(folder: Path, cells: list[dict[str, str]]) -> None:
    """Replace texts in the rows of a collection's studies.csv."""
    with (folder / "studies.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = [row | cell for row, cell in zip(rows, cells, strict=True)]
    with (folder / "studies.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


class Page(HTMLParser):
    """What a page shows and what in it could act."""

    def __init__(self, path: Path):
        super().__init__()
        self.text, self.acting, self._hidden = "", [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self._hidden += tag in ("script", "style")
        self.text += values.get("alt") or ""
        for name, value in values.items():
            scheme = name in ("href", "src") and (value or "").strip().lower().startswith("javascript:")
            if scheme or (name.startswith("on") and "pwned" in (value or "")):
                self.acting.append((tag, values))

    def handle_endtag(self, tag):
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._hidden:
            self.text += data
        elif "pwned=" in data and "htmlTitle" not in data:
            self.acting.append(("script", data[:200]))


class Browser:
    """A headless Chromium, driven by chromedriver's own protocol."""

    def __init__(self, port: int, folder: Path):
        self._port = port
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        arguments += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        options = {"args": [*arguments, f"--user-data-dir={folder}"]}
        notes = {"performance": "ALL"}
        wanted = {
            "capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": notes}}
        }
        self._session = f"/session/{self._call('/session', wanted)['sessionId']}"

    def _call(self, path: str, body: dict | None = None, method: str = "POST"):
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", content, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["value"]

    def open(self, page: Path, query: str = "", fragment: str = ""):
        """Open a file and wait for what it does by itself."""
        address = page.resolve().as_uri() + (f"?q={urllib.parse.quote(query)}" if query else "")
        address += f"#{fragment}" if fragment else ""
        self._call(f"{self._session}/url", {"url": address})
        time.sleep(1.5 if query else 0.1)

    def run(self, script: str):
        """The value of a script in the page."""
        return self._call(f"{self._session}/execute/sync", {"script": script, "args": []})

    def press(self, *keys: str):
        """Press keys one after the other; WebDriver has signs of its own for those that write nothing."""
        pressed = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": pressed}]
        self._call(f"{self._session}/actions", {"actions": actions})

    def resize(self, width: int, height: int):
        """Give the page this many pixels, as on a screen of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._command("Emulation.setDeviceMetricsOverride", size)

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        noted = [
            json.loads(entry["message"])["message"]
            for entry in self._call(f"{self._session}/se/log", {"type": "performance"})
        ]
        return [
            note["params"]["request"]["url"]
            for note in noted
            if note["method"] == "Network.requestWillBeSent"
        ]

    def media(self, name: str):
        """Show the page as on ``print``; an empty name: as on a screen."""
        self._command("Emulation.setEmulatedMedia", {"media": name})

    def _command(self, name: str, parameters: dict):
        self._call(f"{self._session}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def picture(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self._call(f"{self._session}/screenshot", method="GET"))

    def close(self):
        """End it."""
        self._call(self._session, method="DELETE")


@contextmanager
def browser(folder: Path, port: int = 9533):
    """A browser that is ended with the block."""
    with subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as driver:
        try:
            for _ in range(50):
                try:
                    opened = Browser(port, folder)
                    break
                except OSError:
                    time.sleep(0.2)
            yield opened
            opened.close()
        finally:
            driver.terminate()


def has_browser() -> bool:
    """Whether there is one on this machine."""
    return bool(shutil.which("chromedriver") and shutil.which("chromium"))
