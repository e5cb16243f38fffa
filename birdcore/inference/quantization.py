"""Smaller copies of a model for small computers: weights and activations in 8 bits, small weights set to zero.

A copy is a folder of weights like any other, except that it holds the exported network itself (``engine.onnx``, named
by the fact "engine") instead of tensors: what was measured is what runs.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from birdcore.config import TrainConfig, from_dict
from birdcore.data.recordings import read_manifest
from birdcore.data.splits import deal_folds
from birdcore.errors import AudioError, ConfigError, DataError
from birdcore.inference.clip_report import evaluate_clips
from birdcore.inference.engine import Engine, OnnxEngine, WindowLogits, example_pictures, export_network, make_engine
from birdcore.inference.predictor import Predictor
from birdcore.models.checkpoint import Weights, load_model, save_engine

__all__ = ["compare_copies", "divide_recordings", "prune_network", "quantize"]

logger = logging.getLogger(__name__)

CALIBRATION_WINDOWS = 96
CALIBRATION_WINDOWS_PER_RECORDING = 4
STATIC_OPERATORS = ["Conv", "MatMul", "Gemm"]
DYNAMIC_OPERATORS = ["LSTM"]  # ONNX Runtime has no 8-bit GRU, which stays as it is
TIMED_WINDOWS = 8
TIMED_REPEATS = 7


class _Listener:
    """An engine that keeps the pictures it is shown: calibration then sees exactly what inference will."""

    name = "onnx"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.pictures: list[np.ndarray] = []

    def __call__(self, pictures: np.ndarray) -> WindowLogits:
        self.pictures.append(pictures[:CALIBRATION_WINDOWS_PER_RECORDING].copy())
        return self._engine(pictures)


def prune_network(network: nn.Module, *, sparsity: float) -> nn.Module:
    """Set the smallest weights of all convolutions and dense layers, taken together, to zero; in place.

    Parameters
    ----------
    sparsity : share of those weights to set to zero, 0 or more and less than 1

    Returns
    -------
    the same network
        Zeros are stored like other numbers, so a file gets smaller when it is compressed, and no faster to run.

    Raises
    ------
    ConfigError
        If sparsity is out of range.

    Source
    ------
    Han et al. (2015), "Learning both weights and connections for efficient neural networks"; without retraining.
    """
    if not 0 <= sparsity < 1:
        raise ConfigError(f"sparsity {sparsity}: must be 0 or more and less than 1")
    kernels = [m.weight for m in network.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear)]
    magnitudes = torch.cat([kernel.detach().abs().flatten() for kernel in kernels])
    count = round(sparsity * len(magnitudes))
    if count:
        limit = magnitudes.kthvalue(count).values
        with torch.no_grad():
            for kernel in kernels:
                kernel[kernel.abs() <= limit] = 0.0
    return network


def divide_recordings(weights: Weights, manifest: str | Path) -> tuple[list[Path], list[Path]]:
    """Recordings to measure a copy on, and recordings to calibrate it with; none of the test split.

    Returns
    -------
    (measure, calibrate)
        The fold that the weights were validated on, and the others. Weights trained on every fold have none; then
        every second recording measures, which is fair between a copy and its original, though not a figure of how good
        either is.

    Raises
    ------
    DataError
        If the table has no two recordings of known species outside its test split.
    """
    known = {name.code for name in weights.config.class_names}
    recordings = [r for r in read_manifest(manifest) if r.split in ("train", "")]
    settings = weights.facts.get("train_config")
    config = from_dict(TrainConfig, settings, source=f"{weights.name}/config.json") if settings else None
    if config is not None and config.fold >= 0:
        folds = deal_folds(recordings, split=config.split, num_folds=config.num_folds)
        held_out = [fold == config.fold for fold in folds]
    else:
        held_out = [number % 2 == 0 for number in range(len(recordings))]
    chosen = [(r.path, out) for r, out in zip(recordings, held_out, strict=True) if r.label in known]
    measure, calibrate = [path for path, out in chosen if out], [path for path, out in chosen if not out]
    if not measure or not calibrate:
        raise DataError(
            f"{manifest}: {len(chosen)} training recordings of species that {weights.name} knows; some are needed to "
            "calibrate the copy and others to measure it"
        )
    return measure, calibrate


def quantize(
    weights: Weights,
    folder: str | Path,
    *,
    calibrate: Sequence[Path],
    sparsity: float = 0.0,
    precision: str = "int8",
    progress: Callable[[float], None] | None = None,
) -> Weights:
    """Write a smaller copy of a model.

    Convolutions and dense layers compute with 8-bit weights (a scale per channel) and 8-bit activations, whose ranges
    are those seen in calibration; LSTM layers with 8-bit weights.

    Parameters
    ----------
    weights : a network of ours
    folder : where to write
    calibrate : recordings that show the network what it will hear; some 24 of them are used
    sparsity : share of the weights that is set to zero first; see :func:`prune_network`
    precision : "int8", or "float32" to prune only
    progress : called with the share done, 0 to 1

    Returns
    -------
    the copy

    Raises
    ------
    ConfigError
        If sparsity or precision is out of range.
    WeightsError
        If the weights hold no network of ours, or are damaged.
    DataError
        If none of the recordings can be decoded.
    """
    if precision not in ("int8", "float32"):
        raise ConfigError(f"precision {precision!r}: must be 'int8' or 'float32'")
    network = prune_network(load_model(weights), sparsity=sparsity)
    with tempfile.TemporaryDirectory(prefix="birdcore-") as temporary:
        exported = Path(temporary) / "exported.onnx"
        export_network(network, weights, exported)
        if precision == "int8":
            pictures = _pictures(weights, calibrate, progress)
            exported = _to_int8(exported, pictures)
        content = exported.read_bytes()
    facts = {key: value for key, value in weights.facts.items() if key not in ("sha256", "metrics")}
    summary = str(facts.get("summary", weights.name)).rstrip(".")
    facts |= {
        "summary": f"{summary}; {precision}" + (f", {100 * sparsity:.0f} % of weights zero" if sparsity else ""),
        "copy_of": weights.name,
        "precision": precision,
        "sparsity": sparsity,
    }
    return save_engine(folder, content, weights.config, facts)


def compare_copies(
    original: Weights,
    copy: Weights,
    manifest: str | Path,
    *,
    split: str = "",
    paths: Iterable[Path] | None = None,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """A copy beside its original: sizes, speed, and how well both name species.

    Parameters
    ----------
    manifest : table of recordings
    split, paths : the rows to use, see :func:`birdcore.inference.clip_report.evaluate_clips`
    progress : called with the share done, 0 to 1

    Returns
    -------
    ``original`` and ``copy`` (each ``file_bytes`` of the exported network, ``compressed_bytes``, ``ms_per_window``, and
    the metrics with intervals), ``speed_ratio`` (above 1 where the copy is faster), ``size_ratio``,
    ``macro_roc_auc_change``

    Raises
    ------
    DataError
        If nothing in the table can be evaluated.
    """
    chosen = None if paths is None else set(paths)
    engines = {"original": OnnxEngine(original), "copy": OnnxEngine(copy)}
    seconds = _times(list(engines.values()), example_pictures(original, batch=TIMED_WINDOWS))
    result: dict[str, Any] = {}
    for number, ((key, engine), weights) in enumerate(zip(engines.items(), (original, copy), strict=True)):

        def part(share: float, number: int = number) -> None:
            if progress:
                progress((number + share) / 2)

        report = evaluate_clips(Predictor(weights, engine), manifest, split=split, paths=chosen, progress=part)
        content = engine.file.read_bytes()
        result[key] = {
            "weights": weights.name,
            "file_bytes": len(content),
            "compressed_bytes": len(gzip.compress(content, compresslevel=6)),
            "ms_per_window": 1000 * seconds[number] / TIMED_WINDOWS,
            "num_recordings": report["all"]["num_recordings"],
            **{name: report["all"][name] for name in ("macro_roc_auc", "class_average_precision", "top1_accuracy")},
        }
    first, second = result["original"], result["copy"]
    aucs = first["macro_roc_auc"]["value"], second["macro_roc_auc"]["value"]
    return result | {
        "speed_ratio": first["ms_per_window"] / second["ms_per_window"],
        "size_ratio": second["file_bytes"] / first["file_bytes"],
        "macro_roc_auc_change": None if None in aucs else aucs[1] - aucs[0],
    }


def _times(engines: list[OnnxEngine], pictures: np.ndarray) -> list[float]:
    """Shortest time of a batch in seconds, each engine in turn, so that what disturbs one disturbs the other."""
    best = [float("inf")] * len(engines)
    for _ in range(TIMED_REPEATS):
        for number, engine in enumerate(engines):
            started = time.perf_counter()
            engine(pictures)
            best[number] = min(best[number], time.perf_counter() - started)
    return best


def _pictures(
    weights: Weights, recordings: Sequence[Path], progress: Callable[[float], None] | None
) -> list[np.ndarray]:
    """Pictures of some windows each of recordings spread over the list."""
    wanted = CALIBRATION_WINDOWS // CALIBRATION_WINDOWS_PER_RECORDING
    listener = _Listener(make_engine(weights))
    predictor = Predictor(weights, listener)
    chosen = list(recordings)[:: max(1, len(recordings) // wanted)][:wanted]
    for number, path in enumerate(chosen, start=1):
        try:
            predictor.analyze(path, duration=2.0 * weights.config.window_seconds)
        except AudioError as error:
            logger.warning("not used for calibration: %s", error)
        if progress:
            progress(number / len(chosen))
    if not listener.pictures:
        raise DataError(f"none of {len(chosen)} recordings could be decoded, so the copy cannot be calibrated")
    return listener.pictures


def _to_int8(exported: Path, pictures: Sequence[np.ndarray]) -> Path:
    """The exported network with 8-bit operators."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quant_pre_process,
        quantize_dynamic,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._batches: Iterator[np.ndarray] = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"pictures": batch}

    prepared, static, dynamic = (exported.with_name(f"{name}.onnx") for name in ("prepared", "static", "dynamic"))
    with _silent():
        quant_pre_process(str(exported), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(static),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=STATIC_OPERATORS,
            per_channel=True,
            # 7 bits: two 8-bit products overflow the 16-bit sums of processors without VNNI.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        quantize_dynamic(str(static), str(dynamic), op_types_to_quantize=DYNAMIC_OPERATORS, weight_type=QuantType.QInt8)
    return dynamic


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The quantizer prints and logs advice on its own methods, which is nothing to the user."""
    root = logging.getLogger()
    level = root.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            root.setLevel(level)
