// <photo-slot>: holds one photo, or several with the attribute `many`, that were dropped, chosen or taken with the camera.
// Fires "photos" when the user changes them.

import { hasCamera, takePhoto } from "./camera.js";
import { $, element } from "./dom.js";
import { drawFaces } from "./drawing.js";
import { readPhoto } from "./photo-file.js";
import { count } from "./text.js";

class PhotoSlot extends HTMLElement {
  photos = []; // {file, image, figure}
  #limits = { photos: 1 };
  #reading = Promise.resolve();

  connectedCallback() {
    this.append($("slot-template").content.cloneNode(true));
    this.many = this.hasAttribute("many");
    const label = this.getAttribute("label");
    const drop = this.querySelector(".drop");
    const input = this.querySelector("input");
    drop.classList.toggle("many", this.many);
    this.querySelector(".slot-label").textContent = label;
    this.querySelector(".invite").textContent = this.many ? "Drop photos here" : "Drop a photo here";
    this.querySelector(".button span").textContent = this.many ? "Choose photos" : "Choose a photo";
    this.querySelector(".clear").textContent = this.many ? "Remove all" : "Remove";
    this.querySelector(".clear").setAttribute("aria-label", `${this.many ? "Remove all" : "Remove"}: ${label}`);
    drop.setAttribute("role", "group");
    drop.setAttribute("aria-label", label);
    input.multiple = this.many;
    input.addEventListener("change", () => this.add([...input.files]).then(() => (input.value = "")));
    for (const type of ["dragover", "dragleave", "drop"]) drop.addEventListener(type, (event) => this.#onDrag(event, drop));
    this.querySelector(".take").hidden = !hasCamera();
    this.querySelector(".take").addEventListener("click", async () => this.add([await takePhoto()].filter(Boolean)));
    this.querySelector(".clear").addEventListener("click", () => {
      this.#change([]);
      input.focus();
    });
  }

  get files() {
    return this.photos.map((photo) => photo.file);
  }

  // Sets how many photos the service accepts in this field, and how large each may be in a request of `model.photos` photos.
  setLimits({ photos, model }) {
    const bytes = Math.min(model.photo_bytes, Math.floor((0.98 * model.request_bytes) / (photos > 1 ? model.photos : 2)));
    this.#limits = { photos, bytes, pixels: model.photo_pixels };
  }

  // Adds files one after the other, also where the user chooses more while some are being read.
  add(files) {
    this.#reading = this.#reading.then(() => this.#read(files));
    return this.#reading;
  }

  async #read(files) {
    if (!files.length) return;
    const problems = [];
    const room = this.#limits.photos - (this.many ? this.photos.length : 0);
    const added = [];
    for (const [index, file] of files.entries()) {
      if (added.length >= room) {
        problems.push(`${count(files.length - index, "photo")} left out: at most ${count(this.#limits.photos, "photo")} here.`);
        break;
      }
      try {
        added.push(await readPhoto(file, this.#limits));
      } catch (error) {
        problems.push(error.message);
      }
    }
    this.#change(this.many ? [...this.photos, ...added] : added, problems.join(" "));
  }

  #onDrag(event, drop) {
    event.preventDefault();
    drop.classList.toggle("over", event.type === "dragover");
    if (event.type === "drop") this.add([...event.dataTransfer.files]);
  }

  #change(photos, problem = "") {
    this.#show(photos);
    this.showProblem(problem);
    this.dispatchEvent(new Event("photos"));
  }

  // Removes all photos without an event.
  reset() {
    this.#show([]);
    this.showProblem("");
  }

  #show(photos) {
    for (const photo of this.photos) if (!photos.includes(photo)) URL.revokeObjectURL(photo.image.src);
    this.photos = photos;
    this.querySelector(".preview").replaceChildren(...photos.map((photo, index) => this.#figure(photo, index)));
    this.querySelector(".invite").hidden = photos.length > 0;
    this.querySelector(".clear").hidden = photos.length === 0;
  }

  #figure(photo, index) {
    const number = this.many ? `photo ${index + 1}` : "photo";
    photo.image.alt = `${number}: ${photo.file.name}`;
    photo.figure = element("figure", { class: "photo" }, photo.image);
    if (this.many) {
      const remove = { type: "button", class: "remove", "aria-label": `Remove ${number}`, onclick: () => this.#remove(index) };
      photo.figure.append(element("span", { class: "number", "aria-hidden": "true" }, String(index + 1)), element("button", remove, "×"));
    }
    return photo.figure;
  }

  #remove(index) {
    this.#change(this.photos.filter((_, other) => other !== index));
    const buttons = this.querySelectorAll(".remove");
    (buttons[Math.min(index, buttons.length - 1)] ?? this.querySelector("input")).focus();
  }

  // Outlines the face that was used of each photo.
  drawFaces(faces) {
    this.photos.forEach((photo, index) => drawFaces(photo.figure, faces[index] ? [{ face: faces[index] }] : []));
  }

  // Outlines all faces of the only photo, `{face, name}`, with number and name.
  drawGroup(faces) {
    drawFaces(this.photos[0].figure, faces.map(({ face, name }) => ({ face, label: [face.number, name].filter(Boolean).join(" ") })));
  }

  showProblem(text) {
    const problem = this.querySelector(".problem");
    problem.textContent = text;
    problem.hidden = !text;
  }
}

customElements.define("photo-slot", PhotoSlot);
