// What lies under the pointer: time, frequency, level, event.

import { kilohertz } from "./axes.js";
import { boxOf, signed, spectrogramArea } from "./spectrogram.js";
import { eventText, timeText } from "./texts.js";
import { eventInLane } from "./timeline.js";

const REACH = 2; // pixels beside a box that still count as the box
const GAP = 14; // pixels between pointer and tooltip

export function inPlot({ x }, { plot }) {
  return x >= plot.left - REACH && x <= plot.left + plot.width + REACH;
}

export function eventAt(point, scene) {
  const { view, layout } = scene;
  if (point.panel === "timeline") return eventInLane({ y: point.y, time: view.toTime(point.x, layout.plot) }, scene);
  if (point.panel !== "spectrogram" || !scene.showBoxes) return undefined;
  const within = (value, from, length) => value >= from - REACH && value <= from + length + REACH;
  const holds = ({ left, top, width, height }) => within(point.x, left, width) && within(point.y, top, height);
  // Where boxes lie in each other, the smallest one is meant.
  return scene.events
    .map((event) => ({ event, box: boxOf(event, scene) }))
    .filter(({ box }) => box && holds(box))
    .sort((a, b) => a.box.width * a.box.height - b.box.width * b.box.height)[0]?.event;
}

/** Show what is under a point of the stage, or nothing where it is null. */
export function showReadout(part, point, scene) {
  const { view, layout, axis, total } = scene;
  const time = point && inPlot(point, layout) ? view.toTime(point.x, layout.plot) : null;
  part.cursor.hidden = time === null;
  part.tooltip.hidden = true;
  part.stage.classList.remove("on-event");
  part.pointer.textContent = "";
  if (time === null) return;
  part.cursor.style.transform = `translateX(${point.x - layout.plot.left}px)`;
  const texts = [timeText(time, total, 3)];
  const { top, height, bottom } = spectrogramArea(layout);
  if (point.panel === "spectrogram" && point.y >= top && point.y <= bottom) {
    const fraction = (bottom - point.y) / height;
    texts.push(kilohertz(axis.toHz(fraction)));
    if (scene.pictures.length > 0) texts.push(`${signed(levelAt(time, fraction, scene))} dB`);
  }
  part.pointer.textContent = texts.join(" · ");
  const event = eventAt(point, scene);
  if (event) showTooltip(part, event, point, scene);
}

function levelAt(time, fraction, { pictures, levels: [lowest, highest] }) {
  const { width, height, levels, onset, offset } = pictures[0];
  const column = Math.floor(((time - onset) / (offset - onset)) * width);
  const row = Math.floor((1 - fraction) * height);
  const place = Math.min(row, height - 1) * width + Math.min(Math.max(column, 0), width - 1);
  return lowest + (levels[place] / 255) * (highest - lowest);
}

function showTooltip(part, event, point, { layout, total }) {
  part.stage.classList.add("on-event");
  part["tooltip-name"].textContent = event.common_name;
  part["tooltip-text"].textContent = eventText(event, total);
  part.tooltip.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = part.tooltip;
  const left = point.x + GAP + width > layout.width ? point.x - GAP - width : point.x + GAP;
  const top = Math.min(point.stageY + GAP, part.stage.clientHeight - height - 4);
  part.tooltip.style.transform = `translate(${Math.max(left, 0)}px, ${Math.max(top, 0)}px)`;
}
