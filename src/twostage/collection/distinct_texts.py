"""A plain CSV file as columns of distinct texts, found all at once.

Cells of a study's files repeat: a patient's name in each session, a score among thousands of others. Here the separators
are found in the file's bytes, all at once, and each column becomes its distinct texts and, for each row, which of them
it has. What is to be checked is then checked once for each distinct text, by the same rules as cell by cell.

Measured on 593,000 rows (11 MB): 0.1 s for what takes the module ``csv`` and a table of texts 2 s; pandas' and pyarrow's
parsers take about as long as this, but guess at numbers, pass over blanks, and read ``inf`` and ``nan`` as numbers.
A file with anything special in it (quotes, apostrophes, another line end, a row with more cells) is not read here:
:mod:`twostage.collection.csv_table` reads it, or says what is wrong in which row.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

#: Bytes that make a file special: quotes, an apostrophe (it may mark a text), other line ends, no text at all.
SPECIAL = (b'"', b"'", b"\r", b"\0", b"\n\n", b"\xef\xbb\xbf")

#: Longest cell in bytes of a column that is read here; a multiple of eight.
LONGEST_CELL = 64

COMMA, NEWLINE = 44, 10


@dataclass(frozen=True)
class Distinct:
    """A column of texts.

    Attributes
    ----------
    texts : ndarray of str objects
        Each once, in the order of their first appearance.
    codes : ndarray of int
        For each row, which of them it is.
    """

    texts: np.ndarray
    codes: np.ndarray

    def only(self, rows: np.ndarray) -> "Distinct":
        """Of some rows, without the texts that none of them has."""
        codes, used = pd.factorize(self.codes[rows])
        return Distinct(self.texts[used], codes)

    def column(self) -> pd.Series:
        """As a column of a table."""
        return pd.Series(pd.array(self.texts, dtype="str").take(self.codes))


def split(content: bytes) -> dict[str, "Cells"] | None:
    """The columns of a CSV file's content; None where it is not plain.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    dict or None
        Name of a column, less blanks around it -> its cells.
    """
    content = content.rstrip(b"\n") + b"\n"
    if any(special in content for special in SPECIAL) or not _is_text(content):
        return None
    head, _, body = content.partition(b"\n")
    header = [cell.strip() for cell in head.decode().split(",")]
    if not body or len(set(header)) < len(header):
        return None
    data = np.frombuffer(body, dtype=np.uint8)
    separators = np.flatnonzero((data == COMMA) | (data == NEWLINE))
    if len(separators) % len(header):
        return None
    ends = separators.reshape(-1, len(header))
    # Each row has as many cells as the header if its last separator alone ends a line.
    if (data[ends[:, -1]] != NEWLINE).any() or (data[ends[:, :-1]] != COMMA).any():
        return None
    starts = np.concatenate([[0], separators[:-1] + 1]).reshape(ends.shape)
    return {name: Cells(data, starts[:, i], ends[:, i]) for i, name in enumerate(header)}


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class Cells:
    """Where the cells of a column are.

    Attributes
    ----------
    data : ndarray of uint8
        The file's content after its first line.
    starts, ends : ndarray of int
    """

    data: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def distinct(self) -> Distinct | None:
        """The distinct texts; None where a cell is longer than :data:`LONGEST_CELL`."""
        longest = int((self.ends - self.starts).max())
        if longest > LONGEST_CELL:
            return None
        # Eight bytes at a time as one number; what lies behind a cell's end is 0, which no text has.
        codes = np.zeros(len(self.starts), dtype=np.int64)
        for begin in range(0, max(longest, 1), 8):
            part, _ = pd.factorize(self._eight(begin))
            codes = part if begin == 0 else pd.factorize(codes * (part.max() + 1) + part)[0]
        first = np.full(codes.max() + 1, -1)
        first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
        places = zip(self.starts[first].tolist(), self.ends[first].tolist(), strict=True)
        content = self.data.tobytes() if len(first) > 1000 else self.data
        texts = np.empty(len(first), dtype=object)
        texts[:] = [bytes(content[start:end]).decode() for start, end in places]
        return Distinct(texts, codes)

    def _eight(self, begin: int) -> np.ndarray:
        """The bytes of each cell from `begin` on, eight of them, as one number."""
        number = np.zeros(len(self.starts), dtype=np.uint64)
        last = len(self.data) - 1
        for i in range(8):
            place = self.starts + (begin + i)
            inside = place < self.ends
            if not inside.any():
                break
            byte = self.data[np.minimum(place, last)].astype(np.uint64)
            number |= np.where(inside, byte, np.uint64(0)) << np.uint64(8 * i)
        return number
