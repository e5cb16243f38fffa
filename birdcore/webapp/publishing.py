"""Publishing a trained model: from a run to a measurement that is under way, and how that ends.

A publication is a process of its own (:mod:`birdcore.inference.publication`). Nothing about it is kept in the visit, so it
goes on when the tab is closed, and any tab shows it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from birdcore.errors import BirdcoreError, RunError
from birdcore.inference.publication import (
    FALSE_ALARM_TARGET,
    MOST_LIMIT_LETTERS,
    MOST_LIMITS,
    MOST_SUMMARY_LETTERS,
    Publication,
    list_publications,
    start_publication,
)
from birdcore.models.checkpoint import Weights, find_weights
from birdcore.places import check_weights_name, data_root, resolve_recording, slug
from birdcore.training.observation import ObservedRun
from birdcore.webapp.observed import STATES, observer
from birdcore.webapp.published import PROBLEM, RESTORED, installed_weights, show_outcome
from birdcore.webapp.routing import FOLLOW_PAGE, IDENTIFY_PAGE, TRAIN_PAGE
from birdcore.webapp.starting import training_allowed
from birdcore.webapp.wording import classes, clock, plain

__all__ = [
    "PublicationRequest",
    "choose_publication",
    "choose_publishable_run",
    "may_publish",
    "show_publication",
]

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
FALSE_ALARM_PERCENT = 100 * FALSE_ALARM_TARGET
LOWEST_PERCENT, HIGHEST_PERCENT = 0.1, 10.0

_RUN = "run"  # also the name in the page's address
_ASKED = "publication_asked"

STEPS = {
    "": "Starting, and calibrating on bird-free sound and held-out recordings",
    "recordings": "Test recordings: which species",
    "boxes": "Test recordings: when, and at what pitch",
    "unknown species and backgrounds": "Birds it does not know, and bird-free sound",
    "gate": "The gate: noise, speech, silence, chance, and the model it replaces",
}
"""What ``publish`` calls a step → what people call it, in the order in which they come."""


@dataclass(frozen=True, kw_only=True)
class PublicationRequest:
    """What is to be published.

    Parameters
    ----------
    observed : the run
    name : of the weights to install
    summary : one line for the card
    limits : known weaknesses, a sentence each
    false_alarms : share of bird-free windows that may report anything
    """

    observed: ObservedRun
    name: str
    summary: str
    limits: tuple[str, ...]
    false_alarms: float


def may_publish() -> bool:
    """Whether visitors may publish here, which is so where they may train; where not, why."""
    allowed, reason = training_allowed()
    if not allowed:
        st.info(reason.replace("Training is", "Publishing is", 1), icon=":material/lock:")
    return allowed


def choose_publishable_run() -> ObservedRun | None:
    """Let the user choose a run that has ended with weights; None where there is none."""
    for key, show in ((PROBLEM, st.error), (RESTORED, st.success)):
        said = st.session_state.pop(key, None)
        if said:
            show(plain(said))
    ended = (run for run in observer().runs() if run.status.state in ("finished", "stopped"))
    runs = {run.name: run for run in ended if _weights_of(run.run.path) is not None}
    if not runs:
        st.info(
            "**There is no trained model to publish yet.** A run can be published once it has finished, or was stopped "
            "after its first epoch.",
            icon=":material/model_training:",
        )
        with st.container(horizontal=True):
            st.page_link(TRAIN_PAGE, label="Train a model", icon=":material/model_training:")
            st.page_link(FOLLOW_PAGE, label="Follow runs", icon=":material/monitoring:")
        return None
    if _RUN in st.session_state and st.session_state[_RUN] not in runs:  # deleted, still training, or never there
        # Not merely forgotten: the browser would go on showing its name.
        st.session_state[_RUN] = next(iter(runs))
    name = st.selectbox(
        "Run", list(runs), key=_RUN, bind="query-params", help="Runs that have ended, the newest first."
    )
    run = runs[name]
    _show_run(run)
    _show_others_under_way(run)
    return run


def _weights_of(folder: Path) -> Weights | None:
    try:
        return find_weights((folder / "weights").resolve())
    except BirdcoreError:  # it ended before its first epoch did
        return None


def _show_run(run: ObservedRun) -> None:
    weights = _weights_of(run.run.path)
    parts = [f"{STATES[run.status.state][0]} {run.status.state}", plain(run.config.architecture)]
    if weights is not None:
        parts.append(classes(weights.config.class_names))
    if run.status.best is not None:
        parts.append(f"best validation macro AUC {run.status.best:.3f}")
    st.caption(" · ".join(parts))


def _show_others_under_way(run: ObservedRun) -> None:
    """What others publish right now, or this visitor in another tab."""
    for other in list_publications():
        if other.state == "running" and other.run.name != run.name:
            st.button(
                f"{plain(other.name)} is being published from run {plain(other.run.name)}",
                icon=":material/publish:",
                type="tertiary",
                on_click=_choose_run,
                args=(other.run.name,),
                key=f"publishing-{other.run.name}-{other.name}",
            )


def _choose_run(name: str) -> None:
    st.session_state[_RUN] = name


def choose_publication(run: ObservedRun) -> None:
    """The form: name, card texts and false alarms, and the button that starts it."""
    key = run.name
    with st.container(border=True):
        left, right = st.columns([3, 2])
        with left:
            name = st.text_input(
                "Name of the model",
                slug(run.name),
                max_chars=60,
                key=f"publish-name-{key}",
                help="Small letters, digits, “-” and “_”. The app and the command line offer the model by it.",
            ).strip()
            usable = _show_name(name)
        with right:
            percent = st.number_input(
                "False alarms allowed, %",
                LOWEST_PERCENT,
                HIGHEST_PERCENT,
                FALSE_ALARM_PERCENT,
                0.5,
                format="%.1f",
                key=f"publish-alarms-{key}",
                help="Share of windows of bird-free validation recordings that may report any species. Lower makes the "
                "model more silent, and has it miss more faint birds.",
            )
        summary = st.text_input(
            "Summary",
            placeholder=f"Trained by run {run.name}.",
            max_chars=MOST_SUMMARY_LETTERS,
            key=f"publish-summary-{key}",
            help="One line that the app shows wherever the model is chosen.",
        )
        limits = st.text_area(
            "Known weaknesses, one per line",
            placeholder="Was trained on recordings of spring only.",
            max_chars=MOST_LIMITS * MOST_LIMIT_LETTERS,
            key=f"publish-limits-{key}",
            help="They stand on the model's card. Whoever uses it should know where it fails.",
        )
        request = PublicationRequest(
            observed=run,
            name=name,
            summary=summary,
            limits=tuple(line for line in limits.splitlines() if line.strip()),
            false_alarms=percent / 100,
        )
        under_way = any(p.name == name and p.state == "running" for p in list_publications())
        st.button(
            "Measure and publish",
            icon=":material/publish:",
            type="primary",
            disabled=not usable or under_way,
            on_click=_ask_for_start,
            key="publish-start",
        )
        st.caption(
            "Calibrates the model, measures it on the test recordings, and asks the gate. It takes some minutes, and is "
            "installed only if it passes. It goes on when you close this tab."
        )
    if st.session_state.pop(_ASKED, False) and usable and not under_way:
        _start(request)
        st.rerun()


def _ask_for_start() -> None:
    # Not started here: a field that was left by the click on the button reaches the page together with the click.
    st.session_state[_ASKED] = True


def _show_name(name: str) -> bool:
    """What the name means; whether it can be used."""
    try:
        check_weights_name(name)
    except BirdcoreError as error:
        st.caption(f":red[:material/error: {plain(str(error))}]")
        return False
    existing = installed_weights(name)
    if existing is None:
        st.caption(":material/add_circle: A new model.")
        return True
    if existing.is_outside:
        st.caption(f":red[:material/error: {plain(name)} was made by others and is not replaced; choose another name.]")
        return False
    st.caption(f":material/swap_horiz: Replaces **{plain(name)}**, which is kept and can be restored below.")
    return True


def _start(request: PublicationRequest) -> None:
    try:
        allowed, reason = training_allowed()  # the button may have been drawn when it still was
        if not allowed:
            raise RunError(reason)
        existing = installed_weights(request.name)
        if existing is not None and existing.is_outside:
            raise RunError(f"{request.name}: was made by others and is not replaced; choose another name")
        run = request.observed
        start_publication(
            run.run.path,
            name=request.name,
            summary=request.summary,
            limits=request.limits,
            false_alarms=request.false_alarms,
            # The job's file may have been changed by hand: look where it leads.
            data=resolve_recording(run.job.data_root if run.job else data_root()),
        )
    except (BirdcoreError, OSError) as error:
        logger.warning("a model could not be published: %s", error)
        st.session_state[PROBLEM] = str(error)
    else:
        st.session_state[_shown_key(run)] = request.name


def _shown_key(run: ObservedRun) -> str:
    return f"publish-shown-{run.name}"


def show_publication(run: ObservedRun) -> None:
    """The run's publication, live while it is under way; then the gate, the calibration, the figures, and the card."""
    found = {one.name: one for one in list_publications() if one.run.name == run.name}
    if not found:
        return
    if st.session_state.get(_shown_key(run)) not in found:
        st.session_state.pop(_shown_key(run), None)
    name = next(iter(found))
    if len(found) > 1:
        name = st.selectbox("Published or tried as", list(found), key=_shown_key(run), width=320)
    publication = found[name]
    every = POLL_SECONDS if publication.state == "running" else None
    st.fragment(_progress_panel, run_every=every)(run.name, name, was_running=publication.state == "running")
    if publication.state != "running":
        show_outcome(publication)


def _progress_panel(run: str, name: str, *, was_running: bool) -> None:
    """How far it is; when it ends, the whole page is drawn anew."""
    publication = next((p for p in list_publications() if (p.run.name, p.name) == (run, name)), None)
    if publication is None or (publication.state == "running") != was_running:
        st.rerun()
    if not was_running:
        _show_end(publication)
        return
    steps = list(STEPS)
    number = steps.index(publication.step) if publication.step in steps else 0
    share = f" · {100 * publication.share:.0f} %" if publication.step else ""
    st.markdown(f":material/publish: **{plain(name)}** is being measured.")
    st.progress(publication.share, text=f"Step {number + 1} of {len(steps)}{share}")
    lines = []
    for place, title in enumerate(STEPS.values()):
        icon = "check" if place < number else "arrow_forward" if place == number else "more_horiz"
        text = f"**{title}**" if place == number else f":gray[{title}]"
        lines.append(f":material/{icon}: {text}")
    st.markdown("  \n".join(lines))
    st.caption(f"Since {clock(time.time() - publication.started)}. It goes on when you close this tab.")


def _show_end(publication: Publication) -> None:
    name = plain(publication.name)
    if publication.state == "published":
        offered = _is_installed(publication)
        now = "the app offers it" if offered else "something else has taken its place since"
        st.success(f"**{name}** passed the gate and was published; {now}.", icon=":material/check_circle:")
        if offered:
            st.page_link(
                IDENTIFY_PAGE,
                label=f"Identify birds: choose {name} in the sidebar",
                icon=":material/hearing:",
            )
    elif publication.state == "refused":
        st.error(
            f"**{name}** did not pass the gate and was not published. What it failed is said below; nothing that the app "
            "offers has changed. Where noise or speech is the reason, allow fewer false alarms and publish again.",
            icon=":material/block:",
        )
    else:
        lost = (
            f"Its process has given no sign of life for {clock(time.time() - publication.heartbeat)}. Start it again."
        )
        reason = lost if publication.state == "lost" else publication.message
        st.error(f"**{name}** was not published. {plain(reason)}", icon=":material/error:")
        _show_log(publication)


def _is_installed(publication: Publication) -> bool:
    """Whether what was published is what the app offers by that name, and not what came later or was restored."""
    installed = installed_weights(publication.name)
    try:
        return installed is not None and installed.facts == find_weights(publication.folder.resolve()).facts
    except BirdcoreError:  # the draft was cleared away
        return False


def _show_log(publication: Publication) -> None:
    try:
        text = publication.log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    lines = [line.split("\r")[-1] for line in text.splitlines()]  # of a progress bar the last that it showed
    if lines:
        with st.expander("What the process printed", icon=":material/terminal:", type="compact"):
            st.code("\n".join(lines[-40:]), language=None, height=240)
