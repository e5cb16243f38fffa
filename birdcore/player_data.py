"""What the sound viewer in ``birdcore/player/`` is given: plain JSON-able arguments, made from arrays.

The viewer is a Streamlit component (protocol v1: static files in an own frame). One call shows it::

    player = streamlit.components.v1.declare_component("player", path=str(PLAYER_FOLDER))
    value = player(**sound_arguments(...), **mark_arguments(...), key="player", default=None)

Always pass the same ``key``: with it Streamlit keeps the frame, and zoom, position and display settings stay when only
events or the heat map change. A page that reruns often caches the costly half, :func:`sound_arguments`.

``value`` is None until the user acts, then a dictionary:

- ``serial``: a number that grows with every action; a value whose serial was handled before is an old one, seen again
  by a rerun
- ``event_id``: id of the selected event, or None
- ``selection``: ``[onset, offset]`` in seconds of the recording (of the selected event, or dragged), or None
- ``page_request``: seconds of the recording, outside this page, at which the user wants to look, or None

A frame of its own (v1) is chosen over ``st.components.v2``: the app's single-letter shortcuts ("r", "c") do not reach
into a frame, nor do the viewer's keys reach out of it, and its files stay separate ES modules and a worker, where v2
wants one string of script or an installed package.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from birdcore.errors import DataError, ShapeError
from birdcore.events import Event

__all__ = [
    "MAX_COLUMNS",
    "MAX_ROWS",
    "PLAYER_FOLDER",
    "HeatMap",
    "event_mark",
    "mark_arguments",
    "overview_lanes",
    "sound_arguments",
    "species_palette",
]

PLAYER_FOLDER = Path(__file__).resolve().parent / "player"
"""The folder to declare as a Streamlit component."""

MAX_COLUMNS = 2000
MAX_ROWS = 256
MAX_LANES = 8
"""Species with a lane of their own in the overview strip."""

# Okabe and Ito's colours for colour-blind readers, the ones with most contrast on a dark spectrogram first.
_PALETTE = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2", "#999999")
_COLORMAPS = ("magma", "viridis", "cividis", "gray", "gray_r")
_LANE_COLUMNS = 1200  # two neighbours at most are a span and a gap: 600 spans
_EVENT_FIELDS = ("id", "label", "common_name", "onset", "offset", "fmin", "fmax", "confidence")
# An 8-bit level is then less than half a decibel, finer than the eye tells colours apart.
_DYNAMIC_RANGE = 120.0
_DISPLAY_RANGE = 70.0
_NARROWEST_RANGE = 10.0


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """Where one species is heard in time and frequency, to be laid over the spectrogram.

    Parameters
    ----------
    label, common_name : the species
    probability : shape (num_bands, num_frames), in [0, 1]; lowest band first
    frequencies : shape (num_bands + 1,), Hz, ascending: the edges of the bands
    onset, offset : seconds of the recording that the frames cover
    """

    label: str
    common_name: str
    probability: np.ndarray
    frequencies: np.ndarray
    onset: float
    offset: float


def sound_arguments(
    *,
    sound_key: str,
    audio_url_or_data: str | bytes | None,
    mime: str,
    duration: float,
    envelope: tuple[np.ndarray, np.ndarray],
    spectrogram_db: np.ndarray,
    frequencies: np.ndarray,
    name: str = "",
    page_onset: float = 0.0,
    total_duration: float | None = None,
    overview: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
    """The half of the arguments that stays while a threshold moves: sound, waveform, spectrogram, overview.

    Parameters
    ----------
    sound_key : tells one sound (one page of a recording) from another. With the same key zoom and position stay, also
        when audio or spectrogram are exchanged (before/after a clean-up); with a new key the viewer starts afresh
    audio_url_or_data : the page's sound as encoded bytes, as a ``data:`` URL, or as a URL (Streamlit's ``/media/…`` or
        http); None shows the pictures without a player. Its first sample is at ``page_onset``
    mime : type of the bytes, e.g. ``"audio/mpeg"``; not used for URLs
    duration : seconds of this page, above 0
    envelope : (low, high), each of shape (num_columns,), in [-1, 1]: smallest and largest sample of each column
    spectrogram_db : shape (num_rows, num_columns), dB; lowest frequency first,
        columns spread evenly over the page. More than 256 rows or 2000 columns are reduced by maximum, which keeps
        short and narrow calls visible
    frequencies : shape (num_rows + 1,), Hz, ascending: the edges of the rows. Rows are drawn equally tall, so mel bands
        make a mel axis, and equally spaced bands a linear one
    name : what the user calls the sound (a file name)
    page_onset : seconds of the recording at which the page begins
    total_duration : seconds of the whole recording; None where the page is the whole recording
    overview : envelope of the whole recording; None where the page is the whole recording

    Returns
    -------
    keyword arguments of the component, all JSON-able

    Raises
    ------
    ShapeError
        If the arrays do not fit each other.
    DataError
        If the page is empty or lies outside the recording, or a level is not finite.
    """
    total = page_onset + duration if total_duration is None else total_duration
    # Durations of a file and of its decoded page may differ by a frame of the codec.
    if duration <= 0 or page_onset < 0 or page_onset + duration > total + 0.5:
        raise DataError(
            f"page from {page_onset} s, {duration} s long, of a recording of {total} s: "
            "must be above 0 s long and lie inside the recording"
        )
    waveform = _encode_envelope(envelope, name="envelope")
    return {
        "sound_key": sound_key,
        "name": name,
        "audio": _encode_audio(audio_url_or_data, mime=mime),
        "duration": float(duration),
        "page_onset": float(page_onset),
        "total_duration": float(max(total, page_onset + duration)),
        "envelope": waveform,
        "overview": waveform if overview is None else _encode_envelope(overview, name="overview"),
        "spectrogram": _encode_spectrogram(spectrogram_db, frequencies=frequencies),
        "colormap": _COLORMAPS[0],
        "colormaps": _encoded_colormaps(),
    }


def mark_arguments(
    *,
    events: Sequence[Mapping[str, Any]] = (),
    palette: Mapping[str, str] | None = None,
    heat: HeatMap | None = None,
    overview_events: Iterable[tuple[float, float, str]] = (),
    lanes: Sequence[Mapping[str, Any]] = (),
    command: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The half of the arguments that changes often: events, heat map, command.

    Parameters
    ----------
    events : events of this page, each with ``id`` (int or str, the same event keeping the same id), ``label``,
        ``common_name``, ``onset``, ``offset`` (seconds of the recording), ``fmin``, ``fmax`` (Hz, or both None) and
        ``confidence``
    palette : label → ``"#rrggbb"`` for any number of species; its order is the order of the timeline's lanes, of which
        there is one for each species with an event. None, or a label it lacks: colours in order of appearance
    heat : time-frequency probability of one species, or None
    overview_events : (onset, offset, label) of all events of the recording, marked in the overview strip
    lanes : from :func:`overview_lanes`: the strip shows them instead of those marks
    command : None, or ``{"id": …, "action": "play", "onset": …, "offset": …, "event_id": …}``: plays that stretch, once
        per id (``event_id`` is optional and selects the event). The id must be one never used before, e.g.
        ``uuid.uuid4().hex``

    Returns
    -------
    keyword arguments of the component, all JSON-able

    Raises
    ------
    DataError
        If an event lacks a field, ids repeat, or the command is not one that the viewer knows.
    ShapeError
        If the heat map's arrays do not fit each other.
    """
    rows = [_encode_event(event) for event in events]
    if len({row["id"] for row in rows}) < len(rows):
        raise DataError("events: two of them have the same id; number them, e.g. with enumerate")
    names = {row["label"]: row["common_name"] for row in rows}
    overview_rows = [(float(onset), float(offset), str(label)) for onset, offset, label in overview_events]
    given = palette or {}
    in_lanes = (lane["label"] for lane in lanes if lane["label"] is not None)
    used = [*names, *(label for _, _, label in overview_rows), *in_lanes, *([heat.label] if heat else [])]
    colors = {**species_palette([*given, *used]), **given}
    return {
        "events": rows,
        "species": [
            {"label": label, "common_name": names[label], "color": color}
            for label, color in colors.items()
            if label in names
        ],
        "colors": {label: colors[label] for label in dict.fromkeys(used)},
        "overview_events": overview_rows,
        "lanes": list(lanes),
        "heat": None if heat is None else _encode_heat(heat, color=colors[heat.label]),
        "command": None if command is None else _encode_command(command),
    }


def event_mark(event: Event, *, identity: int | str, common_name: str) -> dict[str, Any]:
    """An event as :func:`mark_arguments` takes it.

    Parameters
    ----------
    event : times in seconds of the recording
    identity : the same event keeps the same one
    common_name : of its species
    """
    return {"id": identity, "common_name": common_name, **asdict(event)}


def overview_lanes(
    events: Iterable[tuple[float, float, str]],
    *,
    duration: float,
    common_names: Mapping[str, str],
    palette: Mapping[str, str],
) -> list[dict[str, Any]]:
    """A timeline (species × time) of a whole recording, small enough to be sent with every change.

    The species with most events get a lane each, in the palette's order; all others share the last one. Events of a
    lane that lie closer together than the strip could show are one span: a night of ten thousand calls has no more
    than 600 in each lane.

    Parameters
    ----------
    events : (onset, offset, label) of all events, in seconds of the recording
    duration : seconds of the recording, above 0
    common_names : label → name, of every label
    palette : label → ``"#rrggbb"``, of every label; see :func:`species_palette`

    Returns
    -------
    lanes with ``label`` (None: several species), ``common_name``, ``color`` (None: several species), ``count`` (of
    events) and ``spans``: [onset, offset] in seconds, ascending and apart
    """
    by_label: dict[str, list[tuple[float, float]]] = {}
    for onset, offset, label in events:
        by_label.setdefault(label, []).append((onset, offset))
    order = {label: place for place, label in enumerate(palette)}
    ranked = sorted(by_label, key=lambda label: (-len(by_label[label]), order[label]))
    lanes = [
        {
            "label": label,
            "common_name": common_names[label],
            "color": palette[label],
            "count": len(by_label[label]),
            "spans": _merged(by_label[label], duration),
        }
        for label in sorted(ranked[:MAX_LANES], key=order.__getitem__)
    ]
    others = ranked[MAX_LANES:]
    if others:
        rest = [span for label in others for span in by_label[label]]
        name = f"{len(others)} more species"
        spans = _merged(rest, duration)
        lanes.append({"label": None, "common_name": name, "color": None, "count": len(rest), "spans": spans})
    return lanes


def _merged(spans: Sequence[tuple[float, float]], duration: float) -> list[list[float]]:
    """The union of spans, on the columns of a lane."""
    columns = np.asarray(spans, dtype=np.float64) * (_LANE_COLUMNS / duration)
    first = np.clip(np.floor(columns[:, 0]), 0, _LANE_COLUMNS - 1).astype(int)
    last = np.clip(np.ceil(columns[:, 1]), first + 1, _LANE_COLUMNS).astype(int)
    steps = np.zeros(_LANE_COLUMNS + 2, dtype=int)
    np.add.at(steps, first + 1, 1)
    np.add.at(steps, last + 1, -1)
    borders = np.flatnonzero(np.diff(np.cumsum(steps) > 0))
    return [[round(float(edge), 2) for edge in pair] for pair in borders.reshape(-1, 2) * (duration / _LANE_COLUMNS)]


def species_palette(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each species, told apart by colour-blind readers too.

    Give the labels in an order that does not depend on the threshold (the model's ranking for the recording), so that
    no species changes its colour when the threshold moves. There are eight colours; after that they repeat, and
    position and label tell species apart.

    Returns
    -------
    label → ``"#rrggbb"``, in the order given

    Source
    ------
    Okabe and Ito (2008), "Color universal design".
    """
    return dict(zip(dict.fromkeys(labels), itertools.cycle(_PALETTE), strict=False))


def _encode_audio(audio: str | bytes | None, *, mime: str) -> dict[str, str] | None:
    if audio is None:
        return None
    url = audio if isinstance(audio, str) else f"data:{mime};base64,{base64.b64encode(audio).decode('ascii')}"
    # The viewer compares digests, not megabytes, to see whether anything changed.
    return {"key": _digest(url.encode()), "url": url}


def _encode_envelope(envelope: tuple[np.ndarray, np.ndarray], *, name: str) -> dict[str, Any]:
    low, high = (np.asarray(side, dtype=np.float64) for side in envelope)
    if low.ndim != 1 or low.shape != high.shape or low.size == 0:
        raise ShapeError(f"{name}: shapes {low.shape} and {high.shape}, expected twice (num_columns,), not empty")
    low, high = _pool(low, MAX_COLUMNS, np.minimum), _pool(high, MAX_COLUMNS, np.maximum)
    peak = max(float(np.abs(low).max()), float(np.abs(high).max()), 1e-6)
    sides = [np.round(side / peak * 32767).astype("<i2").tobytes() for side in (low, high)]
    return {
        "key": _digest(*sides, repr(peak).encode()),
        "peak": peak,
        "low": base64.b64encode(sides[0]).decode("ascii"),
        "high": base64.b64encode(sides[1]).decode("ascii"),
    }


def _encode_spectrogram(spectrogram_db: np.ndarray, *, frequencies: np.ndarray) -> dict[str, Any]:
    levels = np.asarray(spectrogram_db, dtype=np.float64)
    edges = _checked_edges(frequencies, levels, name="spectrogram_db")
    levels, edges = _pool_rows(levels, edges)
    levels = np.ascontiguousarray(_pool(levels.T, MAX_COLUMNS, np.maximum).T)
    if not np.isfinite(levels).all():
        raise DataError("spectrogram_db: holds NaN or infinite levels; take the logarithm of power + a small offset")
    highest = float(levels.max())
    lowest = max(float(levels.min()), highest - _DYNAMIC_RANGE)
    # Digital silence needs a scale too.
    highest = max(highest, lowest + _NARROWEST_RANGE)
    scaled = np.clip(np.round((levels - lowest) / (highest - lowest) * 255), 0, 255).astype(np.uint8)
    png = _encode_png(scaled[::-1])
    return {
        "key": _digest(png, repr((lowest, highest)).encode(), edges.tobytes()),
        "png": png.decode("ascii"),
        "frequencies": [round(float(edge), 3) for edge in edges],
        "levels": [lowest, highest],
        "shown": [max(lowest, highest - _DISPLAY_RANGE), highest],
    }


def _encode_heat(heat: HeatMap, *, color: str) -> dict[str, Any]:
    probability = np.asarray(heat.probability, dtype=np.float64)
    edges = _checked_edges(heat.frequencies, probability, name="heat map")
    probability = _pool(probability.T, MAX_COLUMNS, np.maximum).T
    png = _encode_png(np.round(np.clip(np.nan_to_num(probability[::-1]), 0, 1) * 255).astype(np.uint8))
    return {
        "key": _digest(png, repr((heat.label, heat.onset, heat.offset, color)).encode()),
        "label": heat.label,
        "common_name": heat.common_name,
        "color": color,
        "png": png.decode("ascii"),
        "frequencies": [round(float(edge), 3) for edge in edges],
        "onset": float(heat.onset),
        "offset": float(heat.offset),
    }


def _encode_event(event: Mapping[str, Any]) -> dict[str, Any]:
    missing = [field for field in _EVENT_FIELDS if field not in event]
    if missing:
        raise DataError(f"event {dict(event)!r}: lacks {', '.join(missing)}")
    identity = event["id"] if isinstance(event["id"], str) else int(event["id"])
    numbers = {field: event[field] for field in ("onset", "offset", "fmin", "fmax", "confidence")}
    return {
        "id": identity,
        "label": str(event["label"]),
        "common_name": str(event["common_name"]),
        # NumPy's numbers are not JSON; an absent frequency may come as NaN from a table.
        **{
            field: None if number is None or np.isnan(number) else round(float(number), 6)
            for field, number in numbers.items()
        },
    }


def _encode_command(command: Mapping[str, Any]) -> dict[str, Any]:
    if command.get("action") != "play" or not {"id", "onset", "offset"} <= command.keys():
        raise DataError(f"command {dict(command)!r}: must have id, onset, offset and the action 'play'")
    return {
        "id": str(command["id"]),
        "action": "play",
        "onset": float(command["onset"]),
        "offset": float(command["offset"]),
        "event_id": command.get("event_id"),
    }


def _checked_edges(frequencies: np.ndarray, picture: np.ndarray, *, name: str) -> np.ndarray:
    edges = np.asarray(frequencies, dtype=np.float64)
    if picture.ndim != 2 or picture.size == 0:
        raise ShapeError(f"{name}: shape {picture.shape}, expected (num_rows, num_columns), not empty")
    if edges.shape != (picture.shape[0] + 1,) or not (np.diff(edges) > 0).all():
        raise ShapeError(
            f"{name}: frequencies of shape {edges.shape} for {picture.shape[0]} rows; "
            f"expected the {picture.shape[0] + 1} ascending edges of the rows, in Hz"
        )
    return edges


def _pool(values: np.ndarray, length: int, reduce: np.ufunc) -> np.ndarray:
    """At most ``length`` groups along the first axis, each reduced to one value."""
    if len(values) <= length:
        return values
    return reduce.reduceat(values, _group_starts(len(values), length), axis=0)


def _pool_rows(levels: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(levels) <= MAX_ROWS:
        return levels, edges
    starts = _group_starts(len(levels), MAX_ROWS)
    return np.maximum.reduceat(levels, starts, axis=0), np.append(edges[starts], edges[-1])


def _group_starts(length: int, num_groups: int) -> np.ndarray:
    return np.arange(num_groups) * length // num_groups


def _encode_png(picture: np.ndarray) -> bytes:
    from PIL import Image  # slow to import, and pages without a viewer do not need it

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=4)
    return base64.b64encode(buffer.getvalue())


@functools.cache
def _encoded_colormaps() -> dict[str, str]:
    """Colour map → base64 of 256 RGB triples, the very ones that figures are drawn with."""
    from matplotlib import colormaps  # slow to import, and pages without a viewer do not need it

    steps = np.linspace(0, 1, 256)
    return {
        name: base64.b64encode(np.round(colormaps[name](steps)[:, :3] * 255).astype(np.uint8).tobytes()).decode("ascii")
        for name in _COLORMAPS
    }


def _digest(*parts: bytes) -> str:
    return hashlib.sha1(b"\0".join(parts), usedforsecurity=False).hexdigest()
