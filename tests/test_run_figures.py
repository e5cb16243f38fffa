import numpy as np
import pytest

from birdcore.errors import ConfigError, ShapeError
from birdcore.run_figures import (
    MAX_POINTS,
    MOST_POINTS_IN_ALL,
    Curve,
    confusion_figure,
    curves_figure,
    precision_recall_figure,
    reliability_figure,
    smooth,
    thin_out,
)


def curve(num_epochs, *, name="run", number=0):
    values = np.random.default_rng(number).random(num_epochs).tolist()
    return Curve(name=name, epochs=list(range(1, num_epochs + 1)), values=values, number=number)


def test_a_thinned_curve_keeps_its_ends_and_its_peaks():
    x = np.arange(10_000)
    y = np.sin(x / 500.0)
    y[7_123] = 9.0
    y[2_345] = -9.0
    thin_x, thin_y = thin_out(x, y)
    assert len(thin_x) <= MAX_POINTS
    assert (thin_x[0], thin_x[-1]) == (0, 9_999)
    assert (thin_y.max(), thin_y.min()) == (9.0, -9.0)
    assert (np.diff(thin_x) > 0).all() and np.array_equal(y[thin_x], thin_y)


def test_a_short_curve_stays_as_it_is():
    x, y = thin_out(np.arange(5), np.ones(5))
    assert len(x) == len(y) == 5
    with pytest.raises(ShapeError, match="num_points"):
        thin_out(np.arange(3), np.ones(4))
    with pytest.raises(ConfigError, match="at least 4"):
        thin_out(np.arange(3), np.ones(3), max_points=3)


def test_smoothing_keeps_a_constant_from_the_first_point_on():
    np.testing.assert_allclose(smooth([2.0] * 5, weight=0.9), 2.0)
    np.testing.assert_allclose(smooth([1.0, 5.0, 3.0], weight=0.0), [1.0, 5.0, 3.0])
    with pytest.raises(ConfigError, match="below 1"):
        smooth([1.0], weight=1.0)


def test_what_was_measured_is_drawn_with_and_without_smoothing():
    plain = curves_figure([curve(40)], title="Loss")
    smoothed = curves_figure([curve(40)], title="Loss", smoothing=0.8)
    assert len(plain.data) == 1 and len(smoothed.data) == 2
    np.testing.assert_array_equal(plain.data[0].y, smoothed.data[0].y)
    assert smoothed.data[1].name == "run, smoothed"
    assert plain.layout.yaxis.title.text == "Loss" and plain.layout.xaxis.title.text == "Epoch"


def test_gaps_and_runs_without_a_value_are_left_out():
    gaps = Curve(name="gaps", epochs=[1, 2, 3], values=[0.5, None, 0.7])
    none = Curve(name="none", epochs=[1, 2], values=[None, None])
    figure = curves_figure([gaps, none], title="AUC")
    assert [trace.name for trace in figure.data] == ["gaps"]
    assert list(figure.data[0].x) == [1, 3]
    assert len(curves_figure([], title="AUC").data) == 0


def test_axes_show_what_can_be():
    perfect = Curve(name="perfect", epochs=[1, 2], values=[1.0, 1.0])
    share = curves_figure([perfect], title="AUC", share=True)
    assert share.layout.yaxis.autorangeoptions.clipmax == pytest.approx(1.02)  # not up to 2
    assert share.layout.xaxis.dtick == 1  # no halves of an epoch
    loss = curves_figure([curve(40)], title="Loss")
    assert loss.layout.yaxis.autorangeoptions.clipmax is None and loss.layout.xaxis.dtick is None


@pytest.mark.parametrize(("lowest", "dtick"), [(5e-4, "D2"), (1e-6, 1), (4e-9, 2)])
def test_a_logarithmic_axis_has_some_labels_and_not_too_many(lowest, dtick):
    rates = Curve(name="rates", epochs=[1, 2], values=[1e-3, lowest])
    assert curves_figure([rates], title="Learning rate", logarithmic=True).layout.yaxis.dtick == dtick


def test_a_thousand_epochs_and_hundreds_of_runs_are_few_points():
    one = curves_figure([curve(1000)], title="Loss", smoothing=0.5)
    assert max(len(trace.x) for trace in one.data) <= MAX_POINTS
    many = curves_figure([curve(1000, name=f"run {n}", number=n) for n in range(300)], title="Loss")
    assert sum(len(trace.x) for trace in many.data) <= MOST_POINTS_IN_ALL
    assert many.layout.showlegend is False


def test_names_are_text_and_no_markup():
    figure = curves_figure([curve(3, name="<b>a</b>"), curve(3, name="b", number=1)], title="Loss")
    assert figure.data[0].name == "&lt;b&gt;a&lt;/b&gt;" and figure.layout.showlegend


def test_curves_of_many_runs_differ_in_colour_or_dash():
    figure = curves_figure([curve(3, name=str(n), number=n) for n in range(12)], title="Loss")
    assert len({(trace.line.color, trace.line.dash) for trace in figure.data}) == 12


def test_precision_is_drawn_over_recall():
    figure = precision_recall_figure({"all": ([0.5, 1.0], [1.0, 0.8], [0.9, 0.1])})
    assert list(figure.data[0].x) == [0.5, 1.0] and list(figure.data[0].y) == [1.0, 0.8]
    assert figure.layout.xaxis.title.text == "Recall"


def test_reliability_leaves_out_empty_bins():
    bins = [
        {"low": 0.0, "high": 0.5, "count": 8, "confidence": 0.2, "frequency": 0.25},
        {"low": 0.5, "high": 1.0, "count": 0, "confidence": None, "frequency": None},
    ]
    figure = reliability_figure(bins)
    assert list(figure.data[-1].x) == [0.2] and list(figure.data[-1].y) == [0.25]


def test_confusions_are_coloured_by_share_and_show_counts():
    figure = confusion_figure(np.array([[3, 1], [0, 0]]), names=["Tit", "Owl"])
    (heat,) = figure.data
    np.testing.assert_allclose(heat.z[0], [0.75, 0.25])
    assert np.isnan(heat.z[1]).all() and heat.text[0][0] == "3" and heat.text[1][0] == ""
    with pytest.raises(ShapeError, match="square"):
        confusion_figure(np.zeros((2, 3)), names=["a", "b"])
