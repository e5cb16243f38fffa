"""Settings of a run as people give them: the few that matter as fields, all others as text in TOML.

What comes from a browser is checked key by key, so that each fault is told where it stands, and all of them at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birdcore.config import TrainConfig, from_dict, to_dict
from birdcore.data.readers import detect_format
from birdcore.errors import ConfigError
from birdcore.models.registry import list_architectures

__all__ = [
    "FIELDS",
    "Fault",
    "Field",
    "fit_to_data",
    "read_settings",
    "settings_text",
]

FILLED_IN = ("data_format",)
"""Settings that follow from the chosen data."""

_LINE = re.compile(r"\s*(?:\"([^\"]+)\"|'([^']+)'|([A-Za-z0-9_-]+))\s*(?:\.|=)")
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, kw_only=True)
class Field:
    """A setting that has a field of its own.

    Parameters
    ----------
    setting : name in TrainConfig
    label, help : for people
    lowest, highest : what makes sense
    format : as Streamlit's number fields take it
    short : whether the sidebar offers it, too
    """

    setting: str
    label: str
    help: str
    lowest: float
    highest: float
    format: str = "%d"
    short: bool = False


FIELDS = (
    Field(
        setting="epochs",
        label="Epochs",
        help="How often the model is measured on the validation recordings; the best epoch is kept. 10 to 40 is usual.",
        lowest=1,
        highest=1000,
        short=True,
    ),
    Field(
        setting="windows_per_epoch",
        label="Windows",
        help="Cuts of the recordings that one epoch sees, drawn anew each time. About as many as there are recordings, "
        "or more.",
        lowest=1,
        highest=100_000,
        short=True,
    ),
    Field(
        setting="batch_size",
        label="Batch size",
        help="Windows per step. Smaller needs less memory; larger is steadier. 8 to 64 is usual.",
        lowest=1,
        highest=512,
        short=True,
    ),
    Field(
        setting="learning_rate",
        label="Learning rate",
        help="How far each step goes. Lower it tenfold where the loss jumps or becomes infinite.",
        lowest=1e-6,
        highest=1.0,
        format="%.1e",
        short=True,
    ),
    Field(
        setting="patience",
        label="Patience",
        help="Stops early after so many epochs without a better validation; 0 never does.",
        lowest=0,
        highest=1000,
    ),
    Field(
        setting="mixup",
        label="Mixing",
        help="How often several recordings are put on top of each other, so that the model learns to hear birds at once.",
        lowest=0.0,
        highest=1.0,
        format="%.2f",
    ),
    Field(
        setting="noise",
        label="Background",
        help="How often background noise is added; without background recordings it does nothing.",
        lowest=0.0,
        highest=1.0,
        format="%.2f",
    ),
    Field(
        setting="seed",
        label="Seed",
        help="Another number draws other windows: train twice to see how much of a difference is chance.",
        lowest=0,
        highest=2**31 - 1,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that cannot be used in settings that somebody wrote.

    Parameters
    ----------
    message : what, and what would do
    line : where it stands in the text, from 1 on; None where it stands nowhere
    """

    message: str
    line: int | None = None


def fit_to_data(config: TrainConfig, folder: Path, *, data_format: str = "auto") -> tuple[TrainConfig, list[str]]:
    """A preset for some data: in its format, and without the tables that it does not have.

    A missing ``yamnet_file`` stays named: the training loop then takes the trunk of the shipped weights, and says so.

    Parameters
    ----------
    config : the preset
    folder : of the data set
    data_format : how it is laid out, or "auto" to look

    Returns
    -------
    config : the preset, fitted
    missing : our own tables that the preset names and that are not there

    Raises
    ------
    DataError
        If the folder holds no data set that is known.
    """
    if data_format == "auto":
        data_format = detect_format(folder)
    tables = {name: getattr(config, name) for name in ("extra_manifest", "background", "strong")}
    # Only our own format has further tables.
    usable = data_format == "manifest"
    missing = {name: table for name, table in tables.items() if table and not (usable and (folder / table).is_file())}
    fitted = dataclasses.replace(config, data_format=data_format, **dict.fromkeys(missing, ""))
    return fitted, sorted(missing.values()) if usable else []


def settings_text(config: TrainConfig) -> str:
    """All settings without a field of their own, as TOML."""
    own = {field.setting for field in FIELDS} | set(FILLED_IN)
    return "".join(f"{key} = {_toml(value)}\n" for key, value in to_dict(config).items() if key not in own)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)  # text, numbers and truth values are written alike


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def read_settings(text: str, *, base: TrainConfig, fields: Mapping[str, Any]) -> tuple[TrainConfig | None, list[Fault]]:
    """Settings from what somebody typed.

    Parameters
    ----------
    text : TOML; what it leaves out stays as in the base
    base : the preset, fitted to the data
    fields : values of the settings that have a field of their own

    Returns
    -------
    config : None where something cannot be used
    faults : all that cannot be used, in the order of the text
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        line = (int(place[1]) if place[1] else len(text.splitlines())) if place else None
        return None, [Fault(message=f"not TOML: {_TOML_PLACE.sub('', str(error))}", line=line)]
    lines = _lines_of(text)
    faults = []
    values = to_dict(base)
    own = {field.setting: field for field in FIELDS}
    for key, value in given.items():
        if key in own:
            message = f"{key}: has a field of its own, “{own[key].label}”; remove it here"
        elif key in FILLED_IN:
            message = f"{key}: follows from the data chosen above; remove it here"
        elif key not in values:
            close = difflib.get_close_matches(key, values, n=1)
            message = f"{key}: there is no such setting" + (f"; did you mean {close[0]}?" if close else "")
        else:
            message = _fault_of(values, key, value)
        if message:
            faults.append(Fault(message=message, line=lines.get(key)))
        else:
            values[key] = value
    for setting, value in fields.items():
        field = own[setting]
        if value is None or not field.lowest <= value <= field.highest:
            faults.append(
                Fault(message=f"{field.label} = {value}: must be between {field.lowest:g} and {field.highest:g}")
            )
    if faults:
        return None, sorted(faults, key=lambda fault: fault.line or 0)
    try:
        config = from_dict(TrainConfig, values | dict(fields), source="settings")
    except ConfigError as error:  # settings that do not go together
        return None, [_placed(str(error), lines)]
    known = [architecture["name"] for architecture in list_architectures()]
    if config.architecture not in known:
        message = f"architecture = {config.architecture!r}: unknown; one of {', '.join(known)}"
        return None, [Fault(message=message, line=lines.get("architecture"))]
    return config, []


def _fault_of(values: dict[str, Any], key: str, value: Any) -> str:
    """Why a setting cannot be used; "" where it can."""
    kept = dict(values)
    if key == "fold":  # is measured against num_folds, which may come later
        kept["num_folds"] = max(int(kept["num_folds"]), value + 1 if isinstance(value, int) else 0)
    try:
        from_dict(TrainConfig, kept | {key: value}, source="settings")
    except ConfigError as error:
        return str(error).removeprefix("settings: ")
    return ""


def _placed(message: str, lines: Mapping[str, int]) -> Fault:
    message = message.removeprefix("settings: ")
    key = re.match(r"\w+", message)
    return Fault(message=message, line=lines.get(key[0]) if key else None)


def _lines_of(text: str) -> dict[str, int]:
    """Setting → line on which it is set."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        key = _LINE.match(line)
        if key:
            found.setdefault(next(filter(None, key.groups())), number)
        elif line.strip().startswith("["):
            found.setdefault(line.strip().strip("[]").split(".")[0].strip(), number)
    return found
