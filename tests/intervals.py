"""What is said of tables, whichever page left them."""

import csv
import io
import re

NUMBER = re.compile(r"[−-]?\d[\d,]*\.?\d*")
INTERVAL = re.compile(r"\[([−-]?[\d.,]+), ([−-]?[\d.,]+)\]")


def outside(text: str) -> list[tuple[str, str]]:
    """Estimates of a table (CSV) that do not lie in the interval printed for them.

    The estimate stands before the interval in its cell, or in the column before; behind a test it is the row's `estimate`.
    """
    found = []
    for row in csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))):
        columns = list(row)
        for at, (column, cell) in enumerate(row.items()):
            if "CI" not in column or not (ends := INTERVAL.search(cell or "")):
                continue
            before = cell[: ends.start()].strip()
            left = columns[at - 1] if at else column
            beside = row.get("estimate", "") if left in {"p", "df"} else row[left]
            value = NUMBER.search(before) if before else NUMBER.match(beside or "")
            low, high = map(_float, ends.groups())
            if value and not low <= _float(value[0]) <= high:
                found.append((before or beside, cell))
    return found


def _float(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))
