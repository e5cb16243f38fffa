"""The one way in for sound: any audio file, as mono float32 blocks at the sample rate asked for.

A file is never held in memory: pieces are decoded, mixed to one channel (mean over channels), resampled by one running
resampler (soxr) and handed out in blocks, so that blocks join without a seam and equal the whole file resampled at
once. A part read from an onset equals the same part of the whole.

Levels: samples outside [-1, 1], as lossy codecs and float files make them, are clipped. Float files far outside
(beyond 16, mostly 16-bit integers stored as float) are refused, as clipping would leave square waves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from birdcore.audio.container import Container, identify_container
from birdcore.audio.reader import LibavReader, Reader, SndfileReader, Unreadable
from birdcore.errors import AudioError, ConfigError
from birdcore.frames import samples_to_seconds, seconds_to_samples

__all__ = ["AUDIO_SUFFIXES", "AudioInfo", "AudioStream", "Sound", "load_audio", "open_audio", "probe_audio"]

AUDIO_SUFFIXES = frozenset(
    {
        *(".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
        *(".aif", ".aiff", ".aifc", ".m4a", ".m4b", ".mp4", ".aac", ".wma", ".webm", ".mka"),
    }
)
"""Endings by which recordings are found in folders. What is in a file decides how it is read, not its ending."""

# Less of a damaged file is no use to anyone.
MIN_SECONDS = 0.1

# Lossy codecs round a recording up to their frames, and say so only in part: up to two frames may be missing.
LENGTH_TOLERANCE_SECONDS = 0.25

# The resampler's filter must have settled before the onset: at 8 kHz it needs 0.02 s.
SETTLING_SECONDS = 0.05

MAX_LEVEL = 16.0

# Recorders for everything from speech to bats keep 8 to 384 kHz; what is a little outside (AAC at 7350 Hz, detectors at
# 400 kHz) is read, too. Far outside only a damaged header is, and a rate of 1 Hz would make hours of every second.
LOWEST_RATE, HIGHEST_RATE = 8000, 384_000
RATE_TOLERANCE = 0.1


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What a file says about itself.

    Parameters
    ----------
    path : the file
    sample_rate : Hz, of the file
    channels : number of channels, of the file
    duration : seconds; an estimate for some damaged files, whose true end is known only once read
    format : container and codec, e.g. ``"wav/pcm_16"``
    """

    path: Path
    sample_rate: int
    channels: int
    duration: float
    format: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Sound:
    """A recording, or a part of one, in memory.

    Parameters
    ----------
    samples : shape (num_samples,), float32 mono in [-1, 1]
    sample_rate : Hz
    fault : a sentence where reading stopped early or something is missing (a damaged file), else None
    """

    samples: np.ndarray
    sample_rate: int
    fault: str | None


class AudioStream(Iterator[np.ndarray]):
    """Mono blocks of a recording, to be iterated once; made by :func:`open_audio`.

    A context manager: leaving it closes the file, and so does reaching the end.

    Parameters
    ----------
    path, sample_rate, block_seconds, onset, duration : see :func:`open_audio`

    Attributes
    ----------
    info : AudioInfo
    sample_rate : Hz, of the blocks
    fault : None, or after the iteration a sentence that says where reading stopped early or what is missing
    """

    def __init__(
        self,
        path: str | Path,
        *,
        sample_rate: int,
        block_seconds: float = 30.0,
        onset: float = 0.0,
        duration: float | None = None,
    ) -> None:
        _check_request(sample_rate, block_seconds, onset, duration)
        self.fault: str | None = None
        self.sample_rate = sample_rate
        self._name = Path(path).name
        self._onset = onset
        self._num_wanted = None if duration is None else max(1, seconds_to_samples(duration, sample_rate))
        self._block_length = max(1, seconds_to_samples(block_seconds, sample_rate))
        self._reader, self.info = _open(Path(path))
        if onset >= self.info.duration:
            self.close()
            raise AudioError(
                f"{self._name}: ends at {self.info.duration:.1f} s, so nothing can be read from {onset:.1f} s on"
            )
        self._blocks = self._iterate()

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> np.ndarray:
        """The next block: shape (block length,), float32 in [-1, 1]; only the last block is shorter."""
        return next(self._blocks)

    def close(self) -> None:
        """Close the file. The iteration then ends."""
        self._reader.close()
        self._blocks = iter(())

    def _iterate(self) -> Iterator[np.ndarray]:
        pending: list[np.ndarray] = []
        num_pending = 0
        num_given = 0
        for piece in self._resampled():
            pending.append(piece)
            num_pending += len(piece)
            if num_pending >= self._block_length:
                joined = np.concatenate(pending)
                whole = num_pending - num_pending % self._block_length
                for start in range(0, whole, self._block_length):
                    yield joined[start : start + self._block_length]
                num_given += whole
                num_pending -= whole
                pending = [joined[whole:].copy()]
        if num_pending:
            yield np.concatenate(pending)
        elif not num_given:
            raise AudioError(
                f"{self._name}: ends at {self._position_seconds:.3f} s, too early for even one sample "
                f"at {self.sample_rate} Hz from {self._onset:.1f} s on"
            )
        self._reader.close()

    @property
    def _position_seconds(self) -> float:
        return samples_to_seconds(self._reader.position, self._reader.sample_rate)

    def _resampled(self) -> Iterator[np.ndarray]:
        """Pieces of any length at the rate asked for, from the onset on and no more than wanted."""
        skip, resampler = self._go_to_onset()
        missing = self._num_wanted
        at_end = False
        while not at_end and missing != 0:
            piece = self._read_checked()
            at_end = len(piece) == 0
            if resampler:
                piece = resampler.resample_chunk(piece, last=at_end)
            dropped = min(skip, len(piece))
            skip -= dropped
            piece = piece[dropped:]
            if missing is not None:
                piece = piece[:missing]
                missing -= len(piece)
            if len(piece):
                yield np.clip(piece, -1.0, 1.0)
        self._note_fault(at_end=missing != 0)

    def _go_to_onset(self) -> tuple[int, soxr.ResampleStream | None]:
        """Samples to drop before the onset, at the rate asked for, and the resampler (None where there is no need).

        Reading starts a little earlier, at a moment at which both rates have a sample: the filter settles before the
        onset, and the part then equals the same part of the whole.
        """
        source_rate = self._reader.sample_rate
        first = seconds_to_samples(self._onset, self.sample_rate)
        if source_rate == self.sample_rate:
            self._reader.start_at(first)
            return 0, None
        shared_rate = math.gcd(source_rate, self.sample_rate)
        shared = max(0, math.floor((self._onset - SETTLING_SECONDS) * shared_rate))
        self._reader.start_at(shared * (source_rate // shared_rate))
        skip = first - shared * (self.sample_rate // shared_rate)
        return skip, soxr.ResampleStream(source_rate, self.sample_rate, 1, dtype="float32")

    def _read_checked(self) -> np.ndarray:
        """The next piece at the file's rate, refused where it is no sound."""
        onset = self._position_seconds
        piece = self._reader.read()
        peak = np.abs(piece).max(initial=0.0)  # NaN where any sample is
        if not np.isfinite(peak):
            raise AudioError(
                f"{self._name}: holds NaN or infinite samples, the first at about {onset:.1f} s; "
                "export it again, best as 16-bit or 24-bit PCM"
            )
        if peak > MAX_LEVEL:
            raise AudioError(
                f"{self._name}: samples reach {peak:.0f} at about {onset:.1f} s, expected [-1, 1] (are they integers "
                "stored as float?); export it again, scaled or as integer PCM"
            )
        return np.ascontiguousarray(piece, dtype=np.float32)

    def _note_fault(self, *, at_end: bool) -> None:
        """Say what is missing in the middle and at the end of what was read, or refuse what is too little to use."""
        faults = []
        rate, holes = self._reader.sample_rate, self._reader.holes
        lacking = samples_to_seconds(sum(num_frames for _, num_frames in holes), rate)
        if lacking >= 0.05:  # not where the part asked for ends at a hole's first samples
            onset = samples_to_seconds(holes[0][0], rate)
            faults.append(f"is damaged, and lacks {lacking:.1f} s from {onset:.1f} s on, taken as silence")
        reached, announced = self._position_seconds, self._reader.announced
        is_short = announced is not None and announced - reached > LENGTH_TOLERANCE_SECONDS
        if at_end and (is_short or self._reader.broken):
            if reached < MIN_SECONDS:
                raise _too_short(self._name, reached)
            extent = f"{reached:.1f} s of the announced {announced:.1f} s" if announced else f"{reached:.1f} s"
            faults.append(f"is damaged or was cut off, and could be read only up to {extent}")
        if faults:
            self.fault = f"{self._name}: {'; '.join(faults)}; if there should be more, copy or upload it again"


def probe_audio(path: str | Path) -> AudioInfo:
    """What a file says about itself, after its beginning was decoded as a test.

    Raises
    ------
    AudioError
        If the file is missing, a folder, empty, not audio, cut off beyond use, a header without sound, or its sample
        rate is outside 8 to 384 kHz by more than a tenth.
    """
    reader, info = _open(Path(path))
    try:
        if not len(reader.read()):
            raise _too_short(info.path.name, 0.0)
    finally:
        reader.close()
    return info


def open_audio(
    path: str | Path,
    *,
    sample_rate: int,
    block_seconds: float = 30.0,
    onset: float = 0.0,
    duration: float | None = None,
) -> AudioStream:
    """Open a recording for reading in blocks.

    Parameters
    ----------
    path : audio file; its content and not its name decides how it is read
    sample_rate : Hz, of the blocks
    block_seconds : length of a block, above 0
    onset : seconds from the start of the recording; sample-exact except in WebM and WMA, which keep milliseconds
    duration : seconds to read at most; None reads to the end

    Returns
    -------
    AudioStream
        Iterates over float32 mono blocks in [-1, 1].

    Raises
    ------
    AudioError
        Here: if the file is missing, a folder, empty, not audio, a header without sound, ends before the onset, or its
        sample rate is outside 8 to 384 kHz by more than a tenth.
        While iterating: if samples are NaN or infinite, or less than 0.1 s of a damaged file can be read. A file that
        breaks off later is read up to there, and ``fault`` says so; holes in an Ogg file are given as silence, so that
        what follows keeps its times.
    ConfigError
        If sample_rate, block_seconds, onset or duration is out of range.
    """
    return AudioStream(path, sample_rate=sample_rate, block_seconds=block_seconds, onset=onset, duration=duration)


def load_audio(path: str | Path, *, sample_rate: int, onset: float = 0.0, duration: float | None = None) -> Sound:
    """Read a recording, or a part of one, into memory.

    Parameters
    ----------
    path, sample_rate, onset, duration : see :func:`open_audio`

    Raises
    ------
    AudioError, ConfigError
        See :func:`open_audio`.
    """
    with open_audio(path, sample_rate=sample_rate, onset=onset, duration=duration) as stream:
        samples = np.concatenate(list(stream))
        return Sound(samples=samples, sample_rate=sample_rate, fault=stream.fault)


def _open(path: Path) -> tuple[Reader, AudioInfo]:
    """The decoder that can read a file, at its start, and what the file says about itself."""
    if not path.exists():
        raise AudioError(f"{path.name}: there is no such file; check the path")
    if path.is_dir():
        raise AudioError(f"{path.name}: is a folder, not a recording; name a file in it")
    if not path.is_file():  # opening a pipe would wait for whoever writes into it
        raise AudioError(f"{path.name}: is a pipe or a device, not a recording; save the sound to a file first")
    try:
        container = identify_container(path)
        reader = _open_reader(path, container)
    except OSError as error:
        raise AudioError(f"{path.name}: cannot be opened ({error.strerror}); check who may read it") from error
    if not LOWEST_RATE * (1 - RATE_TOLERANCE) <= reader.sample_rate <= HIGHEST_RATE * (1 + RATE_TOLERANCE):
        reader.close()
        raise AudioError(
            f"{path.name}: has a sample rate of {reader.sample_rate:,} Hz, expected {LOWEST_RATE:,} to "
            f"{HIGHEST_RATE:,} Hz; correct the rate in its header if it is wrong, or export it again at 48,000 Hz"
        )
    info = AudioInfo(
        path=path,
        sample_rate=reader.sample_rate,
        channels=reader.channels,
        duration=reader.duration,
        format=f"{container.name}/{reader.codec}",
    )
    is_short = reader.announced is not None and reader.announced - reader.duration > LENGTH_TOLERANCE_SECONDS
    if is_short and reader.duration < MIN_SECONDS:
        reader.close()
        raise _too_short(path.name, reader.duration)
    return reader, info


def _open_reader(path: Path, container: Container) -> Reader:
    """The first decoder that makes something of a file."""
    decoders = (SndfileReader, LibavReader) if container.libsndfile else (LibavReader,)
    if container.has_holes or container.chain:
        decoders = (LibavReader, SndfileReader)
    faults = []
    for decoder in decoders:
        try:
            return decoder(path, container)
        except Unreadable as error:
            faults.append(error)
    # The first decoder knows its containers better; the second only helps out.
    raise AudioError(f"{path.name}: {faults[0]}") from faults[0]


def _too_short(name: str, reached: float) -> AudioError:
    return AudioError(
        f"{name}: is damaged or was cut off, and only {reached:.2f} s of it could be read, too little to analyse; "
        "copy or upload it again"
    )


def _check_request(sample_rate: int, block_seconds: float, onset: float, duration: float | None) -> None:
    if sample_rate < 1:
        raise ConfigError(f"sample_rate {sample_rate}: must be at least 1 Hz")
    if not 0 < block_seconds < math.inf:
        raise ConfigError(f"block_seconds {block_seconds}: must be above 0")
    if not 0 <= onset < math.inf:
        raise ConfigError(f"onset {onset} s: must be 0 or later")
    if duration is not None and not 0 < duration < math.inf:
        raise ConfigError(f"duration {duration} s: must be above 0, or None to read to the end")
