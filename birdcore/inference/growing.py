"""An array that grows at its end while a long recording is being read."""

from __future__ import annotations

import numpy as np

__all__ = ["GrowingArray"]

FIRST_ROWS = 1024
GROWTH = 1.5


class GrowingArray:
    """Rows that arrive in blocks, kept in one piece.

    A list of the blocks would take the same memory at first, but thousands of small arrays between the large ones that
    come and go leave gaps that nothing else fits into, and joining them holds everything twice.

    Parameters
    ----------
    row_shape : shape of a row
    dtype : of what is kept; blocks are converted
    """

    def __init__(self, row_shape: tuple[int, ...], dtype: type) -> None:
        self._rows = np.empty((FIRST_ROWS, *row_shape), dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, block: np.ndarray) -> None:
        """Add rows, shape (num_rows, *row_shape)."""
        end = self._count + len(block)
        if end > len(self._rows):
            larger = np.empty((max(end, int(len(self._rows) * GROWTH)), *self._rows.shape[1:]), self._rows.dtype)
            larger[: self._count] = self._rows[: self._count]
            self._rows = larger
        self._rows[self._count : end] = block
        self._count = end

    def rows(self, count: int | None = None) -> np.ndarray:
        """The rows so far, or the first of them; not a copy."""
        return self._rows[: self._count if count is None else min(count, self._count)]
