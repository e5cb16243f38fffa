"""How one value is written in a cell of a table, and read back.

Numbers
-------
Seconds get six decimals (finer than a sample at 384 kHz), Hz three, confidence six; trailing zeros are dropped. So 0.3
s is written ``0.3``, not ``0.30000000000000004``, and is read back as the same number.

Text from strangers
-------------------
File names and labels come from anywhere, and a spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@``
as a formula. :func:`guarded_text` therefore puts an apostrophe before such a text (and before one that begins with an
apostrophe), and :func:`unguarded_text` takes it off again. A *path* gets ``./`` instead, which names the same file, so
that other programs can still open it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from birdcore.config import ClassName
from birdcore.errors import DataError

__all__ = [
    "CONFIDENCE_DECIMALS",
    "HERTZ_DECIMALS",
    "SECONDS_DECIMALS",
    "common_name_of",
    "csv_line",
    "edge_texts",
    "guarded_path",
    "guarded_text",
    "number_text",
    "one_line",
    "parse_number",
    "path_text",
    "terminal_text",
    "unguarded_path",
    "unguarded_text",
]

SECONDS_DECIMALS = 6
HERTZ_DECIMALS = 3
CONFIDENCE_DECIMALS = 6

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell must not begin with. Spreadsheets skip leading white space, so the last three count as well."""


def number_text(value: float, decimals: int) -> str:
    """A number in plain decimal notation with at most so many decimals."""
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def edge_texts(low: float, high: float, decimals: int) -> tuple[str, str]:
    """The two ends of an interval; all digits are kept where rounding would make it empty."""
    texts = number_text(low, decimals), number_text(high, decimals)
    return texts if float(texts[0]) < float(texts[1]) else (repr(float(low)), repr(float(high)))


def parse_number(text: str, *, where: str) -> float:
    """A finite number from a cell.

    Parameters
    ----------
    text : the cell
    where : what to call the cell in the error, e.g. ``"x.txt, line 3: Begin Time (s)"``

    Raises
    ------
    DataError
        If the text is not a finite number.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: {text!r} is not a number (decimals are written with a point)")
    return value


def csv_line(cells: Iterable[str]) -> str:
    """A line of a comma separated table, ended by a line feed; cells are quoted where they need it."""
    buffer = io.StringIO()
    # The writer quotes a carriage return only if it ends its own lines with one.
    csv.writer(buffer, lineterminator="\r\n").writerow(list(cells))
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def guarded_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith((*FORMULA_STARTS, "'")) else text


def unguarded_text(text: str) -> str:
    """Inverse of :func:`guarded_text`."""
    return text[1:] if text.startswith("'") else text


def guarded_path(path: str) -> str:
    """A path that no spreadsheet takes for a formula, and that names the same file."""
    return f"./{path}" if path.startswith(FORMULA_STARTS) else path


def unguarded_path(path: str) -> str:
    """Inverse of :func:`guarded_path`."""
    return path[2:] if path.startswith(tuple(f"./{start}" for start in FORMULA_STARTS)) else path


def one_line(text: str) -> str:
    """A text for a table without quoting: tabs and line ends, which would break the table, become spaces."""
    return text.translate({ord(character): " " for character in "\t\r\n"})


def path_text(path: str | Path) -> str:
    """A path as valid text: bytes of a file name that are not UTF-8 become ``\\xff`` and the like."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def terminal_text(text: str | Path) -> str:
    """A text for a terminal: what would steer it (escape sequences in a file name) is written as ``\\x1b`` and so on."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in path_text(text)
    )


def common_name_of(label: str, class_names: Sequence[ClassName]) -> str:
    """The common name of a label; the label itself where it has none."""
    return next((name.common for name in class_names if name.code == label and name.common), label)
