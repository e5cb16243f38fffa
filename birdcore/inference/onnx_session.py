"""ONNX Runtime's sessions, opened alike everywhere, and what they raise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from birdcore.errors import WeightsError

__all__ = ["first_line", "onnx_errors", "open_session"]


def open_session(source: Path | bytes, *, name: str = "", num_threads: int = 0) -> Any:
    """An ``onnxruntime.InferenceSession`` on the processor; it prints nothing.

    Parameters
    ----------
    source : a file, or its contents
    name : what to call it in errors; "" for the file's name
    num_threads : 0 for one per core

    Raises
    ------
    WeightsError
        If ONNX Runtime cannot run it: damaged, or an operator that it does not have.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = num_threads
    try:
        return onnxruntime.InferenceSession(
            source if isinstance(source, bytes) else str(source), options, providers=["CPUExecutionProvider"]
        )
    except onnx_errors() as error:
        name = name or (source.name if isinstance(source, Path) else "the network")
        raise WeightsError(f"{name}: ONNX Runtime cannot run it ({first_line(error)})") from error


def onnx_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its errors have no common parent but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile", "NotImplemented")
    found = (getattr(state, name, None) for name in (*names, "RuntimeException", "EPFail", "EngineError"))
    return (RuntimeError, ValueError, *(error for error in found if error is not None))


def first_line(error: Exception) -> str:
    """The first line of an error's text, at most 300 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
