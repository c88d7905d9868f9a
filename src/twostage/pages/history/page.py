"""What changed as files: a page that needs nothing but itself, Markdown, and JSON."""

import html
import json

from twostage.display import html_table
from twostage.pages.compare.page import STYLE
from twostage.pages.history.analysis import Changes
from twostage.pages.history.tables import changes_table, markdown, moderators_table, sentences, title

#: Names of the files in a release's folder.
PAGE, TEXT, DATA = "index.html", "changes.md", "changes.json"


def change_files(changes: Changes) -> dict[str, bytes]:
    """The files: name -> content."""
    data = json.dumps(changes.as_json(), ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    return {PAGE: changes_page(changes).encode(), TEXT: markdown(changes).encode(), DATA: data.encode()}


def changes_page(changes: Changes) -> str:
    """The page as HTML: a whole document that loads nothing."""
    heading = html.escape(title(changes))
    note = html.escape(changes.after.document.collection.note)
    said = "".join(f"<li>{html.escape(line)}</li>" for line in sentences(changes))
    parts = [
        f'<h1>{heading}</h1><div class="note"><p>{note}</p></div><ul>{said}</ul>',
        f'<h2>Effects</h2><div class="wide">{html_table(changes_table(changes), spaced=False)}</div>',
    ]
    if len(changes.moderators):
        table = html_table(moderators_table(changes), spaced=False)
        parts.append(f'<h2>Moderators</h2><div class="wide">{table}</div>')
    head = f'<meta charset="utf-8"><title>{heading}</title><style>{STYLE}</style>'
    head += '<meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'
