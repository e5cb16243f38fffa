"""Models from outside: a ``.tflite`` or ``.onnx`` file that takes a waveform, its labels, and what must be known of it.

Such a model is a folder like any other weights::

    weights/birdnet/
      outside.toml     the settings below; ``preset = "birdnet"`` alone is enough for BirdNET
      model.tflite     the model, as it was downloaded
      labels.txt       one class per line, in output order

``python -m birdcore models add FILE --preset birdnet --labels FILE`` makes one. Only this file of settings is read to
list it; the model itself is opened when it is asked to listen.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

from birdcore.config import ClassName, from_dict
from birdcore.errors import ConfigError, WeightsError
from birdcore.models.labels import LabelLayout, read_labels

__all__ = [
    "ENTRY_FILE",
    "MODEL_SUFFIXES",
    "OUTSIDE_PRESETS",
    "OutsideConfig",
    "OutsideSettings",
    "preset_settings",
    "read_outside",
    "settings_text",
]

ENTRY_FILE = "outside.toml"
MODEL_SUFFIXES = (".tflite", ".onnx")
LABEL_SUFFIXES = (".txt", ".csv")

MAX_RATE = 384_000  # Hz, of the fastest recorders
MAX_WINDOW_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class OutsideSettings:
    """What a file says that describes a model from outside.

    Parameters
    ----------
    preset : name in ``OUTSIDE_PRESETS`` whose settings hold where none are given, or ""
    file, labels : names of files in the same folder; "" takes the only one with a fitting ending
    layout : of the labels, see :data:`birdcore.models.labels.LabelLayout`
    sample_rate : Hz
    window_seconds : length of the waveform that the model takes
    activation : what is to be done with an output to make it a probability; "none" where it is one
    peak : each window is freed of its mean and scaled to this peak amplitude, as the model was trained; 0 leaves it
    input : name of the input, or "" for the only one
    output : name or number of the output with a score per class, or "" for the only one of that size
    embedding : name of the tensor that custom classifiers are made on (the end of its name is enough); "auto" for the
        only other output with one row of numbers; "" where there is none
    fmin, fmax : Hz, what the model hears; 0 for fmax is half the sample rate
    threshold : score from which on a class counts as present
    title, summary, licence, source : for the model's card
    limits : known weaknesses, for the card
    sha256 : of the model file; checked when it is loaded, "" checks nothing
    """

    preset: str = ""
    file: str = ""
    labels: str = ""
    layout: LabelLayout = "common"
    sample_rate: int = 0
    window_seconds: float = 0.0
    activation: Literal["none", "sigmoid", "softmax"] = "sigmoid"
    peak: float = 0.0
    input: str = ""
    output: str = ""
    embedding: str = ""
    fmin: float = 0.0
    fmax: float = 0.0
    threshold: float = 0.5
    title: str = ""
    summary: str = ""
    licence: str = ""
    source: str = ""
    limits: tuple[str, ...] = ()
    sha256: str = ""

    def __post_init__(self) -> None:
        for name in ("file", "labels"):
            value = getattr(self, name)
            if value and (PurePath(value).name != value or "\\" in value or value.startswith(".")):
                raise ConfigError(f"{name} = {value!r}: must be the plain name of a file in the model's own folder")
        if self.file and PurePath(self.file).suffix.lower() not in MODEL_SUFFIXES:
            raise ConfigError(
                f"file = {self.file!r}: must end in {' or '.join(MODEL_SUFFIXES)}; nothing else is opened"
            )
        if not 0 <= self.peak <= 1:
            raise ConfigError(f"peak = {self.peak}: must be from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class OutsideConfig:
    """Everything inference may know about a model from outside; see :class:`OutsideSettings`.

    It offers what :class:`birdcore.config.ModelConfig` does, but for the features: the model makes its own.
    """

    architecture: str
    class_names: tuple[ClassName, ...]
    sample_rate: int
    window_seconds: float
    activation: Literal["none", "sigmoid", "softmax"]
    peak: float
    input: str
    output: str
    embedding: str
    fmin: float
    fmax: float
    threshold: float

    def __post_init__(self) -> None:
        if not 1000 <= self.sample_rate <= MAX_RATE:
            raise ConfigError(f"sample_rate = {self.sample_rate}: must be from 1000 to {MAX_RATE} Hz")
        if not 0 < self.window_seconds <= MAX_WINDOW_SECONDS:
            raise ConfigError(
                f"window_seconds = {self.window_seconds}: must be above 0, at most {MAX_WINDOW_SECONDS:g}"
            )
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise ConfigError(
                f"fmin = {self.fmin}, fmax = {self.fmax}: must satisfy 0 <= fmin < fmax <= {self.sample_rate / 2:g} Hz"
            )
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold = {self.threshold}: must be between 0 and 1")

    @property
    def num_classes(self) -> int:
        """Number of reported classes."""
        return len(self.class_names)

    @property
    def window_samples(self) -> int:
        """Samples in a window, at the model's sample rate."""
        return round(self.window_seconds * self.sample_rate)


_NOT_MEASURED = (
    "its scores are its makers' own: they were not calibrated or measured here, so a threshold means another thing "
    "than with other models",
    "it tells windows, not calls: events begin and end with its windows, and have no frequency band",
)

OUTSIDE_PRESETS: dict[str, dict[str, Any]] = {
    "birdnet": {
        "layout": "scientific_common",
        "sample_rate": 48_000,
        "window_seconds": 3.0,
        "activation": "sigmoid",
        "embedding": "GLOBAL_AVG_POOL/Mean",
        "fmax": 15_000.0,
        "threshold": 0.25,  # the analyzer's own default
        "title": "BirdNET V2.4",
        "summary": "BirdNET V2.4: more than 6,000 species worldwide, in windows of 3 s",
        "licence": "Model: CC BY-NC-SA 4.0, for non-commercial use, Cornell Lab of Ornithology and Chemnitz "
        "University of Technology.",
        "source": "https://github.com/birdnet-team/BirdNET-Analyzer",
        "limits": (*_NOT_MEASURED, "it knows nothing of place and season here: it may name birds of another continent"),
    },
    "perch": {
        "layout": "scientific",
        "sample_rate": 32_000,
        "window_seconds": 5.0,
        "activation": "softmax",
        "peak": 0.25,
        "output": "",  # "label" in ONNX, "StatefulPartitionedCall:…" in TF Lite: told by its size
        "embedding": "auto",
        "fmin": 60.0,
        "threshold": 0.3,
        "title": "Perch 2.0",
        "summary": "Perch 2.0: more than 14,000 birds, other animals and sounds, in windows of 5 s",
        "licence": "Model: Apache 2.0, Google.",
        "source": "https://www.kaggle.com/models/google/bird-vocalization-classifier",
        "limits": (*_NOT_MEASURED, "its scores of all classes sum to 1: two birds that sing at once share them"),
    },
    "perch_v1": {
        "layout": "code",
        "sample_rate": 32_000,
        "window_seconds": 5.0,
        "activation": "sigmoid",
        "peak": 0.25,
        "embedding": "auto",
        "fmin": 60.0,
        "threshold": 0.5,
        "title": "Perch 1",
        "summary": "Perch 1 (Google Bird Vocalization Classifier): more than 10,000 birds, in windows of 5 s",
        "licence": "Model: Apache 2.0, Google.",
        "source": "https://www.kaggle.com/models/google/bird-vocalization-classifier",
        "limits": _NOT_MEASURED,
    },
    "yamnet": {
        "layout": "yamnet",
        "sample_rate": 16_000,
        "window_seconds": 0.975,
        "activation": "none",
        "embedding": "global_average_pooling2d/Mean",
        "fmin": 125.0,
        "fmax": 7500.0,
        "threshold": 0.3,
        "title": "YAMNet",
        "summary": "YAMNet: 521 kinds of everyday sound, among them birds, in windows of 1 s",
        "licence": "Model: Apache 2.0, Google; trained on AudioSet.",
        "source": "https://github.com/tensorflow/models/tree/master/research/audioset/yamnet",
        "limits": (*_NOT_MEASURED, "it knows kinds of sound, not species of birds", "it hears nothing above 7.5 kHz"),
    },
}
"""What is known of published models. Perch's names and levels are those of its conversions to ONNX and TF Lite."""


def preset_settings(name: str) -> OutsideSettings:
    """The settings of a preset.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if name not in OUTSIDE_PRESETS:
        raise ConfigError(f"preset {name!r}: unknown; known are {', '.join(OUTSIDE_PRESETS)}")
    return from_dict(OutsideSettings, {"preset": name, **OUTSIDE_PRESETS[name]}, source=f"preset {name}")


def read_outside(folder: Path) -> tuple[OutsideConfig, dict[str, Any], Path]:
    """Read what describes a model from outside; the model itself is not opened.

    Parameters
    ----------
    folder : with ``outside.toml``, the model and its labels

    Returns
    -------
    config, facts for the model's card, and the model file

    Raises
    ------
    WeightsError
        If a file is missing or does not say what it must.
    """
    try:
        given = tomllib.loads((folder / ENTRY_FILE).read_text(encoding="utf-8"))
        preset = given.get("preset", "")
        basis = OUTSIDE_PRESETS[preset_settings(preset).preset] if preset else {}
        settings = from_dict(OutsideSettings, {**basis, **given}, source=ENTRY_FILE)
        file = _the_file(folder, settings.file, MODEL_SUFFIXES, what="file")
        labels = _the_file(folder, settings.labels, LABEL_SUFFIXES, what="labels")
        config = OutsideConfig(
            architecture=settings.title or settings.preset or file.suffix[1:],
            class_names=read_labels(labels, settings.layout),
            sample_rate=settings.sample_rate,
            window_seconds=settings.window_seconds,
            activation=settings.activation,
            peak=settings.peak,
            input=settings.input,
            output=settings.output,
            embedding=settings.embedding,
            fmin=settings.fmin,
            fmax=settings.fmax or settings.sample_rate / 2,
            threshold=settings.threshold,
        )
    except (OSError, ValueError, RecursionError, ConfigError, WeightsError) as error:
        raise WeightsError(f"weights {folder.name!r}: {ENTRY_FILE} cannot be used ({error})") from error
    facts = {
        "summary": settings.summary,
        "licence": settings.licence or "The licence of this model is not stated: ask those who made it before use.",
        "source": settings.source,
        "limits": list(settings.limits or _NOT_MEASURED),
        "sha256": settings.sha256,
    }
    return config, {key: value for key, value in facts.items() if value}, file


def settings_text(settings: OutsideSettings) -> str:
    """The text of ``outside.toml``: the preset, and what differs from it."""
    basis = preset_settings(settings.preset) if settings.preset else OutsideSettings()
    lines = [f'preset = "{settings.preset}"'] if settings.preset else []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name != "preset" and value != getattr(basis, field.name):
            lines.append(f"{field.name} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: str | float | tuple[str, ...]) -> str:
    if isinstance(value, str):
        escaped = "".join(
            f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else {"\\": "\\\\", '"': '\\"'}.get(c, c) for c in value
        )
        return f'"{escaped}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return repr(value)


def _the_file(folder: Path, name: str, suffixes: tuple[str, ...], *, what: str) -> Path:
    """The named file of a folder, or the only one with one of the endings."""
    if name:
        found = [folder / name]
    else:
        found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes and path.is_file()]
    if len(found) != 1 or not found[0].is_file():
        listed = ", ".join(path.name for path in found) or f"none ending in {' or '.join(suffixes)}"
        raise WeightsError(f'{what}: expected one file, found {listed}; name it: {what} = "…"')
    return found[0]
