import dataclasses

import numpy as np
import pytest
import soundfile

from birdcore.config import MEL_YAMNET_WIDE, TrainConfig
from birdcore.data.audit import audit_dataset
from birdcore.data.feature_cache import FeatureCache
from birdcore.data.readers import read_dataset
from birdcore.data.readiness import find_obstacles
from birdcore.data.splits import deal_folds
from birdcore.data.windows import TargetGrid, WindowMaker
from birdcore.errors import DataError
from birdcore.features.mel import MelSpectrogram
from birdcore.training.sources import collect_training_data
from birdcore.training.validation import reference_of

CONFIG = TrainConfig(architecture="crnn", features="yamnet_wide", window_seconds=1.0, num_folds=2)
HEADER = "Filename,Start Time (s),End Time (s),Low Freq (Hz),High Freq (Hz),Species eBird Code\n"
FILES = tuple(f"PER_00{n}_S0{n}_20190116_100007Z.flac" for n in (1, 2))


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(MelSpectrogram(MEL_YAMNET_WIDE), root=tmp_path / "cache")


def write_sound(path, seconds=1.0, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, round(16_000 * seconds)), 16_000)


@pytest.fixture
def soundscapes(tmp_path):
    """Two sites; in each a short call, a chorus of fifteen seconds, and an unknown bird."""
    folder = tmp_path / "data"
    rows = ""
    for number, name in enumerate(FILES):
        write_sound(folder / "soundscape_data" / name, seconds=24.0, seed=number)
        rows += f"{name},1.0,1.5,1000,2000,blfant1\n{name},4.5,19.5,3000,5000,undtin1\n{name},20.5,21,2000,3000,????\n"
    (folder / "annotations.csv").write_text(HEADER + rows)
    return folder


def test_damaged_recordings_are_counted(soundscapes, cache):
    path = soundscapes / "soundscape_data" / FILES[1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    data = collect_training_data(dataclasses.replace(CONFIG, data_format="zenodo"), soundscapes, cache)
    assert data.failures == {}
    assert data.provenance["damaged_recordings"] == 1


def test_boxes_alone_train_and_validate(soundscapes, cache):
    config = dataclasses.replace(CONFIG, data_format="zenodo")
    data = collect_training_data(config, soundscapes, cache)
    assert [name.code for name in data.class_names] == ["blfant1", "undtin1"]
    assert data.weak == [] and len(data.strong) == 1
    (source,) = data.strong
    assert isinstance(source.mel, np.memmap)
    # The chorus is capped; unknown birds are not looked for.
    assert sorted(e.duration for e in source.events) == pytest.approx([0.5, 0.5, 7.5, 7.5])
    assert source.event_probabilities.tolist() == pytest.approx([0.4142, 0.2929, 0.2929, 0.0], abs=1e-4)
    assert data.provenance["capped_boxes"] == 1

    # Segments of four windows: silence and the call; the chorus; … and the last, of the unknown bird only, left out.
    assert [(r.label, len(mel)) for r, mel in data.validation] == [
        ("blfant1", 400),
        ("undtin1", 400),
        ("undtin1", 400),
        ("undtin1", 400),
        ("undtin1", 400),
    ]
    assert all(isinstance(mel, np.memmap) for _, mel in data.validation)
    assert reference_of(data).sum(axis=0).tolist() == [1.0, 4.0]


def test_a_site_is_never_on_both_sides(soundscapes, cache):
    held_out = [
        {
            r.site
            for r, _ in collect_training_data(
                dataclasses.replace(CONFIG, data_format="zenodo", fold=fold), soundscapes, cache
            ).validation
        }
        for fold in (0, 1)
    ]
    assert sorted(map(sorted, held_out)) == [["S01"], ["S02"]]


def test_the_check_before_the_start_sees_the_folds_that_are_trained(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("BIRDCORE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    rows = ""
    # Two species with as many boxes each, and recordings in which no bird could be named.
    for number, labels in enumerate((["a", "b", "?"], ["b"], ["a"], ["?"], ["b", "a"], ["?", "?"])):
        for site in range(number + 1):
            name = f"PER_{number}{site}1_S{number}{site}_20190116_100007Z.flac"
            write_sound(folder / "soundscape_data" / name, seconds=4.0, seed=10 * number + site)
            for onset, label in enumerate(labels):
                rows += f"{name},{onset},{onset + 0.5},1000,2000,{label.replace('?', '????')}\n"
    (folder / "annotations.csv").write_text(HEADER + rows)
    dealt = {}
    for module in ("birdcore.data.readiness", "birdcore.training.sources"):

        def note(recordings, module=module, **settings):
            folds = deal_folds(recordings, **settings)
            dealt[module] = {r.path: fold for r, fold in zip(recordings, folds, strict=True)}
            return folds

        monkeypatch.setattr(f"{module}.deal_folds", note)
    config = dataclasses.replace(CONFIG, data_format="zenodo")
    collect_training_data(config, folder, cache)
    assert find_obstacles(audit_dataset(read_dataset(folder, data_format="zenodo"), folder), config) == []
    assert len(dealt["birdcore.training.sources"]) == 21
    assert dealt["birdcore.data.readiness"] == dealt["birdcore.training.sources"]


def test_more_folds_than_sites_is_an_error_with_a_remedy(soundscapes, cache):
    config = dataclasses.replace(CONFIG, data_format="zenodo", num_folds=5, fold=4)
    with pytest.raises(DataError, match=r"fold 4 of 5 leaves nothing to validate on; .* 2 groups .* use fewer folds"):
        collect_training_data(config, soundscapes, cache)


def test_windows_of_boxes_alone_hold_their_species(soundscapes, cache):
    config = dataclasses.replace(CONFIG, data_format="zenodo", fold=-1, mixup=0.0, noise=0.0)
    data = collect_training_data(config, soundscapes, cache)
    assert len(data.strong) == 2 and data.validation == []
    grid = TargetGrid.make(features=MEL_YAMNET_WIDE, window_seconds=1.0, frame_stride=4, num_bands=20)
    codes = tuple(name.code for name in data.class_names)
    maker = WindowMaker(config, MEL_YAMNET_WIDE, grid, codes, 2, data.weak, strong=data.strong)
    windows = maker.batch(epoch=0, indices=range(32))
    assert 0.2 < windows.clip[:, 0].mean() < 0.6 and windows.clip.sum(axis=1).min() > 0


def test_long_boxes_beside_labels_are_capped_too(tmp_path, cache):
    folder = tmp_path / "data"
    rows = "path,species_code,split\n"
    for number in range(4):
        write_sound(folder / f"{number}.wav", seconds=24.0, seed=number)
        rows += f"{number}.wav,gretit1,train\n"
    (folder / "manifest.csv").write_text(rows)
    (folder / "strong").mkdir()
    (folder / "strong" / "annotations.csv").write_text(
        "filename,start_s,end_s,low_hz,high_hz,species_code,label_kind,split\n"
        "../0.wav,1,1.5,1000,2000,gretit1,isolated,train\n../0.wav,4.5,19.5,3000,5000,gretit1,isolated,train\n"
    )
    config = dataclasses.replace(CONFIG, extra_manifest="", background="", strong="strong/annotations.csv", fold=-1)
    data = collect_training_data(config, folder, cache)
    (source,) = data.strong
    assert [e.duration for e in source.events] == [0.5, 7.5, 7.5]
    assert data.provenance["annotated_boxes"] == 2
    assert data.provenance["capped_boxes"] == 1


@pytest.fixture
def birdclef(tmp_path):
    folder = tmp_path / "data"
    columns = (
        "primary_label,secondary_labels,type,filename,collection,rating,url,latitude,longitude,scientific_name,"
        "common_name,author,license\n"
    )
    rows = ""
    for number in range(16):
        label = ("greegr", "roahaw")[number % 2]
        write_sound(folder / "train_audio" / label / f"XC{number}.ogg", seed=number)
        rows += (
            f"{label},\"['{('roahaw', 'greegr')[number % 2]}']\",[],{label}/XC{number}.ogg,XC,{number % 5}.0,u,7.0,-73.0,"
            f"Ardea alba,Great Egret,author {number % 4},cc-by 4.0\n"
        )
    (folder / "train.csv").write_text(columns + rows)
    (folder / "taxonomy.csv").write_text(
        "primary_label,inat_taxon_id,scientific_name,common_name,class_name\n"
        "greegr,1,Ardea alba,Great Egret,Aves\nroahaw,2,Rupornis magnirostris,Roadside Hawk,Aves\n"
    )
    return folder


def test_competition_tables_bring_secondary_labels_and_ratings(birdclef, cache):
    data = collect_training_data(dataclasses.replace(CONFIG, data_format="birdclef2025"), birdclef, cache)
    assert [name.code for name in data.class_names] == ["greegr", "roahaw"]
    assert (data.auxiliary, data.strong, data.backgrounds) == ((), [], [])
    assert len(data.weak) == len(data.validation) == 8
    assert {source.secondary for source in data.weak} <= {("greegr",), ("roahaw",)}
    assert len({source.weight for source in data.weak}) > 1
    assert data.provenance["licences"] == "cc-by 4.0 (8)"
    # A secondary label is not certain: it is no label of a validation recording.
    assert reference_of(data).sum(axis=1).tolist() == [1.0] * 8


def test_a_stratified_split_parts_groups_and_a_grouped_one_does_not(birdclef, cache):
    def shared_groups(split):
        config = dataclasses.replace(CONFIG, data_format="birdclef2025", split=split)
        data = collect_training_data(config, birdclef, cache)
        folds = [
            collect_training_data(dataclasses.replace(config, fold=fold), birdclef, cache).validation for fold in (0, 1)
        ]
        assert len(data.validation) == 8
        groups = [{recording.group for recording, _ in validation} for validation in folds]
        return groups[0] & groups[1]

    assert shared_groups("grouped") == set()
    assert shared_groups("stratified") != set()


def test_the_record_counts_the_licences_that_the_table_states(tmp_path, cache):
    stated = {
        "http://creativecommons.org/licenses/by-nc-sa/4.0/": 3,
        "": 2,
        "unknown (flashcard app asset)": 1,
        "CC0 (see the site)": 1,
    }
    rows = ["path,species_code,licence"]
    for licence, count in stated.items():
        for number in range(count):
            name = f"{len(rows)}.wav"
            write_sound(tmp_path / "data" / name, seed=len(rows))
            rows.append(f"{name},{'ab'[number % 2]},{licence}")
    (tmp_path / "data" / "manifest.csv").write_text("\n".join(rows) + "\n")
    data = collect_training_data(dataclasses.replace(CONFIG, fold=-1), tmp_path / "data", cache)
    assert data.provenance["licences"] == "CC BY-NC-SA 4.0 (3); unstated (2); unknown (1); CC0 (1)"


def test_a_folder_per_species_is_enough(tmp_path, cache):
    for number in range(4):
        write_sound(tmp_path / "data" / ("low", "high")[number % 2] / f"{number}.wav", seed=number)
    write_sound(tmp_path / "data" / "noise" / "rain.wav")
    data = collect_training_data(dataclasses.replace(CONFIG, data_format="folders"), tmp_path / "data", cache)
    assert [name.code for name in data.class_names] == ["high", "low"]
    assert len(data.weak) == len(data.validation) == 2


def test_problems_are_logged_with_their_remedy(birdclef, cache, caplog):
    (birdclef / "train_audio" / "greegr" / "XC0.ogg").unlink()
    with caplog.at_level("WARNING"):
        collect_training_data(dataclasses.replace(CONFIG, data_format="birdclef2025"), birdclef, cache)
    assert "train.csv, row 2: train_audio/greegr/XC0.ogg: the file is missing" in caplog.text
