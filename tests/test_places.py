"""Places: read from the environment at each call, and recordings are opened from configured folders only."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdcore import places
from birdcore.errors import ConfigError, DataError
from birdcore.places import slug


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data root with one recording in it, and no other folder to open recordings from."""
    root = tmp_path / "data"
    (root / "clips").mkdir(parents=True)
    (root / "clips" / "wren.ogg").write_bytes(b"OggS")
    monkeypatch.setenv("BIRDCORE_DATA", str(root))
    monkeypatch.delenv("BIRDCORE_RECORDINGS", raising=False)
    return root.resolve()


def test_the_project_root_holds_the_package():
    assert (places.project_root() / "birdcore" / "places.py").is_file()


@pytest.mark.parametrize(
    ("variable", "place", "default"),
    [
        ("BIRDCORE_DATA", places.data_root, "data"),
        ("BIRDCORE_RUNS", places.runs_root, "runs"),
        ("BIRDCORE_WEIGHTS", places.weights_root, "weights"),
    ],
)
def test_a_place_is_named_by_its_variable_or_lies_in_the_project(variable, place, default, monkeypatch, tmp_path):
    monkeypatch.setenv(variable, str(tmp_path))
    assert place() == tmp_path.resolve()
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv(variable)
        else:
            monkeypatch.setenv(variable, unset)
        assert place() == places.project_root() / default


def test_the_cache_lies_outside_the_project_by_default(monkeypatch):
    monkeypatch.delenv("BIRDCORE_CACHE")
    assert places.cache_root() == Path.home().resolve() / ".cache" / "birdcore"


def test_several_recording_folders_are_separated_like_path(data, monkeypatch, tmp_path):
    monkeypatch.setenv("BIRDCORE_RECORDINGS", os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")]))
    assert places.recording_roots() == [(tmp_path / "a").resolve(), (tmp_path / "b").resolve(), data]


@pytest.mark.parametrize("absolute", [True, False])
def test_a_recording_in_a_configured_folder_is_found(data, absolute):
    path = data / "clips" / "wren.ogg"
    assert places.resolve_recording(path if absolute else "clips/wren.ogg") == path


@pytest.mark.parametrize("path", ["../secret.ogg", "clips/../../secret.ogg", "clips/missing.ogg", "/etc/hostname"])
def test_a_recording_elsewhere_is_refused(data, path):
    (data.parent / "secret.ogg").write_bytes(b"OggS")
    with pytest.raises(DataError, match="BIRDCORE_RECORDINGS"):
        places.resolve_recording(path)


@pytest.mark.parametrize("path", ["x" * 300, "clips/" + "x" * 300, "/" + "x/" * 3000, "wren\0.ogg", "ring.ogg"])
def test_a_name_that_no_file_can_have_is_not_found(data, path):
    (data / "ring.ogg").symlink_to(data / "ring.ogg")
    with pytest.raises(DataError, match="not found in the folders"):
        places.resolve_recording(path)


def test_a_link_that_leads_outside_is_refused(data):
    secret = data.parent / "secret.ogg"
    secret.write_bytes(b"OggS")
    (data / "clips" / "link.ogg").symlink_to(secret)
    with pytest.raises(DataError, match=r"link\.ogg: not found in the folders"):
        places.resolve_recording("clips/link.ogg")


def test_a_folder_whose_name_merely_begins_alike_is_refused(data):
    neighbour = data.with_name("data-private")
    neighbour.mkdir()
    (neighbour / "x.ogg").write_bytes(b"OggS")
    with pytest.raises(DataError):
        places.resolve_recording(neighbour / "x.ogg")


@given(st.text())
def test_a_slug_is_a_plain_folder_name_or_nothing(text):
    name = slug(text)
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", name)
    assert len(name) <= 60
    assert slug(name) == name


def test_slugs_keep_what_can_be_read():
    assert slug("Réseau no. 2 / ../night") == "reseau-no-2-night"
    assert slug("../../etc") == "etc"
    assert slug("鳥") == ""


@pytest.mark.parametrize("name", ["", "../up", "Big", ".hidden", "-dash", "a b", "a" * 61, "tit\n"])
def test_a_name_that_is_no_plain_word_is_refused(name):
    with pytest.raises(ConfigError, match="use small letters"):
        places.check_weights_name(name)
