"""Every error that birdcore raises on purpose.

::

    BirdcoreError
    ├── AudioError          a sound that cannot be read, or holds nothing to analyse
    ├── ConfigError         a setting that is missing, unknown or out of range
    ├── DataError           a table, annotation or data set that is not what it should be
    ├── ShapeError          an array or tensor of the wrong shape
    ├── WeightsError        weights that are missing, damaged or made for something else
    ├── RunError            a run that cannot start, resume or be read, or is under way already
    └── AcceptanceError     a model that may not be published as it is

Messages are written for the user: they name the thing, what was expected and what to do. Pages show ``str(error)``
as it is.
"""

__all__ = [
    "AcceptanceError",
    "AudioError",
    "BirdcoreError",
    "ConfigError",
    "DataError",
    "RunError",
    "ShapeError",
    "WeightsError",
]


class BirdcoreError(Exception):
    """The root of all errors raised on purpose by birdcore."""


class AudioError(BirdcoreError):
    """A sound cannot be read, or holds nothing to analyse."""


class ConfigError(BirdcoreError):
    """A setting is missing, unknown or out of range."""


class DataError(BirdcoreError):
    """A table, an annotation or a data set is not what it should be."""


class ShapeError(BirdcoreError):
    """An array or tensor has the wrong shape."""


class WeightsError(BirdcoreError):
    """Weights are missing, damaged, or made for something else."""


class RunError(BirdcoreError):
    """A run, of training or over a folder, cannot start, resume or be read, or is under way already."""


class AcceptanceError(BirdcoreError):
    """A model did not pass the gate before publication."""
