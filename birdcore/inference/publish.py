"""From a finished training run to shipped weights.

Calibrate, measure on the test split, write the model card, ask the gate, install.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from birdcore.config import ModelConfig
from birdcore.data.recordings import read_backgrounds, read_manifest
from birdcore.errors import AcceptanceError, DataError, WeightsError
from birdcore.evaluation.calibration import (
    expected_calibration_error,
    fit_isotonic,
    fit_temperature,
    reliability_diagram,
    select_thresholds,
)
from birdcore.evaluation.metric_names import (
    ALL_RECORDINGS,
    CMAP,
    FALSE_ALARMS,
    FRAME_F1,
    KNOWN_FROM_UNKNOWN,
    MACRO_ROC_AUC,
    TOP1,
    metric_of,
)
from birdcore.files import write_text
from birdcore.inference.acceptance import examine
from birdcore.inference.clip_report import evaluate_clips
from birdcore.inference.engine import OnnxEngine, TorchEngine
from birdcore.inference.localization_report import complete_recordings, evaluate_localization
from birdcore.inference.predictor import Predictor
from birdcore.inference.publication import FALSE_ALARM_TARGET
from birdcore.inference.rejection_report import evaluate_rejection
from birdcore.models.card import model_card
from birdcore.models.checkpoint import Weights, find_weights, load_model, save_weights
from birdcore.models.ensemble import member_config
from birdcore.models.registry import localizes
from birdcore.models.versions import install_weights

__all__ = ["has_test_split", "noise_bias", "publish"]

logger = logging.getLogger(__name__)

UNSTATED = frozenset({"unstated", "unknown", "others"})
"""Entries among a run's licences that leave open what may be done with a recording."""

LEAST_POSITIVES = 5
"""Validation recordings a class needs for a threshold of its own."""


def noise_bias(weights: Weights, backgrounds: list[Path], *, false_alarms: float = FALSE_ALARM_TARGET) -> float:
    """Shift of the clip log-odds that keeps bird-free windows below the threshold.

    Parameters
    ----------
    weights : the network, its own bias and temperature still 0 and 1
    backgrounds : bird-free recordings that nothing trained on
    false_alarms : share of their windows that may stay above the threshold

    Returns
    -------
    log-odds to subtract, 0 or more: the level that all but this share of the windows stay below

    Raises
    ------
    DataError
        If there is no background.
    """
    if not backgrounds:
        raise DataError(
            "no bird-free background to calibrate on; the background table has none in its validation split"
        )
    predictor = Predictor(weights, TorchEngine(weights))
    best = np.concatenate([predictor.analyze(path, overlap=0.0).windows.max(axis=1) for path in backgrounds])
    level = float(np.quantile(np.clip(best, 1e-7, 1 - 1e-7), 1 - false_alarms))
    return max(0.0, float(np.log(level / (1 - level))))


def publish(
    run_weights: str | Path,
    folder: str | Path,
    *,
    data: Path,
    summary: str,
    limits: list[str],
    frame_bias: float = 0.0,
    false_alarms: float = FALSE_ALARM_TARGET,
    prefix: str = "",
    progress: Callable[[str, float], None] | None = None,
) -> Weights:
    """Calibrate and measure a run's weights, and install them where they pass the gate.

    Whatever comes of it is kept in ``RUN/draft/<name>``: the calibrated weights with their report and card, and
    ``acceptance.json`` with every check.

    Parameters
    ----------
    run_weights : ``weights`` folder of a training run
    folder : where to install, e.g. ``weights/crnn``; what is there becomes an earlier version
    data : folder with the tables that the run's config names
    summary : one line for the model's card on the screen
    limits : known weaknesses, a sentence each
    frame_bias : see ModelConfig; chosen on a validation fold, by a run of the same settings that held one out
    false_alarms : share of bird-free validation windows that may report anything, in [0, 1)
    prefix : beginning of the names of the annotated files to measure on; "" for all
    progress : called with the name of a step and the share of it done

    Raises
    ------
    AcceptanceError
        If the model does not pass the gate; the message says where.
    BirdcoreError
        If the weights or tables cannot be used.
    """

    def step(name: str) -> Callable[[float], None] | None:
        return (lambda share: progress(name, share)) if progress else None

    source, folder = find_weights(run_weights), Path(folder)
    draft_folder = source.path.parent / "draft" / folder.name
    (draft_folder / "acceptance.json").unlink(missing_ok=True)  # of an earlier attempt
    draft = _prepare(
        source,
        draft_folder,
        data=data,
        summary=summary,
        limits=limits,
        frame_bias=frame_bias,
        false_alarms=false_alarms,
        prefix=prefix,
        step=step,
    )
    settings = source.facts["train_config"]
    checks = examine(
        Predictor(draft, OnnxEngine(draft)),
        manifest=data / settings["manifest"] if has_test_split(data, settings) else None,
        background=data / settings["background"] if settings["background"] else None,
        replaced=_replaced(folder),
        progress=step("gate"),
    )
    rows = [dataclasses.asdict(check) for check in checks]
    write_text(draft.path / "acceptance.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    failed = [check.sentence for check in checks if check.passed is False]
    if failed:
        raise AcceptanceError(
            f"{folder.name}: not published, as it did not pass the gate. {' '.join(failed)} "
            f"The calibrated weights and their figures are kept in {draft.path}."
        )
    return install_weights(draft.path, folder)


def has_test_split(data: Path, settings: dict[str, Any]) -> bool:
    """Whether a data folder holds recordings set aside for testing, in the table that a run's settings name."""
    table = data / settings["manifest"]
    if settings.get("data_format", "manifest") != "manifest" or not table.is_file():
        return False
    return any(recording.split == "test" for recording in read_manifest(table))


def _replaced(folder: Path) -> Any:
    """A predictor of the weights that are in the place; None where there are none that can be used."""
    try:
        return Predictor.load(folder.resolve())
    except WeightsError:
        return None


def _prepare(
    source: Weights,
    folder: Path,
    *,
    data: Path,
    summary: str,
    limits: list[str],
    frame_bias: float,
    false_alarms: float,
    prefix: str,
    step: Callable[[str], Callable[[float], None] | None],
) -> Weights:
    """Calibrated weights with report and card."""
    settings = source.facts["train_config"]
    manifest, extra = data / settings["manifest"], settings["extra_manifest"]
    background, strong = settings["background"], settings["strong"]
    config = dataclasses.replace(source.config, frame_bias=frame_bias)
    quiet = read_backgrounds(data / background) if background else []
    validation = [b.path for b in quiet if b.has_bird is False and b.split == "validation"]
    if validation:
        config = dataclasses.replace(config, bias=noise_bias(source, validation, false_alarms=false_alarms))
    config, calibration = _calibrate(config, source.path.parent / "results" / "validation.npz")
    facts = source.facts | {"summary": summary, "calibration": calibration}
    written = save_weights(folder, load_model(source), config, facts, compact=True)
    predictor = Predictor(written, OnnxEngine(written))
    report: dict[str, Any] = {}
    if has_test_split(data, settings):
        report["clips"] = evaluate_clips(predictor, manifest, progress=step("recordings"))
        if strong and localizes(config):
            if complete_recordings(data / strong, prefix=prefix):
                report["localization"] = evaluate_localization(
                    predictor, data / strong, prefix=prefix, progress=step("boxes")
                )
            else:
                logger.warning(
                    "%s: no recording of the test split%s is annotated from end to end, so it is not measured when and "
                    "at what frequency the model hears",
                    data / strong,
                    f" whose name begins with {prefix!r}" if prefix else "",
                )
        if extra:
            codes = {recording.label for recording in read_manifest(data / extra)}
            report["rejection"] = evaluate_rejection(
                predictor,
                manifest,
                data / extra,
                held_out_codes=codes - set(source.facts["auxiliary"]),
                backgrounds_path=data / background if background else None,
                progress=step("unknown species and backgrounds"),
            )
    facts = written.facts | {
        "metrics": _headline_metrics(report) or _validation_metrics(source.facts.get("validation", {})),
        "licence": _licence(config, source.facts.get("provenance", {})),
        "limits": limits,
    }
    written = save_weights(folder, load_model(source), config, facts, compact=True)
    write_text(written.path / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    write_text(written.path / "README.md", model_card(written, report))
    return written


def _licence(config: ModelConfig, provenance: Mapping[str, Any]) -> str:
    """What may be done with the weights: what the recordings' licences ask, as the run's record counts them."""
    stated = provenance.get("licences") or "unstated"
    names = [re.sub(r" \(\d+\)$", "", part) for part in stated.split("; ")]
    if all(name.lower() in UNSTATED for name in names):
        terms = "the recordings' licences are unstated: treat them as for non-commercial use only"
    elif any(name.lower() in UNSTATED or re.search(r"\bNC\b|non-?commercial", name, re.IGNORECASE) for name in names):
        terms = f"for non-commercial use only, as licences of the recordings ask or do not tell: {stated}"
    else:
        terms = f"keep to the licences of the recordings: {stated}"
    further = ""
    network = member_config(config) if config.architecture == "ensemble" else config
    if network.options.get("trunk") == "birdnet":
        further += "; they are adapted from BirdNET V2.4 and share its licence, CC BY-NC-SA 4.0"
    if not provenance.get("teacher", "none").startswith("none"):
        further += "; they share the licence of the model that taught them"
    return f"Weights: {terms}{further}. Code: MIT."


def _calibrate(config: ModelConfig, scored: Path) -> tuple[ModelConfig, dict[str, Any]]:
    """Temperature and thresholds per class from what the best epoch says of its validation recordings.

    A class's threshold becomes a shift of its log-odds, so that one slider still moves all of them.

    Returns
    -------
    config, and what was fitted, with the calibration error before and after
    """
    if not scored.is_file():
        return config, {"fitted_on": "nothing: the run held out no recordings"}
    with np.load(scored, allow_pickle=False) as arrays:
        labels, logits = arrays["labels"].astype(float), arrays["logits"].astype(float)
    shifted = logits - config.bias
    if not labels.any() or labels.all():
        return config, {"fitted_on": "nothing: the held-out recordings hold every class, or none"}
    temperature = fit_temperature(labels, shifted)

    def probability(values: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-np.clip(values, -60.0, 60.0)))

    calibrated = probability(shifted / temperature)
    thresholds = select_thresholds(labels, calibrated, least_positives=LEAST_POSITIVES)
    # Only ever towards fewer reports: the bias above keeps noise silent, and must go on doing so.
    shifts = np.maximum(0.0, temperature * np.log(thresholds / (1 - thresholds)))
    facts = {
        "fitted_on": f"{len(labels)} validation recordings",
        "temperature": temperature,
        "expected_calibration_error_before": expected_calibration_error(labels, probability(shifted)),
        "expected_calibration_error_after": expected_calibration_error(labels, calibrated),
        "isotonic_calibration_error": expected_calibration_error(labels, fit_isotonic(labels, shifted)(shifted)),
        "reliability": [dataclasses.asdict(b) for b in reliability_diagram(labels, calibrated) if b.count],
        "thresholds": {
            name.code: float(threshold) for name, threshold in zip(config.class_names, thresholds, strict=True)
        },
    }
    return dataclasses.replace(config, temperature=temperature, class_biases=tuple(shifts.tolist())), facts


def _validation_metrics(row: dict[str, Any]) -> dict[str, Any]:
    """Figures of the held-out fold, for data without a test split; they chose the epoch, and so flatter it."""
    titles = {"macro_auc": MACRO_ROC_AUC, "cmap": CMAP, "top1": TOP1}
    return {metric_of(title, "validation fold"): row[key] for key, title in titles.items() if row.get(key) is not None}


def _headline_metrics(report: dict[str, Any]) -> dict[str, Any]:
    """The figures that are shown first: name → value, or {value, low, high} with a 95 % interval."""
    metrics: dict[str, Any] = {}
    if not report:
        return metrics
    sections = (
        ("all", ALL_RECORDINGS),
        ("field", "field recordings"),
        ("reed_warblers", "reed warblers, 4-way"),
        ("across_sources", "across sources"),
    )
    for key, title in sections:
        section = report["clips"].get(key)
        if section:
            metrics[metric_of(MACRO_ROC_AUC, title)] = section["macro_roc_auc"]
            metrics[metric_of(CMAP, title)] = section["class_average_precision"]
            metrics[metric_of(TOP1, title)] = section["top1_accuracy"]
    if "localization" in report:
        found = report["localization"]
        metrics[FRAME_F1] = found["frames"]["macro_f1"]
        metrics["event macro F1 (200 ms collar)"] = found["events_by_collar"]["macro_f1"]
        metrics["event macro F1 (IoU 0.5)"] = found["events_by_overlap"]["macro_f1"]
        if found["dice"] is not None:  # the boxes have bands
            metrics["time-frequency Dice"] = found["dice"]["macro"]
            for iou, value in found["box_average_precision"].items():
                metrics[f"box average precision at IoU {iou}"] = value
    if "rejection" in report:
        found = report["rejection"]
        metrics[KNOWN_FROM_UNKNOWN] = found["auroc"]
        metrics["unknown rejected where 85 % of known are named"] = found["answered"]["rejected_share"]
        metrics["unknown rejected where 85 % of known are named right"] = found["answered_right"]["rejected_share"]
        metrics["known named at the default threshold"] = found["at_threshold"]["known_answered"]
        metrics["unknown rejected at the default threshold"] = found["at_threshold"]["unknown_rejected"]
        if found["false_alarms"]:
            metrics[FALSE_ALARMS] = found["false_alarms"]["rate"]
    return metrics
