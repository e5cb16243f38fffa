"""Checking a data set: which one, what is wrong with it, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from birdcore.data.audit import Audit, audit_dataset, audit_text, files_text, problems_text
from birdcore.data.checks import DatasetProblem
from birdcore.data.readers import DATA_FORMATS, detect_format, read_dataset
from birdcore.errors import BirdcoreError, DataError
from birdcore.places import data_root, recording_roots, resolve_recording, uploads_root
from birdcore.webapp.wording import clock, count, joined, plain

__all__ = [
    "SEVERITY_ICONS",
    "DatasetChoice",
    "audit_now",
    "audit_visibly",
    "choose_dataset",
    "dataset_name",
    "known_datasets",
    "last_audit",
    "offered_datasets",
    "prefer_dataset",
    "show_audit_downloads",
    "show_dataset_overview",
    "show_dataset_problems",
]

SEVERITY_ICONS = {"error": ":material/error:", "warning": ":material/warning:", "note": ":material/info:"}
"""Severity of a problem → icon, the gravest first."""

MAX_ITEMS = 1000  # lines of one problem; all of them are in the downloads

_AUDIT, _PREFERRED = "dataset_audit", "dataset_preferred"
_FORMAT_NAMES = {
    "auto": "Recognise it",
    "manifest": "Own table (manifest.csv)",
    "folders": "A folder per species",
    "birdclef2021": "BirdCLEF 2021",
    "birdclef2025": "BirdCLEF 2025",
    "zenodo": "Zenodo / BirdSet annotations",
    "raven": "Raven selection tables",
}
_TABLES = ("manifest.csv", "train.csv", "train_metadata.csv", "annotations.csv")
_DOWNLOADS = {"Problems (CSV)": "problems.csv", "Files (CSV)": "files.csv", "Everything (JSON)": "audit.json"}
_ROLES = {
    "recording": "with a species",
    "extra": "of further species",
    "boxes": "with boxes",
    "background": "as background",
}


@dataclass(frozen=True, kw_only=True)
class DatasetChoice:
    """A data set to be checked.

    Parameters
    ----------
    folder : on the server, inside the folders that may be opened
    data_format : one of ``DATA_FORMATS``, or "auto"
    """

    folder: Path
    data_format: str


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """An audit as it is kept for a visit, with its downloads, which take a while for many files."""

    choice: DatasetChoice
    audit: Audit
    texts: dict[str, str]


def known_datasets() -> list[Path]:
    """Folders that are offered: the configured ones and those right below them, as far as they hold a data set."""
    found = []
    uploads = uploads_root()
    for root in dict.fromkeys([data_root(), *recording_roots()]):
        if not root.is_dir():
            continue
        children = [
            child for child in sorted(root.iterdir()) if child.is_dir() and any((child / t).is_file() for t in _TABLES)
        ]
        if any((root / table).is_file() for table in _TABLES):
            # Its own table reaches into its folders: those that hold a part only are no data sets of their own.
            found += [root, *(child for child in children if (child / "manifest.csv").is_file())]
        elif children:
            found += children
        else:
            try:
                data_format = detect_format(root)
            except DataError:
                continue
            # The folder of uploads is no species.
            if data_format != "folders" or any(child.is_dir() and child != uploads for child in root.iterdir()):
                found.append(root)
    if uploads.is_dir():
        # Each was found to be a data set before it came there.
        found += [child for child in sorted(uploads.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    return [folder for folder in dict.fromkeys(found) if folder != uploads]


def dataset_name(folder: Path) -> str:
    """What a data set's folder is called on screens: its path from the data root on, or its own name.

    Its whole path where another is called alike: a list of choices tells them apart by nothing else.
    """
    name = _short_name(folder)
    return str(folder) if any(_short_name(other) == name for other in offered_datasets() if other != folder) else name


def _short_name(folder: Path) -> str:
    root = data_root()
    return str(folder.relative_to(root)) if folder != root and folder.is_relative_to(root) else folder.name


# Looking through folders takes long where they are large, and each use of a widget is a new run.
@st.cache_data(ttl=30, show_spinner=False)
def _known_datasets(roots: tuple[Path, ...]) -> list[Path]:
    return known_datasets()


def offered_datasets() -> list[Path]:
    """As :func:`known_datasets`, looked for at most every half minute."""
    return _known_datasets((data_root(), *recording_roots()))


def prefer_dataset(folder: Path) -> None:
    """Have a data set chosen where one is chosen from now on, until the user chooses another."""
    st.session_state[_PREFERRED] = folder
    _known_datasets.clear()  # it may be new


def choose_dataset() -> DatasetChoice | None:
    """Show which data sets there are, and let the user choose one, or name a folder.

    Returns
    -------
    None while nothing is chosen, or where the folder may not be opened, which is then said.
    """
    known = offered_datasets()
    root = data_root()
    preferred: Path | None = st.session_state.get(_PREFERRED)
    # Fields of their own since then: what is kept of the earlier ones cannot be changed.
    since = f"-{preferred.name}" if preferred in known else ""
    left, middle, right = st.columns([4, 4, 3], vertical_alignment="bottom")
    chosen = left.selectbox(
        "Data set",
        known,
        known.index(preferred) if preferred in known else 0,
        format_func=dataset_name,
        placeholder="None found",
        key=f"dataset-folder{since}",
        persist_state="session",
        help=f"Found in {' and '.join(f'`{place}`' for place in recording_roots())}.",
    )
    given = middle.text_input(
        "Or another folder on this computer",
        key=f"dataset-path{since}",
        persist_state="session",
        placeholder="station3/2024/",
        help="Inside the folders above; further ones are named in the environment variable BIRDCORE_RECORDINGS.",
    )
    data_format = right.selectbox(
        "Format",
        ["auto", *DATA_FORMATS],
        format_func=lambda name: _FORMAT_NAMES.get(name, name),
        key=f"dataset-format{since}",
        persist_state="session",
    )
    if not given and chosen is None:
        st.info(
            f"Put a data set into `{root}`: recordings with a table `manifest.csv` (columns `path, species_code`), "
            "BirdCLEF's or Zenodo's tables, Raven selections, or simply a folder per species.",
            icon=":material/folder_open:",
        )
        return None
    try:
        # The path has been to the browser and back: look again where it leads.
        folder = resolve_recording(given or chosen)
    except DataError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None
    if not folder.is_dir():
        st.error(f"{plain(folder.name)}: is a file; name the folder it lies in", icon=":material/error:")
        return None
    return DatasetChoice(folder=folder, data_format=data_format)


def audit_visibly(choice: DatasetChoice) -> Audit | None:
    """Check a data set when asked to, and show how far it is.

    Returns
    -------
    The last audit of this data set in this visit; None while there is none.
    """
    audit = last_audit(choice)
    asked = st.button(
        "Check this data set",
        icon=":material/fact_check:",
        type="primary" if audit is None else "secondary",
        key="dataset-check",
    )
    return audit_now(choice) if asked else audit


def last_audit(choice: DatasetChoice) -> Audit | None:
    """The last audit of this data set in this visit; None while there is none."""
    checked: _Checked | None = st.session_state.get(_AUDIT)
    return checked.audit if checked is not None and checked.choice == choice else None


def audit_now(choice: DatasetChoice) -> Audit | None:
    """Check a data set, and show how far it is.

    Returns
    -------
    None where it cannot be read, which is then said.
    """
    st.session_state.pop(_AUDIT, None)
    bar = st.progress(0.0, text="Reading the tables …")
    try:
        dataset = read_dataset(choice.folder, data_format=choice.data_format)
        audit = audit_dataset(dataset, choice.folder, progress=_in_hundredths(bar))
    except BirdcoreError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None
    finally:
        bar.empty()
    texts = {"audit.json": audit_text(audit), "files.csv": files_text(audit), "problems.csv": problems_text(audit)}
    st.session_state[_AUDIT] = _Checked(choice=choice, audit=audit, texts=texts)
    return audit


def _in_hundredths(bar: DeltaGenerator) -> Callable[[str, float], None]:
    """Progress for a bar, told when it has moved visibly: each message to the browser costs more than a short sound."""
    shown = -1

    def report(step: str, share: float) -> None:
        nonlocal shown
        if round(100 * share) != shown:
            shown = round(100 * share)
            bar.progress(min(1.0, share), text=f"{step} …")

    return report


def show_dataset_overview(audit: Audit) -> None:
    """How much there is, in one row of numbers."""
    roles = Counter(role for file in audit.files for role in file.roles)
    own = [summary for summary in audit.classes if summary.num_recordings and not summary.is_extra]
    st.caption(f"{_FORMAT_NAMES.get(audit.dataset.data_format, audit.dataset.data_format)}: {_made_of(roles)}.")
    numbers = {
        "Sound files": f"{len(audit.files):,}",
        "Length": f"{audit.duration / 3600:.1f} h" if audit.duration >= 3600 else clock(audit.duration),
        "Species": f"{len(own) or len(audit.classes):,}",
        "Boxes": f"{audit.num_boxes:,}",
        "Errors": f"{audit.count_problems('error')}",
        "Warnings": f"{audit.count_problems('warning')}",
    }
    with st.container(horizontal=True, gap="small"):
        for label, value in numbers.items():
            st.metric(label, value, border=True, width="stretch")


def _made_of(roles: Counter[str]) -> str:
    return joined([f"{count(roles[role], 'file')} {name}" for role, name in _ROLES.items() if roles[role]])


def show_dataset_problems(audit: Audit) -> None:
    """What is wrong, gravest first, and what to do about it."""
    st.subheader("Problems")
    if not audit.problems:
        st.success("Nothing was found that is wrong with this data set.", icon=":material/check_circle:")
        return
    for number, problem in enumerate(audit.problems):
        if problem.severity != "note":
            _show_problem(problem, key=f"problem-{number}")
    notes = [problem for problem in audit.problems if problem.severity == "note"]
    if notes:
        with st.expander(f"{count(len(notes), 'further note')}", icon=":material/info:"):
            for number, problem in enumerate(notes):
                _show_problem(problem, key=f"note-{number}")


def _show_problem(problem: DatasetProblem, *, key: str) -> None:
    with st.container(border=True, gap="small"):
        st.markdown(f"{SEVERITY_ICONS[problem.severity]} **{plain(problem.title)}**")
        st.markdown(plain(problem.remedy))
        shown = problem.items[:MAX_ITEMS]
        left_out = len(problem.items) - len(shown)
        with st.expander(count(len(problem.items), "line"), type="compact"):
            st.dataframe(
                pd.DataFrame({"Where": shown}),
                hide_index=True,
                height=min(320, 38 + 35 * len(shown)),
                alt=problem.title,
                key=key,
            )
            if left_out:
                st.caption(f"{left_out:,} more are in the downloads.")


def show_audit_downloads() -> None:
    """The audit as files, in full."""
    checked: _Checked | None = st.session_state.get(_AUDIT)
    if checked is None:
        return
    stem = checked.audit.folder.name or "dataset"
    with st.container(horizontal=True, gap="small"):
        for label, name in _DOWNLOADS.items():
            st.download_button(
                label,
                checked.texts[name],
                file_name=f"{stem}.{name}",
                mime="application/json" if name.endswith("json") else "text/csv",
                icon=":material/download:",
                on_click="ignore",
                key=f"dataset-download-{name}",
            )
