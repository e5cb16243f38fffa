"""Sets of soundscapes: what is written reads back, and comes from the part of the data set that was asked for."""

import csv
import json

import numpy as np
import pytest
import soundfile

from birdcore.config import from_dict
from birdcore.data.ambience import synthesize_background
from birdcore.data.readers import read_dataset
from birdcore.data.readers.zenodo import ANNOTATION_COLUMNS
from birdcore.data.songs import synthesize_call
from birdcore.data.soundscape import SoundscapeConfig
from birdcore.data.soundscape_set import SoundscapeSources, write_soundscapes
from birdcore.errors import AudioError, ConfigError, DataError

SAMPLE_RATE = 16_000
SYNTHETIC = SoundscapeSources(calls="synthetic", synthetic_background=True)


def make_config(**changes):
    settings = dict(
        duration=5.0, sample_rate=SAMPLE_RATE, num_events=(1, 2), speech_probability=0.0, rain_probability=0.0
    )
    return SoundscapeConfig(**{**settings, **changes})


def synthetic(*species):
    return SoundscapeSources(calls="synthetic", synthetic_background=True, species=species)


def read_table(directory):
    with (directory / "annotations.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("audio_format", ["flac", "wav"])
def test_written_soundscapes_and_boxes_read_back(tmp_path, audio_format):
    config, sources = make_config(num_events=(1, 3), rain_probability=0.5), synthetic("gretit1", "houspa")
    done = []
    paths = write_soundscapes(
        tmp_path / "mixes",
        count=3,
        config=config,
        sources=sources,
        seed=1,
        audio_format=audio_format,
        progress=lambda *so_far: done.append(so_far),
    )
    assert [path.name for path in paths] == [f"soundscape_000{i}.{audio_format}" for i in range(3)]
    assert done == [(1, 3), (2, 3), (3, 3)]
    for path in paths:
        samples, sample_rate = soundfile.read(path)
        assert samples.shape == (80_000,) and sample_rate == SAMPLE_RATE
        assert 0 < np.abs(samples).max() <= 0.951

    header, *rows = read_table(tmp_path / "mixes")
    assert tuple(header) == ANNOTATION_COLUMNS
    manifest = json.loads((tmp_path / "mixes" / "manifest.json").read_text())
    assert manifest["seed"] == 1
    assert from_dict(SoundscapeConfig, manifest["config"]) == config
    assert from_dict(SoundscapeSources, manifest["sources"]) == sources
    placed = [(mixed["filename"], call) for mixed in manifest["soundscapes"] for call in mixed["calls"]]
    assert len(rows) == len(placed) >= 3
    for row, (filename, call) in zip(rows, placed, strict=True):
        event = call["event"]
        assert row[0] == filename
        assert [float(value) for value in row[1:3]] == pytest.approx([event["onset"], event["offset"]], abs=1e-6)
        assert [float(value) for value in row[3:5]] == pytest.approx([event["fmin"], event["fmax"]], abs=0.01)
        assert row[5] == event["label"] in {"gretit1", "houspa"}
        assert call["source"].startswith("synthesised")

    dataset = read_dataset(tmp_path / "mixes")
    assert dataset.data_format == "zenodo" and dataset.problems == []
    assert sum(len(annotated.events) for annotated in dataset.annotated) == len(rows)


def test_the_same_seed_writes_the_same_files_however_many_follow(tmp_path):
    config, sources = make_config(duration=4.0), synthetic("houspa")
    two, three, other = (
        write_soundscapes(tmp_path / f"{count}-{seed}", count=count, config=config, sources=sources, seed=seed)
        for count, seed in ((2, 7), (3, 7), (2, 8))
    )
    assert [path.read_bytes() for path in two] == [path.read_bytes() for path in three[:2]]
    assert two[0].read_bytes() != two[1].read_bytes()
    assert two[0].read_bytes() != other[0].read_bytes()


def test_soundscapes_are_not_written_beside_others(tmp_path):
    config = make_config(duration=2.0, num_events=(0, 0))
    write_soundscapes(tmp_path, count=1, config=config, sources=SYNTHETIC, seed=0)
    assert read_table(tmp_path) == [list(ANNOTATION_COLUMNS)]
    with pytest.raises(DataError, match="is not an empty folder"):
        write_soundscapes(tmp_path, count=1, config=config, sources=SYNTHETIC, seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "count = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"audio_format": "mp3"}, "audio_format = 'mp3'"),
        ({"sources": synthetic("dodo")}, "'dodo': no such song"),
    ],
)
def test_impossible_orders_are_refused_before_anything_is_written(tmp_path, changes, message):
    order = dict(count=1, config=make_config(), sources=SYNTHETIC, seed=0) | changes
    with pytest.raises(ConfigError, match=message):
        write_soundscapes(tmp_path / "mixes", **order)
    assert not (tmp_path / "mixes").exists()


@pytest.mark.parametrize(
    ("changes", "message"), [({"calls": "loud"}, "calls = 'loud'"), ({"split": "dev"}, "split = 'dev'")]
)
def test_impossible_sources_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        SoundscapeSources(**changes)


@pytest.fixture
def data_folder(tmp_path):
    """A tiny data folder: two isolated calls (train, test), one drawn box, and backgrounds with and without birds."""
    root = tmp_path / "data"
    for name in ("strong", "background/bg", "clips"):
        (root / name).mkdir(parents=True)
    boxes = ["filename,start_s,end_s,low_hz,high_hz,species_code,label_kind,split"]
    recordings = ["path,species_code,split,kind"]
    for index, (label, split, kind) in enumerate(
        [
            ("gretit1", "train", "isolated call placed at a known time"),
            ("houspa", "test", "isolated call placed at a known time"),
            ("eurbla", "", "hand boxes (Audacity, all species in the file)"),
        ]
    ):
        call = synthesize_call(label, sample_rate=SAMPLE_RATE, generator=np.random.default_rng(index))
        samples = np.concatenate([np.zeros(SAMPLE_RATE // 2), call.samples, np.zeros(SAMPLE_RATE)])
        if label == "eurbla":  # with another bird above it
            samples += 0.3 * np.sin(2 * np.pi * 7500 * np.arange(samples.size) / SAMPLE_RATE)
        soundfile.write(root / "clips" / f"{label}.wav", samples, SAMPLE_RATE)
        onset, offset = 0.5 + call.onset, 0.5 + call.offset
        boxes.append(
            f'../clips/{label}.wav,{onset:.4f},{offset:.4f},{call.fmin:.0f},{call.fmax:.0f},{label},"{kind}",{split}'
        )
        recordings.append(f"clips/{label}.wav,{label},{split},{'isolated' if 'isolated' in kind else 'field'}")
    (root / "strong" / "annotations.csv").write_text("\n".join(boxes) + "\n")
    (root / "manifest.csv").write_text("\n".join(recordings) + "\n")
    rows = ["path,kind,has_bird"]
    for index, has_bird in enumerate("0" * 18 + "1?"):
        path = f"background/bg/place{index // 2}-{index % 2:02d}-{index:06x}.wav"  # two cuts of each place
        background = synthesize_background(
            {"air": -40.0, "wind": -35.0}, 2.0, sample_rate=SAMPLE_RATE, generator=np.random.default_rng([index, 1])
        )
        soundfile.write(root / path, background, SAMPLE_RATE)
        rows.append(f"{path},field,{has_bird}")
    (root / "background" / "background.csv").write_text("\n".join(rows) + "\n")
    return root


def mix(data_folder, directory, *, count=6, config=None, **sources):
    """The manifest of a set."""
    write_soundscapes(
        directory,
        count=count,
        config=config or make_config(),
        sources=SoundscapeSources(**sources),
        seed=3,
        dataset=read_dataset(data_folder),
    )
    return json.loads((directory / "manifest.json").read_text())


def placed(manifest):
    return [call for mixed in manifest["soundscapes"] for call in mixed["calls"]]


def test_isolated_calls_and_backgrounds_of_one_split_are_mixed_and_named(data_folder, tmp_path):
    used = {}
    for split in ("train", "test"):
        manifest = mix(data_folder, tmp_path / split, count=12, split=split)
        used[split] = {mixed["background"] for mixed in manifest["soundscapes"]}
        assert {call["event"]["label"] for call in placed(manifest)} == {{"train": "gretit1", "test": "houspa"}[split]}
        assert str(data_folder) not in json.dumps(manifest)
    places = {split: {name.split("-")[0] for name in names} for split, names in used.items()}
    assert places["train"] and places["test"] and not places["train"] & places["test"]
    assert not any("place9" in name for name in used["train"] | used["test"])  # with birds, or nobody knows


def test_an_isolated_call_is_cut_at_its_box(data_folder, tmp_path):
    [call, *_] = placed(mix(data_folder, tmp_path / "mixes", synthetic_background=True))
    original = synthesize_call("gretit1", sample_rate=SAMPLE_RATE, generator=np.random.default_rng(0))
    assert call["source"].startswith("clips/gretit1.wav 0.5")
    event = call["event"]
    assert event["offset"] - event["onset"] == pytest.approx(original.offset - original.onset, rel=0.15)
    assert [event["fmin"], event["fmax"]] == pytest.approx([original.fmin, original.fmax], rel=0.1)


def test_of_a_boxed_call_only_its_band_is_placed(data_folder, tmp_path):
    manifest = mix(data_folder, tmp_path / "mixes", calls="boxes", species=("eurbla",), synthetic_background=True)
    assert placed(manifest) and max(call["event"]["fmax"] for call in placed(manifest)) < 7400


def test_whole_recordings_are_placed_as_calls(data_folder, tmp_path):
    manifest = mix(data_folder, tmp_path / "mixes", count=8, calls="recordings", synthetic_background=True)
    assert {call["event"]["label"] for call in placed(manifest)} == {"gretit1", "eurbla"}


def test_what_a_data_set_lacks_is_named(data_folder, tmp_path):
    with pytest.raises(DataError, match="no calls of kind 'isolated' of houspa in split 'train'"):
        mix(data_folder, tmp_path / "mixes", species=("houspa",))
    (data_folder / "background/background.csv").unlink()
    with pytest.raises(DataError, match="no bird-free background in split 'train'; use synthetic"):
        mix(data_folder, tmp_path / "mixes")
    soundfile.write(data_folder / "clips/gretit1.wav", np.zeros(5 * SAMPLE_RATE), SAMPLE_RATE)
    with pytest.raises(AudioError, match=r"clips/gretit1\.wav 0\.5.* is silent"):
        mix(data_folder, tmp_path / "mixes", synthetic_background=True)
    assert not (tmp_path / "mixes").exists()


def test_soundscapes_are_mixed_from_the_real_isolated_calls(shared_data, tmp_path):
    species = ("eurbla", "mallar3", "rinphe1")
    manifest = mix(
        shared_data,
        tmp_path / "mixes",
        count=2,
        config=SoundscapeConfig(duration=10.0, num_events=(3, 3), snr_db=(20.0, 20.0), speech_probability=1.0),
        split="test",
        species=species,
    )
    assert {call["event"]["label"] for call in placed(manifest)} <= set(species)
    for call in placed(manifest):
        event = call["event"]
        assert 0 <= event["onset"] < event["offset"] <= 10
        assert 100 < event["fmin"] < event["fmax"] < 12_000
