"""Comparing training runs: their curves in one chart, what differs in their settings, and whether one is really better."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from birdcore.config import to_dict
from birdcore.errors import BirdcoreError
from birdcore.evaluation.clips import class_average_precision, macro_roc_auc, top1_accuracy
from birdcore.evaluation.comparison import (
    PairedDifference,
    ScoredRecordings,
    join_recordings,
    paired_bootstrap,
    shared_recordings,
)
from birdcore.run_figures import Curve, curves_figure
from birdcore.training.observation import ObservedRun
from birdcore.webapp.observed import (
    FIGURE_TITLES,
    METRIC_TITLES,
    SHARES,
    curves_of,
    metrics_csv,
    metrics_of,
    observer,
    runs_json,
)
from birdcore.webapp.wording import count, plain

__all__ = ["compare_runs", "setting_differences"]

FIRST_RUNS = 3
NUM_RESAMPLES = 1000
SEED = 0  # of the bootstrap, so that a figure comes out the same every time

_METRICS = {
    METRIC_TITLES["macro_auc"]: macro_roc_auc,
    METRIC_TITLES["cmap"]: class_average_precision,
    METRIC_TITLES["top1"]: top1_accuracy,
}
_CHARTS = ("macro_auc", "cmap", "train_loss", "learning_rate")
_CHOSEN = "compared-runs"


def compare_runs(runs: Sequence[ObservedRun]) -> None:
    """Let the viewer choose any number of runs, and compare them."""
    by_name = {run.name: run for run in runs}
    kept = [name for name in st.session_state.get(_CHOSEN, []) if name in by_name]
    if _CHOSEN in st.session_state:
        st.session_state[_CHOSEN] = kept  # without those that were deleted meanwhile
    names = st.multiselect(
        "Runs to compare",
        list(by_name),
        default=None if _CHOSEN in st.session_state else list(by_name)[:FIRST_RUNS],
        key=_CHOSEN,
        persist_state="session",
        placeholder="Choose two or more",
    )
    if len(names) < 2:
        st.caption("Choose two runs or more.")
        return
    chosen = [by_name[name] for name in names]
    _show_curves(chosen)
    _show_settings(chosen)
    _show_difference(chosen)
    _show_downloads(chosen)


def _show_curves(chosen: Sequence[ObservedRun]) -> None:
    smoothing = st.slider(
        "Smoothing",
        0.0,
        0.95,
        0.0,
        0.05,
        key="smoothing",
        persist_state="session",
        width=320,
        help="Draws a smoothed curve on top; what was measured stays.",
    )
    metrics = {run.name: metrics_of(run) for run in chosen}
    columns = st.columns(2, gap="medium")
    shown = 0
    for column in _CHARTS:
        title = FIGURE_TITLES[column]
        curves = [
            curve for number, run in enumerate(chosen) for curve in _curves(run, metrics[run.name], column, number)
        ]
        if not any(value is not None for curve in curves for value in curve.values):
            continue
        with columns[shown % 2]:
            st.plotly_chart(
                curves_figure(
                    curves,
                    title=title,
                    smoothing=0.0 if column == "learning_rate" else smoothing,
                    share=column in SHARES,
                    height=320,
                ),
                config={"displayModeBar": False},
                alt=f"{title} over the epochs of {count(len(chosen), 'run')}",
                key=f"compared-{column}",
            )
        shown += 1
    if not shown:
        st.caption("None of these runs has completed an epoch yet.")


def _curves(
    run: ObservedRun, metrics: Mapping[str, Sequence[Mapping[str, Any]]], column: str, number: int
) -> list[Curve]:
    """The curve of a run; of a cross-validation, the mean over those folds that have come as far."""
    if not run.has_folds:
        return curves_of(metrics, column, first=number)
    values: dict[int, list[float]] = {}
    for rows in metrics.values():
        for row in rows:
            if row.get(column) is not None:
                values.setdefault(row["epoch"], []).append(row[column])
    epochs = sorted(values)
    name = f"{run.name} (mean of folds)"
    return [Curve(name=name, epochs=epochs, values=[float(np.mean(values[epoch])) for epoch in epochs], number=number)]


def setting_differences(configs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Settings that are not the same in all runs.

    Parameters
    ----------
    configs : run → settings

    Returns
    -------
    One row per setting: ``Setting``, then the value of each run; "–" where it has none
    """
    flat = {name: dict(_flattened(config)) for name, config in configs.items()}
    keys = dict.fromkeys(key for config in flat.values() for key in config)
    rows = []
    for key in keys:
        values = [config.get(key, "–") for config in flat.values()]
        if len(set(values)) > 1:
            rows.append({"Setting": key, **dict(zip(flat, values, strict=True))})
    return rows


def _flattened(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            pairs += _flattened(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value if isinstance(value, str) and value else json.dumps(value)))
    return pairs


def _show_settings(chosen: Sequence[ObservedRun]) -> None:
    st.subheader("What differs")
    outcome = [
        {
            "Run": run.name,
            "State": run.status.state,
            "Epochs": f"{run.status.epoch} of {run.total_epochs}",
            "Best macro AUC": run.status.best,
        }
        for run in chosen
    ]
    st.dataframe(
        pd.DataFrame(outcome),
        hide_index=True,
        placeholder="",
        alt="How far the runs came",
        column_config={
            "Run": st.column_config.TextColumn(pinned=True),
            "Best macro AUC": st.column_config.NumberColumn(format="%.3f"),
        },
    )
    rows = setting_differences({run.name: to_dict(run.config) for run in chosen})
    if not rows:
        st.caption("All of these runs have the same settings.")
        return
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        alt="Settings that are not the same in all runs",
        column_config={"Setting": st.column_config.TextColumn(pinned=True)},
    )


def _show_difference(chosen: Sequence[ObservedRun]) -> None:
    """Paired bootstrap of two of the runs, on what both were measured on."""
    st.subheader("Is one really better?")
    names = [run.name for run in chosen]
    left, right = st.columns(2)
    with left:
        first = st.selectbox("First run", names, key="first-run")
    with right:
        second = st.selectbox("Second run", names, index=1, key="second-run")
    if first == second:
        st.caption("Choose two different runs.")
        return
    pair = [next(run for run in chosen if run.name == name) for name in (first, second)]
    shown = 0
    for split, title in (("test", "Test recordings"), ("validation", "Validation recordings")):
        try:
            scores = [_scores(run, split) for run in pair]
        except BirdcoreError as error:
            st.error(plain(str(error)), icon=":material/error:")
            continue
        if None in scores:
            continue
        shown += 1
        st.markdown(f"**{title}**")
        _show_paired(pair, scores, split)
    if not shown:
        missing = " and ".join(f"**{plain(run.name)}**" for run in pair if _scores_missing(run))
        st.caption(f"There are no results per recording of {missing or 'the same kind of recordings'} yet.")


def _scores_missing(run: ObservedRun) -> bool:
    try:
        return _scores(run, "validation") is None
    except BirdcoreError:
        return True


def _scores(run: ObservedRun, split: str) -> ScoredRecordings | None:
    """What a run says of each recording; of a cross-validation, each fold's network of those that it held out."""
    own = observer().scores(run.run, split)
    if own is not None or not run.has_folds:
        return own
    parts = [observer().scores(fold.run, split) for fold in observer().folds(run.run)]
    return join_recordings([part for part in parts if part is not None])


def _show_paired(pair: Sequence[ObservedRun], scores: Sequence[ScoredRecordings], split: str) -> None:
    shared = shared_recordings(*scores)
    if shared is None:
        st.caption(
            f"The two share no {split} recording: they were made from other data, or validate on other folds. "
            "Cross-validate both, or measure both on the test split."
        )
        return
    identity = tuple((str(run.run.path), scored.epoch) for run, scored in zip(pair, scores, strict=True))
    differences = _paired_differences(identity, split, len(shared[0].recordings), shared)
    one = next(iter(differences.values()))
    st.table(
        pd.DataFrame([_difference_row(name, found) for name, found in differences.items()]),
        border="horizontal",
        hide_index=True,
        alt="Metrics of the two runs, and the interval of their difference",
    )
    st.caption(
        f"On {count(one.num_recordings, 'recording')} in {count(one.num_groups, 'group')} that both were measured on, and "
        f"{len(shared[0].codes)} classes that both know. The interval (95 %) comes from drawing the same groups of "
        f"recordings for both, {NUM_RESAMPLES:,} times; where it leaves out zero, the difference is clear."
        + (
            " Each run's epoch was chosen by its own validation recordings, so small differences mean little."
            if split == "validation"
            else ""
        )
    )


# The shared recordings follow from what stands before them.
@st.cache_data(max_entries=64, show_spinner="Drawing recordings again and again …")
def _paired_differences(
    identity: tuple[tuple[str, int], ...],
    split: str,
    num_recordings: int,
    _shared: tuple[ScoredRecordings, ScoredRecordings],
) -> dict[str, PairedDifference]:
    first, second = _shared
    return {
        name: paired_bootstrap(
            metric,
            first.labels,
            first.logits,
            second.logits,
            groups=first.groups,
            generator=np.random.default_rng(SEED),
            num_resamples=NUM_RESAMPLES,
        )
        for name, metric in _METRICS.items()
    }


def _difference_row(name: str, found: PairedDifference) -> dict[str, str]:
    if math.isnan(found.difference):
        return {"Metric": name, "First": "–", "Second": "–", "Second minus first": "–", "Verdict": "undefined here"}
    verdict = "no clear difference"
    if found.is_clear:
        verdict = f"{'second' if found.difference > 0 else 'first'} is better"
    return {
        "Metric": name,
        "First": f"{found.first:.3f}",
        "Second": f"{found.second:.3f}",
        "Second minus first": f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f})",
        "Verdict": verdict,
    }


def _show_downloads(chosen: Sequence[ObservedRun]) -> None:
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Figures per epoch (CSV)",
            functools.partial(_metrics_file, chosen),
            file_name="runs.metrics.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="compared-csv",
        )
        st.download_button(
            "Everything (JSON)",
            functools.partial(runs_json, chosen),
            file_name="runs.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
            key="compared-json",
        )


def _metrics_file(chosen: Sequence[ObservedRun]) -> str:
    return metrics_csv(
        {
            run.name if part == run.name else f"{run.name}/{part}": rows
            for run in chosen
            for part, rows in metrics_of(run).items()
        }
    )
