import io
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from birdcore import figures
from birdcore.config import ClassName
from birdcore.errors import ConfigError
from birdcore.events import Event
from birdcore.features.spectrogram import DisplayConfig, average_spectrum, cepstrum, display_spectrogram

RATE = 32_000
TOP = [
    (ClassName(code="gretit1", common="Great Tit", scientific="Parus major"), 0.93),
    (ClassName(code="blackc1", common="Eurasian Blackcap", scientific="Sylvia atricapilla"), 0.21),
]


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


def sound_figure(sound, pictures, **options):
    low, high = sound.reshape(-1, 100).min(axis=1), sound.reshape(-1, 100).max(axis=1)
    settings = {"duration": 1.0, "range_db": 70, "color_scale": "magma"} | options
    return figures.sound_figure(low, high, pictures=pictures, **settings)


def axis_titles(figure):
    axes = [*figure.select_xaxes(), *figure.select_yaxes()]
    return [axis.title.text for axis in axes if axis.title.text]


def test_bars_show_both_names_the_score_and_the_threshold():
    figure = figures.scores_figure(TOP, threshold=0.5, colors={"gretit1": "#56B4E9"})
    (bars,) = figure.data
    assert list(bars.y) == ["Great Tit<br><i>Parus major</i>", "Eurasian Blackcap<br><i>Sylvia atricapilla</i>"]
    assert list(bars.x) == [0.93, 0.21]
    assert list(bars.marker.color) == ["#56B4E9", figures.NEUTRAL]  # below the threshold no species has its colour
    assert figure.layout.shapes[0].x0 == 0.5
    assert figure.layout.xaxis.title.text == "Score (0 to 1)"
    assert figure.layout.xaxis.range[0] == 0 and figure.layout.yaxis.autorange == "reversed"


def test_every_chart_of_a_sound_has_axis_titles_with_units_and_one_time_axis(sound, pictures):
    rows = {**pictures, "MFCC": cepstrum(sound, RATE, config=DisplayConfig())}
    figure = sound_figure(sound, rows)
    assert axis_titles(figure) == ["Time (s)", "Amplitude", *["Frequency (kHz)"] * 3, "Coefficient"]
    assert {axis.matches for axis in figure.select_xaxes()} - {None} == {"x5"}
    assert [bar.colorbar.title.text for bar in figure.select_traces("heatmap")] == [*["Level (dBFS)"] * 3, "Value"]


def test_pictures_are_sent_to_the_browser_as_bytes_of_whole_decibels(sound, pictures):
    figure = sound_figure(sound, {"mel": pictures["mel"]})
    heatmap = next(figure.select_traces("heatmap"))
    assert heatmap.z.dtype == np.int8
    np.testing.assert_allclose(heatmap.z, np.clip(pictures["mel"].values, -128, 0), atol=0.5)


def test_times_count_from_the_start_of_the_recording(sound, pictures):
    figure = sound_figure(sound, {"mel": pictures["mel"]}, onset=60.0)
    assert min(figure.data[-1].x) == 60.0
    assert tuple(figure.layout.xaxis.range) == (60.0, 61.0)


def test_paper_and_plot_are_transparent_so_that_the_theme_shows_through(sound, pictures):
    for figure in (
        sound_figure(sound, pictures),
        figures.scores_figure(TOP, threshold=0.5, colors={}),
        figures.spectrum_figure(average_spectrum(sound, RATE, config=DisplayConfig())),
    ):
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
def test_ticks_stand_at_the_rows_of_their_frequencies(pictures, scale):
    picture = pictures[scale]
    positions, labels = figures.frequency_ticks(picture)
    assert len(positions) == len(labels) >= 4
    for position, label in zip(positions, labels, strict=True):
        hertz = 1000 * float(label)
        nearest = picture.rows[round(position)]
        step = np.diff(picture.edges)[round(position)]
        assert abs(nearest - hertz) <= step


@pytest.mark.parametrize(("fmin", "fmax"), [(0.0, 16_000.0), (1234.0, 1300.0), (0.0, 100.0)])
@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
def test_any_frequency_range_can_be_drawn(sound, scale, fmin, fmax):
    config = DisplayConfig(frequency_scale=scale, fmin=fmin, fmax=fmax, n_mels=32)
    figure = sound_figure(sound, {"x": display_spectrogram(sound, RATE, config=config)})
    assert figure.data


def test_the_colour_range_ends_at_the_loudest_point(pictures):
    low, high = figures.color_limits(pictures["mel"], range_db=60)
    assert high == pytest.approx(pictures["mel"].values.max()) and high - low == 60


def test_silence_and_constant_pictures_have_a_colour_range():
    silence = np.zeros(RATE, np.float32)
    for scaling in ("db", "pcen"):
        picture = display_spectrogram(silence, RATE, config=DisplayConfig(scaling=scaling))
        low, high = figures.color_limits(picture, range_db=60)
        assert low < high


def test_before_and_after_share_axes_and_colours(pictures):
    quiet = display_spectrogram(np.zeros(RATE, np.float32), RATE, config=DisplayConfig())
    figure = figures.comparison_figure(
        pictures["mel"], quiet, range_db=70, color_scale="magma", titles=("Before", "After")
    )
    before, after = figure.data
    assert (before.zmin, before.zmax) == (after.zmin, after.zmax)
    assert not after.showscale
    assert figure.layout.yaxis2.matches == "y" and figure.layout.xaxis.matches == "x2"


def test_average_spectrum_names_its_two_lines_and_units(sound):
    figure = figures.spectrum_figure(average_spectrum(sound, RATE, config=DisplayConfig()))
    assert {trace.name for trace in figure.data} == {"average", "loudest moment"}
    assert axis_titles(figure) == ["Frequency (kHz)", "Power density (dB re FS²/Hz)"]


def test_png_is_at_print_resolution(pictures):
    figure = figures.print_picture(pictures["mel"], range_db=70, color_scale="magma", title="Mel")
    image = Image.open(io.BytesIO(figures.encode_figure(figure, "png")))
    assert image.size[0] == pytest.approx(180 / 25.4 * 300, abs=2)
    assert image.info["dpi"][0] == pytest.approx(300, abs=0.5)


def test_svg_is_well_formed_and_small(pictures):
    figure = figures.print_picture(pictures["linear"], range_db=70, color_scale="greys", title="a < b & c")
    content = figures.encode_figure(figure, "svg")
    assert ElementTree.fromstring(content).tag.endswith("svg")
    assert len(content) < 1_000_000  # the picture is one image, not a rectangle per cell


def test_boxes_of_events_are_drawn_at_their_time_and_band(pictures):
    events = [
        Event(label="gretit1", onset=60.2, offset=60.4, fmin=3000, fmax=5000),
        Event(label="blackc1", onset=60.5, offset=60.6),
    ]
    figure = figures.print_picture(
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
    wave = figures.print_waveform(sound[:100] - 0.1, sound[:100], duration=1.0, title="Wave", onset=5.0)
    assert wave.axes[0].get_xlabel() == "Time (s)" and wave.axes[0].get_xlim() == (5.0, 6.0)
    spectrum = figures.print_spectrum(average_spectrum(sound, RATE, config=DisplayConfig()), title="Spectrum")
    assert spectrum.axes[0].get_ylabel() == "Power density (dB re FS²/Hz)"
    assert figures.encode_figure(wave, "png")[:4] == b"\x89PNG"


def test_figures_can_be_drawn_in_several_threads_at_once(pictures):
    def draw(_):
        figure = figures.print_picture(pictures["mel"], range_db=70, color_scale="magma", title="Mel")
        return figures.encode_figure(figure, "png")

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(draw, range(4)))) == 1


def test_other_file_formats_are_refused(sound, pictures):
    figure = figures.print_picture(pictures["mel"], range_db=70, color_scale="magma", title="Mel")
    with pytest.raises(ConfigError, match="file format 'pdf': must be 'png' or 'svg'"):
        figures.encode_figure(figure, "pdf")


@pytest.mark.parametrize("color_scale", figures.COLOR_SCALES)
def test_every_colour_map_works_on_screen_and_in_print(sound, pictures, color_scale):
    assert sound_figure(sound, {"mel": pictures["mel"]}, color_scale=color_scale).data[-1].colorscale
    assert figures.print_picture(pictures["mel"], range_db=70, color_scale=color_scale, title="Mel").axes


def test_a_heat_map_writes_every_value_and_leaves_undefined_cells_empty():
    figure = figures.print_heat_map(
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


def lanes():
    return [
        figures.Lane(label="Great Tit", color="#56B4E9", spans=((5.0, 6.0, 0.9), (1.0, 2.0, 0.5))),
        figures.Lane(label="Mallard", color="#E69F00", spans=((3.0, 9.0, 1.0),)),
    ]


def test_timelines_share_one_axis_and_say_where_there_is_nothing():
    figure = figures.timelines_figure({"first": lanes(), "second": []}, duration=10.0)
    first, second, *_ = [trace for trace in figure.data if trace.type == "bar"]
    assert (list(first.base), list(first.x), list(first.y)) == ([1.0, 5.0], [1.0, 1.0], [0, 0])
    assert list(second.base) == [3.0] and list(second.y) == [1]
    assert figure.layout.yaxis.ticktext == ("Great Tit", "Mallard")
    assert figure.layout.xaxis.range == (0, 10) and figure.layout.xaxis2.title.text == "Time (s)"
    texts = [annotation.text for annotation in figure.layout.annotations]
    assert texts == ["first", "second", "nothing reaches the threshold"]


def test_thousands_of_calls_are_drawn_as_the_screen_shows_them():
    spans = tuple((0.1 * n, 0.1 * n + 0.05, 0.5) for n in range(36_000))
    (trace,) = figures.timelines_figure(
        {"a": [figures.Lane(label="x", color="#000", spans=spans)]}, duration=3600.0
    ).data
    assert len(trace.base) <= 1000
    assert trace.base[0] == 0.0 and trace.base[-1] + trace.x[-1] >= 3595


def test_a_ranking_names_the_best_above_its_bar_and_greys_what_is_not_reported():
    figure = figures.ranking_figure(TOP, threshold=0.5, colors={"gretit1": "#56B4E9", "blackc1": "#E69F00"})
    assert [annotation.text for annotation in figure.layout.annotations] == ["Great Tit", "Eurasian Blackcap"]
    assert figure.data[0].marker.color[0] == "#56B4E9" and figure.data[0].marker.color[1] != "#E69F00"
    assert "threshold 0.50" in figure.layout.xaxis.title.text
