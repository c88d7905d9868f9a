"""Everything that is in a bundle as a page that people read: in words, rounded, what was withheld first."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from twostage.params import Parameters
from twostage.sharing.layout import MANIFEST, RECORD_MEMBERS, REPORT, STUDY
from twostage.sharing.words import ANALYSES, CHECKS, COLUMNS, REGISTRY, SHOWN_DIGITS, entry, quantity, shown
from twostage.terms import DIRECTIONS, arrow, term_label

_STYLE = (
    "body{font:15px/1.45 sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.4em 0}td,th{border:1px solid #ccc;padding:.15em .5em;text-align:left;"
    "vertical-align:top;font-size:13px}th{background:#f3f3f3;font-weight:600}h2{margin-top:2em}div.wide{overflow-x:auto}"
    "small{color:#666;font-weight:400}ul{margin:.2em 0;padding-left:1.2em}details{margin:.4em 0}"
)


_INTRODUCTION = (
    "<p>This is everything that you pass on. It is analysed already: coefficients, their variances, and counts; "
    "no patient's scores. In grey stand the names in the bundle's files. Numbers are rounded here to "
    f"{SHOWN_DIGITS} significant digits; the files have all of them (unless the table below says that they were "
    "rounded). A dash stands for what is withheld and for what the analysis does not have.</p>"
)


_CHECKSUM = (
    "<p>Every analysis also names one checksum (SHA-256, <small>data_checksum</small>) of all that the analyses' files "
    "say. It is made of the shared numbers alone, so it tells nothing that they do not tell; whoever has the bundle can "
    "compute it again, and finds with it that a number was changed. The checksum of your data files is not in the "
    "bundle: a checksum cannot be turned back into data, but of a small study somebody could try guesses at its scores "
    "until one has the same checksum.</p>"
)


_SEAL = (
    "<p>The manifest adds a checksum of each of the bundle's files and one of itself "
    "(<small>members, seal</small>). They find damage and careless edits; they do not prove who made the bundle.</p>"
)


#: What is said once for all records.
_ONCE = {
    "schema_version",
    "package_version",
    "study",
    "label",
    "analysis",
    "parameters",
    "data_checksum",
    "n_enrolled",
}


def disclosure_page(study: str, members: Mapping[str, Any]) -> bytes:
    """The page of a bundle as HTML without scripts, links or pictures.

    Parameters
    ----------
    study : str
    members : mapping
        Name of the member -> its content as plain values.
    """
    title = f"What the study {study} shares"
    manifest = members[MANIFEST]
    names = (manifest["x"]["label"], manifest["y"]["label"])
    records = {analysis: members[member] for analysis, member in RECORD_MEMBERS.items() if member in members}
    parts = [f"<h1>{_text(title)}</h1>", _INTRODUCTION, *_withheld(members[REPORT], names)]
    parts += [*_study(members[STUDY], names), *_settings(manifest)]
    for analysis, record in records.items():
        parts += _record(analysis, record, records["data"]["exclusions"], names)
    checksums = {record["data_checksum"] for record in records.values()}
    parts += [
        "<h2>Checksums</h2>",
        _CHECKSUM,
        f"<p><small>{_text(', '.join(sorted(checksums)))}</small></p>",
        _SEAL,
    ]
    head = f'<meta charset="utf-8"><title>{_text(title)}</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'.encode()


def _withheld(report: Mapping[str, Any], names: tuple[str, str]) -> list[str]:
    rows = [
        (_both(CHECKS.get(c["name"], c["name"]), c["name"]), _text(c["rule"]), _text(shown(c["threshold"])))
        + (_list(_entry(what, names) for what in c["withheld"]),)
        for c in report["checks"]
    ]
    return [
        f"<h2>What is withheld, and why {_small(REPORT)}</h2>",
        _table(["rule", "what it says", "threshold", "withheld here"], rows),
        "<h2>What the rules do not prevent</h2>",
        _list(_text(text) for text in report["remains"]),
    ]


def _entry(what: str, names: tuple[str, str]) -> str:
    words, short = entry(what, *names)
    return _both(words, short)


def _study(info: Mapping[str, str], names: tuple[str, str]) -> list[str]:
    rows = [
        (_both(REGISTRY.get(k, k).format(x=names[0], y=names[1]), k), _text(v or shown(None)))
        for k, v in info.items()
    ]
    return [f"<h2>The study {_small(STUDY)}</h2>", _table(["", ""], rows)]


def _settings(manifest: Mapping[str, Any]) -> list[str]:
    rows = [
        (_both("made with version", "package_version"), _text(manifest["package_version"])),
        (_both("made on", "created"), _text(manifest["created"])),
        (_both("layout of the bundle", "schema_version"), _text(shown(manifest["schema_version"]))),
    ]
    for v in ("x", "y"):
        of = manifest[v]
        text = f"{of['label']} ({of['name']}), {of['better']} is better"
        rows.append((_both({"x": "first variable", "y": "second variable"}[v], v), _text(text)))
    for name, value in manifest["parameters"].items():
        rows.append((_both(Parameters.model_fields[name].description or name, name), _text(shown(value))))
    return [f"<h2>How it was analysed {_small(MANIFEST)}</h2>", _table(["", ""], rows)]


def _record(analysis: str, record: Mapping[str, Any], common: Sequence, names: tuple[str, str]) -> list[str]:
    x, y = names
    title = ANALYSES.get(analysis, analysis).format(x=x, y=y)
    parts = [f"<h2>{_text(title)} {_small(RECORD_MEMBERS[analysis])}</h2>"]
    left_out = [e for e in record["exclusions"] if analysis == "data" or e not in common]
    summary = [(_both(quantity(n, x, y), n), _text(shown(v, n))) for n, v in record["summary"].items()]
    # How many were enrolled is said once, with the study.
    summary = [row for row, name in zip(summary, record["summary"], strict=True) if name != "n_enrolled"]
    parts += [_table(["", ""], summary)] if summary else []
    for heading, key, rows in (
        ("Patients left out", "exclusions", left_out),
        ("Session by session", "sessions", record["sessions"]),
        ("Models", "fits", record["fits"]),
        ("Coefficients", "estimates", record["estimates"]),
        ("Not estimated or not shared", "failures", record["failures"]),
    ):
        if rows:
            parts += [f"<h3>{heading} {_small(key)}</h3>", _rows(rows, names)]
    for heading, key in (
        ("Covariance matrices of the coefficients", "covariances"),
        ("Common matrix of both directions, patients as clusters", "joint_covariances"),
    ):
        matrices = "".join(_matrix(c, names) for c in record[key])
        parts += (
            [f"<details><summary>{heading} {_small(key)}</summary>{matrices}</details>"] if matrices else []
        )
    known = {*_ONCE, "exclusions", "summary", "sessions", "fits", "estimates", "failures"}
    rest = set(record) - known - {"covariances", "joint_covariances"}
    return parts + [f"<p>{_text(name)}: {_text(record[name])}</p>" for name in sorted(rest)]


def _rows(rows: Sequence[Mapping[str, Any]], names: tuple[str, str]) -> str:
    columns = [name for name in rows[0] if name not in _ONCE]
    titles = [_both(COLUMNS.get(c) or quantity(c, *names), c) for c in columns]
    return _table(titles, [[_cell(row, c, names) for c in columns] for row in rows])


def _cell(row: Mapping[str, Any], column: str, names: tuple[str, str]) -> str:
    value = row[column]
    if column == "direction":
        return _text(arrow(value, *names))
    if column == "term" and row.get("direction") in DIRECTIONS:
        return _both(term_label(row["direction"], value, *names), value)
    return _text(shown(value, column))


def _matrix(c: Mapping[str, Any], names: tuple[str, str]) -> str:
    directions = c.get("directions") or [c["direction"]] * len(c["terms"])
    labels = [_text(term_label(d, t, *names)) for d, t in zip(directions, c["terms"], strict=True)]
    of = c["variant"] if "directions" in c else f"{c['variant']}, {arrow(c['direction'], *names)}"
    counts = [f"{COLUMNS.get(n) or quantity(n, *names)}: {c[n]}" for n in c if n.startswith("n_")]
    rows = [
        [f"<b>{label}</b>", *(_text(shown(v)) for v in row)]
        for label, row in zip(labels, c["matrix"], strict=True)
    ]
    return f"<p>{_text('; '.join([of, *counts]))}</p>{_table(['', *labels], rows)}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = f"<tr>{''.join(f'<th>{t}</th>' for t in titles)}</tr>" if any(titles) else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table>{head}{body}</table></div>'


def _list(texts) -> str:
    items = "".join(f"<li>{text}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else "nothing"


def _both(words: str, name: str) -> str:
    """Words with the name in the files beside them."""
    return _text(words) if words == name else f"{_text(words)} {_small(name)}"


def _small(text: str) -> str:
    return f"<small>{_text(text)}</small>"


def _text(value: Any) -> str:
    return html.escape(str(value))
