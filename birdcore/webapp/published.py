"""What was published: the gate, the calibration and the figures of a publication, and the versions that it replaced."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from birdcore.errors import BirdcoreError, RunError
from birdcore.inference.publication import Publication, list_publications
from birdcore.models.checkpoint import Weights, find_weights, list_weights
from birdcore.models.versions import Version, list_versions, restore_version
from birdcore.places import weights_root
from birdcore.run_figures import reliability_figure
from birdcore.webapp.cards import figure_rows
from birdcore.webapp.starting import training_allowed
from birdcore.webapp.wording import count, plain

__all__ = ["PROBLEM", "RESTORED", "installed_weights", "show_outcome", "show_published_versions"]

logger = logging.getLogger(__name__)

DEFAULT_THRESHOLD = 0.5
TABLE_HEIGHT = 320  # pixels; more species scroll

PROBLEM, RESTORED = "publication_problem", "publication_restored"
"""Where the visit keeps what the page says when it is drawn anew."""

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


def installed_weights(name: str) -> Weights | None:
    """What the app offers by a name; None where there is nothing."""
    return next((weights for weights in list_weights() if weights.name == name), None)


def show_outcome(publication: Publication) -> None:
    """The gate, the calibration, the figures and the card of a publication, as far as it came."""
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
        current = installed_weights(name)
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
        st.session_state[PROBLEM] = str(error)
    else:
        st.session_state[RESTORED] = f"{name}: the version replaced {_date(version)} is back, and the app offers it."
