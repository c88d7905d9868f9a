"""Stage 1 of one study without notebooks: the same functions, parameters and records."""

from collections.abc import Callable, Mapping

from twostage.collection import Study
from twostage.describe import Description, describe
from twostage.estimates import StudyEstimates
from twostage.panel import make_panel
from twostage.params import NOTEBOOKS, RECORDS, Parameters, make_parameters
from twostage.records import Record, make_record
from twostage.sensitivity import sensitivity
from twostage.stage1 import crosslevel, lagged, outcome, transition

Result = StudyEstimates | Description

#: How each record's analysis is carried out.
FUNCTIONS: Mapping[str, Callable[[Study, Parameters], Result]] = {
    "data": lambda study, parameters: describe(make_panel(study, parameters)),
    "outcome": lambda study, parameters: outcome(make_panel(study, parameters)),
    "lagged": lambda study, parameters: lagged(make_panel(study, parameters)),
    "transition": lambda study, parameters: transition(make_panel(study, parameters)),
    "sensitivity": sensitivity,
    "crosslevel": lambda study, parameters: crosslevel(make_panel(study, parameters)),
}


def notebook_parameters(notebook: str, parameters: Parameters) -> Parameters:
    """The parameters that a notebook takes; the others at their defaults, as its records have them."""
    taken = [name for name in NOTEBOOKS[notebook] if name in Parameters.model_fields]
    return make_parameters({name: getattr(parameters, name) for name in taken})


def stage1_records(study: Study, parameters: Parameters) -> dict[str, Record]:
    """Every record of a study, as its stage-1 notebooks would leave them.

    Parameters
    ----------
    study : Study
    parameters : Parameters
        Of the whole analysis.

    Returns
    -------
    dict
        analysis -> :class:`twostage.records.Record`.
    """
    made = {}
    for notebook, analyses in RECORDS.items():
        own = notebook_parameters(notebook, parameters)
        panel = make_panel(study, own)
        made |= {analysis: make_record(panel, FUNCTIONS[analysis](study, own)) for analysis in analyses}
    return made
