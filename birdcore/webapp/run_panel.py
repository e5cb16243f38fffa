"""One training run: its state, what can be done with it, its curves, its log and its settings."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from birdcore.config import to_dict
from birdcore.errors import BirdcoreError
from birdcore.run_figures import curves_figure
from birdcore.training.jobs import continue_job, delete_job, pause_job, resume_job, retry_job, stop_job
from birdcore.training.observation import ObservedRun
from birdcore.training.run_directory import RunDirectory
from birdcore.webapp.best_epoch import show_best_epoch
from birdcore.webapp.observed import (
    FIGURE_TITLES,
    SHARES,
    STATES,
    curves_of,
    metrics_csv,
    metrics_of,
    observer,
    progress_text,
    runs_json,
)
from birdcore.webapp.starting import training_allowed
from birdcore.webapp.wording import clock, count, plain

__all__ = [
    "CARDS",
    "CHANGED",
    "POLL_SECONDS",
    "PROBLEM",
    "RUN",
    "attempt",
    "show_buttons",
    "show_problem",
    "show_progress",
    "show_run",
    "show_state",
    "take_change",
]

POLL_SECONDS = 2.0
LOG_BYTES, LOG_LINES = 64 * 1024, 300

RUN = "run"
"""Where the visit keeps which run is chosen; also the name in the page's address."""

CARDS = "runs_with_card"
"""Where it keeps the runs whose state and buttons stand at the top of the page already."""

PROBLEM, CHANGED = "run_problem", "runs_changed"
"""Where it keeps what went wrong, and that something was done."""

_PARTS = ("Progress", "Best epoch", "Log", "Settings")


def show_run(observed: ObservedRun) -> None:
    """One run in full: state and buttons, then its progress, its best epoch, its log or its settings."""
    every = POLL_SECONDS if observed.status.is_active else None
    st.fragment(_run_panel, run_every=every)(str(observed.run.path))


def _run_panel(path: str) -> None:
    try:
        observed = observer().observe(RunDirectory(Path(path)))
    except BirdcoreError:  # deleted by somebody else
        st.rerun()
    if take_change():
        st.rerun()
    if observed.name not in st.session_state.get(CARDS, ()):
        show_state(observed)
        show_progress(observed) if observed.status.is_active else st.caption(progress_text(observed))
        show_buttons(observed, place="panel")
    part = st.segmented_control(
        "Show",
        _PARTS,
        default=_PARTS[0],
        required=True,
        key="run-part",
        persist_state="session",
        label_visibility="collapsed",
    )
    try:
        if part == "Progress":
            _show_curves(observed)
        elif part == "Best epoch":
            show_best_epoch(observed)
        elif part == "Log":
            _show_log(observed)
        else:
            _show_settings(observed)
    except BirdcoreError as error:
        st.error(plain(str(error)), icon=":material/error:")


def show_state(observed: ObservedRun) -> None:
    """What a run is doing, and why it ended."""
    status = observed.status
    icon, verb = STATES[status.state]
    st.markdown(f"{icon} **{plain(observed.name)}** {verb}.")
    if status.state == "failed":
        st.error(plain(status.message or "It left no reason; the log may tell."))
    elif status.message:
        st.caption(plain(status.message))
    if status.state == "lost":
        st.caption(
            f"It has given no sign of life for {clock(time.time() - status.heartbeat)}. "
            "Resume goes on from its last checkpoint."
        )


def show_progress(observed: ObservedRun) -> None:
    """How far a run is that is under way."""
    status = observed.status
    share = status.step / status.total_steps if status.total_steps else 0.0
    text = progress_text(observed)
    if observed.run.stop_requested():
        text += "; stopping after this step …"
    elif status.state == "running" and observed.run.pause_requested():
        text += "; pausing after this step …"
    st.progress(min(1.0, share), text=text)


def show_buttons(observed: ObservedRun, *, place: str) -> None:
    """What can be done with a run in its state."""
    allowed, reason = training_allowed()
    if not allowed:
        st.caption(reason)
        return
    run, state = observed.run, observed.status.state
    stopping = observed.status.is_active and run.stop_requested()

    def button(label: str, icon: str, action: Callable[[RunDirectory], object], help: str) -> None:
        st.button(
            label,
            icon=icon,
            help=help,
            on_click=_act,
            args=(action, run),
            disabled=stopping,
            key=f"{place}-{label}-{run.name}",
        )

    with st.container(horizontal=True, gap="small"):
        if state in ("waiting", "running"):
            if run.pause_requested():
                button("Continue", ":material/play_arrow:", continue_job, "Do not pause after all.")
            else:
                button("Pause", ":material/pause:", pause_job, "Hold after this step; memory and place are kept.")
        if state == "paused":
            button("Continue", ":material/play_arrow:", continue_job, "Go on with the next step.")
        if observed.status.is_active:
            button("Stop", ":material/stop:", stop_job, "Save and end after this step; it can be resumed later.")
        if state in ("stopped", "failed", "lost"):
            button("Resume", ":material/play_arrow:", resume_job, "Go on from the last checkpoint.")
        if not observed.status.is_active:
            button("Retry", ":material/replay:", retry_job, "Train the same settings anew, as a run of its own.")
        if not observed.status.has_process:
            # Under a name of its own, so that it is closed again for the next run.
            with st.popover("Delete", icon=":material/delete:", key=f"{place}-delete-{run.name}"):
                st.markdown(
                    f"Delete **{plain(run.name)}** with its checkpoint, its weights and its figures? "
                    "This cannot be undone. Published models stay."
                )
                button("Delete for good", ":material/delete_forever:", delete_job, "Removes the run's folder.")


def _act(action: Callable[[RunDirectory], object], run: RunDirectory) -> None:
    if not training_allowed()[0]:
        return
    made = attempt(lambda: action(run))
    if isinstance(made, RunDirectory) and made.path != run.path:
        st.session_state[RUN] = made.name


def attempt(action: Callable[[], object]) -> object:
    """Do what was asked for; what goes wrong is shown with the whole page, which is drawn anew."""
    st.session_state[CHANGED] = True
    try:
        return action()
    except (BirdcoreError, OSError) as error:
        st.session_state[PROBLEM] = str(error)
        return None


def take_change() -> bool:
    """Whether a run was changed since this was last asked; the page is then to be drawn anew."""
    return st.session_state.pop(CHANGED, False)


def show_problem() -> None:
    """What went wrong when something was done with a run; once."""
    problem = st.session_state.pop(PROBLEM, None)
    if problem:
        st.error(plain(problem), icon=":material/error:")


def _show_curves(observed: ObservedRun) -> None:
    """Every figure of the run over its epochs, of each fold where it has folds."""
    if observed.has_folds:
        _show_folds(observed)
    metrics = metrics_of(observed)
    if not any(metrics.values()):
        st.caption("No epoch is complete yet; each adds a point to the charts that will be here.")
        return
    smoothing = st.slider(
        "Smoothing",
        0.0,
        0.95,
        0.0,
        0.05,
        key="smoothing",
        persist_state="session",
        width=320,
        help="Draws a smoothed curve on top; what was measured stays.",
    )
    measured = {key for rows in metrics.values() for row in rows for key, value in row.items() if value is not None}
    if not any(row.get("train_localization_loss") for rows in metrics.values() for row in rows):
        measured.discard("train_localization_loss")  # a network that does not localize, or does not learn to
    columns = st.columns(2, gap="medium")
    shown = [(column, title) for column, title in FIGURE_TITLES.items() if column in measured]
    for number, (column, title) in enumerate(shown):
        # A learning rate is set, not measured: there is nothing to smooth.
        is_rate = column == "learning_rate"
        with columns[number % 2]:
            st.plotly_chart(
                curves_figure(
                    curves_of(metrics, column),
                    title=title,
                    smoothing=0.0 if is_rate else smoothing,
                    share=column in SHARES,
                    logarithmic=is_rate and all(row.get(column) for rows in metrics.values() for row in rows),
                ),
                config={"displayModeBar": False},
                alt=f"{title} over the epochs of {observed.name}",
                key=f"curve-{column}-{observed.name}",
            )
    _show_downloads(observed)


def _show_folds(observed: ObservedRun) -> None:
    folds = observer().folds(observed.run)
    if not folds:
        return
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Fold": fold.name,
                    "State": fold.status.state,
                    "Epoch": f"{fold.status.epoch} of {fold.config.epochs}",
                    "Best macro AUC": fold.status.best,
                }
                for fold in folds
            ]
        ),
        hide_index=True,
        placeholder="",
        alt="The folds of this cross-validation",
        column_config={"Best macro AUC": st.column_config.NumberColumn(format="%.3f")},
    )


def _show_downloads(observed: ObservedRun) -> None:
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Figures per epoch (CSV)",
            functools.partial(_metrics_file, observed),
            file_name=f"{observed.name}.metrics.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key=f"csv-{observed.name}",
        )
        st.download_button(
            "Everything (JSON)",
            functools.partial(runs_json, [observed]),
            file_name=f"{observed.name}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
            key=f"json-{observed.name}",
        )


def _metrics_file(observed: ObservedRun) -> str:
    return metrics_csv(metrics_of(observed))


def _show_log(observed: ObservedRun) -> None:
    """The end of what the training process printed."""
    log = observed.run.log
    if not log.is_file():
        st.caption("There is no log: this run was started from a terminal, which shows what it prints.")
        return
    with open(log, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    # The first line may be a piece of one; progress bars overwrite theirs.
    lines = text.splitlines()[1 if size > LOG_BYTES else 0 :][-LOG_LINES:]
    st.code("\n".join(lines) or "Nothing has been printed yet.", language=None, height=420)
    st.caption(f"The last {count(len(lines), 'line')} of `{log}`.")


def _show_settings(observed: ObservedRun) -> None:
    settings = to_dict(observed.config)
    st.dataframe(
        pd.DataFrame([{"Setting": key, "Value": str(value)} for key, value in settings.items()]),
        hide_index=True,
        height=420,
        alt=f"Settings of {observed.name}",
    )
    st.caption(f"In `{observed.run.path / 'config.json'}`.")
    _show_downloads(observed)
