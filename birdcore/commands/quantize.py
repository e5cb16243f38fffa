"""``python -m birdcore quantize``: a smaller copy of a model, measured beside its original."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from birdcore.commands.options import add_weights
from birdcore.commands.progress import share_bar
from birdcore.config import ModelConfig
from birdcore.errors import ConfigError, WeightsError
from birdcore.files import write_text
from birdcore.models.checkpoint import find_weights
from birdcore.places import data_root

__all__ = ["add_command"]

VALIDATION = "validation"


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add ``quantize`` to the command line."""
    command = commands.add_parser(
        "quantize",
        help="make a smaller copy of a model",
        description="Write a copy of a model that computes with 8-bit numbers, and print its size, speed and figures "
        "beside the original's. The copy is used like any other weights: give its folder as --weights.",
    )
    add_weights(command)
    command.add_argument("--out", required=True, metavar="DIR", help="folder for the copy")
    command.add_argument(
        "--prune", type=float, default=0.0, metavar="S", help="share of the weights to set to zero first (default: 0)"
    )
    command.add_argument(
        "--precision", choices=("int8", "float32"), default="int8", help="float32 only prunes (default: int8)"
    )
    command.add_argument(
        "--manifest", metavar="M.csv", help="table of recordings (default: the one the model was trained with)"
    )
    command.add_argument(
        "--split",
        default=VALIDATION,
        help=f"rows of the table to measure on (default: {VALIDATION}, the fold that the model was validated on)",
    )
    command.set_defaults(run=_quantize)


def _quantize(options: argparse.Namespace) -> int:
    from birdcore.inference.quantization import compare_copies, divide_recordings, quantize  # loads torch

    weights = find_weights(options.weights)
    if not isinstance(weights.config, ModelConfig):
        raise WeightsError(
            f"weights {weights.name!r}: hold no network of ours ({weights.file.name}, {weights.config.architecture}), "
            "so no smaller copy can be made of them; name weights that were trained with birdcore"
        )
    out = Path(options.out)
    if out.resolve() == weights.path.resolve():
        raise ConfigError(f"--out {options.out}: is the folder of the original; name another one")
    trained_with = weights.facts.get("train_config", {}).get("manifest", "manifest.csv")
    manifest = Path(options.manifest) if options.manifest else data_root() / trained_with
    measure, calibrate = divide_recordings(weights, manifest)
    with share_bar("calibrating") as progress:
        copy = quantize(
            weights,
            out,
            calibrate=calibrate,
            sparsity=options.prune,
            precision=options.precision,
            progress=progress,
        )
    rows = {"paths": measure} if options.split == VALIDATION else {"split": options.split}
    with share_bar("measuring both") as progress:
        found = compare_copies(weights, copy, manifest, **rows, progress=progress)
    found = {"split": options.split, "precision": options.precision, "sparsity": options.prune, **found}
    write_text(out / "quantization.json", json.dumps(found, indent=1) + "\n")
    _print(found)
    if options.split == VALIDATION and weights.facts.get("train_config", {}).get("fold", -1) < 0:
        print("The original was trained on all of these recordings: compare the two columns, not either with others.")
    print(f"{out}: written")
    return 0


def _print(found: dict[str, Any]) -> None:
    both = found["original"], found["copy"]
    lines: list[tuple[str, ...]] = [("", *(side["weights"] for side in both))]
    lines.append(("exported network", *(f"{side['file_bytes'] / 1e6:.2f} MB" for side in both)))
    lines.append(("compressed", *(f"{side['compressed_bytes'] / 1e6:.2f} MB" for side in both)))
    lines.append(("time per window", *(f"{side['ms_per_window']:.1f} ms" for side in both)))
    for title, key in (
        ("macro ROC-AUC", "macro_roc_auc"),
        ("cmAP", "class_average_precision"),
        ("top-1", "top1_accuracy"),
    ):
        lines.append((title, *(_figure(side[key]["value"]) for side in both)))
    for title, first, second in lines:
        print(f"{title:<18}{first:>24}{second:>24}")
    change = found["macro_roc_auc_change"]
    print(
        f"{found['original']['num_recordings']} recordings; the copy is {1 / found['size_ratio']:.1f} x smaller and "
        f"{found['speed_ratio']:.2f} x as fast; macro ROC-AUC {'undefined' if change is None else f'{change:+.4f}'}"
    )


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
