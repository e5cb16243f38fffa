"""From the end of an upload to everything a person sees first, for a recording of a minute, the model being loaded.

    python -m benchmarks.first_result [--quick]

The steps are those of the page "Identify birds" (``birdcore.webapp``), without Streamlit around them.
"""

import io
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import parse_quick, write_report
from benchmarks.sounds import write_recording
from birdcore.audio.decode import load_audio
from birdcore.audio.encode import encode_preview
from birdcore.audio.envelope import envelope
from birdcore.features.spectrogram import MAX_COLUMNS, DisplayConfig, display_spectrogram
from birdcore.figures import scores_figure
from birdcore.inference.events import decode_events
from birdcore.inference.predictor import Predictor
from birdcore.models.checkpoint import list_weights
from birdcore.player_data import event_mark, mark_arguments, sound_arguments, species_palette
from birdcore.webapp.recordings import spool

DISPLAY_RATE = 32_000


def first_result(predictor: Predictor, upload: bytes) -> dict[str, float]:
    """Do it once; seconds per step."""
    times: dict[str, float] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        times[name] = time.perf_counter() - started

    with step("store"):
        recording = spool(io.BytesIO(upload), "recording.flac")
    with step("analyze"):
        scores = predictor.analyze(recording.path)
    with step("decode_events"):
        events = decode_events(scores)
    with step("sound"):
        samples = load_audio(recording.path, sample_rate=DISPLAY_RATE).samples
        audio, mime = encode_preview(samples, DISPLAY_RATE)
    with step("pictures"):
        config = DisplayConfig(n_fft=1024, hop_length=512, n_mels=192, fmin=50.0, fmax=DISPLAY_RATE / 2)
        picture = display_spectrogram(samples, DISPLAY_RATE, config=config)
        names = {name.code: name.common for name in scores.class_names}
        sound_arguments(
            sound_key=recording.key,
            audio_url_or_data=audio,
            mime=mime,
            duration=len(samples) / DISPLAY_RATE,
            envelope=envelope(samples, MAX_COLUMNS),
            spectrogram_db=picture.values,
            frequencies=picture.edges,
        )
        mark_arguments(
            events=[event_mark(e, identity=number, common_name=names[e.label]) for number, e in enumerate(events)]
        )
        top = scores.top()
        colors = species_palette(name.code for name, _ in top)
        scores_figure(top, threshold=predictor.config.threshold, colors=colors).to_json()
    return times


def main() -> None:
    quick = parse_quick(__doc__)
    seconds, repeats = (10.0, 1) if quick else (60.0, 5)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BIRDCORE_CACHE"] = folder  # where uploads go: not among the user's own
        upload = write_recording(Path(folder) / "recording.flac", seconds=seconds).read_bytes()
        for weights in list_weights():
            predictor = Predictor.load(weights.name)
            first_result(predictor, upload)  # imports and compiled code, as after anybody's first recording
            runs = [first_result(predictor, upload) for _ in range(repeats)]
            times = min(runs, key=lambda times: sum(times.values()))
            steps = {f"{name}_seconds": value for name, value in times.items()}
            total = {"total_seconds": sum(times.values())}
            rows.append({"weights": weights.name, "audio_seconds": seconds} | steps | total)
    if not rows:
        raise SystemExit("No weights found: nothing to measure.")
    write_report("first_result", rows, quick=quick)


if __name__ == "__main__":
    main()
