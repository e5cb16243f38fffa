"""Charts from plain data for the screen, drawn by Plotly: scores, sound, timelines. No Streamlit, no torch.

Colours of text, grid and paper are left to the theme of the page, so that charts suit light and dark alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from birdcore.config import ClassName
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

__all__ = [
    "Lane",
    "comparison_figure",
    "ranking_figure",
    "scores_figure",
    "sound_figure",
    "spectrum_figure",
    "timelines_figure",
]

_LANE_PIXELS, _TITLE_PIXELS = 30, 44
_TIMELINE_COLUMNS = 1000
_NUM_STOPS = 33


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One row of a timeline: a name, its colour, and spans of (onset, offset, confidence), seconds and in [0, 1]."""

    label: str
    color: str
    spans: tuple[tuple[float, float, float], ...]


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
        colorbar={"title": {"text": unit_title(picture), "side": "right"}, "thickness": 8, "xpad": 2, **(bar or {})},
        hovertemplate="%{x:.2f} s, %{y}: %{z:.1f}<extra></extra>",
        row=row,
        col=1,
    )
    positions, labels = frequency_ticks(picture)
    figure.update_yaxes(
        title={"text": row_title(picture), "standoff": 4},
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
    colors = np.rint(color_map(color_scale)(steps)[:, :3] * 255).astype(int)
    return [(float(step), f"rgb({r},{g},{b})") for step, (r, g, b) in zip(steps, colors.tolist(), strict=True)]


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
