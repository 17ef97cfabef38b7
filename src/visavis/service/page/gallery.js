// The gallery: search, enrol, list, and delete with a confirmation.

import { get, post, remove, subjectPath } from "./api.js";
import { $, element, empty, filling, warning } from "./dom.js";
import { meter } from "./meter.js";
import { decision, errorSentences, number, percent } from "./words.js";

export function startGallery(model, settings) {
  $("no-gallery").hidden = model.gallery;
  $("gallery").hidden = !model.gallery;
  if (!model.gallery) return;
  const search = () => searchFor($("probe"), settings);
  $("probe").addEventListener("photos", search);
  settings.addEventListener("change", search);
  $("enrol-form").addEventListener("submit", (event) => {
    event.preventDefault();
    enrol(settings);
  });
  $("subjects-more").addEventListener("click", () => list($("subjects-more").value));
  list();
}

async function searchFor(slot, settings) {
  slot.mark([]);
  if (!slot.files.length) return empty($("search-result"));
  await filling($("search-result"), "Searching …", async () => {
    const answer = await post("/v1/search", { photo: slot.files, ...settings.fields });
    slot.mark([answer.face]);
    return found(answer);
  });
}

function found(answer) {
  const sure = answer.hits.filter((hit) => hit.same).length;
  const rows = answer.hits.map((hit) => element("li", {}, element("div", { class: "grow" },
    element("p", {}, element("strong", {}, hit.subject)),
    meter(hit.score, answer.threshold.score),
    element("p", { class: "hint" }, `${decision(hit.same).toLowerCase()}, score ${hit.score.toFixed(3)}`))));
  const chance = answer.false_positive_rate === null ? "" :
    ` Among ${number(answer.references)} references a stranger finds somebody in about ${percent(answer.false_positive_rate)} of searches.`;
  return [
    element("p", { class: `decision ${sure ? "same" : "different"}` }, sure ? answer.hits[0].subject : "Nobody who is enrolled"),
    ...answer.face.warnings.map(warning),
    element("ol", { class: "list" }, ...rows),
    element("p", { class: "hint" }, errorSentences(answer.threshold) + chance),
  ];
}

async function enrol(settings) {
  const [name, slot] = [$("enrol-name").value.trim(), $("enrol-photos")];
  if (!slot.files.length) return slot.tell("Choose at least one photo.");
  await filling($("enrol-result"), "Enrolling …", async () => {
    const answer = await post(subjectPath(name), { photos: slot.files, aligned: settings.fields.aligned });
    $("enrol-form").reset();
    slot.set([]);
    await list();
    const unsure = answer.faces.flatMap((face, place) => face.warnings.map((text) => warning(`Photo ${place + 1}: ${text}`)));
    return [element("p", {}, `${answer.name} is enrolled, with ${references(answer.references.length)}.`), ...unsure];
  });
}

async function list(after = "") {
  const answer = await get(`/v1/subjects${after ? `?after=${encodeURIComponent(after)}` : ""}`);
  if (!after) $("subjects").replaceChildren();
  $("subjects").append(...answer.subjects.map(row));
  $("subjects-none").hidden = $("subjects").children.length > 0;
  $("subjects-more").hidden = answer.after === null;
  $("subjects-more").value = answer.after ?? "";
}

function row(subject) {
  const button = element("button", { class: "danger", "aria-label": `Delete ${subject.name}`, onclick: () => confirmDelete(subject) }, "Delete");
  return element("li", {},
    element("div", { class: "grow" },
      element("p", {}, element("strong", {}, subject.name)),
      element("p", { class: "hint" }, `${references(subject.references)}, since ${subject.created.slice(0, 10)}`)),
    button);
}

function confirmDelete(subject) {
  const dialog = $("delete-dialog");
  $("delete-title").textContent = `Delete ${subject.name}?`;
  dialog.returnValue = "";
  dialog.addEventListener("close", async () => {
    if (dialog.returnValue !== "delete") return;
    await filling($("subjects-status"), "Deleting …", async () => {
      await remove(subjectPath(subject.name));
      await list();
      return [element("p", {}, `${subject.name} is deleted.`)];
    });
  }, { once: true });
  dialog.showModal();
}

const references = (count) => (count === 1 ? "1 reference" : `${number(count)} references`);
