// Tab "One against many": one face compared with many photos, highest score first.

import { post } from "./api.js";
import { $, clearResult, element, showResult, warning } from "./dom.js";
import { cropFace } from "./drawing.js";
import { meter } from "./meter.js";
import { knownScores, scoreRange, scoreText } from "./score-scale.js";
import { decision, errorRates } from "./text.js";

export function startCompare(model, settings) {
  const [anchor, others] = [$("anchor"), $("others")];
  anchor.setLimits({ photos: 1, model });
  others.setLimits({ photos: model.photos - 1, model });
  const compare = async () => {
    anchor.drawFaces([]);
    others.drawFaces([]);
    if (!anchor.files.length || !others.files.length) return clearResult($("compare-result"));
    const photos = others.photos;
    let response;
    const shown = await showResult($("compare-result"), "Comparing …", async () => {
      response = await post("/v1/compare", { anchor: anchor.files, photos: others.files, ...settings.fields });
      return resultView(response, photos, model.histogram);
    });
    if (!shown) return;
    anchor.drawFaces([response.anchor]);
    const faces = [];
    for (const result of response.results) faces[result.photo] = result.face;
    others.drawFaces(faces);
  };
  for (const slot of [anchor, others]) slot.addEventListener("photos", compare);
  settings.addEventListener("change", compare);
}

function resultView(response, photos, histogram) {
  const threshold = response.threshold.score;
  const range = scoreRange(histogram, [threshold, ...knownScores(response.results)]);
  const rows = response.results.map((result) => element("li", {},
    cropFace(photos[result.photo].image, result.face, `photo ${result.photo + 1}, as compared`),
    element("div", { class: "grow" },
      element("p", { class: result.same ? "same" : "different" }, element("strong", {}, decision(result.same))),
      result.score !== null && meter(result.score, threshold, range),
      element("p", { class: "hint" }, [[`photo ${result.photo + 1}`, ...scoreText(result)].join(", "), ...result.face.warnings].join("; ")),
    )));
  return [
    ...response.anchor.warnings.map((text) => warning(`Reference photo: ${text}`)),
    element("ol", { class: "list" }, ...rows),
    ...response.failures.map((failure) => warning(`Photo ${failure.photo + 1} was not compared: ${failure.reason}`)),
    element("p", { class: "hint" }, errorRates(response.threshold)),
  ];
}
