"""The lagged analysis of one study under other choices than the chosen ones."""

from functools import singledispatch

import pandas as pd

from twostage.collection import Study
from twostage.params import Parameters
from twostage.stage1.equations import has_groups, lagged
from twostage.stage1.estimates import StudyEstimates
from twostage.stage1.panel import Panel, make_panel
from twostage.stage1.vocabulary import GROUPS, variants


@singledispatch
def sensitivity(study: Study, parameters: Parameters) -> StudyEstimates:
    """Fit :func:`twostage.stage1.equations.lagged` under each of :func:`twostage.stage1.vocabulary.variants`.

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
        # A study that names no therapists has nothing to vary.
        if name != GROUPS or has_groups(panel):
            runs[name] = lagged(panel, groups=name == GROUPS)
    return stacked_variants(study.id, runs)


def stacked_variants(study: str, runs: dict[str, StudyEstimates]) -> StudyEstimates:
    """The lagged analysis of one study under each variant as one result."""
    return StudyEstimates(
        study=study,
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
