import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from birdcore.config import ClassName
from birdcore.errors import WeightsError
from birdcore.scores import Scores

SPECIES = "Parus major_Great Tit\nAnas platyrhynchos_Mallard\nEngine_Engine\n"


class WindowDouble:
    """A model from outside that hears a Great Tit in the first half of everything; it has windows only."""

    def __init__(self, class_names, scores):
        self.class_names, self.scores, self.calls = class_names, np.array(scores, np.float32), 0

    def analyze(self, path, *, overlap=None, onset=0.0, duration=None, progress=None):
        self.calls += 1
        return Scores(
            class_names=self.class_names,
            duration=10.0,
            windows=np.stack([self.scores, self.scores / 10]),
            window_onsets=np.array([0.0, 5.0]),
            window_offsets=np.array([5.0, 10.0]),
            recording=self.scores,
        )


@pytest.fixture
def second(double, tmp_path, monkeypatch):
    """Beside the installed model, a second one from outside that shares two species with it."""
    folder = tmp_path / "weights" / "theirs"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(b"never opened: the double is loaded instead")
    (folder / "labels.txt").write_text(SPECIES)
    (folder / "outside.toml").write_text('preset = "birdnet"')
    names = (
        ClassName(code="parus-major", common="Great Tit", scientific="Parus major", kind=""),
        ClassName(code="anas-platyrhynchos", common="Mallard", scientific="Anas platyrhynchos", kind=""),
        ClassName(code="engine", common="Engine", scientific="", kind="Sound"),
    )
    theirs = WindowDouble(names, (0.8, 0.3, 0.1))

    def load(weights, *, engine="auto"):
        return theirs if Path(weights).name == "theirs" else double.model

    monkeypatch.setattr("birdcore.inference.predictor.Predictor.load", staticmethod(load))
    return SimpleNamespace(model=theirs, folder=folder)


def plots(app):
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def test_without_a_recording_the_ways_in_are_shown(double, open_page):
    app = open_page("compare_models")
    assert not app.exception and app.title[0].value == "Compare models"
    assert app.file_uploader[0].label == "Drop recordings here"
    assert app.multiselect[0].value == ["crnn"]


def test_without_weights_the_page_says_what_to_do(no_weights, open_page):
    app = open_page("compare_models")
    assert not app.exception and "No model is installed" in app.warning[0].value


def test_models_are_compared_side_by_side(second, open_page, upload, wav, text_of):
    app = upload(open_page("compare_models"), ("tit.wav", wav))
    assert not app.exception and not app.error
    text = text_of(app)
    assert "## Both models name Great Tit first" in text
    assert "CC BY\\-NC\\-SA 4\\.0" in text  # of the model that is not ours
    assert "2 species and 1 kind of sound" in text
    assert [subheader.value for subheader in app.subheader] == [
        "When each hears what",
        "What each reports",
        "How far they agree",
    ]


def test_every_species_somebody_reports_is_in_the_table(second, open_page, upload, wav):
    app = upload(open_page("compare_models"), ("tit.wav", wav))
    table = app.dataframe[0].value
    assert table["Species"].tolist() == ["Great Tit", "Eurasian Blackcap", "Mallard"]
    assert table["crnn"].tolist() == ["✓ 0.93, 2 calls", "✓ 0.62, 1 call", "0.12"]
    assert table["theirs"].tolist() == ["✓ 0.80, 1 call", "does not know it", "✓ 0.30, 1 call"]


def test_agreement_counts_what_both_know(second, open_page, upload, wav, text_of):
    app = upload(open_page("compare_models"), ("tit.wav", wav))
    assert app.table[0].value.iloc[0].tolist() == ["crnn and theirs", "2", "yes", "1 of 2 (50 %)"]
    text = text_of(app)
    assert "All of them know 2 classes" in text
    assert "**theirs** does not know 4 of them: Eurasian Blackcap, Little Owl" in text
    assert "**crnn** does not know 1 of them: Engine" in text


def test_timelines_lie_on_one_axis_and_a_species_keeps_its_colour(second, open_page, upload, wav):
    app = upload(open_page("compare_models"), ("tit.wav", wav))
    bars, theirs, timelines = plots(app)
    assert bars["data"][0]["marker"]["color"][0] == theirs["data"][0]["marker"]["color"][0]
    drawn = {
        (trace["yaxis"], trace["marker"]["color"], tuple(trace["base"]))
        for trace in timelines["data"]
        if trace["type"] == "bar"
    }
    tit = bars["data"][0]["marker"]["color"][0]
    assert ("y", tit, (3.0, 6.0)) in {(y, color, tuple(np.round(base, 1))) for y, color, base in drawn}
    assert ("y2", tit, (0.0,)) in drawn
    assert (
        timelines["layout"]["xaxis"]["matches"] == "x2" and timelines["layout"]["xaxis2"]["title"]["text"] == "Time (s)"
    )


def test_each_model_listens_once(second, double, open_page, upload, wav):
    app = upload(open_page("compare_models"), ("tit.wav", wav))
    app.multiselect[0].set_value(["theirs"]).run()
    app.multiselect[0].set_value(["crnn", "theirs"]).run()
    assert not app.exception and len(double.calls) == 1 and second.model.calls == 1


def test_a_single_model_has_no_agreement(second, open_page, upload, wav, text_of):
    app = upload(open_page("compare_models"), ("tit.wav", wav))
    app.multiselect[0].set_value(["theirs"]).run()
    assert "## Great Tit" in text_of(app) and "How far they agree" not in text_of(app)
    app.multiselect[0].set_value([]).run()
    assert "Choose the models that are to listen." in text_of(app)


def test_a_model_that_cannot_be_loaded_is_told_and_left_out(
    second, double, open_page, upload, wav, monkeypatch, text_of
):
    def load(weights, *, engine="auto"):
        if Path(weights).name == "theirs":
            raise WeightsError("weights 'theirs': LiteRT cannot run it")
        return double.model

    monkeypatch.setattr("birdcore.inference.predictor.Predictor.load", staticmethod(load))
    app = upload(open_page("compare_models"), ("tit.wav", wav))
    assert not app.exception and "LiteRT cannot run it" in app.error[0].value
    assert "## Great Tit" in text_of(app)


def test_a_file_that_is_no_sound_is_told_for_each_model(double, open_page, upload, text_of):
    app = upload(open_page("compare_models"), ("tit.wav", b"nothing"))
    assert not app.exception and "tit" in app.error[0].value
