"""BirdCLEF 2021: ``train_metadata.csv`` with ``train_short_audio/<label>/``, and labelled ``train_soundscapes/``.

Soundscapes are labelled in windows of 5 s (``train_soundscape_labels.csv``); ``nocall`` says that no bird sings.
Years that keep the same table beside ``train_audio/`` (2022 to 2024) are read as well.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from birdcore.data.annotations import AnnotatedRecording, event_of
from birdcore.data.readers.birdclef import CLIP_COLUMNS, clip_recording, missing_clip
from birdcore.data.readers.dataset import Dataset, Problem, SoundFiles, names_of
from birdcore.data.recordings import Recording, split_of
from birdcore.data.table import TableRow, read_table
from birdcore.errors import DataError

__all__ = ["SOUNDSCAPE_COLUMNS", "read_birdclef2021"]

SOUNDSCAPE_COLUMNS = ("row_id", "site", "audio_id", "seconds", "birds")
WINDOW_SECONDS = 5.0


def read_birdclef2021(folder: Path) -> Dataset:
    """Read the folder of the competition.

    Recordings of one author and day are a group, soundscapes of one site are.

    Raises
    ------
    DataError
        If a table is missing or malformed (file, row and column are named), or a path leads outside the folder.
    """
    sounds = SoundFiles(folder)
    recordings: list[Recording] = []
    problems: list[Problem] = []
    short = (folder / "train_short_audio").is_dir()
    for row in read_table(folder / "train_metadata.csv", required=CLIP_COLUMNS):
        name, label = row.required_text("filename"), row.required_text("primary_label")
        # 2021 names the file alone, later years the label's folder with it.
        relative = f"train_short_audio/{label}/{name}" if short else f"train_audio/{name}"
        path = sounds.at(relative, where=f"{row.where}: filename")
        if path is None:
            problems.append(missing_clip(row, relative))
            continue
        author, date = row.text("author"), row.text("date")
        group = f"{author} {date}" if author and date else path.stem
        try:
            row.date_in("date")
        except DataError as error:
            problems.append(Problem(row.where, str(error).removeprefix(f"{row.where}: "), "correct it, or leave it"))
            date = ""
        recordings.append(
            clip_recording(
                row,
                path=path,
                group=group,
                source="Xeno-canto",
                known={},
                date=date,
            )
        )
    if not recordings:
        raise DataError(f"{folder / 'train_metadata.csv'}: none of its recordings is there; is the audio unpacked?")
    labels = folder / "train_soundscape_labels.csv"
    annotated, backgrounds = _soundscapes(labels, sounds, problems) if labels.is_file() else ([], [])
    return Dataset(
        data_format="birdclef2021",
        recordings=recordings,
        annotated=annotated,
        backgrounds=backgrounds,
        extra=[],
        class_names=names_of(recordings, annotated, known={}),
        problems=problems,
    )


def _soundscapes(
    table: Path, sounds: SoundFiles, problems: list[Problem]
) -> tuple[list[AnnotatedRecording], list[Recording]]:
    """Soundscapes with birds, and those without any."""
    rows: dict[tuple[str, str], list[TableRow]] = defaultdict(list)
    for row in read_table(table, required=SOUNDSCAPE_COLUMNS):
        number, site, seconds = row.required_text("audio_id"), row.required_text("site"), row.required_number("seconds")
        if seconds <= 0 or seconds % WINDOW_SECONDS:
            raise DataError(f"{row.where}: seconds {seconds:g}: must be the end of a window of 5 s: 5, 10, 15, …")
        if row.text("row_id") != f"{number}_{site}_{seconds:.0f}":
            raise DataError(
                f"{row.where}: row_id {row.text('row_id')!r} is not audio_id, site and seconds, "
                f"{number}_{site}_{seconds:.0f}; correct one of them"
            )
        rows[number, site].append(row)
    annotated, backgrounds = [], []
    for (number, site), windows in rows.items():
        paths = [path for path in sounds.paths if path.name.startswith(f"{number}_{site}_")]
        if len(paths) != 1:
            what = f"the soundscape {number}_{site}_… is {'missing' if not paths else 'there more than once'}"
            problems.append(Problem(windows[0].where, what, "unpack train_soundscapes again"))
            continue
        (path,) = paths
        events = [
            event_of(
                row,
                label=code,
                onset=row.required_number("seconds") - WINDOW_SECONDS,
                offset=row.required_number("seconds"),
                fmin=None,
                fmax=None,
            )
            for row in windows
            for code in row.required_text("birds").split()
            if code != "nocall"
        ]
        date = path.stem.removeprefix(f"{number}_{site}_")
        date = f"{date[:4]}-{date[4:6]}-{date[6:8]}" if date[:8].isdigit() else ""
        if events:
            annotated.append(
                AnnotatedRecording(
                    path=path,
                    events=tuple(sorted(events, key=lambda event: event.onset)),
                    split="train",
                    label_kind="windows of 5 s",
                    group=site,
                    site=site,
                    date=date,
                    frames_known=False,
                )
            )
        else:
            backgrounds.append(
                Recording(
                    path=path,
                    recording_id=path.stem,
                    group=site,
                    split=split_of(site),
                    kind="soundscape",
                    has_bird=False,
                    site=site,
                    date=date,
                )
            )
    return annotated, backgrounds
