import dataclasses
import threading

import numpy as np
import pytest
import soundfile
import torch

from birdcore.audio.treatment import treat
from birdcore.config import MEL_S3_SHORT, MEL_YAMNET, MEL_YAMNET_WIDE, ClassName, ModelConfig
from birdcore.errors import AudioError, ConfigError
from birdcore.features.mel import MelSpectrogram
from birdcore.features.windows import pool_windows, window_starts
from birdcore.inference.engine import TorchEngine
from birdcore.inference.predictor import CLIP_MARGIN, Predictor
from birdcore.models.checkpoint import find_weights, load_model, save_weights
from birdcore.models.registry import build_model, frame_stride


def write(path, seconds, sample_rate=32_000, seed=0):
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    song = 0.3 * np.sin(2 * np.pi * 3000 * time) * (np.sin(2 * np.pi * time) > 0) + 0.01 * generator.normal(
        size=len(time)
    )
    soundfile.write(path, song.astype(np.float32), sample_rate, subtype="FLOAT")
    return path


@pytest.fixture(scope="module", params=["crnn", "efficientnet_b0"])
def predictor(request, weights_folder):
    return Predictor.load(weights_folder / request.param, engine="torch")


def test_streamed_scores_are_those_of_the_network_on_the_whole_file(predictor, tmp_path):
    path = write(tmp_path / "song.wav", 4.3)
    scores = predictor.analyze(path, overlap=0.5)
    config = predictor.config
    features, model = MelSpectrogram(config.features), load_model(predictor.weights)
    samples, _ = soundfile.read(path, dtype="float32")
    mel = features.mel(torch.from_numpy(samples)[None])[0]
    mel = mel[:, : -(-len(samples) // config.features.hop_length)]  # no window for the centred frame at the very end
    window = round(config.window_seconds / config.features.frame_seconds)
    multiple = frame_stride(config)
    stride = round((window - 0.5 / config.features.frame_seconds) / multiple) * multiple
    starts = window_starts(mel.shape[1], window_frames=window, stride=stride, multiple=multiple)
    cuts = [torch.nn.functional.pad(mel[:, s : s + window], (0, max(0, window - (mel.shape[1] - s)))) for s in starts]
    with torch.inference_mode():
        logits = model(features.scale(torch.stack(cuts))).clip[:, :3].numpy()
    assert np.allclose(scores.windows, 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert np.allclose(scores.window_onsets, np.array(starts) * config.features.frame_seconds)
    assert np.allclose(scores.recording, 1 / (1 + np.exp(-pool_windows(logits))), atol=1e-5)


def test_a_frame_is_not_much_surer_than_the_windows_over_it(weights_folder, tmp_path):
    weights = find_weights(weights_folder / "crnn")
    path = write(tmp_path / "song.wav", 4.3)

    def analyze(**changes):
        config = dataclasses.replace(weights.config, **changes)
        return Predictor(changed := dataclasses.replace(weights, config=config), TorchEngine(changed)).analyze(path)

    def log_odds(scores):
        return np.log(np.asarray(scores, np.float64) / (1 - np.asarray(scores, np.float64)))

    free = analyze(bias=-20.0)  # the windows are sure of everything, so that they limit nothing
    assert np.array_equal(free.frames, analyze(bias=-30.0).frames)
    doubtful = analyze(bias=9.0)
    centres = (np.arange(len(free.frames)) + 0.5) * free.frame_seconds
    offsets = [*doubtful.window_offsets[:-1], np.inf]  # half a frame may lie beyond the end
    over = (doubtful.window_onsets[:, None] <= centres) & (centres < np.array(offsets)[:, None])
    surest = np.where(over[:, :, None], log_odds(doubtful.windows)[:, None], -np.inf).max(axis=0)
    expected = np.minimum(log_odds(free.frames), surest + CLIP_MARGIN)
    assert np.abs(log_odds(doubtful.frames) - expected).max() < 0.02
    assert (doubtful.frames < free.frames).any()


def test_every_second_of_the_recording_is_covered(predictor, tmp_path):
    for seconds in (0.3, 1.0, 1.7, 3.0):
        scores = predictor.analyze(write(tmp_path / "song.wav", seconds))
        assert scores.duration == pytest.approx(seconds, abs=1e-3)
        assert scores.window_onsets[0] == 0 and scores.window_offsets[-1] == pytest.approx(scores.duration)
        if scores.frames is not None:
            assert len(scores.frames) == int(np.ceil(seconds / scores.frame_seconds - 1e-9))
            assert scores.bands.shape[:2] == (len(scores.frames), len(scores.band_edges) - 1)
            assert (scores.band_low < scores.band_high).all()


def test_silence_gives_finite_scores(predictor, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(64_000), 32_000)
    scores = predictor.analyze(tmp_path / "silence.wav")
    assert np.isfinite(scores.windows).all() and np.isfinite(scores.recording).all()


def test_onnx_gives_torchs_probabilities(weights_folder, tmp_path):
    path = write(tmp_path / "song.wav", 3.0)
    for name in ("crnn", "efficientnet_b0"):
        by_torch = Predictor.load(weights_folder / name, engine="torch").analyze(path)
        onnx = Predictor.load(weights_folder / name, engine="onnx")
        assert onnx.engine == "onnx"
        by_onnx = onnx.analyze(path)
        assert np.abs(by_torch.windows - by_onnx.windows).max() < 1e-4
        if by_torch.frames is not None:
            assert (
                np.abs(by_torch.frames.astype(float) - by_onnx.frames.astype(float)).max() < 2e-3
            )  # stored as float16


def test_a_part_is_analysed_on_its_own_time_axis(predictor, tmp_path):
    scores = predictor.analyze(write(tmp_path / "song.wav", 4.0), onset=1.0, duration=2.0)
    assert scores.duration == pytest.approx(2.0, abs=1e-3)
    assert scores.window_onsets[0] == 0


def test_threads_may_share_a_predictor(predictor, tmp_path):
    path = write(tmp_path / "song.wav", 3.0)
    expected, results = predictor.analyze(path).windows, []
    threads = [threading.Thread(target=lambda: results.append(predictor.analyze(path).windows)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(np.array_equal(expected, result) for result in results)


def test_progress_reaches_the_end(predictor, tmp_path):
    seen = []
    predictor.analyze(write(tmp_path / "song.wav", 3.0), progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_progress_of_a_part_is_the_share_of_that_part(predictor, tmp_path):
    seen = []
    predictor.analyze(write(tmp_path / "song.wav", 4.0), onset=3.0, progress=seen.append)
    assert seen[-2] > 0.9


def test_overlap_of_a_whole_window_is_refused(predictor, tmp_path):
    with pytest.raises(ConfigError, match="less than the window"):
        predictor.analyze(write(tmp_path / "song.wav", 2.0), overlap=1.0)


def test_a_part_beyond_the_end_is_refused(predictor, tmp_path):
    with pytest.raises(AudioError):
        predictor.analyze(write(tmp_path / "song.wav", 2.0), onset=10.0)


def make(folder, architecture, **settings):
    """A predictor with random weights."""
    torch.manual_seed(0)
    classes = tuple(ClassName(code=code, common=code, scientific=code) for code in ("alpha", "beta"))
    config = ModelConfig(architecture=architecture, class_names=classes, **settings)
    model = build_model(config).eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):  # torch's own start lets sounds fade away in a deep trunk
            torch.nn.init.kaiming_normal_(layer.weight)
    save_weights(folder, model, config, {"summary": "random weights"})
    return Predictor.load(folder, engine="torch")


def test_frames_of_windows_of_any_length_stay_where_they_are(tmp_path):
    """99 mel frames are no whole number of network frames, and yet windows must not drift apart."""
    options = {"width": 16, "hidden": 8}
    for seconds in (0.99, 1.0):
        settings = {"window_seconds": seconds, "features": MEL_YAMNET_WIDE, "options": options}
        predictor = make(tmp_path / f"{seconds}", "crnn", **settings)
        scores = predictor.analyze(write(tmp_path / "song.wav", 12.0), overlap=0.5)
        assert len(scores.frames) == 300 and scores.frame_seconds == pytest.approx(0.04)
        assert np.all(np.round(scores.window_onsets / 0.04, 6) % 1 == 0)


def test_stacked_windows_are_analysed_and_short_recordings_say_so(tmp_path):
    predictor = make(tmp_path / "weights", "mobilenet_v2", window_seconds=2.0, features=MEL_S3_SHORT)
    short = predictor.analyze(write(tmp_path / "short.wav", 1.5))
    assert short.windows.shape == (1, 2) and np.isfinite(short.windows).all()
    assert "lasts 1.5 s" in short.note and "10 stretches of 0.2 s" in short.note and short.fault is None
    long = predictor.analyze(write(tmp_path / "long.wav", 5.0))
    assert long.note is None and len(long.windows) == 4


def test_a_recording_shorter_than_a_window_needs_no_note_without_a_stack(predictor, tmp_path):
    assert predictor.analyze(write(tmp_path / "song.wav", 0.4)).note is None


def test_recordings_are_treated_as_in_training(tmp_path):
    treatments = ("remove_speech", "normalize_rms")
    settings = {"window_seconds": 0.96, "features": MEL_YAMNET, "options": {"trunk": "yamnet"}}
    treating = make(tmp_path / "treating", "embedding_mlp", treatments=treatments, **settings)
    plain = make(tmp_path / "plain", "embedding_mlp", **settings)
    path = write(tmp_path / "song.wav", 3.0, sample_rate=16_000)
    samples, _ = soundfile.read(path, dtype="float32")
    soundfile.write(tmp_path / "treated.wav", treat(samples, 16_000, treatments=treatments), 16_000, subtype="FLOAT")
    scores, expected = treating.analyze(path), plain.analyze(tmp_path / "treated.wav")
    assert np.array_equal(scores.windows, expected.windows) and scores.duration == expected.duration
    assert not np.array_equal(scores.windows, plain.analyze(path).windows)
