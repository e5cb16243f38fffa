// The overview strip: the whole recording, the page of it that is shown, and the part of that page in view. Below a
// recording of several pages stands a timeline of the whole: a thin lane per species.

import { clockTime } from "./axes.js";
import { drawEnvelope, font, prepare } from "./canvas.js";

const TOP = 4;
const WAVE = 30;
const MARKS = 6; // below the wave, where the events are
const LANE = 21;
const BAR_TOP = 13;
const BAR_HEIGHT = 6;

export const overviewX = (time, total, plot) => plot.left + (time / total) * plot.width;
export const overviewTime = (x, total, plot) => Math.min(Math.max(((x - plot.left) / plot.width) * total, 0), total);

export function drawOverview(canvas, { layout, view, theme, total, overview, overviewEvents, colorOf, lanes, hidden }) {
  const { plot, width, narrow } = layout;
  const shown = lanes.length > 0 ? WAVE : WAVE + MARKS;
  const inner = lanes.length > 0 ? WAVE + 2 + lanes.length * LANE + 2 : shown;
  const context = prepare(canvas, width, TOP + inner + 4);
  const toX = (time) => overviewX(time, total, plot);
  const bottom = TOP + WAVE;

  context.fillStyle = theme.lane;
  context.beginPath();
  context.roundRect(plot.left, TOP, plot.width, shown, 4);
  context.fill();
  const toY = (value) => TOP + WAVE / 2 - (value / overview.peak) * (WAVE / 2 - 2);
  drawEnvelope(context, { ...overview, onset: 0, offset: total }, toX, toY, { from: 0, to: total }, theme.wave);
  for (const [onset, offset, label] of overviewEvents) {
    const x = toX(onset);
    context.fillStyle = colorOf(label);
    context.fillRect(x, bottom + 1, Math.max(toX(offset) - x, 1.5), MARKS - 2);
  }

  // What is not in view is veiled; the page's own part less than the rest of the recording. The lanes are not: they
  // are there to show what is elsewhere.
  const veil = (from, to, strength) => {
    context.globalAlpha = strength;
    context.fillStyle = theme.background;
    context.fillRect(toX(from), TOP - 1, toX(to) - toX(from), shown + 2);
    context.globalAlpha = 1;
  };
  veil(0, view.onset, 0.65);
  veil(view.offset, total, 0.65);
  veil(view.onset, view.start, 0.4);
  veil(view.end, view.offset, 0.4);
  lanes.forEach((lane, row) => drawLane(context, lane, bottom + 2 + row * LANE, { plot, toX, theme, hidden }));
  if (view.onset > 0 || view.offset < total - 1e-3) {
    context.fillStyle = theme.muted;
    for (const time of [view.onset, view.offset]) context.fillRect(Math.round(toX(time)) - 0.5, TOP, 1, inner);
  }
  const left = toX(view.start);
  const frame = Math.max(toX(view.end) - left, 4);
  context.strokeStyle = theme.accent;
  context.lineWidth = 2;
  context.beginPath();
  context.roundRect(left, TOP, frame, inner, 4);
  context.stroke();
  lanes.forEach((lane, row) => nameLane(context, lane, bottom + 2 + row * LANE, { plot, theme, hidden }));

  context.font = font(11);
  context.fillStyle = theme.muted;
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.fillText(clockTime(0, 0), plot.left - 6, TOP + shown / 2);
  context.textAlign = "left";
  const end = narrow && total >= 3600 ? `${(total / 3600).toFixed(1)} h` : clockTime(total, 0);
  context.fillText(end, plot.left + plot.width + (narrow ? 4 : 8), TOP + shown / 2);
}

function drawLane(context, { label, color, spans }, top, { plot, toX, theme, hidden }) {
  context.globalAlpha = hidden.has(label) ? 0.35 : 1;
  context.fillStyle = theme.lane;
  context.beginPath();
  context.roundRect(plot.left, top + BAR_TOP, plot.width, BAR_HEIGHT, 3);
  context.fill();
  context.fillStyle = color ?? theme.muted;
  for (const [onset, offset] of spans) {
    const x = toX(onset);
    context.fillRect(x, top + BAR_TOP, Math.max(toX(offset) - x, 1.5), BAR_HEIGHT);
  }
  context.globalAlpha = 1;
}

/** The name stands on the page's frame, which would cut through it. */
function nameLane(context, { label, common_name: name }, top, { plot, theme, hidden }) {
  context.font = font(10, 600);
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = theme.background;
  context.strokeText(name, plot.left + 4, top + 7);
  context.globalAlpha = hidden.has(label) ? 0.35 : 1;
  context.fillStyle = theme.text;
  context.fillText(name, plot.left + 4, top + 7);
  context.globalAlpha = 1;
}
