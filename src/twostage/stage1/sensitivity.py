"""The lagged analysis of one study under other choices than the chosen ones."""

import pandas as pd

from twostage.collection import Study
from twostage.params import Parameters
from twostage.stage1.equations import lagged
from twostage.stage1.estimates import StudyEstimates
from twostage.stage1.panel import Panel, make_panel

#: Lengths of the windows to compare, in sessions; those longer than the chosen window do not apply.
WINDOW_LENGTHS = (3, 5, 7)


def variants(parameters: Parameters) -> dict[str, dict]:
    """Which other choices to try: name -> parameters that change.

    Windows of 3, 5 and 7 sessions from the first session, the other standardization and trend options,
    and random slopes the other way; what equals the chosen analysis is called ``as chosen``.
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
    return changes


def sensitivity(study: Study, parameters: Parameters) -> StudyEstimates:
    """Fit :func:`twostage.stage1.equations.lagged` under each of :func:`variants`.

    Parameters
    ----------
    study : Study
    parameters : Parameters
        The chosen analysis, from which each variant differs in one thing.

    Returns
    -------
    StudyEstimates
        With the variant's name in the column `variant`.
    """
    runs = {}
    for name, change in variants(parameters).items():
        panel: Panel = make_panel(study, parameters.model_copy(update=change))
        runs[name] = lagged(panel)
    return StudyEstimates(
        study=study.id,
        analysis="sensitivity",
        table=_stacked({name: run.table.assign(analysis="sensitivity") for name, run in runs.items()}),
        covariances={(name, d): cov for name, run in runs.items() for (_, d), cov in run.covariances.items()},
        fits=_stacked({name: run.fits for name, run in runs.items()}),
        exclusions=runs["as chosen"].exclusions,
        failures=_stacked({name: run.failures for name, run in runs.items()}),
    )


def _stacked(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    named = [table.assign(variant=name) for name, table in tables.items() if len(table)]
    return pd.concat(named, ignore_index=True) if named else next(iter(tables.values()))
