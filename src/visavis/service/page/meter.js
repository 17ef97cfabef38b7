// A score as a bar, with the threshold as a line.

import { element, svgElement } from "./dom.js";
import { linearScale } from "./score-scale.js";

export function meter(score, threshold, range) {
  const position = linearScale(range, 100);
  const x = position(threshold);
  return element("div", { class: "meter", "aria-hidden": "true" },
    svgElement("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none" },
      svgElement("rect", { width: position(score), height: 10, rx: 1, fill: score >= threshold ? "var(--mated)" : "var(--nonmated)" }),
      svgElement("line", { x1: x, x2: x, y1: -6, y2: 16, stroke: "var(--ink)", "stroke-width": 2, "vector-effect": "non-scaling-stroke" }),
    ));
}
