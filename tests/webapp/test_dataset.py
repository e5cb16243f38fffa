import pytest

from birdcore.webapp.dataset import dataset_name, known_datasets


@pytest.fixture
def root(monkeypatch, tmp_path):
    monkeypatch.setenv("BIRDCORE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def put(path, text="path,species_code\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_folders_with_a_table_are_offered(root):
    for name in ("birdclef/train.csv", "older/train_metadata.csv", "own/manifest.csv", "zenodo/annotations.csv"):
        put(root / name)
    put(root / "notes" / "readme.txt")
    assert [folder.name for folder in known_datasets()] == ["birdclef", "older", "own", "zenodo"]


def test_parts_of_a_data_set_are_not_offered_beside_it(root):
    put(root / "manifest.csv")
    put(root / "strong" / "annotations.csv")
    put(root / "second" / "manifest.csv")
    assert known_datasets() == [root, root / "second"]


def test_a_root_that_is_a_folder_per_species_is_offered_itself(root):
    put(root / "gretit1" / "a.wav", "")
    assert known_datasets() == [root]


def test_folders_of_recordings_are_looked_through_too(root, monkeypatch, tmp_path):
    put(tmp_path / "station" / "2024" / "manifest.csv")
    monkeypatch.setenv("BIRDCORE_RECORDINGS", str(tmp_path / "station"))
    assert known_datasets() == [tmp_path / "station" / "2024"]


def test_nothing_is_offered_where_nothing_is(root):
    assert known_datasets() == []
    root.mkdir()
    assert known_datasets() == []


def test_data_sets_that_are_called_alike_are_told_apart(root, monkeypatch, tmp_path):
    for folder in (root, root / "night", tmp_path / "old" / "data", tmp_path / "old" / "day"):
        put(folder / "manifest.csv")
    monkeypatch.setenv("BIRDCORE_RECORDINGS", str(tmp_path / "old"))
    names = [dataset_name(folder) for folder in known_datasets()]
    assert names == [str(root), "night", str(tmp_path / "old" / "data"), "day"]
