"""People talking, made by machine: what a model must not take for birds.

Real voices in field recordings are private, and no table of backgrounds here holds any. The speech synthesiser espeak-ng
speaks where it is installed; elsewhere babble made by formula stands in for it.
"""

from __future__ import annotations

import io
import shutil
import subprocess

import numpy as np
import soundfile
import soxr

from birdcore.data.babble import synthesize_speech

__all__ = ["can_speak", "speech_sample"]

VOICES = {
    "train": (
        "en-gb",
        "de",
        "fr",
        "it",
        "es",
        "pl",
        "sv",
        "pt",
        "en-gb+f3",
        "de+f2",
        "fr+f4",
        "es+m4",
        "it+f5",
        "sv+m7",
    ),
    "test": ("en-us", "nl", "da", "ru", "en-us+f1", "nl+f2", "da+m2", "ru+f4"),
}
"""Voices to train with, and others to test with."""

WORDS = [
    "river",
    "morning",
    "window",
    "garden",
    "seven",
    "little",
    "water",
    "people",
    "yesterday",
    "bridge",
    "walking",
    "summer",
    "light",
    "remember",
    "village",
    "between",
    "never",
    "thirty",
    "music",
    "paper",
    "mountain",
    "green",
    "always",
    "question",
    "listen",
    "winter",
    "number",
    "family",
    "corner",
    "silent",
]


def can_speak() -> bool:
    """Whether the speech synthesiser is installed."""
    return shutil.which("espeak-ng") is not None


def speech_sample(number: int, *, sample_rate: int, split: str = "train") -> np.ndarray:
    """Some seconds of one voice, the same for the same number.

    Parameters
    ----------
    number : which
    sample_rate : Hz
    split : "train" or "test"; no voice is in both

    Returns
    -------
    shape (num_samples,), float32 in [-1, 1]; 5 to 15 s
    """
    generator = np.random.default_rng([number, 521, split == "test"])
    if not can_speak():
        return synthesize_speech(12.0, sample_rate=sample_rate, generator=generator)
    words = " ".join(generator.choice(WORDS, size=24))
    voice = VOICES[split][number % len(VOICES[split])]
    speed, pitch = generator.integers(120, 200), generator.integers(20, 80)
    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", words],
        check=True,
        capture_output=True,
    ).stdout
    samples, rate = soundfile.read(io.BytesIO(spoken), dtype="float32")
    return soxr.resample(samples, rate, sample_rate).astype(np.float32)
