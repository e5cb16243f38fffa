"""What a run's best epoch says about the recordings that the run held out: kept beside the run, read by everyone.

::

    RUN/results/
      validation.npz     what was said of each recording, as arrays; nothing pickled
      validation.json    the figures, curves and worst mistakes made from it; what pages show
      test.npz           the same arrays for the test split, where somebody measured it

Both are replaced as a whole whenever an epoch is the best so far, so they always tell of the weights in ``RUN/weights``.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from birdcore.config import ClassName
from birdcore.data.recordings import Recording
from birdcore.errors import RunError
from birdcore.evaluation.calibration import expected_calibration_error, reliability_diagram
from birdcore.evaluation.clips import class_average_precision, macro_roc_auc, per_class_table, top1_accuracy
from birdcore.evaluation.comparison import ScoredRecordings
from birdcore.evaluation.curves import confusion_matrix, is_single_label, precision_recall
from birdcore.training.run_directory import RunDirectory, replace_atomically

__all__ = [
    "collect_scores",
    "read_scores",
    "read_summary",
    "summarize",
    "worst_mistakes",
    "write_scores",
    "write_validation",
]

NUM_MISTAKES = 24
NUM_CURVE_POINTS = 200
NUM_BINS = 10

_ARRAYS = ("recordings", "onsets", "durations", "groups", "codes", "labels", "logits", "epoch")


def collect_scores(
    recordings: Sequence[Recording],
    *,
    seconds: Sequence[float],
    class_names: Sequence[ClassName],
    labels: np.ndarray,
    logits: np.ndarray,
    data_root: Path,
    epoch: int,
) -> ScoredRecordings:
    """What was said of recordings, in a form that outlives the process.

    Parameters
    ----------
    recordings : what was listened to; segments of a long one stand one after the other
    seconds : length num_recordings, how long each is
    class_names : of the columns
    labels, logits : shape (num_recordings, num_classes)
    data_root : folder that paths are told relative to, so that another machine finds the same recordings
    epoch : the epoch whose weights speak
    """
    root = data_root.resolve()
    return ScoredRecordings(
        recordings=tuple(
            (r.path.relative_to(root) if r.path.is_relative_to(root) else r.path).as_posix() for r in recordings
        ),
        onsets=np.array([_onset(r) for r in recordings], dtype=np.float64),
        durations=np.array(seconds, dtype=np.float64),
        groups=tuple(r.group for r in recordings),
        codes=tuple(name.code for name in class_names),
        labels=np.asarray(labels) > 0.5,
        logits=np.asarray(logits, dtype=np.float32),
        epoch=epoch,
    )


def _onset(recording: Recording) -> float:
    """Where a segment begins; segments of annotated recordings are called by file and onset."""
    name, _, onset = recording.recording_id.rpartition(" ")
    try:
        return float(onset) if name == recording.path.name else 0.0
    except ValueError:
        return 0.0


def write_validation(run: RunDirectory, scored: ScoredRecordings, *, class_names: Sequence[ClassName]) -> None:
    """Replace what a run's best epoch is known to say of its validation recordings.

    Parameters
    ----------
    run : the run
    scored : from :func:`collect_scores`; without a recording nothing is written
    class_names : of the columns
    """
    if not scored.recordings:
        return
    summary = summarize(scored, class_names=class_names)
    write_scores(run.results / "validation.npz", scored)
    text = json.dumps(summary, allow_nan=False) + "\n"
    replace_atomically(run.results / "validation.json", lambda file: file.write_text(text, encoding="utf-8"))


def write_scores(path: Path, scored: ScoredRecordings) -> None:
    """Replace a file of scores as a whole; its folder is made where missing."""

    def write(temporary: Path) -> None:
        # A file, not its name: NumPy adds .npz to names.
        with open(temporary, "wb") as file:
            np.savez_compressed(
                file,
                recordings=np.array(scored.recordings, dtype=np.str_),
                onsets=scored.onsets,
                durations=scored.durations,
                groups=np.array(scored.groups, dtype=np.str_),
                codes=np.array(scored.codes, dtype=np.str_),
                labels=scored.labels,
                logits=scored.logits,
                epoch=np.array(scored.epoch),
            )

    path.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(path, write)


def read_scores(path: Path) -> ScoredRecordings:
    """Read a file that :func:`write_scores` wrote.

    Raises
    ------
    RunError
        If it is missing or damaged.
    """
    try:
        # Opened here: NumPy leaves a file open that turns out to be no archive.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            values = {name: arrays[name] for name in _ARRAYS}
    except FileNotFoundError:
        raise RunError(f"{path}: is not there; the run has not finished an epoch with validation yet") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: is damaged ({error}); the next best epoch replaces it") from error
    return ScoredRecordings(
        **values
        | {name: tuple(values[name].tolist()) for name in ("recordings", "groups", "codes")}
        | {"epoch": int(values["epoch"])}
    )


def read_summary(path: Path) -> dict[str, Any]:
    """Read a ``validation.json``; see :func:`summarize`.

    Raises
    ------
    RunError
        If it is missing or damaged.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path}: is not there; the run has not finished an epoch with validation yet") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: is damaged ({error}); the next best epoch replaces it") from error
    if not isinstance(summary, dict) or "classes" not in summary:
        raise RunError(f"{path}: is no evaluation of a run; the next best epoch replaces it")
    return summary


def summarize(scored: ScoredRecordings, *, class_names: Sequence[ClassName]) -> dict[str, Any]:
    """Figures, curves and worst mistakes, in JSON's types; undefined figures are None.

    Returns
    -------
    ``epoch``, ``num_recordings``; ``macro_auc``, ``cmap``, ``top1``; ``classes`` (one row each: code, common,
    scientific, support, roc_auc, average_precision); ``precision_recall`` (lists precision, recall, threshold; all
    classes pooled); ``reliability`` (``bins``: low, high, count, confidence, frequency; ``ece``); ``confusion`` (rows are right
    classes, columns best-scored ones; None unless every recording has one class); ``mistakes``, see
    :func:`worst_mistakes`
    """
    labels, logits = scored.labels, scored.logits.astype(np.float64)
    curve = precision_recall(labels, logits, max_points=NUM_CURVE_POINTS)
    rows = per_class_table(labels, logits, codes=scored.codes)
    return {
        "epoch": scored.epoch,
        "num_recordings": len(scored.recordings),
        "macro_auc": _defined(macro_roc_auc(labels, logits)),
        "cmap": _defined(class_average_precision(labels, logits)),
        "top1": _defined(top1_accuracy(labels, logits)),
        "classes": [
            {
                "code": name.code,
                "common": name.common,
                "scientific": name.scientific,
                "support": row["support"],
                "roc_auc": _defined(row["roc_auc"]),
                "average_precision": _defined(row["average_precision"]),
            }
            for name, row in zip(class_names, rows, strict=True)
        ],
        "precision_recall": {
            "precision": _rounded(curve.precision),
            "recall": _rounded(curve.recall),
            "threshold": _rounded(_probability(curve.thresholds)),
        },
        "reliability": _reliability(labels, _probability(logits)),
        "confusion": confusion_matrix(labels, logits).tolist() if is_single_label(labels) else None,
        "mistakes": worst_mistakes(scored),
    }


def worst_mistakes(scored: ScoredRecordings) -> list[dict[str, Any]]:
    """The recordings in which a wrong class beats a right one by most, worst first.

    Returns
    -------
    Rows with ``recording``, ``onset``, ``duration`` (seconds); ``right``, the present class that scores least, and
    ``right_score``; ``taken_for``, the absent class that scores most, and ``score``; scores in [0, 1]. Where no class
    is present, ``right`` is "" and anything from 0.5 on is a mistake.
    """
    labels, logits = scored.labels, scored.logits.astype(np.float64)
    present = np.where(labels, logits, np.inf)
    absent = np.where(labels, -np.inf, logits)
    # Without a present class, what scores below even odds is no mistake.
    lowest = np.where(labels.any(axis=1), present.min(axis=1), 0.0)
    margin = absent.max(axis=1) - lowest
    rows = []
    for row in np.argsort(-margin, kind="stable")[:NUM_MISTAKES]:
        if not margin[row] > 0:
            break
        right = int(present[row].argmin()) if labels[row].any() else None
        wrong = int(absent[row].argmax())
        rows.append(
            {
                "recording": scored.recordings[row],
                "onset": float(scored.onsets[row]),
                "duration": float(scored.durations[row]),
                "right": "" if right is None else scored.codes[right],
                "right_score": None if right is None else round(float(_probability(logits[row, right])), 4),
                "taken_for": scored.codes[wrong],
                "score": round(float(_probability(logits[row, wrong])), 4),
            }
        )
    return rows


def _reliability(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    bins = reliability_diagram(labels, probabilities, num_bins=NUM_BINS)
    return {
        "bins": [
            {
                "low": one.low,
                "high": one.high,
                "count": one.count,
                "confidence": _defined(one.confidence),
                "frequency": _defined(one.frequency),
            }
            for one in bins
        ],
        "ece": _defined(expected_calibration_error(labels, probabilities, num_bins=NUM_BINS)),
    }


def _probability(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0)))


def _defined(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]
