"""Starting a run: nothing starts before its data were checked, and what was found is said.

The page and the sidebar start runs in the same way, through :func:`start_when_checked`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from birdcore.config import TrainConfig
from birdcore.data.audit import Audit
from birdcore.data.checks import DatasetProblem
from birdcore.data.readiness import find_obstacles, find_split_problems
from birdcore.errors import BirdcoreError, RunError
from birdcore.places import resolve_recording
from birdcore.training import jobs
from birdcore.training.jobs import enqueue_job
from birdcore.webapp.dataset import SEVERITY_ICONS, DatasetChoice, audit_now, last_audit
from birdcore.webapp.routing import FOLLOW_PAGE
from birdcore.webapp.wording import count, plain

__all__ = [
    "RunRequest",
    "all_problems",
    "forget_start",
    "show_refusal",
    "show_started",
    "start_when_checked",
    "training_allowed",
]

logger = logging.getLogger(__name__)

_WANTED, _STARTED, _PROBLEM = "start_wanted", "start_done", "start_problem"
_SHOWN, _ACCEPTED = "start_shown", "start_accepted"


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run that somebody wants, with settings that were found usable.

    Parameters
    ----------
    choice : the data
    config : the settings, fitted to the data
    name : what it is to be called; "" for a name of time and network
    kind : "run" or "folds", see ``jobs.enqueue_job``
    """

    choice: DatasetChoice
    config: TrainConfig
    name: str = ""
    kind: str = "run"


def training_allowed() -> tuple[bool, str]:
    """Whether visitors of this app may start training, and a sentence that says so."""
    return jobs.training_allowed(st.get_option("server.address"))


def all_problems(audit: Audit, config: TrainConfig) -> tuple[list[DatasetProblem], list[DatasetProblem]]:
    """What keeps training from working; and everything else that was found, the gravest first."""
    others = [*find_split_problems(audit, config), *audit.problems]
    order = list(SEVERITY_ICONS)
    return find_obstacles(audit, config), sorted(others, key=lambda problem: order.index(problem.severity))


def start_when_checked(
    request: RunRequest,
    *,
    wanted: bool,
    place: str,
    show_problems: Callable[[Sequence[DatasetProblem]], None],
) -> None:
    """Start a run that somebody wants, as soon as its data were checked and what was found has been accepted.

    Parameters
    ----------
    request : the run as it is set up right now
    wanted : whether its start was asked for this moment
    place : where on the screen this is; what is wanted in one place is not started in another
    show_problems : shows what was found, where something was
    """
    accepted = st.session_state.pop(_key(_ACCEPTED, place), ())
    if wanted or accepted:
        # With what was accepted, as with the first wish, may come a setting that was changed just before the click.
        st.session_state[_key(_WANTED, place)] = request
    if st.session_state.get(_key(_WANTED, place)) != request:
        return  # nothing is wanted, or something else was, before the settings changed
    audit = last_audit(request.choice) or audit_now(request.choice)
    if audit is None:
        forget_start(place)
        return
    obstacles, others = all_problems(audit, request.config)
    serious = [problem for problem in others if problem.severity != "note"]
    if obstacles:
        forget_start(place)
        st.error("Not started: this data cannot be trained on as it is.", icon=":material/block:")
        show_problems([*obstacles, *serious])
        return
    if all(problem in accepted for problem in serious):
        _enqueue(request, place)
        st.rerun()
    st.warning(
        f"**Not started yet.** The check of the data found {count(len(serious), 'problem')}.", icon=":material/warning:"
    )
    show_problems(serious)
    st.session_state[_key(_SHOWN, place)] = serious
    with st.container(horizontal=True):
        st.button(
            "Start anyway",
            icon=":material/play_arrow:",
            type="primary",
            on_click=_accept,
            args=(place,),
            key=f"start-anyway-{place}",
        )
        st.button("Not now", on_click=forget_start, args=(place,), key=f"start-not-{place}")


def _key(name: str, place: str) -> str:
    return f"{name}-{place}"  # the session's state takes texts only


def _accept(place: str) -> None:
    st.session_state[_key(_ACCEPTED, place)] = st.session_state.pop(_key(_SHOWN, place), [])


def forget_start(place: str) -> None:
    """Take back the wish to start a run in a place of the screen, if there is one."""
    for name in (_WANTED, _SHOWN, _ACCEPTED):
        st.session_state.pop(_key(name, place), None)


def _enqueue(request: RunRequest, place: str) -> None:
    forget_start(place)
    try:
        allowed, reason = training_allowed()  # the button may have been drawn when it still was
        if not allowed:
            raise RunError(reason)
        # The data folder has been to the browser and back: look again where it leads.
        folder = resolve_recording(request.choice.folder)
        run = enqueue_job(request.config, data_root=folder, name=request.name or None, kind=request.kind)
    except (BirdcoreError, OSError) as error:
        logger.warning("a run could not be started: %s", error)
        st.session_state[_key(_PROBLEM, place)] = str(error)
    else:
        st.session_state[_key(_STARTED, place)] = run.name


def show_refusal(place: str) -> None:
    """Say, once, why the last start in a place of the screen did not work, if it did not."""
    problem = st.session_state.pop(_key(_PROBLEM, place), None)
    if problem:
        st.error(plain(problem), icon=":material/error:")


def show_started(place: str) -> None:
    """Say, once, what was started last in a place of the screen, and where to look on."""
    name = st.session_state.pop(_key(_STARTED, place), None)
    if name:
        st.success(
            f"**{plain(name)}** is in the queue, and starts as soon as a place is free. It goes on when you close this "
            "tab.",
            icon=":material/check_circle:",
        )
        st.page_link(
            FOLLOW_PAGE,
            label=f"Follow {plain(name)}",
            icon=":material/monitoring:",
            query_params={"run": name},
        )
