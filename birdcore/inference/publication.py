"""Publishing in the background: ``python -m birdcore publish`` in a process of its own, which outlives who started it.

How far it is stands in ``RUN/draft/<name>/publication.json``, replaced as a whole, so that any page, any tab and any
later process sees the same. The process alone writes it; when it dies, the heartbeat gets old and the publication counts
as lost. None of this loads torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdcore import places
from birdcore.errors import AcceptanceError, BirdcoreError, ConfigError, RunError
from birdcore.files import write_text

__all__ = [
    "FALSE_ALARM_TARGET",
    "MOST_LIMITS",
    "MOST_LIMIT_LETTERS",
    "MOST_SUMMARY_LETTERS",
    "Publication",
    "draft_folder",
    "list_publications",
    "read_publication",
    "record_publication",
    "start_publication",
]

logger = logging.getLogger(__name__)

FALSE_ALARM_TARGET = 0.02
"""Share of bird-free validation windows that may report anything: under half of the 1 in 20 that we promise."""

LOST_AFTER_SECONDS = 60.0
BEAT_SECONDS = 5.0
LEAST_SECONDS_BETWEEN_WRITES = 0.5

MOST_SUMMARY_LETTERS, MOST_LIMIT_LETTERS, MOST_LIMITS = 200, 300, 20

RECORD = "publication.json"
LOG = "publication.log"

_WRITTEN_STATES = ("running", "published", "refused", "failed")


@dataclass(frozen=True, kw_only=True)
class Publication:
    """Where a publication stands.

    Parameters
    ----------
    folder : the draft, ``RUN/draft/<name>``
    state : "running", "published", "refused" (the model did not pass the gate), "failed", or "lost" (no heartbeat for a
        minute; never written, only derived)
    step : what is being done, as ``publish`` names it; "" before the first
    share : of that step, 0 to 1
    message : for people: why it was refused or failed
    heartbeat, started : unix time in seconds
    pid : its process, for people to look up; None before it is there
    """

    folder: Path
    state: str
    step: str = ""
    share: float = 0.0
    message: str = ""
    heartbeat: float = 0.0
    started: float = 0.0
    pid: int | None = None

    @property
    def name(self) -> str:
        """Name of the weights that are to be."""
        return self.folder.name

    @property
    def run(self) -> Path:
        """The run directory."""
        return self.folder.parent.parent

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.folder / LOG


def draft_folder(run: str | Path, name: str) -> Path:
    """Where a publication of a run under a name keeps its draft and its record."""
    return Path(run) / "draft" / name


def read_publication(run: str | Path, name: str) -> Publication | None:
    """Where the publication of a run under a name stands; None where it was never begun, or cannot be read."""
    return _read(draft_folder(run, name))


def list_publications(root: str | Path | None = None) -> list[Publication]:
    """Every publication of the runs in a root (by default ``places.runs_root()``), the latest first."""
    found = [_read(record.parent) for record in Path(root or places.runs_root()).glob(f"*/draft/*/{RECORD}")]
    return sorted((one for one in found if one), key=lambda one: one.started, reverse=True)


def _read(folder: Path) -> Publication | None:
    try:
        stored = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        known = {field.name for field in dataclasses.fields(Publication)} - {"folder"}
        publication = Publication(folder=folder, **{key: value for key, value in stored.items() if key in known})
        if publication.state not in _WRITTEN_STATES:
            raise ValueError(f"state = {publication.state!r}")
        lost = publication.state == "running" and time.time() - publication.heartbeat > LOST_AFTER_SECONDS
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logger.warning("%s: cannot be used (%s)", folder / RECORD, error)
        return None
    return dataclasses.replace(publication, state="lost") if lost else publication


def _write(publication: Publication) -> None:
    values = dataclasses.asdict(publication)
    del values["folder"]
    write_text(publication.folder / RECORD, json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def start_publication(
    run: str | Path,
    *,
    name: str,
    summary: str,
    limits: Sequence[str],
    false_alarms: float,
    data: str | Path,
) -> Publication:
    """Start measuring and publishing a run's weights in the background.

    Parameters
    ----------
    run : run directory with ``weights``
    name : of the weights to install, see :func:`birdcore.places.check_weights_name`
    summary : one line for the card, "" for one that names the run
    limits : known weaknesses, a sentence each
    false_alarms : share of bird-free windows that may report anything, above 0, at most 0.5
    data : folder with the tables that the run's settings name

    Raises
    ------
    ConfigError
        If an argument cannot be used.
    RunError
        If weights of this name are being published already, or the process cannot be started.
    """
    run = Path(run).resolve()
    places.check_weights_name(name)
    if not 0 < false_alarms <= 0.5:
        raise ConfigError(f"false_alarms = {false_alarms:g}: must be above 0 and at most 0.5")
    if len(limits) > MOST_LIMITS:
        raise ConfigError(f"{len(limits)} known weaknesses: {MOST_LIMITS} fit on a card; join or drop some")
    texts = [_card_text("known weakness", limit, MOST_LIMIT_LETTERS) for limit in limits]
    command = [
        *(sys.executable, "-m", "birdcore", "publish", str(run)),
        # As one word each: a text may begin with a dash.
        f"--name={name}",
        f"--data={Path(data).resolve()}",
        f"--summary={_card_text('summary', summary, MOST_SUMMARY_LETTERS)}",
        *(f"--limit={text}" for text in texts if text),
        f"--false-alarms={false_alarms:g}",
    ]
    busy = [one for one in list_publications(run.parent) if one.name == name and one.state == "running"]
    if busy:
        raise RunError(f"{name}: is being published already, from run {busy[0].run.name}; wait until that has ended")
    now = time.time()
    publication = Publication(folder=draft_folder(run, name), state="running", heartbeat=now, started=now)
    try:
        _write(publication)
        # Of an earlier attempt; the model that is measured now has not been asked anything yet.
        (publication.folder / "acceptance.json").unlink(missing_ok=True)
        with publication.log.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=places.project_root(),
                env={**os.environ, "BIRDCORE_WEIGHTS": str(places.weights_root()), "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C in the app's terminal must not end it
            )
    except OSError as error:
        message = f"It could not be started ({error.strerror or error})."
        with contextlib.suppress(OSError):
            _write(dataclasses.replace(publication, state="failed", message=message))
        raise RunError(f"{name}: {message[:1].lower()}{message[1:]}") from error
    # A child that nobody waits for stays a zombie as long as this process lives.
    threading.Thread(target=process.wait, name=f"wait-{name}", daemon=True).start()
    return publication


def _card_text(what: str, text: str, most_letters: int) -> str:
    """A text for the card, in one line.

    Raises
    ------
    ConfigError
        If it is too long, or could hide a link or a picture in the card, which is Markdown.
    """
    text = " ".join(text.split())
    if len(text) > most_letters:
        raise ConfigError(f"{what} “{text[:40]} …”: has {len(text)} letters; {most_letters} fit on a card")
    if not text.isprintable() or set(text) & set("[]<>"):
        raise ConfigError(f"{what} “{text[:40]}”: must be plain text, without the brackets [ ] < >")
    return text


@contextlib.contextmanager
def record_publication(run: str | Path, name: str) -> Iterator[Callable[[str, float], None]]:
    """Keep the record of a publication while the block does the work: its progress, its heartbeat, and how it ended.

    Parameters
    ----------
    run : run directory
    name : of the weights to install

    Yields
    ------
    progress
        takes the name of a step and the share of it that is done
    """
    now = time.time()
    folder = draft_folder(run, name)
    record = _Record(Publication(folder=folder, state="running", heartbeat=now, started=now, pid=os.getpid()))
    record.update()
    over = threading.Event()
    thread = threading.Thread(target=record.beat_until, args=(over,), name=f"heartbeat-{name}", daemon=True)
    thread.start()
    end = {"state": "published", "share": 1.0}
    try:
        yield record.progress
    except BaseException as error:
        state = "refused" if isinstance(error, AcceptanceError) else "failed"
        end = {"state": state, "message": _reason(error)}
        raise
    finally:
        over.set()
        thread.join()
        record.update(**end)


def _reason(error: BaseException) -> str:
    if isinstance(error, BirdcoreError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "It was interrupted."
    return f"{type(error).__name__}: {error}"[:600]


class _Record:
    """The record as its process writes it, from the thread that works and the one that beats."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._written = 0.0
        self._lock = threading.Lock()

    def update(self, **changes: object) -> None:
        with self._lock:
            self._publication = dataclasses.replace(self._publication, heartbeat=time.time(), **changes)
            try:
                _write(self._publication)
            except OSError as error:  # a full disk must not end what needs no room
                logger.warning("%s: cannot be written (%s)", self._publication.folder / RECORD, error)
            self._written = time.monotonic()

    def progress(self, step: str, share: float) -> None:
        rarely = time.monotonic() - self._written >= LEAST_SECONDS_BETWEEN_WRITES
        if rarely or share >= 1 or step != self._publication.step:
            self.update(step=step, share=float(min(1.0, max(0.0, share))))

    def beat_until(self, over: threading.Event) -> None:
        while not over.wait(BEAT_SECONDS):
            self.update()
