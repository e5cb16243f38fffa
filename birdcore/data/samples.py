"""Built-in sample soundscapes, so that there is something to analyse with no recording at hand."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from birdcore.data.ambience import synthesize_background
from birdcore.data.songs import synthesize_call
from birdcore.data.soundscape import SoundscapeConfig, mix_soundscape
from birdcore.errors import DataError
from birdcore.events import Event

__all__ = ["Sample", "sample_soundscapes"]

_RECIPE = (
    1  # raise when a change here, in the mixer or in the synthesis changes the sounds: old files are then replaced
)
_SAMPLE_RATE = 32_000
_VARIATIONS = 2  # calls synthesised for each mention of a species; real birds repeat themselves too


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A built-in soundscape.

    Parameters
    ----------
    name : short title
    description : what is to be heard; says that the sounds are synthesised
    path : the audio file
    events : boxes of all calls, by onset
    """

    name: str
    description: str
    path: Path
    events: list[Event]


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """What a sample is mixed from; a species named twice sings twice as often."""

    name: str
    description: str
    seed: int
    species: tuple[str, ...]
    background: dict[str, float]
    config: SoundscapeConfig


_SCENES = (
    _Scene(
        name="Garden morning",
        description=(
            "Synthesised, not recorded: Great Tit, Blackbird, Blackcap, Greenfinch and House Sparrow in a light wind."
        ),
        seed=11,
        species=("gretit1", "eurbla", "blackc1", "eurgre1", "houspa"),
        background={"air": -42.0, "wind": -30.0},
        config=SoundscapeConfig(
            duration=40.0,
            sample_rate=_SAMPLE_RATE,
            num_events=(13, 13),
            snr_db=(15.0, 32.0),
            overlap=0.3,
            speech_probability=0.0,
            rain_probability=0.0,
        ),
    ),
    _Scene(
        name="Reed bed",
        description=(
            "Synthesised, not recorded: Great Reed Warbler and Sedge Warbler chatter beside a stream, "
            "Mallards now and then."
        ),
        seed=12,
        species=("grrwar1", "sedwar1", "mallar3"),
        background={"air": -54.0, "stream": -44.0, "wind": -46.0},
        config=SoundscapeConfig(
            duration=36.0,
            sample_rate=_SAMPLE_RATE,
            num_events=(9, 9),
            snr_db=(15.0, 28.0),
            overlap=0.2,
            speech_probability=0.0,
            rain_probability=0.0,
        ),
    ),
    _Scene(
        name="Night with owl",
        description="Synthesised, not recorded: a Little Owl and a Eurasian Thick-knee call while insects hum.",
        seed=13,
        species=("litowl1", "eutkne1"),
        background={"air": -42.0, "insects": -42.0},
        config=SoundscapeConfig(
            duration=30.0,
            sample_rate=_SAMPLE_RATE,
            num_events=(10, 10),
            snr_db=(15.0, 32.0),
            overlap=0.0,
            speech_probability=0.0,
            rain_probability=0.0,
        ),
    ),
    _Scene(
        name="Pond",
        description=(
            "Synthesised, not recorded: Mallards and a Pheasant in the rain, while somebody talks "
            "(babble without words, to try speech removal on)."
        ),
        seed=14,
        species=("mallar3", "rinphe1"),
        background={"air": -54.0, "stream": -46.0},
        config=SoundscapeConfig(
            duration=24.0,
            sample_rate=_SAMPLE_RATE,
            num_events=(6, 6),
            snr_db=(6.0, 16.0),
            overlap=0.0,
            speech_probability=1.0,
            rain_probability=1.0,
            distractor_level_db=(8.0, 12.0),
        ),
    ),
)


def sample_soundscapes(directory: str | Path) -> list[Sample]:
    """The built-in sample soundscapes; those missing are mixed and written, the others read.

    Each is a FLAC file with its boxes in a JSON file beside it. Files appear whole or not at all, and two processes
    that write the same sample at once write the same bits.

    Parameters
    ----------
    directory : where they lie, or shall lie

    Raises
    ------
    DataError
        If the directory cannot be written to.
    """
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return [_read(scene, directory) or _write(scene, directory) for scene in _SCENES]
    except OSError as error:
        raise DataError(
            f"{directory}: sample soundscapes cannot be written there ({error.strerror}); choose another folder"
        ) from error


def _paths(scene: _Scene, directory: Path) -> tuple[Path, Path]:
    """Audio and boxes of a scene."""
    stem = scene.name.lower().replace(" ", "-")
    return directory / f"{stem}.flac", directory / f"{stem}.json"


def _read(scene: _Scene, directory: Path) -> Sample | None:
    """A sample written earlier by the same recipe, else None."""
    audio, boxes = _paths(scene, directory)
    if not (audio.is_file() and boxes.is_file()):
        return None
    try:
        content = json.loads(boxes.read_text(encoding="utf-8"))
    except ValueError:  # damaged from outside: mixing it again costs a second
        return None
    if content["recipe"] != _RECIPE:
        return None
    events = [Event(**event) for event in content["events"]]
    return Sample(name=scene.name, description=scene.description, path=audio, events=events)


def _write(scene: _Scene, directory: Path) -> Sample:
    """Mix a sample and write it: the boxes last, so that where they are, the sound is too."""
    generator = np.random.default_rng(scene.seed)
    rate = scene.config.sample_rate
    calls = [
        synthesize_call(label, sample_rate=rate, generator=generator)
        for label in scene.species
        for _ in range(_VARIATIONS)
    ]
    background = synthesize_background(scene.background, scene.config.duration, sample_rate=rate, generator=generator)
    soundscape = mix_soundscape(calls, background, config=scene.config, generator=generator)
    audio, boxes = _paths(scene, directory)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".writing-") as folder:
        whole = Path(folder) / audio.name
        soundfile.write(whole, soundscape.samples, rate, subtype="PCM_16")
        os.replace(whole, audio)
        whole = Path(folder) / boxes.name
        content = {"recipe": _RECIPE, "events": [asdict(event) for event in soundscape.events]}
        whole.write_text(json.dumps(content, indent=1), encoding="utf-8")
        os.replace(whole, boxes)
    return Sample(name=scene.name, description=scene.description, path=audio, events=soundscape.events)
