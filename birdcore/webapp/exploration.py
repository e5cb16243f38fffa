"""Looking at sound itself: any stretch of a recording, drawn with the viewer's own settings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
import streamlit as st

from birdcore.audio.decode import AudioInfo, load_audio, probe_audio
from birdcore.audio.encode import encode_preview
from birdcore.audio.envelope import envelope
from birdcore.errors import BirdcoreError
from birdcore.features.spectrogram import (
    MAX_COLUMNS,
    WINDOWS,
    DisplayConfig,
    Picture,
    Spectrum,
    average_spectrum,
    cepstrum,
    display_spectrogram,
)
from birdcore.figures import sound_figure, spectrum_figure
from birdcore.picture_axes import COLOR_SCALES
from birdcore.print_figures import encode_figure, print_picture, print_spectrum, print_waveform
from birdcore.webapp.recordings import ChosenRecording
from birdcore.webapp.wording import clock, plain

__all__ = ["DisplayChoice", "Section", "choose_display", "choose_section", "load_section", "show_pictures"]

LENGTHS = (5, 10, 20, 30, 60, 120, 300)  # seconds
DEFAULT_LENGTH = 3  # position in LENGTHS
MAX_RATE = 96_000  # Hz; four times what a bird can reach, and it keeps five minutes within memory

_SCALES = {"linear": "Linear", "mel": "Mel", "log": "Log"}
_WINDOW_NAMES = dict(zip(WINDOWS, ("Hann", "Hamming", "Blackman", "Blackman-Harris", "Rectangular"), strict=True))


@dataclass(frozen=True, kw_only=True)
class Section:
    """A stretch of a recording.

    Parameters
    ----------
    recording : whose it is
    sample_rate : Hz
    onset, duration : seconds in the recording
    samples : shape (num_samples,)
    """

    recording: ChosenRecording
    sample_rate: int
    onset: float
    duration: float
    samples: np.ndarray


@dataclass(frozen=True, kw_only=True)
class DisplayChoice:
    """How the viewer wants it drawn.

    Parameters
    ----------
    config : of the transform and the axes
    range_db : dB between the darkest and the brightest colour
    color_scale : name of the colour map
    """

    config: DisplayConfig
    range_db: float
    color_scale: str


def choose_section(recording: ChosenRecording) -> tuple[float, float] | None:
    """Let the viewer choose a stretch of at most five minutes.

    Returns
    -------
    onset, duration : seconds; None where the recording cannot be read, which is then shown
    """
    try:
        info = _probe(str(recording.path), recording.key)
    except BirdcoreError as error:
        st.error(plain(recording.describe(error)), icon=":material/error:")
        return None
    st.caption(
        f"{clock(info.duration)} long, recorded at {info.sample_rate / 1000:g} kHz, "
        f"{'mono' if info.channels == 1 else f'{info.channels} channels (mixed to one)'}, {plain(info.format)}"
    )
    lengths: list[float] = [length for length in LENGTHS if length < info.duration]
    if info.duration <= LENGTHS[-1]:
        lengths.append(info.duration)
    if len(lengths) == 1:
        return 0.0, info.duration
    identity = recording.key[:16]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        length = st.selectbox(
            "Show",
            lengths,
            index=min(DEFAULT_LENGTH, len(lengths) - 1),
            format_func=lambda seconds: "all of it" if seconds == info.duration else f"{seconds} s",
            key=f"length-{identity}",
            persist_state="session",
            width=160,
        )
        if length == info.duration:
            return 0.0, info.duration
        onset = st.slider(
            "Starting at (s)",
            0.0,
            info.duration - length,
            0.0,
            0.1 if info.duration < 60 else 1.0,
            format="%.1f",
            key=f"onset-{identity}-{length}",
            persist_state="session",
        )
    return onset, float(length)


@st.cache_data(max_entries=64, show_spinner=False)
def _probe(path: str, key: str) -> AudioInfo:
    return probe_audio(path)


def load_section(recording: ChosenRecording, onset: float, duration: float) -> Section | None:
    """Decode a stretch; where that fails, show why and return None."""
    try:
        rate = min(_probe(str(recording.path), recording.key).sample_rate, MAX_RATE)
        samples = _samples(str(recording.path), recording.key, onset, duration, rate)
    except BirdcoreError as error:
        st.error(plain(recording.describe(error)), icon=":material/error:")
        return None
    return Section(recording=recording, sample_rate=rate, onset=onset, duration=len(samples) / rate, samples=samples)


@st.cache_resource(max_entries=4, show_spinner="Reading the sound …")
def _samples(path: str, key: str, onset: float, duration: float, rate: int) -> np.ndarray:
    return load_audio(path, sample_rate=rate, onset=onset, duration=duration).samples


def choose_display(sample_rate: int) -> DisplayChoice:
    """The settings of the pictures; a change is drawn at once."""
    with st.container(border=True):
        columns = st.columns(4, gap="medium")
        keep = functools.partial(dict, persist_state="session")
        with columns[0]:
            scale = st.segmented_control(
                "Frequency axis",
                list(_SCALES),
                default="linear",
                required=True,
                format_func=_SCALES.get,
                **keep(key="display-scale"),
            )
            color_scale = st.selectbox(
                "Colour map", COLOR_SCALES, format_func=str.capitalize, **keep(key="display-colors")
            )
        with columns[1]:
            n_fft = st.select_slider(
                "n_fft (samples)",
                [128, 256, 512, 1024, 2048, 4096, 8192],
                1024,
                help="Length of the transform. Longer tells close pitches apart; shorter tells quick notes apart.",
                **keep(key="display-n-fft"),
            )
            share = st.select_slider(
                "Hop",
                [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0],
                1 / 4,
                format_func=lambda value: f"{value * n_fft:.0f} samples",
                **keep(key="display-hop"),
            )
        with columns[2]:
            window = st.selectbox("Window", WINDOWS, format_func=_WINDOW_NAMES.get, **keep(key="display-window"))
            n_mels = st.slider("Mel bands (n_mels)", 16, 256, 128, 8, **keep(key="display-n-mels"))
        with columns[3]:
            nyquist = sample_rate / 2000
            low, high = st.slider(
                "fmin to fmax (kHz)",
                0.0,
                nyquist,
                (0.0, min(nyquist, 16.0)),
                0.1,
                **keep(key=f"display-band-{sample_rate}"),
            )
            range_db = st.slider("Range of levels (dB)", 30, 120, 70, 5, **keep(key="display-range"))
        pcen = st.toggle(
            "Even out steady noise (PCEN)",
            help="Per-channel energy normalisation: each band is compared with its own recent past, "
            "so that wind and streams fade and calls stand out. Levels then have no unit.",
            **keep(key="display-pcen"),
        )
    return DisplayChoice(
        config=DisplayConfig(
            n_fft=n_fft,
            hop_length=max(1, round(share * n_fft)),
            window=window,
            frequency_scale=scale,
            n_mels=n_mels,
            fmin=low * 1000,
            fmax=max(high, low + 0.1) * 1000,
            scaling="pcen" if pcen else "db",
        ),
        range_db=float(range_db),
        color_scale=color_scale,
    )


def show_pictures(section: Section, choice: DisplayChoice) -> None:
    """Waveform, spectrogram, mel spectrogram and MFCC on one time axis; the average spectrum; downloads."""
    identity = _identity(section)
    try:
        drawn = _draw(*identity, choice.config, section)
    except BirdcoreError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    audio, mime = _encoded(*identity, section)
    st.audio(audio, format=mime, alt=f"Sound of {section.recording.name}")
    st.plotly_chart(
        sound_figure(
            *drawn.envelope,
            duration=section.duration,
            pictures=drawn.pictures,
            range_db=choice.range_db,
            color_scale=choice.color_scale,
            onset=section.onset,
        ),
        config={"displaylogo": False, "scrollZoom": False},
        alt=f"Waveform, spectrogram, mel spectrogram and MFCC of {section.recording.name}, "
        f"{section.onset:.1f} to {section.onset + section.duration:.1f} s",
        key="pictures",
    )
    st.caption("Drag across a chart to zoom all of them; double-click to see everything again.")
    st.subheader("Average spectrum")
    st.plotly_chart(
        spectrum_figure(drawn.spectrum),
        config={"displaylogo": False},
        alt=f"Average spectrum of {section.recording.name}",
        key="spectrum",
    )
    _show_downloads(section, choice, drawn)


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """Everything drawn from a section with one configuration."""

    envelope: tuple[np.ndarray, np.ndarray]
    pictures: dict[str, Picture]
    spectrum: Spectrum


def _identity(section: Section) -> tuple[str, float, float]:
    return section.recording.key, section.onset, section.duration


# An argument with a leading underscore is no part of the key; those before it identify it.
@st.cache_resource(max_entries=6, show_spinner="Drawing …")
def _draw(key: str, onset: float, duration: float, config: DisplayConfig, _section: Section) -> _Drawn:
    samples, rate = _section.samples, _section.sample_rate
    picture = functools.partial(display_spectrogram, samples, rate)
    levels = replace(config, scaling="db")
    return _Drawn(
        envelope=envelope(samples, min(MAX_COLUMNS, len(samples))),
        pictures={
            **({} if config.frequency_scale == "mel" else {"Spectrogram": picture(config=config)}),
            "Mel spectrogram": picture(config=replace(config, frequency_scale="mel")),
            "MFCC": cepstrum(samples, rate, config=levels, num_coefficients=min(20, config.n_mels)),
        },
        spectrum=average_spectrum(samples, rate, config=levels),
    )


@st.cache_resource(max_entries=6, show_spinner=False)
def _encoded(key: str, onset: float, duration: float, _section: Section) -> tuple[bytes, str]:
    return encode_preview(_section.samples, _section.sample_rate)


def _show_downloads(section: Section, choice: DisplayChoice, drawn: _Drawn) -> None:
    stem = PurePath(section.recording.name).stem or "recording"
    title = f"{section.recording.name}, {section.onset:.1f} to {section.onset + section.duration:.1f} s"
    colors = {"range_db": choice.range_db, "color_scale": choice.color_scale, "onset": section.onset}
    prints: dict[str, Callable] = {
        "Waveform": functools.partial(
            print_waveform, *drawn.envelope, duration=section.duration, title=title, onset=section.onset
        ),
        **{
            name: functools.partial(print_picture, picture, title=f"{name} of {title}", **colors)
            for name, picture in drawn.pictures.items()
        },
        "Average spectrum": functools.partial(print_spectrum, drawn.spectrum, title=f"Average spectrum of {title}"),
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Figure for print", list(prints), index=1, width=260, key="print", persist_state="session")
        for file_format in ("png", "svg"):
            st.download_button(
                file_format.upper(),
                functools.partial(_print, prints[name], file_format),
                file_name=f"{stem}.{name.lower().replace(' ', '-')}.{file_format}",
                mime={"png": "image/png", "svg": "image/svg+xml"}[file_format],
                icon=":material/download:",
                on_click="ignore",
                key=f"download-{file_format}",
            )


def _print(draw: Callable, file_format: str) -> bytes:
    """Draw a figure for print; only when somebody asks for it."""
    return encode_figure(draw(), file_format)
