"""What a run is to be made from, found before anything of its folder is written."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from twostage.collection import LargeStudy, Study
from twostage.files import keep_only, write_bytes_if_changed
from twostage.pipeline.content import digest_of
from twostage.pipeline.run import POOLED_FOLDER, TUTORIAL_FOLDER, Run
from twostage.sharing import Bundle

#: Folder, in a run's, with copies of the project's notebooks, pages and settings: steps read these.
SOURCES = "inputs/project"


@dataclass(frozen=True)
class Plan:
    """A run and everything it is to be made from.

    Nothing is written before :meth:`write`, so a run that is going on, or only asked about, stays as it is.

    Attributes
    ----------
    run : Run
    files : dict
        Name, relative to the run's folder -> what is to be there before its steps begin.
    registry : dict
        Files and folders of the collection that every step on data reads -> their digest.
    data : dict
        Study -> its files -> their digest.
    stored : dict
        Files of the recovery study and of the multiverse that are stored with the collection -> their digest.
    history : dict
        The list of releases of the collection's results, where the book shows it -> its digest.
    code, all_code : dict
        As :func:`twostage.pipeline.code.code` finds it: of the modules of results, and of all.
    studies : dict
        Study -> its data, as read.
    bundles : dict
        Study that shared records instead of data -> its bundle.
    """

    run: Run
    files: Mapping[str, bytes]
    registry: Mapping[Path, str | None]
    data: Mapping[str, Mapping[Path, str | None]]
    stored: Mapping[Path, str | None]
    code: Mapping[str, str]
    all_code: Mapping[str, str]
    studies: Mapping[str, Study | LargeStudy]
    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    history: Mapping[Path, str | None] = field(default_factory=dict)

    @property
    def checksums(self) -> dict[str, str]:
        """Study -> checksum of its data."""
        return {id: study.checksum for id, study in self.studies.items()}

    def digest(self, name: str) -> str:
        """Digest of one of the files."""
        return digest_of(self.files[name])

    def copies(self, start: str) -> dict[Path, str]:
        """The files whose name starts like this -> their digest."""
        return {self.run.folder / name: self.digest(name) for name in self.files if name.startswith(start)}

    @property
    def frozen(self) -> Run:
        """The run as its steps see it: what may be edited meanwhile is read from the copies."""
        return replace(self.run, sources=self.run.folder / SOURCES)

    def write(self) -> None:
        """Write the files, and remove those that earlier plans wrote; for who holds the run's lock."""
        for name, content in self.files.items():
            write_bytes_if_changed(self.run.folder / name, content)
        wanted = {self.run.folder / name for name in self.files}
        for path in (self.run.folder / "inputs").rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()

    def forget_removed(self) -> None:
        """Remove what earlier runs left of studies and notebooks that are no longer there, and of failures."""
        run = self.run
        keep_only(run.folder / "records", run.studies)
        executed = run.folder / "notebooks"
        keep_only(executed, [*run.analysed, POOLED_FOLDER, TUTORIAL_FOLDER])
        for study in run.analysed:
            keep_only(executed / study, [f"{name}.ipynb" for name in run.stage1])
        keep_only(executed / POOLED_FOLDER, [f"{name}.ipynb" for name in run.stage2])
        keep_only(executed / TUTORIAL_FOLDER, [f"{name}.ipynb" for name in run.tutorials])
        keep_only(run.folder / "output", run.stage2)
        keep_only(run.unfinished, [])
        if run.failed.is_dir():
            shutil.rmtree(run.failed)
