"""The viewer's arguments: what goes in as arrays comes out in its encoded form."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from birdcore.errors import DataError, ShapeError
from birdcore.events import Event
from birdcore.player_data import (
    MAX_COLUMNS,
    MAX_LANES,
    MAX_ROWS,
    PLAYER_FOLDER,
    HeatMap,
    event_mark,
    mark_arguments,
    overview_lanes,
    sound_arguments,
    species_palette,
)


def sound(**changes: object) -> dict:
    arguments = {
        "sound_key": "a",
        "audio_url_or_data": b"RIFF",
        "mime": "audio/wav",
        "duration": 10.0,
        "envelope": (np.array([-0.5, -0.25]), np.array([0.125, 0.5])),
        "spectrogram_db": np.array([[-60.0, -20.0, -40.0], [-10.0, -80.0, -30.0]]),
        "frequencies": np.array([0.0, 1000.0, 4000.0]),
    }
    return sound_arguments(**{**arguments, **changes})


def event(**changes: object) -> dict:
    return {
        "id": 1,
        "label": "gretit1",
        "common_name": "Great Tit",
        "onset": 1.0,
        "offset": 2.0,
        "fmin": 2000.0,
        "fmax": 5000.0,
        "confidence": 0.9,
        **changes,
    }


def decode_png(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_the_folder_holds_the_viewers_page() -> None:
    assert (PLAYER_FOLDER / "index.html").is_file()


def test_all_arguments_are_json() -> None:
    arguments = sound_arguments(
        sound_key="a",
        audio_url_or_data=b"RIFF",
        mime="audio/wav",
        duration=np.float64(10),
        envelope=(-np.ones(5, np.float32), np.ones(5, np.float32)),
        spectrogram_db=np.zeros((4, 8), np.float32),
        frequencies=np.arange(5, dtype=np.float32),
        overview=(-np.ones(7), np.ones(7)),
    ) | mark_arguments(
        events=[event(id=np.int64(3), onset=np.float32(1), fmin=np.nan, fmax=np.nan)],
        overview_events=[(np.float64(1), np.float64(2), "gretit1")],
        heat=HeatMap(
            label="gretit1",
            common_name="Great Tit",
            probability=np.ones((2, 3), np.float16),
            frequencies=np.arange(3),
            onset=np.float64(0),
            offset=10,
        ),
        command={"id": 7, "action": "play", "onset": np.float64(1), "offset": 2, "event_id": 3},
    )
    assert json.loads(json.dumps(arguments))["events"][0]["fmin"] is None


def test_levels_survive_the_picture_within_half_a_step_and_are_the_right_way_up() -> None:
    levels = np.linspace(-90, 0, 12).reshape(3, 4)
    spectrogram = sound(spectrogram_db=levels, frequencies=np.arange(4.0))["spectrogram"]
    low, high = spectrogram["levels"]
    decoded = low + decode_png(spectrogram["png"])[::-1] / 255 * (high - low)
    np.testing.assert_allclose(decoded, levels, atol=(high - low) / 255 / 2 + 1e-9)


def test_levels_far_below_the_loudest_are_cut_off() -> None:
    spectrogram = sound(spectrogram_db=np.array([[-500.0, 0.0]]), frequencies=np.array([0.0, 1.0]))["spectrogram"]
    assert spectrogram["levels"] == [-120.0, 0.0]
    assert spectrogram["shown"] == [-70.0, 0.0]


def test_silence_gets_a_scale() -> None:
    spectrogram = sound(spectrogram_db=np.full((2, 3), -100.0))["spectrogram"]
    assert spectrogram["levels"] == [-100.0, -90.0]
    assert spectrogram["shown"] == [-100.0, -90.0]


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 700), columns=st.integers(2, 5000), data=st.data())
def test_large_spectrograms_are_reduced_and_keep_a_short_call(rows: int, columns: int, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, rows - 1))
    column = data.draw(st.integers(0, columns - 1))
    levels = np.full((rows, columns), -80.0)
    levels[row, column] = 0.0
    frequencies = np.arange(rows + 1) * 10.0
    spectrogram = sound(spectrogram_db=levels, frequencies=frequencies)["spectrogram"]
    picture = decode_png(spectrogram["png"])[::-1]
    assert picture.shape == (min(rows, MAX_ROWS), min(columns, MAX_COLUMNS))
    [[loud_row, loud_column]] = np.argwhere(picture == 255)
    edges = spectrogram["frequencies"]
    assert edges[loud_row] <= frequencies[row] < edges[loud_row + 1]
    assert edges[-1] == frequencies[-1]
    assert loud_column == pytest.approx((column + 0.5) / columns * picture.shape[1] - 0.5, abs=1)


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=50),
)
def test_the_envelope_survives_within_a_step(pairs: list[tuple[float, float]]) -> None:
    low, high = (np.array(side) for side in zip(*[sorted(pair) for pair in pairs], strict=True))
    encoded = sound(envelope=(low, high))["envelope"]
    for side, text in ((low, encoded["low"]), (high, encoded["high"])):
        decoded = np.frombuffer(base64.b64decode(text), "<i2") / 32767 * encoded["peak"]
        np.testing.assert_allclose(decoded, side, atol=encoded["peak"] / 32767)


def test_a_long_envelope_is_reduced_and_keeps_its_peaks() -> None:
    low, high = np.zeros(9001), np.zeros(9001)
    low[8000], high[123] = -0.9, 0.7
    encoded = sound(envelope=(low, high))["envelope"]
    decoded = [
        np.frombuffer(base64.b64decode(encoded[side]), "<i2") / 32767 * encoded["peak"] for side in ("low", "high")
    ]
    assert len(decoded[0]) == MAX_COLUMNS
    assert decoded[0].min() == pytest.approx(-0.9)
    assert decoded[1].max() == pytest.approx(0.7, abs=1e-4)


def test_bytes_become_a_data_url_and_urls_stay() -> None:
    assert sound()["audio"]["url"] == "data:audio/wav;base64,UklGRg=="
    assert sound(audio_url_or_data="/media/a.mp3")["audio"]["url"] == "/media/a.mp3"
    assert sound(audio_url_or_data=None)["audio"] is None


def test_parts_have_keys_that_change_with_their_content_alone() -> None:
    first, again, other = sound(), sound(sound_key="b"), sound(audio_url_or_data=b"OggS")
    for part in ("audio", "envelope", "spectrogram"):
        assert first[part]["key"] == again[part]["key"]
    assert first["audio"]["key"] != other["audio"]["key"]
    assert first["envelope"]["key"] == other["envelope"]["key"]


def test_a_recording_of_one_page_is_its_own_overview() -> None:
    arguments = sound()
    assert arguments["overview"] == arguments["envelope"]
    assert arguments["total_duration"] == 10.0


def test_the_colour_maps_are_256_rgb_triples() -> None:
    maps = sound()["colormaps"]
    assert {len(base64.b64decode(text)) for text in maps.values()} == {768}
    gray = np.frombuffer(base64.b64decode(maps["gray"]), np.uint8)
    np.testing.assert_array_equal(gray, np.repeat(np.arange(256), 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": 0.0}, "above 0 s long"),
        ({"page_onset": 30.0, "total_duration": 35.0}, "inside the recording"),
        ({"spectrogram_db": np.array([[np.nan], [0.0]])}, "NaN or infinite"),
    ],
)
def test_impossible_sounds_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sound(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frequencies": np.arange(2.0)}, "3 ascending edges"),
        ({"frequencies": np.array([0.0, 2.0, 1.0])}, "3 ascending edges"),
        ({"spectrogram_db": np.zeros(5)}, "num_rows, num_columns"),
        ({"envelope": (np.zeros(3), np.zeros(4))}, "envelope: shapes"),
        ({"overview": (np.zeros(0), np.zeros(0))}, "overview: shapes"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        sound(**changes)


def test_species_come_in_the_palettes_order_and_only_with_events() -> None:
    events = [event(id=1), event(id=2, label="comcha", common_name="Common Chaffinch")]
    marks = mark_arguments(events=events, palette={"comcha": "#111111", "rook": "#222222", "gretit1": "#333333"})
    assert [(species["label"], species["color"]) for species in marks["species"]] == [
        ("comcha", "#111111"),
        ("gretit1", "#333333"),
    ]


def test_labels_outside_the_palette_get_a_colour_too() -> None:
    marks = mark_arguments(events=[event()], palette={}, overview_events=[(0, 1, "rook")])
    assert set(marks["colors"]) == {"gretit1", "rook"}
    assert all(color.startswith("#") for color in marks["colors"].values())


def lanes_of(events: list[tuple[float, float, str]], *, duration: float) -> list[dict]:
    labels = sorted({label for _, _, label in events})
    names = {label: label.upper() for label in labels}
    return overview_lanes(events, duration=duration, common_names=names, palette=species_palette(labels))


def test_each_species_has_a_lane_with_its_events_merged() -> None:
    events = [(100.0, 110.0, "b"), (105.0, 120.0, "b"), (0.0, 0.1, "a"), (500.0, 600.0, "b")]
    first, second = lanes_of(events, duration=600.0)
    assert (first["label"], first["common_name"], first["count"]) == ("a", "A", 1)
    assert first["spans"] == [[0.0, 0.5]]  # a column of the lane
    assert second["count"] == 3 and second["spans"] == [[100.0, 120.0], [500.0, 600.0]]
    assert second["color"] == species_palette("ab")["b"]
    assert lanes_of([], duration=600.0) == []


def test_species_with_few_events_share_the_last_lane() -> None:
    events = [(float(at), at + 1.0, label) for label in "abcdefghij" for at in range(1 if label in "aj" else 2)]
    *lanes, rest = lanes_of(events, duration=600.0)
    assert [lane["label"] for lane in lanes] == list("bcdefghi") and len(lanes) == MAX_LANES
    assert (rest["label"], rest["common_name"], rest["color"], rest["count"]) == (None, "2 more species", None, 2)
    marks = mark_arguments(lanes=[*lanes, rest])
    assert marks["lanes"][-1] == rest and set(marks["colors"]) == set("bcdefghi")


@given(st.lists(st.tuples(st.floats(0, 36_000), st.floats(0, 400)), min_size=1, max_size=50), st.floats(301, 36_000))
def test_a_lane_covers_its_events_within_a_column(spans: list[tuple[float, float]], duration: float) -> None:
    events = [(min(onset, duration), min(onset + length, duration), "a") for onset, length in spans]
    (lane,) = lanes_of(events, duration=duration)
    edges = np.array(lane["spans"])
    assert (np.diff(edges.ravel()) > 0).all() and edges[0, 0] >= 0 and edges[-1, 1] <= duration + 0.01
    for onset, offset, _ in events:
        middle = min((onset + offset) / 2, duration * (1 - 1e-4))
        assert any(low - 0.01 <= middle <= high + 0.01 for low, high in edges)
    assert (edges[:, 1] - edges[:, 0]).sum() <= sum(offset - onset + duration / 500 for onset, offset, _ in events)


def test_a_night_of_calls_stays_small() -> None:
    random = np.random.default_rng(0)
    events = [(float(at), at + 0.5, label) for at in random.uniform(0, 36_000, 30_000) for label in "abcdefghijkl"]
    sparse = [(float(at), at + 0.01, "m") for at in np.arange(0, 36_000, 0.01)[::6000]]
    lanes = lanes_of([*events, *sparse], duration=36_000.0)
    assert len(lanes) == MAX_LANES + 1 and max(len(lane["spans"]) for lane in lanes) <= 600
    assert len(lanes_of(sparse, duration=36_000.0)[0]["spans"]) == 600
    assert len(json.dumps(lanes)) < 100_000


def test_the_palette_does_not_depend_on_later_labels() -> None:
    assert species_palette(["a", "b"]) == dict(list(species_palette(["a", "b", "c", "a"]).items())[:2])
    assert len(set(species_palette("abcdefgh").values())) == 8


def test_the_heat_map_has_its_species_colour() -> None:
    heat = HeatMap(
        label="gretit1",
        common_name="Great Tit",
        probability=np.array([[0.0, 1.0], [0.5, np.nan]]),
        frequencies=np.array([0.0, 1000.0, 2000.0]),
        onset=5.0,
        offset=6.0,
    )
    encoded = mark_arguments(heat=heat, palette={"gretit1": "#123456"})["heat"]
    assert encoded["color"] == "#123456"
    np.testing.assert_array_equal(decode_png(encoded["png"]), [[128, 0], [0, 255]])


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ({"events": [{"id": 1}]}, "lacks label, common_name"),
        ({"events": [event(), event()]}, "same id"),
        ({"command": {"id": 1, "action": "dance", "onset": 0, "offset": 1}}, "action 'play'"),
        ({"command": {"action": "play", "onset": 0, "offset": 1}}, "must have id"),
    ],
)
def test_impossible_marks_are_refused(marks: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        mark_arguments(**marks)


def test_an_event_becomes_a_mark() -> None:
    found = Event(label="gretit1", onset=1.0, offset=2.0, fmin=2000.0, fmax=5000.0, confidence=0.9)
    assert event_mark(found, identity=1, common_name="Great Tit") == event()
