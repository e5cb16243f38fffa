import dataclasses
import logging

import numpy as np
import pytest

from birdcore.errors import WeightsError
from birdcore.inference.engine import OnnxEngine, TorchEngine, example_pictures, make_engine
from birdcore.models.checkpoint import find_weights


@pytest.fixture
def weights(weights_folder, tmp_path, monkeypatch):
    """The efficientnet of the other tests, with an empty cache of engines."""
    monkeypatch.setenv("BIRDCORE_CACHE", str(tmp_path / "cache"))
    return find_weights(weights_folder / "efficientnet_b0")


def test_an_engine_is_exported_once_and_gives_torchs_answers(weights):
    pictures = example_pictures(weights, batch=2)
    first = OnnxEngine(weights)
    written = first.file.stat().st_mtime_ns
    assert OnnxEngine(weights).file.stat().st_mtime_ns == written
    assert [path.name for path in first.file.parent.iterdir()] == [first.file.name]
    assert np.allclose(first(pictures).clip, TorchEngine(weights)(pictures).clip, atol=1e-3)


@pytest.mark.parametrize("left", [0, 1000])
def test_a_damaged_engine_in_the_cache_is_exported_once_more(weights, left, caplog):
    pictures = example_pictures(weights, batch=1)
    before = OnnxEngine(weights)
    content = before.file.read_bytes()
    before.file.write_bytes(content[:left])
    with caplog.at_level(logging.WARNING):
        after = OnnxEngine(weights)
    assert np.array_equal(after(pictures).clip, before(pictures).clip)
    assert "exporting the network once more" in caplog.text and after.file.stat().st_size == len(content)


def test_weights_without_a_recorded_checksum_have_an_engine_each(weights, tmp_path):
    facts = {key: value for key, value in weights.facts.items() if key != "sha256"}
    ours = dataclasses.replace(weights, facts=facts)
    engine = OnnxEngine(ours)
    other = tmp_path / "other"
    other.mkdir()
    (other / ours.file.name).write_bytes(ours.file.read_bytes()[:-100])
    with pytest.raises(WeightsError):
        OnnxEngine(dataclasses.replace(ours, file=other / ours.file.name))
    assert engine.file.is_file()


def test_tensors_that_are_not_those_of_the_checksum_are_refused_though_an_engine_is_cached(weights, tmp_path):
    OnnxEngine(weights)
    other = tmp_path / "other"
    other.mkdir()
    (other / weights.file.name).write_bytes(weights.file.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="does not match its checksum"):
        make_engine(dataclasses.replace(weights, file=other / weights.file.name), "onnx")
