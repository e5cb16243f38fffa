"""Analyse many recordings: find them, listen to each, write tables. Interrupt it at any time and run it again to go on.

What a batch leaves in its output folder
----------------------------------------
- ``scores.parquet``: columns ``path, start, end`` (seconds) and one per species code (float32), one row per window
- ``events.csv``: every event at the threshold (:mod:`birdcore.export.table`)
- ``raven/`` and ``audacity/``, where asked for: a table per recording, in the folders of the recordings
- ``failures.csv``: ``path,reason`` of what could not be analysed
- ``manifest.json``: versions, weights, every parameter, counts, times, and what was odd about recordings
- ``journal.jsonl``: what the tables are made from (:mod:`birdcore.inference.journal`)

The tables are made from the journal when all recordings are done, and each replaces the earlier one at once. So asking
for another format later runs no model, and naming further recordings adds to the tables.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import platform
import stat
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birdcore import __version__
from birdcore.audio.decode import AUDIO_SUFFIXES
from birdcore.audio.search import find_recordings
from birdcore.config import to_dict
from birdcore.errors import AudioError, BirdcoreError, ConfigError, DataError
from birdcore.export.cells import path_text
from birdcore.files import write_text
from birdcore.inference.batch_tables import recording_content, write_failures, write_tables
from birdcore.inference.events import decode_events
from birdcore.inference.journal import FileState, Journal
from birdcore.locks import exclusive_lock

if TYPE_CHECKING:
    from birdcore.inference.predictor import Predictor

__all__ = ["FORMATS", "BatchProgress", "BatchReport", "analyze_files"]

logger = logging.getLogger(__name__)

FORMATS = ("csv", "raven", "audacity")
"""What ``formats`` may hold. The event table (csv) is always written: it is the summary of a batch."""

KEPT_CONFIDENCE = 0.1
"""The journal keeps calls from this confidence on (or from the threshold, where that is lower), so that the same command
with another threshold writes other tables without analysing anything again."""

MOST_ABRUPT_ENDS = 5
"""A recording at which the program ended this often without a word (a crash in a decoder, memory) is not tried again.

Fewer would condemn a long recording that was only unlucky to be the one at hand when the computer was switched off.
"""


PACKAGES = ("numpy", "torch", "onnxruntime", "soundfile", "av", "soxr", "pyarrow")
"""Whose versions the manifest gives: those that a score can depend on."""


@dataclass(frozen=True, kw_only=True)
class BatchProgress:
    """Where a batch stands.

    Parameters
    ----------
    path : the recording being analysed; None while recordings are looked for, and at the end
    num_found : recordings to analyse; still grows while they are looked for
    num_done : of these, analysed or failed
    num_failed : of these, failed
    fraction : of the recording being analysed, 0 to 1
    """

    path: Path | None
    num_found: int
    num_done: int = 0
    num_failed: int = 0
    fraction: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BatchReport:
    """What a batch did.

    Parameters
    ----------
    output : folder with the results
    num_recordings : recordings in the results
    num_analyzed, num_resumed : of the recordings asked for, analysed now, and taken from an earlier run
    num_events : events in the results
    failures : path and reason of each recording that could not be analysed
    faults : path and a sentence for each recording that was analysed only in part
    """

    output: Path
    num_recordings: int
    num_analyzed: int
    num_resumed: int
    num_events: int
    failures: tuple[tuple[str, str], ...]
    faults: tuple[tuple[str, str], ...]


def analyze_files(
    predictor: Predictor,
    paths: Sequence[str | Path],
    *,
    output: str | Path,
    formats: Collection[str] = ("csv",),
    threshold: float | Mapping[str, float] | None = None,
    overlap: float | None = None,
    progress: Callable[[BatchProgress], None] | None = None,
) -> BatchReport:
    """Analyse recordings and write tables of what was found.

    A recording that cannot be analysed never stops the others: it is listed with its reason. If the output folder
    holds an interrupted batch with the same settings, recordings done before are not analysed again, and those that
    failed are.

    Parameters
    ----------
    predictor : what analyses a recording
    paths : files and folders; see :func:`birdcore.audio.search.find_recordings`
    output : folder for the results; made if it does not exist
    formats : some of ``FORMATS``
    threshold : confidence from which on events are reported; the model's own where None. Asked for again with another
        one, from 0.1 on, tables are written anew and nothing is analysed again
    overlap : seconds that successive windows share; half a window where None
    progress : called often

    Raises
    ------
    ConfigError
        If a format is unknown, or the threshold out of range.
    DataError
        If no recording is found, or the output folder holds a batch with other settings.
    RunError
        If another batch is writing to the output folder right now.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ConfigError(f"format {unknown[0]!r}: unknown; known are {', '.join(FORMATS)}")
    started = datetime.now(UTC)
    output = Path(output)
    threshold = predictor.config.threshold if threshold is None else threshold
    settings = _settings(predictor, threshold=threshold, overlap=overlap)
    report_progress = progress or _no_progress
    failures: list[tuple[str, str]] = []
    num_found = 0
    found: list[str] = []  # plain text: a million paths as Path objects would take half a gigabyte
    for path in find_recordings(paths, on_unreadable=lambda p, reason: failures.append((str(p), reason))):
        found.append(str(path))
        num_found += 1
        report_progress(BatchProgress(path=None, num_found=num_found))
    if not found and not failures:
        raise DataError(
            f"{', '.join(map(str, paths)) or 'no path given'}: no recordings found "
            f"(looked for {' '.join(sorted(AUDIO_SUFFIXES))})"
        )
    root = _common_folder(paths)
    num_analyzed = num_resumed = 0
    output.mkdir(parents=True, exist_ok=True)
    refusal = f"{output}: another batch is writing there; wait until it has ended, or choose another output folder"
    with (
        exclusive_lock(output / ".batch.lock", timeout_seconds=1.0, refusal=refusal),
        Journal(output / "journal.jsonl", settings=settings) as journal,
    ):
        for num_done, path in enumerate(map(Path, found)):
            stand = BatchProgress(path=path, num_found=num_found, num_done=num_done, num_failed=len(failures))
            report_progress(stand)
            report_fraction = _fraction_reporter(report_progress, stand)
            try:
                if _analyze_one(predictor, path, journal, root, settings, report_fraction):
                    num_analyzed += 1
                else:
                    num_resumed += 1
            except ConfigError:
                raise
            except BirdcoreError as error:
                failures.append((str(path), str(error)))
        report_progress(BatchProgress(path=None, num_found=num_found, num_done=num_found, num_failed=len(failures)))
        tables = write_tables(
            journal, output, class_names=predictor.config.class_names, threshold=threshold, formats=formats
        )
    report = BatchReport(
        output=output,
        num_analyzed=num_analyzed,
        num_resumed=num_resumed,
        failures=tuple((path_text(path), reason) for path, reason in failures),
        **tables,
    )
    write_failures(report.failures, output / "failures.csv")
    _write_manifest(
        report,
        predictor,
        settings=settings,
        threshold=threshold,
        paths=paths,
        formats=formats,
        started=started,
        path=output / "manifest.json",
    )
    return report


def _no_progress(_: BatchProgress) -> None:
    """Progress nobody wants to hear of."""


def _fraction_reporter(
    report_progress: Callable[[BatchProgress], None], stand: BatchProgress
) -> Callable[[float], None]:
    """Pass on which share of the recording at hand is done."""
    return lambda fraction: report_progress(dataclasses.replace(stand, fraction=fraction))


def _settings(predictor: Predictor, *, threshold: float | Mapping[str, float], overlap: float | None) -> dict[str, Any]:
    """Everything that the journal depends on; results of other settings are not mixed with it."""
    asked = [*threshold.values(), 0.5] if isinstance(threshold, Mapping) else [threshold]
    for value in asked:
        if not 0 < value <= 1:
            raise ConfigError(f"threshold {value}: must be above 0 and at most 1")
    return {
        "birdcore version": __version__,
        "weights": predictor.weights.name,
        "weights sha256": predictor.weights.facts.get("sha256"),
        "engine": predictor.engine,
        "calls kept from a confidence of": min(*asked, KEPT_CONFIDENCE),
        "overlap": predictor.config.window_seconds / 2 if overlap is None else overlap,
        "species": " ".join(name.code for name in predictor.config.class_names),
    }


def _common_folder(paths: Iterable[str | Path]) -> str:
    """The deepest folder that holds everything named; tables of recordings repeat the folders below it."""
    folders = [os.path.abspath(path if os.path.isdir(path) else Path(path).parent) for path in paths]
    try:
        return os.path.commonpath(folders)
    except ValueError:  # several drives
        return ""


def _analyze_one(
    predictor: Predictor,
    path: Path,
    journal: Journal,
    root: str,
    settings: Mapping[str, Any],
    progress: Callable[[float], None],
) -> bool:
    """Analyse a recording, unless the journal has it; whether it was analysed now. An error says why it failed."""
    recording = os.path.abspath(path)
    try:
        status = os.stat(recording)
    except OSError as error:
        raise AudioError(f"cannot be opened ({error.strerror or error})") from error
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("is not a file")  # opening a pipe would wait for ever
    state = FileState(size=status.st_size, mtime_ns=status.st_mtime_ns)
    if journal.has_done(recording, state):
        return False
    if journal.num_abrupt_ends(recording, state) >= MOST_ABRUPT_ENDS:
        raise AudioError(
            f"ended the program {MOST_ABRUPT_ENDS} times while it was analysed (out of memory, or a damaged file); "
            "convert it to WAV or FLAC and try again"
        )
    journal.write("begun", recording, state)
    began = time.monotonic()
    try:
        scores = predictor.analyze(path, overlap=settings["overlap"], progress=progress)
        events = decode_events(scores, threshold=settings["calls kept from a confidence of"])
    except (KeyboardInterrupt, ConfigError):  # neither is the recording's fault, and no other would fare better
        journal.write("interrupted", recording, state)
        raise
    except BirdcoreError as error:
        journal.write("failed", recording, state, reason=str(error))
        raise
    except Exception as error:
        # Whatever one recording does to a decoder or a network, the others are still to be analysed.
        logger.exception("%s: failed unexpectedly", path_text(path))
        reason = f"unexpected error ({type(error).__name__}: {error})"
        journal.write("failed", recording, state, reason=reason)
        raise AudioError(reason) from error
    content = recording_content(scores, events, path, root)
    journal.write("done", recording, state, seconds_taken=round(time.monotonic() - began, 3), **content)
    return True


def _write_manifest(
    report: BatchReport,
    predictor: Predictor,
    *,
    settings: Mapping[str, Any],
    threshold: float | Mapping[str, float],
    paths: Iterable[str | Path],
    formats: Collection[str],
    started: datetime,
    path: Path,
) -> None:
    finished = datetime.now(UTC)
    content = {
        "versions": {"birdcore": __version__, "python": platform.python_version(), **_package_versions()},
        "platform": platform.platform(),
        "weights": {
            "name": predictor.weights.name,
            "sha256": predictor.weights.facts.get("sha256"),
            "model": to_dict(predictor.config),
        },
        "parameters": {
            "paths": [path_text(given) for given in paths],
            "formats": sorted({"csv", *formats}),
            "engine": predictor.engine,
            "threshold": threshold,
            "overlap": settings["overlap"],
        },
        "counts": {
            "recordings": report.num_recordings,
            "analyzed": report.num_analyzed,
            "resumed": report.num_resumed,
            "failed": len(report.failures),
            "events": report.num_events,
        },
        "faults": [{"path": faulty, "fault": fault} for faulty, fault in report.faults],
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "seconds_taken": round((finished - started).total_seconds(), 3),
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _package_versions() -> dict[str, str]:
    """Versions of the packages a score can depend on, of those that are installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            logger.info("%s is not installed", name)
    return versions
