"""Charts from plain data: Plotly for the screen, matplotlib for print. No Streamlit, no torch, no global state.

Screen figures leave colours of text, grid and paper to the theme of the page, so that they suit light and dark alike.
Print figures are drawn with ``matplotlib.figure.Figure`` itself: ``pyplot`` keeps one list of figures for all threads.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from plotly.subplots import make_subplots

from birdcore.config import ClassName
from birdcore.errors import ConfigError
from birdcore.events import Event
from birdcore.features.spectrogram import Picture, Spectrum

__all__ = [
    "COLOR_SCALES",
    "Lane",
    "color_limits",
    "comparison_figure",
    "encode_figure",
    "frequency_ticks",
    "print_heat_map",
    "print_picture",
    "print_spectrum",
    "print_waveform",
    "ranking_figure",
    "scores_figure",
    "sound_figure",
    "spectrum_figure",
    "timelines_figure",
]

COLOR_SCALES = ("magma", "viridis", "cividis", "inferno", "greys")
"""Colour maps of even lightness: equal steps in dB look like equal steps, also in grey and to colour-blind eyes."""

NEUTRAL = "#8A8F8C"  # visible on both paper and night backgrounds
WAVE = "#2E8B74"
BOX = "#56B4E9"  # of an event whose species has no colour of its own

_LANE_PIXELS, _TITLE_PIXELS = 30, 44
_TIMELINE_COLUMNS = 1000
_MATPLOTLIB_SCALES = {"greys": "gray_r"}
_NUM_STOPS = 33
_TICKS_HZ = {
    "linear": None,
    "mel": (0, 500, 1000, 2000, 3000, 4000, 6000, 8000, 12000, 16000, 24000, 32000, 48000),
    "log": (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000),
}
_MILLIMETRES_PER_INCH = 25.4


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One row of a timeline: a name, its colour, and spans of (onset, offset, confidence), seconds and in [0, 1]."""

    label: str
    color: str
    spans: tuple[tuple[float, float, float], ...]


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


def scores_figure(top: Sequence[tuple[ClassName, float]], *, threshold: float, colors: Mapping[str, str]) -> go.Figure:
    """Horizontal bars of the best species, the best on top, with the threshold as a line.

    Parameters
    ----------
    top : class and score in [0, 1], best first
    threshold : score from which on a species counts as present
    colors : species code → colour; bars below the threshold are grey
    """
    names = [name for name, _ in top]
    scores = [score for _, score in top]
    figure = go.Figure(
        go.Bar(
            x=scores,
            y=[f"{name.common}<br><i>{name.scientific}</i>" for name in names],
            orientation="h",
            width=0.62,
            marker={
                "color": [colors.get(n.code, NEUTRAL) if s >= threshold else NEUTRAL for n, s in top],
                "opacity": [1.0 if score >= threshold else 0.45 for score in scores],
                "cornerradius": 3,
            },
            text=[f"{score:.2f}" for score in scores],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    )
    figure.add_vline(x=threshold, line={"dash": "dot", "width": 1.5, "color": NEUTRAL})
    figure.add_annotation(
        x=threshold,
        y=1.0,
        yref="paper",
        yanchor="bottom",
        text=f"threshold {threshold:.2f}",
        showarrow=False,
        font={"size": 12, "color": NEUTRAL},
    )
    figure.update_xaxes(
        title="Score (0 to 1)", range=[0, 1.14], tickvals=[0, 0.25, 0.5, 0.75, 1], zeroline=False, fixedrange=True
    )
    figure.update_yaxes(autorange="reversed", automargin=True, fixedrange=True)
    return _lay_out(figure, height=90 + 48 * max(1, len(top)), top=24)


def ranking_figure(top: Sequence[tuple[ClassName, float]], *, threshold: float, colors: Mapping[str, str]) -> go.Figure:
    """As :func:`scores_figure`, for narrow columns: each name stands above its bar, which has the whole width."""
    figure = go.Figure(
        go.Bar(
            x=[score for _, score in top],
            y=list(range(len(top))),
            orientation="h",
            width=0.34,
            offset=0.08,
            marker={
                "color": [colors.get(n.code, NEUTRAL) if s >= threshold else NEUTRAL for n, s in top],
                "opacity": [1.0 if score >= threshold else 0.45 for _, score in top],
                "cornerradius": 3,
            },
            text=[f"{score:.2f}" for _, score in top],
            textposition="outside",
            cliponaxis=False,
            customdata=[f"{name.common}<br><i>{name.scientific}</i>" for name, _ in top],
            hovertemplate="%{customdata}: %{x:.3f}<extra></extra>",
        )
    )
    for position, (name, _) in enumerate(top):
        # The threshold crosses the bars alone: a line from top to bottom would strike out long names.
        figure.add_shape(
            type="line",
            x0=threshold,
            x1=threshold,
            y0=position + 0.02,
            y1=position + 0.48,
            line={"dash": "dot", "width": 1.5, "color": NEUTRAL},
        )
        figure.add_annotation(
            x=0, y=position - 0.14, text=name.common, showarrow=False, xanchor="left", xshift=-4, font={"size": 13}
        )
    figure.update_xaxes(
        title=f"Score, threshold {threshold:.2f}",
        range=[0, 1.16],
        tickvals=[0, 0.5, 1],
        zeroline=False,
        fixedrange=True,
        tickangle=0,
    )
    figure.update_yaxes(range=[len(top) - 0.4, -0.5], visible=False, fixedrange=True)
    return _lay_out(figure, height=64 + 46 * max(1, len(top)), top=0)


def sound_figure(
    low: np.ndarray,
    high: np.ndarray,
    *,
    duration: float,
    pictures: Mapping[str, Picture],
    range_db: float,
    color_scale: str,
    onset: float = 0.0,
) -> go.Figure:
    """A waveform and pictures of the same sound, one below the other on one time axis: zooming one zooms all.

    Parameters
    ----------
    low, high : shape (num_columns,), the waveform's least and greatest amplitude in equal time steps
    duration : seconds
    pictures : title → picture, from top to bottom
    range_db : dB between the darkest and the brightest colour
    color_scale : one of ``COLOR_SCALES``
    onset : seconds from the start of the recording to the start of the sound
    """
    heights = [90] + [130 if picture.frequency_scale is None else 230 for picture in pictures.values()]
    titles = ["Waveform", *pictures]
    figure = make_subplots(
        rows=len(titles),
        cols=1,
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=48 / sum(heights) / 1.25,
        subplot_titles=titles,
    )
    times = onset + (np.arange(len(low)) + 0.5) * duration / len(low)
    _add_wave(figure, times, low, high)
    figure.update_yaxes(title="Amplitude", row=1, col=1, zeroline=True)
    total = sum(heights) + 56 * len(titles)
    for row, picture in enumerate(pictures.values(), start=2):
        domain = figure.get_subplot(row, 1).yaxis.domain
        bar = {"y": sum(domain) / 2, "len": (domain[1] - domain[0]) * total, "lenmode": "pixels"}
        _add_picture(figure, row, picture, onset=onset, range_db=range_db, color_scale=color_scale, bar=bar)
    figure.update_xaxes(range=[onset, onset + duration], constrain="domain")
    figure.update_xaxes(title="Time (s)", row=len(titles), col=1)
    figure.update_annotations(x=0, xanchor="left", font={"size": 14})
    return _lay_out(figure, height=total, top=32)


def comparison_figure(
    before: Picture, after: Picture, *, range_db: float, color_scale: str, titles: tuple[str, str], onset: float = 0.0
) -> go.Figure:
    """Two spectrograms, before above after, on one time axis and one colour scale: what went is seen to be gone.

    Parameters
    ----------
    before, after : of one frequency axis and unit
    range_db, color_scale, onset : as for :func:`sound_figure`
    titles : of the two
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.14, subplot_titles=list(titles))
    limits = color_limits(before, range_db=range_db)
    bar = {"y": 0.5, "len": 1.0, "lenmode": "fraction"}
    _add_picture(figure, 1, before, onset=onset, color_scale=color_scale, limits=limits, bar=bar)
    _add_picture(figure, 2, after, onset=onset, color_scale=color_scale, limits=limits, bar=None)
    figure.update_yaxes(matches="y")
    figure.update_xaxes(title="Time (s)", row=2, col=1)
    figure.update_annotations(x=0, xanchor="left", font={"size": 14})
    return _lay_out(figure, height=500, top=32)


def spectrum_figure(spectrum: Spectrum) -> go.Figure:
    """Average and greatest power density over frequency."""
    figure = go.Figure()
    for values, name, width in ((spectrum.loudest, "loudest moment", 1.0), (spectrum.average, "average", 2.0)):
        figure.add_scatter(
            x=spectrum.frequencies / 1000,
            y=values,
            name=name,
            mode="lines",
            line={"width": width, "color": NEUTRAL if width == 1.0 else WAVE},
            hovertemplate="%{x:.2f} kHz: %{y:.0f} dB<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="Frequency (kHz)")
    figure.update_yaxes(title="Power density (dB re FS²/Hz)")
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "traceorder": "reversed"})
    return _lay_out(figure, height=320, top=32)


def timelines_figure(timelines: Mapping[str, Sequence[Lane]], *, duration: float) -> go.Figure:
    """Several timelines of one recording, one below the other on one time axis: zooming one zooms all.

    Parameters
    ----------
    timelines : title → lanes, from top to bottom; without lanes it says that there is nothing
    duration : seconds of the recording
    """
    heights = [max(1, len(lanes)) for lanes in timelines.values()]
    total = sum(_LANE_PIXELS * height for height in heights) + _TITLE_PIXELS * len(heights) + 24
    figure = make_subplots(
        rows=len(timelines),
        cols=1,
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=_TITLE_PIXELS / total,
        subplot_titles=list(timelines),
    )
    for row, lanes in enumerate(timelines.values(), start=1):
        for position, lane in enumerate(lanes):
            spans = _merged(lane.spans, column=duration / _TIMELINE_COLUMNS)
            figure.add_bar(
                base=[onset for onset, _, _ in spans],
                # Short calls stay visible in long recordings.
                x=[max(offset - onset, duration / 400) for onset, offset, _ in spans],
                y=[position] * len(spans),
                orientation="h",
                width=0.6,
                marker={
                    "color": lane.color,
                    "opacity": [0.4 + 0.6 * confidence for _, _, confidence in spans],
                    "line": {"width": 0},
                },
                customdata=[(onset, offset, confidence) for onset, offset, confidence in spans],
                hovertemplate=f"{lane.label}, %{{customdata[0]:.2f}} to %{{customdata[1]:.2f}} s: "
                "%{customdata[2]:.2f}<extra></extra>",
                showlegend=False,
                row=row,
                col=1,
            )
        if not lanes:
            # An axis without a trace is not drawn at all.
            figure.add_scatter(x=[0], y=[0], mode="markers", marker={"opacity": 0}, hoverinfo="skip", row=row, col=1)
            axis = figure.get_subplot(row, 1).yaxis
            figure.add_annotation(
                text="nothing reaches the threshold",
                x=0.0,
                xref="x domain",
                xanchor="left",
                y=sum(axis.domain) / 2,
                yref="paper",
                showarrow=False,
                font={"size": 12, "color": NEUTRAL},
            )
        figure.update_yaxes(
            tickvals=list(range(len(lanes))),
            ticktext=[lane.label for lane in lanes],
            range=[max(1, len(lanes)) - 0.5, -0.5],
            automargin=True,
            fixedrange=True,
            zeroline=False,
            showgrid=False,
            row=row,
            col=1,
        )
    figure.update_xaxes(range=[0, duration], zeroline=False)
    figure.update_xaxes(title="Time (s)", row=len(timelines), col=1)
    figure.update_annotations(selector={"yanchor": "bottom"}, x=0, xanchor="left", font={"size": 14})
    figure.update_layout(barmode="overlay")
    return _lay_out(figure, height=total + 30, top=32)


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
    picture, range_db, color_scale, onset : as for :func:`sound_figure`
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
        cmap=_MATPLOTLIB_SCALES.get(color_scale, color_scale),
        vmin=low,
        vmax=high,
        extent=(start, stop, -0.5, num_rows - 0.5),
    )
    positions, tick_labels = frequency_ticks(picture)
    axes.set_yticks(positions, tick_labels)
    axes.set(
        title=title, xlabel="Time (s)", ylabel=_row_title(picture), xlim=(start, stop), ylim=(-0.5, num_rows - 0.5)
    )
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label(_unit_title(picture), size=9)
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
    """A waveform for print, 180 mm wide; parameters as for :func:`sound_figure`."""
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


def _lay_out(figure: go.Figure, *, height: int, top: int) -> go.Figure:
    return figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": top, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=figure.layout.legend.orientation is not None,
        dragmode="zoom",
    )


def _add_wave(figure: go.Figure, times: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    line = {"color": WAVE, "width": 1}
    times = np.asarray(times, dtype=np.float32)
    figure.add_scatter(
        x=times, y=np.float32(low), mode="lines", line=line, hoverinfo="skip", showlegend=False, row=1, col=1
    )
    figure.add_scatter(
        x=times,
        y=np.float32(high),
        mode="lines",
        line=line,
        fill="tonexty",
        fillcolor=WAVE,
        hovertemplate="%{x:.2f} s<extra></extra>",
        showlegend=False,
        row=1,
        col=1,
    )


def _add_picture(
    figure: go.Figure,
    row: int,
    picture: Picture,
    *,
    onset: float,
    color_scale: str,
    bar: dict[str, Any] | None,
    range_db: float = 0.0,
    limits: tuple[float, float] | None = None,
) -> None:
    low, high = limits or color_limits(picture, range_db=range_db)
    values = picture.values
    if picture.unit == "dBFS":
        # Whole decibels in one byte each: a quarter of the bytes to the browser, and no eye sees the difference.
        values = np.clip(np.rint(values), -128, 0).astype(np.int8)
    coefficients = picture.frequency_scale is None
    figure.add_heatmap(
        z=values,
        x=onset + picture.times,
        y=[f"coefficient {row:.0f}" if coefficients else f"{row:.0f} Hz" for row in picture.rows],
        zmin=low,
        zmax=high,
        colorscale=_color_stops(color_scale),
        showscale=bar is not None,
        colorbar={"title": {"text": _unit_title(picture), "side": "right"}, "thickness": 8, "xpad": 2, **(bar or {})},
        hovertemplate="%{x:.2f} s, %{y}: %{z:.1f}<extra></extra>",
        row=row,
        col=1,
    )
    positions, labels = frequency_ticks(picture)
    figure.update_yaxes(
        title={"text": _row_title(picture), "standoff": 4},
        type="category",
        tickmode="array",
        tickvals=positions,
        ticktext=labels,
        showgrid=False,
        row=row,
        col=1,
    )


def _color_stops(color_scale: str) -> list[tuple[float, str]]:
    """The very colours that print figures use.

    Written as rgb(): Streamlit takes hex colours from #000001 to #000036 for places to put its theme's colours, and the
    named colour maps begin with one.
    """
    steps = np.linspace(0, 1, _NUM_STOPS)
    colors = np.rint(colormaps[_MATPLOTLIB_SCALES.get(color_scale, color_scale)](steps)[:, :3] * 255).astype(int)
    return [(float(step), f"rgb({r},{g},{b})") for step, (r, g, b) in zip(steps, colors.tolist(), strict=True)]


def _row_title(picture: Picture) -> str:
    return "Coefficient" if picture.frequency_scale is None else "Frequency (kHz)"


def _unit_title(picture: Picture) -> str:
    if picture.unit:
        return f"Level ({picture.unit})"
    return "Value" if picture.frequency_scale is None else "PCEN (no unit)"


def _merged(spans: Sequence[tuple[float, float, float]], *, column: float) -> list[tuple[float, float, float]]:
    """Spans by onset; those that a screen cannot show apart become one, with the highest confidence."""
    merged: list[tuple[float, float, float]] = []
    for onset, offset, confidence in sorted(spans):
        if merged and onset - merged[-1][1] < column and merged[-1][1] - merged[-1][0] < column:
            first, last, before = merged[-1]
            merged[-1] = (first, max(last, offset), max(before, confidence))
        else:
            merged.append((onset, offset, confidence))
    return merged


def _round_step(width: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above the width."""
    power = 10.0 ** np.floor(np.log10(width))
    return float(power * max(factor for factor in (1, 2, 5) if factor * power <= width * (1 + 1e-9)))
