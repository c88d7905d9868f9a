"""The words of stage 1: which variants, directions, terms and estimators an analysis has, and why patients are lost.

Stage 1 takes them from here, and a record is held against them: a word that this version does not write, whether it
is invented or a newer version's, is refused by name before it becomes a row of a table or a page.
"""

from functools import lru_cache

from twostage.params import Parameters
from twostage.terms import DIRECTIONS, ESTIMATORS, HEADLINE, X_TO_Y

#: Lengths of the windows to compare, in sessions; those longer than the chosen window do not apply.
WINDOW_LENGTHS = (3, 5, 7)


#: The variant in which the patients of one therapist are one cluster, of studies that say who treated whom.
GROUPS = "groups of patients as clusters"


#: Terms of the outcome analysis.
OUTCOME_TERMS = ("partial_r_z", "x_early_standardized")


#: Variant of the outcome analysis -> what is controlled for.
OUTCOME_CONTROLS = {"main": ("pre",), "given early y too": ("pre", "y_early")}


#: Patients of the panel who are not in the outcome analysis.
LOST_OUTCOME = "no early x, intake or outcome score"


#: Estimator of the effects of each transition.
EACH_TRANSITION = "riclpm"


#: Variant, direction, term, estimator.
Coefficient = tuple[str, str, str, str]


def variants(parameters: Parameters) -> dict[str, dict]:
    """Which other choices to try: name -> parameters that change.

    Windows of 3, 5 and 7 sessions from the first session, the other standardization and trend options,
    and random slopes the other way; what equals the chosen analysis is called ``as chosen``. In :data:`GROUPS` no parameter
    changes, but what is a cluster.
    """
    first, last = parameters.first_session, parameters.last_session
    changes: dict[str, dict] = {"as chosen": {}}
    for length in WINDOW_LENGTHS:
        end = first + length - 1
        if end < last and length >= parameters.min_sessions and end >= first + parameters.lag:
            changes[f"sessions {first}-{end}"] = {"last_session": end}
    for name, words in (("total", "total SD"), ("within", "within-patient SD")):
        if name != parameters.standardize:
            changes[f"standardized by the {words}"] = {"standardize": name}
    trends = {
        "none": "no trend removed",
        "session": "session trend removed",
        "patient": "each patient's trend removed",
    }
    changes |= {words: {"detrend": name} for name, words in trends.items() if name != parameters.detrend}
    changes["random slopes" if not parameters.random_slopes else "fixed slopes"] = {
        "random_slopes": not parameters.random_slopes
    }
    return changes | {GROUPS: {}}


def transitions(parameters: Parameters) -> dict[str, int]:
    """Variants of the analysis of each transition: name -> session of the predictor."""
    lag = parameters.lag
    sessions = range(parameters.first_session, parameters.last_session - lag + 1)
    return {f"{session} to {session + lag}": session for session in sessions}


def exclusions(parameters: Parameters) -> tuple[str, str]:
    """Why patients are not in the panel: no score in the window, too few sessions."""
    window = f"sessions {parameters.first_session} to {parameters.last_session}"
    few = f"fewer than {parameters.min_sessions} sessions with both variables"
    return f"no score in {window}", few


def lost_lagged(parameters: Parameters) -> str:
    """Why patients of the panel are not in a lagged analysis."""
    return f"no session with both variables followed by a score at lag {parameters.lag}"


def reasons(analysis: str, parameters: Parameters) -> tuple[str, ...]:
    """Every reason for an exclusion that a record of the analysis can give."""
    lost = {"outcome": (LOST_OUTCOME,)} | dict.fromkeys(
        ("lagged", "crosslevel", "sensitivity", "onestage"), (lost_lagged(parameters),)
    )
    return exclusions(parameters) + lost.get(analysis, ())


@lru_cache(maxsize=256)
def coefficients(analysis: str, parameters: Parameters) -> frozenset[Coefficient]:
    """Every coefficient that a record of the analysis can have."""
    if analysis == "outcome":
        return frozenset((v, X_TO_Y.name, term, HEADLINE) for v in OUTCOME_CONTROLS for term in OUTCOME_TERMS)
    both = [(d.name, term) for d in DIRECTIONS.values() for term in (d.cross, d.auto)]
    if analysis == "estimators":
        return frozenset((name, d, term, name) for name in ESTIMATORS for d, term in both)
    if analysis == "transition":
        return frozenset((name, d, t, EACH_TRANSITION) for name in transitions(parameters) for d, t in both)
    names = {
        "lagged": ["main"],
        "crosslevel": ["main"],
        "sensitivity": list(variants(parameters)),
    }.get(analysis, [])
    found = set()
    for d in DIRECTIONS.values():
        terms = d.crosslevel if analysis == "crosslevel" else d.lagged
        found |= {(name, d.name, term, HEADLINE) for name in names for term in terms}
    return frozenset(found)
