"""Charts of training runs for the screen, from plain data. No Streamlit, no torch.

Colours of text, grid and paper are left to the theme of the page, as in :mod:`birdcore.figures`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from birdcore.errors import ConfigError, ShapeError
from birdcore.picture_axes import NEUTRAL

__all__ = [
    "Curve",
    "confusion_figure",
    "curves_figure",
    "precision_recall_figure",
    "reliability_figure",
    "smooth",
    "thin_out",
]

MAX_POINTS = 500
"""Points of a curve that are sent to the browser: more than a chart has pixels to tell apart."""

MOST_POINTS_IN_ALL = 20_000
"""Points of all curves of a chart together; a hundred curves have fewer each."""

MOST_IN_LEGEND = 12

FEW_EPOCHS = 10
"""So many epochs are all labelled."""

MOST_DECADES = 5
"""So many decades of a logarithmic axis are all labelled."""

# Okabe and Ito's colours, the blue a little lighter: it must be seen on paper and at night. Then the same, dashed.
_COLORS = ("#2B8CC4", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", NEUTRAL)
_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A figure over epochs.

    Parameters
    ----------
    name : what the legend calls it
    epochs, values : of one length; None where not measured
    number : chooses the colour; curves of one run have one number in every chart
    """

    name: str
    epochs: Sequence[int]
    values: Sequence[float | None]
    number: int = 0


def thin_out(x: np.ndarray, y: np.ndarray, *, max_points: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """A curve in few points that looks as before: of each stretch its lowest and highest point stay, and both ends.

    Parameters
    ----------
    x, y : shape (num_points,), in drawing order
    max_points : as many points are left at most; at least 4

    Raises
    ------
    ShapeError
        If the two differ in length.
    ConfigError
        If max_points is below 4.
    """
    x, y = np.asarray(x), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ShapeError(f"x has shape {x.shape} and y {y.shape}; both must be (num_points,)")
    if max_points < 4:
        raise ConfigError(f"max_points = {max_points}: must be at least 4")
    if len(x) <= max_points:
        return x, y
    edges = np.linspace(1, len(x) - 1, (max_points - 2) // 2 + 1).astype(int)
    kept = [0, len(x) - 1]
    for start, stop in itertools.pairwise(edges):
        kept += [start + int(y[start:stop].argmin()), start + int(y[start:stop].argmax())]
    kept = sorted(set(kept))
    return x[kept], y[kept]


def smooth(values: Sequence[float], *, weight: float) -> np.ndarray:
    """Exponential moving average without the pull of a made-up start.

    Parameters
    ----------
    values : shape (num_points,)
    weight : share of the past in each point, 0 (nothing is smoothed) to below 1

    Raises
    ------
    ConfigError
        If the weight is out of range.

    Source
    ------
    Kingma and Ba (2015), "Adam", section 3, for the correction of the bias of the first points.
    """
    if not 0 <= weight < 1:
        raise ConfigError(f"weight = {weight}: must be at least 0 and below 1")
    smoothed, average, share = np.empty(len(values)), 0.0, 0.0
    for number, value in enumerate(values):
        average = weight * average + (1 - weight) * value
        share = weight * share + (1 - weight)
        smoothed[number] = average / share
    return smoothed


def curves_figure(
    curves: Sequence[Curve],
    *,
    title: str,
    smoothing: float = 0.0,
    logarithmic: bool = False,
    share: bool = False,
    height: int = 260,
) -> go.Figure:
    """Curves over epochs. What was measured is always drawn; the smoothed curve comes on top of it.

    Parameters
    ----------
    curves : what to draw; those without a value are left out
    title : of the vertical axis, with its unit
    smoothing : weight for :func:`smooth`; 0 draws none
    logarithmic : vertical axis
    share : the values lie between 0 and 1, and so does the axis
    height : pixels
    """
    drawn = [curve for curve in curves if any(value is not None for value in curve.values)]
    max_points = max(50, min(MAX_POINTS, MOST_POINTS_IN_ALL // max(1, len(drawn))))
    figure = go.Figure()
    for curve in drawn:
        pairs = [(epoch, value) for epoch, value in zip(curve.epochs, curve.values, strict=True) if value is not None]
        epochs, values = (np.array(column) for column in zip(*pairs, strict=True))
        line = {"color": _COLORS[curve.number % len(_COLORS)], "dash": _dash(curve.number)}
        x, y = thin_out(epochs, values, max_points=max_points)
        _add_line(figure, curve, x, y, line=line | {"width": 1 if smoothing else 1.8}, opacity=0.55 if smoothing else 1)
        if smoothing:
            x, y = thin_out(epochs, smooth(values, weight=smoothing), max_points=max_points)
            _add_line(figure, curve, x, y, line=line | {"width": 2.5}, suffix=", smoothed")
    figure.update_xaxes(title="Epoch", rangemode="tozero", zeroline=False)
    if max((epoch for curve in drawn for epoch in curve.epochs), default=0) <= FEW_EPOCHS:
        figure.update_xaxes(dtick=1)  # or there would be halves of an epoch
    if share:
        figure.update_yaxes(autorangeoptions={"clipmin": -0.02, "clipmax": 1.02})
    figure.update_yaxes(title=title, type="log" if logarithmic else "linear", zeroline=False)
    if logarithmic:
        values = [value for curve in drawn for value in curve.values if value]
        decades = np.log10(max(values) / min(values)) if values else 0.0
        # Of few decades also 2 and 5, which Plotly would write as these digits alone; of many, every second or third.
        figure.update_yaxes(dtick="D2" if decades < 2 else int(np.ceil(decades / MOST_DECADES)), tickformat=".0e")
    named = 1 < len(drawn) <= MOST_IN_LEGEND or bool(smoothing and drawn and len(drawn) <= MOST_IN_LEGEND)
    return _lay_out(figure, height=height, legend=named)


def _add_line(
    figure: go.Figure,
    curve: Curve,
    x: np.ndarray,
    y: np.ndarray,
    *,
    line: dict[str, Any],
    opacity: float = 1.0,
    suffix: str = "",
) -> None:
    name = _plotly_text(f"{curve.name}{suffix}")
    figure.add_scatter(
        x=x,
        y=y,
        name=name,
        # A single epoch has no line, and few epochs are found more easily with a mark each.
        mode="lines+markers" if len(x) <= 30 and not suffix else "lines",
        line=line,
        marker={"size": 5},
        opacity=opacity,
        legendgroup=curve.name,
        hovertemplate=f"epoch %{{x}}: %{{y:.4g}}<extra>{name}</extra>",
    )


def _dash(number: int) -> str:
    return _DASHES[number // len(_COLORS) % len(_DASHES)]


def precision_recall_figure(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float]]],
) -> go.Figure:
    """Precision over recall.

    Parameters
    ----------
    curves : name → recall, precision and thresholds (all in [0, 1]), in order of falling threshold
    """
    figure = go.Figure()
    for number, (name, (recall, precision, thresholds)) in enumerate(curves.items()):
        label = _plotly_text(name)
        figure.add_scatter(
            x=list(recall),
            y=list(precision),
            customdata=list(thresholds),
            name=label,
            mode="lines+markers" if len(recall) < 3 else "lines",
            line={"color": _COLORS[number % len(_COLORS)], "width": 2, "shape": "hv"},
            hovertemplate="threshold %{customdata:.2f}: precision %{y:.2f}, recall %{x:.2f}"
            f"<extra>{label}</extra>",
        )
    figure.update_xaxes(title="Recall", range=[0, 1.02], zeroline=False)
    figure.update_yaxes(title="Precision", range=[0, 1.04], zeroline=False)
    return _lay_out(figure, height=320, legend=len(curves) > 1)


def reliability_figure(bins: Sequence[Mapping[str, Any]]) -> go.Figure:
    """How often what is said with a confidence is right, beside the diagonal on which the two are equal.

    Parameters
    ----------
    bins : low, high, count, confidence and frequency of each (the last two None where it is empty)
    """
    filled = [one for one in bins if one["count"]]
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": NEUTRAL, "dash": "dot", "width": 1.5}, hoverinfo="skip"
    )
    figure.add_bar(
        x=[(one["low"] + one["high"]) / 2 for one in filled],
        y=[one["frequency"] for one in filled],
        width=[0.94 * (one["high"] - one["low"]) for one in filled],
        marker={"color": _COLORS[0], "opacity": 0.35},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[one["confidence"] for one in filled],
        y=[one["frequency"] for one in filled],
        customdata=[one["count"] for one in filled],
        mode="lines+markers",
        line={"color": _COLORS[0], "width": 2},
        marker={"size": 7},
        hovertemplate="said with %{x:.2f}, right in %{y:.2f} of %{customdata:,} cases<extra></extra>",
    )
    figure.update_xaxes(title="Score", range=[0, 1.02], zeroline=False)
    figure.update_yaxes(title="Share that is right", range=[0, 1.04], zeroline=False)
    return _lay_out(figure, height=320, legend=False)


def confusion_figure(counts: np.ndarray, *, names: Sequence[str]) -> go.Figure:
    """What is taken for what: rows are right classes, columns what they were taken for; colours by share of the row.

    Parameters
    ----------
    counts : shape (num_classes, num_classes)
    names : length num_classes

    Raises
    ------
    ShapeError
        If there are not as many names as rows and columns.
    """
    values = np.asarray(counts, dtype=np.float64)
    if values.shape != (len(names), len(names)):
        raise ShapeError(f"counts have shape {values.shape} for {len(names)} names; they must be a square of that size")
    totals = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, totals, out=np.full_like(values, np.nan), where=totals > 0)
    # Invisible spaces keep two classes with one common name apart.
    labels = [_plotly_text(name) + "\u200b" * list(names[:number]).count(name) for number, name in enumerate(names)]
    figure = go.Figure(
        go.Heatmap(
            z=np.where(shares > 0, shares, np.nan),
            x=labels,
            y=labels,
            zmin=0,
            zmax=1,
            colorscale=[(0, "rgb(170,205,228)"), (1, "rgb(0,114,178)")],
            showscale=False,
            xgap=1,
            ygap=1,
            text=[[f"{int(count)}" if count else "" for count in row] for row in values],
            texttemplate="%{text}",
            textfont={"size": 11},
            hovertemplate="%{y}<br>taken for %{x}: %{text} (%{z:.0%})<extra></extra>",
            hoverongaps=False,
        )
    )
    # Categories leave out labels where a narrow screen has no room for all; ticks of our own would overlap.
    figure.update_xaxes(title="Taken for", type="category", tickangle=-60, showgrid=False, automargin=True)
    figure.update_yaxes(title="Right", type="category", autorange="reversed", showgrid=False, automargin=True)
    return _lay_out(figure, height=220 + 24 * len(names), legend=False)


def _plotly_text(text: str) -> str:
    """A text from outside in a chart: Plotly takes some HTML tags, and none are meant."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lay_out(figure: go.Figure, *, height: int, legend: bool) -> go.Figure:
    return figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        dragmode="zoom",
        uirevision="kept",  # a zoom outlives the next epoch
    )
