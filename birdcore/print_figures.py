"""Figures for print, drawn by matplotlib, 180 mm wide; as PNG or SVG. No Streamlit, no torch.

They are drawn with ``matplotlib.figure.Figure`` itself: ``pyplot`` keeps one list of figures for all threads.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from birdcore.errors import ConfigError
from birdcore.events import Event
from birdcore.features.spectrogram import Picture, Spectrum
from birdcore.picture_axes import (
    NEUTRAL,
    WAVE,
    color_limits,
    color_map,
    frequency_ticks,
    row_title,
    unit_title,
)

__all__ = ["encode_figure", "print_heat_map", "print_picture", "print_spectrum", "print_waveform"]

BOX = "#56B4E9"  # of an event whose species has no colour of its own

_MILLIMETRES_PER_INCH = 25.4


def print_picture(
    picture: Picture,
    *,
    range_db: float,
    color_scale: str,
    title: str,
    onset: float = 0.0,
    events: Sequence[Event] = (),
    colors: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """A picture for print, 180 mm wide, optionally with the boxes of events.

    Parameters
    ----------
    picture, range_db, color_scale, onset : as for :func:`birdcore.figures.sound_figure`
    title : above it
    events : drawn as boxes where they have a band, over the full height where not; times as in the recording
    colors, labels : species code → colour of its boxes, and text at them
    """
    figure, axes = _page(height_mm=80)
    low, high = color_limits(picture, range_db=range_db)
    step = picture.times[1] - picture.times[0] if len(picture.times) > 1 else 1.0
    start, stop = onset + picture.times[0] - step / 2, onset + picture.times[-1] + step / 2
    num_rows = len(picture.rows)
    image = axes.imshow(
        picture.values,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=color_map(color_scale),
        vmin=low,
        vmax=high,
        extent=(start, stop, -0.5, num_rows - 0.5),
    )
    positions, tick_labels = frequency_ticks(picture)
    axes.set_yticks(positions, tick_labels)
    axes.set(title=title, xlabel="Time (s)", ylabel=row_title(picture), xlim=(start, stop), ylim=(-0.5, num_rows - 0.5))
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label(unit_title(picture), size=9)
    bar.ax.tick_params(labelsize=8)
    for event in events:
        band = (picture.rows[0], picture.rows[-1]) if event.fmin is None else (event.fmin, event.fmax)
        bottom, top = np.interp(band, picture.rows, np.arange(num_rows))
        color = (colors or {}).get(event.label, BOX)
        axes.add_patch(
            Rectangle((event.onset, bottom), event.duration, top - bottom, fill=False, edgecolor=color, linewidth=1.2)
        )
        text = (labels or {}).get(event.label, event.label)
        axes.annotate(
            text,
            (max(event.onset, start), top),
            xytext=(1, 1.5),
            textcoords="offset points",
            fontsize=6.5,
            color=color,
            clip_on=True,
        )
    return figure


def print_heat_map(
    cells: Sequence[Sequence[float]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    row_title: str,
    column_title: str,
    value_title: str,
    title: str,
) -> Figure:
    """A table of values as colours for print, 180 mm wide, each value written into its cell.

    Parameters
    ----------
    cells : shape (len(rows), len(columns)); nan is left empty
    rows, columns : what stands at the axes, the first row on top
    row_title, column_title, value_title, title : of the axes, the colours and the whole
    """
    values = np.asarray(cells, dtype=np.float64)
    figure, axes = _page(height_mm=max(60, 22 + 14 * len(rows)))
    image = axes.imshow(values, aspect="auto", cmap="cividis")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(title=title, xlabel=column_title, ylabel=row_title)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label(value_title, size=9)
    bar.ax.tick_params(labelsize=8)
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            color = "black" if image.norm(value) > 0.55 else "white"  # cividis is dark below, light above
            axes.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize=8, color=color)
    return figure


def print_waveform(low: np.ndarray, high: np.ndarray, *, duration: float, title: str, onset: float = 0.0) -> Figure:
    """A waveform for print, 180 mm wide; parameters as for :func:`birdcore.figures.sound_figure`."""
    figure, axes = _page(height_mm=45)
    times = onset + (np.arange(len(low)) + 0.5) * duration / len(low)
    axes.fill_between(times, low, high, color=WAVE, linewidth=0.4)
    axes.set(title=title, xlabel="Time (s)", ylabel="Amplitude (1 = full scale)", xlim=(onset, onset + duration))
    return figure


def print_spectrum(spectrum: Spectrum, *, title: str) -> Figure:
    """An average spectrum for print, 180 mm wide."""
    figure, axes = _page(height_mm=70)
    axes.plot(spectrum.frequencies / 1000, spectrum.loudest, color=NEUTRAL, linewidth=0.7, label="loudest moment")
    axes.plot(spectrum.frequencies / 1000, spectrum.average, color=WAVE, linewidth=1.3, label="average")
    axes.set(title=title, xlabel="Frequency (kHz)", ylabel="Power density (dB re FS²/Hz)")
    axes.set_xlim(spectrum.frequencies[0] / 1000, spectrum.frequencies[-1] / 1000)
    axes.legend(frameon=False)
    return figure


def encode_figure(figure: Figure, file_format: Literal["png", "svg"]) -> bytes:
    """A print figure as a file: PNG at 300 dpi, or SVG with the picture embedded and everything else as outlines.

    Raises
    ------
    ConfigError
        If the format is neither.
    """
    if file_format not in ("png", "svg"):
        raise ConfigError(f"file format {file_format!r}: must be 'png' or 'svg'")
    buffer = io.BytesIO()
    # The date would make two identical figures differ.
    metadata = {"Date": None} if file_format == "svg" else None
    figure.savefig(buffer, format=file_format, dpi=300, metadata=metadata)
    return buffer.getvalue()


def _page(*, height_mm: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(180 / _MILLIMETRES_PER_INCH, height_mm / _MILLIMETRES_PER_INCH), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_size(9)
    axes.yaxis.label.set_size(9)
    axes.title.set_size(10)
    return figure, axes
