"""Models from outside, opened: LiteRT for ``.tflite`` and ONNX Runtime for ``.onnx``, one window of waveform at a time.

Neither kind of file can carry code, nothing is unpickled, and whatever is not a waveform-in classifier for the given
labels is refused before it listens.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from birdcore.errors import WeightsError
from birdcore.inference.onnx_session import first_line, onnx_errors, open_session
from birdcore.models.checkpoint import Weights, check_sha256
from birdcore.models.outside import OutsideConfig

__all__ = ["OutsideModel", "open_outside_model"]

NUM_THREADS = 2

HIGHEST_LOGIT = 30.0
"""Log-odds beyond this are cut: float32 tells no probability closer to 0 or 1 apart."""


class _File(Protocol):
    """An opened model: what it gives and one run of it. Calls from several threads wait for each other."""

    engine: str
    outputs: dict[str, tuple[int, ...]]  # name → shape; -1 where it varies

    def run(self, window: np.ndarray, names: list[str]) -> list[np.ndarray]: ...


class OutsideModel:
    """A waveform-in classifier. Nothing in it changes after loading, so threads may share it.

    Parameters
    ----------
    config : what is known about it
    file : the opened model
    scores, embedding : names of its outputs; embedding is None where it was not asked for

    Attributes
    ----------
    engine : "litert" or "onnx"
    embedding_size : numbers in an embedding, or None
    """

    def __init__(self, name: str, config: OutsideConfig, file: _File, *, scores: str, embedding: str | None) -> None:
        self.config = config
        self.engine = file.engine
        self._name, self._file, self._scores, self._embedding = name, file, scores, embedding
        # A model is trusted with a recording only after it answered noise as it must.
        noise = 0.01 * np.random.default_rng(0).standard_normal((1, config.window_samples)).astype(np.float32)
        self.logits(noise)
        self.embedding_size = None if embedding is None else self.embeddings(noise).shape[1]

    def logits(self, windows: np.ndarray) -> np.ndarray:
        """Log-odds of every class.

        Parameters
        ----------
        windows : shape (batch, window_samples), float32 in [-1, 1]

        Returns
        -------
        shape (batch, num_classes), float32, finite

        Raises
        ------
        WeightsError
            If the model gives anything but one finite number per label.
        """
        rows = self._run(windows, self._scores)
        if rows.shape[1] != self.config.num_classes:
            raise WeightsError(
                f"weights {self._name!r}: the model gives {rows.shape[1]} scores, and the labels file names "
                f"{self.config.num_classes} classes; it is the labels file of another model or version"
            )
        return _log_odds(rows, self.config.activation, name=self._name)

    def embeddings(self, windows: np.ndarray) -> np.ndarray:
        """What the model makes of each window before it names anything.

        Parameters
        ----------
        windows : as for :meth:`logits`

        Returns
        -------
        shape (batch, embedding_size), float32

        Raises
        ------
        WeightsError
            If the model was opened without an embedding, or gives anything but finite numbers.
        """
        if self._embedding is None:
            raise WeightsError(f'weights {self._name!r}: no embedding is known; name its tensor: embedding = "…"')
        return self._run(windows, self._embedding)

    def _run(self, windows: np.ndarray, output: str) -> np.ndarray:
        rows = [self._file.run(self._leveled(window), [output])[0].ravel() for window in windows]
        if len({row.size for row in rows}) != 1 or not all(np.isfinite(row).all() for row in rows):
            raise WeightsError(f"weights {self._name!r}: {output!r} holds values that are not finite numbers")
        return np.stack(rows).astype(np.float32)

    def _leveled(self, window: np.ndarray) -> np.ndarray:
        """A window at the level that the model was trained on; silence stays silence."""
        if not self.config.peak:
            return window
        centred = window - window.mean()
        peak = float(np.abs(centred).max())
        return centred if peak == 0 else (centred * (self.config.peak / peak)).astype(np.float32)


def open_outside_model(weights: Weights, *, embedding: bool = False) -> OutsideModel:
    """Open a model from outside, and have it answer once.

    Parameters
    ----------
    weights : with an ``OutsideConfig``
    embedding : also give the embedding, which takes more memory where it is an inner tensor

    Raises
    ------
    WeightsError
        If the file is damaged, needs what its runtime lacks, or is no waveform-in classifier for these labels; or if
        an embedding is asked for and there is none.
    """
    config = weights.config
    assert isinstance(config, OutsideConfig)
    check_sha256(weights)
    opened = _LiteRtFile if weights.file.suffix.lower() == ".tflite" else _OnnxFile
    if embedding and not config.embedding:
        raise WeightsError(
            f'weights {weights.name!r}: no embedding is known; name its tensor in outside.toml: embedding = "…"'
        )
    inner = config.embedding if embedding and config.embedding != "auto" else ""
    file = opened(weights.file, config, inner)
    scores = _score_output(file.outputs, config, weights.file.name)
    return OutsideModel(
        weights.name,
        config,
        file,
        scores=scores,
        embedding=_embedding_output(file.outputs, config, scores, weights.file.name) if embedding else None,
    )


def _score_output(outputs: Mapping[str, tuple[int, ...]], config: OutsideConfig, file: str) -> str:
    """The output with a score per class."""
    if config.output:
        if config.output.isdecimal() and int(config.output) < len(outputs):
            return list(outputs)[int(config.output)]
        found = _named(outputs, config.output)
    else:
        found = [name for name, shape in outputs.items() if shape and shape[-1] == config.num_classes]
        found = [name for name in found if len(outputs[name]) <= 2] or found
    if len(found) == 1:
        return found[0]
    wanted = f"named {config.output!r}" if config.output else f"of the {config.num_classes} classes in the labels file"
    raise WeightsError(
        f"{file}: has {'several outputs' if found else 'no output'} {wanted}; its outputs are {_listed(outputs)}. "
        'Check the labels file, or name the output in outside.toml: output = "…"'
    )


def _embedding_output(outputs: Mapping[str, tuple[int, ...]], config: OutsideConfig, scores: str, file: str) -> str:
    if config.embedding == "auto":
        rows = [name for name, shape in outputs.items() if name != scores and len(shape) == 2 and shape[0] in (1, -1)]
        found = [name for name in rows if name.lower().split(":")[0].endswith("embedding")] or rows
    else:
        found = _named(outputs, config.embedding)
    if len(found) == 1:
        return found[0]
    raise WeightsError(
        f"{file}: which tensor is the embedding is not clear (looked for {config.embedding!r}, found "
        f'{", ".join(found) or "none"}); its outputs are {_listed(outputs)}. Name it in outside.toml: embedding = "…"'
    )


def _named(names: Mapping[str, Any], wanted: str) -> list[str]:
    """The names that are the one wanted; where none is, those that end in it; else those that hold it.

    Converters put the name of the graph before a tensor's own, and a number behind it.
    """
    for fits in (str.__eq__, str.endswith, str.__contains__):
        found = [name for name in names if fits(name, wanted)]
        if found:
            return found
    return []


def _listed(outputs: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in list(outputs.items())[:8])


def _log_odds(values: np.ndarray, activation: str, *, name: str) -> np.ndarray:
    """Log-odds of what a model gives: of probabilities, of logits of single classes, or of logits of which one holds."""
    if activation == "sigmoid":
        return np.clip(values, -HIGHEST_LOGIT, HIGHEST_LOGIT)
    probability = values.astype(np.float64)
    if activation == "softmax":
        probability = np.exp(probability - probability.max(axis=1, keepdims=True))
        probability /= probability.sum(axis=1, keepdims=True)
    elif probability.min() < -1e-3 or probability.max() > 1 + 1e-3:
        raise WeightsError(
            f"weights {name!r}: the model gives {probability.min():.3g} to {probability.max():.3g}, which are no "
            'probabilities; say in outside.toml what makes them some: activation = "sigmoid" or "softmax"'
        )
    lowest = np.exp(-HIGHEST_LOGIT)
    probability = np.clip(probability, lowest, 1 - 1e-9)
    return np.clip(np.log(probability) - np.log1p(-probability), -HIGHEST_LOGIT, HIGHEST_LOGIT).astype(np.float32)


def _check_input(file: str, shape: tuple[int, ...], dtype: Any, config: OutsideConfig) -> None:
    """Refuse what does not take one window of waveform; -1 is a size that varies."""
    others = [size for size in shape[:-1] if size not in (1, -1)]
    if not shape or others or shape[-1] not in (config.window_samples, -1):
        raise WeightsError(
            f"{file}: takes input of shape {list(shape)}, and a window of {config.window_seconds:g} s at "
            f"{config.sample_rate} Hz has {config.window_samples} samples; check sample_rate and window_seconds "
            "(models that take spectrograms cannot be used)"
        )
    if dtype != np.float32:
        raise WeightsError(f"{file}: takes {np.dtype(dtype).name} samples; only models that take float32 can be used")


class _LiteRtFile:
    engine = "litert"

    def __init__(self, path: Path, config: OutsideConfig, inner: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with path.open("rb") as file:
            if file.read(8)[4:] != b"TFL3":
                raise WeightsError(f"{path.name}: not a TensorFlow Lite model (is the download complete?)")
        self._lock = threading.Lock()
        try:
            with warnings.catch_warnings():
                # It warns of the memory that inner tensors take; nothing else keeps the embedding.
                warnings.simplefilter("ignore", UserWarning)
                self._interpreter = Interpreter(
                    str(path), num_threads=NUM_THREADS, experimental_preserve_all_tensors=bool(inner)
                )
            inputs = self._interpreter.get_input_details()
            chosen = [detail for detail in inputs if not config.input or detail["name"] == config.input]
            if len(chosen) != 1:
                raise WeightsError(
                    f"{path.name}: expected one input{f' named {config.input!r}' if config.input else ''}, found "
                    f'{", ".join(detail["name"] for detail in inputs)}; name it in outside.toml: input = "…"'
                )
            self._input = chosen[0]
            shape = tuple(map(int, self._input["shape_signature"]))
            _check_input(path.name, shape, self._input["dtype"], config)
            self._shape = [1] * (len(shape) - 1) + [config.window_samples]
            if list(self._input["shape"]) != self._shape:
                self._interpreter.resize_tensor_input(self._input["index"], self._shape)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise WeightsError(f"{path.name}: LiteRT cannot run it ({first_line(error)})") from error
        details = list(self._interpreter.get_output_details())
        if inner:
            everything = [detail for detail in self._interpreter.get_tensor_details() if detail["name"]]
            names = _named({detail["name"]: detail for detail in everything}, inner)
            details += [detail for detail in everything if detail["name"] in names]
        self._indices = {detail["name"]: detail["index"] for detail in details}
        self.outputs = {detail["name"]: tuple(map(int, detail["shape"])) for detail in details}

    def run(self, window: np.ndarray, names: list[str]) -> list[np.ndarray]:
        """One window; the tensors of these names."""
        try:
            with self._lock:
                self._interpreter.set_tensor(self._input["index"], window.reshape(self._shape))
                self._interpreter.invoke()
                return [self._interpreter.get_tensor(self._indices[name]) for name in names]
        except (ValueError, RuntimeError) as error:
            raise WeightsError(f"LiteRT failed on a window ({first_line(error)})") from error


class _OnnxFile:
    engine = "onnx"

    def __init__(self, path: Path, config: OutsideConfig, inner: str) -> None:
        self._errors = onnx_errors()
        self._session = open_session(path, num_threads=NUM_THREADS)
        if inner and not _named({node.name: None for node in self._session.get_outputs()}, inner):
            self._session = open_session(_with_output(path, inner), name=path.name, num_threads=NUM_THREADS)
        inputs = self._session.get_inputs()
        chosen = [node for node in inputs if not config.input or node.name == config.input]
        if len(chosen) != 1 or len(inputs) != 1:
            raise WeightsError(
                f"{path.name}: expected one input{f' named {config.input!r}' if config.input else ''}, found "
                f"{', '.join(node.name for node in inputs)}; only models of one waveform can be used"
            )
        self._input = chosen[0].name
        shape = _onnx_shape(chosen[0].shape)
        _check_input(path.name, shape, {"tensor(float)": np.float32}.get(chosen[0].type, np.dtype("V")), config)
        self._shape = [1] * (len(shape) - 1) + [config.window_samples]
        self.outputs = {node.name: _onnx_shape(node.shape) for node in self._session.get_outputs()}

    def run(self, window: np.ndarray, names: list[str]) -> list[np.ndarray]:
        """One window; the outputs of these names."""
        try:
            return self._session.run(names, {self._input: window.reshape(self._shape)})
        except self._errors as error:
            raise WeightsError(f"ONNX Runtime failed on a window ({first_line(error)})") from error


def _onnx_shape(shape: list[int | str | None]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in shape)


def _with_output(path: Path, inner: str) -> bytes:
    """The contents of an ONNX file that was opened before, with an inner tensor as a further output."""
    import onnx

    model = onnx.load(path)
    names = _named({name: None for node in model.graph.node for name in node.output}, inner)
    if len(names) != 1:
        raise WeightsError(
            f"{path.name}: has {'several tensors' if names else 'no tensor'} named {inner!r}; "
            'name the embedding in outside.toml: embedding = "…"'
        )
    model.graph.output.append(onnx.helper.make_tensor_value_info(names[0], onnx.TensorProto.FLOAT, None))
    return model.SerializeToString()
