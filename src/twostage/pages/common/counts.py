"""Why numbers of patients and transitions differ from one table to the next, in a sentence."""

from collections.abc import Mapping

from twostage.display import count
from twostage.words import say


def why_counts_differ(
    panel: int | str, equations: Mapping[str, tuple[int, int]], lag: int = 1, described: int | None = None
) -> str:
    """What an equation counts, and what the panel and the description of the data do; empty where they agree.

    Parameters
    ----------
    panel : int or str
        Patients of the panel; a text where some are withheld.
    equations : mapping
        Name of the equation -> patients, transitions.
    lag : int
        In sessions.
    described : int, optional
        Transitions by the description of the data.
    """
    patients = {panel if isinstance(panel, str) else count(panel), *(count(n) for n, _ in equations.values())}
    transitions = {n for _, n in equations.values()} | ({described} if described is not None else set())
    if not equations or (len(patients) == 1 and len(transitions) == 1):
        return ""
    whole = panel if isinstance(panel, str) else count(panel)
    later = "at the next session" if lag == 1 else f"{lag} sessions later"
    each = "; ".join(
        f"{name}: {count(n)} {say('patients')}, {count(t)} transitions" for name, (n, t) in equations.items()
    )
    text = say(
        f"Numbers differ because each equation takes what it needs: {whole} patients are in the panel, and an equation "
        f"takes those of their sessions with both variables that have a score of its own outcome {later}"
    )
    more = (
        ""
        if described is None
        else say(
            f" The description of the data counts {count(described)} transitions: a score of either variable {later}."
        )
    )
    return f"{text} ({each}).{more}"
