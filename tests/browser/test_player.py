"""The sound viewer in a minimal app, in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Frame, Page, expect

APP = """
import io, json, uuid, wave

import numpy as np
import streamlit as st
import streamlit.components.v1 as components

from birdcore.player_data import (
    PLAYER_FOLDER, HeatMap, mark_arguments, overview_lanes, sound_arguments, species_palette
)

player = components.declare_component("player", path=str(PLAYER_FOLDER))

RATE, PAGE, TOTAL, ROWS = 16_000, 20.0, 60.0, 64
NAMES = {"tit": "Great <b>Tit</b>", "finch": "Chaffinch", "owl": "Tawny Owl"}
EVENTS = [
    dict(id=1, label="tit", onset=2.0, offset=3.0, fmin=3000, fmax=5000, confidence=0.9),
    dict(id=2, label="finch", onset=6.0, offset=6.4, fmin=2000, fmax=6000, confidence=0.6),
    dict(id=3, label="tit", onset=12.0, offset=14.0, fmin=3000, fmax=5000, confidence=0.4),
    dict(id=4, label="owl", onset=25.0, offset=27.0, fmin=500, fmax=1200, confidence=0.8),
]
state = st.session_state
columns = st.columns(5)
if columns[0].button("Afresh") or "runs" not in state:
    state.update(generation=state.get("generation", 0) + 1, runs=0, page=0.0, command=None, threshold=0.0, heat=False, gain=1.0)
state.runs += 1
if columns[1].button("Raise threshold"):
    state.threshold = 0.5
if columns[2].button("Play finch"):
    state.command = {"id": uuid.uuid4().hex, "action": "play", "onset": 6.0, "offset": 6.4, "event_id": 2}
if columns[3].button("Heat map"):
    state.heat = True
if columns[4].button("Half as loud"):
    state.gain = 0.5

times = np.arange(int(PAGE * RATE)) / RATE
events = [{**e, "common_name": NAMES[e["label"]]} for e in EVENTS]
events = [e for e in events if state.page <= e["onset"] < state.page + PAGE and e["confidence"] >= state.threshold]
sound = 0.01 * np.random.default_rng(0).standard_normal(len(times))
for event in EVENTS:
    inside = (times + state.page >= event["onset"]) & (times + state.page < event["offset"])
    sound[inside] += 0.4 * np.sin(2 * np.pi * (event["fmin"] + event["fmax"]) / 2 * times[inside])
file = io.BytesIO()
with wave.open(file, "wb") as writer:
    writer.setparams((1, 2, RATE, 0, "NONE", ""))
    writer.writeframes((state.gain * sound * 32767).astype("<i2").tobytes())
columns = sound.reshape(400, -1)
spectrum = np.abs(np.fft.rfft(columns[:, :128] * np.hanning(128), axis=1))[:, :ROWS].T ** 2
frequencies = np.arange(ROWS + 1) * RATE / 2 / ROWS

with st.container(key=f"viewer-{state.generation}"):
    value = player(
        **sound_arguments(
            sound_key=f"page {state.page}",
            name=f"dawn {state.generation}.wav",
            audio_url_or_data=file.getvalue(),
            mime="audio/wav",
            duration=PAGE,
            page_onset=state.page,
            total_duration=TOTAL,
            envelope=(columns.min(axis=1), columns.max(axis=1)),
            overview=(-np.ones(300) / 2, np.ones(300) / 2),
            spectrogram_db=10 * np.log10(spectrum + 1e-6),
            frequencies=frequencies,
        ),
        **mark_arguments(
            events=events,
            palette=species_palette(["tit", "finch", "owl"]),
            lanes=overview_lanes(
                [(e["onset"], e["offset"], e["label"]) for e in EVENTS],
                duration=TOTAL, common_names=NAMES, palette=species_palette(["tit", "finch", "owl"]),
            ),
            heat=HeatMap(
                label="tit", common_name="Great Tit", probability=np.full((8, 50), 0.9), frequencies=np.arange(9) * 1000,
                onset=state.page, offset=state.page + PAGE,
            ) if state.heat else None,
            command=state.command,
        ),
        key=f"player {state.generation}",
        default=None,
    )
st.text("State " + json.dumps({"generation": state.generation, "runs": state.runs, "value": value}))
if value and value["page_request"] is not None and value["serial"] > state.get("handled", 0):
    state.handled = value["serial"]
    state.page = value["page_request"] // PAGE * PAGE
    st.rerun()
"""

PANELS = ("waveform", "spectrogram", "timeline")


@pytest.fixture(scope="module")
def app_url(run_app: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    script = tmp_path_factory.mktemp("app") / "app.py"
    script.write_text(APP, encoding="utf-8")
    return run_app(script)


def containing(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))


class Viewer:
    """The viewer on a page, as a user sees and handles it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frame = self._frame(self.state()["generation"])
        self.frame.wait_for_function("document.querySelector('#audio').readyState >= 1")

    @classmethod
    def open(cls, page: Page, url: str) -> Viewer:
        page.goto(url)
        return cls(page)

    @classmethod
    def afresh(cls, page: Page) -> Viewer:
        """A viewer as new, on a page that is open already."""
        generation = json.loads(page.get_by_text("State {").inner_text().removeprefix("State "))["generation"] + 1
        page.get_by_role("button", name="Afresh").click()
        page.get_by_text(f'State {{"generation": {generation},').wait_for()
        return cls(page)

    def _frame(self, generation: int) -> Frame:
        place = f".st-key-viewer-{generation} iframe"
        # Streamlit may show an old and a new frame for a moment.
        self.page.wait_for_function(
            "(place) => { const frames = document.querySelectorAll(place); return frames.length === 1"
            " && frames[0].contentDocument?.querySelector('#spectrogram[data-picture=whole]'); }",
            arg=place,
        )
        return self.page.query_selector(place).content_frame()

    @property
    def current_time(self) -> float:
        return self.frame.evaluate("document.querySelector('#audio').currentTime")

    @property
    def paused(self) -> bool:
        return self.frame.evaluate("document.querySelector('#audio').paused")

    def view(self, panel: str = "spectrogram") -> tuple[float, float]:
        return tuple(
            self.frame.evaluate("(id) => ['start', 'end'].map((n) => +document.getElementById(id).dataset[n])", panel)
        )

    def x_of(self, time: float) -> float:
        """Where a time of the recording lies in the panels, in pixels from their left edge."""
        left, width = self.frame.evaluate(
            "['--plot-left', '--plot-width'].map("
            "(n) => parseFloat(getComputedStyle(document.documentElement).getPropertyValue(n)))"
        )
        start, end = self.view()
        return left + (time - start) / (end - start) * width

    def point(self, time: float, y: float) -> dict[str, float]:
        return {"x": self.x_of(time), "y": y}

    def click(self, panel: str, time: float, y: float = 20) -> None:
        self.frame.locator(f"#{panel}").click(position=self.point(time, y))

    def playhead_x(self) -> float:
        return self.frame.evaluate(
            "document.querySelector('#playhead').getBoundingClientRect().left + 1"
            " - document.querySelector('#stage').getBoundingClientRect().left"
        )

    def wait(self, condition: str) -> None:
        """Wait for a condition on ``audio``, ``spectrogram`` and ``selection``."""
        self.frame.wait_for_function(
            "(() => { const [audio, spectrogram, selection] = ['audio', 'spectrogram', 'selection']"
            f".map((id) => document.getElementById(id)); return {condition}; }})()"
        )

    def state(self) -> dict:
        return json.loads(self.page.get_by_text("State {").inner_text().removeprefix("State "))

    def wait_for_value(self, field: str, expected: object) -> dict:
        for _ in range(100):
            value = self.state()["value"]
            if value and value[field] == expected:
                return value
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{field} is not {expected!r} in {self.state()}")


@pytest.fixture(scope="module")
def desk(new_shared_page: Callable[..., Page], app_url: str) -> Page:
    return Viewer.open(new_shared_page(), app_url).page


@pytest.fixture
def viewer(desk: Page) -> Viewer:
    """A new viewer on a screen with a mouse."""
    return Viewer.afresh(desk)


@pytest.fixture(scope="module")
def telephone(new_shared_page: Callable[..., Page], app_url: str) -> Viewer:
    """A viewer on a small touch screen with a dark theme."""
    options = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": "dark"}
    return Viewer.open(new_shared_page(device_scale_factor=3, **options), app_url)


@pytest.mark.parametrize(("panel", "y"), [("waveform", 40), ("spectrogram", 250), ("timeline", 20)])
def test_a_click_on_a_panel_seeks_to_exactly_that_time(viewer: Viewer, panel: str, y: float) -> None:
    viewer.click(panel, 9.37, y)
    viewer.wait("audio.currentTime > 1")
    assert viewer.current_time == pytest.approx(9.37, abs=0.03)  # less than a pixel of the mouse
    assert viewer.playhead_x() == pytest.approx(viewer.x_of(viewer.current_time), abs=1)
    assert viewer.paused


def test_the_playhead_moves_while_playing_and_nothing_is_reported(viewer: Viewer) -> None:
    runs = viewer.state()["runs"]
    before = viewer.playhead_x()
    viewer.frame.get_by_role("button", name="Play", exact=True).click()
    viewer.wait("audio.currentTime > 0.4")
    assert viewer.playhead_x() > before + 10
    viewer.frame.get_by_role("button", name="Pause").click()
    viewer.wait("audio.paused")
    assert viewer.playhead_x() == pytest.approx(viewer.x_of(viewer.current_time), abs=1)
    assert viewer.state()["runs"] == runs
    assert viewer.state()["value"] is None


def test_a_click_on_a_box_plays_just_that_event_and_reports_it(viewer: Viewer) -> None:
    # 4 kHz is half way up this linear axis of 0 to 8 kHz.
    viewer.click("spectrogram", 2.5, 146)
    viewer.wait("!audio.paused")
    value = viewer.wait_for_value("event_id", 1)
    assert value["selection"] == [2.0, 3.0]
    assert value["page_request"] is None
    viewer.wait("audio.paused")
    assert viewer.current_time == pytest.approx(3.0, abs=0.02)
    assert "Great <b>Tit</b> 0.90" in viewer.frame.locator("#chosen").inner_text()


def test_a_click_on_a_bar_of_the_timeline_plays_that_event(viewer: Viewer) -> None:
    viewer.click("timeline", 6.2, 32 + 20)
    viewer.wait_for_value("event_id", 2)
    viewer.wait("audio.paused && audio.currentTime > 6.3")
    assert viewer.current_time == pytest.approx(6.4, abs=0.02)


def test_zoom_acts_on_all_panels_and_keeps_the_time_under_the_pointer(viewer: Viewer) -> None:
    x = viewer.x_of(5.0)
    viewer.frame.locator("#waveform").hover(position={"x": x, "y": 30})
    viewer.page.keyboard.down("Control")
    viewer.page.mouse.wheel(0, -500)
    viewer.page.keyboard.up("Control")
    viewer.wait("spectrogram.dataset.end - spectrogram.dataset.start < 10")
    assert len({viewer.view(panel) for panel in PANELS}) == 1
    assert viewer.x_of(5.0) == pytest.approx(x, abs=2)
    viewer.frame.get_by_role("button", name="Show everything").click()
    viewer.wait("spectrogram.dataset.end - spectrogram.dataset.start === 20")
    assert {viewer.view(panel) for panel in PANELS} == {(0.0, 20.0)}


def test_the_plain_wheel_scrolls_the_page_instead_of_zooming(viewer: Viewer) -> None:
    viewer.frame.locator("#waveform").hover()
    top = viewer.page.locator("iframe.stCustomComponentV1").bounding_box()["y"]
    viewer.page.mouse.wheel(0, 100)
    viewer.page.wait_for_function(
        "(top) => document.querySelector('iframe.stCustomComponentV1').getBoundingClientRect().top < top", arg=top
    )
    assert viewer.view() == (0.0, 20.0)


def test_a_zoomed_view_turns_its_page_under_the_playhead(viewer: Viewer) -> None:
    viewer.click("waveform", 1.0, 40)
    for _ in range(6):
        viewer.page.keyboard.press("+")
    viewer.wait("spectrogram.dataset.end - spectrogram.dataset.start < 2")
    _, end = viewer.view()
    viewer.page.keyboard.press("Space")
    viewer.wait(f"spectrogram.dataset.start > {end - 0.3}")
    start, end = viewer.view()
    assert start <= viewer.current_time <= end


def test_a_zoomed_spectrogram_is_made_sharper_from_the_sound(viewer: Viewer) -> None:
    viewer.click("waveform", 12.5, 40)
    for _ in range(8):
        viewer.page.keyboard.press("+")
    viewer.wait("spectrogram.dataset.picture === 'sharp'")
    # The tone of the event at 4 kHz is bright where the event is, and dark before it, in the same row.
    levels = viewer.frame.evaluate(
        "(xs) => { const c = document.querySelector('#spectrogram'); const r = window.devicePixelRatio;"
        " return xs.map((x) => { const p = c.getContext('2d').getImageData(x * r, 146 * r, 1, 1).data;"
        " return p[0] + p[1] + p[2]; }); }",
        [viewer.x_of(12.3), viewer.x_of(11.9)],
    )
    assert levels[0] > levels[1] + 150


def test_keys_seek_zoom_and_step_through_the_events(viewer: Viewer) -> None:
    press = viewer.page.keyboard.press
    viewer.frame.locator("#playhead").focus()
    press("ArrowRight")
    press("Shift+ArrowRight")
    viewer.wait("Math.abs(audio.currentTime - 1.1) < 0.01")
    press("ArrowLeft")
    viewer.wait("Math.abs(audio.currentTime - 0.1) < 0.01")
    press("End")
    viewer.wait("audio.currentTime > 19.9")
    press("Home")
    viewer.wait("audio.currentTime === 0")
    press("]")
    viewer.wait_for_value("event_id", 1)
    press("]")
    viewer.wait_for_value("event_id", 2)
    press("[")
    viewer.wait_for_value("event_id", 1)
    press("z")
    viewer.wait("spectrogram.dataset.end - spectrogram.dataset.start < 2")
    press("0")
    viewer.wait("spectrogram.dataset.end - spectrogram.dataset.start === 20")
    press("Escape")
    assert viewer.wait_for_value("event_id", None)["selection"] is None
    viewer.wait("audio.paused")
    press("Space")
    viewer.wait("!audio.paused")
    press("Space")
    viewer.wait("audio.paused")
    press("?")
    expect(viewer.frame.get_by_role("dialog", name="Keys and gestures")).to_be_visible()
    press("Escape")
    expect(viewer.frame.get_by_role("dialog")).to_be_hidden()


def test_everything_can_be_reached_with_tab_and_shows_its_focus(viewer: Viewer) -> None:
    viewer.click("waveform", 1.0, 40)
    viewer.frame.evaluate("document.activeElement.blur()")
    viewer.frame.locator("#previous-event").focus()
    reached = {}
    for _ in range(40):
        identity, outline = viewer.frame.evaluate(
            "[document.activeElement.id || document.activeElement.dataset.label,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached[identity] = outline
        viewer.page.keyboard.press("Tab")
        if viewer.frame.evaluate("document.activeElement === document.body || !document.hasFocus()"):
            break
    wanted = {"previous-event", "play", "next-event", "speed", "loop", "drag-select", "drag-pan", "zoom-in"}
    wanted |= {"display-toggle", "keys-toggle", "tit", "finch", "playhead", "page-on"}
    assert wanted <= reached.keys()
    assert {reached[identity] for identity in wanted - {"previous-event"}} == {"solid"}


def test_pictures_say_in_words_what_they_show(viewer: Viewer) -> None:
    name = "Spectrogram from 0 to 20 s, 0.00 kHz to 8.00 kHz; 3 events of 2 species: Great <b>Tit</b> 2, Chaffinch 1"
    expect(viewer.frame.get_by_role("img", name=name)).to_be_visible()
    expect(viewer.frame.get_by_role("application", name=containing("Sound viewer: dawn "))).to_be_visible()
    expect(viewer.frame.get_by_role("slider", name="Position")).to_have_attribute(
        "aria-valuetext", "0.0 of 20.0 seconds"
    )


def test_a_species_is_switched_off_and_on(viewer: Viewer) -> None:
    chip = viewer.frame.get_by_role("button", name="Great <b>Tit</b>, 2 events")
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "false")
    expect(viewer.frame.locator("#spectrogram")).to_have_attribute(
        "aria-label", containing("1 event of 1 species: Chaffinch 1")
    )
    viewer.click("spectrogram", 2.5, 146)  # where its box was
    viewer.wait("Math.abs(audio.currentTime - 2.5) < 0.03")
    assert viewer.state()["value"] is None
    chip.click()
    expect(viewer.frame.locator("#spectrogram")).to_have_attribute("aria-label", containing("3 events of 2 species"))


def test_names_are_shown_as_text_and_never_as_markup(viewer: Viewer) -> None:
    expect(viewer.frame.locator(".chip .name").first).to_have_text("Great <b>Tit</b>")
    viewer.frame.locator("#spectrogram").hover(position=viewer.point(2.5, 146))
    expect(viewer.frame.locator("#tooltip-name")).to_have_text("Great <b>Tit</b>")
    assert viewer.frame.locator("b").count() == 0


def test_the_pointer_reads_time_frequency_level_and_event(viewer: Viewer) -> None:
    viewer.frame.locator("#spectrogram").hover(position=viewer.point(2.5, 146))
    readout = viewer.frame.locator("#pointer")
    expect(readout).to_contain_text(" · 4.00 kHz · ")
    expect(readout).to_contain_text("0:02.5")
    expect(readout).to_contain_text("dB")
    expect(viewer.frame.locator("#tooltip")).to_contain_text("Confidence 0.90")
    viewer.page.mouse.move(5, 5)
    expect(viewer.frame.locator("#tooltip")).to_be_hidden()


def test_a_drag_selects_a_stretch_that_plays_alone_and_loops(viewer: Viewer) -> None:
    box = viewer.frame.locator("#waveform").bounding_box()
    viewer.page.mouse.move(box["x"] + viewer.x_of(8.0), box["y"] + 30)
    viewer.page.mouse.down()
    viewer.page.mouse.move(box["x"] + viewer.x_of(8.5), box["y"] + 34, steps=4)
    viewer.page.mouse.up()
    value = viewer.wait_for_value("event_id", None)
    assert value["selection"] == pytest.approx([8.0, 8.5], abs=0.03)
    viewer.frame.locator("#play-selection").click()
    viewer.wait("audio.paused && audio.currentTime > 8.4")
    assert viewer.current_time == pytest.approx(8.5, abs=0.05)
    viewer.frame.locator("#loop").click()
    viewer.page.keyboard.press("p")
    viewer.wait("audio.currentTime > 8.3")
    viewer.wait("audio.currentTime < 8.2 && !audio.paused")
    viewer.page.keyboard.press("Escape")
    assert viewer.wait_for_value("selection", None)["event_id"] is None


def test_the_other_drag_tool_moves_the_view(viewer: Viewer) -> None:
    viewer.frame.get_by_role("button", name="Zoom in").click()
    viewer.frame.get_by_role("button", name="Drag to move").click()
    start, end = viewer.view()
    box = viewer.frame.locator("#spectrogram").bounding_box()
    viewer.page.mouse.move(box["x"] + 600, box["y"] + 250)
    viewer.page.mouse.down()
    viewer.page.mouse.move(box["x"] + 400, box["y"] + 250, steps=4)
    viewer.page.mouse.up()
    viewer.wait(f"spectrogram.dataset.start > {start + 1}")
    assert viewer.view()[1] - viewer.view()[0] == pytest.approx(end - start)
    expect(viewer.frame.locator("#selection")).to_be_hidden()


def test_speed_changes_the_rate_of_the_sound(viewer: Viewer) -> None:
    viewer.frame.get_by_label("Play speed").select_option("0.25")
    viewer.wait("audio.playbackRate === 0.25 && !audio.preservesPitch")


def test_levels_and_colour_map_change_in_the_browser_alone(viewer: Viewer) -> None:
    runs = viewer.state()["runs"]
    red = "document.querySelector('#spectrogram').getContext('2d').getImageData(200, 250, 1, 1).data[0]"
    viewer.frame.get_by_role("button", name="Display", exact=True).click()
    viewer.frame.get_by_label("Colour map").select_option("gray_r")
    viewer.frame.wait_for_function(f"{red} > 90")
    viewer.frame.get_by_label("Darkest").fill("0")
    viewer.frame.wait_for_function(f"{red} === 255")
    assert viewer.state()["runs"] == runs
    viewer.frame.evaluate("sessionStorage.clear()")  # where the colour map is remembered


def test_new_events_keep_the_zoom_the_position_and_the_frame(viewer: Viewer) -> None:
    viewer.click("waveform", 9.0, 40)
    viewer.page.keyboard.press("+")
    viewer.wait("spectrogram.dataset.end - spectrogram.dataset.start < 20")
    before = viewer.view()
    viewer.frame.evaluate("window.untouched = true")
    viewer.page.get_by_role("button", name="Raise threshold").click()
    expect(viewer.frame.locator("#timeline")).to_have_attribute(
        "aria-label", containing("1 event of 1 species: Chaffinch 1")
    )
    assert viewer.view() == before
    assert viewer.current_time == pytest.approx(9.0, abs=0.03)
    assert viewer.frame.evaluate("window.untouched")


def test_an_exchanged_sound_plays_on_where_the_other_was(viewer: Viewer) -> None:
    viewer.click("waveform", 9.0, 40)
    viewer.page.keyboard.press("Space")
    viewer.wait("!audio.paused")
    source = viewer.frame.evaluate("document.querySelector('#audio').src")
    viewer.page.get_by_role("button", name="Half as loud").click()
    viewer.wait(f"audio.src !== {json.dumps(source)} && !audio.paused && audio.currentTime > 9")
    viewer.frame.get_by_role("button", name="Pause").click()
    viewer.wait("audio.paused")


def test_python_plays_an_event_once(viewer: Viewer) -> None:
    viewer.page.get_by_role("button", name="Play finch").click()
    viewer.wait("audio.currentTime > 6.05")
    viewer.wait("audio.paused && Math.abs(audio.currentTime - 6.4) < 0.02")
    expect(viewer.frame.locator("#chosen")).to_contain_text("Chaffinch 0.60")
    viewer.click("waveform", 1.0, 40)
    viewer.wait("audio.currentTime < 1.1")
    viewer.page.get_by_role("button", name="Raise threshold").click()
    expect(viewer.frame.locator(".chip")).to_have_count(2)
    assert viewer.paused
    assert viewer.current_time == pytest.approx(1.0, abs=0.03)


def test_the_overview_asks_for_another_page_and_goes_there(viewer: Viewer) -> None:
    box = viewer.frame.locator("#overview").bounding_box()
    # The strip is 60 s wide, the panels above it 20 s: 26 s of the recording lie where 26 / 3 s of the page do.
    viewer.page.mouse.click(box["x"] + viewer.x_of(26 / 3), box["y"] + 20)
    viewer.wait("spectrogram.dataset.start === '20'")
    viewer.wait("Math.abs(audio.currentTime - 6) < 0.1 && audio.readyState > 0")
    expect(viewer.frame.locator("#page-text")).to_have_text("0:20 – 0:40 of 1:00")
    expect(viewer.frame.locator("#spectrogram")).to_have_attribute("aria-label", containing("Tawny Owl 1"))
    viewer.page.keyboard.press("PageDown")
    viewer.wait("spectrogram.dataset.start === '40'")
    expect(viewer.frame.get_by_role("button", name="Later")).to_be_disabled()
    viewer.frame.get_by_role("button", name="Earlier").click()
    viewer.wait("spectrogram.dataset.start === '20'")


@pytest.mark.parametrize("screen", ["viewer", "telephone"])
def test_the_overview_has_a_lane_per_species_of_the_whole_recording(
    screen: str, request: pytest.FixtureRequest
) -> None:
    shown: Viewer = request.getfixturevalue(screen)
    strip = shown.frame.locator("#overview")
    expect(strip).to_have_attribute(
        "aria-label", containing("events in all of it: Great <b>Tit</b> 2, Chaffinch 1, Taw")
    )

    def is_colored(time: float, lane: int) -> bool:
        """Whether a time in a lane is drawn in a strong colour, as no background is."""
        red, green, blue, _ = shown.frame.evaluate(
            "([x, y]) => { const strip = document.getElementById('overview'); const ratio = window.devicePixelRatio;"
            " return [...strip.getContext('2d').getImageData(x * ratio, y * ratio, 1, 1).data]; }",
            [shown.x_of(time / 3), 36 + 21 * lane + 16],  # the strip is 60 s wide, the panels above it 20 s
        )
        return max(red, green, blue) - min(red, green, blue) > 80

    heard = {(2.5, 0), (13.0, 0), (6.2, 1), (26.0, 2)}
    for time in (2.5, 6.2, 13.0, 26.0, 45.0):
        for lane in range(3):
            assert is_colored(time, lane) == ((time, lane) in heard)


def test_a_press_on_a_lane_asks_for_the_page_there(viewer: Viewer) -> None:
    viewer.frame.locator("#overview").click(position={"x": viewer.x_of(26 / 3), "y": 36 + 21 * 2 + 16})
    viewer.wait("spectrogram.dataset.start === '20'")
    viewer.wait("Math.abs(audio.currentTime - 6) < 0.1 && audio.readyState > 0")


def test_the_heat_map_of_a_species_is_laid_over_the_spectrogram(viewer: Viewer) -> None:
    green = "document.querySelector('#spectrogram').getContext('2d').getImageData(600, 30, 1, 1).data[1]"
    viewer.page.get_by_role("button", name="Heat map").click()
    expect(viewer.frame.get_by_text("Heat map: probability of Great Tit")).to_be_visible()
    opacity = viewer.frame.get_by_label("Opacity")
    opacity.fill("0")
    bare = viewer.frame.evaluate(green)
    opacity.fill(opacity.get_attribute("max"))
    viewer.frame.wait_for_function(f"{green} > {bare + 40}")
    opacity.fill("0")
    viewer.frame.wait_for_function(f"{green} < {bare + 40}")


def test_it_fits_a_telephone(telephone: Viewer) -> None:
    width, content, height, own = telephone.frame.evaluate(
        "[innerWidth, document.documentElement.scrollWidth,"
        " innerHeight, document.querySelector('#player').offsetHeight]"
    )
    assert content <= width <= 390
    assert height == pytest.approx(own, abs=1)


def test_canvases_have_the_pixels_of_the_screen(telephone: Viewer) -> None:
    drawn, shown = telephone.frame.evaluate(
        "[document.querySelector('#waveform').width, document.querySelector('#waveform').clientWidth]"
    )
    assert drawn == pytest.approx(3 * shown, abs=3)


def test_a_tap_seeks_and_a_pinch_zooms(telephone: Viewer) -> None:
    waveform = telephone.frame.locator("#waveform")
    waveform.tap(position=telephone.point(9.0, 30))
    telephone.wait("Math.abs(audio.currentTime - 9) < 0.2")
    waveform.scroll_into_view_if_needed()
    box = waveform.bounding_box()
    middle, y = box["x"] + telephone.x_of(10.0), box["y"] + 30
    touches = telephone.page.context.new_cdp_session(telephone.page)
    for kind, gap in [("touchStart", 20), ("touchMove", 40), ("touchMove", 80), ("touchEnd", None)]:
        points = [] if gap is None else [{"x": middle + side * gap, "y": y, "id": side} for side in (0, 1)]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    telephone.wait("spectrogram.dataset.end - spectrogram.dataset.start < 10")
    assert len({telephone.view(panel) for panel in PANELS}) == 1


def test_it_follows_the_dark_theme(telephone: Viewer) -> None:
    background, text = telephone.frame.evaluate(
        "['backgroundColor', 'color'].map((name) => getComputedStyle(document.querySelector('#player'))[name])"
        ".map((color) => color.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0))"
    )
    assert background < 150
    assert text > 600
