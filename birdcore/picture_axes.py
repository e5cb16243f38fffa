"""Axes and colours of pictures of sound, the same on the screen and in print."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap

from birdcore.features.spectrogram import Picture

__all__ = [
    "COLOR_SCALES",
    "NEUTRAL",
    "WAVE",
    "color_limits",
    "color_map",
    "frequency_ticks",
    "row_title",
    "unit_title",
]

COLOR_SCALES = ("magma", "viridis", "cividis", "inferno", "greys")
"""Colour maps of even lightness: equal steps in dB look like equal steps, also in grey and to colour-blind eyes."""

NEUTRAL = "#8A8F8C"  # visible on both paper and night backgrounds
WAVE = "#2E8B74"

_MATPLOTLIB_SCALES = {"greys": "gray_r"}
_TICKS_HZ = {
    "linear": None,
    "mel": (0, 500, 1000, 2000, 3000, 4000, 6000, 8000, 12000, 16000, 24000, 32000, 48000),
    "log": (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000),
}


def frequency_ticks(picture: Picture) -> tuple[list[float], list[str]]:
    """Round frequencies on the row axis of a picture.

    Returns
    -------
    positions : fractions of a row; 0 is the middle of the lowest
    labels : in kHz; numbers of coefficients
    """
    rows = picture.rows
    if picture.frequency_scale is None:
        values = [float(row) for row in rows[:: max(1, len(rows) // 5)]]
        return values, [f"{value:.0f}" for value in values]
    nominal = _TICKS_HZ[picture.frequency_scale]
    if nominal is None:
        step = _round_step((rows[-1] - rows[0]) / 6)
        nominal = np.arange(np.floor(rows[0] / step) * step, rows[-1] + step, step)
    slack = (rows[1] - rows[0]) / 2  # an axis from 0 Hz has its lowest row half a row above
    values = [float(value) for value in nominal if rows[0] - slack <= value <= rows[-1] + slack]
    return list(np.interp(values, rows, np.arange(len(rows)))), [f"{value / 1000:g}" for value in values]


def color_limits(picture: Picture, *, range_db: float) -> tuple[float, float]:
    """Values at the ends of the colour map: ``range_db`` below the loudest point, or the bulk of unitless values."""
    if picture.unit == "dBFS":
        high = float(picture.values.max())
        return high - range_db, high
    values = picture.values[1:] if picture.frequency_scale is None else picture.values  # coefficient 0 is mere level
    low, high = (float(value) for value in np.percentile(values, (1, 99.5)))
    return low, max(high, low + 1e-3)


def color_map(color_scale: str) -> Colormap:
    """The colours of one of ``COLOR_SCALES``, from the lowest value to the highest."""
    return colormaps[_MATPLOTLIB_SCALES.get(color_scale, color_scale)]


def row_title(picture: Picture) -> str:
    """What stands beside the rows of a picture."""
    return "Coefficient" if picture.frequency_scale is None else "Frequency (kHz)"


def unit_title(picture: Picture) -> str:
    """What stands beside the colours of a picture."""
    if picture.unit:
        return f"Level ({picture.unit})"
    return "Value" if picture.frequency_scale is None else "PCEN (no unit)"


def _round_step(width: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above the width."""
    power = 10.0 ** np.floor(np.log10(width))
    return float(power * max(factor for factor in (1, 2, 5) if factor * power <= width * (1 + 1e-9)))
