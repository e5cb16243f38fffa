"""The results of listening to a recording, in reading order: answer, viewer, best species, events, downloads."""

from __future__ import annotations

import contextlib
from pathlib import PurePath

import pandas as pd
import streamlit as st

from birdcore.errors import BirdcoreError
from birdcore.export.audacity import audacity_text
from birdcore.export.raven import raven_text
from birdcore.export.table import table_header, table_rows, table_text
from birdcore.figures import scores_figure
from birdcore.webapp.analysis import Analysis, analyze, remembered
from birdcore.webapp.findings import event_table, find_species, headline, remark, score_table
from birdcore.webapp.models import Listening
from birdcore.webapp.player import choose_page, play_event, show_player, species_colors
from birdcore.webapp.recordings import ChosenRecording
from birdcore.webapp.wording import clock, count, plain

__all__ = ["show_all_recordings", "show_answer", "show_results"]

NUM_BEST = 5

_DOWNLOADS = "downloads"


def show_answer(recording: ChosenRecording, analysis: Analysis) -> None:
    """Which species were found, in one sentence, and what the model cannot tell."""
    st.markdown(f"## {headline(analysis)}")
    st.caption(remark(analysis))
    if analysis.scores.fault:
        st.warning(plain(recording.describe(analysis.scores.fault)), icon=":material/broken_image:")
    if analysis.scores.note:
        st.info(plain(analysis.scores.note), icon=":material/info:")


@st.fragment
def show_results(recording: ChosenRecording, analysis: Analysis) -> None:
    """The viewer, the best species, the table of events, and downloads.

    A fragment: playing, selecting and turning pages leave the rest of the page alone.
    """
    duration = analysis.scores.duration
    page = choose_page(recording, duration)
    heat_species = _choose_heat_species(analysis)
    try:
        show_player(recording, analysis, page=page, heat_species=heat_species)
    except BirdcoreError as error:
        st.error(plain(recording.describe(error)), icon=":material/error:")
    _show_best_species(analysis)
    _show_events(recording, analysis)
    _show_downloads(recording, analysis)


def _choose_heat_species(analysis: Analysis) -> str | None:
    """The species whose time-frequency scores are laid over the spectrogram."""
    if analysis.scores.frames is None:
        return None
    ranked = [name for name, _ in analysis.scores.top(len(analysis.scores.class_names))]
    names = {name.code: name.common for name in ranked}
    return st.selectbox(
        "Heat map on the spectrogram",
        list(names),
        index=None,
        format_func=names.get,
        placeholder="None: choose a species to see where the model hears it",
        key="heat-species",
        persist_state="session",
        width=420,
    )


def _show_events(recording: ChosenRecording, analysis: Analysis) -> None:
    st.subheader("Calls")
    if not analysis.events:
        st.caption(
            f"No call reaches the threshold of {analysis.threshold:.2f}. A lower threshold, in the sidebar, shows more."
        )
        return

    table = event_table(analysis.events, analysis.scores.class_names)
    # Models that tell no band, or kinds of sound instead of species, would fill columns with nothing.
    table = table.drop(
        columns=[c for c in ("Scientific name", "Low", "High") if not table[c].replace("", None).notna().any()]
    )
    table.insert(0, "Play", ":material/play_arrow: Play")
    seconds = {"format": "%.2f s", "width": "small"}
    band = {"format": "%.1f kHz", "width": "small"}
    st.dataframe(
        table,
        hide_index=True,
        alt="Calls found in the recording",
        height=min(420, 38 + 35 * len(table)),
        column_config={
            "Play": st.column_config.ButtonColumn(
                "Play",
                type="tertiary",
                width="small",
                key="play-event",
                on_click=_play_clicked,
                args=(recording, analysis),
            ),
            "Onset": st.column_config.NumberColumn(help="From the start of the recording", **seconds),
            "Offset": st.column_config.NumberColumn(help="From the start of the recording", **seconds),
            "Duration": st.column_config.NumberColumn(**seconds),
            "Low": st.column_config.NumberColumn(help="Lower edge of the call's own band", **band),
            "High": st.column_config.NumberColumn(help="Upper edge of the call's own band", **band),
            "Confidence": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="%.2f"),
        },
    )
    st.caption(f"{count(len(table), 'call')}. Click a column's name to sort by it.")


def _play_clicked(recording: ChosenRecording, analysis: Analysis) -> None:
    click = st.session_state.get("play-event")
    if click:
        play_event(recording, analysis.scores.duration, analysis.events[click["row"]])


def _show_downloads(recording: ChosenRecording, analysis: Analysis) -> None:
    stem = PurePath(recording.name).stem or "recording"
    table, selections, labels = _download_texts(recording, analysis)
    with st.container(horizontal=True, gap="small"):
        for label, text, file_name, mime in (
            ("Table (CSV)", table, f"{stem}.events.csv", "text/csv"),
            ("Raven selections", selections, f"{stem}.Table.1.selections.txt", "text/tab-separated-values"),
            ("Audacity labels", labels, f"{stem}.audacity.txt", "text/plain"),
        ):
            st.download_button(
                label, text, file_name=file_name, mime=mime, icon=":material/download:", on_click="ignore"
            )


def _download_texts(recording: ChosenRecording, analysis: Analysis) -> tuple[str, str, str]:
    """Table, selections and labels, written once per answer: a night of calls takes longer than playing one should.

    Not when clicked: Streamlit forgets a promise made by the run before, and playing a call is a new run.
    """
    # The same answer has the very same events: whoever moves the threshold gets others.
    events, name, texts = st.session_state.get(_DOWNLOADS, (None, "", ("", "", "")))
    if events is not analysis.events or name != recording.name:
        options = {"events": analysis.events, "class_names": analysis.scores.class_names}
        named = {**options, "recording": recording.name}
        texts = table_text(**named), raven_text(**named), audacity_text(**options)
        st.session_state[_DOWNLOADS] = (analysis.events, recording.name, texts)
    return texts


def _show_best_species(analysis: Analysis) -> None:
    """The best species as bars, and beside them as a table."""
    st.subheader("Best species")
    top = analysis.scores.top(NUM_BEST)
    left, right = st.columns([9, 11], gap="medium", vertical_alignment="center")
    left.plotly_chart(
        scores_figure(top, threshold=analysis.threshold, colors=species_colors(analysis)),
        config={"displayModeBar": False},
        alt="Scores: " + ", ".join(f"{name.common} {score:.2f}" for name, score in top),
        key="best-species",
    )
    right.table(score_table(top), border="horizontal", hide_index=True, alt="The best species with their scores")


def show_all_recordings(recordings: list[ChosenRecording], listening: Listening) -> None:
    """A line per recording; those not listened to yet follow one after the other, while the page can be used."""
    st.subheader("All recordings")
    place, bar = st.empty(), st.empty()

    def draw() -> None:
        place.dataframe(
            pd.DataFrame([_summary(recording, listening) for recording in recordings]),
            hide_index=True,
            alt="All recordings of this visit",
            placeholder="",
            column_config={"Score": st.column_config.NumberColumn(format="%.2f")},
        )

    draw()
    for recording in recordings:
        if remembered(recording, listening) is None:
            label = f"Listening to {plain(recording.name)} …"
            # The reason of a failure is remembered, and stands in the table.
            with contextlib.suppress(BirdcoreError):
                analyze(recording, listening, progress=lambda share, label=label: bar.progress(share, text=label))
            draw()
    bar.empty()
    st.download_button(
        "All calls (CSV)",
        _all_events(recordings, listening),
        file_name="events.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _summary(recording: ChosenRecording, listening: Listening) -> dict[str, object]:
    analysis = remembered(recording, listening)
    if not isinstance(analysis, Analysis):
        found = "waiting" if analysis is None else recording.describe(analysis)
        return {"Recording": recording.name, "Length": "", "Found": found, "Score": None, "Calls": None}
    present, _ = find_species(analysis)
    return {
        "Recording": recording.name,
        "Length": clock(analysis.scores.duration),
        "Found": ", ".join(finding.name.common for finding in present) or "no species this model knows",
        "Score": analysis.scores.top(1)[0][1],
        "Calls": len(analysis.events),
    }


def _all_events(recordings: list[ChosenRecording], listening: Listening) -> str:
    """The events of all recordings that were listened to, in one table."""
    lines = [table_header()]
    for recording in recordings:
        analysis = remembered(recording, listening)
        if isinstance(analysis, Analysis):
            names = analysis.scores.class_names
            lines.append(table_rows(analysis.events, class_names=names, recording=recording.name))
    return "".join(lines)
