// Tab "Gallery": search, enrol, list, and delete after a confirmation.

import { get, post, remove, subjectPath } from "./api.js";
import { openDialog } from "./dialog.js";
import { $, clearResult, element, showResult, warning } from "./dom.js";
import { meter } from "./meter.js";
import { knownScores, scoreRange, scoreText } from "./score-scale.js";
import { count, decision, errorRates, searchErrorRate } from "./text.js";

export function startGallery(model, settings) {
  $("no-gallery").hidden = model.gallery;
  $("gallery").hidden = !model.gallery;
  if (!model.gallery) return;
  $("probe").setLimits({ photos: 1, model });
  $("enrol-photos").setLimits({ photos: model.photos, model });
  const search = () => searchGallery($("probe"), settings, model.histogram);
  $("probe").addEventListener("photos", search);
  settings.addEventListener("change", search);
  $("enrol-photos").addEventListener("photos", () => clearResult($("enrol-result")));
  $("enrol-form").addEventListener("submit", (event) => {
    event.preventDefault();
    enrol(settings);
  });
  $("subjects-more").addEventListener("click", () => listSubjects($("subjects-more").value));
  listSubjects();
}

async function searchGallery(slot, settings, histogram) {
  slot.drawFaces([]);
  if (!slot.files.length) return clearResult($("search-result"));
  let response;
  const shown = await showResult($("search-result"), "Searching …", async () => {
    response = await post("/v1/search", { photo: slot.files, ...settings.fields });
    return searchView(response, histogram);
  });
  if (shown) slot.drawFaces([response.face]);
}

function searchView(response, histogram) {
  const threshold = response.threshold.score;
  const range = scoreRange(histogram, [threshold, ...knownScores(response.hits)]);
  const rows = response.hits.map((hit) => element("li", {}, element("div", { class: "grow" },
    element("p", {}, element("strong", {}, hit.subject)),
    hit.score !== null && meter(hit.score, threshold, range),
    element("p", { class: "hint" }, [...(response.undecided ? [] : [decision(hit.same).toLowerCase()]), ...scoreText(hit)].join(", ")))));
  const match = response.hits.find((hit) => hit.same && !response.undecided);
  const headline = response.undecided ? "No decision: ranked by similarity" : match ? match.subject : "No match in the gallery";
  return [
    element("p", { class: `decision ${match ? "same" : "different"}` }, headline),
    ...(response.undecided ? [warning(response.undecided)] : []),
    ...response.face.warnings.map(warning),
    element("ol", { class: "list" }, ...rows),
    element("p", { class: "hint" }, `${errorRates(response.threshold)} ${searchErrorRate(response)}`),
  ];
}

async function enrol(settings) {
  const [name, slot] = [$("enrol-name").value.trim(), $("enrol-photos")];
  clearResult($("enrol-result"));
  clearResult($("subjects-status"));
  if (!slot.files.length) return slot.showProblem("Choose at least one photo.");
  const enrolled = await showResult($("enrol-result"), "Enrolling …", async () => {
    const response = await post(subjectPath(name), { photos: slot.files, aligned: settings.fields.aligned });
    const refused = new Map(response.failures.map(({ photo, reason }) => [photo, reason]));
    const used = [...slot.files.keys()].filter((photo) => !refused.has(photo));
    const warnings = response.faces.flatMap((face, index) => face.warnings.map((text) => warning(`Photo ${used[index] + 1}: ${text}`)));
    const refusals = [...refused].map(([photo, reason]) => warning(`Photo ${photo + 1} is not enrolled: ${reason}`));
    return [
      element("p", {}, `${response.name} is enrolled with ${count(response.references.length, "reference")}.`), ...refusals, ...warnings,
    ];
  });
  if (!enrolled) return;
  $("enrol-form").reset();
  slot.reset();
  await listSubjects();
}

async function listSubjects(after = "") {
  let page;
  try {
    page = await get(`/v1/subjects${after ? `?after=${encodeURIComponent(after)}` : ""}`);
  } catch (error) {
    return $("subjects-status").replaceChildren(warning(`The list cannot be loaded: ${error.message}`));
  }
  if (!after) $("subjects").replaceChildren();
  $("subjects").append(...page.subjects.map(subjectRow));
  $("subjects-none").hidden = $("subjects").children.length > 0;
  $("subjects-more").hidden = page.after === null;
  $("subjects-more").value = page.after ?? "";
}

function subjectRow(subject) {
  return element("li", {},
    element("div", { class: "grow" },
      element("p", {}, element("strong", {}, subject.name)),
      element("p", { class: "hint" }, `${count(subject.references, "reference")}, since ${subject.created.slice(0, 10)}`)),
    element("button", { class: "danger", "aria-label": `Delete ${subject.name}`, onclick: () => deleteSubject(subject.name) }, "Delete"));
}

async function deleteSubject(name) {
  const { dialog, closed } = openDialog("delete-template");
  dialog.querySelector("h2").textContent = `Delete ${name}?`;
  if ((await closed) !== "delete") return;
  clearResult($("enrol-result"));
  const deleted = await showResult($("subjects-status"), "Deleting …", async () => {
    await remove(subjectPath(name));
    return [element("p", {}, `${name} is deleted.`)];
  });
  if (deleted) await listSubjects();
}
