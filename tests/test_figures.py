import numpy as np
import pytest

from birdcore import figures
from birdcore.config import ClassName
from birdcore.features.spectrogram import DisplayConfig, average_spectrum, cepstrum, display_spectrogram
from birdcore.picture_axes import COLOR_SCALES, NEUTRAL
from birdcore.print_figures import print_picture

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
    assert list(bars.marker.color) == ["#56B4E9", NEUTRAL]  # below the threshold no species has its colour
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


@pytest.mark.parametrize(("fmin", "fmax"), [(0.0, 16_000.0), (1234.0, 1300.0), (0.0, 100.0)])
@pytest.mark.parametrize("scale", ["linear", "mel", "log"])
def test_any_frequency_range_can_be_drawn(sound, scale, fmin, fmax):
    config = DisplayConfig(frequency_scale=scale, fmin=fmin, fmax=fmax, n_mels=32)
    figure = sound_figure(sound, {"x": display_spectrogram(sound, RATE, config=config)})
    assert figure.data


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


@pytest.mark.parametrize("color_scale", COLOR_SCALES)
def test_every_colour_map_works_on_screen_and_in_print(sound, pictures, color_scale):
    assert sound_figure(sound, {"mel": pictures["mel"]}, color_scale=color_scale).data[-1].colorscale
    assert print_picture(pictures["mel"], range_db=70, color_scale=color_scale, title="Mel").axes


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
