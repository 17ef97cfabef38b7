// The example page: two photos, and what the verifier says of them.

import { loadVerifier } from "./verifier.js";

const RUNTIME = "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";
const MAX_SHOWN = 640; // longer side of a preview, pixels

const result = document.getElementById("result");
const slots = ["first", "second"].map((id) => ({ input: document.getElementById(id), photo: null, chosen: 0 }));

start().catch(report);

async function start() {
  const verifier = await loadVerifier(await loadRuntime());
  const { model, threshold } = verifier.card;
  document.getElementById("model").textContent = `Model: ${model}. Threshold ${threshold.summary}`;
  show(paragraph("hint", "Choose two photos."));
  for (const slot of slots) {
    const section = slot.input.closest("section");
    Object.assign(slot, { canvas: section.querySelector("canvas"), problem: section.querySelector(".problem") });
    slot.input.disabled = false;
    slot.input.addEventListener("change", () => choose(slot, verifier).catch(report));
  }
}

async function loadRuntime() {
  try {
    const ort = await import(RUNTIME);
    ort.env.wasm.numThreads = 1; // more need a page that is isolated from other origins
    return ort;
  } catch {
    throw new Error("onnxruntime-web cannot be loaded. Run npm install in the folder of this page.");
  }
}

async function choose(slot, verifier) {
  const [file] = slot.input.files;
  if (!file) return;
  slot.chosen += 1;
  const { chosen } = slot;
  slot.photo = null;
  slot.problem.hidden = slot.canvas.hidden = true;
  show(paragraph("hint", "Detecting the face …"));
  try {
    const photo = await queued(() => verifier.acquire(file));
    if (chosen !== slot.chosen) return;
    slot.photo = photo;
    draw(slot.canvas, photo);
  } catch (error) {
    if (chosen !== slot.chosen) return;
    slot.problem.textContent = error.message;
    slot.problem.hidden = false;
  }
  await compare(verifier);
}

async function compare(verifier) {
  const photos = slots.map(({ photo }) => photo);
  if (photos.includes(null)) return show(paragraph("hint", "Choose two photos."));
  const verdict = await queued(() => verifier.verify(...photos));
  if (slots.some(({ photo }, index) => photo !== photos[index])) return;
  show(...describe(verdict, verifier.card.threshold));
}

// A session of ONNX Runtime runs one photo at a time.
let latest = Promise.resolve();
function queued(task) {
  const run = latest.then(task);
  latest = run.catch(() => {});
  return run;
}

function describe(verdict, rule) {
  const { same, uncertain, score, threshold, distance, probability, prior } = verdict;
  const lines = [paragraph(`decision ${same ? "same" : "different"}`, same ? "Same person" : "Different people")];
  if (uncertain) lines.push(paragraph("problem", "Uncertain: the probability contradicts the threshold."));
  const relation = same ? "reaches" : "is below";
  lines.push(paragraph("", `The score ${score.toFixed(3)} ${relation} the threshold ${threshold.toFixed(3)}; distance ${distance.toFixed(3)}.`));
  if (probability !== null) {
    const shown = `Probability of the same person: ${probability.toFixed(3)}, given a prior of ${prior}.`;
    lines.push(paragraph("", shown));
  }
  if (rule.measured_on) lines.push(paragraph("hint", `Threshold: ${rule.measured_on}.`));
  verdict.faces.forEach(({ warnings }, index) => {
    for (const text of warnings) lines.push(paragraph("problem", `${index ? "Second" : "First"} photo: ${text}.`));
  });
  return lines;
}

function draw(canvas, { image, face }) {
  const scale = Math.min(1, MAX_SHOWN / Math.max(image.width, image.height));
  Object.assign(canvas, { width: Math.round(image.width * scale), height: Math.round(image.height * scale), hidden: false });
  const pixels = new ImageData(image.width, image.height);
  for (let from = 0, to = 0; from < image.data.length; from += 3, to += 4) {
    pixels.data.set(image.data.subarray(from, from + 3), to);
    pixels.data[to + 3] = 255;
  }
  const whole = new OffscreenCanvas(image.width, image.height);
  whole.getContext("2d").putImageData(pixels, 0, 0);
  const context = canvas.getContext("2d");
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  if (face === null) return;
  const box = face.box.map((edge) => edge * scale);
  for (const [colour, width] of [["rgb(0 0 0 / .55)", 5], ["white", 2]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.strokeRect(...box);
  }
}

function paragraph(name, text) {
  const node = document.createElement("p");
  node.className = name;
  node.textContent = text;
  return node;
}

function report(error) {
  show(paragraph("problem", error.message));
}

function show(...nodes) {
  result.replaceChildren(...nodes);
}
