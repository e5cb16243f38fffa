// The spectrogram panel: levels over time and frequency, the events' boxes, the heat map, and the colour bar.

import { font, prepare, verticalTitle } from "./canvas.js";
import { readableOn } from "./colors.js";

const TOP = 6;
const AXIS = 38; // height of the time axis below the picture
const LABEL = 16; // height of a box's label
const ROOM = 2; // labels' widths together, in widths of the panel, beyond which they would hide the picture

/** Where the picture lies in the panel; below it is the time axis, down to `end`. */
export function spectrogramArea(layout) {
  const height = layout.narrow ? 210 : 280;
  return { top: TOP, height, bottom: TOP + height, end: TOP + height + AXIS };
}

/** The place of an event in the panel, or null where it lies outside the view. */
export function boxOf(event, { view, axis, layout }) {
  if (event.offset <= view.start || event.onset >= view.end) return null;
  const { top, height, bottom } = spectrogramArea(layout);
  const left = view.toX(event.onset, layout.plot);
  const right = view.toX(event.offset, layout.plot);
  const upper = event.fmax === null ? top : bottom - axis.toFraction(event.fmax) * height;
  const lower = event.fmin === null ? bottom : bottom - axis.toFraction(event.fmin) * height;
  return { left, top: upper, width: Math.max(right - left, 2), height: Math.max(lower - upper, 2) };
}

export function drawSpectrogram(canvas, scene) {
  const { layout, view, theme, axis, pictures, heat, heatOpacity, showBoxes } = scene;
  const { plot, width } = layout;
  const area = spectrogramArea(layout);
  const context = prepare(canvas, width, area.end);

  context.save();
  context.beginPath();
  context.rect(plot.left, area.top, plot.width, area.height);
  context.clip();
  context.fillStyle = scene.darkest;
  context.fillRect(plot.left, area.top, plot.width, area.height);
  for (const picture of pictures) drawPicture(context, picture, view, plot, area);
  if (heat) {
    // Light is added to a dark picture and taken from a light one, so that the calls beneath stay visible.
    context.globalCompositeOperation = readableOn(scene.darkest) === "#ffffff" ? "screen" : "multiply";
    context.globalAlpha = heatOpacity;
    drawPicture(context, heat, view, plot, area);
    context.globalAlpha = 1;
    context.globalCompositeOperation = "source-over";
  }
  if (showBoxes) drawBoxes(context, scene, area);
  context.restore();

  drawFrequencyAxis(context, axis, layout, area, theme);
  drawTimeAxis(context, scene, area);
  drawColorBar(context, scene, area);
}

function drawPicture(context, { canvas, onset, offset }, view, plot, area) {
  const from = Math.max(view.start, onset);
  const to = Math.min(view.end, offset);
  if (to <= from) return;
  const columns = canvas.width / (offset - onset);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(
    canvas,
    (from - onset) * columns, 0, (to - from) * columns, canvas.height,
    view.toX(from, plot), area.top, ((to - from) / view.span) * plot.width, area.height,
  );
}

function drawBoxes(context, scene, area) {
  const boxes = scene.events
    .map((event) => ({ event, box: boxOf(event, scene), chosen: event.id === scene.chosenId }))
    .filter(({ box }) => box)
    .sort((a, b) => a.chosen - b.chosen || a.event.confidence - b.event.confidence);
  const style = labelStyle(context, boxes, scene.layout.plot);
  for (const { event, box, chosen } of boxes) {
    const color = scene.colorOf(event.label);
    context.beginPath();
    context.roundRect(box.left, box.top, box.width, box.height, Math.min(3, box.width / 2));
    // Dark, white, colour: one of the three stands out on any part of any colour map.
    let lines = [["rgba(0, 0, 0, 0.55)", 5], ["#ffffff", 3.5], [color, 2]];
    if (style === "none") lines = [["rgba(0, 0, 0, 0.5)", 3], [color, 1.5]];
    if (chosen) lines = [["rgba(0, 0, 0, 0.55)", 7], ["#ffffff", 5], [color, 3]];
    for (const [strokeStyle, lineWidth] of lines) {
      context.strokeStyle = strokeStyle;
      context.lineWidth = lineWidth;
      context.stroke();
    }
  }
  drawLabels(context, scene, area, boxes.reverse(), style);
}

/** What the boxes are labelled with: as much as leaves the spectrogram to be seen. */
function labelStyle(context, boxes, plot) {
  context.font = font(11, 600);
  const widthOf = (text) => context.measureText(text).width + 10;
  const names = boxes.reduce((sum, { event }) => sum + widthOf(`${event.common_name} 0.00`), 0);
  if (names <= ROOM * plot.width) return "names";
  return boxes.length * widthOf("0.00") <= ROOM * plot.width ? "scores" : "none";
}

// The chosen and the surest events come first; a label that finds no room is left to the tooltip and the timeline.
function drawLabels(context, scene, area, boxes, style) {
  const { plot } = scene.layout;
  const taken = [];
  const apart = (a, b) =>
    a.left > b.left + b.width || b.left > a.left + a.width || Math.abs(a.top - b.top) > LABEL;
  const free = (place) => taken.every((other) => apart(place, other));
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.font = font(11, 600);
  for (const { event, box, chosen } of boxes) {
    const score = event.confidence.toFixed(2);
    const name = `${event.common_name} ${score}`;
    const texts = chosen || style === "names" ? [name, score] : style === "scores" ? [score] : [];
    const places = texts.flatMap((text) => {
      const width = context.measureText(text).width + 10;
      const left = Math.min(Math.max(box.left - 1, plot.left + 1), plot.left + plot.width - width - 1);
      const above = { text, left, width, top: box.top - LABEL - 3 };
      const inside = { text, left: left + 3, width, top: box.top + 4 };
      const below = { text, left, width, top: box.top + box.height + 3 };
      return [above, below, inside].filter((place) => place.top >= area.top && place.top + LABEL <= area.bottom);
    });
    const place = places.find(free) ?? (chosen ? places[0] : undefined);
    if (!place) continue;
    taken.push(place);
    const color = scene.colorOf(event.label);
    context.fillStyle = color;
    context.strokeStyle = "rgba(0, 0, 0, 0.55)";
    context.lineWidth = 1;
    context.beginPath();
    context.roundRect(place.left, place.top, place.width, LABEL, 3);
    context.fill();
    context.stroke();
    context.fillStyle = readableOn(color);
    context.fillText(place.text, place.left + 5, place.top + LABEL / 2 + 0.5);
  }
}

function drawFrequencyAxis(context, axis, { plot, narrow }, area, theme) {
  context.font = font(11);
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const { fraction, text } of axis.ticks(area.height, 18)) {
    const y = area.bottom - fraction * area.height;
    context.fillStyle = theme.line;
    context.fillRect(plot.left - 4, Math.round(y), 4, 1);
    context.fillStyle = theme.muted;
    context.fillText(text, plot.left - 7, y);
  }
  verticalTitle(context, "Frequency (kHz)", narrow ? 7 : 10, area.top + area.height / 2, theme.muted);
}

function drawTimeAxis(context, { view, ticks, layout, theme }, area) {
  const { plot } = layout;
  context.textBaseline = "top";
  context.textAlign = "center";
  for (const { time, text } of ticks) {
    const x = view.toX(time, plot);
    context.fillStyle = theme.line;
    context.fillRect(Math.round(x), area.bottom, 1, 4);
    context.fillStyle = theme.muted;
    context.fillText(text, x, area.bottom + 7);
  }
  context.fillText(view.axisTitle, plot.left + plot.width / 2, area.bottom + 22);
}

function drawColorBar(context, { layout, theme, colormap, shown }, area) {
  const { plot, narrow, width } = layout;
  const left = plot.left + plot.width + (narrow ? 5 : 10);
  const barWidth = narrow ? 7 : 11;
  const pixels = new Uint8ClampedArray(colormap.buffer);
  const gradient = context.createLinearGradient(0, area.bottom, 0, area.top);
  for (let i = 0; i < 256; i += 15) {
    gradient.addColorStop(i / 255, `rgb(${pixels[4 * i]}, ${pixels[4 * i + 1]}, ${pixels[4 * i + 2]})`);
  }
  context.fillStyle = gradient;
  context.fillRect(left, area.top, barWidth, area.height);
  context.strokeStyle = theme.line;
  context.lineWidth = 1;
  context.strokeRect(left + 0.5, area.top + 0.5, barWidth - 1, area.height - 1);
  context.textAlign = "left";
  context.textBaseline = "middle";
  const range = shown[1] - shown[0];
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].find((s) => (s / range) * area.height >= 28) ?? range;
  for (let i = Math.ceil(shown[0] / step - 1e-9); i * step <= shown[1] + 1e-9; i += 1) {
    const y = area.bottom - ((i * step - shown[0]) / range) * area.height;
    context.fillStyle = theme.muted;
    context.fillText(signed(i * step), left + barWidth + 4, Math.min(Math.max(y, area.top + 4), area.bottom - 4));
  }
  const title = "Level (dB)";
  if (narrow) {
    context.textAlign = "right";
    context.fillText(title, width - 1, area.bottom + 28);
  } else verticalTitle(context, title, width - 8, area.top + area.height / 2, theme.muted);
}

/** -38.5 → "−38.5", with a true minus sign. */
export function signed(value) {
  const text = String(Number(Math.abs(value).toFixed(1)));
  return value < 0 && text !== "0" ? `−${text}` : text;
}
