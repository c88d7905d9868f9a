"""Pictures of moderators for a notebook: drawn and left for the manuscript, or the reason in words."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown
from matplotlib.axes import Axes

from twostage.collection import Collection
from twostage.display import number, show_text
from twostage.pages.common.forest import forest
from twostage.pages.common.leave import save_figure
from twostage.pages.common.style import short
from twostage.pages.moderators.analysis import Moderation
from twostage.pages.moderators.bubble import bubble
from twostage.pages.moderators.studies import StudyModerator
from twostage.pages.moderators.tables import bubble_alt, omnibus_text
from twostage.stage2 import Attempt, PooledTable
from twostage.terms import DIRECTIONS, arrow

#: Width and height of one bubble plot [inches].
WIDTH, HEIGHT = 4.0, 3.4


#: Letters in a line below it.
LETTERS = 38


def subgroup_forest(
    attempted: Attempt,
    pooled: PooledTable,
    direction: str,
    collection: Collection,
    folder: str,
    name: str,
) -> Axes | Markdown:
    """Forest plot by subgroups, left as a figure; the words instead where there are no subgroups.

    Parameters
    ----------
    attempted : Attempt of SubgroupFit
        Of :func:`twostage.pages.moderators.analysis.grouped`.
    pooled : PooledTable
    direction : str
    collection : Collection
    folder, name : str
        As of :func:`twostage.pages.common.leave.save_figure`.

    Returns
    -------
    matplotlib.axes.Axes or IPython.display.Markdown
    """
    if not attempted:
        return show_text(attempted.words)
    found = attempted.result
    ax = forest(pooled, direction, DIRECTIONS[direction].cross, collection, subgroups=found)
    effects = ", ".join(f"{g} {number(e)}" for g, e in zip(found.groups, found.estimate, strict=True))
    test = omnibus_text(found.qm, found.qm_df, found.qm_df2)
    alt = f"Forest plot of {len(found.membership)} studies in {len(found.groups)} groups: {effects}; {test}."
    return save_figure(ax, folder, name, alt)


def bubbles(
    moderation: Moderation,
    wanted: tuple[StudyModerator, ...],
    collection: Collection,
    folder: str,
    name: str,
) -> Axes | Markdown:
    """Bubble plots of all numbers that were tested, side by side, left as one figure.

    Returns
    -------
    matplotlib.axes.Axes or IPython.display.Markdown
        Words if none was tested.
    """
    numbers = [m for m in wanted if m.name in moderation.fits and not m.category]
    if not numbers:
        return show_text("No numeric moderator could be tested.")
    rows = -(-len(numbers) // 2)
    size = (2 * WIDTH, rows * HEIGHT) if len(numbers) > 1 else (1.5 * WIDTH, HEIGHT)
    shape = (rows, min(len(numbers), 2))
    _, axes = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
    for ax, moderator in zip(axes.flat, numbers, strict=False):
        label = textwrap.fill(short(moderator.label, 120), LETTERS)
        found = moderation.fits[moderator.name]
        bubble(
            found,
            xlabel=label,
            ylabel=arrow(moderation.direction, short(collection.x.name), short(collection.y.name)),
            ax=ax,
        )
        ax.tick_params(labelsize=9)
    for ax in axes.flat[1 : len(numbers)]:
        ax.get_legend().remove()
    for ax in np.ravel(axes)[len(numbers) :]:
        ax.remove()
    alt = " ".join(bubble_alt(moderation, m.name) for m in numbers)
    return save_figure(axes.flat[0], folder, name, alt)
