"""Readers of data folders: one module per format, one result for all.

``manifest`` is our own table; ``folders`` a folder per class; ``birdclef2021`` and ``birdclef2025`` the competitions'
tables; ``zenodo`` the annotated soundscapes of Zenodo and BirdSet; ``raven`` recordings with selection tables. Nothing
that a table says leads outside its folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from birdcore.config import DataFormat
from birdcore.data.readers.birdclef2021 import read_birdclef2021
from birdcore.data.readers.birdclef2025 import read_birdclef2025
from birdcore.data.readers.dataset import Dataset, Problem, SoundFiles
from birdcore.data.readers.folders import read_folders
from birdcore.data.readers.manifest import ManifestTables, read_manifest_folder
from birdcore.data.readers.raven import read_raven_folder
from birdcore.data.readers.zenodo import read_zenodo
from birdcore.errors import DataError

__all__ = ["DATA_FORMATS", "Dataset", "ManifestTables", "Problem", "detect_format", "read_dataset"]

DATA_FORMATS: tuple[str, ...] = get_args(DataFormat)


def detect_format(folder: str | Path) -> str:
    """Which of ``DATA_FORMATS`` a folder has, by the tables in it.

    Raises
    ------
    DataError
        If there is no such folder, or nothing in it is known.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; is the data folder right (BIRDCORE_DATA)?")
    for name, table in (
        ("manifest", "manifest.csv"),
        ("birdclef2025", "train.csv"),
        ("birdclef2021", "train_metadata.csv"),
        ("zenodo", "annotations.csv"),
    ):
        if (folder / table).is_file():
            return name
    if next(folder.rglob("*.selections.txt"), None):
        return "raven"
    sounds = SoundFiles(folder)
    if any(path.parent != sounds.root for path in sounds.paths):
        return "folders"
    raise DataError(
        f"{folder}: no data set that is known; expected manifest.csv, train.csv with taxonomy.csv (BirdCLEF 2025), "
        "train_metadata.csv (BirdCLEF 2021), annotations.csv (Zenodo), Raven selection tables, or a folder per species"
    )


def read_dataset(
    folder: str | Path,
    *,
    data_format: str = "auto",
    tables: ManifestTables | None = None,
    group_by: Literal["site", "date"] = "site",
) -> Dataset:
    """Read a data folder.

    Parameters
    ----------
    folder : where the tables or class folders are
    data_format : one of ``DATA_FORMATS``, or "auto" to look what is there
    tables : names of our own tables, for format "manifest"; by default those that are there under their usual names
    group_by : what splits of annotated soundscapes keep together, for format "zenodo"

    Returns
    -------
    Recordings in the order of the table, or of their names where there is none.

    Raises
    ------
    DataError
        If the format is unknown, or a table is missing or malformed: file, row and column are named.
    """
    folder = Path(folder)
    if data_format == "auto":
        data_format = detect_format(folder)
    if data_format == "manifest":
        return read_manifest_folder(folder, tables=tables)
    if data_format == "zenodo":
        return read_zenodo(folder, group_by=group_by)
    readers = {
        "folders": read_folders,
        "birdclef2021": read_birdclef2021,
        "birdclef2025": read_birdclef2025,
        "raven": read_raven_folder,
    }
    if data_format not in readers:
        raise DataError(f"data_format {data_format!r}: unknown; one of {', '.join(DATA_FORMATS)}")
    return readers[data_format](folder)
