"""``python -m birdcore models add``, from words to a folder."""

import json
import shutil

import pytest

from birdcore.__main__ import main
from birdcore.models.checkpoint import find_weights


@pytest.fixture
def download(shared_data, tmp_path, monkeypatch):
    """YAMNet as it was downloaded; weights go into an empty folder."""
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path / "weights"))
    models = shared_data.parent / "models"
    shutil.copy(models / "yamnet.tflite", tmp_path)
    shutil.copy(models / "yamnet_class_map.csv", tmp_path)
    return tmp_path / "yamnet.tflite", tmp_path / "yamnet_class_map.csv"


def add(file, labels, *options):
    return main(["models", "add", str(file), "--labels", str(labels), *options])


def test_a_preset_makes_a_download_a_model_like_any_other(download, capsys):
    assert add(*download, "--preset", "yamnet") == 0
    shown = capsys.readouterr().out
    assert "521 classes, windows of 0.975 s" in shown and "Apache 2.0" in shown
    weights = find_weights("yamnet")
    assert weights.config.embedding and len(weights.facts["sha256"]) == 64
    assert main(["models"]) == 0
    assert "made by others. Model: Apache 2.0" in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["weights"]
    assert listed["name"] == "yamnet" and len(listed["model"]["class_names"]) == 521


def test_a_name_is_taken_once(download, capsys):
    assert add(*download, "--preset", "yamnet", "--name", "sounds") == 0
    assert add(*download, "--preset", "yamnet", "--name", "sounds") == 2
    assert "is there already; choose another --name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--sample-rate and --window: say both, or name a preset"),
        (("--preset", "perch"), "a window of 5 s at 32000 Hz has 160000 samples"),
        (("--preset", "yamnet", "--name", "../yamnet"), "use small letters"),
        (("--preset", "yamnet", "--sample-rate", "48000"), "check sample_rate and window_seconds"),
    ],
)
def test_what_does_not_fit_is_told_and_leaves_nothing_behind(download, tmp_path, capsys, options, message):
    assert add(*download, *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "weights").exists() or not list((tmp_path / "weights").iterdir())


def test_a_labels_file_of_another_length_is_told(download, capsys):
    file, labels = download
    labels.write_text("\n".join(labels.read_text().splitlines()[:-1]) + "\n")
    assert add(file, labels, "--preset", "yamnet") == 2
    assert "no output of the 520 classes in the labels file" in capsys.readouterr().err


def test_an_embedding_of_another_name_is_no_obstacle(download, capsys):
    assert add(*download, "--preset", "yamnet", "--embedding", "pooled") == 0
    assert "no custom classifier can be made on it" in capsys.readouterr().out
    assert find_weights("yamnet").config.embedding == ""


def test_missing_and_foreign_files_are_told(download, tmp_path, capsys):
    assert add(tmp_path / "no.tflite", download[1], "--preset", "yamnet") == 2
    assert "no such file" in capsys.readouterr().err
    assert add(download[1], download[1], "--preset", "yamnet") == 2
    assert "must end in .tflite or .onnx" in capsys.readouterr().err
