// Starts the page: asks the service what it runs, and for a key where one is needed.

import { get, useKey } from "./api.js";
import { $, element, warning } from "./dom.js";
import { startGallery } from "./gallery.js";
import { startMany } from "./many.js";
import { startPair } from "./pair.js";
import "./slot.js";
import { startTabs } from "./tabs.js";
import { oneIn } from "./words.js";

// What goes with every comparison; tells of changes by the event "change".
class Settings extends EventTarget {
  constructor(model) {
    super();
    $("rule").replaceChildren(...model.rules.map((rule) => element("option", { value: rule.target_fmr ?? "" }, oneIn(rule.target_fmr))));
    $("rule").disabled = model.rules.length < 2;
    $("aligned").checked = !model.finds_faces;
    $("aligned-setting").hidden = !model.finds_faces;
    for (const id of ["rule", "aligned"]) $(id).addEventListener("change", () => this.dispatchEvent(new Event("change")));
  }

  get fields() {
    return { aligned: String($("aligned").checked), target_fmr: $("rule").value || null };
  }
}

async function start() {
  let model;
  try {
    model = await get("/v1/model");
  } catch (error) {
    return refused(error);
  }
  const settings = new Settings(model);
  $("key-form").hidden = true;
  $("views").hidden = false;
  $("model").textContent = `Model ${model.model.slice(0, 16)}, faces of ${model.input_shape[1]} x ${model.input_shape[0]} pixels.`;
  startTabs();
  startPair(model, settings);
  startMany(settings);
  startGallery(model, settings);
}

function refused(error) {
  if (error.status !== 401) return $("content").append(warning(error.message));
  if (!$("key-form").hidden) $("key-hint").textContent = error.message;
  $("key-form").hidden = false;
  $("key").focus();
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey($("key").value);
  $("key").value = "";
  start();
});
start();
