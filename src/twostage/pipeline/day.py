"""The day that results and books say they were made on."""

import os
from datetime import UTC, datetime


def today() -> str:
    """Today, or the day of the environment variable ``SOURCE_DATE_EPOCH`` (reproducible-builds.org)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    return now.date().isoformat()
