"""Publishing a trained model: measuring it, the gate it must pass, and the versions that it replaces.

A publication is a process of its own (:mod:`birdcore.inference.publication`). Nothing about it is kept in the visit, so it
goes on when the tab is closed, and any tab shows it.
"""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from birdcore.errors import BirdcoreError, RunError
from birdcore.inference.publication import (
    MOST_LIMIT_LETTERS,
    MOST_LIMITS,
    MOST_SUMMARY_LETTERS,
    Publication,
    check_name,
    list_publications,
    start_publication,
)
from birdcore.models.checkpoint import Weights, find_weights, list_weights
from birdcore.models.versions import Version, list_versions, restore_version
from birdcore.places import data_root, resolve_recording, slug, weights_root
from birdcore.run_figures import reliability_figure
from birdcore.training.observation import ObservedRun
from birdcore.webapp.cards import figure_rows
from birdcore.webapp.observed import STATES, observer
from birdcore.webapp.routing import FOLLOW_PAGE, IDENTIFY_PAGE, TRAIN_PAGE
from birdcore.webapp.starting import training_allowed
from birdcore.webapp.wording import classes, clock, count, plain

__all__ = [
    "PublicationRequest",
    "choose_publication",
    "choose_publishable_run",
    "may_publish",
    "show_publication",
    "show_published_versions",
]

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
FALSE_ALARM_PERCENT = 2.0
LOWEST_PERCENT, HIGHEST_PERCENT = 0.1, 10.0
DEFAULT_THRESHOLD = 0.5
TABLE_HEIGHT = 320  # pixels; more species scroll

_RUN = "run"  # also the name in the page's address
_PROBLEM, _RESTORED = "publication_problem", "publication_restored"
_ASKED = "publication_asked"

STEPS = {
    "": "Starting, and calibrating on bird-free sound and held-out recordings",
    "recordings": "Test recordings: which species",
    "boxes": "Test recordings: when, and at what pitch",
    "unknown species and backgrounds": "Birds it does not know, and bird-free sound",
    "gate": "The gate: noise, speech, silence, chance, and the model it replaces",
}
"""What ``publish`` calls a step → what people call it, in the order in which they come."""

CHECKS = {
    "noise": "Bird-free recordings",
    "speech": "Human speech",
    "silence": "Silence",
    "skill": "Better than chance",
    "regression": "No worse than what it replaces",
}

_MARKS = {
    True: ":green[:material/check_circle:] **Passed**",
    False: ":red[:material/cancel:] **Not passed**",
    None: ":gray[:material/do_not_disturb_on:] **Not asked**",
}
_DOUBT = ":orange[:material/check_circle:] **Passed, in doubt**"


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
    for key, show in ((_PROBLEM, st.error), (_RESTORED, st.success)):
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
        check_name(name)
    except BirdcoreError as error:
        st.caption(f":red[:material/error: {plain(str(error))}]")
        return False
    existing = _installed(name)
    if existing is None:
        st.caption(":material/add_circle: A new model.")
        return True
    if existing.is_outside:
        st.caption(f":red[:material/error: {plain(name)} was made by others and is not replaced; choose another name.]")
        return False
    st.caption(f":material/swap_horiz: Replaces **{plain(name)}**, which is kept and can be restored below.")
    return True


def _installed(name: str) -> Weights | None:
    return next((weights for weights in list_weights() if weights.name == name), None)


def _start(request: PublicationRequest) -> None:
    try:
        allowed, reason = training_allowed()  # the button may have been drawn when it still was
        if not allowed:
            raise RunError(reason)
        existing = _installed(request.name)
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
        st.session_state[_PROBLEM] = str(error)
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
        _show_outcome(publication)


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
    installed = _installed(publication.name)
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


def _show_outcome(publication: Publication) -> None:
    try:
        checks = json.loads((publication.folder / "acceptance.json").read_text(encoding="utf-8"))
        weights = find_weights(publication.folder.resolve())
    except (OSError, ValueError, BirdcoreError):  # it ended before there was anything to show
        return
    _show_gate(checks)
    _show_calibration(weights, key=publication.name)
    _show_figures(weights)
    card = publication.folder / "README.md"
    if card.is_file():
        with st.expander("Model card", icon=":material/description:"):
            st.markdown(card.read_text(encoding="utf-8"))


def _show_gate(checks: Sequence[Mapping[str, Any]]) -> None:
    st.subheader("The gate")
    for first in range(0, len(checks), 2):
        for column, check in zip(st.columns(2), checks[first : first + 2], strict=False):
            with column.container(border=True, height="stretch"):
                doubtful = _is_doubtful(check)
                mark = _DOUBT if doubtful else _MARKS[check["passed"]]
                st.markdown(f"{mark} · {CHECKS.get(check['name'], plain(check['name']))}")
                if check["passed"] is not None:
                    with st.container(horizontal=True, gap="large"):
                        measured, required = _measured_and_required(check)
                        st.metric("Measured", measured, width="content")
                        st.metric("Required", required, width="content")
                st.caption(plain(check["sentence"]))
                if doubtful:
                    st.caption("The interval begins below the limit: so few windows do not prove that it is exceeded.")


def _is_doubtful(check: Mapping[str, Any]) -> bool:
    """Whether more false alarms were counted than may be, too few to prove it: the gate lets that pass."""
    return bool(check["name"] in ("noise", "speech") and check["passed"] and check["measured"] > check["required"])


def _measured_and_required(check: Mapping[str, Any]) -> tuple[str, str]:
    measured, required = check["measured"], check["required"]
    if check["name"] in ("noise", "speech"):
        return f"{100 * measured:.1f} %", f"at most {100 * required:g} %"
    if check["name"] == "silence":
        return f"{measured:.2f}", f"below {required:.2f}"
    return f"{measured:.3f}", f"at least {required:.3f}"


def _show_calibration(weights: Weights, *, key: str) -> None:
    st.subheader("Calibration")
    found = weights.facts.get("calibration", {})
    if "temperature" not in found:
        st.caption(f"Fitted on {plain(str(found.get('fitted_on', 'nothing')))}.")
        return
    before, after = found["expected_calibration_error_before"], found["expected_calibration_error_after"]
    with st.container(horizontal=True, gap="medium"):
        st.metric("Expected calibration error, before", f"{before:.3f}", width="content")
        st.metric("After", f"{after:.3f}", width="content")
        st.metric("Temperature", f"{found['temperature']:.2f}", width="content")
    st.caption(
        f"Fitted on {plain(str(found['fitted_on']))}. Isotonic calibration would reach "
        f"{found['isotonic_calibration_error']:.3f}; it is not used. "
        "All three were measured on the recordings they were fitted on."
    )
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Reliability, calibrated**")
        st.caption("Is what is said with 0.7 right seven times in ten? On the dotted line it would be.")
        st.plotly_chart(
            reliability_figure(found["reliability"]),
            config={"displayModeBar": False},
            alt=f"Share that is right over the calibrated score; expected calibration error {after:.3f}",
            key=f"published-reliability-{key}",
        )
    with right:
        st.markdown("**Threshold of each species**")
        st.caption(
            f"The best on the held-out recordings. Where it is above {DEFAULT_THRESHOLD:g}, the species needs that much to "
            "be reported; none needs less, so that noise stays silent."
        )
        names = {name.code: name.common or name.code for name in weights.config.class_names}
        rows = [
            {"Species": names.get(code, code), "Best": best, "In use": max(best, DEFAULT_THRESHOLD)}
            for code, best in sorted(found["thresholds"].items(), key=lambda pair: -pair[1])
        ]
        number = functools.partial(st.column_config.NumberColumn, format="%.2f", width="small")
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            height="auto" if len(rows) < 9 else TABLE_HEIGHT,
            column_config={"Best": number(), "In use": number()},
            alt="Threshold of each species, the highest first",
        )


def _show_figures(weights: Weights) -> None:
    st.subheader("Measured figures")
    rows = list(figure_rows(weights.facts.get("metrics") or {}))
    if not rows:
        st.caption("The data holds no recordings to measure this model on.")
        return
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True, alt=f"Measured figures of {weights.name}")
    if any(row["95 % interval"] for row in rows):
        st.caption("On the test split, which neither trained nor chose anything. Read the intervals, not the digits.")
    else:
        st.caption("On the held-out recordings that chose the best epoch, which flatters them: there is no test split.")


def show_published_versions() -> None:
    """Every published model with its earlier versions, each of which can be restored."""
    models = {weights.name: list_versions(weights_root() / weights.name) for weights in list_weights()}
    models = {name: versions for name, versions in models.items() if versions}
    st.subheader("Earlier versions")
    if not models:
        st.caption("None: no model has been replaced yet. What is replaced is kept, and can be restored here.")
        return
    for name, versions in models.items():
        current = _installed(name)
        with st.expander(f"**{plain(name)}**: {count(len(versions), 'earlier version')}", icon=":material/history:"):
            if current is not None:
                st.markdown(f"In use now: {_summary(current)}")
            for version in versions:
                _show_version(name, version)


def _show_version(name: str, version: Version) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Replaced {_date(version.name)}**  \n{_summary(version.weights)}", width="stretch")
        if not training_allowed()[0]:
            return
        with st.popover("Restore", icon=":material/settings_backup_restore:", key=f"ask-{name}-{version.name}"):
            st.markdown(
                f"Bring back this version of **{plain(name)}**? The one in use becomes an earlier version in turn. "
                "It is offered to everybody at once."
            )
            st.button(
                "Restore this version",
                icon=":material/settings_backup_restore:",
                on_click=_restore,
                args=(name, version.name),
                key=f"restore-{name}-{version.name}",
            )


def _summary(weights: Weights) -> str:
    """Its summary and its main figure, the first that was measured."""
    row = next(figure_rows(weights.facts.get("metrics") or {}), None)
    parts = [plain(str(weights.facts.get("summary", "")).rstrip(".")) or "no summary"]
    if row is not None:
        interval = f" ({row['95 % interval']})" if row["95 % interval"] else ""
        parts.append(f"{plain(row['Figure'])} {row['Value']}{interval}")
    return "  \n".join(parts)


def _date(version: str) -> str:
    """``2026-11-21, 10:45 UTC`` from the name of a version."""
    try:
        moment = datetime.strptime(version[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return plain(version)
    return f"{moment:%Y-%m-%d, %H:%M} UTC"


def _restore(name: str, version: str) -> None:
    try:
        allowed, reason = training_allowed()
        if not allowed:
            raise RunError(reason)
        if any(one.name == name and one.state == "running" for one in list_publications()):
            raise RunError(f"{name}: is being published right now; wait until that has ended")
        restore_version(weights_root() / name, version)
    except (BirdcoreError, OSError) as error:
        logger.warning("a version could not be restored: %s", error)
        st.session_state[_PROBLEM] = str(error)
    else:
        st.session_state[_RESTORED] = f"{name}: the version replaced {_date(version)} is back, and the app offers it."
