"""Sets of soundscapes: mixed from the calls and backgrounds of a data set, or from synthesised ones, with their boxes.

A set is a folder that is read like any other annotated collection (format "zenodo", see
:mod:`birdcore.data.readers.zenodo`), for training and for measuring when and at what pitch a model hears a call::

    soundscape_0000.flac …    16 bit
    annotations.csv           one row per call
    manifest.json             seed, settings, and for each soundscape what was mixed from what at which SNR and gain
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import soundfile

from birdcore import __version__
from birdcore.audio.decode import load_audio
from birdcore.config import to_dict
from birdcore.data.ambience import synthesize_background
from birdcore.data.annotations import UNKNOWN_LABELS
from birdcore.data.readers import Dataset
from birdcore.data.readers.zenodo import ANNOTATION_COLUMNS
from birdcore.data.recordings import Recording
from birdcore.data.songs import SONGS, synthesize_call
from birdcore.data.soundscape import Call, RecordedCall, SoundscapeConfig, mix_soundscape
from birdcore.errors import AudioError, ConfigError, DataError
from birdcore.events import Event
from birdcore.files import open_replacement, write_text

__all__ = ["AUDIO_FORMATS", "CALL_KINDS", "SPLITS", "SoundscapeSources", "write_soundscapes"]

CallKind = Literal["isolated", "boxes", "recordings", "synthetic"]
CALL_KINDS: tuple[str, ...] = get_args(CallKind)
SPLITS = ("train", "test")
AUDIO_FORMATS = ("flac", "wav")


@dataclass(frozen=True, kw_only=True)
class SoundscapeSources:
    """Where the calls and backgrounds of a set come from.

    Parameters
    ----------
    calls : "isolated" (those that were cut out of their background, so that their boxes are exact), "boxes" (every
        boxed call, of which what sounds outside its band is left out), "recordings" (each labelled recording as one
        call, as in a folder of cut calls), or "synthetic" (see :mod:`birdcore.data.songs`)
    synthetic_background : synthesised backgrounds, not the data set's bird-free ones
    species : codes of the species to place; empty for all that there are
    split : "train" (what is not set aside) or "test"
    """

    calls: CallKind = "isolated"
    synthetic_background: bool = False
    species: tuple[str, ...] = ()
    split: str = "train"

    def __post_init__(self) -> None:
        if self.calls not in CALL_KINDS:
            raise ConfigError(f"calls = {self.calls!r}: must be one of {', '.join(CALL_KINDS)}")
        if self.split not in SPLITS:
            raise ConfigError(f"split = {self.split!r}: must be one of {', '.join(SPLITS)}")

    @property
    def need_data(self) -> bool:
        """Whether anything is to be taken from a data set."""
        return self.calls != "synthetic" or not self.synthetic_background


@dataclass(frozen=True, kw_only=True)
class _CallSource:
    """Where a call can be read from: a stretch of a file, and the band in Hz that is kept (None for all)."""

    label: str
    path: Path
    onset: float = 0.0
    duration: float | None = None
    band: tuple[float, float] | None = None


def write_soundscapes(
    directory: str | Path,
    *,
    count: int,
    config: SoundscapeConfig,
    sources: SoundscapeSources,
    seed: int,
    dataset: Dataset | None = None,
    audio_format: str = "flac",
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Mix soundscapes and write them with their boxes.

    Soundscape i depends on the seed, i and the sources only, not on how many are written. One without calls has no row
    in the table. A set that is not finished leaves nothing behind.

    Parameters
    ----------
    directory : where to write; made if missing; must be empty
    count : number of soundscapes
    config : how they are mixed
    sources : from what
    seed : the same seed gives the same files
    dataset : what recorded calls and backgrounds are taken from; None where both are synthetic
    audio_format : "flac" or "wav"
    progress : called with the number that is written, and the number of all

    Returns
    -------
    the audio files

    Raises
    ------
    ConfigError
        If a species cannot be synthesised, or the format, count or seed is impossible.
    DataError
        If the directory is not empty, or the data set offers nothing that fits.
    AudioError
        If a recording cannot be read, or a call is silent.
    """
    if audio_format not in AUDIO_FORMATS:
        raise ConfigError(f"audio_format = {audio_format!r}: must be one of {', '.join(AUDIO_FORMATS)}")
    if count < 1:
        raise ConfigError(f"count = {count}: must be at least 1")
    if seed < 0:
        raise ConfigError(f"seed = {seed}: must not be below 0")
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise DataError(f"{directory}: is not an empty folder; name a new one")
    calls = [] if sources.calls == "synthetic" else _find_calls(dataset, sources)
    backgrounds = [] if sources.synthetic_background else _find_backgrounds(dataset, sources)
    if not calls:
        _check_songs(sources.species)

    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, directory, ignore_errors=True)
        paths, rows, records = [], [], []
        for index in range(count):
            generator = np.random.default_rng([seed, index])
            if calls:
                drawn = _drawn_calls(calls, config, generator)
            else:
                drawn = _synthetic_calls(sources.species, config, generator)
            if backgrounds:
                chosen = backgrounds[generator.integers(len(backgrounds))]
                background = load_audio(chosen.path, sample_rate=config.sample_rate).samples
                background_source = _where(chosen.path)
            else:
                background, background_source = _synthetic_background(config, generator)
            soundscape = mix_soundscape(drawn, background, config=config, generator=generator)
            path = directory / f"soundscape_{index:04d}.{audio_format}"
            soundfile.write(path, soundscape.samples, soundscape.sample_rate, subtype="PCM_16")
            paths.append(path)
            rows.extend(_annotation_row(path.name, event) for event in soundscape.events)
            records.append(
                {
                    "filename": path.name,
                    "background": background_source,
                    "gain": soundscape.gain,
                    "distractors": [asdict(distractor) for distractor in soundscape.distractors],
                    "calls": [asdict(placement) for placement in soundscape.placements],
                }
            )
            if progress:
                progress(index + 1, count)
        manifest = {
            "birdcore": __version__,
            "seed": seed,
            "config": to_dict(config),
            "sources": to_dict(sources),
            "soundscapes": records,
        }
        write_text(directory / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        with open_replacement(directory / "annotations.csv") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(ANNOTATION_COLUMNS)
            writer.writerows(rows)
        undo.pop_all()
    return paths


def _annotation_row(filename: str, event: Event) -> tuple[str, ...]:
    """One row of the annotation table; a microsecond and a hundredth of a Hz lie below anything a box can mean."""
    return (
        filename,
        f"{event.onset:.6f}",
        f"{event.offset:.6f}",
        f"{event.fmin:.2f}",
        f"{event.fmax:.2f}",
        event.label,
    )


def _check_songs(species: Sequence[str]) -> None:
    unknown = sorted(set(species) - set(SONGS))
    if unknown:
        raise ConfigError(f"{unknown[0]!r}: no such song can be synthesised; there are {', '.join(sorted(SONGS))}")


def _is_wanted(split: str, wanted: str) -> bool:
    """Whether a split's name means the wanted part; what no table splits is there to train on."""
    return (split if split not in ("", "none") else "train") == wanted


def _find_calls(dataset: Dataset, sources: SoundscapeSources) -> list[_CallSource]:
    """All calls of a data set that fit, in the order of its tables."""
    found = [call for call in _offered_calls(dataset, sources) if call.label not in UNKNOWN_LABELS]
    missing = sorted(set(sources.species) - {call.label for call in found})
    if missing or not found:
        wanted = f" of {', '.join(missing)}" if missing else ""
        raise DataError(
            f"the data set has no calls of kind {sources.calls!r}{wanted} in split {sources.split!r}; choose another "
            f"kind ({', '.join(CALL_KINDS)}), split or species"
        )
    return [call for call in found if not sources.species or call.label in sources.species]


def _offered_calls(dataset: Dataset, sources: SoundscapeSources) -> list[_CallSource]:
    recordings = [recording for recording in dataset.recordings if _is_wanted(recording.split, sources.split)]
    if sources.calls == "recordings":
        return [_CallSource(label=recording.label, path=recording.path) for recording in recordings]
    only_isolated = sources.calls == "isolated"
    boxed = [
        _CallSource(
            label=event.label,
            path=annotated.path,
            onset=event.onset,
            duration=event.duration,
            # Around an isolated call is nothing that would have to be left out.
            band=None if annotated.is_isolated or event.fmin is None else (event.fmin, event.fmax),
        )
        for annotated in dataset.annotated
        if _is_wanted(annotated.split, sources.split) and annotated.frames_known
        if annotated.is_isolated or not only_isolated
        for event in annotated.events
    ]
    if not only_isolated:
        return boxed
    with_boxes = {call.path for call in boxed}
    whole = [r for r in recordings if r.kind == "isolated" and r.path not in with_boxes]
    return boxed + [_CallSource(label=recording.label, path=recording.path) for recording in whole]


def _find_backgrounds(dataset: Dataset, sources: SoundscapeSources) -> list[Recording]:
    backgrounds = [
        recording
        for recording in dataset.backgrounds
        if recording.has_bird is False and _is_wanted(recording.split, sources.split)
    ]
    if not backgrounds:
        raise DataError(
            f"the data set has no bird-free background in split {sources.split!r}; use synthetic backgrounds"
        )
    return backgrounds


def _drawn_labels(species: Sequence[str], config: SoundscapeConfig, generator: np.random.Generator) -> list[str]:
    """Species of as many calls as the soundscape can hold, drawn evenly."""
    return [species[index] for index in generator.integers(len(species), size=config.num_events[1])]


def _drawn_calls(
    calls: Sequence[_CallSource], config: SoundscapeConfig, generator: np.random.Generator
) -> list[RecordedCall]:
    """Recorded calls for one soundscape: no more are read than it can hold."""
    by_label: dict[str, list[_CallSource]] = {}
    for call in calls:
        by_label.setdefault(call.label, []).append(call)
    labels = _drawn_labels(sorted(by_label), config, generator)
    chosen = [by_label[label][generator.integers(len(by_label[label]))] for label in labels]
    return [_load_call(call, config) for call in chosen]


def _load_call(call: _CallSource, config: SoundscapeConfig) -> RecordedCall:
    length = min(call.duration or config.duration, config.duration)
    sound = load_audio(call.path, sample_rate=config.sample_rate, onset=call.onset, duration=length)
    samples = sound.samples if call.band is None else _within_band(sound.samples, config.sample_rate, *call.band)
    where = f"{_where(call.path)} {call.onset:.3f}-{call.onset + len(samples) / config.sample_rate:.3f} s"
    if not samples.any():
        raise AudioError(f"{where}: is silent and cannot be placed as a call; remove it from the data set")
    return RecordedCall(label=call.label, samples=samples, sample_rate=config.sample_rate, source=where)


def _where(path: Path) -> str:
    """A file as the manifest names it, the same wherever the data set lies."""
    return f"{path.parent.name}/{path.name}"


def _within_band(samples: np.ndarray, sample_rate: int, fmin: float, fmax: float) -> np.ndarray:
    """A sound without what lies outside a band, as other birds above and below a boxed call do."""
    frequencies = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    spectrum = np.where((frequencies >= fmin) & (frequencies <= fmax), np.fft.rfft(samples), 0)
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def _synthetic_calls(species: Sequence[str], config: SoundscapeConfig, generator: np.random.Generator) -> list[Call]:
    labels = _drawn_labels(sorted(species or SONGS), config, generator)
    return [synthesize_call(label, sample_rate=config.sample_rate, generator=generator) for label in labels]


def _synthetic_background(config: SoundscapeConfig, generator: np.random.Generator) -> tuple[np.ndarray, str]:
    """A random place: always some air, and one or two of wind, water and insects. Rain is left to the distractors."""
    levels = {"air": float(generator.uniform(-55, -42))}
    for name in generator.permutation(["insects", "stream", "wind"])[: generator.integers(1, 3)]:
        levels[str(name)] = float(generator.uniform(-50, -34))
    background = synthesize_background(levels, config.duration, sample_rate=config.sample_rate, generator=generator)
    return background, "synthesised: " + ", ".join(f"{name} {level:.1f} dB" for name, level in sorted(levels.items()))
