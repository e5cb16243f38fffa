"""What is known about the models: measured figures, data, licence, weaknesses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from birdcore.models.checkpoint import Weights
from birdcore.models.classifier_config import ClassifierConfig
from birdcore.models.labels import SOUND
from birdcore.webapp.wording import classes, plain

__all__ = ["figure_rows", "show_card"]

MOST_LISTED = 300

_TITLES = {
    "macro_auc": "Macro ROC-AUC",
    "cmap": "cmAP (class-averaged average precision)",
    "top1": "Top-1 accuracy",
    "field_top1": "Top-1 accuracy, field recordings",
    "false_alarms": "False alarms per window of background",
}
# What a run notes about an epoch beside its figures.
_NO_FIGURES = {
    "epoch",
    "seconds",
    "validation_seconds",
    "learning_rate",
    "train_loss",
    "train_localization_loss",
    "train_imitation_loss",
}


def show_card(title: str, weights: Weights) -> None:
    """One model: summary, key facts, figures, data, licence, weaknesses, and its whole model card."""
    facts = weights.facts
    with st.container(border=True):
        st.subheader(title)
        if weights.is_outside:
            # Not ours to give away: what it may be used for stands first.
            st.markdown(f":material/public: Made by others. {plain(str(facts.get('licence', '')))}")
        if facts.get("summary"):
            st.markdown(plain(str(facts["summary"])))
        _show_key_facts(weights)
        figures = pd.DataFrame(figure_rows(facts.get("metrics") or facts.get("validation") or {}))
        if len(figures):
            st.markdown("**Measured figures**")
            st.table(figures, border="horizontal", hide_index=True, alt=f"Measured figures of {title}")
        else:
            st.caption("No figures are recorded for this model: treat its answers with care.")
        _show_text("Known weaknesses", facts.get("limits"))
        _show_text("Training data", facts.get("provenance"))
        _show_text("Licence", "" if weights.is_outside else facts.get("licence"))
        _show_text("Source", facts.get("source"))
        _show_classes(title, weights)
        readme = weights.path / "README.md"
        if readme.is_file() and not weights.is_outside:  # whose text could fetch pictures from anywhere
            with st.expander("Full model card"):
                st.markdown(readme.read_text(encoding="utf-8"))


def _show_key_facts(weights: Weights) -> None:
    config, parameters = weights.config, weights.facts.get("parameters")
    low, high = weights.hears
    facts = [
        ("Architecture", config.architecture),
        ("Species" if any(name.kind != SOUND for name in config.class_names) else "Sounds", f"{config.num_classes:,}"),
        ("Window", f"{config.window_seconds:.3g} s"),
        ("Hears", f"{low / 1000:.1f} to {high / 1000:.1f} kHz"),
        ("Parameters", f"{parameters / 1e6:.1f} million" if parameters else "unknown"),
    ]
    if isinstance(config, ClassifierConfig):
        facts.insert(1, ("Listens with", config.base))
    with st.container(horizontal=True, gap="large"):
        for label, value in facts:
            st.metric(label, value, width="content")


def _show_classes(title: str, weights: Weights) -> None:
    """What it knows; of thousands of classes those that fit a search, since nobody reads them all."""
    names = weights.config.class_names
    with st.expander(f"The {classes(names)} it knows"):
        if len(names) > MOST_LISTED:
            wanted = st.text_input(
                "Search", key=f"search-{weights.path}", placeholder="A name, a scientific name, or a code"
            ).casefold()
            found = [n for n in names if wanted in f"{n.code} {n.common} {n.scientific}".casefold()]
            names = found[:MOST_LISTED]
            st.caption(f"{len(found):,} fit, the first {len(names):,} are shown." if len(found) > len(names) else "")
        rows = [
            {"Code": name.code, "Common name": name.common, "Scientific name": name.scientific, "Class": name.kind}
            for name in names
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt=f"What {title} knows")


def _show_text(title: str, content: Any) -> None:
    """A fact of any shape: a text, a list or a table of texts."""
    if not content:
        return
    st.markdown(f"**{title}**")
    if isinstance(content, Mapping):
        content = [f"{str(key).replace('_', ' ')}: {value}" for key, value in content.items()]
    if isinstance(content, list | tuple):
        st.markdown("\n".join(f"- {plain(str(item))}" for item in content))
    else:
        st.markdown(plain(str(content)))


def figure_rows(metrics: Mapping[str, Any], *, prefix: str = "") -> Iterator[dict[str, str]]:
    """Figures as table rows, whatever their nesting.

    Parameters
    ----------
    metrics : name → number, ``[value, low, high]`` (a 95 % interval), text, or further figures
    prefix : put before each name

    Yields
    ------
    rows with "Figure", "Value" and "95 % interval"
    """
    for name, value in metrics.items():
        if name in _NO_FIGURES:
            continue
        title = prefix + _TITLES.get(name, str(name).replace("_", " "))
        if title.split()[0].islower():  # cmAP stays as it is written
            title = title[:1].upper() + title[1:]
        if isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys():
            value = [value["value"], value["low"], value["high"]]
        if isinstance(value, Mapping):
            yield from figure_rows(value, prefix=f"{title}: ")
        elif isinstance(value, list | tuple) and len(value) == 3:
            middle, low, high = value
            interval = "" if low is None or high is None else f"{_number(low)} to {_number(high)}"
            yield {"Figure": title, "Value": _number(middle), "95 % interval": interval}
        else:
            yield {"Figure": title, "Value": _number(value), "95 % interval": ""}


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "undefined" if value is None else str(value)
