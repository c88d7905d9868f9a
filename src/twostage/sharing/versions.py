"""What to say of a bundle that a newer version of this package made."""

import re
from importlib.metadata import version

from twostage.sharing.layout import Bundle
from twostage.stage1 import coefficients


def version_note(bundle: Bundle, own: str = "") -> str:
    """What differs between this version and the one that made a bundle; empty unless that one is newer.

    A bundle with a field, a parameter, an analysis or a coefficient that this version does not know has been refused
    before: what can differ is what this version makes and the bundle lacks, and the numbers.

    Parameters
    ----------
    bundle : Bundle
        Checked.
    own : str
        This version; default: the installed one's.
    """
    own, theirs = own or version("twostage"), bundle.manifest.package_version
    if _order(theirs) <= _order(own):
        return ""
    lacking = _lacking(bundle)
    less = f" It lacks what this version has: {', '.join(lacking)}." if lacking else ""
    return (
        f"note: the bundle of {bundle.study} was made by twostage {theirs}, which is newer than this one ({own}). All that "
        f"is in it is known here.{less} Its numbers may be computed in another way: the changelog of {theirs} names "
        "those that moved. To be sure, pool the studies with that version"
    )


def _order(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _lacking(bundle: Bundle) -> list[str]:
    """Variants that this version would have, neither estimated nor said to have failed, by analysis."""
    found = []
    for analysis, record in bundle.records.items():
        known = {variant for variant, *_ in coefficients(analysis, record.parameters)}
        there = {row.variant for row in record.estimates} | {failure.variant for failure in record.failures}
        if known - there:
            found.append(f"{analysis} ({', '.join(sorted(known - there))})")
    return found
