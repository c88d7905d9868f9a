"""What the first cell of a study's notebook opens: its parameters checked, its panel made, the place of its records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from IPython.display import Markdown
from matplotlib.axes import Axes

from twostage.collection import Collection, LargeStudy, Study, outside_window
from twostage.display import rows_of, show_text
from twostage.pages.common.page import opened
from twostage.pages.study.tables import study_heading
from twostage.params import Parameters
from twostage.records import Result, save_record
from twostage.stage1 import LargePanel, Panel, StudyEstimates, describe, make_panel
from twostage.stats.base import attempt
from twostage.terms import arrow
from twostage.words import say


@dataclass(frozen=True)
class StudyPage:
    """A notebook on one study.

    Attributes
    ----------
    collection : Collection
    study : Study or LargeStudy
    parameters : Parameters
    panel : Panel
        The study's scores as the parameters say.
    folder : str
        Where it leaves the study's records; empty: it leaves none.
    """

    collection: Collection
    study: Study | LargeStudy
    parameters: Parameters
    panel: Panel
    folder: str

    def heading(self) -> Markdown:
        """Which study and variables the page is about."""
        if not isinstance(self.panel, LargePanel):
            window = (self.parameters.first_session, self.parameters.last_session)
            return study_heading(self.collection, self.study.id, outside_window(self.study.sessions, window))
        note = (
            f"this study was read in pieces: every number is of all its {self.panel.n_enrolled:,} patients, the pictures "
            f"of single patients show {self.panel.shown:,} of them, evenly spread over the study"
        )
        return study_heading(self.collection, self.study.id, note)

    def draw(self, picture: Callable[[Panel], Axes]) -> Markdown | None:
        """Draw the panel; where its study lacks what it takes, say so."""
        found = attempt(picture, self.panel)
        return None if found else show_text(say(found.words))

    def counts(self, estimates: StudyEstimates) -> tuple[int, dict[str, tuple[int, int]], int, int | None]:
        """What :func:`twostage.pages.common.counts.why_counts_differ` needs of the lagged analysis."""
        names = (self.panel.x.label, self.panel.y.label)
        fits = {
            arrow(f.direction, *names): (int(f.n_patients), int(f.n_transitions))
            for f in rows_of(estimates.fits)
        }
        # To describe a study in pieces again would take another look at all of it.
        large = isinstance(self.panel, LargePanel)
        described = None if large else int(describe(self.panel).summary["n_transitions"])
        return self.panel.n_patients, fits, self.parameters.lag, described

    def save(self, result: Result) -> None:
        """Leave a result as a record for stage 2."""
        save_record(self.panel, result, self.folder)


def open_page(notebook: str, namespace: Mapping[str, Any]) -> StudyPage:
    """Open the page of a notebook on one study; see :func:`twostage.pages.common.page.open_page`."""
    parameters, collection = opened(notebook, namespace)
    study = collection.study(namespace["study"])
    # make_panel chooses by the kind of study, which type checkers do not see.
    panel = make_panel(study, parameters)  # type: ignore[arg-type]
    return StudyPage(collection, study, parameters, panel, namespace["record_folder"])
