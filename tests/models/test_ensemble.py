import numpy as np
import pytest
import torch

from birdcore.errors import ConfigError
from birdcore.inference.engine import OnnxEngine, TorchEngine
from birdcore.models.checkpoint import load_model, save_weights
from birdcore.models.ensemble import member_config
from birdcore.models.registry import build_model, naming_layer

CRNN = {"architecture": "crnn", "members": 3, "options": {"width": 16, "hidden": 8}}


def test_an_ensemble_gives_the_mean_log_odds_of_its_members(config_of, pictures):
    torch.manual_seed(0)
    config = config_of("ensemble", features=config_of("crnn").features, options=CRNN)
    model = build_model(config).eval()
    picture = pictures(config)
    with torch.inference_mode():
        outputs = [member(picture) for member in model.members]
        output = model(picture)
    assert len(outputs) == 3 and model.frame_stride == 4
    for name in ("clip", "frames", "bands"):
        expected = torch.stack([getattr(member, name) for member in outputs]).mean(dim=0)
        assert torch.allclose(getattr(output, name), expected)
    assert not torch.allclose(outputs[0].clip, outputs[1].clip)


def test_a_network_put_into_an_ensemble_answers_alone(config_of, pictures):
    config = config_of("ensemble", options={"architecture": "mobilenet_v2", "members": 1})
    model = build_model(config).eval()
    alone = build_model(member_config(config)).eval()
    model.members[0].load_state_dict(alone.state_dict())
    with torch.inference_mode():
        assert torch.equal(model(pictures(config)).clip, alone(pictures(config)).clip)


def test_an_ensemble_is_saved_and_exported(config_of, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("BIRDCORE_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    config = config_of("ensemble")
    model = build_model(config).eval()
    weights = save_weights(tmp_path / "folds", model, config, {})
    loaded = load_model(weights).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in model.state_dict().items())
    exported, original = OnnxEngine(weights), TorchEngine(weights)
    for batch in (1, 3):
        picture = pictures(config, batch=batch).numpy()
        assert np.abs(exported(picture).clip - original(picture).clip).max() < 1e-3


def test_no_member_names_species_for_all(config_of):
    config = config_of("ensemble")
    assert naming_layer(build_model(config), config.num_outputs) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "ensemble"}, "must not be ensembles"),
        ({"members": 0}, "members = 0: must be at least 1"),
        ({"architecture": "wavenet"}, "'wavenet': unknown"),
        ({"architecture": "mobilenet_v2", "options": {"depth": 1}}, "mobilenet_v2: unknown option 'depth'"),
    ],
)
def test_wrong_options_are_refused(options, message, config_of):
    with pytest.raises(ConfigError, match=message):
        build_model(config_of("ensemble", options=options))
