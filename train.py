"""Train a model: python train.py --config configs/crnn.toml [--run DIR] [--set key=value …], or --resume DIR.

Many at once: with --folds N every fold of a config, with --sweep FILE a search over settings; the same command with
the same --run goes on with what was interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import os
import signal
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

from birdcore.config import TrainConfig, from_dict, to_dict
from birdcore.errors import BirdcoreError, ConfigError
from birdcore.places import data_root, runs_root
from birdcore.training.processes import process_rank
from birdcore.training.queue import advance_queue, see_through
from birdcore.training.run_directory import RunDirectory


def read_config(path: Path, overrides: list[str]) -> TrainConfig:
    """TrainConfig from a TOML file and ``key=value`` overrides (values in TOML syntax; bare words are text).

    Raises
    ------
    ConfigError
        If the file cannot be read, or a setting is unknown or wrong.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error})") from error
    config = from_dict(TrainConfig, values, source=path.name)
    changed = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(f"--set {override}: expected key=value")
        try:
            changed[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            changed[key] = text
    return from_dict(TrainConfig, to_dict(config) | changed, source="--set")


def main(arguments: list[str] | None = None) -> int:
    """Start or resume a run; 0 when it ended well, 1 with a sentence when not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description="Train a model; everything about the run is written to its directory.")
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--config", type=Path, help="settings as TOML, see configs/")
    start.add_argument("--resume", type=Path, metavar="DIR", help="run directory to go on with")
    start.add_argument(
        "--job", type=Path, metavar="DIR", help="run directory to see through to its end (the queue's way)"
    )
    start.add_argument("--sweep", type=Path, metavar="FILE", help="search over settings, see configs/sweeps/")
    parser.add_argument("--folds", type=int, metavar="N", help="train each of N folds and their ensemble")
    parser.add_argument(
        "--splits", metavar="LIST", help="with --folds: grouped,stratified trains both and shows what leakage is worth"
    )
    parser.add_argument(
        "--run", type=Path, metavar="DIR", help="run directory to make (default: runs/<time>-<architecture>)"
    )
    parser.add_argument(
        "--probe", type=int, metavar="N", help="train N steps only, and say how fast that is and what memory it takes"
    )
    parser.add_argument("--set", action="extend", nargs="+", default=[], metavar="KEY=VALUE", help="override settings")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder (default: BIRDCORE_DATA, or data/)")
    parser.add_argument(
        "--track", choices=("wandb", "mlflow"), help="also log to this service (default: BIRDCORE_TRACK, or none)"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    if options.track:
        os.environ["BIRDCORE_TRACK"] = options.track  # so that further processes of this training have it, too
    try:
        if options.job:
            run = RunDirectory.open(options.job)
            with _stopping_on_termination(run):
                return 0 if see_through(run) == 0 else 1
        if options.probe is not None:
            _probe(options)
            return 0
        if options.sweep or options.folds is not None or options.splits:
            _train_many(options)
            return 0
        run = _open_run(options)
        print(f"run directory: {run.path}")
        if arguments is None and options.config:
            # Where devices > 1, Fabric starts this command line once more per device, and those are to join this run.
            data = ["--data", str(options.data)] if options.data else []
            sys.argv[1:] = ["--resume", str(run.path), *data]
        with _leading(run) if process_rank() == 0 else contextlib.nullcontext():
            _fit(run, data_root=options.data.resolve() if options.data else data_root())
    except BirdcoreError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; go on with: python train.py --resume DIR", file=sys.stderr)
        return 130
    return 0


def _fit(run: RunDirectory, *, data_root: Path) -> None:
    job = run.job()
    if job and job.kind == "folds":
        _require_one_device(run.config)
        from birdcore.training.fold_job import fit_folds  # imported here: torch takes a while

        fit_folds(run, data_root=data_root)
    else:
        from birdcore.training.loop import fit

        fit(run, data_root=data_root)


def _probe(options: argparse.Namespace) -> None:
    """A few steps of a config, or of a probe that a page has prepared."""
    if options.sweep or options.folds is not None or options.splits:
        raise ConfigError("--probe goes with --config alone")
    if not 1 <= options.probe <= 1000:
        raise ConfigError(f"--probe {options.probe}: must be 1 to 1000 steps")
    from birdcore.training.probe import make_probe, measure_probe

    data = options.data.resolve() if options.data else data_root()
    if options.resume:
        measure_probe(RunDirectory.open(options.resume), data_root=data)
        return
    config = read_config(options.config, options.set)
    result = measure_probe(make_probe(config, data_root=data, steps=options.probe), data_root=data)
    memory = f"{result.memory_bytes / 1e9:.1f} GB of memory"
    if result.device_memory_bytes:
        memory += f", {result.device_memory_bytes / 1e9:.1f} GB on the {result.device} device"
    minutes = result.estimate_seconds(config) / 60
    print(f"{result.windows_per_second:.1f} windows/s, {memory}; the whole run takes about {minutes:.0f} min")


def _train_many(options: argparse.Namespace) -> None:
    """All runs of a sweep or a cross-validation, one after the other, in one folder."""
    if options.resume or options.job or (options.sweep and (options.folds is not None or options.splits)):
        raise ConfigError("--folds goes with --config, --splits with --folds, and --sweep stands alone")
    if options.sweep and options.set:
        raise ConfigError("--set does not reach into a sweep; write it under [settings] in the sweep file")
    data = options.data.resolve() if options.data else data_root()
    if options.sweep:
        from birdcore.training.sweep import read_sweep, run_sweep  # imported here: torch takes a while

        sweep = read_sweep(options.sweep, read_config=lambda path: read_config(path, []))
        _require_one_device(sweep.base)
        folder = _folder_of_many(options, f"{sweep.base.architecture}-sweep")
        report = run_sweep(folder, sweep, data_root=data)
        for trial in report["trials"]:
            value = trial["state"] if trial["value"] is None else f"{trial['value']:.4f}"
            print(f"{trial['run']}  {report['metric']} {value}  {trial['settings']}")
        print(f"best: {report['best']['run']}; table and heat map: {folder}/sweep.csv, sweep.png, sweep.svg")
        return
    if options.folds is None:
        raise ConfigError("--splits goes with --folds N")
    config = read_config(options.config, [*options.set, f"num_folds={options.folds}", "fold=0"])
    _require_one_device(config)
    splits = [part.strip() for part in options.splits.split(",")] if options.splits else [config.split]
    for split in splits:
        read_config(options.config, [f"split={split}"])  # a wrong one is told before the others have trained
    from birdcore.training.folds import compare_splits, describe_folds, train_folds

    folder = _folder_of_many(options, f"{config.architecture}-folds")
    if len(splits) > 1:
        report = compare_splits(folder, config, splits=splits, data_root=data)
    else:
        report = train_folds(folder, dataclasses.replace(config, split=splits[0]), data_root=data)
    print(describe_folds(report))


def _folder_of_many(options: argparse.Namespace, name: str) -> Path:
    folder = options.run.resolve() if options.run else runs_root() / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    print(f"run directories in: {folder} (go on with an interrupted one by --run {folder})")
    return folder


def _require_one_device(config: TrainConfig) -> None:
    if config.devices > 1:
        raise ConfigError(f"devices = {config.devices}: folds and sweeps train one run after the other, on one device")


def _open_run(options: argparse.Namespace) -> RunDirectory:
    """The run to train: one that exists, or a new one, which the first of several processes makes for all."""
    if options.resume:
        if options.set:
            raise ConfigError("--set cannot change a run that exists; start a new one")
        return RunDirectory.open(options.resume)
    config = read_config(options.config, options.set)  # a wrong setting is told in a moment, before torch loads
    if process_rank() > 0:
        if not options.run:
            raise ConfigError("--run DIR is needed where several processes train one run")
        return _await_run(options.run)
    folder = options.run.resolve() if options.run else None
    run = RunDirectory.create(folder.parent if folder else runs_root(), config, name=folder.name if folder else None)
    run.write_status(state="running", pid=None, message="starting")
    return run


def _await_run(path: Path) -> RunDirectory:
    """The run directory that the first process makes."""
    for _ in range(600):
        if (path / "config.json").is_file():
            return RunDirectory.open(path)
        time.sleep(0.1)
    raise ConfigError(f"{path}: did not appear within a minute; do all processes see the same folder?")


@contextlib.contextmanager
def _leading(run: RunDirectory) -> Iterator[None]:
    """What the first of the processes does beside training: it beats, obeys SIGTERM, and lets the queue go on after."""
    try:
        with _stopping_on_termination(run), run.beating():
            yield
    finally:
        advance_queue(run.path.parent)


@contextlib.contextmanager
def _stopping_on_termination(run: RunDirectory) -> Iterator[None]:
    """SIGTERM (a shutdown, a scheduler that needs the machine) stops the run as a person would: it saves, then ends."""
    before = signal.signal(signal.SIGTERM, lambda *_: run.request_stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
