"""The model that listens: choosing it, its card, and loading it once for all visitors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from birdcore.errors import BirdcoreError
from birdcore.models.checkpoint import Weights, find_weights, list_problems, list_weights
from birdcore.models.versions import finish_installations
from birdcore.places import weights_root
from birdcore.training.jobs import list_runs
from birdcore.webapp.wording import classes, plain, shortened

if TYPE_CHECKING:
    from birdcore.inference.predictor import Predictor

__all__ = [
    "Listening",
    "available_models",
    "choose_model",
    "fingerprint",
    "listening",
    "listening_with",
    "load_predictor",
    "load_visibly",
    "model_card",
    "model_help",
    "show_missing_weights",
    "show_unusable_weights",
]

OVERLAP_SHARES = (0.0, 0.25, 0.5, 0.75)
NUM_RUNS = 5  # as many of the latest training runs offer their weights
CARD_LETTERS = 48  # of the summary in the sidebar, two lines of it; the whole is behind the question mark
LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 0.05, 0.95

_WEIGHTS = "weights"


@dataclass(frozen=True, kw_only=True)
class Listening:
    """How recordings are listened to.

    Parameters
    ----------
    weights : the model
    threshold : score from which on a species counts as present
    overlap : seconds that successive windows share
    """

    weights: Weights
    threshold: float
    overlap: float


def available_models() -> dict[str, Weights]:
    """Name → weights: those shipped, the default first, then those of the latest training runs."""
    finish_installations(weights_root())
    models = {weights.name: weights for weights in list_weights()}
    for run in list_runs()[:NUM_RUNS]:
        try:
            models[f"{run.name} (trained here)"] = find_weights(run.path / "weights")
        except BirdcoreError:  # it has not finished its first epoch
            continue
    return models


def choose_model() -> None:
    """The sidebar's model, threshold and overlap. Pages read them with :func:`listening`."""
    models = available_models()
    if not models:
        st.caption("No model is installed yet.")
        return
    weights = models[st.selectbox("Model", list(models), key=_WEIGHTS, persist_state="session")]
    st.caption(model_card(weights), help=model_help(weights))
    st.slider(
        "Threshold",
        LOWEST_THRESHOLD,
        HIGHEST_THRESHOLD,
        _default_threshold(weights),
        0.01,
        key=_threshold_key(weights),
        persist_state="session",
        help="The score from which on a species counts as present. Lower finds more, and more that is not there. "
        "Moving it does not run the model again.",
    )
    shares = {share * weights.config.window_seconds: share for share in OVERLAP_SHARES}
    st.select_slider(
        "Overlap of windows",
        list(shares),
        OVERLAP_SHARES[2] * weights.config.window_seconds,
        format_func=lambda seconds: f"{seconds:.2f} s",
        key=_overlap_key(weights),
        persist_state="session",
        help=f"The model listens to {weights.config.window_seconds:.3g} s at a time. "
        "Overlap catches calls at the edges of a window, and takes longer.",
    )


def listening() -> Listening | None:
    """What the sidebar is set to, or the defaults where it was not shown; None where no model is installed."""
    models = available_models()
    if not models:
        return None
    weights = models.get(st.session_state.get(_WEIGHTS), next(iter(models.values())))
    return listening_with(weights)


def listening_with(weights: Weights) -> Listening:
    """How recordings are listened to with one of the models: as the sidebar was last set to for it, or the defaults."""
    default_overlap = OVERLAP_SHARES[2] * weights.config.window_seconds
    return Listening(
        weights=weights,
        threshold=st.session_state.get(_threshold_key(weights), _default_threshold(weights)),
        overlap=st.session_state.get(_overlap_key(weights), default_overlap),
    )


def _default_threshold(weights: Weights) -> float:
    return min(max(weights.config.threshold, LOWEST_THRESHOLD), HIGHEST_THRESHOLD)


def model_card(weights: Weights) -> str:
    """The model in a few words of Markdown: how much it knows, and how its summary begins."""
    known = classes(weights.config.class_names)
    summary = shortened(_summary(weights).split(": ")[0], CARD_LETTERS)
    return f"**{known}**  \n{plain(summary)}" if summary else f"**{known}**"


def model_help(weights: Weights) -> str | None:
    """What else should be known about it, in Markdown: the whole summary, and the licence of a model from outside."""
    parts = [_summary(weights), str(weights.facts.get("licence", "")) if weights.is_outside else ""]
    return "\n\n".join(plain(part) for part in parts if part) or None


def _summary(weights: Weights) -> str:
    summary = str(weights.facts.get("summary", "")).strip().rstrip(".")
    return summary[:1].upper() + summary[1:]


def show_missing_weights() -> None:
    """What to do where there is no model."""
    st.warning(
        f"**No model is installed.** The folder `{weights_root()}` holds no weights. "
        "Fetch the project's weights into it, or train a model from the sidebar; then reload this page. "
        "Until then you can look at and listen to recordings on the page “Explore sounds”.",
        icon=":material/model_training:",
    )


def show_unusable_weights() -> None:
    """Folders that look like weights but cannot be used, with the reason; nothing where there are none."""
    problems = list_problems()
    if problems:
        listed = "\n".join(f"- {plain(problem)}" for problem in problems)
        st.warning(f"**Not every folder of weights can be used.**\n\n{listed}", icon=":material/folder_off:")


def fingerprint(weights: Weights) -> str:
    """Tells these weights from any other, and from the same folder with other contents."""
    stat = weights.file.stat()
    return f"{weights.path}\0{weights.facts.get('sha256', '')}\0{stat.st_size}\0{stat.st_mtime_ns}"


def load_predictor(weights: Weights) -> Predictor:
    """The model, loaded once and shared by all visitors.

    Raises
    ------
    WeightsError
        If the weights are damaged.
    ConfigError
        If they are of an architecture that is not known here.
    """
    return _load(str(weights.path), fingerprint(weights))


def load_visibly(weights: Weights) -> None:
    """Load the model for later; where that fails, show why."""
    try:
        load_predictor(weights)
    except BirdcoreError as error:
        st.error(plain(str(error)), icon=":material/error:")


@st.cache_resource(max_entries=3, show_spinner="Loading the model …")
def _load(path: str, contents: str) -> Predictor:  # contents only tells one version of a folder from the next
    from birdcore.inference.predictor import Predictor  # loads torch: seconds that the first view should not wait for

    return Predictor.load(path)


def _threshold_key(weights: Weights) -> str:
    return f"threshold-{weights.path}"


def _overlap_key(weights: Weights) -> str:
    return f"overlap-{weights.path}"
