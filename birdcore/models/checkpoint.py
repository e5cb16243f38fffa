"""Weights on disk: ``weights/<name>/``. The one reader and the one writer.

Three kinds of folder are weights, and all are found, listed and loaded alike:

- our networks: ``model.safetensors`` and ``config.json`` (``model``, ``facts``); ``engine.onnx`` instead of the
  tensors in a quantised copy, whose facts name it as "engine"
- custom classifiers on another model's embedding: the same with ``classifier`` instead of ``model``
- models from outside: ``outside.toml``, a ``.tflite`` or ``.onnx`` file and its labels (:mod:`birdcore.models.outside`)
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birdcore.config import ModelConfig, from_dict, to_dict
from birdcore.errors import ConfigError, WeightsError
from birdcore.files import file_sha256, force_to_disk, replacement_path
from birdcore.models.classifier_config import ClassifierConfig
from birdcore.models.outside import ENTRY_FILE, OutsideConfig, read_outside
from birdcore.places import weights_root

__all__ = [
    "DEFAULT_WEIGHTS",
    "Weights",
    "check_sha256",
    "find_weights",
    "list_problems",
    "list_weights",
    "load_model",
    "load_state",
    "save_engine",
    "save_weights",
]

DEFAULT_WEIGHTS = "crnn"

TENSORS = "model.safetensors"
ENGINE = "engine.onnx"
MOST_BYTES = 12_000_000
"""A compact file is at most so large, where storing large kernels in 8 bits is enough for that."""

LARGE_KERNEL = 1 << 17
"""Numbers in a kernel from which on it may be stored in 8 bits."""

_SCALE = ".int8_scale"
"""Ending of the tensor that holds the scale of each output channel of a kernel stored in 8 bits."""

_KINDS = {"model": ModelConfig, "classifier": ClassifierConfig}
"""Key in config.json → what it holds."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One folder of weights.

    Parameters
    ----------
    name : the folder's name
    path : the folder
    config : what the network is and how its input is made
    facts : what is known about it: summary, licence, metrics, sha256, parameters, provenance, limits
    file : the tensors, or the model itself where it comes from outside
    """

    name: str
    path: Path
    config: ModelConfig | ClassifierConfig | OutsideConfig
    facts: dict[str, Any]
    file: Path

    @property
    def is_outside(self) -> bool:
        """Whether the model was made by others and is run as it came."""
        return isinstance(self.config, OutsideConfig)

    @property
    def hears(self) -> tuple[float, float]:
        """Lowest and highest frequency that the model takes in, in Hz."""
        if isinstance(self.config, ModelConfig):
            return self.config.features.lowest_hz, self.config.features.fmax
        return self.config.fmin, self.config.fmax


def _is_weights(folder: Path) -> bool:
    return (folder / "config.json").is_file() or (folder / ENTRY_FILE).is_file()


def _read(folder: Path) -> Weights:
    if (folder / ENTRY_FILE).is_file():
        return _read_from_outside(folder)
    try:
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = next((key for key in _KINDS if key in stored), "model")
        config = from_dict(_KINDS[kind], stored[kind], source=f"{folder.name}/config.json")
        facts = stored.get("facts", {})
        if not isinstance(facts, dict):
            raise ConfigError(f"facts: expected a table, got {type(facts).__name__}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigError) as error:
        raise WeightsError(
            f"weights {folder.name!r}: config.json cannot be used ({error}); is the folder complete?"
        ) from error
    file = folder / (ENGINE if "engine" in facts else TENSORS)
    if not file.is_file():
        raise WeightsError(f"weights {folder.name!r}: {file.name} is missing; is the folder complete?")
    if isinstance(config, ClassifierConfig) and not _is_weights(folder.parent / config.base):
        raise WeightsError(
            f"weights {folder.name!r}: listen with {config.base!r}, which is missing; put its folder beside this one"
        )
    return Weights(name=folder.name, path=folder, config=config, facts=facts, file=file)


def _read_from_outside(folder: Path) -> Weights:
    # A list of 6,522 species is read once, not with every click; any change in the folder counts as another one.
    files = sorted(path for path in folder.iterdir() if path.is_file())
    config, facts, file = _outside_contents(folder, tuple((path.name, path.stat().st_mtime_ns) for path in files))
    return Weights(name=folder.name, path=folder, config=config, facts=dict(facts), file=file)


@functools.lru_cache(maxsize=32)
def _outside_contents(folder: Path, state: tuple[tuple[str, int], ...]) -> tuple[OutsideConfig, dict[str, Any], Path]:
    return read_outside(folder)


def _read_all(root: str | Path | None) -> tuple[list[Weights], list[str]]:
    root = Path(root) if root else weights_root()
    found, problems = [], []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if _is_weights(folder) and not folder.name.startswith("."):  # what begins with a dot is being made
            try:
                found.append(_read(folder))
            except WeightsError as error:
                problems.append(str(error))
    return sorted(found, key=lambda weights: (weights.name != DEFAULT_WEIGHTS, weights.name)), problems


def list_weights(root: str | Path | None = None) -> list[Weights]:
    """Every usable folder of weights, the default first, then by name; damaged folders are left out."""
    return _read_all(root)[0]


def list_problems(root: str | Path | None = None) -> list[str]:
    """Why folders that :func:`list_weights` leaves out cannot be used, one sentence each."""
    return _read_all(root)[1]


def find_weights(name_or_path: str | Path) -> Weights:
    """Weights by name (a folder of the weights root) or by path.

    Raises
    ------
    WeightsError
        If there are none of that name, or they are damaged.
    """
    for folder in (weights_root() / str(name_or_path), Path(name_or_path)):
        if _is_weights(folder):
            return _read(folder)
    known = ", ".join(weights.name for weights in list_weights()) or "none"
    raise WeightsError(f"weights {str(name_or_path)!r}: not found; shipped are: {known}")


def check_sha256(weights: Weights) -> str:
    """Checksum of the weights' file.

    Raises
    ------
    WeightsError
        If the file cannot be read, or another checksum is recorded for it.
    """
    try:
        found = file_sha256(weights.file)
    except OSError as error:
        raise WeightsError(
            f"weights {weights.name!r}: {weights.file.name} cannot be read ({error.strerror})"
        ) from error
    if weights.facts.get("sha256") not in (None, "", found):
        raise WeightsError(
            f"weights {weights.name!r}: {weights.file.name} does not match its checksum; is the download complete?"
        )
    return found


def load_model(weights: Weights) -> Any:
    """The network with its weights, in evaluation mode (a ``torch.nn.Module``).

    Compact files are widened to float32.

    Raises
    ------
    WeightsError
        If the file does not match its recorded checksum or the network, or holds no network of ours.
    """
    from birdcore.models.registry import build_model

    if "engine" in weights.facts:
        raise WeightsError(
            f"weights {weights.name!r}: hold an exported network only ({weights.file.name}); use the onnx engine, or "
            f"the weights it was made from ({weights.facts.get('copy_of', 'its original')})"
        )
    if not isinstance(weights.config, ModelConfig):
        raise WeightsError(
            f"weights {weights.name!r}: hold no network of ours ({weights.file.name}, {weights.config.architecture}), "
            "so they can listen but cannot be trained, exported or taken apart"
        )
    return load_state(weights, build_model(weights.config))


def load_state(weights: Weights, model: Any) -> Any:
    """Fill a network with the tensors of its weights; the network, in evaluation mode.

    Parameters
    ----------
    model : a ``torch.nn.Module`` built from the weights' config

    Raises
    ------
    WeightsError
        If the file does not match its recorded checksum or the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_sha256(weights)
    try:
        model.load_state_dict(_unpack(load_file(weights.file)))
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"weights {weights.name!r}: do not fit {weights.config.architecture} ({error})") from error
    return model.eval()


def save_weights(
    folder: str | Path,
    model: Any,
    config: ModelConfig | ClassifierConfig,
    facts: dict[str, Any],
    *,
    compact: bool = False,
) -> Weights:
    """Write a folder of weights; config.json comes last, so that a half-written folder is never listed.

    Parameters
    ----------
    compact : store float16, which halves the file and changes scores by less than 1e-3; where it were larger than
        ``MOST_BYTES`` all the same, large kernels take 8 bits, with a scale per output channel. "tensors" among the
        facts says which.
    """
    from safetensors.torch import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    kind_of_tensors = "float32"
    if compact:
        state, kind_of_tensors = _pack(state)
    content = save(state)
    facts = {
        **facts,
        "tensors": kind_of_tensors,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    kind = next(key for key, config_type in _KINDS.items() if isinstance(config, config_type))
    text = json.dumps({kind: to_dict(config), "facts": facts}, indent=1, ensure_ascii=False, allow_nan=False)
    _replace(folder, {TENSORS: content, "config.json": text.encode()})
    return _read(folder)


def _pack(state: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A network's tensors in little space, and what they are now."""
    import torch

    halved = {key: value.half() if value.dtype == torch.float32 else value for key, value in state.items()}
    if sum(value.nbytes for value in halved.values()) <= MOST_BYTES:
        return halved, "float16"
    for key, value in state.items():
        if value.dtype == torch.float32 and value.ndim > 1 and value.numel() >= LARGE_KERNEL:
            highest = value.flatten(1).abs().amax(dim=1).clamp(min=1e-8)
            scale = (highest / 127).half().float()  # rounded as it will be read
            scale = scale.clamp(min=2.0**-24).reshape(-1, *[1] * (value.ndim - 1))
            halved[key] = (value / scale).round().clamp(-127, 127).to(torch.int8)
            halved[key + _SCALE] = scale.half()
    return halved, f"float16, kernels of {LARGE_KERNEL:,} numbers and more int8"


def _unpack(stored: dict[str, Any]) -> dict[str, Any]:
    """Tensors in float32 again, whatever they were stored in."""
    return {
        key: value.float() * stored[key + _SCALE].float()
        if key + _SCALE in stored
        else (value.float() if value.is_floating_point() else value)
        for key, value in stored.items()
        if not key.endswith(_SCALE)
    }


def save_engine(folder: str | Path, content: bytes, config: ModelConfig, facts: dict[str, Any]) -> Weights:
    """Write a folder of weights that holds an exported network instead of tensors.

    Parameters
    ----------
    content : of the ONNX file: pictures to the calibrated log-odds of what is reported
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {**facts, "engine": ENGINE, "sha256": hashlib.sha256(content).hexdigest()}
    text = json.dumps({"model": to_dict(config), "facts": facts}, indent=1, ensure_ascii=False, allow_nan=False)
    _replace(folder, {ENGINE: content, "config.json": text.encode()})
    return _read(folder)


def _replace(folder: Path, contents: dict[str, bytes]) -> None:
    """Put files in their place once all are on the disk, so that a full disk leaves the old ones as they were.

    In between there is no config.json, and so no weights, rather than one that belongs to other tensors.
    """
    with contextlib.ExitStack() as stack:
        for name, content in reversed(contents.items()):  # what is entered last takes its place first
            part = stack.enter_context(replacement_path(folder / name))
            part.write_bytes(content)
            force_to_disk(part)
        (folder / "config.json").unlink(missing_ok=True)
