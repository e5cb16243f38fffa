import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdcore.errors import AudioError, ConfigError
from birdcore.features.windows import pool_windows
from birdcore.inference.batch import analyze_files
from birdcore.inference.events import decode_events
from birdcore.inference.outside import OutsidePredictor, WindowStream
from birdcore.inference.predictor import Predictor

ARGUMENTS = {"sample_rate": 8000, "window_samples": 4000}


@pytest.fixture
def predictor(outside_folder):
    outside_folder()
    return Predictor.load("tones")


def test_weights_from_outside_are_loaded_like_any_other(predictor):
    assert isinstance(predictor, OutsidePredictor)
    assert (predictor.engine, predictor.weights.name, predictor.config.num_classes) == ("onnx", "tones", 3)
    assert len(predictor.weights.facts["sha256"]) == 64


def test_another_engine_is_refused(outside_folder):
    outside_folder()
    with pytest.raises(ConfigError, match="runs in onnx only"):
        Predictor.load("tones", engine="torch")


def test_tones_are_heard_when_they_sound(predictor, write_tones):
    path = write_tones("a.wav", (0, 2.0), (400, 2.0), (0, 2.0))
    scores = predictor.analyze(path)
    assert (scores.duration, scores.windows.shape, scores.windows.dtype) == (6.0, (23, 3), np.float32)
    assert scores.top(1)[0][0].code == "parus-major"
    (event,) = [event for event in decode_events(scores, threshold=0.4) if event.label == "parus-major"]
    assert (event.onset, event.offset, event.fmin) == (pytest.approx(2.0, abs=0.26), pytest.approx(4.0, abs=0.26), None)


def test_the_recordings_score_is_pooled_from_its_windows(predictor, write_tones):
    scores = predictor.analyze(write_tones("a.wav", (0, 20.0), (400, 1.0), (800, 9.0)))
    odds = np.log(scores.windows / (1 - scores.windows))
    assert scores.recording == pytest.approx(1 / (1 + np.exp(-pool_windows(odds))), abs=1e-3)


def test_a_part_is_scored_as_in_the_whole(predictor, write_tones):
    path = write_tones("a.wav", (400, 3.0), (800, 3.0))
    whole, part = predictor.analyze(path), predictor.analyze(path, onset=3.0, duration=2.0)
    assert part.duration == 2.0
    assert np.allclose(part.windows, whole.windows[12:19], atol=1e-3)


def test_a_short_recording_has_one_window(predictor, write_tones):
    scores = predictor.analyze(write_tones("a.wav", (400, 0.2)))
    assert (len(scores.windows), scores.window_offsets.tolist()) == (1, [0.2])


def test_progress_ends_at_one(predictor, write_tones):
    told = []
    predictor.analyze(write_tones("a.wav", (400, 10.0)), progress=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 3


def test_progress_of_a_part_is_the_share_of_that_part(predictor, write_tones):
    told = []
    predictor.analyze(write_tones("a.wav", (400, 10.0)), onset=8.0, progress=told.append)
    assert told[-2] > 0.7


@pytest.mark.parametrize("overlap", [-0.1, 0.5])
def test_an_overlap_out_of_range_is_told(predictor, write_tones, overlap):
    with pytest.raises(ConfigError, match=r"less than the window of 0\.5 s"):
        predictor.analyze(write_tones("a.wav", (400, 1.0)), overlap=overlap)


def test_many_classes_take_half_the_memory(outside_folder, predictor, write_tones, monkeypatch):
    path = write_tones("a.wav", (400, 2.0))
    full = predictor.analyze(path)
    monkeypatch.setattr("birdcore.inference.outside.MANY_CLASSES", 2)
    half = predictor.analyze(path)
    assert half.windows.dtype == np.float16
    assert np.allclose(half.windows, full.windows, atol=1e-3)
    assert np.array_equal(half.recording, full.recording)


def test_a_batch_writes_every_table(predictor, write_tones, tmp_path):
    write_tones("in/a.wav", (400, 2.0), level=0.5)
    report = analyze_files(predictor, [tmp_path / "in"], output=tmp_path / "out", formats=["raven", "audacity"])
    assert report.num_recordings == 1 and not report.failures
    assert "parus-major,Low" in (tmp_path / "out" / "events.csv").read_text()


@settings(max_examples=25, deadline=None)
@given(num_samples=st.integers(900, 30_000), stride=st.integers(500, 4000))
def test_windows_cover_every_sample_and_end_with_the_recording(tmp_path_factory, num_samples, stride):
    import soundfile

    path = tmp_path_factory.mktemp("sound") / "a.wav"
    samples = np.random.default_rng(num_samples).uniform(-0.5, 0.5, num_samples).astype(np.float32)
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    stream = WindowStream(path, **ARGUMENTS, stride=stride)
    pairs = list(stream)
    assert stream.num_samples == num_samples
    covered = np.zeros(num_samples, bool)
    for start, window in pairs:
        part = samples[start : start + 4000]
        assert np.array_equal(window[: len(part)], part) and not window[len(part) :].any()
        covered[start : start + 4000] = True
    starts = [start for start, _ in pairs]
    assert covered.all() and starts == sorted(set(starts))
    assert starts[-1] == max(0, num_samples - 4000)


def test_what_is_no_sound_is_told(predictor, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"nothing")
    with pytest.raises(AudioError, match=r"a\.wav"):
        predictor.analyze(tmp_path / "a.wav")


def test_yamnet_hears_ducks_in_recordings_of_ducks(shared_data, tmp_path, monkeypatch):
    models = shared_data.parent / "models"
    folder = tmp_path / "weights" / "yamnet"
    folder.mkdir(parents=True)
    shutil.copy(models / "yamnet.tflite", folder)
    shutil.copy(models / "yamnet_class_map.csv", folder)
    (folder / "outside.toml").write_text('preset = "yamnet"')
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(folder.parent))
    predictor = Predictor.load("yamnet")
    assert (predictor.engine, predictor.config.num_classes) == ("litert", 521)
    scores = predictor.analyze(shared_data / "strong" / "nbm" / "anas-platyrhynchos-541812.ogg")
    best = [name.common for name, _ in scores.top(8)]
    assert {"Animal", "Duck"} <= set(best)
    assert {event.label for event in decode_events(scores, threshold=0.3)} >= {"duck"}
