"""The recordings of a visit: how they come in, where they are kept, and which one is being looked at.

Uploads are written to the disk once, named by what is in them and never by what the user called them; the upload widget
is then replaced by an empty one, which frees the copy it held in memory. All pages look at the same list.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import streamlit as st

from birdcore.audio.decode import AUDIO_SUFFIXES
from birdcore.data.samples import Sample, sample_soundscapes
from birdcore.errors import BirdcoreError, DataError
from birdcore.places import cache_root, recording_roots, resolve_recording
from birdcore.webapp.wording import count, plain

__all__ = ["ChosenRecording", "choose_recording", "chosen_recordings", "spool"]

KEEP_SECONDS = 7 * 24 * 3600.0  # an upload that nobody looked at for a week goes
MAX_LISTED = 2000

_BLOCK_BYTES = 1 << 20
_SHELF, _CURRENT, _GENERATION, _PROBLEM = "recordings", "recording", "input_generation", "input_problem"


@dataclass(frozen=True, kw_only=True)
class ChosenRecording:
    """A recording that somebody brought along.

    Parameters
    ----------
    key : tells its content from any other
    name : what the user calls it
    path : where it lies
    note : what the user should know about it, or ""
    """

    key: str
    name: str
    path: Path
    note: str = ""

    def describe(self, message: BirdcoreError | str) -> str:
        """A message about the file, with the user's own name for it."""
        return str(message).replace(str(self.path), self.name).replace(self.path.name, self.name)


def spool(stream: BinaryIO, name: str) -> ChosenRecording:
    """Write an upload to the disk, block by block.

    Parameters
    ----------
    stream : read to its end
    name : the user's file name; shown, and used for nothing else but its ending

    Returns
    -------
    The recording, at ``<cache>/uploads/<sha256><suffix>``. The same content is stored once.

    Raises
    ------
    OSError
        If the disk is full, or the folder cannot be written to. Nothing is left behind.
    """
    folder = cache_root() / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    _forget_old(folder)
    digest = hashlib.sha256()
    part = folder / f"{secrets.token_hex(16)}.part"
    try:
        with part.open("wb") as file:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
                file.write(block)
        suffix = Path(name).suffix.lower()
        path = folder / f"{digest.hexdigest()}{suffix if suffix in AUDIO_SUFFIXES else ''}"
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return ChosenRecording(key=digest.hexdigest(), name=name, path=path)


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        try:
            stat = path.stat()
            if max(stat.st_atime, stat.st_mtime) < time.time() - KEEP_SECONDS:
                path.unlink()
        except OSError:  # another visit was faster, or the file is not ours to remove
            continue


def _on_disk(path: Path, *, name: str, note: str = "") -> ChosenRecording:
    """A recording read in place; told apart by place, size and date, since hashing hours of sound takes minutes."""
    stat = path.stat()
    identity = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}"
    return ChosenRecording(key=hashlib.sha256(identity.encode()).hexdigest(), name=name, path=path, note=note)


def chosen_recordings() -> list[ChosenRecording]:
    """The recordings of this visit, in the order in which they came."""
    return list(st.session_state.setdefault(_SHELF, {}).values())


def choose_recording() -> ChosenRecording | None:
    """Show the ways in, and the list of recordings where there are several.

    Returns
    -------
    The recording to look at, or None while there is none.
    """
    shelf = chosen_recordings()
    if not shelf:
        _input_area()
        return None
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        by_key = {recording.key: recording for recording in shelf}
        if st.session_state.get(_CURRENT) not in by_key:
            st.session_state[_CURRENT] = shelf[-1].key
        if len(shelf) == 1:
            st.markdown(f"**Recording**  \n{plain(shelf[0].name)}")
            current = shelf[0]
        else:
            key = st.selectbox(
                f"Recording ({len(shelf)} open)",
                list(by_key),
                format_func=lambda key: by_key[key].name,
                key=_CURRENT,
                persist_state="session",
            )
            current = by_key[key]
    # Under a new key it is a new one, which is closed: once something was opened, it is out of the way.
    key = f"open-another-{st.session_state.get(_GENERATION, 0)}"
    with right, st.popover("Open another", icon=":material/add:", width="stretch", key=key):
        _input_area()
        st.button("Close all recordings", icon=":material/close:", on_click=_clear, type="tertiary")
    _show_problem()
    if current.note:
        st.caption(current.note)
    return current


def _input_area() -> None:
    """Upload, microphone, samples, and files that are already on this computer."""
    generation = st.session_state.setdefault(_GENERATION, 0)
    empty = not chosen_recordings()
    with st.container(key="first-upload" if empty else "further-upload"):
        st.file_uploader(
            "Drop recordings here",
            accept_multiple_files=True,
            key=f"upload-{generation}",
            on_change=_take_uploads,
            args=(f"upload-{generation}",),
            help="One or several files: wav, flac, mp3, ogg, opus, m4a, aac, aiff, wma and others. "
            "Where this app runs they are kept for a week; they are sent nowhere else.",
        )
    if empty:
        _show_problem()
    _sample_cards() if empty else _sample_buttons()
    left, right = st.columns(2) if empty else (st.container(), st.container())
    with left:
        st.audio_input(
            "Record with the microphone",
            sample_rate=48_000,  # the default of 16 kHz would lose all song above 8 kHz
            key=f"microphone-{generation}",
            on_change=_take_microphone,
            args=(f"microphone-{generation}",),
        )
    with right:
        _path_input(generation)


def _sample_cards() -> None:
    samples = _samples_or_reason()
    if not samples:
        return
    st.markdown("**No recording at hand?** Listen to a made-up soundscape:")
    for column, sample in zip(st.columns(len(samples)), samples, strict=True):
        with column, st.container(border=True, height="stretch", gap="small"):
            st.markdown(f"**{sample.name}**")
            with st.container(height="stretch"):
                st.caption(sample.description)
            _sample_button(sample, "Listen")


def _sample_buttons() -> None:
    samples = _samples_or_reason()
    if not samples:
        return
    st.caption("Made-up soundscapes")
    with st.container(horizontal=True, gap="small"):
        for sample in samples:
            _sample_button(sample, sample.name)


def _sample_button(sample: Sample, label: str) -> None:
    st.button(
        label,
        icon=":material/play_circle:",
        help=sample.description,
        on_click=_take_sample,
        args=(sample,),
        key=f"sample-{sample.path.stem}",
    )


def _samples_or_reason() -> list[Sample]:
    """The sample soundscapes; where they cannot be kept, none, and the reason is shown."""
    try:
        return _samples()
    except DataError as error:
        st.warning(plain(str(error)), icon=":material/folder_off:")
        return []


@st.cache_resource(show_spinner="Mixing sample soundscapes …")
def _samples() -> list[Sample]:
    return sample_soundscapes(cache_root() / "samples")


def _path_input(generation: int) -> None:
    given = st.text_input(
        "Open a file or folder on this computer",
        key=f"path-{generation}",
        placeholder="station3/2024-05-11/",
        help="For recordings larger than an upload: they are read where they are, a piece at a time. "
        f"Allowed are files in {' and '.join(f'`{root}`' for root in recording_roots())}; "
        "further folders are named in the environment variable BIRDCORE_RECORDINGS.",
    )
    if not given:
        return
    try:
        path = resolve_recording(given)
        files = _listed(path) if path.is_dir() else [path]
    except BirdcoreError as error:
        st.error(plain(str(error)))
        return
    if path.is_dir():
        chosen = st.selectbox(
            f"{count(len(files), 'recording')} in this folder",
            files,
            index=None,
            format_func=lambda file: str(file.relative_to(path)),
            placeholder="Choose one",
            key=f"folder-{generation}",
        )
        if chosen is None:
            return
    else:
        chosen = path
    st.button("Open", on_click=_take_path, args=(chosen,), key=f"open-{generation}")


def _listed(folder: Path) -> list[Path]:
    """The recordings of a folder and those below it, at most ``MAX_LISTED``."""
    found = []
    for path in folder.rglob("*"):
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
            found.append(path)
            if len(found) == MAX_LISTED:
                break
    if not found:
        raise DataError(f"{folder}: holds no recordings; expected files ending in {', '.join(sorted(AUDIO_SUFFIXES))}")
    return sorted(found)


def _take_uploads(widget: str) -> None:
    with st.spinner("Saving the upload …"):
        _keep([(upload, upload.name) for upload in st.session_state.get(widget) or []])


def _take_microphone(widget: str) -> None:
    upload = st.session_state.get(widget)
    if upload is not None:
        _keep([(upload, f"Microphone {time.strftime('%H.%M.%S')}.wav")])


def _keep(uploads: list[tuple[BinaryIO, str]]) -> None:
    """Put uploads on the disk and on the list, as many as there is room for; say why where one cannot be kept."""
    kept = []
    for stream, name in uploads:
        try:
            kept.append(spool(stream, name))
        except OSError as error:
            st.session_state[_PROBLEM] = (
                f"{name}: cannot be kept in {cache_root() / 'uploads'} ({error.strerror or error}); make room there, or "
                "name another folder in BIRDCORE_CACHE"
            )
            break
    _add(kept)


def _take_sample(sample: Sample) -> None:
    _add([_on_disk(sample.path, name=f"{sample.name} (synthesised)", note=sample.description)])


def _take_path(path: Path) -> None:
    try:
        # The path has been to the browser and back: look again where it leads.
        _add([_on_disk(resolve_recording(path), name=path.name)])
    except (BirdcoreError, OSError) as error:
        st.session_state[_PROBLEM] = str(error)


def _add(recordings: list[ChosenRecording]) -> None:
    """Put recordings on the list, look at the first of them, and start with empty widgets."""
    if recordings:
        st.session_state.setdefault(_SHELF, {}).update({recording.key: recording for recording in recordings})
        st.session_state[_CURRENT] = recordings[0].key
        st.session_state[_GENERATION] = st.session_state.get(_GENERATION, 0) + 1


def _clear() -> None:
    st.session_state[_SHELF] = {}
    st.session_state[_GENERATION] = st.session_state.get(_GENERATION, 0) + 1


def _show_problem() -> None:
    problem = st.session_state.pop(_PROBLEM, None)
    if problem:
        st.error(plain(problem))
