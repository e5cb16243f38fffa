"""The sound viewer on a page: what it is shown, and what it asks for."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import streamlit.components.v1 as components
from streamlit.runtime import get_instance

from birdcore.audio.decode import load_audio, probe_audio
from birdcore.audio.encode import encode_preview
from birdcore.audio.envelope import envelope, file_envelope
from birdcore.events import Event
from birdcore.features.spectrogram import MAX_COLUMNS, DisplayConfig, display_spectrogram
from birdcore.player_data import (
    PLAYER_FOLDER,
    HeatMap,
    event_mark,
    mark_arguments,
    overview_lanes,
    sound_arguments,
    species_palette,
)
from birdcore.webapp.analysis import Analysis, page_scores
from birdcore.webapp.models import listening
from birdcore.webapp.recordings import ChosenRecording
from birdcore.webapp.wording import clock

__all__ = [
    "PAGE_SECONDS",
    "PageSound",
    "choose_page",
    "draw_page",
    "page_edges",
    "play_event",
    "playback_rate",
    "show_player",
    "show_viewer",
    "species_colors",
]

PAGE_SECONDS = 300.0
OVERVIEW_COLUMNS = 1000

_N_FFT = 1024
_PLAYER, _COMMAND = "player", "player_command"


@dataclass(frozen=True, kw_only=True)
class PageSound:
    """A sound of at most one page, ready for the browser.

    Parameters
    ----------
    audio, mime : encoded sound and its type
    duration : seconds
    envelope : least and greatest sample of each column
    levels : shape (num_rows, num_columns), dBFS
    edges : shape (num_rows + 1,), Hz
    """

    audio: bytes
    mime: str
    duration: float
    envelope: tuple[np.ndarray, np.ndarray]
    levels: np.ndarray
    edges: np.ndarray


def playback_rate(sample_rate: int) -> int:
    """A rate in Hz that every browser plays, for a sound of any; what lies above 24 kHz is no bird."""
    return 48_000 if sample_rate > 32_000 else 32_000


def draw_page(samples: np.ndarray, sample_rate: int) -> PageSound:
    """Draw and encode a sound of at most one page.

    Parameters
    ----------
    samples : shape (num_samples,), in [-1, 1]
    sample_rate : Hz
    """
    # About one frame per column of the picture, but never so far apart that a short call falls between two.
    hop_length = min(max(_N_FFT // 8, len(samples) // MAX_COLUMNS), _N_FFT // 2)
    config = DisplayConfig(n_fft=_N_FFT, hop_length=hop_length, n_mels=192, fmin=50.0, fmax=sample_rate / 2)
    picture = display_spectrogram(samples, sample_rate, config=config)
    audio, mime = encode_preview(samples, sample_rate)
    return PageSound(
        audio=audio,
        mime=mime,
        duration=len(samples) / sample_rate,
        envelope=envelope(samples, min(MAX_COLUMNS, len(samples))),
        levels=picture.values,
        edges=picture.edges,
    )


def show_viewer(
    sound: PageSound,
    *,
    sound_key: str,
    name: str,
    key: str,
    page_onset: float = 0.0,
    total_duration: float | None = None,
    overview: tuple[np.ndarray, np.ndarray] | None = None,
    marks: Mapping[str, Any] | None = None,
    on_change: Callable[[], None] | None = None,
) -> None:
    """Show the sound viewer.

    Parameters
    ----------
    sound : what it shows and plays
    sound_key : with the same key zoom and position stay when the sound is exchanged
    name : what the user calls the sound
    key : of the component in the session state
    page_onset, total_duration, overview : where a page lies in its recording; see ``sound_arguments``
    marks : see ``mark_arguments``
    on_change : called when the viewer was used
    """
    # A URL instead of the sound itself: the arguments are sent to the browser anew whenever an event changes.
    url = get_instance().media_file_mgr.add(sound.audio, sound.mime, coordinates=f"viewer-{key}")
    arguments = _encoded(url, sound_key, name, page_onset, total_duration, sound, overview)
    viewer = components.declare_component("birdcore_player", path=str(PLAYER_FOLDER))
    viewer(**arguments, **(marks or mark_arguments()), key=key, default=None, on_change=on_change)


# The URL is made from what is in the sound; arguments with a leading underscore are no part of the key.
@st.cache_resource(max_entries=12, show_spinner=False)
def _encoded(
    url: str,
    sound_key: str,
    name: str,
    page_onset: float,
    total_duration: float | None,
    _sound: PageSound,
    _overview: tuple[np.ndarray, np.ndarray] | None,
) -> dict[str, Any]:
    return sound_arguments(
        sound_key=sound_key,
        audio_url_or_data=url,
        mime=_sound.mime,
        duration=_sound.duration,
        envelope=_sound.envelope,
        spectrogram_db=_sound.levels,
        frequencies=_sound.edges,
        name=name,
        page_onset=page_onset,
        total_duration=total_duration,
        overview=_overview,
    )


def species_colors(analysis: Analysis) -> dict[str, str]:
    """Species code → colour. By rank in the recording, so that no species changes colour when the threshold moves."""
    return species_palette(name.code for name, _ in analysis.scores.top(len(analysis.scores.class_names)))


def page_edges(duration: float) -> list[float]:
    """Borders in seconds of the pages that a recording is shown in: equally long, and at most ``PAGE_SECONDS``."""
    num_pages = max(1, math.ceil(duration / PAGE_SECONDS))
    return [duration * page / num_pages for page in range(num_pages)] + [duration]


def choose_page(recording: ChosenRecording, duration: float) -> tuple[float, float]:
    """Let the user turn the pages of a long recording.

    Returns
    -------
    onset, offset : seconds
    """
    edges = page_edges(duration)
    if len(edges) == 2:
        return edges[0], edges[1]
    turns, default = st.session_state.get(_turns_key(recording), (0, 1))
    with st.container(horizontal=True, vertical_alignment="center"):
        # A widget takes a page from outside as its first value only: each turn from outside makes a new one.
        key = f"page-{recording.key[:16]}-{turns}"
        page = st.pagination(len(edges) - 1, default=default, key=key, persist_state="session")
        st.caption(f"{clock(edges[page - 1])} to {clock(edges[page])} of {clock(duration)}")
    return edges[page - 1], edges[page]


def _turns_key(recording: ChosenRecording) -> str:
    return f"turns-{recording.key[:16]}"


def _turn_to(recording: ChosenRecording, duration: float, seconds: float) -> None:
    """Turn to the page that holds a time."""
    edges = page_edges(duration)
    page = int(np.searchsorted(edges, seconds, side="right"))
    turns, _ = st.session_state.get(_turns_key(recording), (0, 1))
    st.session_state[_turns_key(recording)] = (turns + 1, min(max(page, 1), len(edges) - 1))


def _event_id(event: Event) -> str:
    """What stays the same when the threshold adds and removes other events: selections hold on to it."""
    return f"{event.label}@{event.onset:.6f}"


def play_event(recording: ChosenRecording, duration: float, event: Event) -> None:
    """Have the viewer play just one event, on the page where it is."""
    if len(page_edges(duration)) > 2:
        _turn_to(recording, duration, event.onset)
    st.session_state[_COMMAND] = {
        "id": uuid.uuid4().hex,
        "action": "play",
        "onset": event.onset,
        "offset": event.offset,
        "event_id": _event_id(event),
    }


def show_player(
    recording: ChosenRecording, analysis: Analysis, *, page: tuple[float, float], heat_species: str | None
) -> None:
    """Show one page of a recording with its events.

    Parameters
    ----------
    page : onset and offset of the page in seconds
    heat_species : code of the species whose time-frequency scores are laid over the spectrogram

    Raises
    ------
    AudioError
        If the recording cannot be read.
    """
    onset, offset = page
    duration = analysis.scores.duration
    sound = _page_sound(str(recording.path), recording.key, onset, offset)
    names = {name.code: name.common for name in analysis.scores.class_names}
    colors = species_colors(analysis)
    whole = len(page_edges(duration)) == 2
    marks = mark_arguments(
        events=[
            event_mark(event, identity=_event_id(event), common_name=names[event.label])
            for event in analysis.events
            if event.onset < offset and event.offset > onset
        ],
        palette=colors,
        heat=_heat_map(recording, analysis, heat_species, onset, offset) if heat_species else None,
        overview_events=_overview_marks(analysis.events, duration) if whole else (),
        lanes=() if whole else _overview_lanes(analysis, names, colors),
        command=st.session_state.get(_COMMAND),
    )
    show_viewer(
        sound,
        sound_key=f"{recording.key}-{onset:g}",
        name=recording.name,
        key=_PLAYER,
        page_onset=onset,
        total_duration=duration,
        overview=None if whole else _whole_envelope(str(recording.path), recording.key),
        marks=marks,
        on_change=lambda: _follow(recording, duration),
    )


def _overview_marks(events: Sequence[Event], duration: float) -> list[tuple[float, float, str]]:
    """Events for the overview strip, on its own columns: a night of ten thousand calls is sent as the strip shows it."""
    column = duration / OVERVIEW_COLUMNS
    spans = {(int(event.onset / column), math.ceil(event.offset / column), event.label) for event in events}
    return [(first * column, last * column, label) for first, last, label in sorted(spans)]


def _overview_lanes(
    analysis: Analysis, common_names: Mapping[str, str], colors: Mapping[str, str]
) -> list[dict[str, Any]]:
    """When each species is heard in the whole of a recording that is longer than a page."""
    return overview_lanes(
        ((event.onset, event.offset, event.label) for event in analysis.events),
        duration=analysis.scores.duration,
        common_names=common_names,
        palette=colors,
    )


def _follow(recording: ChosenRecording, duration: float) -> None:
    """Turn the page where the viewer asks for it."""
    value: Mapping[str, Any] | None = st.session_state.get(_PLAYER)
    if value and value.get("page_request") is not None:
        _turn_to(recording, duration, value["page_request"])


def _heat_map(recording: ChosenRecording, analysis: Analysis, code: str, onset: float, offset: float) -> HeatMap | None:
    scores, begin = analysis.scores, 0.0
    if scores.bands is None:
        # A long recording keeps no map: the page is listened to again, from a window earlier, as its edges were.
        chosen = listening()
        if chosen is None:
            return None
        begin = max(0.0, onset - chosen.weights.config.window_seconds)
        with st.spinner("Drawing the heat map …"):
            scores = page_scores(recording, chosen, onset=begin, offset=offset)
    column = scores.codes.index(code)
    first = int((onset - begin) / scores.frame_seconds)
    last = min(len(scores.bands), math.ceil((offset - begin) / scores.frame_seconds))
    return HeatMap(
        label=code,
        common_name=scores.class_names[column].common,
        probability=scores.bands[first:last, :, column].T.astype(np.float32),
        frequencies=scores.band_edges,
        onset=begin + first * scores.frame_seconds,
        offset=begin + last * scores.frame_seconds,
    )


@st.cache_resource(max_entries=12, show_spinner="Drawing the sound …")
def _page_sound(path: str, key: str, onset: float, offset: float) -> PageSound:
    """Decode and draw one page; key tells the contents of a path from other contents."""
    rate = playback_rate(probe_audio(path).sample_rate)
    return draw_page(load_audio(path, sample_rate=rate, onset=onset, duration=offset - onset).samples, rate)


@st.cache_resource(max_entries=32, show_spinner="Drawing the whole recording …")
def _whole_envelope(path: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    low, high, _ = file_envelope(path, OVERVIEW_COLUMNS)
    return low, high
