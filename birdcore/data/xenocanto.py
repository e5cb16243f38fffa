"""Recordings of Xeno-canto: what its programming interface (version 3) tells about them, and which to take.

A search gives pages of records, every value a string. What is needed of them is checked and cleaned here; of what the
server says, only a recording's number and a known ending become part of a file name.

Source
------
https://xeno-canto.org/explore/api (version 3; at most one request a second, 50 to 500 records a page, an access key in
every request).
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from birdcore.audio.decode import AUDIO_SUFFIXES
from birdcore.data.downloads import Connection
from birdcore.data.table import DATE_PATTERN
from birdcore.errors import ConfigError, DataError

__all__ = [
    "LICENCES",
    "QUALITIES",
    "XENO_CANTO",
    "XenoCantoRecording",
    "connect",
    "filter_recordings",
    "find_key",
    "rank_recordings",
    "search_recordings",
]

XENO_CANTO = "https://xeno-canto.org"
KEY_VARIABLE = "XENO_CANTO_KEY"
SEARCH_PATH = "api/3/recordings"
SECONDS_PER_REQUEST = 1.0
RECORDS_PER_PAGE = 500
MOST_PAGES = 10_000

QUALITIES = ("A", "B", "C", "D", "E", "none")
"""Quality grades, the best first; "none" is Xeno-canto's ``no score``."""

LICENCES = ("cc0", "cc-by", "cc-by-sa", "cc-by-nc", "cc-by-nc-sa", "cc-by-nd", "cc-by-nc-nd")
"""Licences to choose from, whatever their version."""

PLACEHOLDER_GENERA = frozenset({"Mystery", "Sonus"})  # "identity unknown" and "soundscape" are entered as species
LONGEST_TEXT = 300


@dataclass(frozen=True, kw_only=True)
class XenoCantoRecording:
    """A recording as Xeno-canto describes it; texts are "" where it says nothing.

    Parameters
    ----------
    number : the digits of its catalogue number, ``"694038"`` of XC694038
    scientific_name : genus and species; "" where it is not identified to a species
    common_name : in English
    recordist, country, location, sound_type, sex, stage, length, date, time : as stated; date is ``YYYY-MM-DD``
        (months and days may be 00), length ``m:ss``
    latitude, longitude : degrees; None where not stated
    elevation : metres; None where not stated
    quality : one of QUALITIES
    licence : one of LICENCES, or "" for another or none
    licence_address : of the licence's text
    also : scientific names of species in the background
    file : address of the sound, perhaps without its beginning ``https:``; "" where it is withheld, as with some
        threatened species
    suffix : ending of its file, one of AUDIO_SUFFIXES; "" where it has another
    """

    number: str
    scientific_name: str
    common_name: str
    recordist: str
    country: str
    location: str
    sound_type: str
    sex: str
    stage: str
    length: str
    date: str
    time: str
    latitude: float | None
    longitude: float | None
    elevation: float | None
    quality: str
    licence: str
    licence_address: str
    also: tuple[str, ...]
    file: str
    suffix: str


def find_key() -> str:
    """The access key, from the environment.

    Raises
    ------
    ConfigError
        If it is not set, or cannot be a key.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise ConfigError(
            f"{KEY_VARIABLE} is not set, and Xeno-canto answers nobody without an access key. Sign up at "
            f"{XENO_CANTO}, confirm your e-mail address, copy the key from {XENO_CANTO}/account, and set it with: "
            f"export {KEY_VARIABLE}=…"
        )
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", key):
        raise ConfigError(f"{KEY_VARIABLE} cannot be an access key: it holds white space or unusual characters")
    return key


def connect(base_address: str = XENO_CANTO, *, key: str, interval: float = SECONDS_PER_REQUEST) -> Connection:
    """A connection to Xeno-canto, or to a server that answers as it does.

    Parameters
    ----------
    base_address : of the server
    key : the access key
    interval : seconds between two requests

    Raises
    ------
    ConfigError
        If the address is not https, or the interval is shorter than Xeno-canto allows.
    """
    connection = Connection(base_address, interval=interval, secrets={"key": key})
    if connection.base_address.endswith("xeno-canto.org") and interval < SECONDS_PER_REQUEST:
        raise ConfigError(f"interval {interval:g} s: Xeno-canto allows one request a second, not more")
    return connection


def search_recordings(
    connection: Connection,
    query: str,
    *,
    per_page: int = RECORDS_PER_PAGE,
    progress: Callable[[int, int], None] | None = None,
) -> list[XenoCantoRecording]:
    """Everything that Xeno-canto finds, each recording once, by number.

    Parameters
    ----------
    connection : from :func:`connect`
    query : tags as in ``gen:Acrocephalus q:A cnt:"United Kingdom"``; free text is not allowed
    per_page : records asked for at once, 50 to 500
    progress : called with the pages read and their number

    Raises
    ------
    ConfigError
        If the query is empty or ``per_page`` out of range, or the server refuses the key.
    DataError
        If the server refuses the query, or its reply is not what it should be.
    """
    if not query.strip():
        raise ConfigError("the query is empty; name what to look for, e.g. gen:Acrocephalus q:A")
    if not 50 <= per_page <= 500:
        raise ConfigError(f"per_page = {per_page}: must be 50 to 500")
    found: dict[str, XenoCantoRecording] = {}
    page = num_pages = 1
    while page <= num_pages:
        asked = {"query": query, "page": str(page), "per_page": str(per_page)}
        status, reply = connection.read_json(SEARCH_PATH, asked)
        where = f"{connection.base_address}, page {page}"
        records, num_pages = _parse_page(status, reply, where=where, page=page)
        for record in records:
            recording = _parse_record(record)
            # A recording uploaded meanwhile moves others from one page to the next, where they come again.
            if recording is not None:
                found.setdefault(recording.number, recording)
        if progress:
            progress(page, num_pages)
        page += 1
    return sorted(found.values(), key=lambda recording: int(recording.number))


def filter_recordings(
    recordings: Iterable[XenoCantoRecording], *, licences: Collection[str] = (), qualities: Collection[str] = ()
) -> tuple[list[XenoCantoRecording], Counter[str]]:
    """The recordings that can be downloaded and are wanted.

    Parameters
    ----------
    recordings : what was found
    licences : of LICENCES; empty for any licence, none included
    qualities : of QUALITIES; empty for any

    Returns
    -------
    (recordings kept, reason → number left out)
    """
    kept, left_out = [], Counter[str]()
    for recording in recordings:
        if not recording.scientific_name:
            left_out["not identified to a species"] += 1
        elif not recording.file:
            left_out["sound withheld by Xeno-canto"] += 1
        elif not recording.suffix:
            left_out["not in an audio format known here"] += 1
        elif licences and recording.licence not in licences:
            left_out["other licence"] += 1
        elif qualities and recording.quality not in qualities:
            left_out["other quality"] += 1
        else:
            kept.append(recording)
    return kept, left_out


def rank_recordings(recordings: Iterable[XenoCantoRecording]) -> dict[str, list[XenoCantoRecording]]:
    """In which order recordings are taken, species by species.

    The best quality comes first. Within one quality every recordist's first recording precedes anybody's second, since
    ten recordings by ten people teach more than ten from one microphone; older uploads precede newer ones, so that
    what is added to Xeno-canto later changes little.

    Returns
    -------
    scientific name → its recordings, in order; names sorted
    """
    by_species = defaultdict(list)
    for recording in sorted(recordings, key=lambda recording: int(recording.number)):
        by_species[recording.scientific_name].append(recording)
    ranked = {}
    for species in sorted(by_species):
        turns: Counter[tuple[str, str]] = Counter()
        placed = []
        for recording in by_species[species]:
            own = (recording.quality, recording.recordist)
            placed.append((QUALITIES.index(recording.quality), turns[own], int(recording.number), recording))
            turns[own] += 1
        ranked[species] = [recording for *_, recording in sorted(placed, key=lambda place: place[:3])]
    return ranked


def _parse_page(status: int, reply: Any, *, where: str, page: int) -> tuple[list[Any], int]:
    """Records of a page and the number of pages."""
    if isinstance(reply, dict) and "error" in reply:
        code, message = _error_of(reply)
        if status in (401, 403) or "'key'" in message:
            raise ConfigError(
                f"Xeno-canto refuses the access key ({message}); copy it anew from {XENO_CANTO}/account into "
                f"{KEY_VARIABLE}"
            )
        raise DataError(f"Xeno-canto refuses the query ({code}: {message}); see {XENO_CANTO}/explore/api for the tags")
    if status != 200:
        raise DataError(f"{where}: the server answers with status {status}; is the address right?")
    if not isinstance(reply, dict) or not isinstance(reply.get("recordings"), list):
        raise DataError(f"{where}: the reply is not a page of recordings; is the address right?")
    num_pages = _whole_number(reply.get("numPages"))
    if num_pages is None or num_pages > MOST_PAGES or _whole_number(reply.get("page")) not in (page, None):
        raise DataError(f"{where}: the reply does not count its pages as it should")
    return reply["recordings"], num_pages


def _error_of(reply: dict[str, Any]) -> tuple[str, str]:
    """Code and message of either shape: ``{"error": code, "message": …}``, or ``{"error": {"code", "message"}}``."""
    error = reply["error"]
    if isinstance(error, dict):
        return _text(error.get("code")) or "error", _text(error.get("message"))
    return _text(error) or "error", _text(reply.get("message"))


def _parse_record(record: Any) -> XenoCantoRecording | None:
    """A record, or None where it has no catalogue number."""
    if not isinstance(record, dict) or not re.fullmatch(r"[1-9]\d{0,8}", _text(record.get("id"))):
        return None
    genus, species = _text(record.get("gen")), _text(record.get("sp"))
    named = re.fullmatch(r"[A-Z][a-z-]+ [a-z][a-z-]+", f"{genus} {species}") and genus not in PLACEHOLDER_GENERA
    quality = _text(record.get("q")).upper()
    also = record.get("also")
    licence_address = _address(record.get("lic"))
    file = _matched(r"(https?:)?//[\x21-\x7e]+", record.get("file"))
    name_parts = _text(record.get("file-name")).lower().rpartition(".")
    return XenoCantoRecording(
        number=_text(record["id"]),
        scientific_name=f"{genus} {species}" if named else "",
        common_name=_text(record.get("en")),
        recordist=_text(record.get("rec")),
        country=_text(record.get("cnt")),
        location=_text(record.get("loc")),
        sound_type=_text(record.get("type")),
        sex=_text(record.get("sex")),
        stage=_text(record.get("stage")),
        length=_matched(r"(\d{1,3}:)?\d{1,2}:\d{2}", record.get("length")),
        date=_matched(DATE_PATTERN, record.get("date")),
        time=_matched(r"\d{1,2}:\d{2}", record.get("time")),
        latitude=_number(record.get("lat"), 90),
        longitude=_number(record.get("lon"), 180),
        elevation=_number(record.get("alt"), 9000),
        quality=quality if quality in QUALITIES else "none",
        licence=_licence(licence_address),
        licence_address=licence_address,
        also=tuple(filter(None, map(_text, also))) if isinstance(also, list) else (),
        file=file,
        suffix=f".{name_parts[2]}" if f".{name_parts[2]}" in AUDIO_SUFFIXES else "",
    )


def _text(value: Any) -> str:
    """A value as one line of printable text."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())[:LONGEST_TEXT]


def _matched(pattern: str, value: Any) -> str:
    text = _text(value)
    return text if re.fullmatch(pattern, text) else ""


def _number(value: Any, limit: float) -> float | None:
    """A number no further from 0 than a limit."""
    text = _matched(r"[-+]?\d{1,4}(\.\d{0,20})?", value)
    return float(text) if text and abs(float(text)) <= limit else None


def _whole_number(value: Any) -> int | None:
    text = _matched(r"\d{1,9}", value)
    return int(text) if text else None


def _address(value: Any) -> str:
    """An address, which Xeno-canto writes with or without its beginning ``https:``."""
    text = _text(value)
    if text.startswith("//"):
        text = f"https:{text}"
    return text if re.fullmatch(r"https?://[\x21-\x7e]+", text) else ""


def _licence(address: str) -> str:
    """Name of a Creative Commons licence, ``cc-by-nc-sa`` for ``…/licenses/by-nc-sa/4.0/``; "" for any other."""
    if "creativecommons.org/publicdomain/zero" in address:
        return "cc0"
    found = re.search(r"creativecommons\.org/licenses/([a-z-]+)/", address)
    name = f"cc-{found[1]}" if found else ""
    if name == "cc-by-nd-nc":  # the order of version 1.0
        name = "cc-by-nc-nd"
    return name if name in LICENCES else ""
