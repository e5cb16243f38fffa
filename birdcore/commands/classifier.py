"""``python -m birdcore classifier``: a custom classifier from a folder of folders of clips."""

from __future__ import annotations

import argparse
import time
from typing import Any

from birdcore.commands.options import EXIT_SOME_FAILED, add_weights
from birdcore.commands.progress import step_bar
from birdcore.errors import ConfigError
from birdcore.export.cells import terminal_text
from birdcore.models.checkpoint import find_weights
from birdcore.models.classifier_config import ClassifierConfig
from birdcore.places import check_weights_name

__all__ = ["add_command"]


def add_command(commands: Any) -> None:
    """Add the command ``classifier``."""
    classifier = commands.add_parser(
        "classifier",
        help="make a classifier of your own from a folder of clips",
        description="Make a classifier of your own from a folder that holds a folder of clips per class. A model that "
        "is there already listens to the clips, and a small network learns to tell the classes from what it hears. A "
        "folder named 'background' teaches what is none of them. Twenty clips and a minute are enough to begin.",
    )
    classifier.add_argument("folder", metavar="FOLDER", help="with one folder of clips per class")
    classifier.add_argument("--out", required=True, metavar="NAME", help="name of the weights to write")
    add_weights(classifier, what="that listen")
    classifier.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from birdcore.inference.classifier import make_classifier  # loads torch, which --help should not wait for

    name = options.out
    check_weights_name(name)
    base = find_weights(options.weights)
    output = base.path.parent / name
    if output.exists() and not isinstance(find_weights(output).config, ClassifierConfig):
        raise ConfigError(f"--out {name}: is the name of other weights; choose another")
    began = time.monotonic()
    with step_bar() as progress:
        report = make_classifier(options.folder, base, output, progress=progress)
    kind = f"{report.num_hidden} hidden layers" if report.num_hidden else "linear"
    print(
        f"{report.weights.path}: {report.weights.config.num_classes} classes from {report.num_clips} clips "
        f"in {time.monotonic() - began:.0f} s ({kind}, on {base.name})"
    )
    for title, (value, low, high) in report.figures.items():
        print(f"  {title}, cross-validated: {value:.3f} (95 % interval {low:.3f} to {high:.3f})")
    for caution in report.cautions:
        print(f"  {caution}")
    for path, reason in report.failed:
        print(f"  left out: {terminal_text(path)}: {terminal_text(reason)}")
    return EXIT_SOME_FAILED if report.failed else 0
