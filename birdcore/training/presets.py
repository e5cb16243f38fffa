"""Presets: the settings of a run that a file in ``configs/`` holds, under the file's name."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from birdcore.config import TrainConfig, from_dict
from birdcore.errors import ConfigError
from birdcore.places import project_root

__all__ = ["Preset", "list_presets"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A file in ``configs/``.

    Parameters
    ----------
    config : its settings
    about : what its author says about it, in one paragraph; "" where nothing
    """

    config: TrainConfig
    about: str


def list_presets(folder: Path | None = None) -> tuple[dict[str, Preset], list[str]]:
    """Name → preset for each file in ``configs/`` that describes a run; the default comes first.

    Returns
    -------
    presets : those that can be used
    problems : why the other files cannot, a sentence each
    """
    presets: dict[str, Preset] = {}
    problems = []
    for file in sorted((folder or project_root() / "configs").glob("*.toml")):
        try:
            text = file.read_text(encoding="utf-8")
            presets[file.stem] = Preset(
                config=from_dict(TrainConfig, tomllib.loads(text), source=file.name), about=_about(text)
            )
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            problems.append(f"{file.name}: cannot be read as TOML ({error})")
        except ConfigError as error:
            problems.append(str(error))
    first = [name for name in ("crnn",) if name in presets]
    return {name: presets[name] for name in [*first, *(name for name in presets if name not in first)]}, problems


def _about(text: str) -> str:
    """The first paragraph of the comment that a file begins with."""
    lines = []
    for line in text.splitlines():
        said = line.removeprefix("#").strip()
        if not line.startswith("#") or (lines and (not said or said.startswith("- "))):
            break
        lines.append(said)
    text = " ".join(lines)
    return text if text.endswith(".") else text[: text.rfind(".") + 1]  # what leads up to a list says nothing alone
