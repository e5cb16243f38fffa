"""The contents of an audited data set, to look at and to hear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from birdcore.audio.decode import load_audio
from birdcore.data.annotations import UNKNOWN_LABELS
from birdcore.data.audit import Audit
from birdcore.data.checks import AuditedFile, ClassSummary
from birdcore.data.recordings import licence_name
from birdcore.dataset_figures import (
    NamedCounts,
    band_figure,
    chorus_figure,
    count_figure,
    histogram_figure,
    share_figure,
    simultaneous_seconds,
)
from birdcore.errors import BirdcoreError
from birdcore.player_data import event_mark, mark_arguments
from birdcore.webapp.player import PAGE_SECONDS, PageSound, draw_page, playback_rate, show_viewer
from birdcore.webapp.wording import clock, count, plain

__all__ = ["show_dataset_figures", "show_dataset_samples"]

MAX_SAMPLES = 500


def show_dataset_figures(audit: Audit) -> None:
    """The charts, by subject."""
    st.subheader("What is in it")
    titles = ["Species", "Sounds", "Origin"] + (["Boxes"] if audit.num_boxes else [])
    tabs = dict(zip(titles, st.tabs(titles), strict=True))
    with tabs["Species"]:
        _show_species(sorted(audit.classes, key=lambda summary: summary.is_extra))
    with tabs["Sounds"]:
        _show_sounds(audit.files)
    with tabs["Origin"]:
        _show_origin(audit)
    if "Boxes" in tabs:
        with tabs["Boxes"]:
            _show_boxes(audit)


def _draw(title: str, figure: go.Figure, *, caption: str = "") -> None:
    st.markdown(f"**{title}**")
    st.plotly_chart(figure, config={"displayModeBar": False}, alt=title, key=f"dataset-{title}")
    if caption:
        st.caption(caption)


def _show_species(classes: Sequence[ClassSummary]) -> None:
    own = [summary for summary in classes if summary.num_recordings and not summary.is_extra]
    further = [summary for summary in classes if summary.is_extra]
    if own:
        parts = {"Training": [summary.num_train for summary in own], "Test": [summary.num_test for summary in own]}
        if not any(parts["Test"]):
            parts = {"Recordings": parts["Training"]}
        names = _distinct_names(own)
        _draw(
            "Recordings per species",
            count_figure(NamedCounts(names=names, parts=parts), title="Recordings", unit="recordings"),
        )
    if further:
        parts = {"Recordings": [summary.num_recordings for summary in further]}
        _draw(
            "Recordings per further species",
            count_figure(
                NamedCounts(names=_distinct_names(further), parts=parts), title="Recordings", unit="recordings"
            ),
            caption="Species that are there as other birds only.",
        )
    st.dataframe(
        pd.DataFrame(
            {
                "Species": [summary.common_name for summary in classes],
                "Scientific name": [summary.scientific_name for summary in classes],
                "Code": [summary.code for summary in classes],
                "Training": [summary.num_train for summary in classes],
                "Test": [summary.num_test for summary in classes],
                "Groups": [summary.num_groups for summary in classes],
                "Minutes": [summary.duration / 60 for summary in classes],
                "Boxes": [summary.num_boxes for summary in classes],
                "Main source": [next(iter(summary.sources), "") for summary in classes],
            }
        ),
        hide_index=True,
        alt="All species of the data set",
        column_config={
            "Groups": st.column_config.NumberColumn(
                help="Independent recordings: one site, or recordist and day, each"
            ),
            "Minutes": st.column_config.NumberColumn(format="%.1f"),
        },
    )


def _distinct_names(classes: Sequence[ClassSummary]) -> list[str]:
    """Common names; with the code where two species share one, or their bars would fall together."""
    frequency = Counter(summary.common_name for summary in classes)
    return [s.common_name if frequency[s.common_name] == 1 else f"{s.common_name} ({s.code})" for s in classes]


def _show_sounds(files: Sequence[AuditedFile]) -> None:
    facts = [file.facts for file in files if file.facts]
    if not facts:
        st.caption("No sound can be read.")
        return
    left, right = st.columns(2, gap="large")
    with left:
        durations = [fact.duration for fact in facts if fact.duration > 0]
        _draw("Durations", histogram_figure(durations, title="Duration (s)", count_title="Files"))
        rates = Counter(f"{fact.sample_rate / 1000:g} kHz" for fact in facts)
        _draw("Sample rates", share_figure(rates, title="Files", others="other rates"))
    with right:
        levels = [-fact.rms_db for fact in facts if -120 < fact.rms_db < 0]
        if levels:
            _draw("Levels", histogram_figure(levels, title="Mean level (dB below full scale)", count_title="Files"))
        kinds = Counter(f"{fact.format}, {_channels(fact.channels)}" for fact in facts)
        _draw("Formats", share_figure(kinds, title="Files", others="other formats"))


def _channels(number: int) -> str:
    return {1: "mono", 2: "stereo"}.get(number, f"{number} channels")


def _show_origin(audit: Audit) -> None:
    recordings = [*audit.dataset.recordings, *audit.dataset.extra]
    left, right = st.columns(2, gap="large")
    with left:
        sources = Counter(file.source or "not stated" for file in audit.files)
        _draw("Sources and collections", share_figure(sources, title="Files", others="other sources"))
        if recordings:
            kinds = Counter(recording.animal_class or "not stated" for recording in recordings)
            _draw("Recordings per kind of animal", share_figure(kinds, title="Recordings", others="other kinds"))
    with right:
        licences = Counter(licence_name(file.licence) or "not stated" for file in audit.files)
        _draw("Licences", share_figure(licences, title="Files", others="other licences"))
        if recordings:
            species = Counter(s.animal_class or "not stated" for s in audit.classes if s.num_recordings)
            _draw("Species per kind of animal", share_figure(species, title="Species", others="other kinds"))
    ratings = Counter(f"{file.rating:g}" for file in audit.files if file.rating is not None)
    if ratings:
        _draw("Ratings", share_figure(ratings, title="Recordings", others="other ratings"))
    else:
        st.caption("No recording of this data set has a rating.")


def _show_boxes(audit: Audit) -> None:
    names = {s.code: name for s, name in zip(audit.classes, _distinct_names(audit.classes), strict=True)}
    events = [event for annotated in audit.dataset.annotated for event in annotated.events]
    boxes = Counter(names.get(event.label, f"{event.label} (not named)") for event in events)
    _draw(
        "Boxes per species",
        count_figure(
            NamedCounts(names=list(boxes), parts={"Boxes": list(boxes.values())}), title="Boxes", unit="boxes"
        ),
    )
    left, right = st.columns(2, gap="large")
    with left:
        _draw(
            "Durations of boxes",
            histogram_figure([event.duration for event in events], title="Duration (s)", count_title="Boxes"),
        )
    with right:
        _draw(
            "How many sing at once",
            chorus_figure(simultaneous_seconds([annotated.events for annotated in audit.dataset.annotated])),
            caption="Of the time in which there is a box at all.",
        )
    bands: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        if event.fmin is not None and event.label not in UNKNOWN_LABELS:
            bands.setdefault(names.get(event.label, event.label), []).append((event.fmin, event.fmax))
    if bands:
        widths = [(high - low) / 1000 for spans in bands.values() for low, high in spans]
        _draw("Bandwidths of boxes", histogram_figure(widths, title="Bandwidth (kHz)", count_title="Boxes"))
        _draw("Frequency band per species", band_figure(bands))


@st.fragment
def show_dataset_samples(audit: Audit) -> None:
    """Recordings of a species to hear and to look at, with their boxes."""
    st.subheader("Listen")
    by_label: dict[str, list[AuditedFile]] = {}
    for file in audit.files:
        if file.facts:
            for label in file.labels or ("",):
                by_label.setdefault(label, []).append(file)
    names = {summary.code: name for summary, name in zip(audit.classes, _distinct_names(audit.classes), strict=True)}
    extra = {summary.code for summary in audit.classes if summary.is_extra}
    order = sorted(
        (label for label in by_label if label), key=lambda label: (label in extra, names.get(label, label).lower())
    )
    order += [label for label in by_label if not label]  # backgrounds come last
    if not order:
        st.caption("No sound can be read.")
        return
    left, right = st.columns(2)
    label = left.selectbox(
        "Species",
        order,
        format_func=lambda code: (
            f"{names.get(code, code) if code else 'Backgrounds'}: {count(len(by_label[code]), 'file')}"
        ),
        key="dataset-species",
    )
    files = _well_mixed(by_label[label])
    chosen = right.selectbox(
        "Recording",
        range(len(files)),
        format_func=lambda number: _sample_title(files[number]),
        key=f"dataset-sample-{label}",
    )
    file = files[chosen]
    facts = file.facts
    try:
        sound = _sample_sound(str(file.path), facts.digest, min(facts.duration, PAGE_SECONDS), facts.sample_rate)
    except BirdcoreError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    show_viewer(
        sound,
        sound_key=f"dataset-{facts.digest}",
        name=file.path.name,
        key="dataset-player",
        marks=mark_arguments(events=_box_marks(audit, file, names)),
    )
    told = [
        f"{facts.duration:.1f} s, {facts.sample_rate / 1000:g} kHz, {facts.format}",
        f"from {plain(file.source)}" if file.source else "",
        f"licence: {plain(file.licence)}" if file.licence else "",
    ]
    st.caption(". ".join(part for part in told if part) + ".")
    if facts.duration > PAGE_SECONDS:
        st.caption(f"Shown are the first {clock(PAGE_SECONDS)} of {clock(facts.duration)}.")


def _well_mixed(files: Sequence[AuditedFile]) -> list[AuditedFile]:
    """Those with boxes first, then one of each source in turn: the first few show what a species sounds like here."""
    turns: Counter[str] = Counter()
    ranked = []
    for number, file in enumerate(files):
        ranked.append(("boxes" not in file.roles, turns[file.source], number, file))
        turns[file.source] += 1
    return [file for *_, file in sorted(ranked, key=lambda entry: entry[:3])][:MAX_SAMPLES]


def _sample_title(file: AuditedFile) -> str:
    parts = [file.name, "/".join(sorted(file.sides)), "boxes" if "boxes" in file.roles else ""]
    return ", ".join(part for part in parts if part)


def _box_marks(audit: Audit, file: AuditedFile, names: dict[str, str]) -> list[dict[str, object]]:
    events = (event for a in audit.dataset.annotated if a.path == file.path for event in a.events)
    return [
        event_mark(event, identity=number, common_name=names.get(event.label, event.label))
        for number, event in enumerate(events)
        if event.onset < PAGE_SECONDS
    ]


# The digest tells the contents of a path from other contents.
@st.cache_resource(max_entries=12, show_spinner="Drawing the sound …")
def _sample_sound(path: str, digest: str, duration: float, sample_rate: int) -> PageSound:
    rate = playback_rate(sample_rate)
    return draw_page(load_audio(path, sample_rate=rate, duration=duration).samples, rate)
