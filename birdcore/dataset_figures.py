"""Charts of a data set, from plain data: how much there is of what, and how it sounds.

Colours are Okabe and Ito's, safe for colour-blind eyes and visible on paper and night backgrounds; text, grid and paper
are left to the theme of the page, as in :mod:`birdcore.figures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from birdcore.events import Event
from birdcore.picture_axes import NEUTRAL

__all__ = [
    "MOST_BARS",
    "NamedCounts",
    "band_figure",
    "chorus_figure",
    "count_figure",
    "histogram_figure",
    "share_figure",
    "simultaneous_seconds",
]

MOST_BARS = 50
"""Species drawn with a bar and a name each; of more species all are drawn as one falling curve."""

# Blue and orange are told apart by every kind of colour vision, also beside grey.
PARTS = ("#3A8FC7", "#E69F00", NEUTRAL, "#CC79A7")
BAR_PIXELS = 22
NUM_BINS = 30


@dataclass(frozen=True, kw_only=True)
class NamedCounts:
    """A number per species, in parts.

    Parameters
    ----------
    names : of the species
    parts : title of a part (such as a split) → number for each species
    """

    names: Sequence[str]
    parts: Mapping[str, Sequence[float]]

    def falling(self) -> NamedCounts:
        """The same, largest sum first."""
        totals = np.sum([list(values) for values in self.parts.values()], axis=0)
        order = np.argsort(-totals, kind="stable")
        return NamedCounts(
            names=[self.names[i] for i in order],
            parts={title: [values[i] for i in order] for title, values in self.parts.items()},
        )


def count_figure(counts: NamedCounts, *, title: str, unit: str) -> go.Figure:
    """How much there is of each species, the most frequent first.

    Up to ``MOST_BARS`` species get a bar with their name; of more, the whole range is drawn as columns by rank, on a
    logarithmic axis, with the names under the pointer.

    Parameters
    ----------
    counts : one number per species and part
    title : of the axis of numbers, e.g. "Recordings"
    unit : behind each number under the pointer, e.g. "recordings"
    """
    counts = counts.falling()
    many = len(counts.names) > MOST_BARS
    figure = go.Figure()
    for (part, values), color in zip(counts.parts.items(), PARTS, strict=False):
        place = f"%{{{'customdata' if many else 'y'}}}"
        figure.add_bar(
            x=list(range(1, len(values) + 1)) if many else list(values),
            y=list(values) if many else list(counts.names),
            customdata=list(counts.names),
            orientation="v" if many else "h",
            name=part,
            marker={"color": color, "line": {"width": 0}},
            hovertemplate=f"{place}: %{{{'y' if many else 'x'}:,.4g}} {unit}<extra>{part}</extra>",
        )
    figure.update_layout(barmode="stack", bargap=0 if many else 0.3)
    if many:
        figure.update_xaxes(title="Species, by rank", fixedrange=True)
        figure.update_yaxes(title=title, fixedrange=True)
        if len(counts.parts) == 1:  # lengths of stacked parts mean nothing on a logarithmic axis
            figure.update_yaxes(type="log", tickmode="array", tickvals=[f * 10**p for p in range(7) for f in (1, 2, 5)])
        return _lay_out(figure, height=320)
    return _name_rows(figure, title=title, num_rows=len(counts.names))


def share_figure(counts: Mapping[str, float], *, title: str, others: str = "others") -> go.Figure:
    """Bars of what a data set is made of (sources, licences, sample rates …), the largest first.

    Parameters
    ----------
    counts : name → number; beyond 12 names the rest is drawn as one bar
    title : of the axis of numbers
    others : name of that bar
    """
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    if len(ranked) > 12:
        rest = ranked[11:]
        ranked = [*ranked[:11], (f"{len(rest)} {others}", sum(value for _, value in rest))]
    total = sum(counts.values()) or 1
    figure = go.Figure(
        go.Bar(
            x=[value for _, value in ranked],
            y=list(range(len(ranked))),  # numbers, as shortened names may be alike and would share a bar
            customdata=[[name, value / total] for name, value in ranked],
            orientation="h",
            marker={"color": PARTS[0], "line": {"width": 0}},
            text=[f"{value:,.0f}" for _, value in ranked],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{customdata[0]}: %{x:,.0f} (%{customdata[1]:.1%})<extra></extra>",
        )
    )
    figure.update_layout(bargap=0.3)
    _name_rows(figure, title=title, num_rows=len(ranked))
    figure.update_xaxes(range=[0, 1.18 * max([value for _, value in ranked], default=1)])  # room for the numbers
    return figure.update_yaxes(
        dtick=None, tickmode="array", tickvals=list(range(len(ranked))), ticktext=[_shortened(n) for n, _ in ranked]
    )


def histogram_figure(values: Sequence[float], *, title: str, count_title: str) -> go.Figure:
    """How values are spread; values of very different size get a logarithmic axis.

    Parameters
    ----------
    values : finite numbers above 0, at least one
    title : of their axis, with the unit
    count_title : of the axis of numbers
    """
    low, high = float(np.min(values)), float(np.max(values))
    logarithmic = high > 50 * low
    if high <= low:
        low, high = low * 0.9, high * 1.1
    scale = np.log10 if logarithmic else np.asarray
    numbers, edges = np.histogram(scale(values), bins=NUM_BINS, range=(scale(low), scale(high)))
    borders = 10.0**edges if logarithmic else edges
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=numbers,
            width=np.diff(edges) * 0.94,
            customdata=np.column_stack([borders[:-1], borders[1:]]),
            marker={"color": PARTS[0], "line": {"width": 0}},
            hovertemplate="%{customdata[0]:.3g} to %{customdata[1]:.3g}: %{y:,}<extra></extra>",
        )
    )
    figure.update_xaxes(title=title, fixedrange=True)
    if logarithmic:
        # Logarithms on an even axis: on Plotly's own logarithmic axis bars have no width to speak of.
        figure.update_xaxes(tickmode="array", **_round_ticks(low, high))
    figure.update_yaxes(title=count_title, fixedrange=True)
    return _lay_out(figure, height=260)


def band_figure(bands: Mapping[str, Sequence[tuple[float, float]]]) -> go.Figure:
    """Where species sing: the middle half of their boxes' lower and upper edges, and the whole reach behind it.

    Parameters
    ----------
    bands : species → (fmin, fmax) in Hz of each box, at least one; beyond ``MOST_BARS`` species those with most boxes
    """
    chosen = sorted(bands, key=lambda name: -len(bands[name]))[:MOST_BARS]
    chosen.sort(key=lambda name: float(np.median(np.mean(bands[name], axis=1))))
    figure = go.Figure()
    rows = {name: np.asarray(bands[name], dtype=float) / 1000 for name in chosen}
    reach = [(float(np.percentile(b[:, 0], 5)), float(np.percentile(b[:, 1], 95))) for b in rows.values()]
    middle = [tuple(np.median(b, axis=0).tolist()) for b in rows.values()]
    for title, spans, width, opacity in (("5th to 95th percentile", reach, 0.28, 0.55), ("median box", middle, 0.7, 1)):
        figure.add_bar(
            x=[high - low for low, high in spans],
            base=[low for low, _ in spans],
            y=chosen,
            orientation="h",
            width=width,
            name=title,
            marker={"color": PARTS[0], "opacity": opacity, "line": {"width": 0}},
            customdata=[[low, high, len(rows[name])] for name, (low, high) in zip(chosen, spans, strict=True)],
            hovertemplate="%{y}: %{customdata[0]:.2f} to %{customdata[1]:.2f} kHz in %{customdata[2]} boxes"
            f"<extra>{title}</extra>",
        )
    figure.update_layout(barmode="overlay")
    _name_rows(figure, title="Frequency (kHz)", num_rows=len(chosen))
    return figure.update_yaxes(autorange=True)  # the lowest voice at the bottom


def simultaneous_seconds(recordings: Sequence[Sequence[Event]]) -> dict[int, float]:
    """How long how many boxes lie over each other.

    Parameters
    ----------
    recordings : the boxes of each recording

    Returns
    -------
    number of boxes at a time, from 1 up → seconds, over all recordings
    """
    seconds: dict[int, float] = {}
    for events in recordings:
        changes = sorted([(event.onset, 1) for event in events] + [(event.offset, -1) for event in events])
        level, since = 0, 0.0
        for time, change in changes:
            if level:
                seconds[level] = seconds.get(level, 0.0) + time - since
            level, since = level + change, time
    return {level: seconds[level] for level in sorted(seconds) if seconds[level] > 0}


def chorus_figure(seconds: Mapping[int, float]) -> go.Figure:
    """How many birds sing at once.

    Parameters
    ----------
    seconds : see :func:`simultaneous_seconds`
    """
    total = sum(seconds.values()) or 1.0
    figure = go.Figure(
        go.Bar(
            x=list(seconds),
            y=list(seconds.values()),
            marker={"color": PARTS[0], "line": {"width": 0}},
            text=[f"{value / total:.0%}" for value in seconds.values()],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{x} at once: %{y:,.1f} s<extra></extra>",
        )
    )
    figure.update_layout(bargap=0.3)
    figure.update_xaxes(title="Boxes at the same time", dtick=max(1, len(seconds) // 12), fixedrange=True)
    figure.update_yaxes(title="Time (s)", fixedrange=True)
    return _lay_out(figure, height=260)


def _name_rows(figure: go.Figure, *, title: str, num_rows: int) -> go.Figure:
    figure.update_xaxes(title=title, fixedrange=True)
    # dtick: with little room Plotly would leave out every other name.
    figure.update_yaxes(autorange="reversed", automargin=True, fixedrange=True, dtick=1, tickfont={"size": 12})
    return _lay_out(figure, height=90 + BAR_PIXELS * max(2, num_rows))


def _lay_out(figure: go.Figure, *, height: int) -> go.Figure:
    several = len(figure.data) > 1
    return figure.update_layout(
        height=height,
        margin={"l": 8, "r": 16, "t": 32 if several else 16, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=several,
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "traceorder": "normal"},
        dragmode=False,
    )


def _shortened(name: str) -> str:
    """A name of at most 32 letters; its end is kept, as that is where names of one collection differ."""
    return name if len(name) <= 32 else f"{name[:19]}…{name[-12:]}"


def _round_ticks(low: float, high: float) -> dict[str, list]:
    """Ticks at 1, 2 and 5 times powers of ten, for an axis of logarithms."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values = [factor * 10.0**power for power in decades for factor in (1, 2, 5)]
    inside = [value for value in values if low <= value * 1.001 and value <= high * 1.001]
    return {"tickvals": np.log10(inside).tolist(), "ticktext": [f"{value:g}" for value in inside]}
