"""The page "Publish a model", on a run directory that nobody trained and publications that nobody carries out."""

import json
import shutil
import time

import pytest
from streamlit.testing.v1 import AppTest

from birdcore.config import TrainConfig
from birdcore.errors import RunError
from birdcore.models.checkpoint import find_weights
from birdcore.models.versions import install_weights, list_versions
from birdcore.training.run_directory import RunDirectory
from birdcore.webapp.models import available_models, fingerprint

CALIBRATION = {
    "fitted_on": "9 validation recordings",
    "temperature": 1.5,
    "expected_calibration_error_before": 0.2,
    "expected_calibration_error_after": 0.05,
    "isotonic_calibration_error": 0.04,
    "reliability": [{"low": 0.4, "high": 0.5, "count": 3, "confidence": 0.45, "frequency": 0.5}],
    "thresholds": {"gretit1": 0.7, "blackc1": 0.3},
}
CHECKS = [
    {"name": "noise", "passed": False, "measured": 0.2, "required": 0.05, "sentence": "20 of 100 *windows* report."},
    {"name": "speech", "passed": True, "measured": 0.0, "required": 0.05, "sentence": "0 of 16 windows report."},
    {"name": "silence", "passed": True, "measured": 0.1, "required": 0.5, "sentence": "Silence scores 0.10 at most."},
    {"name": "regression", "passed": None, "measured": None, "required": None, "sentence": "Not asked: it is new."},
]


@pytest.fixture
def app(request, double, monkeypatch):
    # A test has no server: this is the address it would listen to.
    monkeypatch.setattr("streamlit.get_option", lambda name: "127.0.0.1")
    # One page alone has nowhere to link to.
    monkeypatch.setattr("streamlit.page_link", lambda page, **options: None)

    def open_page(**query):
        app = AppTest.from_file(request.path.parents[2] / "pages" / "publish_model.py", default_timeout=120)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return open_page


@pytest.fixture
def run(double, tmp_path):
    """A finished run with weights."""
    return make_run(tmp_path, "night")


@pytest.fixture
def started(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "birdcore.webapp.publishing.start_publication", lambda path, **options: calls.append((path, options))
    )
    return calls


def make_run(tmp_path, name, *, state="finished"):
    run = RunDirectory.create(tmp_path / "runs", TrainConfig(architecture="crnn", features="s0", epochs=3), name=name)
    run.write_status(state=state, best=0.9)
    shutil.copytree(tmp_path / "weights" / "crnn", run.path / "weights")
    (tmp_path / "data").mkdir(exist_ok=True)
    return run


def draft_of(run, name, *, facts, checks=(), **record):
    """What a publication of the run left behind."""
    draft = run.path / "draft" / name
    shutil.copytree(run.path / "weights", draft)
    stored = json.loads((draft / "config.json").read_text())
    stored["facts"] |= facts
    (draft / "config.json").write_text(json.dumps(stored))
    (draft / "acceptance.json").write_text(json.dumps(checks))
    now = time.time()
    record = {"state": "published", "heartbeat": now, "started": now, "step": "gate", "share": 1.0} | record
    (draft / "publication.json").write_text(json.dumps(record))


def button(app, label):
    return next(button for button in app.button if button.label == label)


def field(app, label):
    return next(one for one in [*app.text_input, *app.text_area, *app.number_input] if one.label == label)


def said(app):
    return "\n".join(str(one.value) for kind in (app.markdown, app.caption, app.error, app.success) for one in kind)


def test_without_a_finished_run_the_page_says_what_to_do(app, tmp_path, double):
    make_run(tmp_path, "busy", state="running")
    page = app()
    assert "no trained model to publish yet" in page.info[0].value


def test_the_run_of_the_address_is_chosen(app, run, tmp_path):
    make_run(tmp_path, "later", state="stopped")
    page = app()
    assert page.main.selectbox[0].options == ["later", "night"]
    assert app(run="night").main.selectbox[0].value == "night"


def test_what_was_filled_in_is_started(app, run, started, tmp_path):
    page = app()
    field(page, "Name of the model").set_value("my-birds")
    field(page, "Summary").set_value("Mine.")
    field(page, "Known weaknesses, one per line").set_value("Knows two.\n\nIs young.")
    field(page, "False alarms allowed, %").set_value(1.5)
    page.run()
    button(page, "Measure and publish").click().run()
    assert not page.exception
    ((path, options),) = started
    assert path == run.path
    assert options == {
        "name": "my-birds",
        "summary": "Mine.",
        "limits": ("Knows two.", "Is young."),
        "false_alarms": pytest.approx(0.015),
        "data": tmp_path / "data",
    }


def test_a_name_that_is_left_by_the_click_on_the_button_counts(app, run, started):
    page = app()
    field(page, "Name of the model").set_value("my-birds")  # not run yet: name and click come together
    button(page, "Measure and publish").click().run()
    assert [options["name"] for _, options in started] == ["my-birds"]


def test_a_click_with_a_name_that_cannot_be_used_starts_nothing(app, run, started):
    page = app()
    field(page, "Name of the model").set_value("../Up")
    button(page, "Measure and publish").click().run()
    assert "use small letters" in said(page) and started == []
    field(page, "Name of the model").set_value("my-birds").run()
    assert started == []


def test_a_name_is_checked_and_said_to_replace_a_model(app, run, tmp_path):
    page = app()
    assert "A new model." in said(page)
    field(page, "Name of the model").set_value("crnn").run()
    assert "Replaces **crnn**" in said(page)
    field(page, "Name of the model").set_value("../Up").run()
    assert "use small letters" in said(page) and button(page, "Measure and publish").disabled
    theirs = tmp_path / "weights" / "theirs"
    theirs.mkdir()
    (theirs / "model.tflite").write_bytes(b"never opened")
    (theirs / "labels.txt").write_text("Avis nigra_Bird\n")
    (theirs / "outside.toml").write_text('preset = "birdnet"')
    field(page, "Name of the model").set_value("theirs").run()
    assert "was made by others" in said(page) and button(page, "Measure and publish").disabled


def test_a_start_that_is_refused_says_why(app, run, monkeypatch):
    def refuse(path, **options):
        raise RunError("night: is being *published* already")

    monkeypatch.setattr("birdcore.webapp.publishing.start_publication", refuse)
    page = app()
    button(page, "Measure and publish").click().run()
    assert r"is being \*published\* already" in page.error[0].value


def test_any_tab_shows_how_far_a_publication_is(app, run):
    draft_of(run, "night", facts={}, state="running", step="recordings", share=0.25)
    page = app()
    progress = page.get("progress")[0].proto
    assert progress.value == 25 and progress.text == "Step 2 of 5 · 25 %"
    assert button(page, "Measure and publish").disabled
    assert "The gate" not in [one.value for one in page.subheader]


def test_the_gate_the_calibration_and_the_figures_are_shown(app, run):
    metrics = {"macro ROC-AUC, all recordings": {"value": 0.9, "low": 0.85, "high": 0.95}}
    draft_of(run, "night", facts={"calibration": CALIBRATION, "metrics": metrics}, checks=CHECKS, state="refused")
    page = app()
    text = said(page)
    assert "did not pass the gate" in page.error[0].value
    assert [text.count(mark) for mark in ("**Passed**", "**Not passed**", "**Not asked**")] == [2, 1, 1]
    assert r"20 of 100 \*windows\* report" in text
    shown = [(metric.label, metric.value) for metric in page.main.metric]
    assert ("Measured", "20.0 %") in shown and ("Required", "below 0.50") in shown
    assert ("Expected calibration error, before", "0.200") in shown and ("After", "0.050") in shown
    assert len(page.main.get("plotly_chart")) == 1
    assert page.main.dataframe[0].value.to_numpy().tolist() == [
        ["Great Tit", 0.7, 0.7],
        ["Eurasian Blackcap", 0.3, 0.5],
    ]
    assert page.main.table[0].value.iloc[0].tolist() == ["Macro ROC-AUC, all recordings", "0.900", "0.850 to 0.950"]
    assert "The whole story." in text


def test_a_publication_that_lost_its_process_can_be_started_again(app, run, started):
    draft_of(run, "night", facts={}, state="running", heartbeat=time.time() - 90)
    page = app()
    assert "no sign of life" in page.error[0].value
    button(page, "Measure and publish").click().run()
    assert len(started) == 1


def test_an_earlier_version_is_restored_and_the_app_notices(app, run, tmp_path):
    folder = tmp_path / "weights" / "crnn"
    newer = tmp_path / "newer"
    shutil.copytree(folder, newer)
    (newer / "config.json").write_text((newer / "config.json").read_text().replace("not there", "there, now"))
    (newer / "model.safetensors").write_bytes(b"other tensors, of another length")
    before = fingerprint(find_weights(folder))
    install_weights(newer, folder)
    assert fingerprint(available_models()["crnn"]) != before
    page = app()
    assert "hears birds that are not there" in said(page) and "Macro ROC\\-AUC 0.987" in said(page)
    button(page, "Restore this version").click().run()
    assert not page.exception
    assert "is back" in page.success[0].value
    assert find_weights(folder).facts["summary"] == "hears birds that are not there"
    assert fingerprint(available_models()["crnn"]) == before
    assert len(list_versions(folder)) == 1


def test_publishing_and_restoring_are_off_where_other_computers_can_reach_the_app(app, run, tmp_path, monkeypatch):
    install_weights(tmp_path / "runs" / "night" / "weights", tmp_path / "weights" / "crnn")
    for module in ("publishing", "published"):
        monkeypatch.setattr(f"birdcore.webapp.{module}.training_allowed", lambda: (False, "Training is off, because."))
    page = app()
    assert page.info[0].value == "Publishing is off, because."
    assert not {"Measure and publish", "Restore this version"} & {one.label for one in page.button}


def test_an_installation_that_was_interrupted_is_finished(double, tmp_path):
    (tmp_path / "weights" / "crnn").rename(tmp_path / "weights" / ".crnn.new")
    assert list(available_models()) == ["crnn"]


def test_a_pass_for_want_of_proof_is_marked_as_one(app, run):
    doubtful = CHECKS[0] | {"passed": True, "measured": 0.095}
    draft_of(run, "night", facts={}, checks=[doubtful, *CHECKS[1:]])
    text = said(app())
    assert "**Passed, in doubt**" in text and "do not prove" in text


def test_what_is_offered_is_linked_and_what_was_replaced_since_is_not(app, run, tmp_path):
    draft_of(run, "night", facts={"summary": "new"}, checks=CHECKS[1:])
    assert "something else has taken its place" in app().success[0].value
    install_weights(run.path / "draft" / "night", tmp_path / "weights" / "night")
    assert "the app offers it" in app().success[0].value
    assert not (tmp_path / "weights" / "night" / "publication.json").exists()
