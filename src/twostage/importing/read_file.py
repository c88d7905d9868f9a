"""A researcher's file by the reader of its kind."""

import re
from pathlib import Path

from twostage.importing.read_excel import read_excel
from twostage.importing.read_stats import read_parquet, read_r, read_spss, read_stata
from twostage.importing.read_text import read_text
from twostage.importing.source import FileOptions, ImportProblems, Source
from twostage.problems import Problem

#: File ending -> its reader, and the options that mean something to it.
TEXT = (read_text, ("encoding", "separator", "decimal", "thousands", "header_row", "skip_rows"))


EXCEL = (read_excel, ("sheet", "decimal", "thousands", "header_row", "skip_rows"))


SPSS, STATA = ((reader, ("encoding", "decimal", "thousands")) for reader in (read_spss, read_stata))


R = (read_r, ("frame", "sheet", "decimal", "thousands"))


READERS = {
    ".csv": TEXT,
    ".tsv": TEXT,
    ".tab": TEXT,
    ".txt": TEXT,
    ".dat": TEXT,
    ".xlsx": EXCEL,
    ".xlsm": EXCEL,
    ".sav": SPSS,
    ".zsav": SPSS,
    ".dta": STATA,
    ".rds": R,
    ".rdata": R,
    ".rda": R,
    ".parquet": (read_parquet, ("decimal", "thousands")),
}


#: Options of grids, which files of statistics programs are not.
OF_GRIDS = ("last_row", "short_rows", "fill_down")


#: What to do with a file of another kind.
WAYS_OUT = {
    **dict.fromkeys((".xls", ".xlsb", ".ods", ".numbers"), "open it in its program and save it as .xlsx"),
    **dict.fromkeys((".por", ".spv", ".sps"), "open the data in SPSS or PSPP and save them as .sav"),
    **dict.fromkeys((".sas7bdat", ".xpt"), "export it from SAS as .csv, or save it from R with saveRDS()"),
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar"), "unpack it first"),
    **dict.fromkeys((".json", ".xml"), "choose CSV, Excel or SPSS where the system exports the data"),
    **dict.fromkeys(
        (".pdf", ".doc", ".docx", ".html"), "the data are needed as a table: CSV, Excel, SPSS, Stata or R"
    ),
    **dict.fromkeys((".jasp", ".omv"), "export the data from JASP or jamovi as .csv"),
    **dict.fromkeys((".mdb", ".accdb", ".sqlite", ".db"), "export the table from the database as .csv"),
}


def read_source(path: Path, options: FileOptions, guess: bool = False) -> Source:
    """Read a file by its ending: .csv, .tsv, .txt (also packed), .xlsx, .sav, .zsav, .dta, .rds, .RData, .parquet.

    Parameters
    ----------
    path : Path
    options : FileOptions
    guess : bool
        Whether to decide what is not sure, for a proposal that a person checks. Otherwise a file that is not
        clear is refused with what to say.

    Raises
    ------
    ImportProblems
        If the file is absent, of another kind, damaged, or has no table.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise ImportProblems([Problem(str(path), None, None, found, "a file with data")])
    packed = path.suffix.lower() in (".gz", ".bz2", ".xz")
    ending = Path(path.stem).suffix if packed else path.suffix
    if ending.lower() not in READERS or (packed and READERS[ending.lower()] is not TEXT):
        way = WAYS_OUT.get(path.suffix.lower(), "")
        expected = f"one of {', '.join(READERS)}{f'; {way}' * bool(way)}"
        raise ImportProblems([Problem(path.name, None, None, path.suffix or "no ending", expected)])
    reader, known = READERS[ending.lower()]
    known += OF_GRIDS if reader in (read_text, read_excel) else ()
    strange = {key: value for key, value in options.given().items() if key not in known}
    # Mappings of old say a separator or a sheet where there is none.
    strange = {k: v for k, v in strange.items() if k not in ("encoding", "separator", "sheet")}
    if strange:
        said = f"nothing of this kind for a {ending} file (there: {', '.join(known)})"
        raise ImportProblems([Problem(path.name, None, k, str(v), said) for k, v in strange.items()])
    return reader(path, options, guess)


def option_value(key: str, text: str) -> object:
    """What an option of the command line says, as :class:`FileOptions` has it.

    Raises
    ------
    ImportProblems
    """
    choices: dict[str, dict[str, object]] = {
        "separator": {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "blank": " ", "bar": "|"},
        "decimal": {"comma": ",", "point": "."},
        "thousands": {"comma": ",", "point": ".", "apostrophe": "'", "blank": " "},
        "short_rows": {"true": True, "false": False},
    }
    words = choices.get(key, {})
    if text.casefold() in words:
        return words[text.casefold()]
    if key in ("skip_rows", "fill_down"):
        parts = tuple(part.strip() for part in text.split(","))
        if key == "fill_down":
            return parts
        if all(re.fullmatch(r"[0-9]{1,7}", part) for part in parts):
            return tuple(map(int, parts))
    if key == "last_row" and re.fullmatch(r"[0-9]{1,7}", text):
        return int(text)
    return text
