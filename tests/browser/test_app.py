"""The whole app in a real browser, with the shipped weights and real recordings."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Frame, Page, expect

from birdcore.export.raven import read_raven
from birdcore.export.table import read_table

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 180_000  # ms; loading torch and a model beside other tests takes its time


@dataclass(frozen=True)
class Annotated:
    """A recording that nothing was trained on, and the species that people found in it."""

    path: Path
    species: str
    num_boxes: int


@pytest.fixture(scope="module")
def recording(shared_data: Path) -> Annotated:
    with (shared_data / "strong" / "annotations.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test" and row["filename"].startswith("nbm/")]
    counts = Counter((row["filename"], row["common_name"]) for row in rows)
    (filename, species), num_boxes = counts.most_common(1)[0]
    return Annotated(shared_data / "strong" / filename, species, num_boxes)


@pytest.fixture(scope="module")
def tiny_data(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of two species with a few short recordings each: enough to train on, in seconds."""
    folder = tmp_path_factory.mktemp("data")
    with (shared_data / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    species = [code for code, _ in Counter(row["species_code"] for row in rows).most_common(2)]
    chosen = [row for code in species for row in [row for row in rows if row["species_code"] == code][:6]]
    for row in chosen:
        target = folder / row["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shared_data / row["path"], target)
        row["split"] = "train"
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(chosen)
    return folder


@pytest.fixture(scope="module")
def app_url(run_app: Callable[..., str], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    environment = {
        "BIRDCORE_DATA": str(tiny_data),
        "BIRDCORE_RUNS": str(tmp_path_factory.mktemp("runs")),
        "BIRDCORE_CACHE": str(tmp_path_factory.mktemp("app-cache")),
    }
    return run_app(ROOT / "streamlit_app.py", environment)


@pytest.fixture(scope="module")
def identified(new_shared_page: Callable[..., Page], app_url: str, recording: Annotated) -> Page:
    """The page "Identify birds" with a real recording on it."""
    page = new_shared_page()
    open_app(page, app_url)
    page.locator("input[type=file]").first.set_input_files(recording.path)
    expect(page.get_by_role("heading", name="Best species")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("button", name="Raven selections")).to_be_visible(timeout=PATIENCE)
    return page


def open_app(page: Page, url: str, title: str = "Identify birds") -> None:
    page.goto(url)
    expect(page.get_by_role("heading", name=title)).to_be_visible(timeout=PATIENCE)
    expect(page.locator("input[type=file]").first).to_be_attached(timeout=PATIENCE)


def viewer_of(page: Page) -> Frame:
    """The sound viewer's frame, once it has drawn its sound."""
    handle = page.locator("iframe.stCustomComponentV1").first.element_handle(timeout=PATIENCE)
    frame = handle.content_frame()
    frame.wait_for_selector("#spectrogram[data-start]", timeout=PATIENCE)
    frame.wait_for_function("document.querySelector('#audio').readyState >= 1", timeout=PATIENCE)
    return frame


def current_time(viewer: Frame) -> float:
    return viewer.evaluate("document.querySelector('#audio').currentTime")


def downloaded(page: Page, label: str, folder: Path) -> Path:
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.get_by_test_id("stDownloadButton").filter(has_text=label).get_by_role("button").click()
    target = folder / waiting.value.suggested_filename
    waiting.value.save_as(target)
    return target


def test_the_right_species_is_among_the_best_five(identified: Page, recording: Annotated) -> None:
    table = identified.get_by_test_id("stTable")
    expect(table).to_contain_text(recording.species)
    expect(table.locator("tbody tr")).to_have_count(5)


def test_the_answer_is_one_sentence_with_what_the_model_cannot_tell(identified: Page) -> None:
    expect(
        identified.get_by_text(re.compile(r"This model knows \d+ species; other birds may sing here"))
    ).to_be_visible()


def test_the_viewer_shows_boxes_and_a_lane_for_the_species(identified: Page, recording: Annotated) -> None:
    viewer = viewer_of(identified)
    chips = viewer.locator("[data-label]")
    expect(chips.filter(has_text=recording.species).first).to_be_visible()
    # Box colours of the palette on the spectrogram, which the colour map does not have.
    assert viewer.evaluate(
        """() => {
            const canvas = document.querySelector("#spectrogram");
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            let count = 0;
            for (let i = 0; i < pixels.length; i += 4)
                if (Math.abs(pixels[i] - 0x56) + Math.abs(pixels[i + 1] - 0xb4) + Math.abs(pixels[i + 2] - 0xe9) < 12)
                    count++;
            return count;
        }"""
    )


def test_a_click_on_the_spectrogram_seeks(identified: Page) -> None:
    viewer = viewer_of(identified)
    panel = viewer.locator("#spectrogram")
    box = panel.bounding_box()
    panel.click(position={"x": box["width"] * 0.8, "y": 6})
    viewer.wait_for_function("document.querySelector('#audio').currentTime > 1")
    duration = viewer.evaluate("document.querySelector('#audio').duration")
    assert 0.6 < current_time(viewer) / duration < 0.95


def test_the_button_in_a_row_plays_just_that_call(identified: Page) -> None:
    viewer = viewer_of(identified)
    viewer.evaluate("document.querySelector('#audio').pause()")
    viewer.evaluate("window.playedFrom = null")
    viewer.evaluate(
        "document.querySelector('#audio').addEventListener('play', (e) => { window.playedFrom = e.target.currentTime; })"
    )
    # The table is drawn on a canvas; its first column has the buttons, and its header is as high as a row.
    grid = identified.get_by_label("Calls found in the recording").locator(".dvn-scroller")
    grid.click(position={"x": 40, "y": 35 + 17})
    viewer.wait_for_function("window.playedFrom !== null", timeout=PATIENCE)
    viewer.wait_for_function("document.querySelector('#audio').paused", timeout=PATIENCE)


def test_the_raven_table_can_be_downloaded_and_read(identified: Page, tmp_path: Path) -> None:
    path = downloaded(identified, "Raven selections", tmp_path)
    assert path.name.endswith(".Table.1.selections.txt")
    events = read_raven(path)
    assert events
    assert all(0 <= event.onset < event.offset and event.fmin < event.fmax for event in events)


def test_all_downloads_tell_the_same_events(identified: Page, recording: Annotated, tmp_path: Path) -> None:
    raven = read_raven(downloaded(identified, "Raven selections", tmp_path))
    table = read_table(downloaded(identified, "Table (CSV)", tmp_path))
    labels = downloaded(identified, "Audacity labels", tmp_path).read_text(encoding="utf-8").splitlines()
    assert list(table) == [recording.path.name]
    (events,) = table.values()
    assert [event.onset for event in events] == pytest.approx([event.onset for event in raven], abs=1e-3)
    assert len([line for line in labels if not line.startswith("\\")]) == len(events)


def test_moving_the_threshold_answers_without_listening_again(identified: Page) -> None:
    slider = identified.get_by_role("slider", name="Threshold")
    slider.focus()
    for _ in range(5):
        identified.keyboard.press("ArrowRight")
    expect(identified.get_by_text("threshold 0.55").first).to_be_visible(timeout=PATIENCE)
    for _ in range(5):
        identified.keyboard.press("ArrowLeft")
    expect(identified.get_by_text("threshold 0.50").first).to_be_visible(timeout=PATIENCE)


def test_the_same_recording_can_be_explored(identified: Page, recording: Annotated, tmp_path: Path) -> None:
    identified.get_by_role("link", name="Explore sounds").click()
    expect(identified.get_by_role("heading", name="Explore sounds")).to_be_visible(timeout=PATIENCE)
    expect(identified.get_by_text(recording.path.name).first).to_be_visible(timeout=PATIENCE)
    expect(identified.locator(".stPlotlyChart").nth(1)).to_be_visible(timeout=PATIENCE)
    assert downloaded(identified, "PNG", tmp_path).read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in downloaded(identified, "SVG", tmp_path).read_bytes()[:2000]
    identified.get_by_role("link", name="Identify birds").click()
    expect(identified.get_by_role("button", name="Raven selections")).to_be_visible(timeout=PATIENCE)


def test_the_viewer_turns_the_pages_of_a_long_recording(page: Page, app_url: str, tmp_path: Path) -> None:
    night = tmp_path / "night.flac"
    soundfile.write(night, np.random.default_rng(0).normal(0, 0.01, 330 * 16_000), 16_000)
    open_app(page, app_url)
    page.locator("input[type=file]").first.set_input_files(night)
    expect(page.get_by_text("0:00 to 2:45 of 5:30")).to_be_visible(timeout=PATIENCE)
    viewer_of(page).get_by_role("button", name="Later").click()
    expect(page.get_by_text("2:45 to 5:30 of 5:30")).to_be_visible(timeout=PATIENCE)


def test_nothing_sticks_out_on_a_small_screen(new_page: Callable[..., Page], app_url: str) -> None:
    page = new_page(viewport={"width": 390, "height": 844})
    open_app(page, app_url)
    page.get_by_role("button", name="Listen").first.click()
    expect(page.get_by_role("button", name="Raven selections")).to_be_visible(timeout=PATIENCE)
    main = page.get_by_test_id("stMain")
    assert main.evaluate("(element) => element.scrollWidth <= element.clientWidth")


def test_a_page_opened_by_its_address_has_the_sidebar(browser: Browser, app_url: str) -> None:
    # Not new_page, which minds errors: Streamlit first looks for its own services below the page's address, in vain.
    page = browser.new_page()
    open_app(page, f"{app_url}/explore_sounds", "Explore sounds")
    expect(page.get_by_role("slider", name="Threshold")).to_be_visible(timeout=PATIENCE)
    page.close()


def test_a_tiny_model_is_trained_from_the_sidebar_and_joins_the_others(page: Page, app_url: str) -> None:
    open_app(page, app_url)
    sidebar = page.get_by_test_id("stSidebar")
    sidebar.get_by_test_id("stExpander").get_by_text("Train a model").click()
    for label, value in (("Epochs", "1"), ("Windows", "8"), ("Batch size", "4")):
        field = sidebar.get_by_role("spinbutton", name=label)
        field.fill(value)
        field.press("Tab")
    sidebar.get_by_role("button", name="Start training").click()
    # The tiny data set has what an audit minds: single recordings, unstated licences.
    under_way = sidebar.get_by_text(re.compile("is waiting|is training|has finished"))
    anyway = sidebar.get_by_role("button", name="Start anyway")
    expect(under_way.or_(anyway).first).to_be_visible(timeout=PATIENCE)
    if anyway.is_visible():
        anyway.click()
    expect(under_way).to_be_visible(timeout=PATIENCE)
    page.reload()  # another tab, or the same one later: the run is still there
    panel = sidebar.get_by_test_id("stExpander")
    expect(panel).to_be_visible(timeout=PATIENCE)
    if not panel.get_by_role("link", name="Follow runs").is_visible():
        panel.get_by_text("Train a model").click()
    expect(sidebar.get_by_text("has finished")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name="About models").click()
    page.get_by_test_id("stButtonGroup").get_by_text(re.compile("trained here")).click()
    expect(page.get_by_role("heading", name=re.compile("trained here"))).to_be_visible(timeout=PATIENCE)
