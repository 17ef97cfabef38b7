// Tab "Two faces": the decision, the score over the model's histograms, and an explanation by occlusion maps.

import { post } from "./api.js";
import { $, clearResult, element, showResult, warning } from "./dom.js";
import { cropFace, overlayMap } from "./drawing.js";
import { scoreChart } from "./histogram.js";
import { decision, errorRates, probabilitySentence, scoreSentence } from "./text.js";

const slots = () => [$("first"), $("second")];

export function startVerify(model, settings) {
  slots().forEach((slot) => slot.setLimits({ photos: 1, model }));
  const verify = async () => {
    clearResult($("explanation"));
    $("explain-panel").hidden = true;
    slots().forEach((slot) => slot.drawFaces([]));
    if (!slots().every((slot) => slot.files.length)) return clearResult($("verify-result"));
    let response;
    const shown = await showResult($("verify-result"), "Comparing …", async () => {
      response = await post("/v1/verify", formFields(settings));
      return [resultView(response, model)];
    });
    if (!shown) return;
    slots().forEach((slot, index) => slot.drawFaces([response.faces[index]]));
    $("explain-panel").hidden = false;
  };
  slots().forEach((slot) => slot.addEventListener("photos", verify));
  settings.addEventListener("change", verify);
  $("explain").addEventListener("click", () => explain(settings));
}

function formFields(settings) {
  return { first: $("first").files, second: $("second").files, ...settings.fields };
}

function resultView(response, model) {
  const probability = probabilitySentence(response);
  return element("div", { class: "answer" },
    element("div", {},
      element("p", { class: `decision ${response.same ? "same" : "different"}` }, decision(response.same)),
      element("p", {}, scoreSentence(response)),
      probability && element("p", {}, probability),
      element("p", { class: "hint" }, errorRates(response.threshold)),
      ...response.warnings.map(warning),
      element("div", { class: "crops" }, ...faceFigures(response.faces, "face, as compared")),
    ),
    response.score !== null && scoreChart(model.histogram, response),
  );
}

function faceFigures(faces, caption, draw = (canvas) => canvas) {
  return slots().map((slot, index) => {
    const label = `${index ? "second" : "first"} ${caption}`;
    return element("figure", {}, draw(cropFace(slot.photos[0].image, faces[index], label), index), element("figcaption", {}, label));
  });
}

async function explain(settings) {
  $("explain").disabled = true;
  await showResult($("explanation"), "Computing occlusion maps …", async () => {
    const response = await post("/v1/explain", formFields(settings));
    const maximum = Math.max(1e-6, ...response.maps.flat(2).map(Math.abs));
    const figures = faceFigures(response.faces, "face: occlusion map", (canvas, index) => overlayMap(canvas, response.maps[index], maximum));
    return [
      element("div", { class: "maps" }, ...figures),
      element("p", { class: "legend" },
        element("span", { class: "key-mated" }, "raises the score: hiding this region lowers it"),
        element("span", { class: "key-nonmated" }, "lowers the score: hiding this region raises it")),
    ];
  });
  $("explain").disabled = false;
}
