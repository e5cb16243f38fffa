"""The page "Follow runs", on run directories that nobody trains."""

import json
import shutil
import time

import numpy as np
import pytest

from birdcore.config import ClassName, TrainConfig
from birdcore.data.recordings import Recording
from birdcore.run_figures import curves_figure
from birdcore.training.evaluation import collect_scores, write_validation
from birdcore.training.run_directory import RunDirectory, RunJob
from birdcore.webapp.observed import observer

CONFIG = TrainConfig(architecture="crnn", features="s0", epochs=3, batch_size=4)
NAMES = tuple(ClassName(code=code, common=name, scientific="") for code, name in (("tit", "Tit"), ("owl", "Owl")))


@pytest.fixture(autouse=True)
def _local_app(monkeypatch):
    # A test has no server: this is the address it would listen to.
    monkeypatch.setattr("streamlit.get_option", lambda name: "127.0.0.1")


@pytest.fixture
def make_run(tmp_path):
    """``make_run(name, state=…)``: a run with two epochs behind it."""

    def make(name, *, config=CONFIG, root=None, **status):
        job = RunJob(data_root=str(tmp_path / "data"))
        run = RunDirectory.create(root or tmp_path / "runs", config, name=name, job=job)
        for epoch in (1, 2):
            row = {"epoch": epoch, "train_loss": 2.0 / epoch, "macro_auc": 0.5 + epoch / 10, "learning_rate": 1e-3}
            run.append_metrics(row)
        run.write_status(**({"epoch": 2, "best": 0.7} | status))
        return run

    return make


def evaluate(run, tmp_path, *, wrong=1, seed=0):
    """Results of a best epoch: eight recordings, of which the first few are wrong by far."""
    labels = np.eye(2)[np.arange(8) % 2]
    logits = np.random.default_rng(seed).normal(size=(8, 2)) + 6 * labels
    logits[:wrong] = -logits[:wrong]
    scored = collect_scores(
        [Recording(path=tmp_path / "data" / f"clip-{n}.wav", label="tit", group=f"g{n}") for n in range(8)],
        seconds=[2.0] * 8,
        class_names=NAMES,
        labels=labels,
        logits=logits,
        data_root=tmp_path / "data",
        epoch=2,
    )
    write_validation(run, scored, class_names=NAMES)


def button(app, label):
    return next(button for button in app.button if button.label == label)


def labels(app):
    return [button.label for button in app.button]


def show(app, part):
    app.session_state["run-part"] = part
    return app.run()


def test_without_runs_the_page_says_what_to_do(open_page, monkeypatch):
    links = []
    # One page alone has nowhere to link to.
    monkeypatch.setattr("streamlit.page_link", lambda page, **options: links.append(page))
    app = open_page("follow_runs")
    assert not app.exception
    assert "Nothing has been trained yet" in app.info[0].value
    assert links == ["pages/train_model.py"]


def test_a_loss_that_is_not_trained_is_not_drawn(open_page, make_run, monkeypatch):
    titles = []
    draw = curves_figure
    monkeypatch.setattr(
        "birdcore.webapp.run_panel.curves_figure",
        lambda curves, *, title, **options: (titles.append(title), draw(curves, title=title, **options))[1],
    )
    run = make_run("night", state="finished")
    run.append_metrics({"epoch": 3, "train_loss": 0.5, "train_localization_loss": 0.0})
    assert not open_page("follow_runs").exception
    assert "Training loss" in titles and "Localization loss" not in titles
    run.append_metrics({"epoch": 4, "train_loss": 0.5, "train_localization_loss": 0.1})
    open_page("follow_runs")
    assert "Localization loss" in titles


def test_a_run_under_way_shows_progress_curves_and_buttons(open_page, make_run):
    make_run("night", state="running", step=5, total_steps=10, windows_per_second=20.0, eta_seconds=90)
    app = open_page("follow_runs")
    assert not app.exception
    progress = app.get("progress")[0].proto
    assert progress.value == 50
    assert progress.text == "epoch 2 of 3, 5.00 steps/s, 20.0 windows/s, 1:30 left"
    assert {"Pause", "Stop"} <= set(labels(app)) and "Delete for good" not in labels(app)
    assert len(app.get("plotly_chart")) == 3  # macro AUC, loss, learning rate
    assert any("Load" in caption.value and "disk free" in caption.value for caption in app.caption)


def test_pause_continue_and_stop_reach_the_run(open_page, make_run):
    run = make_run("night", state="running")
    app = open_page("follow_runs")
    button(app, "Pause").click().run()
    assert run.pause_requested()
    button(app, "Continue").click().run()
    assert not run.pause_requested()
    button(app, "Stop").click().run()
    assert run.stop_requested()
    assert "stopping after this step" in app.get("progress")[0].proto.text


def test_a_run_that_ended_can_be_resumed_or_retried(open_page, make_run, monkeypatch):
    asked = []
    monkeypatch.setattr("birdcore.webapp.run_panel.resume_job", lambda run: asked.append(("resume", run.name)))
    run = make_run("night", state="failed", message="The *disk* is full.")
    app = open_page("follow_runs")
    assert r"The \*disk\* is full" in app.error[0].value
    button(app, "Resume").click().run()
    assert asked == [("resume", "night")]

    def retry(run):
        return RunDirectory(shutil.copytree(run.path, run.path.with_name("night-2")))

    monkeypatch.setattr("birdcore.webapp.run_panel.retry_job", retry)
    app = open_page("follow_runs")
    button(app, "Retry").click().run()
    assert not app.exception and app.selectbox[0].value == "night-2"
    assert run.path.is_dir()


def test_deleting_asks_first_and_then_removes_the_folder(open_page, make_run):
    run = make_run("night", state="finished")
    make_run("day", state="finished")
    app = open_page("follow_runs")
    app.selectbox[0].set_value("night").run()
    assert any("cannot be undone" in markdown.value for markdown in app.markdown)
    button(app, "Delete for good").click().run()
    assert not app.exception and not run.path.exists()
    assert app.selectbox[0].options == ["day"]
    # The browser is told; or it goes on showing the deleted run's name.
    assert app.selectbox[0].proto.set_value and app.selectbox[0].proto.raw_value == "day"


def test_what_goes_wrong_with_a_button_is_shown(open_page, make_run):
    run = make_run("night", state="stopped")
    app = open_page("follow_runs")
    run.write_status(state="running")
    button(app, "Delete for good").click().run()
    assert "stop it before you delete it" in app.error[0].value and run.path.is_dir()


def test_other_computers_may_look_but_not_touch(open_page, make_run, monkeypatch):
    monkeypatch.setattr("streamlit.get_option", lambda name: "0.0.0.0")
    make_run("night", state="running")
    app = open_page("follow_runs")
    assert not app.exception and labels(app) == []
    assert any("Training is off" in caption.value for caption in app.caption)
    assert len(app.get("plotly_chart")) == 3


def test_names_and_messages_of_runs_are_text_and_no_markup(open_page, make_run):
    make_run("*bold* run", state="paused", message="<b>held</b> :smile:")
    app = open_page("follow_runs")
    assert any(r"**\*bold\* run** is paused." in markdown.value for markdown in app.markdown)
    assert any(r"\<b\>held\</b\> \:smile\:" in caption.value for caption in app.caption)


def test_a_lost_run_says_for_how_long_and_can_be_resumed(open_page, make_run):
    run = make_run("night", state="running")
    status = json.loads((run.path / "status.json").read_text())
    (run.path / "status.json").write_text(json.dumps(status | {"heartbeat": time.time() - 3600}))
    app = open_page("follow_runs")
    assert any("no sign of life for 1:00:" in caption.value for caption in app.caption)
    assert "Resume" in labels(app)


def test_the_best_epoch_has_classes_curves_confusions_and_mistakes(open_page, make_run, tmp_path, make_recording):
    run = make_run("night", state="finished")
    evaluate(run, tmp_path, wrong=3)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "clip-0.wav").write_bytes(make_recording(2.0))
    app = show(open_page("follow_runs"), "Best epoch")
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Top-1"] == "0.625"
    classes = app.dataframe[1].value
    assert sorted(classes["Class"]) == ["Owl", "Tit"] and classes["Recordings"].sum() == 8
    assert len(app.get("plotly_chart")) == 3  # precision and recall, reliability, confusions
    assert len(app.get("component_instance")) == 1  # the recording that is there
    text = "\n".join(element.value for element in [*app.markdown, *app.caption])
    assert "was taken for" in text and "cannot be heard here" in text
    next(box for box in app.selectbox if box.label == "Class").set_value("owl").run()
    assert not app.exception


def test_a_run_without_evaluation_says_why(open_page, make_run):
    make_run("night", state="running")
    app = show(open_page("follow_runs"), "Best epoch")
    assert any("not complete yet" in caption.value for caption in app.caption)


def test_the_log_shows_its_end_and_the_settings_are_listed(open_page, make_run):
    run = make_run("night", state="finished")
    run.log.write_text("".join(f"line {number}\n" for number in range(2000)))
    app = show(open_page("follow_runs"), "Log")
    lines = app.code[0].value.splitlines()
    assert lines[-1] == "line 1999" and len(lines) == 300
    app = show(app, "Settings")
    settings = app.dataframe[1].value
    assert settings.set_index("Setting").loc["batch_size", "Value"] == "4"


def test_a_cross_validation_is_followed_fold_by_fold(open_page, make_run, tmp_path):
    run = make_run("cross", state="running", epoch=4)
    for number in range(2):
        evaluate(make_run(f"fold-{number}", root=run.path, state="finished"), tmp_path)
    app = open_page("follow_runs")
    assert not app.exception
    assert app.dataframe[0].value["Epoch"][0] == "4 of 15"
    assert app.dataframe[1].value["Fold"].tolist() == ["fold-0", "fold-1"]
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert [trace["name"] for trace in figure["data"]] == ["fold-0", "fold-1"]
    app = show(app, "Best epoch")
    assert next(box for box in app.selectbox if box.label == "Fold").options == ["fold-0", "fold-1"]


def test_runs_are_compared_by_curves_settings_and_paired_differences(open_page, make_run, tmp_path):
    evaluate(make_run("first", state="finished"), tmp_path, wrong=5)
    other = TrainConfig(architecture="crnn", features="s0", epochs=3, batch_size=8, options={"width": 32})
    evaluate(make_run("second", state="finished", config=other), tmp_path, wrong=0)
    app = open_page("follow_runs")
    app.session_state["runs-view"] = "Compare runs"
    app.session_state["compared-runs"] = ["first", "second"]
    app.run()
    assert not app.exception
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert [trace["name"] for trace in figure["data"]] == ["first", "second"]
    differences = app.dataframe[2].value.set_index("Setting")
    assert differences.loc["batch_size"].tolist() == ["4", "8"] and "epochs" not in differences.index
    assert differences.loc["options.width"].tolist() == ["–", "32"]
    verdicts = app.table[0].value.set_index("Metric")["Verdict"]
    assert verdicts["Top-1"] == "second is better"
    assert any("8 recordings in 8 groups" in caption.value for caption in app.caption)


def test_one_run_is_not_compared(open_page, make_run):
    make_run("only", state="finished")
    app = open_page("follow_runs")
    app.session_state["runs-view"] = "Compare runs"
    app.run()
    assert not app.exception
    assert any("two runs or more" in caption.value for caption in app.caption)


def test_runs_that_cannot_be_read_are_named(open_page, make_run):
    make_run("good", state="finished")
    (make_run("broken", state="finished").path / "config.json").write_text('{"speech_act": 1}')
    app = open_page("follow_runs")
    assert not app.exception
    assert app.expander[0].label == "1 run cannot be read"
    assert any("speech" in caption.value for caption in app.expander[0].caption)


def test_three_hundred_runs_are_read_once_and_no_metrics_but_those_shown(open_page, make_run):
    run = make_run("run-000", state="finished")
    for number in range(1, 300):
        shutil.copytree(run.path, run.path.with_name(f"run-{number:03d}"))
    app = open_page("follow_runs")
    assert not app.exception and len(app.dataframe[0].value) == 300
    once = observer().num_reads
    assert once <= 3 * 300 + 5  # settings, status and job of each, and the figures of the one that is shown
    app.run()
    assert observer().num_reads == once
