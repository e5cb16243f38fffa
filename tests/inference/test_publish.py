import csv
import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import soundfile

from birdcore.config import MEL_BIRDNET, MEL_YAMNET_WIDE, ClassName, ModelConfig, TrainConfig, to_dict
from birdcore.errors import AcceptanceError, DataError
from birdcore.inference import acceptance
from birdcore.inference.predictor import Predictor
from birdcore.inference.publish import _licence, noise_bias, publish
from birdcore.models.checkpoint import find_weights, load_model, save_weights
from birdcore.models.registry import build_model
from birdcore.models.versions import list_versions, restore_version


def table(path, rows):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module", autouse=True)
def unskilled_models_pass():
    """The models here have learnt nothing, and the gate would rightly refuse them; its own test sees that it does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceptance, "LEAST_SKILL", 0.0)
        patch.setattr(acceptance, "NUM_VOICES", 2)  # to make them takes longer than to listen to them
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Noise in place of birds: the figures mean nothing, but every one of them must be there and be written down."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "background").mkdir()
    generator = np.random.default_rng(0)

    def write(name):
        soundfile.write(folder / name, 0.1 * generator.normal(size=48_000), 32_000)
        return name

    recordings = [
        {"path": write(f"{code}{number}.wav"), "species_code": code, "split": "test", "kind": "field", "source": "here"}
        for code in ("alpha", "beta")
        for number in range(2)
    ]
    table(folder / "manifest.csv", recordings)
    table(
        folder / "extra_manifest.csv",
        [{"path": write(f"{code}.wav"), "species_code": code} for code in ("heard1", "unheard1", "unheard2")],
    )
    table(
        folder / "background/background.csv",
        [
            {"path": write(f"background/place{number:02d}.wav"), "kind": "field-no-bird", "has_bird": "0"}
            for number in range(20)
        ],
    )
    boxes = {"start_s": 0.2, "end_s": 0.6, "low_hz": 2000, "high_hz": 4000, "label_kind": "hand boxes (Audacity, all)"}
    table(
        folder / "strong/annotations.csv",
        [{"filename": "mine/a.wav", "species_code": "alpha", "split": "test"} | boxes],
    )
    (folder / "strong/mine").mkdir()
    write("strong/mine/a.wav")
    return folder


@pytest.fixture(scope="module")
def run_weights(tmp_path_factory):
    config = ModelConfig(
        architecture="crnn",
        class_names=tuple(ClassName(code=c, common=c.title(), scientific=f"Avis {c}") for c in ("alpha", "beta")),
        window_seconds=1.0,
        features=MEL_YAMNET_WIDE,
        num_auxiliary=1,
        options={"width": 16, "hidden": 8},
    )
    settings = TrainConfig(
        architecture="crnn",
        features="yamnet_wide",
        extra_manifest="extra_manifest.csv",
        background="background/background.csv",
        strong="strong/annotations.csv",
    )
    model = build_model(config).eval()
    model.clip_class.bias.data += 4.0  # a model that reports something everywhere
    facts = {"train_config": to_dict(settings), "auxiliary": ["heard1"], "provenance": {"train_recordings": 4}}
    return save_weights(tmp_path_factory.mktemp("run") / "weights", model, config, facts)


@pytest.fixture(scope="module")
def quiet_weights(run_weights, tmp_path_factory):
    """A model that never reports anything, with what its best epoch said of four held-out recordings."""
    model = load_model(run_weights)
    model.clip_class.bias.data -= 16.0
    model.activity.bias.data -= 16.0
    run = tmp_path_factory.mktemp("quiet-run")
    (run / "results").mkdir()
    np.savez(run / "results" / "validation.npz", labels=np.eye(2)[[0, 1, 0, 1]], logits=np.eye(2)[[0, 1, 0, 0]] * 8 - 4)
    return save_weights(run / "weights", model, run_weights.config, run_weights.facts)


@pytest.fixture(scope="module")
def published(quiet_weights, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shipped") / "tiny"
    return publish(
        quiet_weights.path, folder, data=data, summary="A test.", limits=["It knows nothing."], frame_bias=-0.5
    )


def test_a_model_that_hears_birds_in_noise_is_kept_as_a_draft_and_not_installed(run_weights, data, tmp_path):
    with pytest.raises(AcceptanceError, match=r"loud: not published.*windows of .* report a species"):
        publish(run_weights.path, tmp_path / "loud", data=data, summary="", limits=[], frame_bias=-30.0)
    assert not (tmp_path / "loud").exists()
    draft = run_weights.path.parent / "draft" / "loud"
    checks = {check["name"]: check for check in json.loads((draft / "acceptance.json").read_text())}
    assert checks["noise"]["passed"] is False and checks["noise"]["measured"] > 0.05
    assert checks["regression"]["passed"] is None
    assert find_weights(draft).config.bias > 0


def test_scores_are_calibrated_on_what_the_run_held_out(published):
    assert published.config.temperature != 1.0
    found = published.facts["calibration"]
    assert found["fitted_on"] == "4 validation recordings"
    assert found["expected_calibration_error_after"] <= found["expected_calibration_error_before"]


def test_publishing_again_keeps_the_earlier_version_and_compares_with_it(published, quiet_weights, data):
    again = publish(quiet_weights.path, published.path, data=data, summary="Again.", limits=[])
    assert again.facts["summary"] == "Again."
    (version,) = list_versions(published.path)
    assert version.weights.facts["summary"] == "A test."
    checks = json.loads((again.path / "acceptance.json").read_text())
    assert checks[-1]["name"] == "regression" and checks[-1]["passed"] is True
    assert restore_version(published.path, version.name).facts["summary"] == "A test."


def test_data_without_a_test_split_is_published_with_the_figures_of_its_validation_fold(quiet_weights, data, tmp_path):
    with (data / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    untested = tmp_path / "data"
    shutil.copytree(data, untested)
    table(untested / "manifest.csv", [row | {"split": ""} for row in rows])
    run = tmp_path / "run"
    facts = quiet_weights.facts | {"validation": {"macro_auc": 0.75}}
    save_weights(run / "weights", load_model(quiet_weights), quiet_weights.config, facts)
    weights = publish(run / "weights", tmp_path / "own", data=untested, summary="Own.", limits=[])
    assert weights.facts["metrics"] == {"macro ROC-AUC, validation fold": 0.75}
    assert "no recordings set aside for testing" in (weights.path / "README.md").read_text()


def with_boxes(data, folder, **changes):
    """A copy of the data whose boxes say something else."""
    shutil.copytree(data, folder)
    with (folder / "strong/annotations.csv").open(newline="") as file:
        rows = [row | changes for row in csv.DictReader(file)]
    table(folder / "strong/annotations.csv", rows)
    return folder


def test_boxes_without_bands_are_measured_in_time_alone(quiet_weights, data, tmp_path):
    bandless = with_boxes(data, tmp_path / "data", low_hz="", high_hz="")
    weights = publish(quiet_weights.path, tmp_path / "own", data=bandless, summary="Own.", limits=[])
    assert "frame macro F1" in weights.facts["metrics"] and "time-frequency Dice" not in weights.facts["metrics"]
    card = (weights.path / "README.md").read_text()
    assert "| species | boxes | frame F1 |" in card and "Dice" not in card


def test_where_no_test_recording_is_boxed_localization_is_left_out(quiet_weights, data, tmp_path, caplog):
    boxed = with_boxes(data, tmp_path / "data", split="train")
    weights = publish(quiet_weights.path, tmp_path / "own", data=boxed, summary="Own.", limits=[])
    assert json.loads((weights.path / "report.json").read_text()).keys() == {"clips", "rejection"}
    assert "annotated from end to end, so it is not measured" in caplog.text


def test_bias_takes_birdless_windows_down_to_the_threshold(published, run_weights, data, tmp_path):
    assert published.config.frame_bias == -0.5
    bias = noise_bias(run_weights, [data / f"background/place{number:02d}.wav" for number in range(20)])
    assert bias > 0
    model, config = load_model(run_weights), dataclasses.replace(run_weights.config, bias=bias)
    calibrated = save_weights(tmp_path / "calibrated", model, config, {})
    quiet = [data / f"background/place{number:02d}.wav" for number in range(20)]

    def loudest(path):
        predictor = Predictor.load(path, engine="torch")
        return max(predictor.analyze(file, overlap=0.0).windows.max() for file in quiet)

    assert loudest(run_weights.path) > 0.9
    assert (
        loudest(calibrated.path) < 0.55
    )  # an untrained network says nearly the same of all noise: about the threshold


def test_every_figure_is_in_the_report_and_on_the_card(published):
    report = json.loads((published.path / "report.json").read_text())
    assert report.keys() == {"clips", "localization", "rejection"}
    assert report["rejection"]["num_unknown_species"] == 2
    assert 0 < report["rejection"]["false_alarms"]["num_windows"] < 40  # the test fifth only
    card = (published.path / "README.md").read_text()
    for text in (
        "It knows 2 species",
        "box average precision at IoU 0.5",
        "It knows nothing.",
        "`alpha`",
        "non-commercial",
    ):
        assert text in card
    metrics = find_weights(published.path).facts["metrics"]
    assert metrics["macro ROC-AUC, all recordings"].keys() == {"value", "low", "high"}
    assert "bird-free windows that report a species" in metrics


def test_a_silent_model_needs_no_bias(run_weights, data, tmp_path):
    model = load_model(run_weights)
    model.clip_class.bias.data -= 16.0
    silent = save_weights(tmp_path / "silent", model, run_weights.config, {})
    assert noise_bias(silent, [data / "background/place00.wav"]) == 0.0


def test_calibration_without_a_background_is_refused(run_weights):
    with pytest.raises(DataError, match="no bird-free background"):
        noise_bias(run_weights, [])


@pytest.mark.parametrize(
    ("licences", "terms"),
    [
        ("CC BY 4.0 (40); CC0 1.0 (3)", "keep to the licences of the recordings: CC BY 4.0 (40); CC0 1.0 (3)."),
        ("CC BY 4.0 (40); CC BY-NC-SA 3.0 (3)", "non-commercial use only, as .*: CC BY 4.0 (40); CC BY-NC-SA 3.0 (3)."),
        ("CC BY 4.0 (40); unstated (3)", "non-commercial use only, as .*: CC BY 4.0 (40); unstated (3)."),
        ("unknown (30); unstated (13)", "the recordings' licences are unstated: treat them as for non-commercial"),
        (None, "the recordings' licences are unstated: treat them as for non-commercial"),
    ],
)
def test_the_card_says_what_the_recordings_licences_ask(licences, terms):
    name = ClassName(code="alpha", common="Alpha", scientific="Avis alpha")
    config = ModelConfig(architecture="bulbul", class_names=(name,), window_seconds=5.0, features=MEL_BIRDNET)
    found = _licence(config, {"licences": licences} if licences else {})
    assert re.search(re.escape(terms).replace(r"\.\*", ".*"), found), found
    assert ("non-commercial" in found) == ("non-commercial" in terms)
    taught = _licence(config, {"licences": "CC0 1.0 (3)", "teacher": "birdnet: BirdNET V2.4"})
    assert "share the licence of the model that taught them" in taught


@pytest.mark.parametrize("architecture", ["crnn", "ensemble"])
def test_what_stands_on_birdnets_trunk_shares_its_licence(architecture):
    options = {"trunk": "birdnet"}
    if architecture == "ensemble":
        options = {"architecture": "crnn", "members": 2, "options": options}
    name = ClassName(code="alpha", common="Alpha", scientific="Avis alpha")
    config = ModelConfig(
        architecture=architecture, class_names=(name,), window_seconds=5.0, features=MEL_BIRDNET, options=options
    )
    assert "share its licence, CC BY-NC-SA 4.0" in _licence(config, {})
    plain = dataclasses.replace(config, architecture="bulbul", options={})
    assert "BirdNET" not in _licence(plain, {})
