"""Splits: those that keep together what belongs together, and the random one, which shows what leakage is worth."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Literal

from birdcore.data.annotations import AnnotatedRecording
from birdcore.data.recordings import Recording

__all__ = [
    "assign_folds",
    "assign_stratified_folds",
    "auxiliary_codes",
    "deal_folds",
    "representative_label",
    "stand_ins",
]


def deal_folds(recordings: list[Recording], *, split: Literal["grouped", "stratified"], num_folds: int) -> list[int]:
    """Fold of each recording, 0 to num_folds - 1, in their order: those that training, its check and its copies share.

    Parameters
    ----------
    recordings : all that may train, also such as cannot be read: without them, others would change their fold
    split : as in ``TrainConfig``
    num_folds : 2 or more
    """
    if split == "stratified":
        return assign_stratified_folds(recordings, num_folds=num_folds)
    fold_of_group = assign_folds(recordings, num_folds=num_folds)
    return [fold_of_group[recording.group] for recording in recordings]


def representative_label(annotated: AnnotatedRecording, codes: Collection[str]) -> str:
    """The species that stands for a recording with boxes: of those that are learnt, the one with most boxes.

    Parameters
    ----------
    codes : of the species that are learnt

    Returns
    -------
    its code, the first in the alphabet where several have as many; of the first box where none is learnt, "" without
    boxes
    """
    labels = [event.label for event in annotated.events]
    learnt = [label for label in labels if label in codes]
    return max(sorted(set(learnt)), key=learnt.count) if learnt else next(iter(labels), "")


def stand_ins(annotated: list[AnnotatedRecording], codes: Collection[str]) -> list[Recording]:
    """Recordings with boxes as recordings of one species each, as folds are dealt to them; see representative_label."""
    return [
        Recording(path=a.path, label=representative_label(a, codes), group=a.group, recording_id=a.path.name)
        for a in annotated
    ]


def assign_folds(recordings: list[Recording], *, num_folds: int, seed: int = 0) -> dict[str, int]:
    """Deal groups of recordings into folds, each class as evenly as its groups allow.

    Groups that share a recording (two cuts of one recording under two labels) are first joined; then the largest are
    dealt first, each to the fold that has the fewest recordings of the group's classes.

    Parameters
    ----------
    recordings : those to deal
    num_folds : 2 or more
    seed : another seed deals ties differently

    Returns
    -------
    group → fold, 0 to num_folds - 1
    """
    parent = {recording.group: recording.group for recording in recordings}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    first_group: dict[str, str] = {}
    for recording in recordings:
        earlier = first_group.setdefault(recording.recording_id, recording.group)
        parent[root(recording.group)] = root(earlier)
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for recording in recordings:
        members[root(recording.group)][recording.label] += 1

    def order(group: str) -> tuple[int, str]:
        return -sum(members[group].values()), hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()

    loads = [Counter() for _ in range(num_folds)]
    fold_of: dict[str, int] = {}
    for group in sorted(members, key=order):
        fold = min(
            range(num_folds), key=lambda f: (sum(loads[f][label] for label in members[group]), loads[f].total(), f)
        )
        fold_of[group] = fold
        loads[fold].update(members[group])
    return {group: fold_of[root(group)] for group in parent}


def assign_stratified_folds(recordings: list[Recording], *, num_folds: int, seed: int = 0) -> list[int]:
    """Deal recordings into folds at random, class by class, whatever group they belong to.

    That is how published systems were validated. Recordings of one bird and morning then stand on both sides, and
    figures come out too good; beside :func:`assign_folds` they tell by how much.

    Parameters
    ----------
    recordings : those to deal
    num_folds : 2 or more
    seed : another seed deals differently

    Returns
    -------
    fold of each recording, 0 to num_folds - 1, in their order; it does not depend on that order
    """
    by_label: dict[str, list[int]] = defaultdict(list)
    for number, recording in enumerate(recordings):
        by_label[recording.label].append(number)
    folds = [0] * len(recordings)
    dealt = 0  # goes on from class to class, so that the folds come out alike in size
    for label in sorted(by_label):
        numbers = by_label[label]
        numbers.sort(key=lambda n: hashlib.sha256(f"{seed}:{label}:{recordings[n].path.name}".encode()).hexdigest())
        for number in numbers:
            folds[number] = dealt % num_folds
            dealt += 1
    return folds


def auxiliary_codes(recordings: list[Recording], *, always: frozenset[str] = frozenset()) -> list[str]:
    """Half of the species of a table, chosen by their names alone: those a model may learn as "other birds".

    The other half stays unheard, to measure how well unknown species are rejected.

    Parameters
    ----------
    recordings : recordings of further species
    always : species that must be in the training half, because training recordings hold them in the background
    """
    codes = {recording.label for recording in recordings}
    by_hash = sorted(codes - always, key=lambda code: hashlib.sha256(code.encode()).hexdigest())
    taken = sorted(codes & always)
    return sorted(taken + by_hash[: max(0, len(codes) // 2 - len(taken))])
