"""From a data folder to training sources and validation recordings.

Who is trained on, who validates, who stays unheard.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from birdcore.config import ClassName, TrainConfig
from birdcore.data.annotations import LONGEST_EVENT_SECONDS, UNKNOWN_LABELS, AnnotatedRecording, cap_events
from birdcore.data.feature_cache import FeatureCache
from birdcore.data.readers import Dataset, ManifestTables, read_dataset
from birdcore.data.recordings import Recording, class_names_of, licence_name
from birdcore.data.speech_samples import speech_sample
from birdcore.data.splits import auxiliary_codes, deal_folds, representative_label, stand_ins
from birdcore.data.windows import TrainingSource
from birdcore.errors import DataError
from birdcore.events import Event
from birdcore.features.mel import MelSpectrogram

__all__ = ["TrainingData", "collect_training_data"]

logger = logging.getLogger(__name__)

SEGMENT_WINDOWS = 4
"""Annotated soundscapes are validated in segments of so many windows (20 s at windows of 5 s), about as long as a
recording of a single bird: for a whole hour, every species of the site would be present."""

MOST_LICENCES = 8
"""So many licences are named in a run's record."""

SHORTEST_HEARD_SECONDS = 0.1
"""A segment holds a species if this much of a box, or half of it, lies in the segment, as in training windows."""


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a run trains and validates on.

    Parameters
    ----------
    class_names : the species to report
    auxiliary : the "other birds" that train as further outputs
    weak, auxiliary_sources, strong, backgrounds : sources for ``WindowMaker``
    validation : labelled recordings, or segments of annotated ones, with their spectrograms
    validation_backgrounds : spectrograms of backgrounds that nothing trains on
    failures : files left out, with the reason
    provenance : counts for the run's record
    """

    class_names: tuple[ClassName, ...]
    auxiliary: tuple[ClassName, ...]
    weak: list[TrainingSource]
    auxiliary_sources: list[TrainingSource]
    strong: list[TrainingSource]
    backgrounds: list[TrainingSource]
    validation: list[tuple[Recording, object]]
    validation_backgrounds: list[object]
    failures: dict[Path, str]
    provenance: dict[str, object]


def collect_training_data(config: TrainConfig, root: Path, cache: FeatureCache) -> TrainingData:
    """Read a data folder and compute or fetch the spectrograms.

    Only rows whose split is "train" (or empty) are touched; test rows are never opened. A data set that has boxes and
    no labelled recordings is trained on its boxes, and validated on segments of the annotated recordings of the fold.

    Raises
    ------
    DataError
        If a table is missing or malformed, or the fold leaves nothing to train on.
    """
    tables = ManifestTables(
        manifest=config.manifest, extra=config.extra_manifest, background=config.background, strong=config.strong
    )
    dataset = read_dataset(root, data_format=config.data_format, tables=tables, group_by=config.group_by)
    for problem in dataset.problems:
        logger.warning("%s: %s; %s", *problem)
    return _from_labels(config, dataset, cache) if dataset.recordings else _from_boxes(config, dataset, cache)


def _from_labels(config: TrainConfig, dataset: Dataset, cache: FeatureCache) -> TrainingData:
    """Of recordings labelled with a species; boxes and backgrounds come on top."""
    recordings = [r for r in dataset.recordings if r.split in ("train", "")]
    class_names = class_names_of(recordings)
    known = {name.code for name in class_names}
    folds = deal_folds(recordings, split=config.split, num_folds=config.num_folds)
    fold_of_path = {r.path: fold for r, fold in zip(recordings, folds, strict=True)}
    fold_of_recording = {r.recording_id: fold for r, fold in zip(recordings, folds, strict=True)}
    validates = [r for r, fold in zip(recordings, folds, strict=True) if fold == config.fold]
    trains = [r for r, fold in zip(recordings, folds, strict=True) if fold != config.fold]
    if not trains:
        raise DataError(
            f"{_name(config)}: fold {config.fold} of {config.num_folds} leaves no recording to train on; "
            "use fewer folds"
        )

    annotated = [a for a in dataset.annotated if a.complete and a.split == "train"]
    if config.data_format == "manifest":
        annotated = [
            a
            for a in annotated
            if config.fold < 0 or _fold_of(a, fold_of_path, fold_of_recording) not in (None, config.fold)
        ]
    boxed = {a.path for a in annotated}
    extra = dataset.extra
    also_heard = frozenset(event.label for a in annotated for event in a.events) - known
    chosen = frozenset(auxiliary_codes(extra, always=also_heard & {r.label for r in extra})) if extra else frozenset()
    others = [r for r in extra if r.label in chosen]
    backgrounds = [b for b in dataset.backgrounds if b.has_bird is False]

    paths = [r.path for r in [*trains, *validates, *others, *backgrounds]] + [a.path for a in annotated]
    mels, failures = cache.mels(list(dict.fromkeys(paths)))
    _log(
        train=trains,
        validate=validates,
        others=others,
        annotated=annotated,
        backgrounds=backgrounds,
        damaged=cache.faults,
        left=failures,
    )
    _log_padded(mels, config)
    num_long = _count_long(annotated)

    outputs = known | chosen
    return TrainingData(
        class_names=class_names,
        auxiliary=class_names_of(others),
        weak=[_labelled(r, mels[r.path]) for r in trains if r.path in mels and r.path not in boxed],
        auxiliary_sources=[_labelled(r, mels[r.path]) for r in others if r.path in mels],
        strong=[
            TrainingSource(
                mel=mels[a.path],
                path=a.path,
                label=representative_label(a, outputs),
                events=cap_events(a.events),
                isolated=a.is_isolated,
                frames_known=a.frames_known,
            )
            for a in annotated
            if a.path in mels
        ],
        backgrounds=[
            *(
                TrainingSource(mel=mels[b.path], path=b.path)
                for b in backgrounds
                if b.path in mels and b.split == "train"
            ),
            *_voices(config.speech, cache.features),
        ],
        validation=[(r, mels[r.path]) for r in validates if r.path in mels],
        validation_backgrounds=[mels[b.path] for b in backgrounds if b.path in mels and b.split == "validation"],
        failures=failures,
        provenance={
            "train_recordings": len(trains),
            "validation_recordings": len(validates),
            "other_bird_recordings": len(others),
            "annotated_recordings": len(annotated),
            "annotated_boxes": sum(len(a.events) for a in annotated),
            "capped_boxes": num_long,
            "backgrounds": sum(b.split == "train" for b in backgrounds),
            "damaged_recordings": sum(path in cache.faults for path in mels),
            "synthesised_voices": config.speech,
            "licences": _licences([*trains, *others]),
        },
    )


def _from_boxes(config: TrainConfig, dataset: Dataset, cache: FeatureCache) -> TrainingData:
    """Of recordings that are annotated from end to end, and nothing else."""
    annotated = dataset.annotated
    class_names = tuple(
        name for name in dataset.class_names if any(e.label == name.code for a in annotated for e in a.events)
    )
    outputs = {name.code for name in class_names}
    if not outputs:
        raise DataError(f"{_name(config)}: no box names a species; there is nothing to learn")
    folds = deal_folds(stand_ins(annotated, outputs), split=config.split, num_folds=config.num_folds)
    trains = [a for a, fold in zip(annotated, folds, strict=True) if fold != config.fold]
    validates = [a for a, fold in zip(annotated, folds, strict=True) if fold == config.fold]
    if not trains or (config.fold >= 0 and not validates):
        groups = len({a.group for a in annotated})
        raise DataError(
            f"{_name(config)}: fold {config.fold} of {config.num_folds} leaves nothing to "
            f"{'validate' if trains else 'train'} on; the {len(annotated)} annotated recordings are {groups} groups "
            "(sites or dates) that are never split: use fewer folds, or group_by = 'date'"
        )
    backgrounds = [b for b in dataset.backgrounds if b.has_bird is False]
    paths = [a.path for a in [*trains, *validates]] + [b.path for b in backgrounds]
    mels, failures = cache.mels(list(dict.fromkeys(paths)))
    _log(train=trains, validate=validates, backgrounds=backgrounds, damaged=cache.faults, left=failures)
    _log_padded(mels, config)
    num_long = _count_long(trains)

    strong = []
    for a in trains:
        if a.path in mels:
            events = cap_events(a.events)
            strong.append(
                TrainingSource(
                    mel=mels[a.path],
                    path=a.path,
                    label=representative_label(a, outputs),
                    events=events,
                    event_probabilities=_event_probabilities(events, outputs),
                    frames_known=a.frames_known,
                )
            )
    segment_frames = SEGMENT_WINDOWS * config.window_frames
    return TrainingData(
        class_names=class_names,
        auxiliary=(),
        weak=[],
        auxiliary_sources=[],
        strong=strong,
        backgrounds=[
            *(
                TrainingSource(mel=mels[b.path], path=b.path)
                for b in backgrounds
                if b.path in mels and b.split == "train"
            ),
            *_voices(config.speech, cache.features),
        ],
        validation=[
            segment
            for a in validates
            if a.path in mels
            for segment in _segments(
                a,
                mels[a.path],
                outputs=outputs,
                segment_frames=segment_frames,
                frame_seconds=cache.features.config.frame_seconds,
            )
        ],
        validation_backgrounds=[mels[b.path] for b in backgrounds if b.path in mels and b.split == "validation"],
        failures=failures,
        provenance={
            "train_recordings": 0,
            "validation_recordings": 0,
            "annotated_recordings": len(trains),
            "validation_annotated_recordings": len(validates),
            "annotated_boxes": sum(len(a.events) for a in trains),
            "capped_boxes": num_long,
            "backgrounds": sum(b.split == "train" for b in backgrounds),
            "damaged_recordings": sum(path in cache.faults for path in mels),
            "synthesised_voices": config.speech,
            "licences": "as the collection states them",
        },
    )


def _labelled(recording: Recording, mel: np.ndarray) -> TrainingSource:
    return TrainingSource(
        mel=mel,
        path=recording.path,
        label=recording.label,
        isolated=recording.kind == "isolated",
        secondary=recording.secondary_labels,
        weight=recording.weight,
    )


def _event_probabilities(events: tuple[Event, ...], outputs: set[str]) -> np.ndarray:
    """How often to cut around each event: rare species more often than their number says, damped as recordings are.

    Unknown birds are not looked for; they come along.
    """
    counts = Counter(event.label for event in events)
    known = np.array([event.label in outputs for event in events], dtype=float)
    if not known.any():
        known[:] = 1.0
    weights = known * np.array([counts[event.label] ** -0.5 for event in events])
    return weights / weights.sum()


def _segments(
    annotated: AnnotatedRecording, mel: np.ndarray, *, outputs: set[str], segment_frames: int, frame_seconds: float
) -> list[tuple[Recording, np.ndarray]]:
    """An annotated recording cut into segments, each with the species heard in it.

    Segments are views of the memory-mapped spectrogram. One in which only unknown birds sing is left out: nobody can
    say what is right there.
    """
    segments = []
    for start in range(0, len(mel), segment_frames):
        piece = mel[start : start + segment_frames]
        if start and len(piece) < segment_frames // 2:
            break  # a rest too short to be compared with the others
        begin, end = start * frame_seconds, (start + len(piece)) * frame_seconds
        heard = Counter(
            event.label
            for event in annotated.events
            if min(end, event.offset) - max(begin, event.onset) >= min(SHORTEST_HEARD_SECONDS, 0.5 * event.duration)
        )
        known = sorted((label for label in heard if label in outputs), key=lambda label: (-heard[label], label))
        if not known and heard.keys() & UNKNOWN_LABELS:
            continue
        identity = f"{annotated.path.name} {begin:g}"
        segments.append(
            (
                Recording(
                    path=annotated.path,
                    label=known[0] if known else "",
                    also_present=tuple(known[1:]),
                    recording_id=identity,
                    group=annotated.group,
                    has_bird=bool(heard),
                    site=annotated.site,
                    date=annotated.date,
                ),
                piece,
            )
        )
    return segments


def _name(config: TrainConfig) -> str:
    return config.manifest if config.data_format == "manifest" else f"data of format {config.data_format}"


def _log(**counted: object) -> None:
    logger.info("recordings: %s", ", ".join(f"{len(group)} {name}" for name, group in counted.items()))


def _count_long(annotated: list[AnnotatedRecording]) -> int:
    """How many boxes are longer than the limit; the log says that they are cut into pieces."""
    num_long = sum(e.duration > LONGEST_EVENT_SECONDS for a in annotated for e in a.events)
    if num_long:
        logger.info("%d boxes are longer than %g s and are cut into pieces", num_long, LONGEST_EVENT_SECONDS)
    return num_long


def _log_padded(mels: dict[Path, np.ndarray], config: TrainConfig) -> None:
    """Say how many recordings do not fill a window; with stacked spectrograms it may be most of them."""
    short = sum(len(mel) < config.window_frames for mel in mels.values())
    if short:
        logger.info(
            "%d of %d recordings are shorter than a window (%g s) and are filled up with silence",
            short,
            len(mels),
            config.window_seconds,
        )


def _licences(recordings: list[Recording]) -> str:
    """Under what the recordings stand, as their table says, most frequent first; remarks in brackets are left out."""
    names = (licence_name(re.sub(r"\s*\(.*\)$", "", r.licence.strip(), flags=re.DOTALL)) for r in recordings)
    counts = Counter(name or "unstated" for name in names).most_common()
    further = sum(count for _, count in counts[MOST_LICENCES:])
    counted = [*counts[:MOST_LICENCES], *([("others", further)] if further else [])]
    return "; ".join(f"{name} ({count})" for name, count in counted)


def _fold_of(annotated: AnnotatedRecording, by_path: dict[Path, int], by_recording: dict[str, int]) -> int | None:
    """Fold of the recording that an annotated file is, or is a cut of.

    None where no recording of the manifest matches.
    """
    if annotated.path in by_path:
        return by_path[annotated.path]
    number = annotated.path.stem.rsplit("-", 1)[-1]  # parus-major-378418 is Xeno-canto recording XC378418
    return by_recording.get(f"XC{number}")


def _voices(count: int, features: MelSpectrogram) -> list[TrainingSource]:
    """People talking, as backgrounds: tables rarely hold any, and field recordings often do."""
    sources = []
    for number in range(count):
        samples = speech_sample(number, sample_rate=features.config.sample_rate)
        with torch.inference_mode():
            mel = features.mel(torch.from_numpy(samples)[None])[0].T.contiguous().numpy()
        sources.append(TrainingSource(mel=mel))
    return sources
