import numpy as np
import pytest
import soundfile

from birdcore.audio import container as container_module
from birdcore.audio.container import identify_container, ogg_is_complete
from birdcore.errors import AudioError

ID3_TAG = b"ID3\x04\x00\x00" + bytes([0, 0, 39, 16]) + bytes(5008)  # 39 * 128 + 16 bytes, more than is read at first


def container_of(content, tmp_path):
    path = tmp_path / "recording.wav"
    path.write_bytes(content)
    return identify_container(path)


@pytest.mark.parametrize(
    ("head", "name", "demuxer"),
    [
        (b"RIFF\x00\x10\x00\x00WAVEfmt ", "wav", "wav"),
        (b"RIFX\x00\x00\x10\x00WAVEfmt ", "wav", "wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "rf64", "wav"),
        (b"BW64\xff\xff\xff\xffWAVEds64", "rf64", "wav"),
        (b"FORM\x00\x00\x10\x00AIFFCOMM", "aiff", "aiff"),
        (b"FORM\x00\x00\x10\x00AIFCFVER", "aiff", "aiff"),
        (b"fLaC\x00\x00\x00\x22", "flac", "flac"),
        (b"OggS\x00\x02", "ogg", "ogg"),
        (b"\x00\x00\x00\x20ftypM4A ", "mp4", "mov"),
        (b"\x00\x00\x10\x20moov\x00\x00\x00\x6c", "mp4", "mov"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "webm", "matroska"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", "matroska", "matroska"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "wma", "asf"),
        (b"\xff\xfb\x90\x64" + bytes(40), "mp3", "mp3"),
        (b"\xff\xf3\x40\xc0" + bytes(40), "mp3", "mp3"),
        (b"\xff\xf1\x50\x80\x25\xff\xfc", "aac", "aac"),
        (bytes(500) + b"\xff\xfb\x90\x64" + bytes(40), "mp3", "mp3"),
        (ID3_TAG + b"\xff\xfb\x90\x64" + bytes(40), "mp3", "mp3"),
        (ID3_TAG + b"\xff\xf1\x50\x80\x25\xff\xfc", "aac", "aac"),
        (ID3_TAG + b"fLaC\x00\x00\x00\x22", "flac", "flac"),
        (ID3_TAG + bytes(9000), "mp3", "mp3"),
    ],
)
def test_the_first_bytes_tell_the_kind(head, name, demuxer, tmp_path):
    container = container_of(head, tmp_path)
    assert (container.name, container.demuxer) == (name, demuxer)


@pytest.mark.parametrize(
    ("content", "description"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "a PNG image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\x03\x04\x14\x00", r"a ZIP archive \(unpack it first\)"),
        (b"MThd\x00\x00\x00\x06", "MIDI notes, which are no recording"),
        (b"<!DOCTYPE html>\n<html>Not found</html>", r"a web page \(the download probably failed\)"),
        (b"Dear Madam,\n\tthe owl is here.\r\n", "text"),
        ("Zilpzalp und Mönchsgrasmücke ".encode() * 1000, "text"),
        ("Zilpzalp".encode("utf-16"), "text"),
        (b"#EXTM3U\n#EXTINF:5,\nhttp://localhost/song.ts\n", "text"),
        (bytes(9000), "nothing but zeros"),
        (b"\x01\x02\x03\x04\xfe\xdc", "something unknown"),
        (b"RIFF\x00\x10\x00\x00AVI LIST\x00\x01", "something unknown"),
    ],
)
def test_what_is_no_sound_is_called_what_it_is(content, description, tmp_path):
    with pytest.raises(
        AudioError, match=rf"^recording\.wav: holds {description}, not sound that can be read; expected WAV, FLAC, "
    ):
        container_of(content, tmp_path)


def test_an_empty_file_is_called_empty(tmp_path):
    with pytest.raises(AudioError, match=r"recording\.wav: is empty \(0 bytes\); copy, download or upload it again"):
        container_of(b"", tmp_path)


@pytest.mark.parametrize(
    ("container", "suffix"), [("WAV", ".wav"), ("RF64", ".rf64"), ("W64", ".w64"), ("AIFF", ".aiff")]
)
def test_the_size_a_file_should_have_is_the_one_it_has(container, suffix, tmp_path):
    path = tmp_path / f"whole{suffix}"
    soundfile.write(path, np.zeros(1000), 8000, format=container)
    assert identify_container(path).declared_bytes == path.stat().st_size
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 2])
    assert identify_container(path).declared_bytes == size


@pytest.mark.parametrize("size", [0, 8, 36, 0x7FFFFFFF, 0x7FFFF024, 0xFFFFFFFF, 0xFFFFFFF7])
def test_a_placeholder_is_no_size(size, tmp_path):
    assert container_of(b"RIFF" + size.to_bytes(4, "little") + b"WAVEfmt ", tmp_path).declared_bytes is None


@pytest.mark.parametrize("tag", [b"Xing", b"Info", b"VBRI"])
def test_mp3_announces_its_length_in_a_tag_only(tag, tmp_path):
    frame = b"\xff\xfb\x90\x64" + bytes(32)
    assert container_of(frame + tag + bytes(40), tmp_path).announces_duration
    assert container_of(ID3_TAG + frame + tag + bytes(40), tmp_path).announces_duration
    assert not container_of(frame + bytes(40), tmp_path).announces_duration


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_file_is_complete_up_to_its_last_byte_only(subtype, tmp_path):
    path = tmp_path / "song.ogg"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 48_000), 48_000, format="OGG", subtype=subtype)
    content = path.read_bytes()
    assert ogg_is_complete(path)
    for length in (len(content) - 1, len(content) // 2, 100, 20):
        path.write_bytes(content[:length])
        assert not ogg_is_complete(path)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_holes_in_an_ogg_file_are_found(subtype, tmp_path):
    path = tmp_path / "song.ogg"
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 48_000 * 6)
    soundfile.write(path, samples, 48_000, format="OGG", subtype=subtype)
    content = path.read_bytes()
    assert (identify_container(path).has_holes, identify_container(path).chain) == (False, ())
    pages = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    middle = pages[len(pages) // 2]
    damaged = {
        "zeros over pages": content[: middle + 9] + bytes(9000) + content[middle + 9009 :],
        "one wrong byte": content[: middle + 300] + bytes([content[middle + 300] ^ 1]) + content[middle + 301 :],
        "a page left out": content[:middle] + content[pages[len(pages) // 2 + 1] :],
        "noise between pages": content[:middle] + b"OggS noise" * 200 + bytes(200_000) + content[middle:],
    }
    for number, (what, changed) in enumerate(damaged.items()):
        path = tmp_path / f"{number}.ogg"
        path.write_bytes(changed)
        assert identify_container(path).has_holes, what
    path = tmp_path / "cut.ogg"
    path.write_bytes(content[:middle] + bytes(5000))
    assert not identify_container(path).has_holes  # nothing comes after: it is cut off


def test_a_chained_ogg_file_is_told_from_one_with_several_tracks(tmp_path):
    path = tmp_path / "song.ogg"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 48_000), 48_000, format="OGG")
    content = path.read_bytes()
    path.write_bytes(content * 3)
    container = identify_container(path)
    assert (container.chain, container.has_holes) == ((48_000, 48_000, 48_000), False)
    first_page = content[: content.index(b"OggS", 4)]
    other_track = first_page[:14] + b"\1\2\3\4" + first_page[18:22] + bytes(4) + first_page[26:]
    checksum = container_module._ogg_checksum(other_track).to_bytes(4, "little")
    path.write_bytes(first_page + other_track[:22] + checksum + other_track[26:] + content[len(first_page) :])
    assert (identify_container(path).chain, identify_container(path).has_holes) == ((), False)
