"""Mel spectrograms of whole recordings, computed once and memory-mapped afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import torch

from birdcore.audio.decode import load_audio, open_audio, probe_audio
from birdcore.audio.treatment import treat, treat_blocks
from birdcore.config import to_dict
from birdcore.errors import AudioError
from birdcore.features.mel import MelSpectrogram, MelStream
from birdcore.files import file_sha256, replacement_path
from birdcore.places import cache_root

__all__ = ["FeatureCache"]

logger = logging.getLogger(__name__)

LONG_SECONDS = 600.0
"""Recordings longer than this are never held in memory as a whole."""


class FeatureCache:
    """Unscaled mel spectrograms by recording; a file's content, the features' config and the treatments are the key.

    Where the cache cannot be written (a full or read-only disk) features are computed on the fly instead, and one
    warning says so.

    Parameters
    ----------
    features : the maker
    treatments : what every recording goes through first, see :func:`birdcore.audio.treatment.treat`
    root : folder, by default in the cache root

    Attributes
    ----------
    faults : recordings that were asked for and are damaged or cut off, with a sentence; they are used as far as they go
    """

    def __init__(self, features: MelSpectrogram, *, treatments: tuple[str, ...] = (), root: Path | None = None) -> None:
        self.features = features
        self.treatments = treatments
        config = to_dict(features.config)
        # Scaling happens per window, after the cache, and does not enter the key.
        keyed = {
            key: config[key]
            for key in (
                "sample_rate",
                "n_fft",
                "win_length",
                "hop_length",
                "n_mels",
                "fmin",
                "fmax",
                "power",
                "mel_scale",
                "norm",
            )
        }
        # What came later enters only where it is used: entries from before keep their names.
        if not features.config.center:
            keyed["center"] = False
        if features.config.bass is not None:
            keyed["bass"] = config["bass"]
        if treatments:
            keyed["treatments"] = treatments
        digest = hashlib.sha256(json.dumps(keyed, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = (root or cache_root() / "features") / digest
        self._writable = True
        self.faults: dict[Path, str] = {}

    def mel(self, path: Path) -> np.ndarray:
        """Mel spectrogram of a file.

        Returns
        -------
        shape (num_frames, n_mels), float32, read-only (memory-mapped where cached)

        Raises
        ------
        AudioError
            If the file cannot be decoded.
        """
        try:
            content = file_sha256(path)
        except OSError as error:
            raise AudioError(f"{path.name}: cannot be read ({error.strerror})") from error
        stored = self.folder / f"{content[:32]}.npy"
        if stored.is_file():
            self._recall_fault(path, stored)
            try:
                return np.load(stored, mmap_mode="r", allow_pickle=False)
            except (ValueError, OSError):
                logger.warning("%s: damaged cache entry, computed again", stored.name)
        mel, fault = self._compute(path)
        if fault:
            self._keep_fault(path, stored, fault)
        self._store(stored, mel)
        # Mapped again, so that a folder of long recordings is never in memory as a whole.
        return np.load(stored, mmap_mode="r", allow_pickle=False) if self._writable else mel

    def _keep_fault(self, path: Path, stored: Path, fault: str) -> None:
        """Remember what is wrong with a recording, also beside its entry: later runs do not decode it again."""
        self.faults[path] = fault
        with contextlib.suppress(OSError):  # storing the entry itself will fail, too, and say so
            stored.parent.mkdir(parents=True, exist_ok=True)
            stored.with_suffix(".fault").write_text(fault, encoding="utf-8")

    def _recall_fault(self, path: Path, stored: Path) -> None:
        with contextlib.suppress(OSError):  # most have none
            self.faults[path] = stored.with_suffix(".fault").read_text(encoding="utf-8", errors="replace")

    def _compute(self, path: Path) -> tuple[np.ndarray, str | None]:
        """The spectrogram of a file, and its fault if it is damaged.

        That of a long one is made block by block, or its transforms would fill memory.
        """
        sample_rate = self.features.config.sample_rate
        if probe_audio(path).duration > LONG_SECONDS:
            maker = MelStream(self.features)
            with open_audio(path, sample_rate=sample_rate) as stream:
                treated = treat_blocks(stream, sample_rate, treatments=self.treatments)
                blocks = [maker.push(block).T for block in treated]
            return np.concatenate([*blocks, maker.finish().T]), stream.fault
        sound = load_audio(path, sample_rate=sample_rate)
        samples = treat(sound.samples, sample_rate, treatments=self.treatments)
        with torch.inference_mode():
            return self.features.mel(torch.from_numpy(samples)[None])[0].T.contiguous().numpy(), sound.fault

    def _store(self, stored: Path, mel: np.ndarray) -> None:
        if not self._writable:
            return
        try:
            with replacement_path(stored) as part, part.open("wb") as file:
                np.save(file, mel, allow_pickle=False)
        except OSError as error:
            self._writable = False
            logger.warning(
                "feature cache %s: cannot be written (%s); features are computed on the fly", self.folder, error
            )

    def mels(self, paths: list[Path]) -> tuple[dict[Path, np.ndarray], dict[Path, str]]:
        """Spectrograms of many files; the ones that cannot be decoded are left out, and these and faults are reported.

        Returns
        -------
        (path → spectrogram, path → reason it is left out)
        """
        found: dict[Path, np.ndarray] = {}
        failures: dict[Path, str] = {}
        for path in paths:
            try:
                found[path] = self.mel(path)
                if path in self.faults:
                    logger.warning("used as far as it goes: %s", self.faults[path])
            except AudioError as error:
                failures[path] = str(error)
                logger.warning("left out: %s", error)
        return found, failures
