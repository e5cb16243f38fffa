"""What is known about the models: measured figures, data, licence, weaknesses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from birdcore.evaluation.metric_names import (
    ALL_RECORDINGS,
    FALSE_ALARMS,
    FRAME_F1,
    KNOWN_FROM_UNKNOWN,
    MACRO_ROC_AUC,
    TOP1,
    metric_of,
)
from birdcore.models.checkpoint import Weights
from birdcore.models.classifier_config import ClassifierConfig
from birdcore.models.labels import SOUND
from birdcore.webapp.observed import METRIC_TITLES
from birdcore.webapp.wording import classes, plain

__all__ = ["figure_rows", "overview", "show_models"]

MOST_LISTED = 300

_TITLES = {
    "macro_auc": METRIC_TITLES["macro_auc"],
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


_OVERVIEW = {
    metric_of(MACRO_ROC_AUC, ALL_RECORDINGS): METRIC_TITLES["macro_auc"],
    metric_of(TOP1, ALL_RECORDINGS): METRIC_TITLES["top1"],
    FRAME_F1: "Frame F1",
    KNOWN_FROM_UNKNOWN: "Known or unknown",
    FALSE_ALARMS: "False alarms",
}
"""Figures of a published model that tell it from others, and what stands above them."""


def show_models(models: Mapping[str, Weights]) -> None:
    """All models in one table, then the card of the one that is chosen.

    Parameters
    ----------
    models : name → weights; the first is shown at the beginning
    """
    if not models:
        return
    names, chosen = list(models), None
    if len(models) > 1:
        table = overview(models)
        shares = [column for column in table.columns if column not in ("Model", "Species")]
        st.dataframe(
            table,
            hide_index=True,
            column_config={column: st.column_config.NumberColumn(format="%.3f") for column in shares},
            placeholder="–",
            alt="Measured figures of all models",
        )
        st.caption(
            "On recordings that took no part in training. “Known or unknown” is the ROC-AUC of telling species that it "
            "knows from others, 0.5 being chance; false alarms are bird-free windows in which it reports a species."
        )
        chosen = st.pills("Model", names, default=names[0], key="about-model")
    name = chosen if chosen in models else names[0]
    _show_card(name, models[name])


def overview(models: Mapping[str, Weights]) -> pd.DataFrame:
    """One row per model, with the figures that were measured of it: NaN where one was not.

    A column that nobody has a figure for is left out.
    """
    rows = []
    for name, weights in models.items():
        metrics = weights.facts.get("metrics")
        metrics = metrics if isinstance(metrics, Mapping) else {}
        figures = {title: _value(metrics.get(key)) for key, title in _OVERVIEW.items()}
        rows.append({"Model": name, "Species": weights.config.num_classes} | figures)
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _value(figure: Any) -> float:
    """A figure without its interval; NaN where it is none."""
    if isinstance(figure, Mapping):
        figure = figure.get("value")
    elif isinstance(figure, list | tuple) and len(figure) == 3:
        figure = figure[0]
    return float(figure) if isinstance(figure, int | float) else float("nan")


def _show_card(title: str, weights: Weights) -> None:
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
