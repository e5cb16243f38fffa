import numpy as np
import pytest
import torch

from birdcore.config import MEL_YAMNET_WIDE, ClassName, ModelConfig
from birdcore.errors import DataError, WeightsError
from birdcore.inference.classifier import find_clips, make_classifier
from birdcore.inference.embedding import open_embedder
from birdcore.inference.predictor import Predictor
from birdcore.models.checkpoint import find_weights, list_problems, save_weights
from birdcore.models.registry import build_model


@pytest.fixture
def clips(tmp_path, write_tones):
    """A folder of folders: five clips of a low tone, five of a middle one, and one of each in three recordings."""

    def write(*, num=5, names=("Parus major_Great Tit", "warbler")):
        for folder, hz in zip(names, (1600, 2800), strict=True):
            for number in range(num):
                write_tones(f"clips/{folder}/XC{hz}{number:03d}.wav", (hz + 0.2 * number, 1.0), level=0.3)
        return tmp_path / "clips"

    return write


@pytest.fixture
def base(outside_folder):
    return find_weights(outside_folder())


def test_a_classifier_tells_what_its_clips_told(base, clips, write_tones):
    told = []
    report = make_classifier(clips(), base, base.path.parent / "mine", progress=lambda *step: told.append(step))
    assert (report.num_clips, report.num_hidden, report.failed) == (10, 0, ())
    value, low, high = report.figures["top-1"]
    assert value == 1.0 and low < 0.75 and high == 1.0  # ten clips cannot show more
    assert "Few recordings (5 of" in report.cautions[0]
    assert {step for step, _ in told} == {"listening", "measuring", "training"}
    predictor = Predictor.load("mine")
    assert predictor.engine == "onnx" and predictor.config.window_seconds == 2.5
    scores = predictor.analyze(write_tones("a.wav", (0, 3.0), (2800, 4.0), level=0.3))
    best, score = scores.top(1)[0]
    assert (best.code, best.common) == ("warbler", "warbler") and score > 0.5
    assert (predictor.analyze(write_tones("silence.wav", (0, 3.0))).recording < 0.5).all()

    facts = report.weights.facts
    assert "It listens with tones, whose licence holds:" in facts["licence"]
    assert facts["provenance"] == {"clips": 10, "base": "tones", "clips of parus-major": 5, "clips of warbler": 5}
    assert report.weights.hears == (0.0, 4000.0)
    with pytest.raises(WeightsError, match="build on their base, 'tones'"):
        open_embedder(report.weights)


def test_a_classifier_needs_its_base_unchanged(base, clips):
    report = make_classifier(clips(num=1), base, base.path.parent / "mine")
    assert report.figures == {} and "Not measured: parus-major has a single recording" in report.cautions[0]
    again = make_classifier(clips(num=1), base, base.path.parent / "again")
    assert again.weights.facts["sha256"] == report.weights.facts["sha256"]
    with (base.path / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(WeightsError, match="made on another version of 'tones'"):
        Predictor.load("mine")
    (base.path / "outside.toml").unlink()
    assert ["listen with 'tones', which is missing" in problem for problem in list_problems()] == [True, True]


def test_cuts_of_one_recording_are_one_group(tmp_path, write_tones):
    for name in ("XC123456-1.wav", "call xc 123456 b.wav", "other.wav", "copy of other.wav"):
        write_tones(f"clips/a/{name}", (400, 1.0))
    write_tones("clips/b/x.wav", (800, 1.0))
    groups = {clip.path.name: clip.group for clip in find_clips(tmp_path / "clips")[0]}
    assert groups["XC123456-1.wav"] == groups["call xc 123456 b.wav"] == "XC123456"
    assert groups["other.wav"] == groups["copy of other.wav"] != groups["x.wav"]


def test_folders_take_names_that_a_model_knows(outside_folder, clips):
    outside_folder()
    _, names = find_clips(clips(names=("low", "Sylvia atricapilla")))
    assert [(name.code, name.common) for name in names] == [("parus-major", "Low"), ("sylvia-atricapilla", "Middle")]


def test_backgrounds_are_no_class(tmp_path, write_tones):
    for folder in ("robin", "background", "_traffic"):
        write_tones(f"clips/{folder}/a.wav", (400, 1.0))
    found, names = find_clips(tmp_path / "clips")
    assert [name.code for name in names] == ["robin"]
    assert sorted(clip.label for clip in found) == ["", "", "robin"]


def test_too_little_to_learn_from_is_told(tmp_path, write_tones):
    with pytest.raises(DataError, match="no such folder"):
        find_clips(tmp_path / "nothing")
    write_tones("clips/robin/a.wav", (400, 1.0))
    with pytest.raises(DataError, match="1 class found; a classifier needs at least two"):
        find_clips(tmp_path / "clips")


def test_a_clip_that_cannot_be_read_is_left_out(base, clips):
    folder = clips(num=1)
    (folder / "warbler" / "broken.wav").write_bytes(b"nothing")
    report = make_classifier(folder, base, base.path.parent / "mine")
    assert report.num_clips == 2 and [path.name for path, _ in report.failed] == ["broken.wav"]


def test_it_must_lie_beside_its_base(base, clips, tmp_path):
    with pytest.raises(DataError, match="must lie beside its base"):
        make_classifier(clips(), base, tmp_path / "elsewhere" / "mine")


@pytest.mark.parametrize("architecture", ["crnn", "efficientnet_b0"])
def test_our_own_networks_have_an_embedding(weights_folder, architecture):
    weights = find_weights(weights_folder / architecture)
    embedder = open_embedder(weights)
    windows = np.random.default_rng(0).normal(size=(3, weights.config.window_samples)).astype(np.float32)
    together = embedder.embeddings(windows)
    assert together.shape == (3, embedder.embedding_size) and np.isfinite(together).all()
    assert np.allclose(together[1:2], embedder.embeddings(windows[1:2]), atol=1e-4)


def test_weights_that_treat_recordings_have_no_embedding(tmp_path):
    config = ModelConfig(
        architecture="crnn",
        class_names=(ClassName(code="a", common="A", scientific=""),),
        window_seconds=1.0,
        features=MEL_YAMNET_WIDE,
        treatments=("denoise",),
        options={"width": 16, "hidden": 8},
    )
    torch.manual_seed(0)
    weights = save_weights(tmp_path / "treated", build_model(config).eval(), config, {})
    with pytest.raises(WeightsError, match=r"treat whole recordings \(denoise\)"):
        open_embedder(weights)


def test_an_ensemble_has_no_embedding_of_its_own(tmp_path):
    config = ModelConfig(
        architecture="ensemble",
        class_names=(ClassName(code="a", common="A", scientific=""),),
        window_seconds=1.0,
        features=MEL_YAMNET_WIDE,
        options={"architecture": "mobilenet_v2", "members": 2, "options": {}},
    )
    weights = save_weights(tmp_path / "folds", build_model(config).eval(), config, {})
    with pytest.raises(WeightsError, match="ensemble has no embedding to build on"):
        open_embedder(weights)
