"""Every preset trained under one budget on the same data, split and seed, and measured on the same test recordings.

    python -m benchmarks.models [--budget SECONDS] [--only NAME …] [--list] [--speed] [--quick]

The data folder is BIRDCORE_DATA. A short probe measures how fast a preset trains and validates here; epochs and windows
per epoch are then chosen so that it trains for about the budget, and the epoch that is best on the validation fold is
measured on the test split. The figures of presets that have finished under this budget stay in
``benchmarks/results/models.json``, each with the machine it was measured on, and the runs of unfinished ones in
``runs/bench-models/``: the command may be interrupted at any time, and gone on with from another checkout. The table
``models.md`` beside it is written anew after every preset; the README shows the same table, copied.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.model_cost import multiply_adds
from benchmarks.report import RESULTS, best_seconds, machine_facts
from benchmarks.sounds import write_recording
from birdcore.config import TrainConfig, from_dict, to_dict
from birdcore.errors import BirdcoreError
from birdcore.files import write_text
from birdcore.places import data_root, runs_root
from birdcore.training.presets import list_presets

__all__ = ["choose_epochs", "curve", "finished_rows", "markdown", "table"]

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 600.0
FEWEST_EPOCHS, MOST_EPOCHS = 5, 40
VALIDATION_SHARE = 0.25
"""Epochs are many enough that the best can be told, and few enough that validating them takes at most this share of the
budget (or so few as that allows)."""

BOXED_BY_HAND = "nbm/"
"""Where the data folder keeps the recordings that people boxed, beside those boxed by a program."""

SOUND_SECONDS = 120.0
CHANCE_AUC = 0.5
CLEARLY_ABOVE_CHANCE = 0.7
"""A preset whose interval begins below this has not learnt what it should, and the table says so."""

SHARED = {"data_format": "manifest", "manifest": "manifest.csv", "split": "grouped", "fold": 0, "num_folds": 5}
SHARED |= {"seed": 0, "devices": 1, "patience": 0, "teacher": ""}
"""What is the same for every preset, whatever its file says."""

_BARS = "▁▂▃▄▅▆▇█"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="training time of each preset (default: 600)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="presets to train (default: all in configs/)")
    parser.add_argument("--list", action="store_true", help="list the presets and what has finished")
    parser.add_argument("--speed", action="store_true", help="only measure the speed of finished presets anew")
    parser.add_argument("--quick", action="store_true", help="a few seconds each, to see that it works; keeps nothing")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    budget = options.budget or (10.0 if options.quick else BUDGET_SECONDS)
    presets, problems = list_presets()
    if problems:
        raise SystemExit("\n".join(problems))
    for name in options.only or []:
        if name not in presets:
            raise SystemExit(f"--only {name}: no such preset; known are {', '.join(presets)}")
    if options.quick:
        with tempfile.TemporaryDirectory() as folder:
            rows = [
                _bench(name, _shared_config(presets[name].config), budget, Path(folder))
                for name in options.only or presets
            ]
        print(markdown(rows, budget=budget))
        return
    configs = {name: _shared_config(preset.config) for name, preset in presets.items()}
    results = RESULTS / "models.json"
    folder = runs_root() / "bench-models" / f"{budget:g}s"
    if options.speed:
        kept = json.loads(results.read_text(encoding="utf-8"))  # those of other settings, too: nothing is trained
        _time_again(kept["rows"], folder)
        _write(kept["rows"], kept["budget_seconds"])
    rows = finished_rows(results, configs, budget=budget)
    if not (options.list or options.speed):
        for name in options.only or presets:
            if name not in rows:
                row = _bench(name, configs[name], budget, folder)
                # Written after each, so that an interrupted bench has its table, too; others may have added to it.
                rows = rows | finished_rows(results, configs, budget=budget) | {name: row}
                _write(list(rows.values()), budget)
    for name in presets:
        print(f"{name:<28}{'finished' if name in rows and 'failed' not in rows[name] else 'not yet'}")


def choose_epochs(
    config: TrainConfig, *, budget: float, seconds_per_window: float, validation_seconds: float
) -> tuple[int, int]:
    """Epochs, and windows per epoch, that train for about a budget.

    A preset keeps its own windows per epoch where that makes 5 to 40 epochs (fewer where validating takes long); else
    they are made more or fewer. Where validating would take most of the budget, there are fewer than 5 epochs; where
    validating once would, a single epoch trains for the whole of it and is validated beyond it.

    Parameters
    ----------
    budget : seconds of training and validation
    seconds_per_window, validation_seconds : as measured

    Returns
    -------
    epochs, windows_per_epoch (a multiple of the batch size)
    """
    batch = config.batch_size

    def windows_for(epochs: int) -> int:
        seconds = budget / epochs - validation_seconds
        return max(1, int(seconds / seconds_per_window) // batch) * batch

    windows = max(1, config.windows_per_epoch // batch) * batch
    epochs = int(budget / (windows * seconds_per_window + validation_seconds))
    most = int(VALIDATION_SHARE * budget / max(validation_seconds, 1e-9))
    most = min(MOST_EPOCHS, max(FEWEST_EPOCHS, most))
    if epochs > most:
        return most, max(windows, windows_for(most))
    if epochs < FEWEST_EPOCHS:
        affordable = int(budget / (batch * seconds_per_window + validation_seconds))
        epochs = max(1, min(FEWEST_EPOCHS, affordable))
        if epochs == 1 and validation_seconds > budget / 2:
            return 1, max(1, int(budget / seconds_per_window) // batch) * batch
        return epochs, min(windows, windows_for(epochs))
    return epochs, windows


def _shared_config(config: TrainConfig) -> TrainConfig:
    return dataclasses.replace(config, **SHARED)


def finished_rows(file: Path, configs: dict[str, TrainConfig], *, budget: float) -> dict[str, dict[str, Any]]:
    """Name → figures of the presets that were measured under this budget and with these settings.

    Parameters
    ----------
    file : the ``models.json`` of earlier benches; need not exist
    configs : name → settings of the presets that there are
    """
    if not file.is_file():
        return {}
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return {
        row["preset"]: row
        for row in rows
        if row.get("budget_seconds") == budget
        and row["preset"] in configs
        and to_dict(from_dict(TrainConfig, row["settings"])) == to_dict(configs[row["preset"]])
    }


def _bench(name: str, config: TrainConfig, budget: float, folder: Path) -> dict[str, Any]:
    """Train and measure one preset, or go on with it."""
    logger.info("preset %s", name)
    try:
        run = _trained(name, config, budget, folder)
        row = _measured(name, run)
    except BirdcoreError as error:
        logger.error("%s: %s", name, error)
        return {"preset": name, "failed": str(error)}
    measured = {"measured": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine_facts()}
    return row | {"budget_seconds": budget, "settings": to_dict(config)} | measured


def _trained(name: str, config: TrainConfig, budget: float, folder: Path) -> Any:
    """The finished run of a preset."""
    from birdcore.training.loop import fit
    from birdcore.training.probe import make_probe, measure_probe
    from birdcore.training.run_directory import RunDirectory

    data = data_root()
    home = folder / name
    if (home / "run" / "config.json").is_file():
        run = RunDirectory.open(home / "run")
        chosen = {"epochs": run.config.epochs, "windows_per_epoch": run.config.windows_per_epoch}
        if dataclasses.replace(config, **chosen) != run.config:
            shutil.rmtree(home)  # begun with other settings
            return _trained(name, config, budget, folder)
    else:
        shutil.rmtree(home, ignore_errors=True)
        probe = measure_probe(make_probe(config, data_root=data, root=home), data_root=data)
        epochs, windows = choose_epochs(
            config,
            budget=budget,
            seconds_per_window=1 / probe.windows_per_second,
            validation_seconds=probe.validation_seconds,
        )
        logger.info("%s: %d epochs of %d windows", name, epochs, windows)
        run = RunDirectory.create(
            home, dataclasses.replace(config, epochs=epochs, windows_per_epoch=windows), name="run"
        )
    if run.status().state != "finished":
        fit(run, data_root=data)
    return run


def _measured(name: str, run: Any) -> dict[str, Any]:
    """Every figure of a trained preset."""
    import torch

    from birdcore.inference.clip_report import evaluate_clips
    from birdcore.inference.engine import OnnxEngine, example_pictures
    from birdcore.inference.localization_report import evaluate_localization
    from birdcore.inference.predictor import Predictor
    from birdcore.models.checkpoint import find_weights, load_model
    from birdcore.models.registry import localizes

    data, config = data_root(), run.config
    weights = find_weights(run.path / "weights")
    predictor = Predictor(weights, OnnxEngine(weights))
    clips = evaluate_clips(predictor, data / config.manifest)
    located: dict[str, Any] = {"frame_macro_f1": None, "time_frequency_dice": None}
    if localizes(weights.config) and config.strong:
        report = evaluate_localization(predictor, data / config.strong, prefix=BOXED_BY_HAND)
        located = {
            "frame_macro_f1": report["frames"]["macro_f1"],
            "time_frequency_dice": (report["dice"] or {}).get("macro"),
        }
    model = load_model(weights)
    with torch.inference_mode():
        operations = multiply_adds(model, torch.from_numpy(example_pictures(weights, batch=1)))
    rows = run.metrics()
    return {
        "preset": name,
        "architecture": config.architecture,
        "initialization": weights.facts.get("initialization", ""),
        "num_recordings": clips["all"]["num_recordings"],
        **{key: clips["all"][key] for key in ("macro_roc_auc", "class_average_precision", "top1_accuracy")},
        **located,
        "million_parameters": weights.facts["parameters"] / 1e6,
        "million_multiply_adds_per_audio_second": operations / weights.config.window_seconds / 1e6,
        "training_clips_per_second": config.windows_per_epoch * len(rows) / sum(row["seconds"] for row in rows),
        "times_real_time": _times_real_time(predictor),
        "epochs": len(rows),
        "windows_per_epoch": config.windows_per_epoch,
        "best_epoch": weights.facts["validation"]["epoch"],
        "training_seconds": sum(row["seconds"] + row["validation_seconds"] for row in rows),
        "validation_macro_auc": [row.get("macro_auc") for row in rows],
        "train_loss": [row["train_loss"] for row in rows],
    }


def _times_real_time(predictor: Any) -> float:
    """Seconds of sound analysed in a second, from the file to the scores."""
    with tempfile.TemporaryDirectory() as folder:
        sound = write_recording(Path(folder) / "recording.flac", seconds=SOUND_SECONDS)
        return SOUND_SECONDS / best_seconds(lambda: predictor.analyze(sound), repeats=3)


def _time_again(rows: list[dict[str, Any]], folder: Path) -> None:
    """Measure the speed of presets whose runs are here anew, one after the other on a machine that does nothing else."""
    from birdcore.inference.engine import OnnxEngine
    from birdcore.inference.predictor import Predictor
    from birdcore.models.checkpoint import find_weights

    for row in rows:
        run = folder / row["preset"] / "run" / "weights"
        if "failed" not in row and run.is_dir():
            weights = find_weights(run)
            row["times_real_time"] = _times_real_time(Predictor(weights, OnnxEngine(weights)))
            logger.info("%s: %.0f times real time", row["preset"], row["times_real_time"])


def _write(rows: list[dict[str, Any]], budget: float) -> None:
    text = json.dumps({"benchmark": "models", "budget_seconds": budget, "rows": rows}, indent=1) + "\n"
    write_text(RESULTS / "models.json", text, durable=True)
    write_text(RESULTS / "models.md", markdown(rows, budget=budget) + "\n")


def markdown(rows: list[dict[str, Any]], *, budget: float) -> str:
    """The table of all presets, the learning curve of each, and notes on those that learnt little or failed."""
    measured = _best_first(rows)
    recordings = measured[0]["num_recordings"] if measured else 0
    threads = sorted({row["machine"]["torch_threads"] for row in measured})
    about = (
        f"Each trained for about {budget:g} s on {' or '.join(map(str, threads)) or 'no'} processor core(s), on the same "
        f"recordings, split and seed, and was measured on the {recordings} recordings of the test split; intervals are "
        "95 % bootstrap intervals over groups."
    )
    curves = [("preset", "epochs (best)", "windows an epoch", "validation macro ROC-AUC by epoch")]
    for row in measured:
        epochs = f"{row['epochs']} ({row['best_epoch']})"
        bars = curve(row["validation_macro_auc"])
        curves.append((f"`{row['preset']}`", epochs, str(row["windows_per_epoch"]), bars))
    notes = []
    for row in measured:
        low = row["macro_roc_auc"]["low"]
        if low is None or low < CLEARLY_ABOVE_CHANCE:
            values = ", ".join(_number(value) for value in row["validation_macro_auc"])
            notes.append(
                f"- `{row['preset']}` does not beat chance by a wide margin: {row['training_clips_per_second']:.1f} windows "
                f"a second let it see {row['epochs'] * row['windows_per_epoch']:,} under this budget, too few for this network "
                f"({(row['initialization'] or 'random weights').rstrip('.')}). Validation macro ROC-AUC by epoch: {values}."
            )
    notes += [f"- `{row['preset']}` could not be trained: {row['failed']}" for row in rows if "failed" in row]
    bars_run = f"Curves run from {CHANCE_AUC} (chance, lowest bar) to 1."
    return "\n\n".join([table(rows), about, _lines(curves), bars_run, *(["\n".join(notes)] if notes else [])])


def table(rows: list[dict[str, Any]]) -> str:
    """The figures of all presets, the best first; the README shows the same."""
    lines = [
        (
            "preset",
            "macro ROC-AUC",
            "cmAP",
            "top-1",
            "frame F1",
            "TF Dice",
            "M parameters",
            "M multiply-adds per s",
            "clips/s in training",
            "× real time",
        )
    ]
    for row in _best_first(rows):
        lines.append(
            (
                f"`{row['preset']}`",
                *(_interval(row[key]) for key in ("macro_roc_auc", "class_average_precision", "top1_accuracy")),
                _number(row["frame_macro_f1"]),
                _number(row["time_frequency_dice"]),
                f"{row['million_parameters']:.2f}",
                f"{row['million_multiply_adds_per_audio_second']:.0f}",
                f"{row['training_clips_per_second']:.1f}",
                f"{row['times_real_time']:.0f}",
            )
        )
    return _lines(lines)


def _best_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((row for row in rows if "failed" not in row), key=lambda row: -(_value(row) or 0.0))


def _lines(cells: list[tuple[str, ...]]) -> str:
    """A Markdown table; the first row is the header."""
    header, *rows = cells
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, tuple("---" for _ in header), *rows])


def curve(values: list[float | None]) -> str:
    """A learning curve as a line of bars, the lowest at chance and the highest at 1; · where undefined."""
    top = len(_BARS) - 1

    def bar(value: float) -> str:
        return _BARS[round(top * min(1.0, max(0.0, (value - CHANCE_AUC) / (1 - CHANCE_AUC))))]

    return "".join("·" if value is None else bar(value) for value in values)


def _value(row: dict[str, Any]) -> float | None:
    return row["macro_roc_auc"]["value"]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(figure: dict[str, float | None]) -> str:
    return f"{_number(figure['value'])} ({_number(figure['low'])}–{_number(figure['high'])})"


if __name__ == "__main__":
    main()
