"""What was found in a recording, as sentences and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from birdcore.config import ClassName
from birdcore.events import Event
from birdcore.webapp.analysis import Analysis
from birdcore.webapp.wording import classes, count, joined, plain

__all__ = ["Finding", "event_table", "find_species", "headline", "remark", "score_table"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A species that was found.

    Parameters
    ----------
    name : the species
    score : in [0, 1], for the whole recording
    num_events : how many calls were marked
    """

    name: ClassName
    score: float
    num_events: int


def find_species(analysis: Analysis) -> tuple[list[Finding], list[Finding]]:
    """The species that were found, best first.

    Returns
    -------
    present : those whose score for the whole recording reaches the threshold
    suspected : those of which only single calls reach it
    """
    events = Counter(event.label for event in analysis.events)
    findings = [
        Finding(name=name, score=score, num_events=events[name.code])
        for name, score in analysis.scores.top(len(analysis.scores.class_names))
    ]
    present = [finding for finding in findings if finding.score >= analysis.threshold]
    suspected = [finding for finding in findings if finding.score < analysis.threshold and finding.num_events]
    return present, suspected


def headline(analysis: Analysis) -> str:
    """The answer in one sentence of Markdown."""
    present, suspected = find_species(analysis)
    if not present and suspected:
        return f"Perhaps {joined([_phrase(finding) for finding in suspected[:3]])}"
    if not present:
        return "No species this model knows was found."
    first, *others = [_phrase(finding) for finding in present]
    if not others:
        return first
    if len(others) > 3:
        others = [*others[:2], f"{len(others) - 2} more species"]
    return f"{first}, also {joined(others)}"


def remark(analysis: Analysis) -> str:
    """What else should be known about the answer, in Markdown; always says what the model cannot tell."""
    present, suspected = find_species(analysis)
    sentences = []
    if suspected and not present:
        sentences.append(
            "Single calls were named, but the recording as a whole stays below the threshold: listen to them."
        )
    elif suspected:
        names = joined([plain(finding.name.common) for finding in suspected[:3]])
        sentences.append(f"Single calls resemble {names}, but the recording as a whole does not.")
    elif not present:
        (best, score), *_ = analysis.scores.top(1)
        sentences.append(
            f"The closest is {plain(best.common)} with a score of {score:.2f}, "
            f"below the threshold of {analysis.threshold:.2f}."
        )
    known = classes(analysis.scores.class_names)
    sentences.append(f"This model knows {known}; other birds may sing here without being named.")
    return " ".join(sentences)


def _phrase(finding: Finding) -> str:
    calls = f" — {count(finding.num_events, 'call')}" if finding.num_events else ""
    return f"{plain(finding.name.common)} ({finding.score:.2f}){calls}"


def score_table(top: Sequence[tuple[ClassName, float]]) -> pd.DataFrame:
    """The best species, one row each: code, common name, class, probability. Their scientific names stand at the bars."""
    return pd.DataFrame(
        {
            "Code": [name.code for name, _ in top],
            "Common name": [name.common for name, _ in top],
            "Class": [name.kind for name, _ in top],
            "Probability": [f"{score:.3f}" for _, score in top],
        }
    )


def event_table(events: Sequence[Event], class_names: Sequence[ClassName]) -> pd.DataFrame:
    """The events, one row each, in their order: species, when (seconds), where (kHz), how sure."""
    names = {name.code: name for name in class_names}
    return pd.DataFrame(
        {
            "Species": [names[event.label].common for event in events],
            "Scientific name": [names[event.label].scientific for event in events],
            "Onset": [event.onset for event in events],
            "Offset": [event.offset for event in events],
            "Duration": [event.duration for event in events],
            "Low": [None if event.fmin is None else event.fmin / 1000 for event in events],
            "High": [None if event.fmax is None else event.fmax / 1000 for event in events],
            "Confidence": [event.confidence for event in events],
        }
    ).astype({"Low": float, "High": float})
