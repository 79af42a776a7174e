// The curves of a training: drawn from what the page holds, and on as the job tells more (js/job.js).

import { loadAnew } from "./anew.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 480;
const HEIGHT = 270;
const EDGE = { left: 52, right: 12, top: 12, bottom: 30 };
const LINES = ["plain", "stress .66", "stress 1", "worst frame"];

const block = document.getElementById("plots");
const plots = JSON.parse(block.textContent);

function add(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

/**
 * @param {string} id
 * @param {{points: [number, number][], intervals?: [number, number, number][], line: number}[]} lines
 * @param {{digits: number, most?: number, fromZero?: boolean}} how
 */
function draw(id, lines, { digits, most = Infinity, fromZero = false }) {
  const plot = document.getElementById(id);
  const all = lines.flatMap((line) => line.points);
  plot.replaceChildren();
  if (!all.length) return;
  plot.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const across = all.map(([x]) => x);
  const heights = [...all.map(([, y]) => y), ...lines.flatMap((line) => (line.intervals ?? []).flatMap(([, a, b]) => [a, b]))];
  const [left, right] = [fromZero ? 0 : Math.min(...across), Math.max(...across)];
  const spread = Math.max(Math.max(...heights) - Math.min(...heights), 10 ** -digits * 4);
  const low = Math.min(...heights) - 0.08 * spread;
  const high = Math.min(Math.max(...heights) + 0.08 * spread, most);
  const x = (value) => EDGE.left + ((value - left) / (right - left || 1)) * (WIDTH - EDGE.left - EDGE.right);
  const y = (value) => HEIGHT - EDGE.bottom - ((value - low) / (high - low || 1)) * (HEIGHT - EDGE.top - EDGE.bottom);
  add(plot, "path", { class: "axis", fill: "none", d: `M${EDGE.left} ${EDGE.top}V${HEIGHT - EDGE.bottom}H${WIDTH - EDGE.right}` });
  for (const value of [low, (low + high) / 2, high]) {
    add(plot, "text", { x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(digits));
  }
  add(plot, "text", { x: EDGE.left, y: HEIGHT - 8 }, left.toLocaleString());
  if (right > left) add(plot, "text", { x: WIDTH - EDGE.right, y: HEIGHT - 8, "text-anchor": "end" }, right.toLocaleString());
  for (const { points, intervals = [], line } of lines) {
    for (const [at, from, to] of intervals) {
      add(plot, "path", { class: `interval line-${line}`, d: `M${x(at)} ${y(from)}V${y(to)}` });
    }
    const way = points.map(([a, b], number) => `${number ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    add(plot, "path", { class: `line line-${line}`, d: way });
    if (points.length <= 40) {
      for (const [a, b] of points) add(plot, "circle", { class: `line-${line}`, cx: x(a), cy: y(b), r: 3.5 });
    }
  }
}

function key() {
  const place = document.getElementById("plot-auc-key");
  place.replaceChildren(
    ...LINES.map((name, line) => {
      const item = document.createElement("span");
      const sample = document.createElementNS(SVG, "svg");
      sample.setAttribute("viewBox", "0 0 28 8");
      sample.setAttribute("aria-hidden", "true");
      add(sample, "line", { class: `line-${line}`, x1: 0, x2: 28, y1: 4, y2: 4 });
      item.append(sample, plots.names[name] ?? name);
      return item;
    }),
  );
}

function drawAll() {
  draw("plot-loss", [{ points: plots.loss, line: 0 }], { digits: 2 });
  const auc = LINES.map((name, line) => ({
    points: plots.auc.map(([epoch, values]) => [epoch, values[name]]).filter(([, value]) => typeof value === "number"),
    line,
  }));
  draw("plot-auc", auc, { digits: 3, most: 1 });
  const learnt = plots.learning.filter(([, value]) => typeof value === "number");
  const intervals = learnt.filter(([, , low]) => typeof low === "number").map(([at, , low, high]) => [at, low, high]);
  draw("plot-learning", [{ points: learnt.map(([at, value]) => [at, value]), intervals, line: 0 }], { digits: 3, most: 1, fromZero: true });
}

function cell(row, text) {
  const place = row.insertCell();
  place.className = "figure mono";
  place.textContent = text;
}

const four = (value) => (typeof value === "number" ? value.toFixed(4) : "");

const HEARD = {
  step(line) {
    plots.loss = [...plots.loss.filter(([step]) => step < line.step), [line.step, line.loss]];
  },
  start(line) {
    plots.auc = [[0, line.select_auc]];
  },
  epoch(line) {
    plots.auc = [...plots.auc.filter(([epoch]) => epoch < line.epoch), [line.epoch, line.select_auc]];
    const row = document.querySelector("#epochs tbody").insertRow();
    cell(row, String(line.epoch));
    cell(row, four(line.loss));
    for (const name of LINES) cell(row, four(line.select_auc[name]));
    cell(row, typeof line.minutes === "number" ? line.minutes.toFixed(1) : "");
  },
  "learning curve"() {
    loadAnew(); // once: its sentence is told by the page, in the reader's language
  },
};

document.addEventListener("job", (event) => {
  const told = event.detail.kind === "train" ? event.detail.told : [];
  for (const line of told) HEARD[line.event]?.(line);
  if (told.length) drawAll();
});

key();
drawAll();
