"""What a ``.tflite`` file holds of a network: kernels, biases and scales, dequantised, in the order of the graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from birdcore.errors import WeightsError

__all__ = ["Layer", "read_tflite_layers", "read_tflite_scales"]

Layer = tuple[np.ndarray, np.ndarray]
"""Kernel and bias. Kernels: (outputs, height, width, inputs), depthwise (1, height, width, channels), dense (outputs,
inputs)."""


def read_tflite_layers(path: str | Path) -> list[Layer]:
    """Kernels and biases of a network's convolutions and dense layers, dequantised, in order.

    Raises
    ------
    WeightsError
        If the file is missing, is not a TensorFlow Lite model, or has weights of an unknown type.
    """
    import tflite  # the file format's schema; only needed where published weights are read

    file = _TfliteFile(path)
    wanted = {
        tflite.BuiltinOperator.CONV_2D,
        tflite.BuiltinOperator.DEPTHWISE_CONV_2D,
        tflite.BuiltinOperator.FULLY_CONNECTED,
    }
    dequantized: dict[int, np.ndarray] = {}
    layers = []
    for kind, inputs, outputs in file.operators():
        if kind == tflite.BuiltinOperator.DEQUANTIZE:
            dequantized[outputs[0]] = file.constant(inputs[0])
        elif kind in wanted and len(inputs) == 3 and inputs[2] >= 0:
            kernel = file.constant(inputs[1])
            kernel = dequantized.get(inputs[1]) if kernel is None else kernel
            layers.append((kernel, file.constant(inputs[2])))
    return layers


def read_tflite_scales(path: str | Path) -> list[np.ndarray]:
    """Constant vectors that a network multiplies with or adds, such as unfolded batch normalisation, in order.

    Raises
    ------
    WeightsError
        As :func:`read_tflite_layers`.
    """
    import tflite

    file = _TfliteFile(path)
    wanted = {tflite.BuiltinOperator.MUL, tflite.BuiltinOperator.ADD}
    constants = [file.constant(inputs[1]) for kind, inputs, _ in file.operators() if kind in wanted]
    return [vector for vector in constants if vector is not None and vector.ndim == 1]


class _TfliteFile:
    def __init__(self, path: str | Path) -> None:
        import tflite

        path = Path(path)
        if not path.is_file():
            raise WeightsError(f"{path}: no such file; give the path of the .tflite file of the published weights")
        content = path.read_bytes()
        if content[4:8] != b"TFL3":
            raise WeightsError(f"{path.name}: not a TensorFlow Lite model (is the download complete?)")
        self._name = path.name
        self._model: Any = tflite.Model.GetRootAs(content, 0)
        self._graph: Any = self._model.Subgraphs(0)
        self._types = {
            tflite.TensorType.FLOAT32: np.float32,
            tflite.TensorType.FLOAT16: np.float16,
            tflite.TensorType.INT8: np.int8,
            tflite.TensorType.INT32: np.int32,
        }

    def operators(self) -> Iterator[tuple[int, list[int], list[int]]]:
        """Kind, inputs and outputs (numbers of tensors; -1 for none) of every operator."""
        for position in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(position)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            inputs = [*map(int, operator.InputsAsNumpy())] if operator.InputsLength() else []
            outputs = [*map(int, operator.OutputsAsNumpy())] if operator.OutputsLength() else []
            yield kind, inputs, outputs

    def constant(self, index: int) -> np.ndarray | None:
        """Values of a tensor, or None where it is computed."""
        tensor = self._graph.Tensors(index)
        buffer = self._model.Buffers(tensor.Buffer())
        if not buffer.DataLength():
            return None
        if tensor.Type() not in self._types:
            raise WeightsError(f"{self._name}: weights of type {tensor.Type()} are not read; use the published file")
        kind = self._types[tensor.Type()]
        shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
        values = np.frombuffer(buffer.DataAsNumpy().tobytes(), kind).reshape(shape)
        if kind is not np.int8:
            return values.astype(np.float32) if kind is np.float16 else values
        quantization = tensor.Quantization()
        axes = [1] * values.ndim
        axes[quantization.QuantizedDimension()] = -1
        scale = quantization.ScaleAsNumpy().astype(np.float32)
        zero = quantization.ZeroPointAsNumpy().astype(np.float32)
        if len(scale) == 1:
            axes = [1] * values.ndim
        return (values.astype(np.float32) - zero.reshape(axes)) * scale.reshape(axes)
