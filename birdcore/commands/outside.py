"""``python -m birdcore models add``: make a downloaded model one of the weights."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from birdcore.errors import ConfigError, WeightsError
from birdcore.files import file_sha256
from birdcore.models.checkpoint import Weights, find_weights
from birdcore.models.labels import LAYOUTS
from birdcore.models.outside import (
    ENTRY_FILE,
    MODEL_SUFFIXES,
    OUTSIDE_PRESETS,
    OutsideSettings,
    preset_settings,
    settings_text,
)
from birdcore.places import check_weights_name, slug, weights_root

__all__ = ["add_command"]

_SETTINGS = ("sample_rate", "window_seconds", "activation", "layout", "output", "embedding", "threshold", "licence")


def add_command(commands: Any) -> None:
    """Add ``add`` to the command ``models``."""
    actions = commands.choices["models"].add_subparsers(dest="action", metavar="ACTION")
    add = actions.add_parser(
        "add",
        help="add a downloaded model (.tflite, .onnx)",
        description="Add a downloaded model that takes a waveform, with its labels: it is then a model like any other, "
        "in the app and on the command line. A preset knows everything about a published model; for other models say "
        "at least --sample-rate and --window.",
    )
    add.add_argument("file", metavar="FILE", help="the model, ending in .tflite or .onnx")
    add.add_argument("--labels", required=True, metavar="FILE", help="one class per line, in output order")
    add.add_argument("--preset", choices=list(OUTSIDE_PRESETS), default="", help="a published model")
    add.add_argument("--name", metavar="NAME", help="name of the weights (default: the preset, or the file's name)")
    add.add_argument("--sample-rate", type=int, metavar="HZ", help="that the model was trained on")
    add.add_argument("--window", type=float, dest="window_seconds", metavar="S", help="seconds the model takes")
    add.add_argument("--activation", choices=("none", "sigmoid", "softmax"), help="what makes outputs probabilities")
    add.add_argument("--layout", choices=LAYOUTS, help="of the labels")
    add.add_argument("--output", metavar="NAME", help="the output with the scores (default: the one of that size)")
    add.add_argument("--embedding", metavar="NAME", help="the tensor that custom classifiers are made on")
    add.add_argument("--threshold", type=float, metavar="T", help="score from which on a class counts as present")
    add.add_argument("--licence", metavar="TEXT", help="shown beside the model")
    add.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    file, labels = Path(options.file), Path(options.labels)
    for path in (file, labels):
        if not path.is_file():
            raise WeightsError(f"{path}: no such file")
    if file.suffix.lower() not in MODEL_SUFFIXES:
        raise WeightsError(f"{file.name}: must end in {' or '.join(MODEL_SUFFIXES)}")
    settings = preset_settings(options.preset) if options.preset else OutsideSettings(title=file.stem)
    given = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    if not options.preset and not {"sample_rate", "window_seconds"} <= given.keys():
        raise ConfigError(
            "--sample-rate and --window: say both, or name a preset "
            f"({', '.join(OUTSIDE_PRESETS)}); the model's makers tell what it was trained on"
        )
    name = options.name or options.preset or slug(file.stem) or "model"
    check_weights_name(name)
    weights = _install(dataclasses.replace(settings, **given), file, labels, weights_root() / name)
    print(f"{weights.path}: {weights.config.num_classes:,} classes, windows of {weights.config.window_seconds:g} s")
    print(f"  {weights.facts['licence']}")
    return 0


def _install(settings: OutsideSettings, file: Path, labels: Path, folder: Path) -> Weights:
    """Copy a model into a folder of weights, which appears under its name only after the model answered."""
    from birdcore.inference.outside import OutsidePredictor  # slow to import
    from birdcore.inference.waveform_models import open_outside_model

    if folder.exists():
        raise WeightsError(f"{folder}: is there already; choose another --name, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        stored, listed = f"model{file.suffix.lower()}", f"labels{labels.suffix.lower() or '.txt'}"
        shutil.copyfile(file, part / stored)
        shutil.copyfile(labels, part / listed)
        settings = dataclasses.replace(settings, file=stored, labels=listed, sha256=file_sha256(part / stored))
        (part / ENTRY_FILE).write_text(settings_text(settings), encoding="utf-8")
        found = find_weights(part)
        OutsidePredictor.load(found)
        if settings.embedding:
            try:
                open_outside_model(found, embedding=True)
            except WeightsError as error:
                # Another conversion of the same model may name it otherwise; it listens all the same.
                print(f"without an embedding, so no custom classifier can be made on it: {error}")
                settings = dataclasses.replace(settings, embedding="")
                (part / ENTRY_FILE).write_text(settings_text(settings), encoding="utf-8")
        part.chmod(0o755)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return find_weights(folder)
