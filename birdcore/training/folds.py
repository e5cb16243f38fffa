"""Cross-validation: every fold trained in turn, every recording scored by the network that did not train on it.

::

    RUN/
      fold-0/ … fold-4/          run directories; one that has finished is not repeated, an unfinished one goes on
      out_of_fold.parquet        one row per recording or segment: path, onset in seconds, label (codes, a blank
                                 between), group, fold, and the logit of every class
      folds.json                 figures per fold, their mean, and over all out-of-fold rows, with intervals
      weights/                   the folds' networks as one ensemble, a model like any other

The best epoch of a fold is chosen by the same recordings that then score it, as in the published systems, so figures
lean upwards a little; the test split, which nothing here opens, is the judge.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from birdcore.config import ModelConfig, TrainConfig, to_dict
from birdcore.data.feature_cache import FeatureCache
from birdcore.errors import RunError
from birdcore.evaluation.clips import bootstrap_interval
from birdcore.evaluation.comparison import ScoredRecordings
from birdcore.features.mel import MelSpectrogram
from birdcore.models.checkpoint import Weights, find_weights, load_model, save_weights
from birdcore.models.registry import build_model
from birdcore.training.evaluation import collect_scores, read_scores
from birdcore.training.loop import fit
from birdcore.training.run_directory import RunDirectory, replace_atomically
from birdcore.training.sources import collect_training_data
from birdcore.training.validation import METRICS, recording_logits, reference_of

__all__ = ["compare_splits", "describe_folds", "summarize_folds", "train_folds"]

SEED = 0
"""Of the bootstrap, so that a figure comes out the same every time."""


def train_folds(folder: str | Path, config: TrainConfig, *, data_root: Path) -> dict[str, Any]:
    """Train every fold of a config and write the out-of-fold table, the figures and the ensemble; resumable.

    Parameters
    ----------
    folder : where the folds' runs are; made where missing
    config : what to train; ``fold`` is replaced by 0 to ``num_folds - 1``
    data_root : folder of the tables that the config names

    Returns
    -------
    what folds.json holds; see :func:`summarize_folds`

    Raises
    ------
    RunError
        If the folder holds folds of another config, a fold was asked to stop, or there are fewer than two folds.
    BirdcoreError
        If the data or settings cannot be used.
    """
    folder = Path(folder)
    if config.num_folds < 2:
        raise RunError(f"num_folds = {config.num_folds}: cross-validation needs at least 2")
    runs = [
        _open_run(folder, dataclasses.replace(config, fold=fold), f"fold-{fold}") for fold in range(config.num_folds)
    ]
    for run in runs:
        if run.status().state != "finished":
            fit(run, data_root=data_root)
        if run.status().state != "finished":
            raise RunError(f"{run.path}: stopped as asked; the same command goes on where it was")
    scored = [_scores_of(run, data_root) for run in runs]
    replace_atomically(folder / "out_of_fold.parquet", lambda path: _table(scored).to_parquet(path, index=False))
    report = {"split": config.split, **summarize_folds(scored)}
    _write_json(folder / "folds.json", report)
    _write_ensemble(folder, config, [find_weights(run.path / "weights") for run in runs])
    return report


def compare_splits(
    folder: str | Path, config: TrainConfig, *, splits: Sequence[str], data_root: Path
) -> dict[str, Any]:
    """Cross-validate by several ways of splitting, in ``folder/<split>/`` each: what leakage is worth.

    Returns
    -------
    ``splits`` (split → what :func:`train_folds` gives) and ``difference`` (metric → last split's mean over folds minus
    the first's); also written to ``folder/folds.json``

    Raises
    ------
    BirdcoreError
        As :func:`train_folds`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    reports = {
        split: train_folds(folder / split, dataclasses.replace(config, split=split), data_root=data_root)
        for split in splits
    }
    first, last = reports[splits[0]]["mean"], reports[splits[-1]]["mean"]
    report = {
        "splits": reports,
        "difference": {name: _difference(last[name]["value"], first[name]["value"]) for name in METRICS},
    }
    _write_json(folder / "folds.json", report)
    return report


def summarize_folds(scored: Sequence[ScoredRecordings]) -> dict[str, Any]:
    """Figures of a cross-validation.

    Parameters
    ----------
    scored : of each fold, in order, what its best epoch says about the recordings that it held out

    Returns
    -------
    ``folds`` (one row each: fold, best_epoch, num_recordings, macro_auc, cmap, top1); ``mean``, over folds, and
    ``out_of_fold``, over all rows at once, which also asks that the folds' networks agree on what a score means: each
    metric → value, low, high (95 % bootstrap interval over groups; None where undefined)
    """
    rows = [
        {
            "fold": number,
            "best_epoch": fold.epoch,
            "num_recordings": len(fold.recordings),
            **{name: _defined(metric(fold.labels, fold.logits)) for name, metric in METRICS.items()},
        }
        for number, fold in enumerate(scored)
    ]
    reference = np.concatenate([fold.labels for fold in scored])
    logits = np.concatenate([fold.logits for fold in scored])
    numbers = np.concatenate([np.full(len(fold.logits), number) for number, fold in enumerate(scored)])
    groups = [group for fold in scored for group in fold.groups]

    def mean_over_folds(metric: Any) -> Any:
        # The fold travels as a further column, because the bootstrap draws rows of two arrays only.
        def of(reference: np.ndarray, estimated: np.ndarray) -> float:
            present = np.unique(estimated[:, -1])
            values = [metric(reference[estimated[:, -1] == f], estimated[estimated[:, -1] == f, :-1]) for f in present]
            defined = [value for value in values if not math.isnan(value)]
            return float(np.mean(defined)) if defined else math.nan

        return of

    with_fold = np.column_stack([logits, numbers])
    return {
        "num_recordings": len(reference),
        "folds": rows,
        "mean": {
            name: _figure(mean_over_folds(metric), reference, with_fold, groups) for name, metric in METRICS.items()
        },
        "out_of_fold": {name: _figure(metric, reference, logits, groups) for name, metric in METRICS.items()},
    }


def describe_folds(report: dict[str, Any]) -> str:
    """The report of :func:`train_folds` or :func:`compare_splits` as a table for the terminal."""
    if "splits" in report:
        parts = [describe_folds(part) for part in report["splits"].values()]
        first, last = next(iter(report["splits"])), [*report["splits"]][-1]
        listed = "  ".join(f"{name} {_signed(value)}" for name, value in report["difference"].items())
        return "\n\n".join([*parts, f"{last} minus {first} (mean over folds): {listed}"])
    lines = [f"{'split ' + report['split']:<16}{'epoch':>6}{'number':>8}" + "".join(f"{n:>24}" for n in METRICS)]
    for row in report["folds"]:
        figures = "".join(f"{_number(row[name]):>24}" for name in METRICS)
        lines.append(f"{'fold ' + str(row['fold']):<16}{row['best_epoch']:>6}{row['num_recordings']:>8}{figures}")
    for title, key in (("mean over folds", "mean"), ("out of fold", "out_of_fold")):
        figures = "".join(f"{_interval(report[key][name]):>24}" for name in METRICS)
        lines.append(f"{title:<16}{'':>6}{report['num_recordings']:>8}{figures}")
    return "\n".join(lines)


def _open_run(folder: Path, config: TrainConfig, name: str) -> RunDirectory:
    if not (folder / name / "config.json").is_file():
        # Its making was cut short, if there is anything: the config is written last.
        shutil.rmtree(folder / name, ignore_errors=True)
        return RunDirectory.create(folder, config, name=name)
    run = RunDirectory.open(folder / name)
    if run.config != config:
        theirs, ours = to_dict(run.config), to_dict(config)
        key = next(key for key in ours if ours[key] != theirs[key])
        raise RunError(
            f"{run.path}: was begun with {key} = {theirs[key]!r}, now {ours[key]!r} is asked for; choose another --run"
        )
    return run


def _scores_of(run: RunDirectory, data_root: Path) -> ScoredRecordings:
    """What the best epoch of a fold says about the recordings that the fold held out."""
    kept = run.results / "validation.npz"
    if kept.is_file():
        return read_scores(kept)
    # A run from before scores were kept, or one that held out nothing.
    weights = find_weights(run.path / "weights")
    features = MelSpectrogram(weights.config.features)
    data = collect_training_data(run.config, data_root, FeatureCache(features, treatments=run.config.treatments))
    if not data.validation:
        raise RunError(f"{run.path}: its fold holds out no recording; use fewer folds")
    return collect_scores(
        [recording for recording, _ in data.validation],
        seconds=[len(mel) * features.config.frame_seconds for _, mel in data.validation],
        class_names=data.class_names,
        labels=reference_of(data),
        logits=recording_logits(load_model(weights), features, data, weights.config),
        data_root=data_root,
        epoch=weights.facts["validation"]["epoch"],
    )


def _table(folds: Sequence[ScoredRecordings]) -> pd.DataFrame:
    parts = []
    for number, scored in enumerate(folds):
        labels = [" ".join(np.array(scored.codes)[held]) for held in scored.labels.astype(bool)]
        told = {"recording": scored.recordings, "onset": scored.onsets, "label": labels, "group": scored.groups}
        logits = pd.DataFrame(scored.logits, columns=[f"logit {code}" for code in scored.codes])
        parts.append(pd.DataFrame({**told, "fold": number}).join(logits))
    return pd.concat(parts, ignore_index=True)


def _write_ensemble(folder: Path, config: TrainConfig, members: list[Weights]) -> Weights:
    """The folds' networks as one model; what it may know of recordings is all of them, so no fold validates it."""
    first = members[0]
    odd = next((w for w in members if w.config != first.config), None)
    if odd is not None:
        raise RunError(
            f"{odd.path}: names other species than {first.path}, so the folds make no ensemble; did the data change?"
        )
    combined: ModelConfig = dataclasses.replace(
        first.config,
        architecture="ensemble",
        options={
            "architecture": first.config.architecture,
            "members": len(members),
            "options": first.config.options,
        },
    )
    network = build_model(combined)
    for member, weights in zip(network.members, members, strict=True):
        member.load_state_dict(load_model(weights).state_dict())
    facts = {key: first.facts[key] for key in ("auxiliary", "provenance") if key in first.facts}
    facts |= {
        "summary": f"mean of {len(members)} {config.split} folds of {first.config.architecture}",
        "train_config": to_dict(dataclasses.replace(config, fold=-1)),
    }
    return save_weights(folder / "weights", network.eval(), combined, facts)


def _figure(metric: Any, reference: np.ndarray, estimated: np.ndarray, groups: list[str]) -> dict[str, float | None]:
    low, high = bootstrap_interval(metric, reference, estimated, groups=groups, generator=np.random.default_rng(SEED))
    return {"value": _defined(metric(reference, estimated)), "low": _defined(low), "high": _defined(high)}


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _difference(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.4f}"


def _interval(figure: dict[str, float | None]) -> str:
    return f"{_number(figure['value'])} ({_number(figure['low'])}–{_number(figure['high'])})"


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
