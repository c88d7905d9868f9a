"""Which models of a study's records are one and the same, and how many coefficients each has."""

from twostage.params import Parameters
from twostage.stage1 import GROUPS, OUTCOME_CONTROLS
from twostage.terms import ESTIMATORS

#: Analysis, variant, direction.
Model = tuple[str, str, str]


#: Variants of the sensitivity record with the rows and predictors of the main analysis.
_AS_MAIN = ("as chosen", "random slopes", "fixed slopes", GROUPS)


#: Coefficients of one equation, shared or not: the lagged one has five, the cross-level one two more.
_COEFFICIENTS = {"lagged": 5, "sensitivity": 5, "crosslevel": 7}


def coefficients(analysis: str, variant: str, parameters: Parameters) -> int:
    """Coefficients of an equation, with those that its record does not have.

    Parameters
    ----------
    analysis, variant : str
    parameters : Parameters
        Of the record; models with an effect of each session have more in a longer window.

    Notes
    -----
    A structural model has, per variable, two lags and the means of the window's sessions; that of each transition two
    lags for each.
    """
    if analysis == "outcome":
        return 2 + len(OUTCOME_CONTROLS[variant])
    sessions = parameters.last_session - parameters.first_session + 1
    if analysis == "transition":
        return sessions + 2 * (sessions - 1)
    if analysis != "estimators":
        return _COEFFICIENTS.get(analysis, 5)
    estimator = ESTIMATORS[variant]
    if estimator.rows == "everyone":
        return sessions + 2
    return 5 + sessions - parameters.lag - 1 if estimator.occasions else 5


def identity(analysis: str, variant: str, direction: str, parameters: Parameters) -> Model:
    """The name under which a model is decided on, whatever record it stands in.

    Models of the same rows with the same predictors are one: the main analysis stands again in the sensitivity record,
    there also in other units and with other random effects, and as an estimator. The effects of all transitions are of
    one model.
    """
    main = {
        "sensitivity": variant in _AS_MAIN or variant.startswith("standardized by "),
        "estimators": variant == "centred" or (variant == "detrended" and parameters.detrend == "patient"),
    }
    if main.get(analysis):
        return "lagged", "main", direction
    if (analysis, variant) == ("estimators", "detrended"):
        return "sensitivity", "each patient's trend removed", direction
    if analysis == "transition":
        return analysis, "all", direction
    return analysis, variant, direction
