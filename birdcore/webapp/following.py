"""Following training runs: which there are, which are under way, and how busy the machine is.

Nothing about a run is kept in the visit: any tab and any visitor sees the same, and a run goes on when all have left.
"""

from __future__ import annotations

import functools
import os
import time
import zlib
from typing import Any

import pandas as pd
import psutil
import streamlit as st

from birdcore.errors import BirdcoreError
from birdcore.places import runs_root
from birdcore.training.jobs import advance_queue, max_active, set_max_active
from birdcore.training.observation import ObservedRun
from birdcore.webapp.observed import observer
from birdcore.webapp.routing import TRAIN_PAGE
from birdcore.webapp.run_panel import (
    CARDS,
    CHANGED,
    POLL_SECONDS,
    PROBLEM,
    RUN,
    attempt,
    show_buttons,
    show_problem,
    show_progress,
    show_state,
    take_change,
)
from birdcore.webapp.starting import training_allowed
from birdcore.webapp.wording import clock, count, plain

__all__ = ["all_runs", "choose_run", "choose_view", "show_desk", "show_no_runs"]

MOST_CARDS = 8  # runs under way that are shown with their buttons; the others are in the table
TABLE_HEIGHT = 320  # pixels; more runs scroll
GIGABYTE = 1e9

VIEWS = ("One run", "Compare runs")

_LISTED = "runs_listed"


def all_runs() -> list[ObservedRun]:
    """The runs that can be read, newest first; the queue moves on first, if it can."""
    try:
        advance_queue()
    except (BirdcoreError, OSError) as error:  # such as a folder that may only be read
        st.session_state[PROBLEM] = f"The queue cannot move on: {error}"
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
    if RUN in st.session_state and st.session_state[RUN] not in by_name:  # deleted, or never there
        # Not merely forgotten: the browser would go on showing its name.
        st.session_state[RUN] = next(iter(by_name))
    name = st.selectbox("Run", list(by_name), key=RUN, bind="query-params")
    return by_name[name]


def show_desk(runs: list[ObservedRun]) -> None:
    """What is under way, how busy the machine is, and the table of all runs; live while something is under way."""
    show_problem()
    # The whole page is being drawn as things stand now.
    take_change()
    st.session_state[_LISTED] = _states(runs)
    active = any(run.status.is_active for run in runs)
    st.fragment(_desk, run_every=POLL_SECONDS if active else None)()
    _show_queue()


def _desk() -> None:
    runs = observer().runs()
    under_way = [run for run in runs if run.status.is_active]
    # What ends or begins changes more than this part of the page.
    if take_change() or st.session_state.get(_LISTED) != _states(runs):
        st.rerun()
    st.session_state[CARDS] = {run.name for run in under_way[:MOST_CARDS]}
    for run in under_way[:MOST_CARDS]:
        with st.container(border=True):
            show_state(run)
            show_progress(run)
            show_buttons(run, place="card")
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
    chosen = st.session_state.get(RUN) or st.query_params.get(RUN, names[0] if names else None)
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
        st.session_state[RUN] = names[rows[0]]
        st.session_state[CHANGED] = True


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
    attempt(lambda: set_max_active(None, st.session_state["max-active"]))
