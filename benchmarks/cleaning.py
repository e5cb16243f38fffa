"""What the cleaning steps of the published systems (S2, S4) do to birds that people have boxed.

    python -m benchmarks.cleaning [--quick]

On every completely annotated recording of ``strong/nbm`` in BIRDCORE_DATA; nothing here is trained. Time is compared on
a grid of 10 ms, bird time being that of any box. Levels are those of the boxed times and bands.
"""

from pathlib import Path

import numpy as np
from scipy.signal import stft

from benchmarks.report import parse_quick, write_report
from birdcore.audio.decode import load_audio
from birdcore.audio.denoise import reduce_noise
from birdcore.audio.extraction import extract_signal
from birdcore.audio.speech import find_speech
from birdcore.data.annotations import AnnotatedRecording, read_annotations
from birdcore.places import data_root

SAMPLE_RATE = 32_000
GRID_SECONDS = 0.01
MORPHOLOGIES = {
    "Sprengel (S2): opening": "opening",
    "Lasseck (S2): closing, dilation": "closing+dilation",
    "S2's choice: opening, dilation": "opening+dilation",
}


def time_mask(spans: list[tuple[float, float]], num_steps: int) -> np.ndarray:
    """Steps of the grid whose middle lies in a span."""
    middles = (np.arange(num_steps) + 0.5) * GRID_SECONDS
    mask = np.zeros(num_steps, dtype=bool)
    for onset, offset in spans:
        mask |= (onset <= middles) & (middles < offset)
    return mask


def contrast(samples: np.ndarray, recording: AnnotatedRecording) -> float:
    """Mean power inside the boxes above that of the same bands at other times, in dB."""
    frequencies, times, spectrum = stft(samples, SAMPLE_RATE, nperseg=1024, noverlap=704)
    inside = np.zeros(spectrum.shape, dtype=bool)
    for box in recording.events:
        if box.fmin is not None:
            rows = (box.fmin <= frequencies) & (frequencies < box.fmax)
            inside |= rows[:, None] & ((box.onset <= times) & (times < box.offset))
    outside = ~inside & inside.any(axis=1)[:, None]
    power = np.maximum(np.abs(spectrum) ** 2, 1e-12)  # -120 dB is silence, for 16 bits and for the ear
    if not (inside.any() and outside.any()):
        return np.nan
    return float(10 * np.log10(power[inside].mean() / power[outside].mean()))


def main() -> None:
    quick = parse_quick(__doc__)
    folder = data_root() / "strong"
    annotated = [
        recording
        for recording in read_annotations(folder / "annotations.csv")
        if recording.complete and recording.events and Path(recording.path).parent.name == "nbm"
    ]
    found = {name: np.zeros(4) for name in MORPHOLOGIES}  # steps of: bird and signal, bird, signal, bird in noise parts
    noise_steps = dict.fromkeys(MORPHOLOGIES, 0)
    bird_steps = silenced = all_steps = all_silenced = 0
    contrasts = []
    for recording in annotated[:3] if quick else annotated:
        samples = load_audio(recording.path, sample_rate=SAMPLE_RATE).samples
        num_steps = int(len(samples) / SAMPLE_RATE / GRID_SECONDS)
        bird = time_mask([(box.onset, box.offset) for box in recording.events], num_steps)
        for name, morphology in MORPHOLOGIES.items():
            extraction = extract_signal(samples, SAMPLE_RATE, morphology=morphology)
            signal, noise = (time_mask(spans, num_steps) for spans in (extraction.signal_spans, extraction.noise_spans))
            found[name] += [(bird & signal).sum(), bird.sum(), signal.sum(), (bird & noise).sum()]
            noise_steps[name] += noise.sum()
        speech = time_mask(find_speech(samples, SAMPLE_RATE), num_steps)
        bird_steps, silenced = bird_steps + bird.sum(), silenced + (bird & speech).sum()
        all_steps, all_silenced = all_steps + num_steps, all_silenced + speech.sum()
        contrasts.append((contrast(samples, recording), contrast(reduce_noise(samples, SAMPLE_RATE), recording)))
    rows = []
    for name, (both, bird, signal, lost) in found.items():
        rows += [
            {"step": name, "figure": "share of bird time in signal parts", "value": both / bird},
            {"step": name, "figure": "share of signal parts that is bird time", "value": both / signal},
            {"step": name, "figure": "share of noise parts that is bird time", "value": lost / noise_steps[name]},
        ]
    before, after = np.nanmedian(contrasts, axis=0)
    rows += [
        {"step": "speech removal (S4)", "figure": "share of bird time silenced", "value": silenced / bird_steps},
        {"step": "speech removal (S4)", "figure": "share of all time silenced", "value": all_silenced / all_steps},
        {"step": "noise reduction (S4)", "figure": "boxes above their surroundings before, dB", "value": before},
        {"step": "noise reduction (S4)", "figure": "boxes above their surroundings after, dB", "value": after},
    ]
    write_report("cleaning", [row | {"value": round(float(row["value"]), 3)} for row in rows], quick=quick)


if __name__ == "__main__":
    main()
