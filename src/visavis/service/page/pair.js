// Two faces: the decision in words, the score among others, and what it rests on.

import { post } from "./api.js";
import { $, element, empty, filling, warning } from "./dom.js";
import { colour, crop } from "./drawing.js";
import { histogram } from "./histogram.js";
import { decision, errorSentences, probabilitySentence, scoreSentence } from "./words.js";

const slots = () => [$("first"), $("second")];

export function startPair(model, settings) {
  const ask = async () => {
    empty($("pair-explanation"));
    $("pair-more").hidden = true;
    slots().forEach((slot) => slot.mark([]));
    if (!slots().every((slot) => slot.files.length)) return empty($("pair-result"));
    let done = false;
    const current = await filling($("pair-result"), "Comparing …", async () => {
      const answer = await post("/v1/verify", fields(settings));
      slots().forEach((slot, place) => slot.mark([answer.faces[place]]));
      done = true;
      return [told(answer, model)];
    });
    if (current) $("pair-more").hidden = !done;
  };
  slots().forEach((slot) => slot.addEventListener("photos", ask));
  settings.addEventListener("change", ask);
  $("explain").addEventListener("click", () => explain(settings));
}

function fields(settings) {
  return { first: $("first").files, second: $("second").files, ...settings.fields };
}

function told(answer, model) {
  const crops = slots().map((slot, place) => {
    const label = `${place ? "second" : "first"} face, as compared`;
    return element("figure", {}, crop(slot.photos[0].image, answer.faces[place], label), element("figcaption", {}, label));
  });
  const probability = probabilitySentence(answer);
  return element("div", { class: "answer" },
    element("div", {},
      element("p", { class: `decision ${answer.same ? "same" : "different"}` }, decision(answer.same)),
      element("p", {}, scoreSentence(answer)),
      probability && element("p", {}, probability),
      element("p", { class: "hint" }, errorSentences(answer.threshold)),
      ...answer.warnings.map(warning),
      element("div", { class: "crops" }, ...crops),
    ),
    histogram(model.histogram, answer),
  );
}

async function explain(settings) {
  $("explain").disabled = true;
  await filling($("pair-explanation"), "Hiding one place after the other …", async () => {
    const answer = await post("/v1/explain", fields(settings));
    const most = Math.max(1e-6, ...answer.maps.flat(2).map(Math.abs));
    const maps = slots().map((slot, place) => {
      const label = `${place ? "second" : "first"} face: what the score rests on`;
      const canvas = colour(crop(slot.photos[0].image, answer.faces[place], label), answer.maps[place], most);
      return element("figure", {}, canvas, element("figcaption", {}, `${place ? "second" : "first"} face`));
    });
    return [
      element("div", { class: "maps" }, ...maps),
      element("p", { class: "legend" },
        element("span", { class: "key-mated" }, "makes them alike: without it the score falls"),
        element("span", { class: "key-nonmated" }, "tells them apart: without it the score rises")),
    ];
  });
  $("explain").disabled = false;
}
