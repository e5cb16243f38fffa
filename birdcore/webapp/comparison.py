"""Several models on one recording, side by side: what each hears, when, and how far they agree."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd
import streamlit as st

from birdcore.config import ClassName
from birdcore.errors import BirdcoreError
from birdcore.evaluation.agreement import Opinion, PairAgreement, compare_pair, match_classes
from birdcore.export.cells import csv_line, guarded_text
from birdcore.figures import Lane, ranking_figure, timelines_figure
from birdcore.models.checkpoint import Weights
from birdcore.player_data import species_palette
from birdcore.webapp.analysis import Analysis, analyze
from birdcore.webapp.models import available_models, listening_with
from birdcore.webapp.recordings import ChosenRecording
from birdcore.webapp.wording import classes, count, joined, plain, shortened

__all__ = ["Compared", "choose_models", "compare_models", "show_comparison", "verdict"]

NUM_BEST = 5
MOST_MODELS = 6
FIRST_MODELS = 3  # chosen at first: as many as stand side by side on a screen
COLUMNS = 3
MOST_LANES = 6  # species per model in the timelines; the others are counted
MOST_SPECIES = 15  # rows of the table of species
MOST_MISSING = 6  # names of classes that a model does not know

_CHOSEN = "compared-models"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One model's answer.

    Parameters
    ----------
    title : what the screen calls the model
    weights : the model
    analysis : what it says of the recording, at its own threshold
    numbers : number of each of its classes, shared by all models that are compared
    """

    title: str
    weights: Weights
    analysis: Analysis
    numbers: tuple[int, ...]

    @property
    def opinion(self) -> Opinion:
        """Scores and reported classes by their shared numbers."""
        scores = dict(zip(self.numbers, self.analysis.scores.recording.tolist(), strict=True))
        reported = frozenset(number for number, score in scores.items() if score >= self.analysis.threshold)
        return Opinion(scores=scores, reported=reported)

    @property
    def calls(self) -> Counter[int]:
        """Number of marked calls per class number."""
        number_of = dict(zip(self.analysis.scores.codes, self.numbers, strict=True))
        return Counter(number_of[event.label] for event in self.analysis.events)


def choose_models() -> dict[str, Weights]:
    """Let the viewer choose which models are compared."""
    models = available_models()
    return {
        title: models[title]
        for title in st.multiselect(
            "Models",
            list(models),
            default=list(models)[:FIRST_MODELS],
            max_selections=MOST_MODELS,
            key=_CHOSEN,
            persist_state="session",
            placeholder="Choose two or more",
            help="Each listens with its own threshold and overlap, as the sidebar was last set for it.",
        )
    }


def compare_models(recording: ChosenRecording, models: dict[str, Weights]) -> list[Compared]:
    """Have models listen, one after the other, each once; a model that cannot is shown with the reason and left out."""
    bar = st.empty()
    heard: list[tuple[str, Weights, Analysis]] = []
    for done, (title, weights) in enumerate(models.items()):

        def show(share: float, done: int = done, title: str = title) -> None:
            text = f"{plain(title)} listens to {plain(recording.name)} …"
            bar.progress(min(max((done + share) / len(models), 0.0), 1.0), text=text)

        try:
            heard.append((title, weights, analyze(recording, listening_with(weights), progress=show)))
        except BirdcoreError as error:
            st.error(f"**{plain(title)}**: {plain(recording.describe(error))}", icon=":material/error:")
    bar.empty()
    numbers = match_classes([analysis.scores.class_names for _, _, analysis in heard])
    return [
        Compared(title=title, weights=weights, analysis=analysis, numbers=tuple(row))
        for (title, weights, analysis), row in zip(heard, numbers, strict=True)
    ]


def show_comparison(recording: ChosenRecording, compared: Sequence[Compared]) -> None:
    """The answers side by side, when each model hears what, and how far they agree."""
    names = _names(compared)
    st.markdown(f"## {verdict(compared)}")
    st.caption(
        "Each model at its own threshold. A score of one model is not a score of another: compare what they name, "
        "not how high."
    )
    colors = _colors(compared)
    _show_answers(compared, colors)
    _show_timelines(compared, names, colors)
    _show_species(recording, compared, names)
    if len(compared) > 1:
        _show_agreement(compared, names)


def verdict(compared: Sequence[Compared]) -> str:
    """Which species the models name first, in one sentence of Markdown."""
    names = _names(compared)
    by_answer: dict[int | None, list[str]] = defaultdict(list)
    for one in compared:
        best = one.opinion.best()
        by_answer[best if best in one.opinion.reported else None].append(f"*{plain(one.title)}*")
    silent = by_answer.pop(None, [])
    if len(compared) == 1 and not silent:
        return f"{plain(names[next(iter(by_answer))].common)}"
    if not by_answer:
        return "No model names anything in this recording" if len(compared) > 1 else "Nothing it knows was found"
    if len(by_answer) == 1 and not silent:
        number = {2: "Both", 3: "All three"}.get(len(compared), f"All {len(compared)}")
        return f"{number} models name {plain(names[next(iter(by_answer))].common)} first"
    parts = [
        f"{joined(titles)} {'names' if len(titles) == 1 else 'name'} {plain(names[answer].common)}"
        for answer, titles in sorted(by_answer.items(), key=lambda item: -len(item[1]))
    ]
    if silent:
        parts.append(f"{joined(silent)} {'names' if len(silent) == 1 else 'name'} nothing")
    return "; ".join(parts)


def _names(compared: Iterable[Compared]) -> dict[int, ClassName]:
    """Class number → name; of names of one class, the first that has both a common and a scientific one."""
    names: dict[int, ClassName] = {}
    for one in compared:
        for number, name in zip(one.numbers, one.analysis.scores.class_names, strict=True):
            if number not in names or (name.scientific and not names[number].scientific):
                names[number] = name
    return names


def _colors(compared: Sequence[Compared]) -> dict[int, str]:
    """Class number → colour, the same with every model; those that somebody is surest of take the clearest colours."""
    highest: dict[int, float] = defaultdict(float)
    for one in compared:
        best = sorted(one.opinion.scores.items(), key=lambda item: -item[1])[: 4 * NUM_BEST]
        for number, score in [*best, *((number, 0.0) for number in one.calls)]:
            highest[number] = max(highest[number], score)
    ranked = sorted(highest, key=lambda number: -highest[number])
    return {int(label): color for label, color in species_palette(map(str, ranked)).items()}


def _show_answers(compared: Sequence[Compared], colors: dict[int, str]) -> None:
    for first in range(0, len(compared), COLUMNS):
        row = compared[first : first + COLUMNS]
        for column, one in zip(st.columns(min(COLUMNS, len(compared)), gap="small"), row, strict=False):
            with column, st.container(border=True, height="stretch"):
                _show_answer(one, colors)


def _show_answer(one: Compared, colors: dict[int, str]) -> None:
    """A model and its best species."""
    config = one.weights.config
    st.markdown(f"**{plain(one.title)}**")
    about = f"{classes(config.class_names)} · windows of {config.window_seconds:.3g} s"
    if one.weights.is_outside:
        about += f" · {one.weights.facts['licence']}"
    st.caption(plain(shortened(about, 110)))
    top = one.analysis.scores.top(NUM_BEST)
    number_of = dict(zip(one.analysis.scores.codes, one.numbers, strict=True))
    st.plotly_chart(
        ranking_figure(
            top,
            threshold=one.analysis.threshold,
            colors={name.code: colors[number_of[name.code]] for name, _ in top if number_of[name.code] in colors},
        ),
        config={"displayModeBar": False},
        alt=f"Scores of {one.title}: " + ", ".join(f"{name.common} {score:.2f}" for name, score in top),
        key=f"best-{one.title}",
    )
    if one.analysis.scores.fault:
        st.caption(f":material/broken_image: {plain(one.analysis.scores.fault)}")


def _show_timelines(compared: Sequence[Compared], names: dict[int, ClassName], colors: dict[int, str]) -> None:
    st.subheader("When each hears what")
    lanes: dict[str, list[Lane]] = {}
    hidden = []
    for one in compared:
        number_of = dict(zip(one.analysis.scores.codes, one.numbers, strict=True))
        spans: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
        for event in one.analysis.events:
            spans[number_of[event.label]].append((event.onset, event.offset, event.confidence))
        scores = one.opinion.scores
        ranked = sorted(spans, key=lambda number: (-scores[number], number))
        if len(ranked) > MOST_LANES:
            hidden.append(f"{plain(one.title)}: {len(ranked) - MOST_LANES} more")
        lanes[f"{one.title} (threshold {one.analysis.threshold:.2f})"] = [
            Lane(label=shortened(names[number].common, 24), color=colors[number], spans=tuple(spans[number]))
            for number in ranked[:MOST_LANES]
        ]
    duration = max(one.analysis.scores.duration for one in compared)
    st.plotly_chart(
        timelines_figure(lanes, duration=duration),
        config={"displayModeBar": False},
        alt="Timelines: " + "; ".join(f"{title}: {_spoken(rows)}" for title, rows in lanes.items()),
        key="timelines",
    )
    st.caption(
        "Fainter bars are less sure. Models that tell single calls have short bars, others have their windows."
        + (f" Not drawn, of {', of '.join(hidden)}." if hidden else "")
    )


def _spoken(rows: Sequence[Lane]) -> str:
    return ", ".join(f"{row.label} {count(len(row.spans), 'time')}" for row in rows) or "nothing"


def _show_species(recording: ChosenRecording, compared: Sequence[Compared], names: dict[int, ClassName]) -> None:
    """Every species that some model reports, and what the others say of it."""
    st.subheader("What each reports")
    opinions = [one.opinion for one in compared]
    calls = [one.calls for one in compared]
    numbers = {number for opinion in opinions for number in opinion.reported} | {n for c in calls for n in c}
    if not numbers:
        st.caption("No model reports anything at its threshold. Lower thresholds, in the sidebar, show more.")
        return
    ranked = sorted(
        numbers,
        key=lambda n: (-sum(n in o.reported for o in opinions), -max(o.scores.get(n, 0.0) for o in opinions), n),
    )

    def rows(shown: Iterable[int]) -> list[dict[str, str]]:
        return [
            {
                "Species": names[number].common,
                **{
                    one.title: _cell(opinion, number_of_calls[number], number)
                    for one, opinion, number_of_calls in zip(compared, opinions, calls, strict=True)
                },
                "Scientific name": names[number].scientific,
            }
            for number in shown
        ]

    st.dataframe(
        pd.DataFrame(rows(ranked[:MOST_SPECIES])),
        hide_index=True,
        alt="Species that some model reports, with the score of each model",
        height=38 + 35 * min(len(ranked), MOST_SPECIES),
        column_config={"Species": st.column_config.TextColumn(pinned=True, width=150)},
    )
    more = len(ranked) - MOST_SPECIES
    st.caption(
        "✓ reaches the model's threshold in the recording as a whole."
        + (f" {more} more are in the download." if more > 0 else "")
    )
    table = rows(ranked)
    text = "".join(csv_line(map(guarded_text, row)) for row in [list(table[0]), *(list(r.values()) for r in table)])
    st.download_button(
        "Comparison (CSV)",
        text,
        file_name=f"{PurePath(recording.name).stem or 'recording'}.comparison.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _cell(opinion: Opinion, num_calls: int, number: int) -> str:
    if number not in opinion.scores:
        return "does not know it"
    text = f"{'✓ ' if number in opinion.reported else ''}{opinion.scores[number]:.2f}"
    return f"{text}, {count(num_calls, 'call')}" if num_calls else text


def _show_agreement(compared: Sequence[Compared], names: dict[int, ClassName]) -> None:
    """Pairs of models over what both know, and what each does not know."""
    st.subheader("How far they agree")
    opinions = {one.title: one.opinion for one in compared}
    rows = []
    for first, second in itertools.combinations(opinions, 2):
        rows.append({"Models": f"{first} and {second}", **_pair_cells(compare_pair(opinions[first], opinions[second]))})
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True, alt="Agreement of each pair of models")
    st.caption(
        "Over the classes that both know, by species code or scientific name. Agreement: how many of the species that either "
        "reports both do (Jaccard index)."
    )
    everything = set(names)
    with st.expander(f"Who knows what: {len(everything):,} classes in all"):
        common = set.intersection(*(set(opinion.scores) for opinion in opinions.values()))
        st.markdown(f"All of them know {count(len(common), 'class')}.")
        for title, opinion in opinions.items():
            missing = sorted(everything - opinion.scores.keys())
            if missing:
                listed = [plain(names[number].common) for number in missing[:MOST_MISSING]]
                more = len(missing) - len(listed)
                text = joined([*listed, f"{more:,} more"] if more else listed)
                st.markdown(f"- **{plain(title)}** does not know {len(missing):,} of them: {text}")
            else:
                st.markdown(f"- **{plain(title)}** knows them all")


def _pair_cells(pair: PairAgreement) -> dict[str, str]:
    if not pair.num_common:
        return {"In common": "nothing", "Same best": "–", "Agreement": "–"}
    share = "" if math.isnan(pair.jaccard) else f" ({100 * pair.jaccard:.0f} %)"
    return {
        "In common": f"{pair.num_common:,}",
        "Same best": "yes" if pair.same_best else "no",
        "Agreement": f"{pair.num_both} of {pair.num_either}{share}",
    }
