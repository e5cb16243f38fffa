"""A custom classifier from a folder of folders of clips: embeddings of another model, and a small network on them.

Seconds of work: the large model listens to each clip once, and only the small network is trained. How good it is, is
told by cross-validation over groups of clips, so that cuts of one recording never stand on both sides; with few clips
the interval is wide, and that is said, not hidden.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from birdcore.audio.decode import AUDIO_SUFFIXES
from birdcore.config import ClassName, ModelConfig
from birdcore.data.recordings import Recording
from birdcore.data.splits import assign_folds
from birdcore.errors import BirdcoreError, DataError
from birdcore.evaluation.clips import bootstrap_interval, macro_roc_auc, top1_accuracy
from birdcore.features.windows import pool_windows
from birdcore.files import file_sha256
from birdcore.inference.embedding import Embedder, open_embedder, span_embeddings
from birdcore.inference.outside import BATCH_WINDOWS, WindowStream
from birdcore.models.checkpoint import Weights, check_sha256, list_weights, save_weights
from birdcore.models.classifier_config import ClassifierConfig
from birdcore.models.embedding_head import EmbeddingHead
from birdcore.models.labels import class_slug, split_label

__all__ = ["ClassifierReport", "LabelledClip", "find_clips", "make_classifier"]

logger = logging.getLogger(__name__)

SHORTEST_WINDOW = 2.5
"""Seconds: a base with a shorter window is averaged over several, since a song is longer than a second."""

FEW_CLIPS = 200
"""Below, a linear classifier: hidden layers of S4's size learn that few clips by heart."""

HIDDEN = (512, 256)  # S4
BACKGROUNDS = {"background", "noise", "silence", "negative", "none"}
"""Folders of these names, and those that begin with an underscore, teach what is none of the classes."""

NUM_FOLDS = 5
SEED = 0

UNMEASURED_TEMPERATURE = 3.0
"""Of a classifier that could not be measured: it was trained until it knew its clips, so it is less sure than it says."""

# The number that Xeno-canto, the Macaulay Library or iNaturalist gave a recording: its cuts have it in their names.
_RECORDING = re.compile(r"\b(XC|ML|iNat)[\s_-]?(\d{3,})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class LabelledClip:
    """One clip. ``label`` is a class code, or "" for background; clips of one ``group`` are never split."""

    path: Path
    label: str
    group: str


@dataclass(frozen=True, kw_only=True)
class ClassifierReport:
    """What came of making a classifier.

    Parameters
    ----------
    weights : the folder that was written
    num_clips : clips that were used
    num_hidden : hidden layers
    figures : name → value, low, high (ends of a 95 % interval), from cross-validation; empty where there was too
        little to measure
    cautions : sentences that belong to the figures
    failed : clips that could not be read, with the reason
    """

    weights: Weights
    num_clips: int
    num_hidden: int
    figures: dict[str, tuple[float, float, float]]
    cautions: tuple[str, ...]
    failed: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """Embeddings of all clips: shape (num_windows, embedding_size), and the clip of each window."""

    embeddings: np.ndarray
    clip: np.ndarray
    clips: list[LabelledClip]


def find_clips(folder: str | Path) -> tuple[list[LabelledClip], tuple[ClassName, ...]]:
    """Clips in a folder of folders, one folder per class.

    A folder is named by species code, common name, or ``Scientific_Common``. Names that an installed model knows take
    its code and names. Cuts of one recording are told by its number in a collection (``XC123456``) in their names.

    Parameters
    ----------
    folder : its subfolders are searched with all below them

    Raises
    ------
    DataError
        If there are too few classes or clips to learn from.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one with a folder of clips per class")
    known = _known_names()
    names: dict[str, ClassName] = {}
    clips = []
    for sub in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = [path for path in sorted(sub.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()]
        files = [path for path in files if not path.name.startswith(".")]
        if not files:
            logger.warning("%s: holds no recordings and is passed over", sub)
            continue
        label = ""
        if not sub.name.startswith("_") and sub.name.lower() not in BACKGROUNDS:
            name = known.get(sub.name.casefold()) or split_label(sub.name)
            name = known.get(name.scientific.casefold() or name.code, name)
            label = name.code
            if label in names:
                raise DataError(f"{sub}: is the same class as another folder ({name.common}); put their clips together")
            names[label] = name
        clips += [LabelledClip(path=file, label=label, group=_group_of(file)) for file in files]
    if not names or (len(names) == 1 and all(clip.label for clip in clips)):
        raise DataError(
            f"{folder}: {len(names)} class{'' if len(names) == 1 else 'es'} found; a classifier needs at least two "
            "folders of clips, or one and a folder named 'background'"
        )
    return clips, tuple(names[code] for code in sorted(names))


def make_classifier(
    folder: str | Path,
    base: Weights,
    output: str | Path,
    *,
    progress: Callable[[str, float], None] | None = None,
) -> ClassifierReport:
    """Make a custom classifier and write it as a folder of weights.

    Parameters
    ----------
    folder : of folders of clips; see :func:`find_clips`
    base : weights with an embedding; the classifier names them, and needs them beside it
    output : folder to write, beside the base's
    progress : called with what is being done and the share of it done

    Raises
    ------
    DataError
        If there is too little to learn from.
    WeightsError
        If the base has no embedding.
    """
    output = Path(output)
    if output.absolute().parent != base.path.absolute().parent:
        raise DataError(f"{output}: a classifier must lie beside its base, in {base.path.parent}")
    report = progress or (lambda step, share: None)
    clips, class_names = find_clips(folder)
    embedder = open_embedder(base)
    config = _config(base, class_names, embedder, num_clips=len(clips))
    heard, failed = _listen(clips, embedder, config, lambda share: report("listening", share))
    missing = sorted({name.code for name in class_names} - {clip.label for clip in heard.clips})
    if missing:
        raise DataError(f"{folder}: no clip of {missing[0]} could be read; the first reason: {failed[0][1]}")
    figures, cautions, calibration = _cross_validate(heard, config, lambda share: report("measuring", share))
    report("training", 0.0)
    head = _fit(heard.embeddings, *_targets(heard, config), config)
    config = dataclasses.replace(config, **calibration)
    report("training", 1.0)
    if figures and isinstance(base.config, ModelConfig):
        cautions += (f"If {base.name} was itself trained on these clips, the figures are too good.",)
    weights = save_weights(output, head, config, _facts(base, heard, config, figures, cautions))
    return ClassifierReport(
        weights=weights,
        num_clips=len(clips) - len(failed),
        num_hidden=len(config.hidden),
        figures=figures,
        cautions=cautions,
        failed=tuple(failed),
    )


def _known_names() -> dict[str, ClassName]:
    """Class names of the installed models by code, common and scientific name."""
    found: dict[str, ClassName] = {}
    for weights in list_weights():
        for name in weights.config.class_names:
            if name.scientific:
                for key in (name.code, name.common, name.scientific, class_slug(name.scientific)):
                    found.setdefault(key.casefold(), name)
    return found


def _group_of(path: Path) -> str:
    """What tells that clips come from one recording: its number in a collection, else its content, for copies."""
    found = _RECORDING.search(path.stem.replace("_", " "))
    if found:
        return f"{found[1].upper()}{found[2]}"
    return file_sha256(path)


def _config(
    base: Weights, class_names: tuple[ClassName, ...], embedder: Embedder, *, num_clips: int
) -> ClassifierConfig:
    base_seconds = base.config.window_seconds
    fmin, fmax = base.hears
    features = base.config.features if isinstance(base.config, ModelConfig) else base.config
    return ClassifierConfig(
        class_names=class_names,
        base=base.name,
        base_sha256=check_sha256(base),
        sample_rate=features.sample_rate,
        fmin=fmin,
        fmax=fmax,
        base_seconds=base_seconds,
        window_seconds=base_seconds * max(1, math.ceil(SHORTEST_WINDOW / base_seconds)),
        embedding_size=embedder.embedding_size,
        hidden=() if num_clips < FEW_CLIPS else HIDDEN,
    )


def _listen(
    clips: Sequence[LabelledClip], embedder: Embedder, config: ClassifierConfig, progress: Callable[[float], None]
) -> tuple[_Heard, list[tuple[Path, str]]]:
    """Embeddings of the windows of all clips that can be read."""
    base_samples = round(config.base_seconds * config.sample_rate)
    embeddings, owner, used, failed = [], [], [], []
    for number, clip in enumerate(clips, start=1):
        stream = WindowStream(
            clip.path,
            sample_rate=config.sample_rate,
            window_samples=config.window_samples,
            stride=max(1, config.window_samples // 2),
        )
        try:
            found = [
                span_embeddings(embedder, windows, base_samples=base_samples)
                for _, windows in stream.batches(BATCH_WINDOWS)
            ]
        except BirdcoreError as error:
            logger.warning("%s: is left out: %s", clip.path, error)
            failed.append((clip.path, str(error)))
            continue
        embeddings += found
        owner += [len(used)] * sum(map(len, found))
        used.append(clip)
        progress(number / len(clips))
    if not used:
        raise DataError(f"none of {len(clips)} clips could be read; the first reason: {failed[0][1]}")
    # Without anything to the contrary, silence would resemble some class or other.
    for number, windows in enumerate(_made_up_background(config)):
        embeddings.append(span_embeddings(embedder, windows, base_samples=base_samples))
        owner += [len(used)] * len(windows)
        used.append(LabelledClip(path=Path(f"made-up-{number}"), label="", group=f"made-up-{number}"))
    return _Heard(embeddings=np.concatenate(embeddings), clip=np.array(owner), clips=used), failed


def _made_up_background(config: ClassifierConfig) -> Iterator[np.ndarray]:
    """Silence, and noise at the levels of quiet and noisy recordings: windows of shape (2, window_samples)."""
    generator = np.random.default_rng(SEED)
    for level in (0.0, 1e-4, 1e-3, 1e-2, 1e-1):
        noise = generator.standard_normal((2, config.window_samples)).astype(np.float32)
        # The second is a stream or the wind: the spectrum falls with frequency.
        noise[1] = np.cumsum(noise[1] - noise[1].mean())
        yield (level * noise / np.abs(noise).max(axis=1, keepdims=True)).astype(np.float32)


def _targets(heard: _Heard, config: ClassifierConfig) -> tuple[np.ndarray, np.ndarray]:
    """Targets, shape (num_windows, num_classes), and weights of windows: every class counts alike, and every clip of it."""
    codes = [name.code for name in config.class_names]
    labels = np.array([codes.index(clip.label) if clip.label else -1 for clip in heard.clips])
    targets = labels[heard.clip, None] == np.arange(len(codes))
    per_clip = np.bincount(heard.clip, minlength=len(heard.clips))
    per_class = Counter(labels.tolist())
    weights = np.array([1.0 / (per_clip[clip] * per_class[int(labels[clip])]) for clip in heard.clip])
    return targets.astype(np.float32), (weights * len(weights) / weights.sum()).astype(np.float32)


def _fit(embeddings: np.ndarray, targets: np.ndarray, weights: np.ndarray, config: ClassifierConfig) -> EmbeddingHead:
    """Train the small network: each class against all others, so that a sound may be none of them."""
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(SEED)
    head = EmbeddingHead(config)
    x, y, w = (torch.from_numpy(values) for values in (embeddings, targets, weights))
    head.mean.copy_(x.mean(dim=0))
    # A number that is the same in every clip says nothing; dividing by its spread would make it shout.
    spread = x.std(dim=0, correction=0)
    head.scale.copy_(spread.clamp(min=max(1e-6, 0.1 * float(spread.mean()))))
    # A class against all others has few positives: without weights the answer to everything would be no.
    positive = (w[:, None] * y).sum(dim=0)
    pos_weight = ((w.sum() - positive) / positive).clamp(1.0, 50.0).sqrt()
    # Strong decay: there are more numbers in an embedding than clips.
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3 if config.hidden else 3e-3, weight_decay=0.1)
    steps = 300
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=optimizer.param_groups[0]["lr"], total_steps=steps)
    generator = torch.Generator().manual_seed(SEED)
    head.train()
    for _ in range(steps):
        rows = torch.randint(len(x), (min(len(x), 512),), generator=generator) if len(x) > 512 else slice(None)
        loss = functional.binary_cross_entropy_with_logits(
            head(x[rows]), y[rows], weight=w[rows, None], pos_weight=pos_weight
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.random.set_rng_state(generator_state)
    return head.eval()


def _cross_validate(
    heard: _Heard, config: ClassifierConfig, progress: Callable[[float], None]
) -> tuple[dict[str, tuple[float, float, float]], tuple[str, ...], dict[str, float]]:
    """Figures on clips whose groups took no part in training, what to think of them, and the calibration they ask for."""
    codes = [name.code for name in config.class_names]
    groups = [clip.group for clip in heard.clips]
    groups_of = {code: {clip.group for clip in heard.clips if clip.label == code} for code in codes}
    fewest = min(codes, key=lambda code: len(groups_of[code]))
    num_folds = min(NUM_FOLDS, len(groups_of[fewest]))
    if num_folds < 2:
        return (
            {},
            (
                f"Not measured: {fewest} has a single recording, so none is left to test on. "
                "Add recordings, at least two per class and better ten.",
            ),
            {"temperature": UNMEASURED_TEMPERATURE},
        )
    rows = [
        Recording(path=clip.path, label=clip.label, recording_id=clip.group, group=clip.group) for clip in heard.clips
    ]
    folds = assign_folds(rows, num_folds=num_folds, seed=SEED)
    fold_of_clip = np.array([folds[group] for group in groups])
    targets, weights = _targets(heard, config)
    scores = np.zeros((len(heard.clips), len(codes)))
    for fold in range(num_folds):
        held_out = fold_of_clip == fold
        window = held_out[heard.clip]
        head = _fit(heard.embeddings[~window], targets[~window], weights[~window], config)
        with torch.inference_mode():
            logits = head(torch.from_numpy(heard.embeddings)).numpy()
        for clip in np.flatnonzero(held_out):
            scores[clip] = pool_windows(logits[heard.clip == clip])
        progress((fold + 1) / num_folds)
    reference = np.array([[clip.label == code for code in codes] for clip in heard.clips])
    figures = {}
    labelled = reference.any(axis=1)
    for name, metric, chosen in (
        ("top-1", top1_accuracy, labelled),
        ("macro ROC-AUC", macro_roc_auc, np.ones_like(labelled)),
    ):
        part = reference[chosen], scores[chosen]
        low, high = bootstrap_interval(
            metric,
            *part,
            groups=[group for group, is_chosen in zip(groups, chosen, strict=True) if is_chosen],
            generator=np.random.default_rng(SEED),
        )
        figures[name] = (float(metric(*part)), float(low), float(high))
    # Where every clip is named rightly, drawing them again finds no error either: an interval without width. Wilson's
    # allows for the errors that so few clips could not show.
    value, low, high = figures["top-1"]
    wilson = _wilson_interval(value, len({clip.group for clip in heard.clips if clip.label}))
    figures["top-1"] = (value, min(low, wilson[0]), max(high, wilson[1]))
    cautions = []
    smallest = len(groups_of[fewest])
    if smallest < 10:
        cautions.append(
            f"Few recordings ({smallest} of {fewest}): the true figure may lie anywhere in the interval, or outside."
        )
    if len(set(groups)) == len(groups):
        cautions.append(
            "No two clips are known to come from one recording. If some do, and their names do not tell "
            "(XC123456-1.wav, XC123456-2.wav), the figures are too good."
        )
    return figures, tuple(cautions), _calibrate(scores, reference)


def _calibrate(logits: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Temperature and bias with which log-odds of clips that took no part in training mean what they say (Platt 1999).

    Pulled towards no change, so that a handful of clips that were all named rightly does not make it certain.
    """
    x, y = torch.from_numpy(logits).float(), torch.from_numpy(reference).float()
    slope, shift = (
        torch.zeros((), requires_grad=True),
        torch.zeros((), requires_grad=True),
    )  # of the logarithm; of logits
    optimizer = torch.optim.LBFGS([slope, shift], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        fit = functional.binary_cross_entropy_with_logits((x - shift) * slope.exp(), y)
        value = fit + (slope**2 + 0.1 * shift**2) / len(x)
        value.backward()
        return value

    optimizer.step(loss)
    return {
        "temperature": float(np.clip(np.exp(-slope.item()), 0.5, 20.0)),
        "bias": float(np.clip(shift.item(), -5, 5)),
    }


def _wilson_interval(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of independent trials (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _facts(
    base: Weights,
    heard: _Heard,
    config: ClassifierConfig,
    figures: dict[str, tuple[float, float, float]],
    cautions: tuple[str, ...],
) -> dict[str, Any]:
    """What the model's card says."""
    counts = Counter(clip.label or "background" for clip in heard.clips if not clip.group.startswith("made-up"))
    licence = base.facts.get("licence")
    return {
        "summary": f"Custom classifier of {config.num_classes} classes on the embedding of {base.name}",
        "licence": f"It listens with {base.name}, whose licence holds: {licence}" if licence else "",
        "metrics": {
            f"{name}, cross-validated": {"value": value, "low": _or_none(low), "high": _or_none(high)}
            for name, (value, low, high) in figures.items()
        },
        "limits": [*cautions, "Sounds that none of its clips held may be taken for one of its classes."],
        "provenance": {
            "clips": sum(counts.values()),
            "base": base.name,
            **{f"clips of {k}": n for k, n in counts.items()},
        },
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
