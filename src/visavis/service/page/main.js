// Entry point: loads the model's description, asking for an API key where one is required, and starts the tabs.

import { get, setApiKey } from "./api.js";
import { startCompare } from "./compare.js";
import { $, element, warning } from "./dom.js";
import { startGallery } from "./gallery.js";
import { startGroup } from "./group.js";
import "./photo-slot.js";
import { startTabs } from "./tabs.js";
import { targetLabel } from "./text.js";
import { startVerify } from "./verify.js";

// Form fields that every comparison has in common; fires "change".
class Settings extends EventTarget {
  constructor(model) {
    super();
    // The first one is the default, which is not sent: a search by it is for a FPIR, and only keys for all scores may choose others.
    const options = model.operating_points.map((point, number) =>
      element("option", { value: number ? point.target_fmr : "" }, targetLabel(point.target_fmr)),
    );
    $("target-fmr").replaceChildren(...options);
    $("target-fmr").disabled = options.length < 2;
    $("aligned").checked = !model.finds_faces;
    $("aligned-setting").hidden = !model.finds_faces || !model.takes_aligned;
    for (const id of ["target-fmr", "aligned"]) $(id).addEventListener("change", () => this.dispatchEvent(new Event("change")));
  }

  get fields() {
    return { aligned: String($("aligned").checked), target_fmr: $("target-fmr").value || null };
  }
}

async function start() {
  let model;
  try {
    model = await get("/v1/model");
  } catch (error) {
    return showStartError(error);
  }
  const settings = new Settings(model);
  $("key-form").hidden = true;
  $("start-error").replaceChildren();
  $("model").textContent = `Model ${model.model.slice(0, 16)}, input ${model.input_shape[1]} x ${model.input_shape[0]} pixels.`;
  startTabs();
  startVerify(model, settings);
  startCompare(model, settings);
  startGroup(model, settings);
  startGallery(model, settings);
  $("views").hidden = false;
}

function showStartError(error) {
  if (error.status !== 401) return $("start-error").replaceChildren(warning(error.message));
  if (!$("key-form").hidden) $("key-hint").textContent = error.message;
  $("key-form").hidden = false;
  $("key").focus();
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setApiKey($("key").value);
  $("key").value = "";
  start();
});
start();
