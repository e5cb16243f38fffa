from concurrent.futures import ThreadPoolExecutor

import pytest

from birdcore.config import MEL_YAMNET_WIDE, ClassName, ModelConfig
from birdcore.errors import RunError, WeightsError
from birdcore.locks import exclusive_lock
from birdcore.models import versions
from birdcore.models.checkpoint import find_weights, list_weights, save_weights
from birdcore.models.registry import build_model
from birdcore.models.versions import finish_installations, install_weights, list_versions, restore_version


@pytest.fixture(scope="module")
def network():
    config = ModelConfig(
        architecture="crnn",
        class_names=(ClassName(code="alpha", common="Alpha", scientific=""),),
        window_seconds=1.0,
        features=MEL_YAMNET_WIDE,
        options={"width": 16, "hidden": 8},
    )
    return build_model(config), config


@pytest.fixture
def drafts(network, tmp_path):
    """Three folders of weights that differ in what they say of themselves."""
    return [save_weights(tmp_path / "drafts" / name, *network, {"summary": name}).path for name in ("a", "b", "c")]


def summary(folder):
    return find_weights(folder).facts["summary"]


def test_what_is_replaced_becomes_a_version_that_can_come_back(drafts, tmp_path):
    folder = tmp_path / "weights" / "bird"
    for draft in drafts:
        install_weights(draft, folder)
    assert summary(folder) == "c"
    earlier = list_versions(folder)
    assert [version.weights.facts["summary"] for version in earlier] == ["b", "a"]
    assert restore_version(folder, earlier[1].name).facts["summary"] == "a"
    assert summary(folder) == "a"
    assert [version.weights.facts["summary"] for version in list_versions(folder)] == ["c", "b"]
    assert [weights.name for weights in list_weights(folder.parent)] == ["bird"]  # versions are not offered as models


def test_two_cannot_replace_the_same_weights_at_a_time(drafts, tmp_path, monkeypatch):
    folder = tmp_path / "weights" / "bird"
    install_weights(drafts[0], folder)
    install_weights(drafts[1], folder)
    (version,) = list_versions(folder)
    monkeypatch.setattr(versions, "LONGEST_WAIT_SECONDS", 0.1)
    with exclusive_lock(folder.with_name(".bird.lock"), timeout_seconds=1.0, refusal=""):
        with pytest.raises(RunError, match="somebody else is replacing them"):
            restore_version(folder, version.name)
        with pytest.raises(RunError, match="somebody else is replacing them"):
            install_weights(drafts[2], folder)
    assert summary(folder) == "b" and len(list_versions(folder)) == 1


def test_two_that_restore_the_same_version_at_once_leave_it_whole(drafts, tmp_path):
    folder = tmp_path / "weights" / "bird"
    install_weights(drafts[0], folder)
    install_weights(drafts[1], folder)
    (version,) = list_versions(folder)
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(restore_version, folder, version.name) for _ in range(2)]
    errors = [type(restoring.exception()) for restoring in found]
    assert sorted(errors, key=str) == [type(None), WeightsError]
    assert summary(folder) == "a" and [entry.weights.facts["summary"] for entry in list_versions(folder)] == ["b"]


def test_a_draft_that_is_no_weights_replaces_nothing(drafts, tmp_path):
    folder = tmp_path / "weights" / "bird"
    install_weights(drafts[0], folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="not found"):
        install_weights(tmp_path / "empty", folder)
    assert summary(folder) == "a" and list_versions(folder) == []


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_an_installation_cut_off_at_any_rename_leaves_whole_weights(drafts, tmp_path, monkeypatch, renames):
    folder = tmp_path / "weights" / "bird"
    install_weights(drafts[0], folder)
    rename, left = versions.os.rename, [renames]

    def cut_off(*paths):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        rename(*paths)

    monkeypatch.setattr(versions.os, "rename", cut_off)
    with pytest.raises(KeyboardInterrupt):
        install_weights(drafts[1], folder)
    monkeypatch.undo()
    finish_installations(folder.parent)
    assert summary(folder) == ("b" if renames == 2 else "a")
    install_weights(drafts[2], folder)
    assert summary(folder) == "c"


def test_an_unknown_version_is_refused_by_name(drafts, tmp_path):
    folder = tmp_path / "weights" / "bird"
    install_weights(drafts[0], folder)
    with pytest.raises(WeightsError, match="no earlier version '19700101-000000'; there are: none"):
        restore_version(folder, "19700101-000000")
