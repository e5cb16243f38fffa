"""What a sound file itself tells: format, length, levels and fingerprint, remembered by the file's content."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soxr

from birdcore.audio.decode import open_audio, probe_audio
from birdcore.data.fingerprint import BLOCK_SECONDS, SAMPLE_RATE, Fingerprint, compute_fingerprint
from birdcore.errors import AudioError
from birdcore.files import file_sha256, replacement_path
from birdcore.places import cache_root

__all__ = ["SoundFacts", "inspect_sound", "inspect_sounds"]

logger = logging.getLogger(__name__)

_FORMAT = 2  # of the cached files; a change of what is measured makes it a new one
_FULL_SCALE = 0.999  # a sample this loud was most likely louder
_SILENT_DB = -200.0  # stands for the logarithm of nothing


@dataclass(frozen=True, kw_only=True, eq=False)
class SoundFacts:
    """What was found in a sound file.

    Parameters
    ----------
    digest : SHA-256 of the file
    sample_rate : Hz, of the file
    channels : number of channels, of the file
    duration : seconds that could be read
    format : container and codec, e.g. ``"wav/pcm_16"``
    peak_db, rms_db : of all channels mixed to one, dB relative to full scale; -200 for digital silence
    clipped_share : share of samples at full scale, 0 to 1
    fault : a sentence where reading stopped early, or None
    fingerprint : to find the same sound in other files; None where it was found and let go
    """

    digest: str
    sample_rate: int
    channels: int
    duration: float
    format: str
    peak_db: float
    rms_db: float
    clipped_share: float
    fault: str | None
    fingerprint: Fingerprint | None


def inspect_sounds(
    paths: Iterable[Path], *, progress: Callable[[int, int], None] | None = None, num_workers: int | None = None
) -> dict[Path, SoundFacts | AudioError]:
    """Inspect many files, several at a time.

    Parameters
    ----------
    paths : sound files; each is inspected once
    progress : called with the number of files that are done, and of all, in the calling thread
    num_workers : files at a time; by default as many as there are processors

    Returns
    -------
    path → what was found, or why it cannot be read; in the order of the paths
    """
    wanted = list(dict.fromkeys(paths))
    found: dict[Path, SoundFacts | AudioError] = {}
    with ThreadPoolExecutor(num_workers or os.cpu_count() or 1) as pool:
        try:
            futures = {pool.submit(_inspect_or_refuse, path): path for path in wanted}
            for done, future in enumerate(as_completed(futures), start=1):
                found[futures[future]] = future.result()
                if progress:
                    progress(done, len(wanted))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # whoever gave up does not wait for the rest
            raise
    return {path: found[path] for path in wanted}


def _inspect_or_refuse(path: Path) -> SoundFacts | AudioError:
    try:
        return inspect_sound(path)
    except AudioError as error:
        return error


def inspect_sound(path: Path) -> SoundFacts:
    """Inspect a file, or remember what was found in the same content before.

    Raises
    ------
    AudioError
        If it cannot be decoded.
    """
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise AudioError(f"{path.name}: cannot be opened ({error.strerror}); check that it is there") from error
    stored = cache_root() / "inspections" / str(_FORMAT) / digest[:2] / f"{digest}.npz"
    if stored.is_file():
        try:
            return _load(stored)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            logger.warning("%s: damaged cache entry, inspected again", stored.name)
    facts = _measure(path, digest)
    # A full disk makes the next time slow, nothing else.
    with contextlib.suppress(OSError):
        _store(stored, facts)
    return facts


class _Levels:
    """Levels of a recording that passes by in blocks."""

    def __init__(self) -> None:
        self.num_samples, self.num_clipped, self.peak, self.energy = 0, 0, 0.0, 0.0

    def add(self, samples: np.ndarray) -> None:
        magnitude = np.abs(samples)
        self.num_samples += len(samples)
        self.num_clipped += int((magnitude >= _FULL_SCALE).sum())
        self.peak = max(self.peak, float(magnitude.max()))
        self.energy += float(np.square(samples, dtype=np.float64).sum())


def _measure(path: Path, digest: str) -> SoundFacts:
    info = probe_audio(path)
    levels = _Levels()
    with open_audio(path, sample_rate=info.sample_rate, block_seconds=BLOCK_SECONDS) as stream:

        def blocks() -> Iterator[np.ndarray]:
            for block in stream:
                levels.add(block)
                # Block by block, without a memory from one to the next: a seam every minute hides nothing.
                yield soxr.resample(block, info.sample_rate, SAMPLE_RATE, quality="MQ")

        fingerprint = compute_fingerprint(blocks())
    return SoundFacts(
        digest=digest,
        sample_rate=info.sample_rate,
        channels=info.channels,
        duration=levels.num_samples / info.sample_rate,
        format=info.format,
        peak_db=_decibels(levels.peak),
        rms_db=_decibels((levels.energy / levels.num_samples) ** 0.5),
        clipped_share=levels.num_clipped / levels.num_samples,
        # Without the name: the same content is remembered under any.
        fault=stream.fault and stream.fault.removeprefix(f"{path.name}: "),
        fingerprint=fingerprint,
    )


def _decibels(amplitude: float) -> float:
    return round(float(20.0 * np.log10(amplitude)), 2) if amplitude > 0 else _SILENT_DB


def _store(path: Path, facts: SoundFacts) -> None:
    scalars = {name: value for name, value in asdict(facts).items() if name != "fingerprint"}
    arrays = {name: getattr(facts.fingerprint, name) for name in ("hashes", "frames", "picture")}
    with replacement_path(path) as part, part.open("wb") as file:
        np.savez(file, facts=np.array(json.dumps(scalars)), **arrays)


def _load(path: Path) -> SoundFacts:
    # Opened here: of a damaged file NumPy would leave its own handle open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        fingerprint = Fingerprint(**{name: stored[name] for name in ("hashes", "frames", "picture")})
        return SoundFacts(**json.loads(str(stored["facts"])), fingerprint=fingerprint)
