// One face against many, the most alike first.

import { post } from "./api.js";
import { $, element, empty, filling, warning } from "./dom.js";
import { crop } from "./drawing.js";
import { meter } from "./meter.js";
import { decision, errorSentences } from "./words.js";

export function startMany(settings) {
  const [anchor, others] = [$("anchor"), $("others")];
  const ask = async () => {
    anchor.mark([]);
    others.mark([]);
    if (!anchor.files.length || !others.files.length) return empty($("many-result"));
    await filling($("many-result"), "Comparing …", async () => {
      const answer = await post("/v1/compare", { anchor: anchor.files, photos: others.files, ...settings.fields });
      anchor.mark([answer.anchor]);
      const faces = [];
      for (const result of answer.results) faces[result.photo] = result.face;
      others.mark(faces);
      return told(answer, others);
    });
  };
  for (const slot of [anchor, others]) slot.addEventListener("photos", ask);
  settings.addEventListener("change", ask);
}

function told(answer, others) {
  const rows = answer.results.map((result) => element("li", {},
    crop(others.photos[result.photo].image, result.face, `photo ${result.photo + 1}, as compared`),
    element("div", { class: "grow" },
      element("p", { class: result.same ? "same" : "different" }, element("strong", {}, decision(result.same))),
      meter(result.score, answer.threshold.score),
      element("p", { class: "hint" }, [`photo ${result.photo + 1}, score ${result.score.toFixed(3)}`, ...result.face.warnings].join("; ")),
    )));
  return [
    ...answer.anchor.warnings.map((text) => warning(`This face: ${text}`)),
    element("ol", { class: "list" }, ...rows),
    ...answer.failures.map((failure) => warning(`Photo ${failure.photo + 1} was not compared: ${failure.reason}`)),
    element("p", { class: "hint" }, errorSentences(answer.threshold)),
  ];
}
