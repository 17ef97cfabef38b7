// Tab "Group photo": all faces of one photo, each with its name where it is in the gallery.

import { post } from "./api.js";
import { $, clearResult, element, showResult, warning } from "./dom.js";
import { cropFace } from "./drawing.js";
import { scoreText } from "./score-scale.js";
import { count, errorRates, searchErrorRate } from "./text.js";

export function startGroup(model, settings) {
  const slot = $("group-photo");
  $("no-detection").hidden = model.finds_faces;
  slot.hidden = !model.finds_faces;
  slot.setLimits({ photos: 1, model });
  const find = async () => {
    slot.drawFaces([]);
    if (!slot.files.length) return clearResult($("group-result"));
    const photo = slot.photos[0];
    let faces;
    const shown = await showResult($("group-result"), "Detecting faces …", async () => {
      if (!model.gallery) {
        const response = await post("/v1/detect", { photo: slot.files });
        faces = response.faces.map((face) => ({ face, name: null }));
        return detectionView(faces, photo.image);
      }
      const response = await post("/v1/search", { photo: slot.files, face: "all", top: "1", target_fmr: settings.fields.target_fmr });
      faces = response.faces.map((one) => ({ face: one.face, name: one.subject, hit: one.hits[0] }));
      return searchView(response, faces, photo.image);
    });
    if (shown) slot.drawGroup(faces);
  };
  slot.addEventListener("photos", find);
  settings.addEventListener("change", find);
}

function detectionView(faces, image) {
  return [
    element("p", { class: "decision" }, count(faces.length, "face")),
    list(faces, image, () => []),
    element("p", { class: "hint" }, "The service runs without a gallery, so nobody can be named. Start it with: visavis serve --gallery FILE"),
  ];
}

function searchView(response, faces, image) {
  const named = faces.filter((face) => face.name !== null).length;
  const headline = response.undecided ? `${count(faces.length, "face")}: no decision` : `${count(faces.length, "face")}, ${named} in the gallery`;
  const nearest = (face) => (response.undecided && face.hit ? [`most similar: ${face.hit.subject}`] : []);
  return [
    element("p", { class: `decision ${named ? "same" : "different"}` }, headline),
    ...(response.undecided ? [warning(response.undecided)] : []),
    list(faces, image, (face) => [...nearest(face), ...(face.hit ? scoreText(face.hit) : [])]),
    element("p", { class: "hint" }, `${errorRates(response.threshold)} ${searchErrorRate(response)} Each person is named once in a photo.`),
  ];
}

function list(faces, image, details) {
  return element("ol", { class: "list" }, ...faces.map((one) => element("li", {},
    cropFace(image, one.face, `face ${one.face.number}`),
    element("div", { class: "grow" },
      element("p", { class: one.name === null ? "" : "same" }, element("strong", {}, one.name ?? "Unknown")),
      element("p", { class: "hint" }, [`face ${one.face.number}`, ...details(one), ...one.face.warnings].join("; ")),
    ))));
}
