"""What kind of file it is, told by its first bytes and never by its name.

The kind decides which decoder reads it. FFmpeg is only ever told to read one named kind: left to guess, it would also
take playlists, which open other files and addresses.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

from birdcore.errors import AudioError

__all__ = ["Container", "identify_container", "ogg_is_complete"]

AUDIO_IN_OTHER_WORDS = "WAV, FLAC, Ogg, MP3, AIFF, M4A, AAC, WMA or WebM"

OTHER_CONTENT = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive (unpack it first)"),
    (b"\x1f\x8b", "a gzip archive (unpack it first)"),
    (b"MThd", "MIDI notes, which are no recording"),
    (b"\xff\xfe", "text"),
    (b"\xfe\xff", "text"),
)

# Sizes that programs write which cannot go back to fill in the true one: zero, or the greatest they can think of.
SMALLEST_TRUE_SIZE = 64
PLACEHOLDER_SIZES = (range(0x7FFFF000, 0x80000000), range(0xFFFFF000, 0x100000000))

HEAD_LENGTH = 4096
OGG_LARGEST_PAGE = 65_307
OGG_NO_POSITION = 0xFFFFFFFFFFFFFFFF
OGG_MOST_TRIALS = 10_000
MIRRORED_BYTES = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, kw_only=True)
class Container:
    """A kind of audio file.

    Parameters
    ----------
    name : short lower-case name, e.g. ``"wav"``
    demuxer : what FFmpeg calls it
    libsndfile : whether libsndfile is tried first
    announces_duration : whether a duration in the header is one the file states; a decoder only estimates it otherwise
    declared_bytes : size that the file should have according to its header; None where it does not say
    has_holes : pages in the middle of an Ogg file are damaged or missing
    chain : of an Ogg file of several recordings one after the other, the frames of each; else empty
    """

    name: str
    demuxer: str
    libsndfile: bool = False
    announces_duration: bool = True
    declared_bytes: int | None = None
    has_holes: bool = False
    chain: tuple[int, ...] = ()


def identify_container(path: Path) -> Container:
    """The kind of an audio file.

    Parameters
    ----------
    path : an existing file

    Raises
    ------
    AudioError
        If the content is none of the audio files known here; the message says what it is instead.
    OSError
        If the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD_LENGTH)
        if not head:
            raise AudioError(f"{path.name}: is empty (0 bytes); copy, download or upload it again")
        if head[:3] == b"ID3" and len(head) > 10:
            # A tag in front of the sound, at times with a cover picture of megabytes. Four bytes of seven bits each.
            size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
            file.seek(10 + size)
            after_tag = _recognise(file.read(HEAD_LENGTH))
            return after_tag or Container(name="mp3", demuxer="mp3", announces_duration=False)
        container = _recognise(head)
    if container is None:
        raise AudioError(
            f"{path.name}: holds {_describe(head)}, not sound that can be read; expected {AUDIO_IN_OTHER_WORDS}"
        )
    if container.name == "ogg":
        has_holes, chain = _walk_ogg(path, path.stat().st_size, path.stat().st_mtime_ns)
        return dataclasses.replace(container, has_holes=has_holes, chain=chain)
    return container


def ogg_is_complete(path: Path) -> bool:
    """Whether an Ogg file ends with a whole page that is marked as its last.

    Ogg announces no duration, so this is the only sign of a file that was cut off.
    """
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - OGG_LARGEST_PAGE))
        tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


@functools.lru_cache(maxsize=64)
def _walk_ogg(path: Path, size: int, modified: int) -> tuple[bool, tuple[int, ...]]:
    """Whether an Ogg file has holes, and the frames of each recording in it if there are several.

    Decoders pass over damaged pages without a word, and all that follows comes too early; libsndfile reads the first
    recording of a chain only. What is missing at the end is not looked at here, see :func:`ogg_is_complete`.

    Parameters
    ----------
    path : the file
    size, modified : bytes and time of change; a changed file is walked anew
    """
    has_holes, at_fault, at_start = False, False, True
    numbers: dict[bytes, int] = {}
    lengths: list[int] = []
    with open(path, "rb", buffering=1 << 20) as file:
        while found := _next_ogg_page(file):
            page, skipped = found
            begins, serial, number = bool(page[5] & 2), page[14:18], int.from_bytes(page[18:22], "little")
            at_fault |= skipped or (not begins and serial in numbers and number != numbers[serial] + 1)
            # What cannot be read before the first page or after the last is no hole.
            has_holes |= at_fault and bool(lengths)
            at_fault = False
            if begins and not at_start:
                numbers.clear()
            if begins and (not at_start or not lengths):
                lengths.append(0)
            at_start = begins
            numbers[serial] = number
            position = int.from_bytes(page[6:14], "little")
            if lengths and position != OGG_NO_POSITION:
                lengths[-1] = max(lengths[-1], position)
    return has_holes, tuple(lengths) if len(lengths) > 1 else ()


def _next_ogg_page(file: io.BufferedReader) -> tuple[bytes, bool] | None:
    """The next whole and undamaged page, and whether anything before it had to be skipped; None at the end.

    Of what is no Ogg for hundreds of megabytes the end is not looked for.
    """
    start = file.tell()
    skipped = False
    for _ in range(OGG_MOST_TRIALS):
        page = file.read(27)
        if len(page) < 27:
            break
        if page.startswith(b"OggS"):
            page += file.read(page[26])
            page += file.read(sum(page[27:]))
            if _ogg_checksum(page) == int.from_bytes(page[22:26], "little"):
                return page, skipped
        skipped = True
        file.seek(start + 1)
        ahead = file.read(1 << 16)
        at = ahead.find(b"OggS")
        start += 1 + (at if at >= 0 else max(1, len(ahead) - 3))
        file.seek(start)
    return None


def _ogg_checksum(page: bytes) -> int:
    """Ogg's CRC-32 of a page, which is zlib's with the bits of every byte, and of the sum, the other way round."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(MIRRORED_BYTES)
    return int(f"{zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)


def _recognise(head: bytes) -> Container | None:
    """The kind that the first bytes tell, or None."""
    big_or_little = {b"RIFF": "little", b"RIFX": "big"}
    if head[:4] in big_or_little and head[8:12] == b"WAVE":
        declared = _declared(head[4:8], 8, big_or_little[head[:4]])
        return Container(name="wav", demuxer="wav", libsndfile=True, declared_bytes=declared)
    if head[:4] in (b"RF64", b"BW64") and head[8:12] == b"WAVE":
        declared = _declared(head[20:28], 8, "little") if head[12:16] == b"ds64" else None
        return Container(name="rf64", demuxer="wav", libsndfile=True, declared_bytes=declared)
    if head[:16] == b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00":
        return Container(name="w64", demuxer="w64", libsndfile=True, declared_bytes=_declared(head[16:24], 0, "little"))
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Container(name="aiff", demuxer="aiff", libsndfile=True, declared_bytes=_declared(head[4:8], 8, "big"))
    if head[:4] == b"fLaC":
        return Container(name="flac", demuxer="flac", libsndfile=True)
    if head[:4] == b"OggS":
        return Container(name="ogg", demuxer="ogg", libsndfile=True, announces_duration=False)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return Container(name="mp4", demuxer="mov")
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return Container(name="webm" if b"webm" in head[:64] else "matroska", demuxer="matroska")
    if head[:8] == b"\x30\x26\xb2\x75\x8e\x66\xcf\x11":
        return Container(name="wma", demuxer="asf")
    return _recognise_frames(head)


def _recognise_frames(head: bytes) -> Container | None:
    """MP3 and AAC without a container, which start with a frame, perhaps after some zeros."""
    frame = head.lstrip(b"\0")
    if len(frame) < 4 or frame[0] != 0xFF:
        return None
    if frame[1] & 0xF6 == 0xF0:
        return Container(name="aac", demuxer="aac", announces_duration=False)
    layer, bitrate, rate = frame[1] & 0x06, frame[2] >> 4, frame[2] >> 2 & 3
    # Layer I (which a UTF-16 text would pass for) died out; 15 and 3 are what no MPEG frame has in these places.
    if frame[1] & 0xE0 == 0xE0 and layer in (2, 4) and bitrate != 15 and rate != 3:
        # MP3 states its length only in a tag that its first frame may carry.
        announces = any(tag in frame[:256] for tag in (b"Xing", b"Info", b"VBRI"))
        return Container(name="mp3", demuxer="mp3", announces_duration=announces)
    return None


def _declared(size: bytes, outside: int, byteorder: str) -> int | None:
    """Bytes that a file should have: the size in its header and what that leaves out. None for a placeholder."""
    value = int.from_bytes(size, byteorder)
    if value < SMALLEST_TRUE_SIZE or any(value in placeholder for placeholder in PLACEHOLDER_SIZES):
        return None
    return value + outside


def _describe(head: bytes) -> str:
    """What a file that is no audio holds, in the user's words."""
    for magic, description in OTHER_CONTENT:
        if head.startswith(magic):
            return description
    if b"<html" in head.lower() or b"<!doctype" in head.lower():
        return "a web page (the download probably failed)"
    if not head.strip(b"\0"):
        return "nothing but zeros"
    text = head.decode("utf-8", errors="ignore")  # the last character may be cut in two
    if len(text.encode()) > len(head) - 4 and all(letter.isprintable() or letter.isspace() for letter in text):
        return "text"
    return "something unknown"
