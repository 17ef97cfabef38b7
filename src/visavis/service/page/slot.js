// <photo-slot>: a place for a photo or several, which are dropped, chosen or photographed. Tells of changes by the event "photos".

import { hasCamera, takePhoto } from "./camera.js";
import { $, element } from "./dom.js";
import { mark } from "./drawing.js";

const TAKEN = ["image/jpeg", "image/png", "image/webp"];
const MOST_BYTES = 9_000_000;
const MOST_SIDE = 4000;
const MOST_PHOTOS = 15;

class PhotoSlot extends HTMLElement {
  photos = []; // {file, image, figure}

  connectedCallback() {
    this.append($("slot").content.cloneNode(true));
    this.many = this.hasAttribute("many");
    const label = this.getAttribute("label");
    const drop = this.querySelector(".drop");
    const input = this.querySelector("input");
    drop.classList.toggle("many", this.many);
    this.querySelector(".slot-label").textContent = label;
    this.querySelector(".invite").textContent = this.many ? "Drop photos here" : "Drop a photo here";
    this.querySelector(".button span").textContent = this.many ? "Choose photos" : "Choose a photo";
    drop.setAttribute("role", "group");
    drop.setAttribute("aria-label", label);
    input.multiple = this.many;
    input.addEventListener("change", () => this.add([...input.files]).then(() => (input.value = "")));
    for (const kind of ["dragover", "dragleave", "drop"]) drop.addEventListener(kind, (event) => this.dragged(event, drop));
    this.querySelector(".take").hidden = !hasCamera();
    this.querySelector(".take").addEventListener("click", async () => this.add([await takePhoto()].filter(Boolean)));
    this.querySelector(".clear").addEventListener("click", () => {
      this.set([]);
      input.focus();
    });
  }

  get files() {
    return this.photos.map((photo) => photo.file);
  }

  dragged(event, drop) {
    event.preventDefault();
    drop.classList.toggle("over", event.type === "dragover");
    if (event.type === "drop") this.add([...event.dataTransfer.files]);
  }

  async add(files) {
    if (!files.length) return;
    this.tell("");
    try {
      const added = await Promise.all(files.slice(0, this.many ? MOST_PHOTOS : 1).map(readPhoto));
      this.set(this.many ? [...this.photos, ...added].slice(0, MOST_PHOTOS) : added);
    } catch (error) {
      this.tell(error.message);
    }
  }

  set(photos) {
    for (const photo of this.photos) if (!photos.includes(photo)) URL.revokeObjectURL(photo.image.src);
    this.photos = photos;
    this.querySelector(".shown").replaceChildren(...photos.map((photo) => photo.figure));
    this.querySelector(".invite").hidden = photos.length > 0;
    this.querySelector(".clear").hidden = photos.length === 0;
    this.querySelector(".clear").setAttribute("aria-label", `Remove: ${this.getAttribute("label")}`);
    this.dispatchEvent(new Event("photos", { bubbles: true }));
  }

  // Shows where the faces are that the service found, in the order of the photos.
  mark(faces) {
    this.photos.forEach((photo, place) => mark(photo.figure, faces[place]));
  }

  tell(text) {
    const problem = this.querySelector(".problem");
    problem.textContent = text;
    problem.hidden = !text;
  }
}

// Reads a file; what the service would not take as it is, is drawn anew as a JPEG.
async function readPhoto(file) {
  let image = await shown(file);
  const small = Math.max(image.naturalWidth, image.naturalHeight) <= MOST_SIDE;
  if (!TAKEN.includes(file.type) || file.size > MOST_BYTES || !small) {
    file = await redrawn(image);
    URL.revokeObjectURL(image.src);
    image = await shown(file);
  }
  image.alt = "The photo that you chose";
  return { file, image, figure: element("figure", { class: "photo" }, image) };
}

async function shown(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(image.src);
    throw new Error("This file cannot be read as a photo.");
  }
  return image;
}

function redrawn(image) {
  const scale = Math.min(1, MOST_SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.naturalWidth * scale);
  canvas.height = Math.round(image.naturalHeight * scale);
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // under transparent parts, as the service has it
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

customElements.define("photo-slot", PhotoSlot);
