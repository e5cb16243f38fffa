// What is said in words: tooltips, readouts, and the pictures' descriptions for those who cannot see them.

import { clockTime, kilohertz } from "./axes.js";

const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** A time as the axis writes it: "12.34 s" in a short recording, "2:12.34" in a long one. */
export function timeText(seconds, longest, decimals = 2) {
  return longest < 60 ? `${seconds.toFixed(decimals)} s` : clockTime(seconds, decimals);
}

export function spanText(onset, offset, longest) {
  if (longest < 60) return `${onset.toFixed(2)} – ${offset.toFixed(2)} s`;
  return `${clockTime(onset)} – ${clockTime(offset)}`;
}

export function eventText({ onset, offset, fmin, fmax, confidence }, longest) {
  const lines = [`${spanText(onset, offset, longest)} (${(offset - onset).toFixed(2)} s)`];
  if (fmin !== null) lines.push(`${kilohertz(fmin)} – ${kilohertz(fmax)}`);
  lines.push(`Confidence ${confidence.toFixed(2)}`);
  return lines.join("\n");
}

/** Panel → its description. */
export function descriptions({ view, axis, species, events, total, lanes }) {
  const seconds = (time) => String(Number(time.toFixed(2)));
  const range = `from ${seconds(view.start)} to ${seconds(view.end)} s`;
  const inView = events.filter(({ onset, offset }) => offset > view.start && onset < view.end);
  const counts = species
    .map(({ label, common_name: name }) => ({ name, count: inView.filter((event) => event.label === label).length }))
    .filter(({ count }) => count > 0);
  const list = counts.map(({ name, count }) => `${name} ${count}`).join(", ");
  const found = list ? `${counted(inView.length, "event")} of ${counts.length} species: ${list}` : "no events";
  const heard = lanes.map(({ common_name: name, count }) => `${name} ${count}`).join(", ");
  return {
    waveform: `Waveform ${range}`,
    spectrogram: `Spectrogram ${range}, ${kilohertz(axis.low)} to ${kilohertz(axis.high)}; ${found}`,
    timeline: `Timeline ${range}; ${found}`,
    overview:
      `Overview of the whole recording, ${clockTime(total, 0)} long; ` +
      `this page from ${clockTime(view.onset, 0)} to ${clockTime(view.offset, 0)}` +
      (heard ? `; events in all of it: ${heard}` : ""),
  };
}

export const countedEvents = (count) => counted(count, "event");
