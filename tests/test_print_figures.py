"""Figures for print: their size, their texts, their files."""

import io
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from birdcore.errors import ConfigError
from birdcore.events import Event
from birdcore.features.spectrogram import DisplayConfig, average_spectrum, display_spectrogram
from birdcore.print_figures import encode_figure, print_heat_map, print_picture, print_spectrum, print_waveform

RATE = 32_000


@pytest.fixture(scope="module")
def sound():
    noise = np.random.default_rng(0).normal(0, 0.01, RATE)
    return (noise + 0.3 * np.sin(2 * np.pi * 4000 * np.arange(RATE) / RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def pictures(sound):
    return {
        scale: display_spectrogram(sound, RATE, config=DisplayConfig(frequency_scale=scale))
        for scale in ("linear", "mel", "log")
    }


def test_png_is_at_print_resolution(pictures):
    figure = print_picture(pictures["mel"], range_db=70, color_scale="magma", title="Mel")
    image = Image.open(io.BytesIO(encode_figure(figure, "png")))
    assert image.size[0] == pytest.approx(180 / 25.4 * 300, abs=2)
    assert image.info["dpi"][0] == pytest.approx(300, abs=0.5)


def test_svg_is_well_formed_and_small(pictures):
    figure = print_picture(pictures["linear"], range_db=70, color_scale="greys", title="a < b & c")
    content = encode_figure(figure, "svg")
    assert ElementTree.fromstring(content).tag.endswith("svg")
    assert len(content) < 1_000_000  # the picture is one image, not a rectangle per cell


def test_boxes_of_events_are_drawn_at_their_time_and_band(pictures):
    events = [
        Event(label="gretit1", onset=60.2, offset=60.4, fmin=3000, fmax=5000),
        Event(label="blackc1", onset=60.5, offset=60.6),
    ]
    figure = print_picture(
        pictures["mel"],
        range_db=70,
        color_scale="magma",
        title="Mel",
        onset=60.0,
        events=events,
        colors={"gretit1": "#E69F00"},
        labels={"gretit1": "Great Tit"},
    )
    axes = figure.axes[0]
    banded, whole = axes.patches
    rows = pictures["mel"].rows
    assert banded.get_x() == 60.2 and banded.get_width() == pytest.approx(0.2)
    assert np.interp(banded.get_y(), np.arange(len(rows)), rows) == pytest.approx(3000)
    assert whole.get_height() == pytest.approx(len(rows) - 1)
    assert [text.get_text() for text in axes.texts] == ["Great Tit", "blackc1"]


def test_waveform_and_spectrum_print_with_titles_and_units(sound):
    wave = print_waveform(sound[:100] - 0.1, sound[:100], duration=1.0, title="Wave", onset=5.0)
    assert wave.axes[0].get_xlabel() == "Time (s)" and wave.axes[0].get_xlim() == (5.0, 6.0)
    spectrum = print_spectrum(average_spectrum(sound, RATE, config=DisplayConfig()), title="Spectrum")
    assert spectrum.axes[0].get_ylabel() == "Power density (dB re FS²/Hz)"
    assert encode_figure(wave, "png")[:4] == b"\x89PNG"


def test_figures_can_be_drawn_in_several_threads_at_once(pictures):
    def draw(_):
        figure = print_picture(pictures["mel"], range_db=70, color_scale="magma", title="Mel")
        return encode_figure(figure, "png")

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(draw, range(4)))) == 1


def test_other_file_formats_are_refused(sound, pictures):
    figure = print_picture(pictures["mel"], range_db=70, color_scale="magma", title="Mel")
    with pytest.raises(ConfigError, match="file format 'pdf': must be 'png' or 'svg'"):
        encode_figure(figure, "pdf")


def test_a_heat_map_writes_every_value_and_leaves_undefined_cells_empty():
    figure = print_heat_map(
        [[0.5, float("nan")], [0.75, 0.125]],
        rows=["adam", "sgd"],
        columns=["0.001", "0.01"],
        row_title="optimizer",
        column_title="learning rate",
        value_title="accuracy",
        title="grid",
    )
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.500", "0.750", "0.125"]
    assert axes.get_xlabel() == "learning rate"
