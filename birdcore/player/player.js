// The sound viewer: what Python gives is drawn, what the user does is played, shown and, where it matters, reported.

import { clockTime, FrequencyAxis, TimeView } from "./axes.js";
import { layoutFor } from "./canvas.js";
import { showChips } from "./chips.js";
import { channels, decodeColormap, decodeEnvelope, packedHex } from "./colors.js";
import { bindControls } from "./controls.js";
import { Detail } from "./detail.js";
import { listen, listenStrip } from "./gestures.js";
import { memory } from "./memory.js";
import { drawOverview, overviewTime, overviewX } from "./overview.js";
import { alignRows, colorPicture, decodePicture, levelTable, opacityTable } from "./picture.js";
import { Playback } from "./playback.js";
import { eventAt, inPlot, showReadout } from "./readout.js";
import { drawSpectrogram, signed, spectrogramArea } from "./spectrogram.js";
import { connect, setComponentValue, setFrameHeight } from "./streamlit.js";
import { descriptions, eventText, spanText } from "./texts.js";
import { applyTheme } from "./theme.js";
import { drawTimeline } from "./timeline.js";
import { drawWaveform } from "./waveform.js";

const PAGE_TURN = 0.04; // of the view, left before the playhead when the view turns its page
const FINEST_COLUMNS = 1600; // more than a wide screen has, and still computed in a blink
const HINT = "Click to go there, or a box to hear it; drag to select";
const COLORMAP_NAMES = {
  magma: "Magma",
  viridis: "Viridis",
  cividis: "Cividis",
  gray: "Grey, dark",
  gray_r: "Grey, light",
};

const part = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));

let args = null; // as Python gave them last
let view = null;
let axis = null;
let theme = null;
let layout = layoutFor(800);
let envelope = null;
let overview = null;
let coarse = null; // decoded picture of the whole page
let pictures = []; // coloured, the finest one last
let heat = null; // coloured
let colormap = null;
let shown = [-80, 0]; // levels of the darkest and the brightest colour
let hidden = new Set(); // labels switched off
let colors = new Map();
let chosenId = null;
let selection = null; // [onset, offset]
let requested = null; // the time for which another page was asked
let wasInView = true; // the playhead, one frame ago
let serial = 0;
let drawing = false;
let scene = null; // all that was drawn last

const playback = new Playback(part.audio, { onMove: moved, onState: showState, onFault: showFault });
const detail = new Detail(() => {
  colorPictures();
  redraw();
});

function render(given, givenTheme) {
  const before = args;
  args = given;
  const newSound = before?.sound_key !== args.sound_key;
  const changed = (name) => newSound || before?.[name]?.key !== args[name]?.key;
  theme = applyTheme(givenTheme);
  part.player.setAttribute("aria-label", args.name ? `Sound viewer: ${args.name}` : "Sound viewer");

  if (newSound) {
    view = new TimeView(args.page_onset, args.page_onset + args.duration);
    clearChoice();
    colormap = null;
    showFault(null);
  }
  if (changed("envelope")) envelope = { ...decodeEnvelope(args.envelope), onset: view.onset, offset: view.offset };
  if (changed("overview")) overview = decodeEnvelope(args.overview);
  if (changed("spectrogram")) takeSpectrogram();
  if (changed("audio")) takeAudio(newSound);
  if (!colormap) chooseColormap(memory.read("colormap") ?? args.colormap);
  takeMarks();
  if (changed("heat") || changed("spectrogram")) takeHeat();
  part.player.hidden = false;
  measure();
  runCommand();
}

async function takeSpectrogram() {
  const { spectrogram } = args;
  axis = new FrequencyAxis(spectrogram.frequencies);
  shown = [...spectrogram.shown];
  showLevels();
  detail.clear();
  // The old picture stays until the new one is ready, unless it belongs to another sound.
  if (coarse?.soundKey !== args.sound_key) {
    coarse = null;
    pictures = [];
  }
  const soundKey = args.sound_key;
  const picture = await decodePicture(spectrogram.png);
  if (args.spectrogram.key !== spectrogram.key || args.sound_key !== soundKey) return;
  coarse = { ...picture, soundKey, onset: view.onset, offset: view.offset };
  giveDetailTheSound();
  colorPictures();
  redraw();
}

async function takeAudio(newSound) {
  const wanted = requested !== null && requested >= view.onset && requested <= view.offset ? requested : view.onset;
  requested = null;
  part.play.disabled = !args.audio;
  const { audio, duration } = args;
  await playback.load(audio?.url, { origin: view.onset, duration, position: newSound ? wanted : undefined });
  if (args.audio?.key === audio?.key) giveDetailTheSound();
}

function giveDetailTheSound() {
  const { frequencies: edges, levels } = args.spectrogram;
  const { blob } = playback;
  if (!coarse || !blob) return;
  detail.setSound({ blob, origin: view.onset, duration: args.duration, coarse, edges, levels });
  redraw();
}

async function takeHeat() {
  const given = args.heat;
  part.heat.hidden = !given;
  if (!given) {
    heat = null;
    return;
  }
  part["heat-name"].textContent = `Heat map: probability of ${given.common_name}`;
  part["heat-gradient"].style.background = `linear-gradient(to right, transparent, ${given.color})`;
  const picture = alignRows(await decodePicture(given.png), new FrequencyAxis(given.frequencies), axis, axis.rows);
  if (args.heat?.key !== given.key) return;
  const { onset, offset, color } = given;
  heat = { canvas: colorPicture(picture, opacityTable(channels(color))), onset, offset };
  redraw();
}

function takeMarks() {
  colors = new Map(Object.entries(args.colors));
  hidden = new Set([...hidden].filter((label) => colors.has(label)));
  if (chosenId !== null && !args.events.some(({ id }) => id === chosenId)) clearChoice();
  showSpecies();
  showPages();
}

function runCommand() {
  const { command } = args;
  if (!command || command.id === memory.read("command")) return;
  memory.write("command", command.id);
  const event = args.events.find(({ id }) => id === command.event_id);
  if (event) choose(event);
  else selection = [command.onset, command.offset];
  reveal(command.onset, command.offset);
  showChosen();
  playback.playRange(command.onset, command.offset);
}

function measure() {
  if (!view) return;
  const width = part.stage.clientWidth;
  if (width === 0) return;
  layout = layoutFor(width);
  showChosen();
  document.documentElement.style.setProperty("--plot-left", `${layout.plot.left}px`);
  document.documentElement.style.setProperty("--plot-width", `${layout.plot.width}px`);
  draw();
  const { top, bottom, end } = spectrogramArea(layout);
  for (const [name, y] of Object.entries({ "picture-top": top, "picture-bottom": bottom, "axis-bottom": end })) {
    part.over.style.setProperty(`--${name}`, `${part.spectrogram.offsetTop + y}px`);
  }
  setFrameHeight(Math.ceil(part.player.getBoundingClientRect().height));
}

function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (view) draw();
  });
}

function draw() {
  const sharpen = needsDetail();
  scene = {
    layout,
    view,
    theme,
    axis,
    heat,
    colormap,
    shown,
    chosenId,
    hidden,
    envelope,
    overview,
    total: args.total_duration,
    levels: args.spectrogram.levels,
    ticks: view.ticks(layout.plot, layout.narrow ? 52 : 72),
    colorOf: (label) => colors.get(label),
    events: visibleEvents(),
    allEvents: args.events,
    overviewEvents: args.overview_events.filter(([, , label]) => !hidden.has(label)),
    lanes: args.lanes,
    species: args.species,
    pictures: sharpen ? pictures : pictures.slice(0, 1),
    detail: sharpen && detail.shows(view.start, view.end) ? detail.envelope : null,
    heatOpacity: part["heat-opacity"].value / 100,
    showBoxes: part["show-boxes"].checked,
    darkest: packedHex(colormap[0]),
  };
  drawWaveform(part.waveform, scene);
  drawSpectrogram(part.spectrogram, scene);
  drawTimeline(part.timeline, scene);
  drawOverview(part.overview, scene);
  for (const canvas of [part.waveform, part.spectrogram, part.timeline]) {
    canvas.dataset.start = view.start;
    canvas.dataset.end = view.end;
  }
  part.spectrogram.dataset.picture = !coarse ? "none" : scene.detail ? "sharp" : "whole";
  placeMarks();
  describe();
  part["zoom-reset"].disabled = part["zoom-out"].disabled = !view.zoomed;
  if (!sharpen) return;
  const columns = Math.round(layout.plot.width * (window.devicePixelRatio || 1));
  detail.request(view.start, view.end, Math.min(columns, FINEST_COLUMNS));
}

function visibleEvents() {
  return args.events.filter(({ label }) => !hidden.has(label));
}

/** Whether the page's picture has fewer columns in view than the screen could show. */
function needsDetail() {
  return coarse !== null && (coarse.width * view.span) / args.duration < layout.plot.width * 0.8;
}

function colorPictures() {
  if (!coarse) return;
  const table = levelTable(colormap, args.spectrogram.levels, shown);
  pictures = [coarse, detail.picture]
    .filter(Boolean)
    .map((picture) => ({ ...picture, canvas: colorPicture(picture, table) }));
}

/** The marks that move: playhead, selection. They are elements of their own, so that playing redraws no canvas. */
function placeMarks() {
  const { plot } = layout;
  const { position } = playback;
  const right = (x) => `translateX(${x - plot.left}px)`;
  part.playhead.style.transform = right(view.toX(position, plot));
  part["overview-playhead"].style.transform = right(overviewX(position, args.total_duration, plot));
  part.selection.hidden = !selection;
  if (selection) {
    const [from, to] = selection.map((time) => view.toX(time, plot));
    part.selection.style.transform = right(from);
    part.selection.style.width = `${Math.max(to - from, 1)}px`;
  }
}

function describe() {
  for (const [id, text] of Object.entries(descriptions(scene))) {
    if (part[id].getAttribute("aria-label") !== text) part[id].setAttribute("aria-label", text);
  }
}

function moved(position) {
  if (!view || !args) return;
  part.time.textContent = clockTime(position);
  const inView = view.contains(position);
  // The view turns its page under a playhead that leaves it, but not while the user looks elsewhere.
  if (playback.playing && !inView && wasInView && view.zoomed) {
    view.pan(position - view.start - view.span * PAGE_TURN);
    redraw();
  }
  wasInView = view.contains(position);
  placeMarks();
  const { playhead } = part;
  const text = `${position.toFixed(1)} of ${view.offset.toFixed(1)} seconds`;
  if (playhead.getAttribute("aria-valuetext") !== text) {
    playhead.setAttribute("aria-valuemin", view.onset.toFixed(3));
    playhead.setAttribute("aria-valuemax", view.offset.toFixed(3));
    playhead.setAttribute("aria-valuenow", position.toFixed(3));
    playhead.setAttribute("aria-valuetext", text);
  }
}

function showState() {
  const { playing } = playback;
  part.play.classList.toggle("playing", playing);
  part.play.setAttribute("aria-label", playing ? "Pause" : "Play");
  part.play.title = `${playing ? "Pause" : "Play"} (Space)`;
  if (playing) showFault(null);
}

function showFault(text) {
  part.fault.hidden = !text;
  part.fault.textContent = text ?? "";
}

function showSpecies() {
  showChips(part.species, { species: args.species, events: args.events, hidden, toggle: toggleSpecies });
  part["previous-event"].disabled = part["next-event"].disabled = args.events.length === 0;
}

function showPages() {
  const [first, last] = [view.onset <= 1e-3, view.offset >= args.total_duration - 1e-3];
  part.duration.textContent = `/ ${clockTime(args.total_duration, args.total_duration < 60 ? 2 : 0)}`;
  part.pages.hidden = first && last;
  part["page-back"].disabled = first;
  part["page-on"].disabled = last;
  const [from, to, total] = [view.onset, view.offset, args.total_duration].map((time) => clockTime(time, 0));
  part["page-text"].textContent = `${from} – ${to} of ${total}`;
}

function showChosen() {
  const event = args.events.find(({ id }) => id === chosenId);
  part["play-selection"].disabled = !selection || !args.audio;
  part.chosen.classList.toggle("muted", !selection);
  if (!selection) {
    part.chosen.textContent = layout.narrow ? "Tap to go there, or a box to hear it" : HINT;
    return;
  }
  const what = event ? `${event.common_name} ${event.confidence.toFixed(2)} ·` : "Selection";
  part.chosen.textContent = `${what} ${spanText(...selection, args.total_duration)}`;
}

function showLevels() {
  const { levels } = args.spectrogram;
  for (const [side, i] of [["low", 0], ["high", 1]]) {
    const slider = part[`level-${side}`];
    slider.step = levels[1] - levels[0] > 20 ? 1 : (levels[1] - levels[0]) / 100;
    slider.min = levels[0];
    slider.max = levels[1];
    slider.value = shown[i];
    part[`level-${side}-value`].textContent = `${signed(shown[i])} dB`;
  }
}

function chooseColormap(name) {
  const known = Object.hasOwn(args.colormaps, name) ? name : args.colormap;
  const names = Object.keys(args.colormaps);
  if (part.colormap.options.length !== names.length) {
    part.colormap.replaceChildren(...names.map((each) => new Option(COLORMAP_NAMES[each] ?? each, each)));
  }
  part.colormap.value = known;
  colormap = decodeColormap(args.colormaps[known]);
  colorPictures();
}

function report(change) {
  serial = Math.max(serial + 1, Date.now()); // grows on also when the frame was loaded anew
  setComponentValue({ event_id: chosenId, selection, page_request: null, ...change, serial });
}

function clearChoice() {
  chosenId = null;
  selection = null;
}

function choose(event) {
  chosenId = event.id;
  selection = [event.onset, event.offset];
  part.announcer.textContent = `${event.common_name}. ${eventText(event, args.total_duration)}`;
}

function chooseAndPlay(event) {
  choose(event);
  reveal(event.onset, event.offset);
  showChosen();
  redraw();
  playback.playRange(event.onset, event.offset);
  report();
}

/** Move the view, without zooming, so that a stretch of time is in it. */
function reveal(onset, offset = onset) {
  if (view.contains(onset) && view.contains(offset)) return;
  view.pan(offset - onset > view.span ? onset - view.start : (onset + offset) / 2 - (view.start + view.end) / 2);
  redraw();
}

function seek(position) {
  wasInView = true;
  playback.seek(position);
  reveal(playback.position);
}

function click(point) {
  if (!inPlot(point, layout)) return;
  part.playhead.focus({ preventScroll: true, focusVisible: false });
  const event = eventAt(point, scene);
  if (event) {
    chooseAndPlay(event);
    return;
  }
  deselect();
  seek(view.toTime(point.x, layout.plot));
}

function deselect() {
  if (!selection) return;
  clearChoice();
  showChosen();
  redraw();
  report();
}

function select(from, to) {
  const times = [from, to].map((x) => Math.min(Math.max(view.toTime(x, layout.plot), view.onset), view.offset));
  chosenId = null;
  selection = times.sort((a, b) => a - b);
  showChosen();
  redraw();
}

function selected() {
  if (!playback.playing) seek(selection[0]);
  report();
}

function playSelection() {
  if (selection) playback.playRange(...selection);
}

function togglePlay() {
  if (playback.playing) playback.pause();
  else if (selection && playback.loop) {
    const inside = playback.position >= selection[0] && playback.position < selection[1] - 0.01;
    playback.playRange(...selection, inside ? playback.position : selection[0]);
  } else playback.play();
}

function stepEvent(direction) {
  const events = visibleEvents().sort((a, b) => a.onset - b.onset || a.offset - b.offset);
  const chosen = events.findIndex(({ id }) => id === chosenId);
  const later = ({ onset }) => onset >= playback.position - 1e-3;
  let next = events[chosen + direction];
  if (chosen < 0) next = direction > 0 ? events.find(later) : events.findLast((event) => !later(event));
  if (next) chooseAndPlay(next);
}

function zoom(factor, time) {
  const centre = (view.start + view.end) / 2;
  const { position } = playback;
  view.zoom(factor, time ?? (view.contains(position) ? position : centre));
  wasInView = view.contains(position);
  redraw();
}

function showAll() {
  view.showAll();
  redraw();
}

function zoomToSelection() {
  if (!selection) return;
  const margin = (selection[1] - selection[0]) * 0.4;
  view.show(selection[0] - margin, selection[1] + margin);
  redraw();
}

/** Returns whether the view moved, so that a wheel that moves nothing may scroll the page. */
function pan(pixels) {
  const before = view.start;
  view.pan((pixels / layout.plot.width) * view.span);
  wasInView = view.contains(playback.position);
  redraw();
  return view.start !== before;
}

function goElsewhere(time) {
  requested = time;
  report({ page_request: time });
}

/** Ask for the neighbouring page by a time well inside it: Python, which knows the pages, may round their borders. */
function turnPage(direction) {
  const half = args.duration / 2;
  const last = args.total_duration;
  if (direction < 0 && !part["page-back"].disabled) report({ page_request: Math.max(view.onset - half, 0) });
  if (direction > 0 && !part["page-on"].disabled) report({ page_request: Math.min(view.offset + half, last) });
}

function toggleSpecies(label) {
  if (!hidden.delete(label)) hidden.add(label);
  showSpecies();
  redraw();
}

function setDragging(selects) {
  part["drag-select"].setAttribute("aria-pressed", selects);
  part["drag-pan"].setAttribute("aria-pressed", !selects);
  part.stage.classList.toggle("moves", !selects);
}

function toggleLoop() {
  playback.loop = !playback.loop;
  part.loop.setAttribute("aria-pressed", playback.loop);
  if (!playback.loop || !selection || !playback.playing) return;
  playback.playRange(...selection, Math.max(playback.position, selection[0]));
}

function seekBy(seconds) {
  seek(playback.position + seconds);
}

function setLevel(side, value) {
  const [lowest, highest] = args.spectrogram.levels;
  const gap = (highest - lowest) / 50; // the brightest colour stays above the darkest one
  shown = side === 0 ? [Math.min(value, shown[1] - gap), shown[1]] : [shown[0], Math.max(value, shown[0] + gap)];
  showLevels();
  colorPictures();
  redraw();
}

function pickColormap(name) {
  memory.write("colormap", name);
  chooseColormap(name);
  redraw();
}

bindControls(part, {
  togglePlay,
  stepEvent,
  playSelection,
  toggleLoop,
  seekBy,
  setDragging,
  zoom,
  showAll,
  zoomToSelection,
  deselect,
  turnPage,
  setLevel,
  pickColormap,
  redraw,
  setSpeed: (speed) => playback.setSpeed(speed),
  keepPitch: (keep) => playback.keepPitch(keep),
});

listen(part.stage, {
  click,
  hover: (point) => showReadout(part, point, scene),
  select,
  selected,
  pan,
  zoom: (factor, x) => zoom(factor, view.toTime(x, layout.plot)),
  doubleClick: (point) => {
    const event = eventAt(point, scene);
    if (!event) return;
    choose(event);
    zoomToSelection();
  },
  dragsSelect: () => part["drag-select"].getAttribute("aria-pressed") === "true",
});

// In the strip, a press or drag inside the page moves the view there; elsewhere it asks for another page.
listenStrip(part.overview, {
  begins: (x) => {
    const time = overviewTime(x, args.total_duration, layout.plot);
    const inPage = time >= view.onset && time <= view.offset;
    if (!inPage) goElsewhere(time);
    else if (!view.zoomed) seek(time);
    return inPage;
  },
  moveTo: (x) => {
    if (!view.zoomed) return;
    const time = overviewTime(x, args.total_duration, layout.plot);
    view.show(time - view.span / 2, time + view.span / 2);
    wasInView = view.contains(playback.position);
    redraw();
  },
});

// A tape that runs slower sounds deeper: the natural way to hear the details of a fast song.
playback.keepPitch(false);
setDragging(!window.matchMedia("(pointer: coarse)").matches);
new ResizeObserver(measure).observe(part.player);
connect(render);
