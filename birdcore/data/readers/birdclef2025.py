"""BirdCLEF+ 2025: ``train.csv``, ``taxonomy.csv``, ``train_audio/`` and the unlabelled ``train_soundscapes/``.

``primary_label`` mixes eBird codes with numbers of iNaturalist, and is read as text. 206 classes are birds, amphibians,
mammals and insects; the taxonomy says which.
"""

from __future__ import annotations

from pathlib import Path

from birdcore.config import ClassName
from birdcore.data.readers.birdclef import CLIP_COLUMNS, clip_recording, missing_clip
from birdcore.data.readers.dataset import Dataset, Problem, SoundFiles, names_of
from birdcore.data.recordings import Recording
from birdcore.data.table import TableRow, read_table
from birdcore.errors import DataError

__all__ = ["TAXONOMY_COLUMNS", "read_birdclef2025"]

TAXONOMY_COLUMNS = ("primary_label", "inat_taxon_id", "scientific_name", "common_name", "class_name")

ANIMAL_CLASSES = (
    *("Aves", "Amphibia", "Mammalia", "Insecta", "Reptilia", "Arachnida"),
    *("Malacostraca", "Actinopterygii", "Chondrichthyes"),
)
"""Classes of animals that can be heard, as the taxonomy names them."""


def read_birdclef2025(folder: Path) -> Dataset:
    """Read the folder of the competition.

    There is no date in the table: recordings of one author at one place are a group.

    Raises
    ------
    DataError
        If a table is missing or malformed (file, row and column are named), a label is not in the taxonomy, or a path
        leads outside the folder.
    """
    sounds = SoundFiles(folder)
    known = _taxonomy(folder / "taxonomy.csv")
    recordings: list[Recording] = []
    problems: list[Problem] = []
    for row in read_table(folder / "train.csv", required=(*CLIP_COLUMNS, "collection")):
        relative = f"train_audio/{row.required_text('filename')}"
        path = sounds.at(relative, where=f"{row.where}: filename")
        label = row.required_text("primary_label")
        if label not in known:
            raise DataError(f"{row.where}: primary_label {label!r} is not in taxonomy.csv; add it there, or correct it")
        if path is None:
            problems.append(missing_clip(row, relative))
            continue
        recording = clip_recording(
            row, path=path, group=_group(row) or path.stem, source=row.text("collection"), known=known
        )
        recordings.append(recording)
        strangers = [code for code in recording.secondary_labels if code not in known]
        if strangers:
            remedy = "nothing to do: only species of the taxonomy are masked in training"
            problems.append(Problem(row.where, f"secondary_labels {strangers[0]!r} is not in taxonomy.csv", remedy))
    if not recordings:
        raise DataError(f"{folder / 'train.csv'}: none of its recordings is in train_audio; is the audio unpacked?")
    return Dataset(
        data_format="birdclef2025",
        recordings=recordings,
        annotated=[],
        backgrounds=[
            Recording(path=path, recording_id=path.stem, group=path.stem, kind="soundscape", has_bird=None)
            for path in sounds.paths
            if sounds.relative(path).startswith("train_soundscapes/")
        ],
        extra=[],
        class_names=names_of(recordings, [], known=known),
        problems=problems,
    )


def _taxonomy(path: Path) -> dict[str, ClassName]:
    """Names and class of animal by label."""
    known: dict[str, ClassName] = {}
    for row in read_table(path, required=TAXONOMY_COLUMNS):
        label = row.required_text("primary_label")
        if label in known:
            raise DataError(f"{row.where}: primary_label {label!r} is there twice; keep one row per label")
        known[label] = ClassName(
            code=label,
            common=row.text("common_name") or label,
            scientific=row.text("scientific_name"),
            kind=row.one_of("class_name", ANIMAL_CLASSES) or "Aves",
        )
    return known


def _group(row: TableRow) -> str:
    """One recordist at one place, to about 100 m; "" where either is unknown."""
    latitude, longitude = row.number_in("latitude"), row.number_in("longitude")
    if not row.text("author") or latitude is None or longitude is None:
        return ""
    return f"{row.text('author')} {latitude:.3f} {longitude:.3f}"
