"""The analysis as R scripts: stage 1 of each study, and the pooling of every analysis."""

from collections.abc import Iterator
from pathlib import Path

from twostage.collection import mark_notes, saved_as
from twostage.export.source import Source
from twostage.export.stage1_r import Script


def scripts(source: Source) -> Iterator[tuple[str, str]]:
    """Name of each file and its text; a study that shared results instead of data has no script of stage 1."""
    missing = dict(
        zip(
            source.collection.dictionary["variable"],
            source.collection.dictionary["missing"].str.strip(),
            strict=True,
        )
    )
    for row in source.collection.studies.to_dict("records"):
        info = {str(column): value for column, value in row.items()}
        if info["study"] in source.run.shared:
            continue
        head = (
            f"Stage 1 of {info['label']} ({info['study']}): {source.collection.x.label} and {source.collection.y.label}.",
            *_made(source),
        )
        layouts = [layout for layout in (source.settings.sessions, source.settings.patients) if layout]
        saved = {
            layout.path(info): saved_as(Path(source.collection.path), layout, info) for layout in layouts
        }
        script = Script(info, source.settings, missing, source.parameters, head, saved)
        yield f"stage1_{info['study']}.R", script.text()
    for analysis in source.analyses():
        yield f"stage2_{analysis}.R", "\n".join(_pooling(source, analysis))


def _made(source: Source) -> tuple[str, ...]:
    said = f"Written by twostage {source.context['version']} from the run {source.name}. "
    data = "No participant's data are in this file." + (f" {source.caution}" if source.caution else "")
    return (said.strip(), data)


def _pooling(source: Source, analysis: str) -> Iterator[str]:
    """Each coefficient of an analysis pooled with metafor, the studies' estimates in full precision."""
    pooled = source.pooled(analysis)
    yield from (f"# {' '.join(line.split())}" for line in (f"Stage 2, {analysis}.", *_made(source)))
    if notes := mark_notes(pooled.estimates["label"]):
        yield f"# {notes}"
    for variant, direction, term in pooled.fits:
        yield "\n" + pooled.r_call(direction, term, variant) + "print(fit); print(predicted)"
