"""Training from the sidebar: what is training, and a short way to start.

A run is a process of its own with a folder of its own. Nothing about it is kept in the visit, so it goes on when the
tab is closed, and any tab shows it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import streamlit as st

from birdcore.data.checks import DatasetProblem
from birdcore.errors import BirdcoreError
from birdcore.places import data_root
from birdcore.run_figures import curves_figure
from birdcore.training.jobs import stop_job
from birdcore.training.observation import ObservedRun
from birdcore.training.presets import list_presets
from birdcore.webapp.dataset import SEVERITY_ICONS, DatasetChoice, dataset_name, offered_datasets
from birdcore.webapp.observed import FIGURE_TITLES, SHARES, STATES, curves_of, observer, progress_text
from birdcore.webapp.routing import FOLLOW_PAGE, TRAIN_PAGE
from birdcore.webapp.run_settings import FIELDS, Field, fit_to_data
from birdcore.webapp.starting import RunRequest, show_refusal, start_when_checked, training_allowed
from birdcore.webapp.wording import count, plain

__all__ = ["show_training", "show_training_state"]

POLL_SECONDS = 2.0
MOST_PROBLEMS = 3

_START_ASKED = "sidebar_start_asked"


def show_training() -> None:
    """The sidebar's panel: what is training or was last, and what could be."""
    allowed, reason = training_allowed()
    if not allowed:
        st.caption(reason)
        return
    show_refusal("sidebar")
    if not show_training_state():
        _show_form()
    st.page_link(TRAIN_PAGE, label="All settings, upload, speed test", icon=":material/tune:")


def show_training_state() -> bool:
    """What is training, or was last.

    Returns
    -------
    whether a run is under way or in the queue; nothing is shown where training is off
    """
    if not training_allowed()[0]:
        return False
    runs = observer().runs()
    active = [run for run in runs if run.status.is_active]
    if active:
        # The one that trains rather than one that waits; it looks again only while there is something to see.
        shown = next((run for run in active if run.status.has_process), active[-1])
        st.fragment(_follow_run, run_every=POLL_SECONDS)(shown.name, num_others=len(active) - 1)
    elif runs:
        _show_state(runs[0])
        if runs[0].status.best is not None:
            st.caption(f"Best validation macro AUC {runs[0].status.best:.3f}")
        _link_to(runs[0])
    else:
        st.caption("Nothing has been trained yet.")
    return bool(active)


def _follow_run(name: str, *, num_others: int) -> None:
    """Progress of one run; when it ends, the whole page is drawn anew."""
    run = next((run for run in observer().runs() if run.name == name), None)
    if run is None or not run.status.is_active:
        st.rerun()
    status = run.status
    _show_state(run)
    share = status.step / status.total_steps if status.total_steps else 0.0
    st.progress(min(1.0, share), text=progress_text(run))
    if run.run.stop_requested():
        st.caption("Stopping after this step …")
    else:
        st.button("Stop", icon=":material/stop_circle:", on_click=_stop, args=(run,), key=f"stop-{name}")
    _show_curve(run)
    st.caption(
        "It goes on when you close this tab." + (f" {count(num_others, 'more run')} in line." if num_others else "")
    )
    _link_to(run)


def _stop(run: ObservedRun) -> None:
    try:
        stop_job(run.run)
    except (BirdcoreError, OSError) as error:
        st.toast(plain(str(error)), icon=":material/error:")


def _show_state(run: ObservedRun) -> None:
    icon, verb = STATES[run.status.state]
    st.markdown(f"{icon} **{plain(run.name)}** {verb}.")
    if run.status.message:
        st.caption(plain(run.status.message))


def _link_to(run: ObservedRun) -> None:
    st.page_link(FOLLOW_PAGE, label="Follow runs", icon=":material/monitoring:", query_params={"run": run.name})


def _show_curve(run: ObservedRun) -> None:
    rows = observer().metrics(run.run)
    for column in ("macro_auc", "train_loss"):
        title = FIGURE_TITLES[column]
        if any(row.get(column) is not None for row in rows):
            st.plotly_chart(
                curves_figure(curves_of({run.name: rows}, column), title=title, share=column in SHARES, height=200),
                config={"displayModeBar": False},
                alt=f"{title} over the epochs of {run.name}",
                key=f"curve-{run.name}",
            )
            return


def _show_form() -> None:
    folders = offered_datasets()
    presets, _ = list_presets()
    if not folders or not presets:
        st.caption(
            f"Put recordings and a table `manifest.csv` (columns `path, species_code`) into `{data_root()}`, "
            "name their folder in the environment variable BIRDCORE_DATA, or upload them."
        )
        return
    folder = st.selectbox("Data", folders, format_func=dataset_name)
    preset = st.selectbox("Preset", list(presets), help="What is trained, and how; the files in `configs/`.")
    try:
        config, _ = fit_to_data(presets[preset].config, folder)
    except BirdcoreError as error:
        st.error(plain(str(error)))
        return
    with st.form("training", border=False):
        columns = st.columns(2)
        values = {
            field.setting: _show_field(columns[number % 2], field, getattr(config, field.setting), preset)
            for number, field in enumerate(field for field in FIELDS if field.short)
        }
        st.form_submit_button(
            "Start training", icon=":material/play_arrow:", width="stretch", on_click=_ask_for_start, args=(preset,)
        )
    asked = st.session_state.pop(_START_ASKED, None)
    request = RunRequest(
        choice=DatasetChoice(folder=folder, data_format="auto"), config=dataclasses.replace(config, **(asked or values))
    )
    start_when_checked(request, wanted=asked is not None, place="sidebar", show_problems=_list_problems)


def _ask_for_start(preset: str) -> None:
    # Kept until it is done, even where the page is drawn twice before.
    st.session_state[_START_ASKED] = {
        field.setting: st.session_state[_field_key(field, preset)] for field in FIELDS if field.short
    }


def _field_key(field: Field, preset: str) -> str:
    return f"train-{preset}-{field.setting}"  # another preset brings its own values along


def _show_field(column: st.delta_generator.DeltaGenerator, field: Field, value: float, preset: str) -> float:
    return column.number_input(
        field.label,
        field.lowest,
        field.highest,
        value,
        format=field.format,
        help=field.help,
        key=_field_key(field, preset),
    )


def _list_problems(problems: Sequence[DatasetProblem]) -> None:
    """A line for each of the gravest."""
    for problem in problems[:MOST_PROBLEMS]:
        st.markdown(f"{SEVERITY_ICONS[problem.severity]} {plain(problem.title)}", help=plain(problem.remedy))
    if len(problems) > MOST_PROBLEMS:
        st.caption(f"{len(problems) - MOST_PROBLEMS} more, with what to do: see “Check dataset”.")
