// Chart of a comparison score and the threshold over the histograms of mated and non-mated scores in the model card.

import { element, svgElement } from "./dom.js";
import { linearScale, scoreRange } from "./score-scale.js";
import { count } from "./text.js";

const WIDTH = 400;
const HEIGHT = 170;
const BASELINE = 140;
const TOP = 34;

export function scoreChart(histogram, response) {
  const [score, threshold] = [response.score, response.threshold.score];
  const range = scoreRange(histogram, [score, threshold]);
  const position = linearScale(range, WIDTH);
  const label = `Score ${score.toFixed(3)}, threshold ${threshold.toFixed(3)}, on a scale from ${range[0].toFixed(1)} to ${range[1]}.`;
  const chart = svgElement("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": label },
    ...(histogram ? ["nonmated", "mated"].map((kind) => area(histogram, kind, position)) : []),
    svgElement("line", { x1: 0, x2: WIDTH, y1: BASELINE, y2: BASELINE, class: "axis" }),
    ...ticks(range, position),
    ...marker("threshold", threshold, position, 28, "dim"),
    ...marker("score", score, position, 12, "bold"),
  );
  return element("figure", { class: "scores" }, chart, histogram ? legend(histogram) : missingHistogram());
}

// Each histogram is scaled to its own peak, since there are many more non-mated pairs.
function area(histogram, kind, position) {
  const counts = histogram[kind];
  const width = (histogram.high - histogram.low) / counts.length;
  const peak = Math.max(...counts, 1);
  const steps = counts.map((count, bin) => {
    const y = (BASELINE - ((BASELINE - TOP) * count) / peak).toFixed(1);
    const [left, right] = [bin, bin + 1].map((edge) => position(histogram.low + edge * width).toFixed(1));
    return `L${left},${y}L${right},${y}`;
  });
  return svgElement("path", { d: `M${position(histogram.low)},${BASELINE}${steps.join("")}L${WIDTH},${BASELINE}Z`, class: kind });
}

function ticks([low, high], position) {
  const count = Math.round((high - low) / 0.2);
  return Array.from({ length: count + 1 }, (_, index) => {
    const score = low + (index * (high - low)) / count;
    const anchor = index === 0 ? "start" : index === count ? "end" : "middle";
    return svgElement("text", { x: position(score), y: BASELINE + 18, "text-anchor": anchor, class: "dim" }, Number(score.toFixed(1)).toString());
  });
}

function marker(kind, score, position, y, style) {
  const x = position(score);
  const onRight = x > WIDTH / 2;
  return [
    svgElement("line", { x1: x, x2: x, y1: y - 10, y2: BASELINE, class: kind }),
    svgElement("text", { x: onRight ? x - 6 : x + 6, y, "text-anchor": onRight ? "end" : "start", class: style }, `${kind} ${score.toFixed(3)}`),
  ];
}

const missingHistogram = () => element("figcaption", { class: "hint" }, "The model card contains no score histogram.");

function legend(histogram) {
  const total = (counts) => count(counts.reduce((sum, value) => sum + value, 0), "pair");
  return element("figcaption", { class: "legend" },
    element("span", { class: "key-nonmated" }, `${total(histogram.nonmated)} of different people`),
    element("span", { class: "key-mated" }, `${total(histogram.mated)} of the same person`),
    element("span", {}, `on ${histogram.chosen_on}`),
  );
}
