"""A run as files for a paper and for its publication."""

from twostage.export.folder import ExportError
from twostage.export.publish import publish_run
from twostage.export.run import export_run
