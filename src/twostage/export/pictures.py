"""The run's figures, which are SVG, in the other formats that journals ask for."""

import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Literal

import matplotlib
import typst
from PIL import Image

from twostage.files import scratch_folder

#: Pixels per inch of PNG and TIFF.
DPI = 300


#: The font of the figures comes with matplotlib; the system's are for letters that it does not have.
_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


#: A page of the picture's own size, without a date: the same picture gives the same bytes.
_PAGE = "#set page(width: auto, height: auto, margin: 0pt)\n#set document(date: none)\n#image({})\n"


def converted(svg: Path, formats: tuple[str, ...]) -> dict[str, bytes]:
    """A picture in several formats.

    Parameters
    ----------
    svg : Path
        As matplotlib writes it, with its letters.
    formats : tuple of {"svg", "pdf", "png", "tiff"}

    Returns
    -------
    dict
        Format -> content of the file; PDF is drawn from lines, PNG and TIFF have :data:`DPI`.
    """
    content = svg.read_bytes()
    makers = {"svg": lambda: content, "pdf": lambda: _compiled(content, "pdf")}
    makers |= {"png": lambda: _pixels(content, "PNG"), "tiff": lambda: _pixels(content, "TIFF")}
    return {name: makers[name]() for name in formats}


def _compiled(svg: bytes, kind: Literal["pdf", "png"]) -> bytes:
    with scratch_folder() as folder:
        (folder / "figure.svg").write_bytes(svg)
        page = folder / "page.typ"
        page.write_text(_PAGE.format(json.dumps("figure.svg")), encoding="utf-8")
        return typst.compile(
            str(page), root=str(folder), format=kind, ppi=float(DPI), font_paths=[str(_FONTS)]
        )


@lru_cache(maxsize=2)
def _drawn(svg: bytes) -> bytes:
    return _compiled(svg, "png")


def _pixels(svg: bytes, kind: str) -> bytes:
    """On white, as print is, and with the resolution noted in the file."""
    drawn = Image.open(io.BytesIO(_drawn(svg))).convert("RGBA")
    page = Image.new("RGB", drawn.size, "white")
    page.paste(drawn, mask=drawn.getchannel("A"))
    buffer = io.BytesIO()
    more = {"compression": "tiff_lzw"} if kind == "TIFF" else {"compress_level": 6}
    page.save(buffer, kind, dpi=(DPI, DPI), **more)
    return buffer.getvalue()
