// A score as a bar from -1 to 1, with the threshold.

import { drawn, element } from "./dom.js";

export function meter(score, threshold) {
  const at = (value) => 50 * (1 + Math.max(-1, Math.min(1, value)));
  return element("div", { class: "meter", "aria-hidden": "true" },
    drawn("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none" },
      drawn("rect", { width: at(score), height: 10, rx: 1, fill: score >= threshold ? "var(--mated)" : "var(--nonmated)" }),
      drawn("line", { x1: at(threshold), x2: at(threshold), y1: -6, y2: 16, stroke: "var(--ink)", "stroke-width": 2, "vector-effect": "non-scaling-stroke" }),
    ));
}
