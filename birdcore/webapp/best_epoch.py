"""What a run's best epoch says about the recordings held out: which classes it knows, how sure it is, where it errs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from birdcore.audio.decode import load_audio, probe_audio
from birdcore.errors import BirdcoreError
from birdcore.evaluation.curves import precision_recall
from birdcore.places import data_root, resolve_recording
from birdcore.run_figures import confusion_figure, precision_recall_figure, reliability_figure
from birdcore.training.observation import ObservedRun
from birdcore.webapp.observed import METRIC_TITLES, observer
from birdcore.webapp.player import PageSound, draw_page, playback_rate, show_viewer
from birdcore.webapp.wording import count, joined, plain

__all__ = ["show_best_epoch"]

MISTAKES_PER_PAGE = 2
LONGEST_SECONDS = 60.0  # of a recording that is heard; nothing trained here on longer stretches
MOST_CLASSES_DRAWN = 40
MOST_CONFUSIONS = 12

_EVERY_CLASS = "All classes together"


def show_best_epoch(observed: ObservedRun) -> None:
    """The evaluation of the best epoch so far; of one fold, where the run has several.

    Raises
    ------
    RunError
        If what was written about it is damaged.
    """
    part = _choose_fold(observed) if observed.has_folds else observed
    summary = observer().summary(part.run) if part else None
    if part is None or summary is None:
        st.caption(_why_nothing(part or observed))
        return
    with st.container(horizontal=True, gap="large"):
        st.metric("Best epoch", summary["epoch"], width="content")
        for key, label in METRIC_TITLES.items():
            st.metric(label, "–" if summary[key] is None else f"{summary[key]:.3f}", width="content")
        st.metric("Expected calibration error", _ece(summary), width="content")
        st.metric("Recordings", f"{summary['num_recordings']:,}", width="content")
    st.caption(
        "On the validation recordings, which nothing trained on. The best epoch was chosen by these same recordings, "
        "so the figures lean upwards a little; the test split is the judge."
    )
    names = {row["code"]: row["common"] or row["code"] for row in summary["classes"]}
    _show_classes(summary)
    _show_curves(part, summary, names)
    if summary["confusion"]:
        _show_confusion(part, summary, names)
    _show_mistakes(observed, part, summary, names)


def _why_nothing(observed: ObservedRun) -> str:
    if observed.config.fold < 0:
        return "This run trains on every recording and holds none out, so there is nothing to judge it by."
    if observed.status.is_active:
        return "The first epoch with validation is not complete yet."
    return "This run left no evaluation: it ended before its first epoch did, or is older than this page."


def _choose_fold(observed: ObservedRun) -> ObservedRun | None:
    folds = {fold.name: fold for fold in observer().folds(observed.run)}
    if not folds:
        return None
    return folds[st.selectbox("Fold", list(folds), key=f"fold-of-{observed.name}", width=220)]


def _ece(summary: Mapping[str, Any]) -> str:
    value = summary["reliability"]["ece"]
    return "–" if value is None else f"{value:.3f}"


def _show_classes(summary: Mapping[str, Any]) -> None:
    st.subheader("Each class")
    rows = [
        {
            "Class": row["common"] or row["code"],
            "Scientific name": row["scientific"],
            "Code": row["code"],
            "Recordings": row["support"],
            "ROC-AUC": row["roc_auc"],
            "Average precision": row["average_precision"],
        }
        # What is worst is what one looks for.
        for row in sorted(summary["classes"], key=lambda row: (row["roc_auc"] is None, row["roc_auc"] or 0.0))
    ]
    table = pd.DataFrame(rows)
    st.dataframe(
        table,
        hide_index=True,
        height="auto" if len(rows) < 10 else 360,
        placeholder="",
        alt="Figures of each class, the worst first",
        column_config={
            "Class": st.column_config.TextColumn(pinned=True),
            "ROC-AUC": st.column_config.ProgressColumn(format="%.3f", min_value=0.0, max_value=1.0),
            "Average precision": st.column_config.ProgressColumn(format="%.3f", min_value=0.0, max_value=1.0),
        },
    )
    missing = sum(row["support"] == 0 for row in summary["classes"])
    if missing:
        st.caption(f"{count(missing, 'class')} had no recording to be judged by.")


def _show_curves(part: ObservedRun, summary: Mapping[str, Any], names: Mapping[str, str]) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Precision and recall")
        judged = [row["code"] for row in summary["classes"] if row["support"]]
        code = st.selectbox(
            "Class",
            ["", *judged],
            format_func=lambda code: f"{names[code]} ({code})" if code else _EVERY_CLASS,
            key=f"pr-class-{part.run.path.name}",
        )
        pooled = summary["precision_recall"]
        curves = {_EVERY_CLASS: (pooled["recall"], pooled["precision"], pooled["threshold"])}
        if code:
            curves[names[code]] = _class_curve(part, code)
        st.plotly_chart(
            precision_recall_figure(curves),
            config={"displayModeBar": False},
            alt=f"Precision over recall of {joined(list(curves))}",
            key=f"pr-{part.run.path.name}",
        )
    with right:
        st.subheader("Reliability")
        st.caption("Is what is said with 0.7 right seven times in ten? On the dotted line it would be.")
        st.plotly_chart(
            reliability_figure(summary["reliability"]["bins"]),
            config={"displayModeBar": False},
            alt=f"Share that is right over the score; expected calibration error {_ece(summary)}",
            key=f"reliability-{part.run.path.name}",
        )


def _class_curve(part: ObservedRun, code: str) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    scored = observer().scores(part.run, "validation")
    if scored is None or code not in scored.codes:
        return [], [], []
    column = [scored.codes.index(code)]
    curve = precision_recall(scored.labels[:, column], scored.logits[:, column])
    thresholds = 1 / (1 + np.exp(-np.clip(curve.thresholds, -60, 60)))
    return curve.recall.tolist(), curve.precision.tolist(), thresholds.tolist()


def _show_confusion(part: ObservedRun, summary: Mapping[str, Any], names: Mapping[str, str]) -> None:
    st.subheader("What is taken for what")
    labels, counts = list(names.values()), np.array(summary["confusion"])
    # Only classes that were to be found, or were found by mistake: the others are empty rows.
    drawn = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    if len(drawn) <= MOST_CLASSES_DRAWN:
        st.plotly_chart(
            confusion_figure(counts[np.ix_(drawn, drawn)], names=[labels[number] for number in drawn]),
            config={"displayModeBar": False},
            alt="Confusion matrix: recordings by right class and best-scored class",
            key=f"confusion-{part.run.path.name}",
        )
        return
    st.caption(f"{len(drawn)} classes are too many for a matrix; these are taken for each other most often.")
    np.fill_diagonal(counts, 0)
    most = np.argsort(-counts, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [(row, column) for row, column in zip(*np.unravel_index(most, counts.shape), strict=True)]
    st.dataframe(
        pd.DataFrame(
            [
                {"Right": labels[row], "Taken for": labels[column], "Recordings": counts[row, column]}
                for row, column in pairs
                if counts[row, column]
            ]
        ),
        hide_index=True,
        alt="The most frequent confusions",
    )


def _show_mistakes(
    observed: ObservedRun, part: ObservedRun, summary: Mapping[str, Any], names: Mapping[str, str]
) -> None:
    st.subheader("Worst mistakes")
    mistakes = summary["mistakes"]
    if not mistakes:
        st.caption("In every recording the right class scores best.")
        return
    num_pages = -(-len(mistakes) // MISTAKES_PER_PAGE)
    st.caption(
        "Recordings in which a wrong class beats the right one by most. Listen: a wrong label looks like this, too."
    )
    page = 1
    if num_pages > 1:
        page = st.pagination(num_pages, key=f"mistakes-{part.run.path.name}-{summary['epoch']}")
    first = (page - 1) * MISTAKES_PER_PAGE
    for number, mistake in enumerate(mistakes[first : first + MISTAKES_PER_PAGE], start=first + 1):
        with st.container(border=True):
            _show_mistake(observed, mistake, number, names)


def _show_mistake(observed: ObservedRun, mistake: Mapping[str, Any], number: int, names: Mapping[str, str]) -> None:
    taken = f"**{plain(names[mistake['taken_for']])}** ({mistake['score']:.2f})"
    if mistake["right"]:
        right = f"**{plain(names[mistake['right']])}** ({mistake['right_score']:.2f})"
        st.markdown(f"{number}\\. {right} was taken for {taken}.")
    else:
        st.markdown(f"{number}\\. No known class was taken for {taken}.")
    where = plain(mistake["recording"])
    if mistake["onset"]:
        where += f", from {mistake['onset']:g} s on"
    st.caption(where)
    try:
        path = _locate(observed, mistake["recording"])
        sound = _mistake_sound(
            str(path), path.stat().st_mtime_ns, mistake["onset"], min(mistake["duration"], LONGEST_SECONDS)
        )
    except (BirdcoreError, OSError) as error:
        st.caption(f":material/volume_off: It cannot be heard here: {plain(str(error))}")
        return
    show_viewer(
        sound,
        sound_key=f"{path}-{mistake['onset']:g}",
        name=path.name,
        key=f"mistake-{number}",
        page_onset=mistake["onset"],
    )


def _locate(observed: ObservedRun, recording: str) -> Path:
    """A validation recording on this machine, as far as it lies in a folder that recordings may be opened from.

    Raises
    ------
    DataError
        If it does not.
    """
    root = Path(observed.job.data_root) if observed.job else data_root()
    # Also where the data has moved since: looked for by its name in every configured folder.
    return resolve_recording(root / recording if (root / recording).exists() else recording)


@st.cache_resource(max_entries=12, show_spinner="Drawing the sound …")
def _mistake_sound(path: str, changed: int, onset: float, duration: float) -> PageSound:
    """Decode and draw a validation recording; the date tells its content from an earlier one."""
    rate = playback_rate(probe_audio(path).sample_rate)
    return draw_page(load_audio(path, sample_rate=rate, onset=onset, duration=duration).samples, rate)
