"""The page "Train a model", in parts: the data, the settings, a probe, and the start."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import pandas as pd
import psutil
import streamlit as st

from birdcore.config import TrainConfig
from birdcore.data.archive import ArchiveLimits, unpack_dataset
from birdcore.data.audit import Audit
from birdcore.data.checks import DatasetProblem
from birdcore.data.readers import detect_format
from birdcore.errors import BirdcoreError, ConfigError, DataError
from birdcore.places import uploads_root
from birdcore.training.jobs import check_paths
from birdcore.training.presets import list_presets
from birdcore.training.probe import PROBE_STEPS, ProbeResult, find_probe, read_probe, start_probe
from birdcore.training.run_directory import RunDirectory
from birdcore.webapp.dataset import (
    SEVERITY_ICONS,
    DatasetChoice,
    audit_now,
    choose_dataset,
    dataset_name,
    last_audit,
    prefer_dataset,
)
from birdcore.webapp.observed import observer
from birdcore.webapp.routing import CHECK_PAGE
from birdcore.webapp.run_settings import (
    FIELDS,
    Fault,
    Field,
    fit_to_data,
    read_settings,
    settings_text,
)
from birdcore.webapp.starting import (
    RunRequest,
    all_problems,
    forget_start,
    show_refusal,
    show_started,
    start_when_checked,
    training_allowed,
)
from birdcore.webapp.wording import count, plain

__all__ = [
    "choose_training_data",
    "choose_training_settings",
    "show_data_check",
    "show_probe",
    "show_start",
    "show_training_permission",
]

UPLOAD_MB = 1024
MOST_ITEMS = 200  # lines of one problem; the page "Check dataset" has them all
POLL_SECONDS = 1.0
GIGABYTE = 1e9

_FOLDER, _UPLOAD = "A folder on this computer", "Upload a ZIP archive"
_SOURCE, _UNPACKED = "desk-source", "desk_unpacked"
_PROBE_PROBLEM = "probe_problem"
_UNPACK_ASKED, _CHECK_ASKED, _START_ASKED = "desk_unpack_asked", "desk_check_asked", "desk_start_asked"
_PROBE_ASKED = "desk_probe_asked"
_MAY_CHANGE = ("running", "lost")
_KINDS = {"run": "One run", "folds": "Every fold"}


def show_training_permission() -> bool:
    """Whether visitors may train here; where not, why."""
    allowed, reason = training_allowed()
    if not allowed:
        st.info(reason, icon=":material/lock:")
    return allowed


def choose_training_data() -> DatasetChoice | None:
    """Let the user choose a folder, or bring an archive; None while there is none."""
    st.subheader("1. Data")
    unpacked = st.session_state.pop(_UNPACKED, None)
    if unpacked is not None:
        # Before these widgets are drawn: what was unpacked is chosen.
        st.session_state[_SOURCE] = _FOLDER
        prefer_dataset(unpacked.folder)
    st.session_state.setdefault(_SOURCE, _FOLDER)
    source = st.segmented_control(
        "Where the data is",
        (_FOLDER, _UPLOAD),
        required=True,
        key=_SOURCE,
        persist_state="session",
        label_visibility="collapsed",
    )
    if unpacked is not None:
        left_out = f" Left out: {count(len(unpacked.left_out), 'other file')}." if unpacked.left_out else ""
        st.success(
            f"{count(unpacked.num_files, 'file')} unpacked into `{dataset_name(unpacked.folder)}`.{left_out}",
            icon=":material/check_circle:",
        )
    if source == _UPLOAD:
        _show_upload()
        return None
    choice = choose_dataset()
    if choice is not None and choice.data_format == "auto":
        try:
            detect_format(choice.folder)
        except DataError as error:
            st.error(plain(str(error)), icon=":material/error:")
            return None
    return choice


def _show_upload() -> None:
    limits = ArchiveLimits()
    st.caption(
        "Recordings with a table `manifest.csv` (columns `path, species_code`), or simply a folder per species. At most "
        f"{UPLOAD_MB / 1000:.0f} GB, {limits.num_files:,} files and {limits.total_bytes / 2**30:.0f} GB unpacked; "
        "anything but sound and tables is left out."
    )
    with st.form("desk-upload", border=False):
        archive = st.file_uploader("ZIP archive", type="zip", max_upload_size=UPLOAD_MB, key="desk-archive")
        name = st.text_input("Name of the data set", placeholder="That of the archive", max_chars=60, key="desk-name")
        st.form_submit_button("Unpack", icon=":material/folder_zip:", on_click=_ask_for, args=(_UNPACK_ASKED,))
    if not st.session_state.pop(_UNPACK_ASKED, False):
        return
    if archive is None:
        st.error("Choose an archive first.", icon=":material/error:")
        return
    bar = st.progress(0.0, text="Unpacking …")
    try:
        st.session_state[_UNPACKED] = unpack_dataset(
            archive,
            name=f"{name.strip()}.zip" if name.strip() else archive.name,
            limits=limits,
            progress=lambda share: bar.progress(share, text=f"Unpacking into {uploads_root().name} …"),
        )
    except DataError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    finally:
        bar.empty()
    st.rerun()


def choose_training_settings(choice: DatasetChoice) -> RunRequest | None:
    """Let the user choose a preset and change it; None while something in it cannot be used, which is then said."""
    st.subheader("2. Settings")
    presets, problems = list_presets()
    for problem in problems:
        st.warning(plain(problem), icon=":material/warning:")
    if not presets:
        st.error("There is no preset in `configs/`; copy one of the project's there.", icon=":material/error:")
        return None
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    preset = left.selectbox("Preset", list(presets), key="desk-preset", persist_state="session")
    name = right.text_input(
        "Name of the run",
        max_chars=60,
        placeholder="Time and network",
        key="desk-run-name",
        help="Letters, digits and dashes of it name the run's folder.",
    )
    base, missing = fit_to_data(presets[preset].config, choice.folder, data_format=choice.data_format)
    if presets[preset].about:
        st.caption(plain(presets[preset].about))
    values = _show_fields(base, preset)
    kind = _choose_kind(base, preset)
    text = _show_text(base, preset)
    if missing:
        st.caption(f"Trained without {', '.join(f'`{file}`' for file in missing)}, which this data does not have.")
    config, faults = read_settings(text, base=base, fields=values)
    if config is not None:
        try:
            check_paths(config, choice.folder)
        except ConfigError as error:
            faults = [Fault(message=str(error))]
    if faults or config is None:
        # What was asked for with them is not done with others.
        for asked in (_CHECK_ASKED, _PROBE_ASKED, _START_ASKED):
            st.session_state.pop(asked, None)
        forget_start("page")
        _show_faults(faults, text)
        return None
    return RunRequest(choice=choice, config=config, name=name.strip(), kind=kind)


def _show_fields(base: TrainConfig, preset: str) -> dict[str, Any]:
    """A number for each setting that matters."""
    values: dict[str, Any] = {}
    for row in (FIELDS[:4], FIELDS[4:]):
        for column, field in zip(st.columns(4), row, strict=True):
            values[field.setting] = column.number_input(
                field.label,
                field.lowest,
                field.highest,
                getattr(base, field.setting),
                format=field.format,
                step=_step(field),
                help=field.help,
                # Each preset brings its own values along.
                key=f"desk-{preset}-{field.setting}",
                persist_state="session",
            )
    return values


def _step(field: Field) -> float:
    if isinstance(field.lowest, int):
        return 1
    return 0.05 if field.lowest == 0.0 else 1e-4


def _choose_kind(base: TrainConfig, preset: str) -> str:
    return st.radio(
        "Validation",
        list(_KINDS),
        format_func=lambda kind: (
            f"{_KINDS[kind]}, validated on "
            + ("a part of the groups" if kind == "run" else "each part in turn: slower by as many folds, and surer")
        ),
        key=f"desk-{preset}-kind",
        help=f"Recordings are dealt into {base.num_folds} folds that keep a recordist's day, or a site, together; "
        "`fold` and `num_folds` are below. Recordings set aside for testing are never opened.",
    )


def _show_text(base: TrainConfig, preset: str) -> str:
    text = settings_text(base)
    with st.expander("All other settings", icon=":material/tune:"):
        return st.text_area(
            "Settings in TOML",
            text,
            height=320,
            # Another preset, or other data, begins anew.
            key=f"desk-{preset}-{zlib.crc32(text.encode()):08x}",
            persist_state="session",
            help="One setting a line, as in the files in `configs/`. What you delete stays as in the preset. What each "
            "means stands in the class TrainConfig.",
        )


def _show_faults(faults: Sequence[Fault], text: str) -> None:
    lines = text.splitlines()
    said = []
    for fault in faults:
        where = f"line {fault.line}, " if fault.line else ""
        said.append(f"- {where}{plain(fault.message)}")
        if fault.line and fault.line <= len(lines):
            said[-1] += f"\n\n  ```toml\n  {lines[fault.line - 1].strip()}\n  ```"
    verb = "does" if len(faults) == 1 else "do"
    st.error(
        f"{count(len(faults), 'setting')} {verb} not work:\n\n" + "\n".join(said),
        icon=":material/error:",
    )


def show_data_check(request: RunRequest) -> None:
    """What is in the data and what is wrong with it, as far as that was looked at."""
    st.subheader("3. Before you start")
    audit = last_audit(request.choice)
    columns = st.columns(2)
    with columns[0].container(border=True):
        st.markdown("**Check the data**")
        st.caption("Opens every sound and compares it with all others. It is done before the start in any case.")
        st.button(
            "Check the data" if audit is None else "Check again",
            icon=":material/fact_check:",
            on_click=_ask_for,
            args=(_CHECK_ASKED,),
            key="desk-check",
        )
        if st.session_state.pop(_CHECK_ASKED, False):
            audit = audit_now(request.choice)
            if audit is not None:
                st.rerun()  # the button offers to check again
        if audit is not None:
            obstacles, others = all_problems(audit, request.config)
            _show_findings(audit, obstacles, others)
    with columns[1].container(border=True):
        show_probe(request)


def _ask_for(what: str) -> None:
    st.session_state[what] = True  # kept until it is done, even where the page is drawn twice before


def _show_findings(audit: Audit, obstacles: Sequence[DatasetProblem], others: Sequence[DatasetProblem]) -> None:
    own = [summary for summary in audit.classes if not summary.is_extra]
    st.markdown(
        f"{count(len(audit.files), 'sound file')}, {audit.duration / 60:,.0f} min, "
        f"{len(own):,} species: {_tally([*obstacles, *others])}."
    )
    with st.expander("Recordings per species", icon=":material/bar_chart:", type="compact"):
        st.dataframe(
            pd.DataFrame(
                {
                    "Species": summary.common_name,
                    "Train": summary.num_train,
                    "Test": summary.num_test,
                    "Groups": summary.num_groups,
                    "Boxes": summary.num_boxes,
                    "Minutes": round(summary.duration / 60, 1),
                }
                for summary in sorted(own, key=lambda summary: (summary.num_train, summary.code))
            ),
            hide_index=True,
            height=min(320, 38 + 35 * len(own)),
            alt="Recordings of each species, the rarest first",
        )
    _show_problems([*obstacles, *(problem for problem in others if problem.severity != "note")])
    notes = [problem for problem in others if problem.severity == "note"]
    if notes:
        with st.expander(count(len(notes), "further note"), icon=":material/info:", type="compact"):
            for note in notes:
                st.markdown(f"**{plain(note.title)}.** {plain(note.remedy)}")
    st.page_link(CHECK_PAGE, label="All about this data set", icon=":material/fact_check:")


def _tally(problems: Sequence[DatasetProblem]) -> str:
    parts = []
    for severity in SEVERITY_ICONS:
        number = sum(problem.severity == severity for problem in problems)
        if number:
            parts.append(count(number, severity))
    return ", ".join(parts) or "nothing wrong was found"


def _show_problems(problems: Sequence[DatasetProblem]) -> None:
    """Each in a line that opens: what it is, what to do, and where."""
    for problem in problems:
        with st.expander(f"**{plain(problem.title)}**", icon=SEVERITY_ICONS[problem.severity], type="compact"):
            st.markdown(plain(problem.remedy))
            if problem.items:
                st.code(
                    "\n".join(problem.items[:MOST_ITEMS]), language=None, height=min(200, 40 + 24 * len(problem.items))
                )
            if len(problem.items) > MOST_ITEMS:
                st.caption(f"{len(problem.items) - MOST_ITEMS:,} more are on the page “Check dataset”.")


def show_probe(request: RunRequest) -> None:
    """A few steps of this training, to see how long all of it takes; live while they are taken."""
    st.markdown("**Try a few steps**")
    st.caption(
        f"Trains {PROBE_STEPS} steps and keeps nothing, to tell speed, memory and time. Recordings that were not read "
        "before are read first, once for all runs."
    )
    probe = find_probe(request.config, data_root=request.choice.folder)
    state = _state(probe)
    st.fragment(_probe_panel, run_every=POLL_SECONDS if state in _MAY_CHANGE else None)(request, was=state)


def _state(probe: RunDirectory | None) -> str:
    """State of a probe, "" where there is none."""
    try:
        return "" if probe is None else probe.status().state
    except BirdcoreError:  # being replaced this moment
        return ""


def _probe_panel(request: RunRequest, *, was: str) -> None:
    if st.session_state.pop(_PROBE_ASKED, False):
        _start_probe(request)
    problem = st.session_state.pop(_PROBE_PROBLEM, None)
    if problem:
        st.error(plain(problem), icon=":material/error:")
    probe = find_probe(request.config, data_root=request.choice.folder)
    state = _state(probe)
    if state != was:
        st.rerun()  # the whole page, which then looks every second, or no longer
    if state == "running":
        status = probe.status()
        doing = f"step {status.step} of {PROBE_STEPS}" if status.step else "reading recordings …"
        if status.step >= PROBE_STEPS:
            doing = "validating …"
        st.progress(min(1.0, status.step / PROBE_STEPS), text=doing)
        if probe.stop_requested():
            st.caption("Stopping after this step …")
        else:
            st.button("Stop", icon=":material/stop_circle:", on_click=probe.request_stop, key="desk-probe-stop")
        return
    try:
        result = read_probe(probe) if probe is not None else None
        status = probe.status() if probe is not None else None
    except BirdcoreError as error:
        result, status = None, None
        st.error(plain(str(error)), icon=":material/error:")
    st.button(
        f"Try {PROBE_STEPS} steps" if result is None else "Try again",
        icon=":material/speed:",
        on_click=_ask_for,
        args=(_PROBE_ASKED,),
        key="desk-probe",
    )
    if result is not None:
        _show_result(result, request)
    elif state == "lost":
        st.warning(
            "The probe has given no sign of life for a minute. Where this computer is very busy it may still come "
            "back; else try again.",
            icon=":material/hourglass_disabled:",
        )
    elif status is not None and state == "failed":
        st.error(plain(status.message), icon=":material/error:")


def _start_probe(request: RunRequest) -> None:
    try:
        allowed, reason = training_allowed()
        if allowed:
            start_probe(request.config, data_root=request.choice.folder)
        else:
            st.session_state[_PROBE_PROBLEM] = reason
    except (BirdcoreError, OSError) as error:
        st.session_state[_PROBE_PROBLEM] = str(error)


def _show_result(result: ProbeResult, request: RunRequest) -> None:
    num_runs = request.config.num_folds if request.kind == "folds" else 1
    seconds = result.estimate_seconds(request.config, num_runs=num_runs)
    numbers = {
        "Clips per second": f"{result.windows_per_second:.1f}",
        "Memory": f"{result.memory_bytes / GIGABYTE:.1f} GB",
        "All of it takes": _about(seconds),
    }
    if result.device_memory_bytes:
        numbers["Memory on the GPU"] = f"{result.device_memory_bytes / GIGABYTE:.1f} GB"
    with st.container(horizontal=True, gap="small"):
        for label, value in numbers.items():
            st.metric(label, value, border=True, width="stretch")
    free = psutil.virtual_memory().available
    if result.memory_bytes > free:
        st.warning(
            f"Only {free / GIGABYTE:.1f} GB of memory are free right now; a smaller batch size needs less.",
            icon=":material/warning:",
        )
    if any(run.status.has_process for run in observer().runs()):
        st.caption("Another run is training right now; alone it would go faster.")


def _about(seconds: float) -> str:
    """A time span as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def show_start(request: RunRequest) -> None:
    """The button that starts the run, and what comes between."""
    st.subheader("4. Start")
    waiting = sum(run.status.is_active for run in observer().runs())
    if waiting:
        st.caption(f"{count(waiting, 'run')} under way or in the queue; a new one may have to wait for its turn.")
    st.button(
        "Start training",
        icon=":material/play_arrow:",
        type="primary",
        on_click=_ask_for,
        args=(_START_ASKED,),
        key="desk-start",
    )
    wanted = st.session_state.pop(_START_ASKED, False)
    show_refusal("page")
    show_started("page")
    start_when_checked(request, wanted=wanted, place="page", show_problems=_show_problems)
