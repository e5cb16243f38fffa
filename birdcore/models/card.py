"""Model cards: what a person should know before trusting a model, written from its measured report."""

from __future__ import annotations

import json
from typing import Any

from birdcore.config import MelConfig
from birdcore.models.checkpoint import Weights

__all__ = ["model_card"]


def model_card(weights: Weights, report: dict[str, Any]) -> str:
    """Markdown of a model card.

    Parameters
    ----------
    weights : the folder, with its facts
    report : sections "clips", and where measured "localization" and "rejection", each made by the module of
        ``birdcore.inference`` that has its name (``clip_report``, …)
    """
    config, facts = weights.config, weights.facts
    features, provenance = config.features, facts.get("provenance", {})
    parts = [
        f"# {weights.name}",
        f"{facts['summary']}",
        f"It knows {config.num_classes} species and nothing else: other birds may sing where it reports nothing, and a bird it "
        "does not know may be taken for one it does. It is meant for exploring recordings, not as the only evidence of a species.",
        "## What it is",
        _table(
            ("", ""),
            [
                ("architecture", f"`{config.architecture}`, {facts['parameters'] / 1e6:.1f} million parameters"),
                *([("started from", facts["initialization"])] if facts.get("initialization") else []),
                ("window", f"{config.window_seconds:g} s"),
                *([("recordings go through", ", ".join(config.treatments))] if config.treatments else []),
                ("hears", _hearing(features)),
                (
                    "threshold",
                    f"{config.threshold:g} (log-odds shifted by {config.bias:.2f} to stay silent on bird-free recordings)",
                ),
                ("tensors", f"safetensors ({facts.get('tensors', 'float16')}), sha256 `{facts['sha256']}`"),
            ],
        ),
        "## Data and licence",
        "\n".join(f"- {key.replace('_', ' ')}: {value}" for key, value in provenance.items()),
        f"- other birds trained as further outputs: {len(facts.get('auxiliary', []))} species, never reported\n\n{facts['licence']}",
        "The test split is fixed by the data set and groups recordings by recordist and day or site; no group is on both sides. "
        "Backgrounds are divided by name: three fifths train, one fifth sets the bias, one fifth measures false alarms.",
    ]
    if "clips" in report:
        parts += [
            "## Which species (test split)",
            _clip_table(report["clips"]),
            "Intervals are 95 % bootstrap intervals over groups of recordings. Test sets are small: read the intervals, not the digits.",
        ]
    else:
        figures = [(title, _number(value)) for title, value in facts.get("metrics", {}).items()]
        parts += [
            "## Which species",
            "The data set has no recordings set aside for testing. These are the figures of the recordings that chose the best "
            "epoch, and so flatter it.",
            _table(("", ""), figures),
        ]
    if "localization" in report:
        parts += ["## When and at what frequency", _localization_text(report["localization"])]
    if "rejection" in report:
        parts += ["## What it does not know", _rejection_text(report["rejection"])]
    parts += [
        "## Known weaknesses",
        "\n".join(f"- {limit}" for limit in facts.get("limits", [])),
        *(["## Per class (test split, all recordings)", _class_table(weights, report)] if "clips" in report else []),
        "## Calibration",
        _calibration_text(facts.get("calibration", {})),
        "## How it was trained",
        "```json\n" + json.dumps(facts.get("train_config", {}), indent=1, ensure_ascii=False) + "\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(figure: dict[str, float | None]) -> str:
    if figure["low"] is None:
        return _number(figure["value"])
    return f"{_number(figure['value'])} ({_number(figure['low'])}–{_number(figure['high'])})"


def _hearing(features: MelConfig) -> str:
    bands = f"{features.n_mels} mel bands"
    if features.bass is not None:
        bands = f"{bands}, and as many again below {features.bass.fmax:g} Hz"
    return f"{features.lowest_hz:g} to {features.fmax:g} Hz ({features.sample_rate} Hz audio, {bands})"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def _clip_table(clips: dict[str, Any]) -> str:
    sections = [
        ("all recordings", clips["all"]),
        ("field recordings", clips["field"]),
        ("reed warblers (4-way)", clips["reed_warblers"]),
        ("across sources", clips["across_sources"]),
        *((f"source {name}", section) for name, section in clips["per_source"].items()),
    ]
    rows = [
        (
            title,
            str(section["num_recordings"]),
            _interval(section["macro_roc_auc"]),
            _interval(section["class_average_precision"]),
            _interval(section["top1_accuracy"]),
        )
        for title, section in sections
        if section
    ]
    return _table(("recordings", "number", "macro ROC-AUC", "cmAP", "top-1"), rows)


def _localization_text(found: dict[str, Any]) -> str:
    figures = {
        "frame F1, macro (micro)": f"{_number(found['frames']['macro_f1'])} ({_number(found['frames']['micro_f1'])})",
        "event F1, 200 ms collar, macro": _number(found["events_by_collar"]["macro_f1"]),
        "event F1, temporal IoU 0.5, macro": _number(found["events_by_overlap"]["macro_f1"]),
    }
    columns = {"frame F1": "frame_f1"}
    if found["dice"] is not None:  # the boxes have bands
        precisions = found["box_average_precision"]
        figures["time-frequency Dice, macro"] = _number(found["dice"]["macro"])
        figures |= {f"box average precision at IoU {iou}": _number(value) for iou, value in precisions.items()}
        columns |= {"Dice": "dice"} | {f"AP@{iou}": f"box_average_precision_{iou}" for iou in precisions}
    per_class = [
        (f"`{row['code']}`", str(row["support"]), *(_number(row[key]) for key in columns.values()))
        for row in found["per_class"]
        if row["support"]
    ]
    return "\n\n".join(
        [
            f"On {found['num_recordings']} recordings of the test split whose every bird is boxed, {found['num_events']} boxes of "
            f"{found['num_species']} known species; frames of {1000 * found['grid_seconds']:.0f} ms.",
            _table(("figure", "value"), list(figures.items())),
            _table(("species", "boxes", *columns), per_class),
        ]
    )


def _rejection_text(found: dict[str, Any]) -> str:
    at = found["at_threshold"]
    text = (
        f"{found['num_unknown']} recordings of {found['num_unknown_species']} species that took no part in training, against the "
        f"{found['num_known']} recordings of known species:\n\n"
        f"- best score tells known from unknown with ROC-AUC {_interval(found['auroc'])}\n"
        f"- at the threshold {_number(found['answered']['threshold'])} that still answers for 85 % of the known recordings, "
        f"{100 * found['answered']['rejected_share']:.0f} % of the unknown ones are answered “no species I know”\n"
        f"- at the default threshold {at['threshold']:g}, {100 * at['known_answered']:.0f} % of the known recordings are answered "
        f"({100 * at['known_answered_right']:.0f} % rightly) and {100 * at['unknown_rejected']:.0f} % of the unknown ones rejected"
    )
    alarms = found["false_alarms"]
    if alarms:
        kinds = ", ".join(
            f"{kind} {100 * row['rate']:.1f} % of {row['num_windows']}" for kind, row in alarms["per_kind"].items()
        )
        text += (
            f"\n- of {alarms['num_windows']} bird-free windows of {alarms['window_seconds']:g} s, {100 * alarms['rate']:.1f} % report "
            f"any species ({kinds})"
        )
    return text


def _calibration_text(found: dict[str, Any]) -> str:
    if "temperature" not in found:
        return f"Fitted on {found.get('fitted_on', 'nothing')}."
    return (
        f"Fitted on {found['fitted_on']}: temperature {found['temperature']:.2f}. Expected calibration error "
        f"{found['expected_calibration_error_before']:.3f} before, {found['expected_calibration_error_after']:.3f} after "
        f"(isotonic calibration would reach {found['isotonic_calibration_error']:.3f})."
    )


def _class_table(weights: Weights, report: dict[str, Any]) -> str:
    names = {name.code: name for name in weights.config.class_names}
    rows = [
        (
            f"`{row['code']}`",
            names[row["code"]].common,
            str(row["support"]),
            _number(row["roc_auc"]),
            _number(row["average_precision"]),
            _number(row["precision"]),
            _number(row["recall"]),
        )
        for row in report["clips"]["per_class"]
    ]
    return _table(("code", "species", "recordings", "ROC-AUC", "average precision", "precision", "recall"), rows)
