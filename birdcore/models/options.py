"""Options of a network: what ``ModelConfig.options`` may hold for an architecture, with the values that hold unsaid."""

from __future__ import annotations

from typing import Any

from birdcore.config import ModelConfig
from birdcore.errors import ConfigError

__all__ = ["read_options"]

_OF_NO_NETWORK = {"auxiliary_codes"}
"""Options that are kept beside the weights and concern no network."""


def read_options(config: ModelConfig, **defaults: Any) -> dict[str, Any]:
    """The options of a config, filled up with defaults.

    Parameters
    ----------
    defaults : every option that the architecture knows, and its value where the config says nothing

    Raises
    ------
    ConfigError
        If an option is unknown or of another type than its default.
    """
    unknown = set(config.options) - set(defaults) - _OF_NO_NETWORK
    if unknown:
        known = f"known are {', '.join(defaults)}" if defaults else "it has none"
        raise ConfigError(f"{config.architecture}: unknown option {min(unknown)!r}; {known}")
    for name, default in defaults.items():
        value = config.options.get(name, default)
        kinds = (int, float) if isinstance(default, float) else (list, tuple) if isinstance(default, list) else ()
        if not isinstance(value, kinds or type(default)) or (isinstance(value, bool) and not isinstance(default, bool)):
            raise ConfigError(f"{config.architecture}: option {name} = {value!r}: must be like {default!r}")
    return {name: config.options.get(name, default) for name, default in defaults.items()}
