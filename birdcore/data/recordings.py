"""The table of recordings: which file holds which species, and what it may be used for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from birdcore.config import ClassName
from birdcore.data.table import TableRow, read_table
from birdcore.errors import DataError

__all__ = [
    "SPLITS",
    "Recording",
    "class_names_of",
    "licence_name",
    "rating_weight",
    "read_backgrounds",
    "read_manifest",
    "split_of",
]

SPLITS = ("train", "test", "validation", "extra", "none")
"""What a table may say that a recording is for; nothing is for training, too."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One audio file and what is known about it.

    Parameters
    ----------
    path : the file
    label : species code, or "" where no species is labelled
    common_name, scientific_name : of the label
    recording_id : identity of the original recording; cuts of one recording share it
    group : recordings of one recordist and day or of one site; a group is never split
    split : one of ``SPLITS``, or ""
    kind : "field", "isolated" (a call cut out of its background), or a kind of background
    source : collection it came from
    cross_source : it comes from another source than most of its species
    has_bird : None where unknown
    also_present : codes of further species that are certainly to be heard, known from boxes
    secondary_labels : codes of species that the recordist heard somewhere in the background; such lists are incomplete
    animal_class : of the label, "Aves" for birds
    rating : quality given by people, 0.5 to 5, best is 5; None where nobody rated it
    licence, recordist : as the source states them, "" where it does not
    latitude, longitude : degrees, or None
    date : ``YYYY-MM-DD``, or ""
    site : name of the recording site, or ""
    weight : how often it is drawn in training, beside others of its class; see :func:`rating_weight`
    """

    path: Path
    label: str = ""
    common_name: str = ""
    scientific_name: str = ""
    recording_id: str = ""
    group: str = ""
    split: str = ""
    kind: str = "field"
    source: str = ""
    cross_source: bool = False
    has_bird: bool | None = True
    also_present: tuple[str, ...] = ()
    secondary_labels: tuple[str, ...] = ()
    animal_class: str = "Aves"
    rating: float | None = None
    licence: str = ""
    recordist: str = ""
    latitude: float | None = None
    longitude: float | None = None
    date: str = ""
    site: str = ""
    weight: float = 1.0

    def holds(self, code: str) -> bool:
        """Whether a species is certainly to be heard."""
        return bool(code) and (self.label == code or code in self.also_present)


def rating_weight(rating: float | None) -> float:
    """Sampling weight of a recording by its quality: 1 for five stars, 0.25 for half a star.

    A poor recording is heard less often than a good one, but is not thrown away: field recordings are poor, too.

    Parameters
    ----------
    rating : 0.5 to 5; None where nobody rated it, which counts as the middle, 3
    """
    return (1.0 + (3.0 if rating is None else rating)) / 6.0


def read_manifest(path: str | Path) -> list[Recording]:
    """Read a manifest of labelled recordings.

    Parameters
    ----------
    path : CSV with at least ``path, species_code``; paths are relative to the table's folder. Further columns that
        are used:
        ``common_name, scientific_name, recording_id, group, split, kind, source, cross_source, secondary_labels``
        (codes separated by blanks)``, rating, licence, recordist, latitude`` or ``lat``, longitude`` or ``lon``, date,
        site``. Where ``group`` is empty, recordings of one recordist and date are a group, else those of one site, else
        those of one ``recording_id``. A rating is kept but does not change how often a recording is drawn; the column ``weight`` does

    Raises
    ------
    DataError
        If the table is missing, lacks a column, or a row has no path or label (the row is named), a number, date or
        split that is none, or a path leaves the table's folder.
    """
    path = Path(path)
    folder = path.parent.resolve()
    recordings = []
    for row in read_table(path, required=("path", "species_code")):
        name, label = row.text("path"), row.text("species_code")
        if not name or not label:
            raise DataError(f"{row.where}: path or species_code is empty; every row needs both")
        file = (folder / name).resolve()
        if not file.is_relative_to(folder):
            raise DataError(f"{row.where}: path {name!r} leads outside the table's folder")
        identity = row.text("recording_id") or name
        recordings.append(
            Recording(
                path=file,
                label=label,
                common_name=row.text("common_name") or label,
                scientific_name=row.text("scientific_name"),
                recording_id=identity,
                group=row.text("group") or _likely_group(row) or identity,
                split=row.one_of("split", SPLITS),
                kind=row.text("kind") or "field",
                source=row.text("source"),
                cross_source=row.one_of("cross_source", ("0", "1")) == "1",
                secondary_labels=tuple(row.text("secondary_labels").split()),
                rating=row.number_in("rating", lowest=0.0, highest=5.0) or None,
                licence=row.text("licence"),
                recordist=row.text("recordist"),
                latitude=row.number_in("latitude" if row.text("latitude") else "lat", lowest=-90.0, highest=90.0),
                longitude=row.number_in("longitude" if row.text("longitude") else "lon", lowest=-180.0, highest=180.0),
                date=row.date_in("date"),
                site=row.text("site"),
                weight=_weight(row),
            )
        )
    if not recordings:
        raise DataError(f"{path.name}: holds no recordings")
    return recordings


def _likely_group(row: TableRow) -> str:
    """What a split must keep together where the table names no group; "" where neither who, when nor where is known."""
    recordist, date = row.text("recordist"), row.text("date")
    return f"{recordist} {date}" if recordist and date else row.text("site")


def _weight(row: TableRow) -> float:
    value = row.number_in("weight")
    if value is not None and value <= 0:
        raise DataError(f"{row.where}: weight {value:g}: must be above 0; leave out a recording that must not be drawn")
    return 1.0 if value is None else value


def _original_of(path: str) -> str:
    """Name of the recording that a background was cut from.

    ``20240905-213000`` for ``20240905-213000-09-1169c6.ogg``.
    """
    return re.sub(r"(-\d{2})?-[0-9a-f]{6}$", "", Path(path).stem)


def read_backgrounds(path: str | Path) -> list[Recording]:
    """Read a table of background recordings.

    Parameters
    ----------
    path : CSV with ``path, kind, has_bird`` (0, 1 or ?); paths are relative to the folder above the table's. The
        table has no split of its own: cuts of one original, whose names differ in the cut's number and a checksum
        only, get one split

    Raises
    ------
    DataError
        As :func:`read_manifest`.
    """
    path = Path(path)
    folder = path.parent.parent.resolve()
    backgrounds = []
    for row in read_table(path, required=("path", "kind", "has_bird")):
        name = row.required_text("path")
        file = (folder / name).resolve()
        if not file.is_relative_to(folder):
            raise DataError(f"{row.where}: path {name!r} leads outside the data folder")
        backgrounds.append(
            Recording(
                path=file,
                recording_id=name,
                group=_original_of(name),
                split=split_of(_original_of(name)),
                kind=row.text("kind"),
                source=row.text("source_repo"),
                has_bird={"0": False, "1": True}.get(row.one_of("has_bird", ("0", "1", "?"))),
                licence=row.text("licence"),
            )
        )
    return backgrounds


def class_names_of(recordings: list[Recording]) -> tuple[ClassName, ...]:
    """The species of a list of recordings, one ClassName each, sorted by code."""
    names = {}
    for recording in recordings:
        if recording.label:
            names.setdefault(
                recording.label,
                ClassName(
                    code=recording.label,
                    common=recording.common_name or recording.label,
                    scientific=recording.scientific_name,
                    kind=recording.animal_class,
                ),
            )
    return tuple(names[code] for code in sorted(names))


def licence_name(licence: str) -> str:
    """Short name of a licence that is given by its address; another text is left as it is.

    >>> licence_name("http://creativecommons.org/licenses/by-nc-sa/4.0/")
    'CC BY-NC-SA 4.0'
    """
    address = re.search(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z+-]+)/(\d\.\d)", licence)
    if not address:
        return licence
    return "CC0 1.0" if address[1] == "zero" else f"CC {address[1].upper()} {address[2]}"


def split_of(identity: str) -> str:
    """Split of a recording whose table names none, such as a background: by its name alone, the same in every run.

    Parameters
    ----------
    identity : what names the recording; cuts of one recording must share it

    Returns
    -------
    "test" for a fifth, "validation" for a fifth, else "train"
    """
    position = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) / 2**32
    return "test" if position < 0.2 else "validation" if position < 0.4 else "train"
