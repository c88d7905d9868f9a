"""Everything that is in a bundle as a page that people read: each member, each number, and what was withheld."""

import html
import json
from collections.abc import Mapping
from typing import Any

from twostage.sharing.layout import REPORT

_STYLE = (
    "body{font:15px/1.45 sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.4em 0}td,th{border:1px solid #ccc;padding:.15em .5em;text-align:left;"
    "vertical-align:top;font-size:13px}th{background:#f3f3f3}h2{margin-top:2em}div.wide{overflow-x:auto}"
)

_INTRODUCTION = (
    "<p>These are all the contents of the bundle except this page, which has no number that is not there, and the "
    "manifest's checksums. Nothing else leaves your house. <b>null</b> stands for what is withheld, for degrees of "
    "freedom that are infinite, and for what the analysis does not have.</p>"
)


def disclosure_page(study: str, members: Mapping[str, Any]) -> bytes:
    """The page of a bundle as HTML without scripts, links or pictures.

    Parameters
    ----------
    study : str
    members : mapping
        Name of the member -> its content as plain values.
    """
    title = f"What the study {study} shares"
    parts = [f"<h1>{html.escape(title)}</h1>", _INTRODUCTION]
    # What was withheld comes first: it is what one reads the page for.
    for name in sorted(members, key=lambda name: (name != REPORT, name)):
        parts += [f"<h2>{html.escape(name)}</h2>", f'<div class="wide">{_shown(members[name])}</div>']
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'.encode()


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        rows = [f"<tr><th>{_text(name)}</th><td>{_shown(inner)}</td></tr>" for name, inner in value.items()]
        return f"<table>{''.join(rows)}</table>" if rows else "none"
    if isinstance(value, list | tuple):
        return _list(list(value))
    return _text(value if isinstance(value, str) else json.dumps(value))


def _list(values: list) -> str:
    if not values:
        return "none"
    if all(isinstance(v, dict) and set(v) == set(values[0]) for v in values):
        head = "".join(f"<th>{_text(name)}</th>" for name in values[0])
        rows = ["".join(f"<td>{_shown(v[name])}</td>" for name in values[0]) for v in values]
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
    if all(isinstance(v, list | tuple) for v in values):
        rows = ["".join(f"<td>{_shown(x)}</td>" for x in v) for v in values]
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
    if all(isinstance(v, str) for v in values):
        return f"<ul>{''.join(f'<li>{_text(v)}</li>' for v in values)}</ul>"
    return ", ".join(map(_shown, values))


def _text(value: Any) -> str:
    return html.escape(str(value))
