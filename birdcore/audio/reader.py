"""Two decoders behind one shape: open a file, go to a frame, read mono pieces at the file's own sample rate.

libsndfile (through soundfile) reads the containers in which it seeks exactly. FFmpeg (through PyAV) reads the others,
and what libsndfile cannot: codecs it lacks inside WAV or Ogg, and the headers of recorders that died before they could
write the true size. FFmpeg also reads MP3: of a file with a variable bit rate and no length tag libsndfile returns only
the beginning, and with a tag it seeks to the wrong place; what both decode is otherwise equal to 1e-6. And it reads Ogg
files that have holes or are chained: it knows when a page was due, and goes on with the next recording of a chain.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile

from birdcore.audio.container import Container, ogg_is_complete
from birdcore.errors import AudioError
from birdcore.frames import samples_to_seconds, seconds_to_samples

__all__ = ["LibavReader", "Reader", "SndfileReader", "Unreadable"]

# Small enough that little is lost where a read fails half-way, large enough to cost no time (two FLAC blocks).
PIECE_FRAMES = 8192

# MP3 frames borrow bits from frames before them, AAC and Opus frames overlap: decoding starts earlier than asked.
PREROLL_SECONDS = 1.0

# Vorbis tells times to half a block (0.05 s at most). A hole of more than an hour is a damaged time and no hole.
SMALLEST_HOLE_SECONDS = 0.1
LARGEST_HOLE_SECONDS = 3600.0

# Where libsndfile knows no length it reports the greatest number there is.
UNKNOWN_FRAMES = 1 << 60

CANNOT_DECODE = "cannot be decoded (damaged, cut off, or not what it claims to be); copy or export it again"
NO_SOUND = "has a header but no sound in it; record, copy or export it again"
NO_TRACK = "has no sound track; export its sound as WAV or FLAC, if it has any"


class Unreadable(AudioError):
    """One decoder can make nothing of a file; another may. The message continues a sentence that its name begins."""


class Reader:
    """What both decoders offer.

    Parameters
    ----------
    sample_rate : Hz
    channels : number of channels that are mixed
    codec : short name
    duration : seconds that can probably be read (an estimate in some kinds of file)
    announced : seconds that the file says it has, or None where it does not say
    position : frame that is read next, counted from the start of the file
    broken : whether the decoder met damage, or the file lacks its end mark
    holes : first frame and number of frames of each part that is missing in the middle, as far as was read; such parts
        are given as silence
    """

    sample_rate: int
    channels: int
    codec: str
    duration: float
    announced: float | None
    position: int
    broken: bool
    holes: list[tuple[int, int]]

    def read(self) -> np.ndarray:
        """The next frames, mixed to one channel by their mean: shape (num_frames,), float32; empty at end or damage."""
        raise NotImplementedError

    def start_at(self, frame: int) -> None:
        """Begin at a frame, counted from the start of the file. To be called before the first read."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the file back."""
        raise NotImplementedError


class SndfileReader(Reader):
    """Reads through libsndfile.

    Parameters
    ----------
    path : file
    container : its kind

    Raises
    ------
    Unreadable
        If libsndfile does not open it, or knows no length.
    """

    def __init__(self, path: Path, container: Container) -> None:
        self._path = str(path)
        try:
            self._file = soundfile.SoundFile(self._path)
        except (soundfile.LibsndfileError, TypeError) as error:
            # TypeError: soundfile takes every file named .raw for one without a header.
            raise Unreadable(CANNOT_DECODE) from error
        if not 0 < self._file.frames < UNKNOWN_FRAMES:
            self._file.close()
            raise Unreadable(NO_SOUND)
        self.sample_rate = self._file.samplerate
        self.channels = self._file.channels
        self.codec = self._file.subtype.lower()
        self.duration = samples_to_seconds(self._file.frames, self.sample_rate)
        self.announced = self.duration if container.announces_duration else None
        if container.declared_bytes is not None:
            # An uncompressed file that was cut off is shortened by libsndfile without a word; the header's size tells.
            self.announced = self.duration * max(1.0, container.declared_bytes / path.stat().st_size)
        self.position = 0
        self.broken = container.name == "ogg" and (not ogg_is_complete(path) or container.has_holes)
        self.holes = []

    def read(self) -> np.ndarray:
        return self._read(PIECE_FRAMES)

    def _read(self, num_frames: int) -> np.ndarray:
        try:
            piece = self._file.read(num_frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            self.broken = True
            return np.zeros(0, dtype=np.float32)
        self.position += len(piece)
        return _mix(piece)

    def start_at(self, frame: int) -> None:
        try:
            self.position = self._file.seek(frame)
        except soundfile.LibsndfileError:
            # A seek that meets damage spoils the open file. Read from the start, up to the frame or the damage.
            self._file.close()
            self._file = soundfile.SoundFile(self._path)
            while self.position < frame and len(self._read(min(PIECE_FRAMES, frame - self.position))):
                pass

    def close(self) -> None:
        self._file.close()


class LibavReader(Reader):
    """Reads the first sound track of a file through FFmpeg.

    Parameters
    ----------
    path : file
    container : its kind

    Raises
    ------
    Unreadable
        If FFmpeg does not open it, or it holds no sound.
    """

    def __init__(self, path: Path, container: Container) -> None:
        self.position = 0
        self.broken = False
        self.holes = []
        self._skip = 0
        self._num_missing = 0
        self._has_holes, self._is_chain = container.has_holes, bool(container.chain)
        try:
            self._input = _open_input(path, container)
        except (av.FFmpegError, ValueError) as error:
            raise Unreadable(CANNOT_DECODE) from error
        try:
            self._stream = _sound_track(self._input)
            self._frames = self._input.decode(self._stream)
            first = self._next_frame()
            if first is None:
                raise Unreadable(NO_SOUND)
            self._frames = itertools.chain([first], self._frames)
            # Not the track's start time: from some files (WMA) FFmpeg drops the first packets, here as in every player.
            self._origin = first.pts or 0
            # Of the frame and not of the header, which for some AAC tells half the rate.
            self.sample_rate = first.sample_rate
            self.channels = first.layout.nb_channels
            self.codec = self._stream.codec_context.name
            self.announced = self._stated_duration() if container.announces_duration else None
            self.duration = self.announced or max(_walk(path, container), first.samples / first.sample_rate)
            if self._is_chain:
                self.duration = samples_to_seconds(sum(container.chain), self.sample_rate)
            if container.name == "ogg":
                self.broken = not ogg_is_complete(path)
        except Unreadable:
            self._input.close()
            raise

    def read(self) -> np.ndarray:
        while True:
            is_hole = self._num_missing > 0
            if is_hole:
                samples = np.zeros(min(self._num_missing, PIECE_FRAMES), dtype=np.float32)
                self._num_missing -= len(samples)
            else:
                frame = self._next_frame()
                if frame is None:
                    break
                if (frame.sample_rate, frame.layout.nb_channels) != (self.sample_rate, self.channels):
                    self.broken = True
                    break
                self._num_missing = self._missing_before(frame)
                if self._num_missing > seconds_to_samples(LARGEST_HOLE_SECONDS, self.sample_rate):
                    self.broken = True
                    break
                if self._num_missing:
                    self._frames = itertools.chain([frame], self._frames)
                    continue
                samples = _mono(frame)
            piece = samples[self._skip :]
            self._skip = max(0, self._skip - len(samples))
            if len(piece):
                if is_hole:
                    self._note_hole(len(piece))
                self.position += len(piece)
                return piece
        self._num_missing = 0
        return np.zeros(0, dtype=np.float32)

    def _missing_before(self, frame: av.AudioFrame) -> int:
        """Samples that should come before a frame of an Ogg file with holes; the times of a chain are made to go on."""
        if frame.pts is None or not (self._has_holes or self._is_chain):
            return 0
        expected = self.position - self._skip
        seconds = float((frame.pts - self._origin) * self._stream.time_base)
        ahead = seconds_to_samples(seconds, self.sample_rate) - expected
        smallest = seconds_to_samples(SMALLEST_HOLE_SECONDS, self.sample_rate)
        if abs(ahead) <= smallest:
            return 0
        if self._is_chain and (ahead < 0 or not self._has_holes):
            self._origin = frame.pts - round(samples_to_seconds(expected, self.sample_rate) / self._stream.time_base)
            return 0
        return max(0, ahead)

    def _note_hole(self, num_frames: int) -> None:
        onset = self.position
        if self.holes and sum(self.holes[-1]) == onset:
            onset, earlier = self.holes.pop()
            num_frames += earlier
        self.holes.append((onset, num_frames))

    def start_at(self, frame: int) -> None:
        self._skip = frame
        target = samples_to_seconds(frame, self.sample_rate) - PREROLL_SECONDS
        # In a chain the same time comes several times: it is read from its start.
        if target > 0 and not self._is_chain:
            ticks = int(target / self._stream.time_base)
            self._input.seek(self._origin + ticks, stream=self._stream, backward=True)
            self._frames = self._input.decode(self._stream)
            first = self._next_frame()
            if first is not None:
                self._frames = itertools.chain([first], self._frames)
                reached = float((first.pts - self._origin) * self._stream.time_base)
                self._skip = max(0, frame - seconds_to_samples(reached, self.sample_rate))
        self.position = frame

    def close(self) -> None:
        self._input.close()

    def _next_frame(self) -> av.AudioFrame | None:
        try:
            return next(self._frames, None)
        except (av.FFmpegError, ValueError):
            self.broken = True
            return None

    def _stated_duration(self) -> float | None:
        """Seconds by the header: of the track, or of the file where it holds nothing else (a video may be longer)."""
        if self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._input.duration is not None and len(self._input.streams) == 1:
            return self._input.duration / av.time_base
        return None


def _open_input(path: Path, container: Container) -> av.container.InputContainer:
    # An absolute path, so that no file name is taken for a protocol; tags that are not UTF-8 are nobody's concern.
    return av.open(str(path.absolute()), format=container.demuxer, metadata_errors="ignore")


def _sound_track(container: av.container.InputContainer) -> av.AudioStream:
    if not container.streams.audio:
        raise Unreadable(NO_TRACK)
    return container.streams.audio[0]


def _walk(path: Path, container: Container) -> float:
    """Seconds to the end of the last packet: for files whose header does not tell. Nothing is decoded."""
    end = 0.0
    with _open_input(path, container) as walked:
        stream = _sound_track(walked)
        packets: Iterator[av.Packet] = walked.demux(stream)
        try:
            for packet in packets:
                if packet.pts is not None:
                    end = float((packet.pts + (packet.duration or 0) - (stream.start_time or 0)) * stream.time_base)
        except av.FFmpegError:
            pass  # cut off; reading will meet the same place and say so
    return end


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """The channels of a frame mixed, integers scaled to [-1, 1): shape (num_frames,), float32."""
    samples = frame.to_ndarray()  # (channels, num_frames), or (1, num_frames * channels) where interleaved
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif np.issubdtype(samples.dtype, np.integer):
        samples = (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
    return _mix(samples)


def _mix(samples: np.ndarray) -> np.ndarray:
    """Mean over the channels: shape (num_frames, channels) to (num_frames,), float32."""
    if samples.shape[1] == 1:
        return samples[:, 0].astype(np.float32, copy=False)
    with np.errstate(all="ignore"):  # inf - inf: whoever reads refuses it, with a better word than a warning
        return samples.mean(axis=1, dtype=np.float32)
