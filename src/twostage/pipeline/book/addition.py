"""The part of a study's page that sets it against the other studies."""

from pathlib import Path

import pandas as pd

from twostage.collection import Collection
from twostage.display import html_table
from twostage.pages.addition.analysis import Addition, addition, pooling
from twostage.pages.addition.plots import addition_figure
from twostage.pages.addition.tables import addition_table, alternative, how, main_effects, sentences
from twostage.pages.common.leave import save_figure
from twostage.pages.common.style import use_style
from twostage.pipeline.run import Run
from twostage.text import image


def study_section(
    run: Run, estimates: pd.DataFrame, study: str, collection: Collection, target: Path
) -> dict[str, object] | None:
    """What the template of a study's page may show of it.

    Parameters
    ----------
    run : Run
    estimates : pandas.DataFrame
        Of :func:`twostage.pages.addition.analysis.read_estimates`.
    study : str
    collection : Collection
    target : Path
        Folder of the book's source; receives the figure.

    Returns
    -------
    dict or None
        sentences, figure (MyST), table (HTML), how; None where there is no pool of others that the study joins.
    """
    if study not in set(estimates["study"]):
        return None
    result = addition(estimates, study, **pooling(run.parameters))
    # Two studies side by side are what the pages of results show; there is no pool that the study joins.
    if result.table.empty or result.table["before_k"].max() < 2:
        return None
    names = {"x": collection.x.label, "y": collection.y.label}
    return {
        "sentences": sentences(result, **names),
        "figure": _figure(main_effects(result), names, study, target),
        "table": html_table(addition_table(result, **names)),
        "how": how(result),
    }


def _figure(result: Addition, names: dict[str, str], study: str, target: Path) -> str:
    if result.table.empty:
        return ""
    use_style()
    alt = alternative(result, **names)
    axes = addition_figure(result, **names).axes
    save_figure(axes[0], str(target / "output" / "addition"), study, alt, pixels=False)
    return image(f"/output/addition/{study}.svg", alt)
