import json
import shutil
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from birdcore.config import TrainConfig
from birdcore.inference.predictor import Predictor
from birdcore.training.run_directory import RunDirectory

really_load = Predictor.load  # before the double stands in its place


@pytest.fixture
def app(request, monkeypatch):
    # A test has no server: this is the address it would listen to.
    monkeypatch.setattr("streamlit.get_option", lambda name: "127.0.0.1")
    return AppTest.from_file(request.path.parents[2] / "streamlit_app.py", default_timeout=120)


@pytest.fixture
def data_folder(tmp_path, make_recording, monkeypatch, new_cache):
    monkeypatch.setenv("BIRDCORE_CACHE", str(new_cache()))
    folder = tmp_path / "data"
    folder.mkdir()
    # Ten species-days that can be read, and nothing an audit would mind: training starts without a question.
    rows = ["path,species_code,recording_id,group,split,licence"]
    for number in range(12):
        label = ("gretit1", "eurbla")[number % 2]
        (folder / f"{number}.wav").write_bytes(make_recording(3.0, seed=number, pitch=1000 + 500 * number))
        rows.append(f"{number}.wav,{label},r{number},g{number},train,CC0")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "second").mkdir()
    (folder / "second" / "manifest.csv").write_text("path,species_code\na.wav,gretit1\n")
    (folder / "no table").mkdir()
    return folder


def run_of(tmp_path, **status):
    run = RunDirectory.create(tmp_path / "runs", TrainConfig(architecture="crnn", features="s0", epochs=3), name="tiny")
    run.write_status(**status)
    return run


def test_every_page_is_reached_and_framed(app, double):
    app.run()
    assert not app.exception and app.title[0].value == "Identify birds"
    for page, title in (
        ("compare_models", "Compare models"),
        ("explore_sounds", "Explore sounds"),
        ("train_model", "Train a model"),
        ("about_models", "About models"),
    ):
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception and app.title[0].value == title
        assert app.sidebar.header[0].value == "Listening"


@pytest.fixture(params=["damaged", "of an unknown architecture"])
def unusable(request, double, tmp_path, monkeypatch):
    """The installed model cannot be loaded, for real; one beside it can, and is the double. Gives the reason."""
    folder = tmp_path / "weights" / "crnn"
    shutil.copytree(folder, folder.with_name("other"))
    stored = json.loads((folder / "config.json").read_text())
    if request.param == "damaged":
        stored["facts"]["sha256"] = "0" * 64
    else:
        stored["model"]["architecture"] = "nightjar"
    (folder / "config.json").write_text(json.dumps(stored))

    def load_one(weights, *, engine="auto"):
        return double.model if Path(weights).name == "other" else really_load(weights, engine=engine)

    monkeypatch.setattr("birdcore.inference.predictor.Predictor.load", staticmethod(load_one))
    return "does not match its checksum" if request.param == "damaged" else "architecture 'nightjar': unknown"


def test_where_the_model_cannot_be_loaded_another_can_be_chosen(unusable, app, upload, wav, text_of):
    app.run()
    assert not app.exception and unusable in app.error[0].value.replace("\\", "")
    upload(app, ("tit.wav", wav))
    assert not app.exception and unusable in app.error[0].value.replace("\\", "")
    for page in ("compare_models", "explore_sounds", "train_model", "publish_model", "about_models"):
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception
        if page == "compare_models":  # the other's answer is there
            assert len(app.error) == 1 and "## Great Tit" in text_of(app)
        else:
            assert not app.error
    app.switch_page("pages/identify_birds.py").run()
    app.sidebar.selectbox[0].select("other").run()
    assert not app.exception and not app.error and "## Great Tit (0.93)" in text_of(app)


def test_the_sidebar_shows_the_model_in_a_few_words(app, double):
    app.run()
    assert app.sidebar.selectbox[0].value == "crnn"
    assert app.sidebar.caption[0].value == "**6 species**  \nHears birds that are not there"
    assert app.sidebar.slider[0].label == "Threshold" and app.sidebar.slider[0].value == 0.5
    assert app.sidebar.select_slider[0].value == 2.5


def test_settings_and_recordings_outlive_a_change_of_page(app, double, wav):
    app.run()
    app.sidebar.slider[0].set_value(0.65).run()
    app.file_uploader[0].set_value([("tit.wav", wav, "audio/wav")]).run()
    app.switch_page("pages/explore_sounds.py").run()
    assert not app.exception
    app.switch_page("pages/identify_birds.py").run()
    assert app.sidebar.slider[0].value == 0.65
    assert any("2 calls" in markdown.value for markdown in app.markdown)
    assert len(double.calls) == 1


def test_without_weights_the_sidebar_still_offers_training(app, no_weights, data_folder):
    app.run()
    assert not app.exception
    assert "No model is installed yet." in [caption.value for caption in app.sidebar.caption]
    assert "Start training" in [button.label for button in app.sidebar.button]


def test_data_folders_with_a_table_are_offered(app, double, data_folder):
    app.run()
    chooser = next(box for box in app.sidebar.selectbox if box.label == "Data")
    assert chooser.options == ["data", "second"]


def enqueue(config, started, **options):
    started.append((config, options))
    return RunDirectory(options["data_root"] / "made-up")


def test_nothing_starts_from_the_sidebar_before_problems_were_accepted(app, double, data_folder, monkeypatch):
    (data_folder / "3.wav").write_bytes(b"torn")
    started = []
    monkeypatch.setattr(
        "birdcore.webapp.starting.enqueue_job", lambda config, **options: enqueue(config, started, **options)
    )
    app.run()
    next(button for button in app.sidebar.button if button.label == "Start training").click().run()
    assert not app.exception and started == []
    assert any("1 file cannot be read" in markdown.value for markdown in app.sidebar.markdown)
    next(button for button in app.sidebar.button if button.label == "Start anyway").click().run()
    assert len(started) == 1


def test_starting_a_run_uses_the_settings_given(app, double, data_folder, monkeypatch):
    started = []
    monkeypatch.setattr(
        "birdcore.webapp.starting.enqueue_job", lambda config, **options: enqueue(config, started, **options)
    )
    app.run()
    fields = {field.label: field for field in app.sidebar.number_input}
    fields["Epochs"].set_value(2)
    fields["Windows"].set_value(32)
    fields["Batch size"].set_value(4)
    next(button for button in app.sidebar.button if button.label == "Start training").click().run()
    assert not app.exception
    ((config, options),) = started
    assert (config.architecture, config.epochs, config.windows_per_epoch, config.batch_size) == ("crnn", 2, 32, 4)
    # The folder has nothing but the table of recordings.
    assert config.strong == config.extra_manifest == config.background == ""
    assert options == {"data_root": data_folder, "name": None, "kind": "run"}


def test_a_run_that_cannot_start_says_why(app, double, data_folder, monkeypatch):
    from birdcore.errors import RunError

    def refuse(config, **options):
        raise RunError("night run: is training already; stop it or wait until it has finished")

    monkeypatch.setattr("birdcore.webapp.starting.enqueue_job", refuse)
    app.run()
    next(button for button in app.sidebar.button if button.label == "Start training").click().run()
    assert "is training already" in app.sidebar.error[0].value


def test_a_run_under_way_is_shown_in_any_tab_with_a_way_to_stop_it(app, double, data_folder, tmp_path):
    run = run_of(tmp_path, state="running", step=5, total_steps=10, epoch=1, windows_per_second=20.0, eta_seconds=90)
    run.append_metrics({"epoch": 1, "train_loss": 2.0, "macro_auc": 0.8})
    app.run()
    text = [markdown.value for markdown in app.sidebar.markdown]
    assert any("**tiny** is training." in value for value in text)
    assert "Start training" not in [button.label for button in app.sidebar.button]
    assert len(app.sidebar.get("plotly_chart")) == 1
    progress = app.sidebar.get("progress")[0].proto
    assert progress.value == 50 and progress.text == "epoch 1 of 3, 1.25 steps/s, 20.0 windows/s, 1:30 left"
    next(button for button in app.sidebar.button if button.label == "Stop").click().run()
    assert run.stop_requested()


def test_a_run_that_failed_tells_its_reason_and_the_next_can_start(app, double, data_folder, tmp_path):
    run_of(tmp_path, state="failed", message="out of memory; use a smaller batch_size")
    app.run()
    assert not app.exception
    assert any("has failed" in markdown.value for markdown in app.sidebar.markdown)
    assert any("out of memory" in caption.value for caption in app.sidebar.caption)
    assert "Start training" in [button.label for button in app.sidebar.button]


def test_a_run_whose_heartbeat_stopped_is_called_lost(app, double, data_folder, tmp_path):
    run = run_of(tmp_path, state="running")
    status = json.loads((run.path / "status.json").read_text())
    (run.path / "status.json").write_text(json.dumps(status | {"heartbeat": time.time() - 3600}))
    app.run()
    assert any("has lost its process" in markdown.value for markdown in app.sidebar.markdown)


def test_a_damaged_run_is_left_out(app, double, data_folder, tmp_path):
    run = run_of(tmp_path, state="finished")
    (run.path / "status.json").write_text("{")
    app.run()
    assert not app.exception


def test_weights_of_a_run_can_be_chosen_as_a_model(app, double, data_folder, tmp_path):
    run = run_of(tmp_path, state="finished")
    shipped = tmp_path / "weights" / "crnn"
    (run.path / "weights").mkdir()
    for name in ("config.json", "model.safetensors"):
        (run.path / "weights" / name).write_bytes((shipped / name).read_bytes())
    app.run()
    assert app.sidebar.selectbox[0].options == ["crnn", "tiny (trained here)"]


def test_training_is_off_where_other_computers_can_reach_the_app(app, double, data_folder, monkeypatch):
    monkeypatch.setattr("streamlit.get_option", lambda name: "0.0.0.0")
    app.run()
    assert any("Training is off" in caption.value for caption in app.sidebar.caption)
    assert "Start training" not in [button.label for button in app.sidebar.button]
    monkeypatch.setenv("BIRDCORE_ALLOW_TRAINING", "1")
    app.run()
    assert "Start training" in [button.label for button in app.sidebar.button]
