"""Ranges, directions and usual scoring of questionnaires: proposed with their source, never taken silently."""

from collections.abc import Sequence
from dataclasses import dataclass

from twostage.importing.names import bare
from twostage.importing.source import number_text


@dataclass(frozen=True)
class Version:
    """One version of a questionnaire and its usual score.

    Attributes
    ----------
    title : str
    names : tuple of str
        What only this version's columns are called, as :func:`twostage.importing.names.bare` leaves them.
    items : int
    answers : (float, float) or None
        Lowest and highest answer; None where items differ.
    score : {"sum", "mean"}
        The usual one.
    ends : (float, float)
        Lowest and highest usual score.
    direction : {1, -1}
        1: a higher score is more alliance, or more symptoms.
    source : str
        DOI, or the article where there is none.
    reversed : tuple of int or None
        Items that count the other way; only with `answers`. None: some do, and which is not in the sources here.
    """

    title: str
    names: tuple[str, ...]
    items: int
    answers: tuple[float, float] | None
    score: str
    ends: tuple[float, float]
    direction: int
    source: str
    reversed: tuple[int, ...] | None = ()

    def other(self) -> tuple[str, tuple[float, float]] | None:
        """The other of sum and mean, and its range."""
        if self.answers is None:
            return None
        low, high = self.answers
        return (
            ("mean", (low, high)) if self.score == "sum" else ("sum", (low * self.items, high * self.items))
        )

    def in_words(self) -> str:
        """As ``PHQ-9 0 to 27 (sum)``."""
        return f"{self.title} {_span(self.ends)} ({self.score})"


def _span(ends: tuple[float, float]) -> str:
    return f"{number_text(ends[0])} to {number_text(ends[1])}"


def _v(
    title: str, names: str, items: int, answers: tuple | None, score: str, ends: tuple, source: str, **more
):
    return Version(
        title, tuple(names.split()), items, answers, score, ends, more.pop("direction", 1), source, **more
    )


VERSIONS = (
    _v("WAI-SR", "waisr waisrp waisrc", 12, (1, 5), "mean", (1, 5), "10.1080/10503300500352500"),
    _v("WAI-S", "wais", 12, (1, 7), "sum", (12, 84), "10.1037/1040-3590.1.3.207", reversed=(4, 10)),
    _v(
        *("WAI", "wai36", 36, (1, 7), "sum", (36, 252), "10.1037/0022-0167.36.2.223"),
        reversed=(1, 3, 7, 9, 10, 11, 12, 15, 20, 27, 29, 31, 33, 34),
    ),
    _v("HAq-II", "haqii haq2", 19, (1, 6), "sum", (19, 114), "PMID 22700294", reversed=(4, 8, 11, 16, 19)),
    _v("SRS", "srs", 4, (0, 10), "sum", (0, 40), "Duncan et al. (2003), Journal of Brief Therapy, 3, 3-12"),
    _v("CALPAS-P", "calpas calpasp", 24, (1, 7), "mean", (1, 7), "10.1037/1040-3590.3.1.68", reversed=None),
    _v("BDI-II", "bdi2 bdiii", 21, (0, 3), "sum", (0, 63), "10.1037/t00742-000"),
    _v("PHQ-9", "phq9 phqd", 9, (0, 3), "sum", (0, 27), "10.1046/j.1525-1497.2001.016009606.x"),
    _v("PHQ-8", "phq8", 8, (0, 3), "sum", (0, 24), "10.1016/j.jad.2008.06.026"),
    _v("GAD-7", "gad7", 7, (0, 3), "sum", (0, 21), "10.1001/archinte.166.10.1092"),
    _v(
        *("OQ-45", "oq45 oq452", 45, (0, 4), "sum", (0, 180)),
        "10.1002/(SICI)1099-0879(199612)3:4<249::AID-CPP106>3.0.CO;2-S",
        reversed=(1, 12, 13, 20, 21, 24, 31, 37, 43),
    ),
    _v("OQ-30", "oq30 oq302", 30, (0, 4), "sum", (0, 120), "10.1002/cpp.503", reversed=None),
    _v(
        *("CORE-OM", "coreom core34", 34, (0, 4), "mean", (0, 4), "10.1192/bjp.180.1.51"),
        reversed=(3, 4, 7, 12, 19, 21, 31, 32),
    ),
    _v("CORE-10", "core10", 10, (0, 4), "sum", (0, 40), "10.1080/14733145.2012.729069", reversed=(2, 3)),
    _v("BSI-18", "bsi18", 18, (0, 4), "sum", (0, 72), "10.1037/t07502-000"),
    _v("BSI", "bsi53", 53, (0, 4), "mean", (0, 4), "10.1017/S0033291700048017"),
    _v("SCL-90-R", "scl90 scl90r", 90, (0, 4), "mean", (0, 4), "10.1037/t01210-000"),
    _v(
        *(
            "ORS",
            "ors",
            4,
            (0, 10),
            "sum",
            (0, 40),
            "Miller et al. (2003), Journal of Brief Therapy, 2, 91-100",
        ),
        direction=-1,
    ),
    _v("HSCL-11", "hscl11", 11, (1, 4), "mean", (1, 4), "10.1026/0012-1924.52.1.11"),
    _v("HAM-D 17", "hamd17 hrsd17 hdrs17", 17, None, "sum", (0, 52), "10.1136/jnnp.23.1.56"),
    _v("MADRS", "madrs", 10, (0, 6), "sum", (0, 60), "10.1192/bjp.134.4.382"),
    _v("BAI", "bai", 21, (0, 3), "sum", (0, 63), "10.1037/0022-006X.56.6.893"),
    _v("CES-D", "cesd", 20, (0, 3), "sum", (0, 60), "10.1177/014662167700100306", reversed=(4, 8, 12, 16)),
    _v("HADS-D", "hadsd", 7, (0, 3), "sum", (0, 21), "10.1111/j.1600-0447.1983.tb09716.x"),
    _v("HADS-A", "hadsa", 7, (0, 3), "sum", (0, 21), "10.1111/j.1600-0447.1983.tb09716.x"),
    _v("K10", "k10", 10, (1, 5), "sum", (10, 50), "10.1017/S0033291702006074"),
    _v("PCL-5", "pcl5", 20, (0, 4), "sum", (0, 80), "10.1002/jts.22059"),
    _v("BSL-23", "bsl23", 23, (0, 4), "mean", (0, 4), "10.1159/000173701"),
    _v("SPIN", "spin", 17, (0, 4), "sum", (0, 68), "10.1192/bjp.176.4.379"),
    _v("Y-BOCS", "ybocs", 10, (0, 4), "sum", (0, 40), "10.1001/archpsyc.1989.01810110048007"),
)


def versions_of(name: str, names: Sequence[str], items: int | None = None) -> list[Version]:
    """The versions that a column may have.

    Parameters
    ----------
    name : str
        Of the column, or the pattern of columns.
    names : sequence of str
        All names of the questionnaire.
    items : int, optional
        How many items there are.

    Returns
    -------
    list of Version
        One where the name says which; otherwise all of the questionnaire's, or those with so many items.
    """
    essence = bare(name)
    own = [v for v in VERSIONS if any(_begins(essence, n) for n in v.names)]
    if own:
        return sorted(own, key=lambda v: -max(len(n) for n in v.names if _begins(essence, n)))[:1]
    alike = [v for v in VERSIONS if any(n in names for n in v.names)]
    return [v for v in alike if items is None or v.items == items]


def _begins(essence: str, name: str) -> bool:
    """Whether a name is an instrument's: not ``wait`` for ``wai``, but ``phq9total``."""
    return essence == name or (
        essence.startswith(name) and not essence[len(name)].isdigit() and len(name) > 3
    )


def fitting(version: Version, low: float, high: float, whole: bool) -> tuple[str, tuple[float, float]] | None:
    """The score of a version that numbers from `low` to `high` can be: its usual one, the other, or none.

    Parameters
    ----------
    version : Version
    low, high : float
        In the file.
    whole : bool
        Whether all numbers of the file are whole.
    """
    usual, other = (version.score, version.ends), version.other()
    inside = [way for way in (usual, other) if way and way[1][0] <= low and high <= way[1][1]]
    # What fits both ranges is a mean, if it has decimals.
    if len(inside) == 2 and not whole:
        return next(way for way in inside if way[0] == "mean")
    return inside[0] if inside else None
