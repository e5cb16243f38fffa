"""``python -m birdcore classifier``, from words to a classifier on YAMNet's embedding of real recordings."""

import csv
import shutil

import pytest

from birdcore.__main__ import main
from birdcore.models.checkpoint import find_weights


@pytest.fixture
def yamnet(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("BIRDCORE_WEIGHTS", str(tmp_path / "weights"))
    folder = tmp_path / "weights" / "yamnet"
    folder.mkdir(parents=True)
    for name in ("yamnet.tflite", "yamnet_class_map.csv"):
        shutil.copy(shared_data.parent / "models" / name, folder)
    (folder / "outside.toml").write_text('preset = "yamnet"')
    return folder


@pytest.fixture
def clips(shared_data, tmp_path):
    """The shortest recordings of two species, one folder each."""
    with (shared_data / "manifest.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["duration_s"]))
    for code in ("mallar3", "grrwar1"):
        folder = tmp_path / "clips" / code
        folder.mkdir(parents=True)
        for row in [row for row in rows if row["species_code"] == code][:4]:
            shutil.copy(shared_data / row["path"], folder)
    return tmp_path / "clips"


def test_clips_become_a_classifier_with_an_honest_estimate(yamnet, clips, capsys):
    assert main(["classifier", str(clips), "--weights", "yamnet", "--out", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "mine: 2 classes from 8 clips" in shown and "linear, on yamnet" in shown
    assert "top-1, cross-validated:" in shown and "95 % interval" in shown
    assert "Few recordings" in shown
    weights = find_weights("mine")
    assert (weights.config.base, weights.config.embedding_size) == ("yamnet", 1024)


def test_other_weights_are_not_overwritten(yamnet, clips, capsys):
    assert main(["classifier", str(clips), "--weights", "yamnet", "--out", "yamnet"]) == 2
    assert "is the name of other weights" in capsys.readouterr().err


def test_a_name_with_folders_is_refused(yamnet, clips, capsys):
    assert main(["classifier", str(clips), "--weights", "yamnet", "--out", "a/b"]) == 2
    assert "use small letters" in capsys.readouterr().err
