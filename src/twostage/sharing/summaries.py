"""What of a study's description may be shown; what no rule knows is withheld."""

import math
from collections.abc import Iterable

from twostage.records import Record
from twostage.sharing.local import Local
from twostage.sharing.rounding import to_digits


class Counts:
    """The counts that a recipient knows or may know.

    Parameters
    ----------
    known : iterable of int
        Counts that are shared whatever they are: the sizes of models, which their degrees of freedom tell anyhow.
    least : int
        nfilter.tab.

    Notes
    -----
    A count may be shown if it is 0, or if it is at least `least` and equals every known count or differs from it by at
    least `least`. The rule does not ask which groups of patients contain which others, so it withholds more than
    it must, never less (complementary suppression; Hundepool et al. 2012, doi:10.1002/9781118348239).

    A total of patients is another matter: models are of patients whom it contains, so one that equals the size of a
    model is of the same patients and says nothing new.
    """

    def __init__(self, known: Iterable[int], least: int):
        self._known, self._least = {n for n in known if n >= least}, least

    def knows(self, n: int | None) -> bool:
        """Whether the count can be concluded from what is shown."""
        return n in self._known or n == 0

    def allows(self, n: int, *, total: bool = False) -> bool:
        """Whether the count may be shown; `total`: of patients, and every model is of some of them."""
        if n == 0 or (total and self.knows(n)):
            return True
        return n >= self._least and all(n == other or abs(n - other) >= self._least for other in self._known)

    def show(self, n: int | None, *, total: bool = False) -> int | None:
        """The count, which is known from now on; None if it may not be shown."""
        if n is None or not self.allows(n, total=total):
            return None
        if n:
            self._known.add(n)
        return n


#: Counts of observations, not of patients.
OBSERVATIONS = {"n_sessions", "n_transitions"}


#: Totals of patients, which contain the patients of every model.
TOTALS = {"n_enrolled", "n_patients"}


#: Never shared: they add up to the sessions of all, so that those of one session could be had from the others.
NEVER = {"n_both", "share_both"}


#: Statistics of all patients and sessions of the panel.
OF_ALL = {"icc_x", "icc_y", "r_between", "r_within", "scale_x", "scale_y"}


#: Ratios of two counts: shown where both are.
RATIOS = {"sessions_per_patient": "n_sessions", "missing_share": "n_sessions"}


#: What may follow a variable's name: statistics of the patients that ``n_<name>`` counts.
OF_SOME = ("_mean", "_sd")


#: Significant digits of statistics that only describe. A mean of whole scores to its last digit is a fraction whose
#: denominator is the number of patients, which may be withheld; and from a standard deviation to three digits, less that
#: of one patient fewer, follows that patient's deviation.
DESCRIPTIVE_DIGITS = 2


Numbers = dict[str, float | None]


def protect_summary(
    record: Record, patients: Counts, observations: Counts, least: int, local: Local
) -> tuple[Numbers, tuple[Numbers, ...]]:
    """A record's `summary` and `sessions` with null for what is withheld.

    Parameters
    ----------
    record : Record
    patients, observations : Counts
        What is known by now; grows by what is shown.
    least : int
        nfilter.tab.
    local : Local
        Which variables and sessions show one patient's scores.
    """
    summary = {name: _count(name, value, patients, observations) for name, value in record.summary.items()}
    for name in record.summary:
        if not name.startswith("n_"):
            may = not of_variables(name) & set(local.variables)
            may = may and _may_show(name, record.summary, summary, patients, least)
            summary[name] = _described(name, record.summary) if may else None
    return summary, tuple(_session(row, patients, least, local) for row in record.sessions)


def of_variables(name: str) -> set[str]:
    """The variables of which a statistic is."""
    if name in {"r_between", "r_within"}:
        return {"x", "y"}
    return {v for v in ("x", "y", "pre") if name in {f"icc_{v}", f"scale_{v}", f"{v}_mean", f"{v}_sd"}}


def _count(name: str, value: float | None, patients: Counts, observations: Counts) -> float | None:
    if not name.startswith("n_") or value is None or value != int(value):
        return None
    counts = observations if name in OBSERVATIONS else patients
    return counts.show(int(value), total=name in TOTALS)


def _may_show(name: str, true: Numbers, shown: Numbers, patients: Counts, least: int) -> bool:
    value, n = true[name], true.get("n_patients") or 0
    if value is None or name in OF_ALL:
        return True
    if name in RATIOS:
        return shown.get("n_patients") is not None and shown.get(RATIOS[name]) is not None
    if name.endswith("_share"):
        some = round(value * n)
        return (
            shown.get("n_patients") is not None and patients.allows(some) and patients.allows(int(n) - some)
        )
    for end in OF_SOME:
        if name.endswith(end):
            return _spread(true, name.removesuffix(end), least)
    return False


def _spread(numbers: Numbers, variable: str, least: int) -> bool:
    """Whether enough patients have the variable and differ in it: of equal scores the mean is each one."""
    return (numbers.get(f"n_{variable}") or 0) >= least and bool(
        to_digits(numbers.get(f"{variable}_sd") or 0.0, DESCRIPTIVE_DIGITS)
    )


def _described(name: str, numbers: Numbers) -> float | None:
    """A statistic to a few digits; a mean to as many decimals as its standard deviation has."""
    value = numbers[name]
    sd = numbers.get(f"{name.removesuffix('_mean')}_sd") if name.endswith("_mean") else None
    if value is None or not sd:
        return to_digits(value, DESCRIPTIVE_DIGITS)
    return round(value, DESCRIPTIVE_DIGITS - 1 - math.floor(math.log10(sd)))


def own_count(value: float | None) -> int:
    """A count of a site's own records, in which nothing is withheld yet.

    Raises
    ------
    ValueError
        It is withheld.
    """
    if value is None:
        raise ValueError(
            "found a record from which numbers were withheld; expected one of the site's own data"
        )
    return int(value)


def _session(row: Numbers, patients: Counts, least: int, local: Local) -> Numbers:
    """One session: counts by the rule for counts, statistics of x and y where enough patients have them."""
    shown: Numbers = dict.fromkeys(row)
    shown["session"] = row["session"]
    for name in (name for name in row if name.startswith("n_") and name not in NEVER):
        value = row[name]
        shown[name] = None if value is None else patients.show(int(value))
    session = own_count(row["session"])
    for variable in ("x", "y"):
        if (session, variable) not in local.sessions and _spread(row, variable, least):
            names = [f"{variable}{end}" for end in OF_SOME]
            shown |= {name: _described(name, row) for name in names}
    return {name: shown[name] for name in row}
