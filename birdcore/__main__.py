"""The command line: ``python -m birdcore COMMAND``; ``--help`` lists the commands, and after one of them its options.

Exit status: 0 where all went well, 2 where the command cannot be carried out as given, 3 where some recordings failed
(they are listed in ``failures.csv``), 130 where it was interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from birdcore import __version__
from birdcore.commands import classifier, data, outside, quantize, submission
from birdcore.commands.options import (
    EXIT_INTERRUPTED,
    EXIT_REFUSED,
    EXIT_SOME_FAILED,
    add_engine,
    add_weights,
    number,
    seconds,
    share,
)
from birdcore.commands.progress import batch_bar, share_bar, step_bar
from birdcore.config import to_dict
from birdcore.errors import BirdcoreError, RunError
from birdcore.export.cells import terminal_text
from birdcore.files import write_text
from birdcore.inference.batch import FORMATS, analyze_files
from birdcore.inference.clip_report import evaluate_clips
from birdcore.inference.localization_report import evaluate_localization
from birdcore.inference.publication import FALSE_ALARM_TARGET, record_publication
from birdcore.locks import exclusive_lock
from birdcore.models.checkpoint import find_weights, list_problems, list_weights
from birdcore.models.versions import finish_installations
from birdcore.places import check_weights_name, data_root, weights_root
from birdcore.training.presets import list_presets

__all__ = ["main"]

COMMANDS: tuple[ModuleType, ...] = (classifier, data, outside, quantize, submission)
"""Modules of ``birdcore.commands``; they import what is slow only when they are run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : words of the command line; those of the process where None

    Returns
    -------
    The exit status.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        return options.run(options)
    except BirdcoreError as error:
        print(f"birdcore {options.command}: {terminal_text(str(error))}", file=sys.stderr)
        return EXIT_REFUSED
    except OSError as error:
        where = f"{terminal_text(str(error.filename))}: " if error.filename else ""
        print(f"birdcore {options.command}: {where}{error.strerror or error}", file=sys.stderr)
        return EXIT_REFUSED
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where it was.", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m birdcore", description="Which birds sing in a recording, when, and at what frequency."
    )
    parser.add_argument("--version", action="version", version=f"birdcore {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    analyze = commands.add_parser(
        "analyze",
        help="analyse recordings and write tables of what was found",
        description="Analyse recordings and write tables of what was found. An interrupted batch goes on where it was "
        "when the same command is given again; a recording that fails never stops the others.",
    )
    analyze.add_argument("paths", nargs="+", metavar="PATH", help="recordings, and folders of recordings")
    analyze.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    add_weights(analyze)
    add_engine(analyze)
    analyze.add_argument(
        "--formats",
        type=_formats,
        default=("csv",),
        metavar="LIST",
        help=f"tables to write, separated by commas, of {', '.join(FORMATS)} (default: csv, which is always written)",
    )
    analyze.add_argument(
        "--threshold", type=share, metavar="T", help="confidence from which on events are reported, above 0, at most 1"
    )
    analyze.add_argument(
        "--overlap", type=seconds, metavar="S", help="seconds that windows share (default: half a window)"
    )
    analyze.set_defaults(run=_analyze)

    models = commands.add_parser("models", help="list architectures and weights")
    models.add_argument("--json", action="store_true", help="everything that is known about them, as JSON")
    models.set_defaults(run=_models)

    evaluate = commands.add_parser(
        "evaluate",
        help="measure weights on annotated recordings",
        description="Measure weights on annotated recordings. Give a manifest, for how well species are named, "
        "annotations, for how well it is told when and at what frequency they sing, or both.",
    )
    add_weights(evaluate)
    add_engine(evaluate)
    evaluate.add_argument("--manifest", metavar="M.csv", help="table of recordings: path, species_code, …")
    evaluate.add_argument("--annotations", metavar="A.csv", help="table of boxes: filename, start_s, end_s, …")
    evaluate.add_argument("--split", default="test", help="rows of the tables to use (default: test; '' for all)")
    evaluate.add_argument(
        "--prefix",
        default="",
        metavar="TEXT",
        help="use annotated files only whose names begin so, e.g. nbm/ (default: all)",
    )
    evaluate.add_argument("--json", metavar="OUT", help="file for the figures (default: printed)")
    evaluate.set_defaults(run=_evaluate, parser=evaluate)

    publish = commands.add_parser(
        "publish",
        help="calibrate, measure and ship the weights of a training run",
        description="Calibrate the weights of a training run, measure them on the test split, and install them with their "
        "model card where they pass the gate: noise, speech, silence, better than chance, and no worse than what they "
        "replace.",
    )
    publish.add_argument("training_run", metavar="RUN", help="run directory")
    publish.add_argument("--name", required=True, help="name of the weights to write")
    publish.add_argument("--data", metavar="DIR", help="data folder (default: BIRDCORE_DATA, or data/)")
    publish.add_argument("--summary", default="", metavar="TEXT", help="one line for the model's card")
    publish.add_argument("--limit", action="append", default=[], metavar="TEXT", help="a known weakness, for the card")
    publish.add_argument(
        "--frame-bias", type=number, default=0.0, metavar="B", help="log-odds to subtract from frame scores"
    )
    publish.add_argument(
        "--false-alarms",
        type=share,
        default=FALSE_ALARM_TARGET,
        metavar="S",
        help=f"share of bird-free validation windows that may report anything (default: {FALSE_ALARM_TARGET:g})",
    )
    publish.add_argument(
        "--prefix",
        default="",
        metavar="TEXT",
        help="measure boxes on annotated files only whose names begin so, e.g. nbm/ (default: all)",
    )
    publish.set_defaults(run=_publish)
    for module in COMMANDS:
        module.add_command(commands)
    return parser


def _formats(text: str) -> tuple[str, ...]:
    formats = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise argparse.ArgumentTypeError(f"{text!r}: expected some of {','.join(FORMATS)}")
    return formats


def _load(options: argparse.Namespace) -> Any:
    """The predictor asked for."""
    from birdcore.inference.predictor import Predictor  # loads torch, which --help should not wait for

    return Predictor.load(options.weights, engine=options.engine)


def _analyze(options: argparse.Namespace) -> int:
    predictor = _load(options)
    with batch_bar() as progress:
        report = analyze_files(
            predictor,
            options.paths,
            output=options.out,
            formats=options.formats,
            threshold=options.threshold,
            overlap=options.overlap,
            progress=progress,
        )
    resumed = f" ({report.num_resumed} of them before)" if report.num_resumed else ""
    print(f"{report.num_recordings} recordings{resumed}, {report.num_events} events: {report.output}")
    for path, fault in report.faults:
        print(f"analysed in part: {terminal_text(path)}: {terminal_text(fault)}", file=sys.stderr)
    if report.failures:
        listed = report.output / "failures.csv"
        print(f"{len(report.failures)} could not be analysed; the reasons are in {listed}", file=sys.stderr)
        return EXIT_SOME_FAILED
    return 0


def _models(options: argparse.Namespace) -> int:
    from birdcore.models.registry import list_architectures  # loads torch

    architectures, weights = list_architectures(), list_weights()
    presets, problems = list_presets()
    if options.json:
        _print_json(
            {
                "presets": [
                    {"name": name, "about": preset.about, "config": to_dict(preset.config)}
                    for name, preset in presets.items()
                ],
                "architectures": architectures,
                "weights": [
                    {"name": w.name, "path": str(w.path), "model": to_dict(w.config), "facts": w.facts} for w in weights
                ],
            }
        )
        return 0
    print("Architectures")
    for architecture in architectures:
        print(f"  {architecture['name']:<18}{architecture['summary']}")
    print("Presets, for train.py --config configs/NAME.toml")
    for name, preset in presets.items():
        print(f"  {name:<26}{preset.config.architecture} on {preset.config.features}")
    print("Weights")
    for w in weights:
        what = "classes" if w.is_outside else "species"
        print(f"  {w.name:<18}{w.facts.get('summary', w.config.architecture)} ({w.config.num_classes:,} {what})")
        if w.is_outside:
            print(f"  {'':<18}made by others. {w.facts['licence']}")
    if not weights:
        print("  none; train some, or name their folder in BIRDCORE_WEIGHTS")
    for problem in [*problems, *list_problems()]:
        print(f"  cannot be used: {problem}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    if not options.manifest and not options.annotations:
        options.parser.error("give --manifest, --annotations, or both")
    if options.json and Path(options.json).is_dir():
        options.parser.error(f"--json {options.json}: is a folder; name a file in it")
    predictor = _load(options)
    result: dict[str, Any] = {
        "birdcore": __version__,
        "weights": predictor.weights.name,
        "sha256": predictor.weights.facts.get("sha256"),
        "engine": predictor.engine,
    }
    if options.manifest:
        with share_bar("recordings") as progress:
            result["clips"] = evaluate_clips(predictor, options.manifest, split=options.split, progress=progress)
    if options.annotations:
        with share_bar("annotations") as progress:
            result["localization"] = evaluate_localization(
                predictor, options.annotations, split=options.split, prefix=options.prefix, progress=progress
            )
    if not options.json:
        _print_json(result)
        return 0
    write_text(options.json, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    _print_figures(result)
    return 0


def _publish(options: argparse.Namespace) -> int:
    name, run, root = options.name, Path(options.training_run), weights_root()
    check_weights_name(name)
    if not run.is_dir():
        raise RunError(f"{run}: not found; name the directory of a training run")
    refusal = f"{name}: is being published already; wait until that has ended"
    # Whatever stops it from here on is told by the record, which is all that the app sees of it.
    with record_publication(run, name) as record, contextlib.ExitStack() as stack:
        find_weights(run / "weights")
        root.mkdir(parents=True, exist_ok=True)
        stack.enter_context(exclusive_lock(root / f".{name}.publishing", timeout_seconds=1.0, refusal=refusal))
        bar = stack.enter_context(step_bar())
        from birdcore.inference.publish import publish  # loads torch, which --help should not wait for

        finish_installations(root)

        def progress(step: str, share: float) -> None:
            record(step, share)
            bar(step, share)

        weights = publish(
            run / "weights",
            root / name,
            data=Path(options.data).resolve() if options.data else data_root(),
            summary=options.summary or f"Trained by run {Path(options.training_run).name}.",
            limits=options.limit,
            frame_bias=options.frame_bias,
            false_alarms=options.false_alarms,
            prefix=options.prefix,
            progress=progress,
        )
    print(f"{weights.path}: written")
    for title, figure in weights.facts["metrics"].items():
        print(f"  {title}: {_figure(figure['value'] if isinstance(figure, dict) else figure)}")
    return 0


def _print_json(content: Any) -> None:
    # Escaped: a terminal that is not UTF-8 could not print the names of some birds.
    print(json.dumps(content, indent=2))


def _print_figures(result: dict[str, Any]) -> None:
    """The headline figures on the terminal."""
    for name in ("all", "field", "reed_warblers", "across_sources"):
        section = result.get("clips", {}).get(name)
        if section:
            figures = ", ".join(
                f"{title} {_figure(section[metric]['value'])}"
                for metric, title in (
                    ("macro_roc_auc", "macro AUC"),
                    ("class_average_precision", "cmAP"),
                    ("top1_accuracy", "top-1"),
                )
            )
            print(f"{name.replace('_', ' ')} ({section['num_recordings']} recordings): {figures}")
    if "localization" in result:
        localization = result["localization"]
        boxes = localization["box_average_precision"] or {}
        figures = {
            "frame macro F1": localization["frames"]["macro_f1"],
            "event macro F1 (collar)": localization["events_by_collar"]["macro_f1"],
            "Dice": (localization["dice"] or {}).get("macro"),
            **{f"AP@{iou}": value for iou, value in boxes.items()},
        }
        listed = ", ".join(f"{title} {_figure(value)}" for title, value in figures.items())
        print(f"localization ({localization['num_recordings']} recordings): {listed}")


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
