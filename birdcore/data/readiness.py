"""Whether a data set can be trained on with given settings, beyond what is wrong with it anyway.

The audit knows the data; what of it trains and what validates depends on the settings, too.
"""

from __future__ import annotations

import dataclasses

from birdcore.config import TrainConfig
from birdcore.data.audit import Audit
from birdcore.data.checks import DatasetProblem
from birdcore.data.recordings import Recording
from birdcore.data.splits import deal_folds, stand_ins

__all__ = ["find_obstacles", "find_split_problems"]


def find_obstacles(audit: Audit, config: TrainConfig) -> list[DatasetProblem]:
    """Why training cannot work; empty where it can."""
    dealt = _deal(audit, config)
    if not any(unit.label for unit, _ in dealt):
        return [
            DatasetProblem(
                kind="nothing-to-train-on",
                severity="error",
                title="No recording can be trained on",
                remedy="It takes readable recordings with a species, or boxes, whose split is “train” or empty. See the "
                "problems for what cannot be read.",
                items=(),
            )
        ]
    folds = {fold for _, fold in dealt}
    groups = len({unit.group or unit.path for unit, _ in dealt})
    counted = f"{len(dealt):,} recordings in {groups:,} groups that stay together (a recordist's day, a site)"
    if folds == {config.fold}:
        return [
            DatasetProblem(
                kind="all-validate",
                severity="error",
                title=f"Fold {config.fold} of {config.num_folds} leaves nothing to train on",
                remedy=f"There are {counted}. Get recordings of other days or places, or set fold = -1 to train on all "
                "of them and validate on none.",
                items=(),
            )
        ]
    if config.fold >= 0 and config.fold not in folds:
        return [
            DatasetProblem(
                kind="none-validates",
                severity="error",
                title=f"Fold {config.fold} of {config.num_folds} has nothing to validate on",
                remedy=f"There are {counted}. Use fewer folds or a lower fold, or set fold = -1 to train on all of them "
                "and validate on none.",
                items=(),
            )
        ]
    return []


def find_split_problems(audit: Audit, config: TrainConfig) -> list[DatasetProblem]:
    """What makes the validation of these settings tell less than it seems to; not what the audit has found anyway."""
    dealt = _deal(audit, config)
    if config.fold < 0:
        return []
    folds = {unit.path: fold for unit, fold in dealt}
    found = []
    across = [
        duplicate.describe()
        for duplicate in audit.duplicates
        if all(file.path in folds for file in duplicate.files)
        and len({folds[file.path] == config.fold for file in duplicate.files}) == 2
    ]
    if across:
        found.append(
            DatasetProblem(
                kind="sound-across-folds",
                severity="error",
                title=f"{len(across):,} {'sound is' if len(across) == 1 else 'sounds are'} both trained and validated on",
                remedy="Give both files the same recording_id, or remove one; until then the figures of this run are too "
                "good.",
                items=tuple(across),
            )
        )
    labels = {unit.label for unit, _ in dealt} - {""}
    unmeasured = sorted(labels - {unit.label for unit, fold in dealt if fold == config.fold})
    if unmeasured:
        found.append(
            DatasetProblem(
                kind="not-validated",
                severity="warning",
                title=f"{len(unmeasured):,} of {len(labels):,} species {'has' if len(unmeasured) == 1 else 'have'} no "
                f"recording in fold {config.fold}",
                remedy="The figures of this run say nothing about them. Get more recordings, or train every fold.",
                items=tuple(unmeasured),
            )
        )
    if len(labels) == 1:
        found.append(
            DatasetProblem(
                kind="one-species",
                severity="warning",
                title="There is a single species",
                remedy="The model cannot learn what it is not. Add other species, or recordings without it.",
                items=tuple(labels),
            )
        )
    return found


def _deal(audit: Audit, config: TrainConfig) -> list[tuple[Recording, int]]:
    """The readable recordings with their folds; where there are boxes only, the recordings with boxes.

    All are dealt, as in training, which finds only later that it cannot read some.
    """
    if audit.dataset.recordings:
        units = [r for r in audit.dataset.recordings if r.split in ("train", "")]
        learnt = {r.label for r in units}
    else:
        learnt = {name.code for name in audit.dataset.class_names}
        units = stand_ins(audit.dataset.annotated, learnt)
    folds = deal_folds(units, split=config.split, num_folds=config.num_folds)
    readable = {file.path for file in audit.files if file.facts}
    return [
        # Birds that nobody could name are dealt like others, but are no species that trains or is measured.
        (unit if unit.label in learnt else dataclasses.replace(unit, label=""), fold)
        for unit, fold in zip(units, folds, strict=True)
        if unit.path in readable
    ]
