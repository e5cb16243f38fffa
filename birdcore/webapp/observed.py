"""The training runs as all screens see them: one observer for all visitors, and words for what a run is doing."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from birdcore.config import to_dict
from birdcore.errors import BirdcoreError
from birdcore.export.cells import csv_line, guarded_text
from birdcore.run_figures import Curve
from birdcore.training.observation import ObservedRun, RunObserver
from birdcore.webapp.wording import clock

__all__ = [
    "FIGURE_TITLES",
    "METRIC_TITLES",
    "SHARES",
    "STATES",
    "curves_of",
    "metrics_csv",
    "metrics_of",
    "observer",
    "progress_text",
    "run_facts",
    "runs_json",
]

logger = logging.getLogger(__name__)

STATES = {
    "waiting": (":material/hourglass_top:", "is waiting for its turn"),
    "running": (":material/model_training:", "is training"),
    "paused": (":material/pause_circle:", "is paused"),
    "finished": (":material/check_circle:", "has finished"),
    "stopped": (":material/stop_circle:", "was stopped"),
    "failed": (":material/error:", "has failed"),
    "lost": (":material/help:", "has lost its process"),
}
"""State → icon, and the rest of a sentence that begins with the run's name."""

METRIC_TITLES = {"macro_auc": "Macro ROC-AUC", "cmap": "cmAP", "top1": "Top-1"}
"""What a network is judged by → its title."""

FIGURE_TITLES = {
    "macro_auc": "Validation macro AUC",
    "cmap": "Validation cmAP",
    "train_loss": "Training loss",
    "train_localization_loss": "Localization loss",
    "train_imitation_loss": "Loss of imitating the teacher",
    "top1": "Validation top-1",
    "false_alarms": "False alarms on birdless sound",
    "learning_rate": "Learning rate",
}
"""Figures of an epoch → titles of their charts, in the order in which they are shown."""

SHARES = ("macro_auc", "cmap", "top1", "false_alarms")
"""Figures of an epoch that lie between 0 and 1."""


@st.cache_resource(show_spinner=False)
def observer() -> RunObserver:
    """The one reader of run directories; what a visitor has read, the next need not read again."""
    return RunObserver()


def metrics_of(observed: ObservedRun) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Name → rows of metrics: the run's own, or those of each of its folds; what cannot be read is left out."""
    parts = observer().folds(observed.run) if observed.has_folds else [observed]
    found = {}
    for part in parts:
        try:
            found[part.name] = observer().metrics(part.run)
        except BirdcoreError as error:
            logger.warning("%s; left out", error)
    return found


def curves_of(rows: Mapping[str, Sequence[Mapping[str, Any]]], column: str, *, first: int = 0) -> list[Curve]:
    """A column of metrics as curves, one for each name; ``first`` is the number of the first one's colour."""
    return [
        Curve(
            name=name,
            epochs=[row["epoch"] for row in part],
            values=[row.get(column) for row in part],
            number=first + number,
        )
        for number, (name, part) in enumerate(rows.items())
    ]


def progress_text(observed: ObservedRun) -> str:
    """How far a run is, how fast, and how long it will take; as far as known."""
    status = observed.status
    parts = [f"epoch {status.epoch} of {observed.total_epochs}"]
    if status.state == "running" and status.windows_per_second:
        parts.append(f"{status.windows_per_second / observed.config.batch_size:.2f} steps/s")
        parts.append(f"{status.windows_per_second:.1f} windows/s")
    if status.state == "running" and status.eta_seconds is not None:
        parts.append(f"{clock(status.eta_seconds)} left")
    return ", ".join(parts)


def metrics_csv(metrics: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """All epochs of some runs as a table: run, epoch, and every figure that any of them measured."""
    columns = list(dict.fromkeys(key for rows in metrics.values() for row in rows for key in row))
    lines = [csv_line(["run", *columns])]
    lines += [csv_line([guarded_text(name), *_cells(row, columns)]) for name, rows in metrics.items() for row in rows]
    return "".join(lines)


def _cells(row: Mapping[str, Any], columns: Iterable[str]) -> list[str]:
    return ["" if row.get(column) is None else str(row[column]) for column in columns]


def run_facts(observed: ObservedRun) -> dict[str, Any]:
    """Everything that is known about a run, in JSON's types: settings, status, metrics, and the best epoch's figures."""
    facts: dict[str, Any] = {
        "run": observed.name,
        "state": observed.status.state,
        "epoch": observed.status.epoch,
        "best": observed.status.best,
        "message": observed.status.message,
        "config": to_dict(observed.config),
        "metrics": metrics_of(observed),
    }
    parts = observer().folds(observed.run) if observed.has_folds else [observed]
    facts["validation"] = {part.name: _summary(part) for part in parts}
    return facts


def _summary(observed: ObservedRun) -> dict[str, Any] | None:
    try:
        return observer().summary(observed.run)
    except BirdcoreError as error:
        logger.warning("%s; left out", error)
        return None


def runs_json(runs: Sequence[ObservedRun]) -> str:
    """Everything that is known about some runs, as JSON."""
    return json.dumps([run_facts(run) for run in runs], indent=1) + "\n"
