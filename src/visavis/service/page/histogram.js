// The score among the model's own: how often strangers, and how often photos of one person, score so.

import { drawn, element } from "./dom.js";
import { number } from "./words.js";

const WIDTH = 400;
const HEIGHT = 170;
const FLOOR = 140;
const TOP = 34;

export function histogram(counts, answer) {
  const [low, high] = range(counts, answer);
  const place = (score) => (WIDTH * (Math.min(high, Math.max(low, score)) - low)) / (high - low);
  const areas = counts ? ["nonmated", "mated"].map((kind) => area(counts, kind, place)) : [];
  const told = `Score ${answer.score.toFixed(3)}, threshold ${answer.threshold.score.toFixed(3)}, on a scale from ${low} to ${high}.`;
  const chart = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": told },
    ...areas,
    drawn("line", { x1: 0, x2: WIDTH, y1: FLOOR, y2: FLOOR, class: "axis" }),
    ...ticks(low, high, place),
    ...line("threshold", answer.threshold.score, place, 28, "dim"),
    ...line("score", answer.score, place, 12, "bold"),
  );
  return element("figure", { class: "scores" }, chart, counts ? legend(counts) : unknown());
}

function range(counts, answer) {
  if (!counts) return [-1, 1];
  const width = (counts.high - counts.low) / counts.mated.length;
  const first = counts.mated.findIndex((mated, bin) => mated + counts.nonmated[bin] > 0);
  const low = Math.min(counts.low + Math.max(first, 0) * width, answer.score, answer.threshold.score);
  return [Math.max(-1, Math.floor(low * 5) / 5), 1];
}

// Both kinds are drawn to the same height, since there are many more strangers.
function area(counts, kind, place) {
  const bins = counts[kind];
  const width = (counts.high - counts.low) / bins.length;
  const most = Math.max(...bins, 1);
  const steps = bins.map((count, bin) => {
    const y = FLOOR - ((FLOOR - TOP) * count) / most;
    return `L${place(counts.low + bin * width).toFixed(1)},${y.toFixed(1)}L${place(counts.low + (bin + 1) * width).toFixed(1)},${y.toFixed(1)}`;
  });
  return drawn("path", { d: `M${place(counts.low)},${FLOOR}${steps.join("")}L${WIDTH},${FLOOR}Z`, class: kind });
}

function ticks(low, high, place) {
  const count = Math.round((high - low) / 0.2);
  return Array.from({ length: count + 1 }, (_, tick) => {
    const score = low + (tick * (high - low)) / count;
    const anchor = tick === 0 ? "start" : tick === count ? "end" : "middle";
    return drawn("text", { x: place(score), y: FLOOR + 18, "text-anchor": anchor, class: "dim" }, Number(score.toFixed(1)).toString());
  });
}

function line(kind, score, place, y, style) {
  const x = place(score);
  const end = x > WIDTH / 2;
  return [
    drawn("line", { x1: x, x2: x, y1: y - 10, y2: FLOOR, class: kind }),
    drawn("text", { x: end ? x - 6 : x + 6, y, "text-anchor": end ? "end" : "start", class: style }, `${kind} ${score.toFixed(3)}`),
  ];
}

const unknown = () => element("figcaption", { class: "hint" }, "The card of this model does not tell how other scores lie.");

function legend(counts) {
  const total = (bins) => number(bins.reduce((sum, count) => sum + count, 0));
  return element("figcaption", { class: "legend" },
    element("span", { class: "key-nonmated" }, `${total(counts.nonmated)} pairs of strangers`),
    element("span", { class: "key-mated" }, `${total(counts.mated)} pairs of one person`),
    element("span", {}, `(${counts.chosen_on})`),
  );
}
