"""A folder of recordings fetched from Xeno-canto, with the table that training reads.

The folder holds ``recordings/XC<number>.<ending>`` and ``manifest.csv``. A recording gets its line in the table the
moment it is whole, so a download that is killed loses nothing: the next one goes on with what is missing. At its end
the table is sorted and its splits are dealt; two downloads of the same give the same table.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from birdcore.audio.decode import AudioInfo, probe_audio
from birdcore.data.downloads import Connection, Unavailable
from birdcore.data.recordings import split_of
from birdcore.data.xenocanto import XENO_CANTO, XenoCantoRecording
from birdcore.errors import AudioError, DataError
from birdcore.export.cells import SECONDS_DECIMALS, csv_line, guarded_text, number_text
from birdcore.files import file_sha256, read_text, write_text

__all__ = [
    "COLUMNS",
    "Acquisition",
    "Plan",
    "acquire_recordings",
    "plan_acquisition",
    "read_species_codes",
    "species_slug",
]

COLUMNS = (
    *("path", "species_code", "common_name", "scientific_name", "recording_id", "group", "split", "kind", "source"),
    *("licence", "licence_url", "recordist", "quality", "rating", "type", "sex", "stage", "country", "location"),
    *(
        "lat",
        "lon",
        "elevation",
        "date",
        "time",
        "length",
        "duration_s",
        "original_samplerate",
        "also",
        "secondary_labels",
        "url",
    ),
    *("size", "sha256"),
)
"""Columns of the table: birdcore's own, then Xeno-canto's, then what tells a whole file from a damaged one."""

RATINGS = {"A": 5, "B": 4, "C": 3, "D": 2, "E": 1, "none": 0}
"""Quality grades as numbers, as BirdCLEF counts them; 0 is not rated."""

CODE_COLUMNS = ("species_code", "ebird_code", "primary_label")
NAME_COLUMNS = ("scientific_name", "sci_name")
SOUNDS = "recordings"
MOST_UNAVAILABLE = 5  # recordings in a row that cannot be had before the server counts as out of reach


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a folder holds, and what it lacks.

    Parameters
    ----------
    folder : with ``manifest.csv`` in it, or where it will be
    ranked : scientific name → recordings, in the order in which to take them
    max_per_species : the most recordings of a species in the folder
    rows : lines of the table whose recordings are there, whole, by catalogue number
    chosen : recordings to download
    damaged : names of recordings in the table that are gone or changed
    """

    folder: Path
    ranked: Mapping[str, list[XenoCantoRecording]]
    max_per_species: int
    rows: Mapping[str, dict[str, str]]
    chosen: list[XenoCantoRecording]
    damaged: list[str]


@dataclass(kw_only=True)
class Acquisition:
    """What came of a download.

    Parameters
    ----------
    table : the table of recordings
    num_recordings : in the table now
    num_downloaded : of them, those downloaded now
    refused : name → reason, for recordings that cannot be had; others of their species took their place where any were
    unavailable : name → reason, for those that may be had another time
    """

    table: Path
    num_recordings: int = 0
    num_downloaded: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)


def plan_acquisition(
    ranked: Mapping[str, list[XenoCantoRecording]], folder: str | Path, *, max_per_species: int
) -> Plan:
    """Compare what is wanted with what a folder holds; every recording in it is checked by size and SHA-256.

    Parameters
    ----------
    ranked : scientific name → recordings, in the order in which to take them
    folder : need not exist
    max_per_species : the most recordings of a species in the folder, 1 or more; those there count

    Raises
    ------
    DataError
        If the folder has a table that was not written here.
    """
    folder = Path(folder)
    listed = _read_table(folder / "manifest.csv")
    rows = {number: row for number, row in listed.items() if _is_whole(folder / row["path"], row)}
    return Plan(
        folder=folder,
        ranked=ranked,
        max_per_species=max_per_species,
        rows=rows,
        chosen=_choose(ranked, rows, max_per_species=max_per_species),
        damaged=[f"XC{number}" for number in listed if number not in rows],
    )


def acquire_recordings(
    connection: Connection,
    plan: Plan,
    *,
    codes: Mapping[str, str] | None = None,
    max_bytes: int = 200_000_000,
    num_workers: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> Acquisition:
    """Download what a folder lacks, and write its table.

    A recording that cannot be had is replaced by the next of its species; one that fails for the moment is not, since
    the next download will get it.

    Parameters
    ----------
    connection : from :func:`birdcore.data.xenocanto.connect`
    plan : from :func:`plan_acquisition`
    codes : scientific name → species code; a species that is missing gets :func:`species_slug`
    max_bytes : size above which a recording is left out
    num_workers : downloads at a time; the pace of requests stays the connection's
    progress : called with the recordings done and their number

    Raises
    ------
    DataError
        If the folder holds nothing in the end.
    Unavailable
        If the server is out of reach; what was downloaded stays, and is in the table.
    """
    folder, chosen = plan.folder, plan.chosen
    rows = {number: dict(row) for number, row in plan.rows.items()}
    result = Acquisition(table=folder / "manifest.csv")
    refused: dict[str, str] = {}
    unavailable: dict[str, str] = {}

    def fetch(recording: XenoCantoRecording) -> dict[str, str]:
        return _fetch(connection, recording, folder, codes=codes or {}, max_bytes=max_bytes)

    (folder / SOUNDS).mkdir(parents=True, exist_ok=True)
    _write_table(result.table, rows)
    while chosen:
        for recording, outcome in _fetched(connection, chosen, fetch, num_workers=num_workers):
            if isinstance(outcome, dict):
                _append_row(result.table, outcome)
                rows[recording.number] = outcome
                result.num_downloaded += 1
            elif isinstance(outcome, Unavailable):
                unavailable[recording.number] = str(outcome)
            else:
                refused[recording.number] = str(outcome)
            if progress:
                progress(result.num_downloaded + len(unavailable), len(plan.chosen))
        chosen = _choose(plan.ranked, rows, max_per_species=plan.max_per_species, refused=refused, delayed=unavailable)
    result.refused = {f"XC{number}": reason for number, reason in refused.items()}
    result.unavailable = {f"XC{number}": reason for number, reason in unavailable.items()}
    result.num_recordings = len(rows)
    if not rows:
        result.table.unlink()
        reasons = Counter([*refused.values(), *unavailable.values()]).most_common(1)
        why = f" ({reasons[0][0]})" if reasons else ""
        raise DataError(f"{folder}: no recording could be downloaded{why}")
    _deal_splits(rows)
    _write_table(result.table, rows)
    return result


def read_species_codes(path: str | Path) -> dict[str, str]:
    """Species codes by scientific name.

    Parameters
    ----------
    path : CSV with a column of codes (``species_code``, ``ebird_code`` or ``primary_label``) and one of names
        (``scientific_name`` or ``sci_name``), in capitals or not: eBird's taxonomy, BirdCLEF's, or a manifest

    Raises
    ------
    DataError
        If a column is missing, or a code has other characters than letters, digits, ``-`` and ``_``.
    """
    path = Path(path)
    lines = csv.reader(io.StringIO(read_text(path), newline=""))
    header = [name.strip().lower() for name in next(lines, [])]
    columns = []
    for names in (CODE_COLUMNS, NAME_COLUMNS):
        found = [header.index(name) for name in names if name in header]
        if not found:
            raise DataError(f"{path.name}: has no column {' or '.join(names)}")
        columns.append(found[0])
    codes = {}
    for number, cells in enumerate(lines, start=2):
        if len(cells) <= max(columns):
            continue
        code, name = (cells[column].strip() for column in columns)
        if code and name:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", code):
                raise DataError(
                    f"{path.name}, row {number}: {code!r} is no species code; expected letters, digits, - and _"
                )
            codes.setdefault(name, code)
    return codes


def species_slug(scientific_name: str) -> str:
    """A scientific name as a code: ``parus-major``."""
    return re.sub(r"[^a-z]+", "-", scientific_name.lower()).strip("-")


def _choose(
    ranked: Mapping[str, list[XenoCantoRecording]],
    rows: Mapping[str, dict[str, str]],
    *,
    max_per_species: int,
    refused: Collection[str] = (),
    delayed: Collection[str] = (),
) -> list[XenoCantoRecording]:
    """The first of each species that are not there yet, as many as still fit; the delayed ones keep their places."""
    present = Counter(row["scientific_name"] for row in rows.values())
    chosen = []
    for species, recordings in ranked.items():
        places = max_per_species - present[species] - sum(r.number in delayed for r in recordings)
        missing = [r for r in recordings if not any(r.number in taken for taken in (rows, refused, delayed))]
        chosen += missing[: max(0, places)]
    return chosen


def _fetched(
    connection: Connection,
    chosen: list[XenoCantoRecording],
    fetch: Callable[[XenoCantoRecording], dict[str, str]],
    *,
    num_workers: int,
) -> Iterable[tuple[XenoCantoRecording, dict[str, str] | DataError]]:
    """Each recording with its line for the table, or why there is none, as they come in."""
    in_a_row = 0
    with ThreadPoolExecutor(max_workers=num_workers, thread_name_prefix="download") as pool:
        futures = {pool.submit(fetch, recording): recording for recording in chosen}
        try:
            for future in as_completed(futures):
                try:
                    outcome = future.result()
                except DataError as error:
                    outcome = error
                in_a_row = in_a_row + 1 if isinstance(outcome, Unavailable) else 0
                if in_a_row >= MOST_UNAVAILABLE:
                    raise Unavailable(
                        f"{in_a_row} recordings in a row could not be had ({outcome}); what was downloaded stays, and "
                        "the same command goes on with the rest"
                    )
                yield futures[future], outcome
        except BaseException:
            connection.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(
    connection: Connection, recording: XenoCantoRecording, folder: Path, *, codes: Mapping[str, str], max_bytes: int
) -> dict[str, str]:
    """Download a recording; its line for the table."""
    path = folder / SOUNDS / f"XC{recording.number}{recording.suffix}"
    part = path.with_name(f"{path.name}.part")
    try:
        connection.download(recording.file, part, max_bytes=max_bytes)
        info = probe_audio(part)
    except Unavailable:
        raise
    except (AudioError, DataError) as error:
        for remains in (part, part.with_name(f"{part.name}.tag")):
            remains.unlink(missing_ok=True)
        raise DataError(f"what came is no sound: {error}" if isinstance(error, AudioError) else str(error)) from error
    row = _row(
        recording, path.relative_to(folder), info, codes=codes, size=part.stat().st_size, sha256=file_sha256(part)
    )
    part.replace(path)
    return row


def _row(
    recording: XenoCantoRecording, path: Path, info: AudioInfo, *, codes: Mapping[str, str], size: int, sha256: str
) -> dict[str, str]:
    name = f"XC{recording.number}"
    licence = recording.licence.upper().replace("-", " ", 1)  # CC BY-NC-SA
    version = re.search(r"/(\d\.\d)(?:/|$)", recording.licence_address)
    texts = {
        "common_name": recording.common_name or recording.scientific_name,
        # Whoever recorded two birds in one place on one morning recorded the same place twice.
        "group": f"{recording.recordist} {recording.date or 'undated'}" if recording.recordist else name,
        "recordist": recording.recordist,
        "type": recording.sound_type,
        "sex": recording.sex,
        "stage": recording.stage,
        "country": recording.country,
        "location": recording.location,
        "also": "; ".join(recording.also),
    }
    background = [found[0] for name in recording.also if (found := re.match(r"[A-Z][a-z-]+ [a-z][a-z-]+", name))]
    degrees = {"lat": recording.latitude, "lon": recording.longitude, "elevation": recording.elevation}
    return {
        "path": path.as_posix(),
        "species_code": codes.get(recording.scientific_name) or species_slug(recording.scientific_name),
        "scientific_name": recording.scientific_name,
        "recording_id": name,
        "split": "",
        "kind": "field",
        "source": "xeno-canto",
        "licence": f"{licence} {version[1]}" if licence and version else licence or "unknown",
        "licence_url": recording.licence_address,
        "quality": recording.quality,
        "rating": str(RATINGS[recording.quality]),
        "date": recording.date,
        "time": recording.time,
        "length": recording.length,
        "duration_s": number_text(info.duration, SECONDS_DECIMALS),
        "original_samplerate": str(info.sample_rate),
        "secondary_labels": " ".join(codes.get(name) or species_slug(name) for name in background),
        "url": f"{XENO_CANTO}/{recording.number}",
        "size": str(size),
        "sha256": sha256,
        **{column: guarded_text(text) for column, text in texts.items()},
        **{column: "" if value is None else number_text(value, 6) for column, value in degrees.items()},
    }


def _deal_splits(rows: Mapping[str, dict[str, str]]) -> None:
    """Give new groups a split: about a fifth of them, by name, is for testing.

    A species all of whose groups would be for testing has its first one for training. Groups that have a split keep it.
    """
    splits = {row["group"]: row["split"] for row in rows.values() if row["split"]}
    new = {row["group"] for row in rows.values()} - set(splits)
    splits |= {group: "test" if split_of(group) == "test" else "train" for group in new}
    groups: dict[str, set[str]] = {}
    for row in rows.values():
        groups.setdefault(row["species_code"], set()).add(row["group"])
    for species in sorted(groups):
        if "train" not in {splits[group] for group in groups[species]} and groups[species] & new:
            splits[min(groups[species] & new)] = "train"
    for row in rows.values():
        row["split"] = splits[row["group"]]


def _is_whole(path: Path, row: Mapping[str, str]) -> bool:
    return path.is_file() and str(path.stat().st_size) == row["size"] and file_sha256(path) == row["sha256"]


def _read_table(path: Path) -> dict[str, dict[str, str]]:
    """Lines of the table by catalogue number; none where there is no table."""
    if not path.is_file():
        return {}
    text = read_text(path)
    lines = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))  # a last line cut short is dropped
    foreign = "was not written by this command; choose another folder, so that nothing of yours is overwritten"
    if tuple(lines.fieldnames or ()) != COLUMNS:
        raise DataError(f"{path}: {foreign}")
    rows = {}
    for number, row in enumerate(lines, start=2):
        found = re.fullmatch(r"XC([1-9]\d{0,8})", row["recording_id"] or "")
        if None in row.values() or not found or not re.fullmatch(rf"{SOUNDS}/{found[0]}\.[a-z0-9]+", row["path"]):
            raise DataError(f"{path}, row {number}: {foreign}")
        rows[found[1]] = row
    return rows


def _write_table(path: Path, rows: Mapping[str, dict[str, str]]) -> None:
    ordered = sorted(rows, key=lambda number: (rows[number]["scientific_name"], int(number)))
    write_text(path, [csv_line(COLUMNS), *(_line(rows[number]) for number in ordered)])


def _append_row(path: Path, row: Mapping[str, str]) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(_line(row))


def _line(row: Mapping[str, str]) -> str:
    return csv_line(row[column] for column in COLUMNS)
