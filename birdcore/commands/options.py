"""What the command line's words mean in every command: options that several take, numbers, and exit statuses."""

from __future__ import annotations

import argparse

from birdcore.models.checkpoint import DEFAULT_WEIGHTS

__all__ = [
    "EXIT_INTERRUPTED",
    "EXIT_REFUSED",
    "EXIT_SOME_FAILED",
    "add_engine",
    "add_weights",
    "number",
    "seconds",
    "share",
    "whole_number",
]

EXIT_REFUSED = 2
EXIT_SOME_FAILED = 3
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

ENGINES = ("auto", "onnx", "torch")


def add_weights(command: argparse.ArgumentParser, *, what: str = "name or folder") -> None:
    """Add ``--weights``, the model to use; without it, the one that the app offers first."""
    command.add_argument(
        "--weights", default=DEFAULT_WEIGHTS, metavar="NAME", help=f"{what} (default: {DEFAULT_WEIGHTS})"
    )


def add_engine(command: argparse.ArgumentParser) -> None:
    """Add ``--engine``."""
    command.add_argument("--engine", choices=ENGINES, default="auto", help="what runs the network (default: auto)")


def number(text: str) -> float:
    """A number, or the sentence that argparse shows."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    value = number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: must be above 0 and at most 1")
    return value


def seconds(text: str) -> float:
    """A finite number of seconds, 0 or more."""
    value = number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: must be 0 or more seconds")
    return value


def whole_number(text: str) -> int:
    """A whole number from 1 to a million."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, 1 or more")
    return int(text)
