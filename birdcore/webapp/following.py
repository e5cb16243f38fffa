"""Following training runs: which there are, how far each is, and what can be done with it.

Nothing about a run is kept in the visit: any tab and any visitor sees the same, and a run goes on when all have left.
"""

from __future__ import annotations

import functools
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import streamlit as st

from birdcore.config import to_dict
from birdcore.errors import BirdcoreError
from birdcore.places import runs_root
from birdcore.run_figures import curves_figure
from birdcore.training.jobs import (
    advance_queue,
    continue_job,
    delete_job,
    max_active,
    pause_job,
    resume_job,
    retry_job,
    set_max_active,
    stop_job,
)
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
from birdcore.webapp.routing import TRAIN_PAGE
from birdcore.webapp.starting import training_allowed
from birdcore.webapp.wording import clock, count, plain

__all__ = ["all_runs", "choose_run", "choose_view", "show_desk", "show_no_runs", "show_run"]

POLL_SECONDS = 2.0
MOST_CARDS = 8  # runs under way that are shown with their buttons; the others are in the table
TABLE_HEIGHT = 320  # pixels; more runs scroll
LOG_BYTES, LOG_LINES = 64 * 1024, 300
GIGABYTE = 1e9

_RUN = "run"  # also the name in the page's address
_PROBLEM, _CHANGED, _LISTED, _CARDS = "run_problem", "runs_changed", "runs_listed", "runs_with_card"
VIEWS = ("One run", "Compare runs")
_PARTS = ("Progress", "Best epoch", "Log", "Settings")


def all_runs() -> list[ObservedRun]:
    """The runs that can be read, newest first; the queue moves on first, if it can."""
    try:
        advance_queue()
    except (BirdcoreError, OSError) as error:  # such as a folder that may only be read
        st.session_state[_PROBLEM] = f"The queue cannot move on: {error}"
    return observer().runs()


def show_no_runs() -> None:
    """What to do where nothing was ever trained."""
    st.info(
        f"**Nothing has been trained yet.** What you train appears here. Runs lie in `{runs_root()}`; the environment "
        "variable BIRDCORE_RUNS names another folder.",
        icon=":material/model_training:",
    )
    st.page_link(TRAIN_PAGE, label="Train a model", icon=":material/model_training:")


def choose_view() -> str:
    """Let the viewer choose between one run and a comparison; one of ``VIEWS``."""
    return st.segmented_control(
        "View",
        VIEWS,
        default=VIEWS[0],
        required=True,
        key="runs-view",
        persist_state="session",
        label_visibility="collapsed",
    )


def choose_run(runs: list[ObservedRun]) -> ObservedRun:
    """Let the viewer choose one of the runs, here or in the table."""
    by_name = {run.name: run for run in runs}
    if _RUN in st.session_state and st.session_state[_RUN] not in by_name:  # deleted, or never there
        # Not merely forgotten: the browser would go on showing its name.
        st.session_state[_RUN] = next(iter(by_name))
    name = st.selectbox("Run", list(by_name), key=_RUN, bind="query-params")
    return by_name[name]


def show_desk(runs: list[ObservedRun]) -> None:
    """What is under way, how busy the machine is, and the table of all runs; live while something is under way."""
    _show_problem()
    # The whole page is being drawn as things stand now.
    _take_change()
    st.session_state[_LISTED] = _states(runs)
    active = any(run.status.is_active for run in runs)
    st.fragment(_desk, run_every=POLL_SECONDS if active else None)()
    _show_queue()


def _desk() -> None:
    runs = observer().runs()
    under_way = [run for run in runs if run.status.is_active]
    # What ends or begins changes more than this part of the page.
    if _take_change() or st.session_state.get(_LISTED) != _states(runs):
        st.rerun()
    st.session_state[_CARDS] = {run.name for run in under_way[:MOST_CARDS]}
    for run in under_way[:MOST_CARDS]:
        with st.container(border=True):
            _show_state(run)
            _show_progress(run)
            _show_buttons(run, place="card")
    if len(under_way) > MOST_CARDS:
        st.caption(f"{len(under_way) - MOST_CARDS} more are under way; choose one in the table.")
    _show_load()
    _show_table(runs)
    _show_unreadable()


def _states(runs: list[ObservedRun]) -> list[tuple[str, str]]:
    return [(run.name, run.status.state) for run in runs]


def _show_load() -> None:
    """How busy the machine is."""
    memory = psutil.virtual_memory()
    parts = [
        f":material/speed: Load {psutil.getloadavg()[0]:.1f} on {count(os.cpu_count() or 1, 'core')}",
        f":material/memory: {(memory.total - memory.available) / GIGABYTE:.1f} of {memory.total / GIGABYTE:.1f} GB "
        "of memory in use",
    ]
    if runs_root().is_dir():
        parts.append(f":material/storage: {psutil.disk_usage(str(runs_root())).free / GIGABYTE:.1f} GB of disk free")
    st.caption(" · ".join(parts))


def _show_table(runs: list[ObservedRun]) -> None:
    names = [run.name for run in runs]
    # The choice is made further down the page: at first, only the address knows it.
    chosen = st.session_state.get(_RUN) or st.query_params.get(_RUN, names[0] if names else None)
    # A new table where runs came or went: a selection is a row number, and would point at another run.
    key = f"runs-{zlib.crc32(repr(names).encode()):08x}"
    st.dataframe(
        pd.DataFrame([_table_row(run) for run in runs]),
        hide_index=True,
        height="auto" if len(runs) < 9 else TABLE_HEIGHT,
        placeholder="",
        alt="All runs, the newest first",
        column_config={
            "Run": st.column_config.TextColumn(pinned=True),
            "Best macro AUC": st.column_config.NumberColumn(
                format="%.3f", help="On the validation recordings; the best epoch's weights are kept."
            ),
            "Windows/s": st.column_config.NumberColumn(format="%.1f"),
        },
        key=key,
        on_select=functools.partial(_choose_row, key, names),
        selection_mode="single-row",
        selection_default={"selection": {"rows": [names.index(chosen)], "columns": []}} if chosen in names else None,
    )


def _show_unreadable() -> None:
    problems = observer().problems()
    if problems:
        with st.expander(f"{count(len(problems), 'run')} cannot be read", icon=":material/folder_off:", type="compact"):
            for problem in problems:
                st.caption(plain(problem))


def _table_row(run: ObservedRun) -> dict[str, Any]:
    status = run.status
    running = status.state == "running"
    return {
        "Run": run.name,
        "State": status.state,
        "Epoch": f"{status.epoch} of {run.total_epochs}",
        "Best macro AUC": status.best,
        "Windows/s": status.windows_per_second if running else None,
        "Time left": clock(status.eta_seconds) if running and status.eta_seconds is not None else "",
        "Network": run.config.architecture + (f", {run.config.num_folds} folds" if run.has_folds else ""),
        "Last sign of life": _ago(status.heartbeat),
    }


def _ago(moment: float) -> str:
    """``just now``, ``12 min ago``, ``3 h ago``, or the day."""
    seconds = time.time() - moment
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 24 * 3600:
        return f"{seconds // 3600:.0f} h ago"
    return time.strftime("%Y-%m-%d", time.localtime(moment))


def _choose_row(key: str, names: list[str]) -> None:
    rows = st.session_state[key].selection.rows
    if rows:
        st.session_state[_RUN] = names[rows[0]]
        st.session_state[_CHANGED] = True


def _show_queue() -> None:
    """How many runs train at once."""
    if not training_allowed()[0]:
        return
    with st.popover("Queue", icon=":material/tune:"):
        st.number_input(
            "Runs that train at once",
            1,
            64,
            max_active(),
            key="max-active",
            on_change=_set_max_active,
            help="Further ones wait for their turn. Runs share processor and memory: two at once take twice as long "
            "each, unless the machine has room to spare.",
        )


def _set_max_active() -> None:
    _try(lambda: set_max_active(None, st.session_state["max-active"]))


def show_run(observed: ObservedRun) -> None:
    """One run in full: state and buttons, then its progress, its best epoch, its log or its settings."""
    every = POLL_SECONDS if observed.status.is_active else None
    st.fragment(_run_panel, run_every=every)(str(observed.run.path))


def _run_panel(path: str) -> None:
    try:
        observed = observer().observe(RunDirectory(Path(path)))
    except BirdcoreError:  # deleted by somebody else
        st.rerun()
    if _take_change():
        st.rerun()
    if observed.name not in st.session_state.get(_CARDS, ()):
        _show_state(observed)
        _show_progress(observed) if observed.status.is_active else st.caption(progress_text(observed))
        _show_buttons(observed, place="panel")
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


def _show_state(observed: ObservedRun) -> None:
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


def _show_progress(observed: ObservedRun) -> None:
    status = observed.status
    share = status.step / status.total_steps if status.total_steps else 0.0
    text = progress_text(observed)
    if observed.run.stop_requested():
        text += "; stopping after this step …"
    elif status.state == "running" and observed.run.pause_requested():
        text += "; pausing after this step …"
    st.progress(min(1.0, share), text=text)


def _show_buttons(observed: ObservedRun, *, place: str) -> None:
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
    made = _try(lambda: action(run))
    if isinstance(made, RunDirectory) and made.path != run.path:
        st.session_state[_RUN] = made.name


def _try(action: Callable[[], object]) -> object:
    """Do what was asked for; what goes wrong is shown with the whole page, which is drawn anew."""
    st.session_state[_CHANGED] = True
    try:
        return action()
    except (BirdcoreError, OSError) as error:
        st.session_state[_PROBLEM] = str(error)
        return None


def _take_change() -> bool:
    return st.session_state.pop(_CHANGED, False)


def _show_problem() -> None:
    problem = st.session_state.pop(_PROBLEM, None)
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
