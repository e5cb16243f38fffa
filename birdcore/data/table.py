"""Comma separated tables whose faults name file, row and column."""

from __future__ import annotations

import ast
import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path

from birdcore.errors import DataError

__all__ = ["DATE_PATTERN", "TableRow", "read_table"]

DATE_PATTERN = r"[0-9]{4}-(0[0-9]|1[0-2])-([0-2][0-9]|3[01])"
"""A date; collections write 00 for a month or day that is unknown."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One row of a table.

    Parameters
    ----------
    table : name of the file
    number : as a spreadsheet counts, the header being row 1
    cells : column → text
    """

    table: str
    number: int
    cells: dict[str, str]

    @property
    def where(self) -> str:
        """How errors call the row: ``train.csv, row 7``."""
        return f"{self.table}, row {self.number}"

    def text(self, column: str) -> str:
        """The text of a cell without surrounding blanks; "" where it is empty or there is no such column."""
        return (self.cells.get(column) or "").strip()

    def number_in(self, column: str, *, lowest: float = -math.inf, highest: float = math.inf) -> float | None:
        """The number in a cell; None where it is empty or there is no such column.

        Raises
        ------
        DataError
            If the cell holds something else, or a number out of range.
        """
        text = self.text(column)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(
                f"{self.where}: {column} {text!r} is not a number (decimals are written with a point; "
                "an unknown number is an empty cell)"
            )
        if not lowest <= value <= highest:
            raise DataError(f"{self.where}: {column} {text}: must be between {lowest:g} and {highest:g}")
        return value

    def required_number(self, column: str) -> float:
        """As :meth:`number_in`, of a cell that must not be empty."""
        value = self.number_in(column)
        if value is None:
            raise DataError(f"{self.where}: {column} is empty; a number is expected")
        return value

    def required_text(self, column: str) -> str:
        """As :meth:`text`, of a cell that must not be empty."""
        text = self.text(column)
        if not text:
            raise DataError(f"{self.where}: {column} is empty; every row needs one")
        return text

    def one_of(self, column: str, allowed: tuple[str, ...]) -> str:
        """As :meth:`text`, of a cell that is empty or holds one of a few words.

        Raises
        ------
        DataError
            If the cell holds another one.
        """
        text = self.text(column)
        if text and text not in allowed:
            raise DataError(f"{self.where}: {column} {text!r}: must be {', '.join(allowed)}, or empty")
        return text

    def date_in(self, column: str) -> str:
        """As :meth:`text`, of a cell that is empty or holds a date, ``YYYY-MM-DD``; a month or day of 00 is unknown.

        Raises
        ------
        DataError
            If the cell holds something else.
        """
        text = self.text(column)
        if text and not re.fullmatch(DATE_PATTERN, text):
            raise DataError(
                f"{self.where}: {column} {text!r} is not a date such as 2024-05-31; an unknown one is empty"
            )
        return text

    def list_in(self, column: str) -> tuple[str, ...]:
        """The texts of a cell that holds a Python list such as ``['amered', 'btbwar']``; empty texts are left out.

        Raises
        ------
        DataError
            If the cell is neither empty nor such a list.
        """
        text = self.text(column)
        try:
            items = ast.literal_eval(text) if text else []
        except (ValueError, SyntaxError, TypeError, RecursionError):
            items = None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise DataError(f"{self.where}: {column} {text!r} is not a list such as ['amered', 'btbwar'] or []")
        return tuple(item.strip() for item in items if item.strip())


def read_table(path: Path, *, required: tuple[str, ...]) -> list[TableRow]:
    """The rows of a table.

    Parameters
    ----------
    path : CSV in UTF-8, with or without byte order mark, one header line
    required : columns that must be there; further ones are read as well

    Raises
    ------
    DataError
        If there is no such file, it is not such a table, lacks a column, or a row has not one cell for each column.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such table; is the data folder right (BIRDCORE_DATA)?")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            columns = [column.strip() for column in next(reader, [])]
            while columns and not columns[-1]:
                columns.pop()
            missing = [column for column in required if column not in columns]
            if missing:
                raise DataError(f"{path.name}: has no column {missing[0]!r}; expected at least {', '.join(required)}")
            named = [column for column in columns if column]
            if len(set(named)) < len(named):
                twice = next(column for column in named if named.count(column) > 1)
                raise DataError(f"{path.name}, row 1: has the column {twice!r} twice; leave one")
            return [
                _row(path.name, number, columns, cells)
                for number, cells in enumerate(reader, start=2)
                if any(cell.strip() for cell in cells)  # else an empty line
            ]
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path.name}: is not a comma separated table ({error})") from error


def _row(table: str, number: int, columns: list[str], cells: list[str]) -> TableRow:
    """A row of a table; one with a cell too many or too few is refused, as its cells stand in the wrong columns."""
    while len(cells) > len(columns) and not cells[-1].strip():
        cells.pop()
    if len(cells) > len(columns):
        raise DataError(
            f"{table}, row {number}: has {len(cells)} cells, and the header {len(columns)} columns; after "
            f"{columns[-1]!r} comes {cells[len(columns)]!r} (a text with a comma in it must be in quotes)"
        )
    if len(cells) < len(columns):
        raise DataError(
            f"{table}, row {number}: has {len(cells)} cells, and the header {len(columns)} columns; it ends before "
            f"{columns[len(cells)]!r}"
        )
    return TableRow(table=table, number=number, cells={c: t for c, t in zip(columns, cells, strict=True) if c})
