import io
import stat
import zipfile

import numpy as np
import pytest

from birdcore.data.archive import ArchiveLimits, unpack_dataset
from birdcore.errors import DataError

SOUND = b"never decoded here"


def archive_of(files, *, compression=zipfile.ZIP_STORED):
    """A ZIP file of name → content; a name may be a ZipInfo."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    buffer.seek(0)
    return buffer


def unpack(files, root, **options):
    return unpack_dataset(archive_of(files), name=options.pop("name", "birds.zip"), root=root, **options)


def test_a_data_set_is_unpacked_under_its_name(tmp_path):
    shares = []
    done = unpack(
        {"manifest.csv": "path,species_code\na.wav,gretit1\n", "a.wav": SOUND},
        tmp_path,
        name="Field Läb 2.zip",
        progress=shares.append,
    )
    assert done.folder == tmp_path / "field-lab-2"
    assert (done.data_format, done.num_files, done.left_out) == ("manifest", 2, ())
    assert (done.folder / "a.wav").read_bytes() == SOUND
    assert shares[-1] == 1.0
    assert list(tmp_path.iterdir()) == [done.folder]


def test_a_folder_around_everything_is_taken_off(tmp_path):
    done = unpack({"birds/data/gretit1/a.wav": SOUND, "birds/data/eurbla/b.wav": SOUND}, tmp_path)
    assert sorted(path.name for path in done.folder.iterdir()) == ["eurbla", "gretit1"]
    assert done.data_format == "folders"


def test_a_single_species_folder_stays(tmp_path):
    done = unpack({"gretit1/a.wav": SOUND, "gretit1/b.wav": SOUND}, tmp_path)
    assert [path.name for path in done.folder.iterdir()] == ["gretit1"]


def test_backslashes_of_old_programs_are_folders(tmp_path):
    done = unpack({"gretit1\\a.wav": SOUND, "eurbla\\b.wav": SOUND}, tmp_path)
    assert (done.folder / "gretit1" / "a.wav").is_file()


def test_what_is_neither_sound_nor_table_is_left_out(tmp_path):
    done = unpack(
        {"gretit1/a.wav": SOUND, "run.py": "", "x.zip": b"", "__MACOSX/gretit1/._a.wav": b"", ".DS_Store": b""},
        tmp_path,
    )
    assert done.left_out == ("run.py", "x.zip")
    assert [str(path.relative_to(done.folder)) for path in done.folder.rglob("*.*")] == ["gretit1/a.wav"]


def test_an_upload_never_replaces_another(tmp_path):
    folders = [unpack({"gretit1/a.wav": SOUND}, tmp_path).folder.name for _ in range(3)]
    assert folders == ["birds", "birds-2", "birds-3"]


@pytest.mark.parametrize(
    "name", ["../a.wav", "x/../../a.wav", "/etc/a.wav", "C:/a.wav", "c:a.wav", "..\\a.wav", "\\a.wav", "gretit1/.."]
)
def test_a_name_that_leads_outside_condemns_the_archive(tmp_path, name):
    with pytest.raises(DataError, match="leads outside"):
        unpack({"gretit1/b.wav": SOUND, name: SOUND}, tmp_path / "uploads")
    assert not list(tmp_path.rglob("*.wav"))


@pytest.mark.parametrize("name", ["gretit1//a.wav", "./a.wav", "gretit1/a\nb.wav"])
def test_a_name_that_is_none_condemns_the_archive(tmp_path, name):
    with pytest.raises(DataError, match="is no file name"):
        unpack({name: SOUND}, tmp_path)


@pytest.mark.parametrize("name", ["x" * 250 + ".wav", "/".join("abcdefghijklmnop") + ".wav"])
def test_names_that_no_disk_takes_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="too long or too deep"):
        unpack({name: SOUND}, tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_links_and_devices_are_refused(tmp_path, kind):
    link = zipfile.ZipInfo("gretit1/a.wav")
    link.external_attr = (kind | 0o777) << 16
    with pytest.raises(DataError, match="a link or a device"):
        unpack({link: "/etc/passwd"}, tmp_path)


def test_a_bomb_is_refused_by_what_it_announces(tmp_path):
    bomb = archive_of({"gretit1/a.wav": bytes(20 << 20)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="times its size"):
        unpack_dataset(bomb, name="bomb.zip", root=tmp_path)


def test_a_bomb_that_lies_is_found_while_it_is_unpacked(tmp_path):
    content = archive_of({"gretit1/a.wav": bytes(20 << 20)}, compression=zipfile.ZIP_DEFLATED).getvalue()
    # The unpacked size stands at two places, little-endian.
    lying = content.replace((20 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lying != content
    with pytest.raises(DataError):
        unpack_dataset(io.BytesIO(lying), name="bomb.zip", root=tmp_path)
    assert not list(tmp_path.rglob("*.wav"))


@pytest.mark.parametrize(
    ("limits", "fault"),
    [(ArchiveLimits(num_files=1), "holds 2 files"), (ArchiveLimits(total_bytes=20), "0.0 MB unpacked")],
)
def test_limits_are_kept(tmp_path, limits, fault):
    with pytest.raises(DataError, match=fault):
        unpack({"gretit1/a.wav": SOUND, "eurbla/a.wav": SOUND}, tmp_path, limits=limits)


def test_a_full_disk_is_seen_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(DataError, match="delete old uploads"):
        unpack({"gretit1/a.wav": SOUND}, tmp_path)


def test_names_that_a_disk_may_confuse_are_refused(tmp_path):
    with pytest.raises(DataError, match="stands in it twice"):
        unpack({"gretit1/a.wav": SOUND, "gretit1/A.wav": SOUND}, tmp_path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"no archive", "cannot be read as a ZIP archive"),
        (archive_of({"readme.md": ""}).getvalue(), "holds no recordings"),
        (archive_of({"a.wav": SOUND}).getvalue(), "no data set that is known"),
    ],
)
def test_what_is_no_data_set_is_refused_and_not_kept(tmp_path, content, fault):
    with pytest.raises(DataError, match=fault):
        unpack_dataset(io.BytesIO(content), name="birds.zip", root=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_damaged_archive_leaves_nothing_behind(tmp_path, compression):
    sound = np.random.default_rng(0).bytes(2000)
    content = bytearray(archive_of({"gretit1/a.wav": sound}, compression=compression).getvalue())
    content[60:100] = b"\xff" * 40
    with pytest.raises(DataError, match="cannot be read as a ZIP archive"):
        unpack_dataset(io.BytesIO(bytes(content)), name="birds.zip", root=tmp_path)
    assert not list(tmp_path.iterdir())
