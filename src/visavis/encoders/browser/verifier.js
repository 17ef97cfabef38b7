// Verifies two photos with the model of this folder. Nothing leaves the browser.
//
//   import * as ort from "onnxruntime-web/wasm";
//   import { loadVerifier } from "./verifier.js";
//   const verifier = await loadVerifier(ort);
//   const verdict = await verifier.verify(firstFile, secondFile);

import { cutFace, fitPhoto } from "./crop.js";
import { Detector } from "./detector.js";
import { detectAnyTurn } from "./orientation.js";
import { readPhoto } from "./photo.js";
import { sharpness, variance } from "./pixels.js";

const FORMAT = 1;
const [SMALL, BLURRED, PROFILE, BLANK] = [24, 40, 0.35, 2]; // eye distance, sharpness, nose offset, standard deviation of levels

// Loads the files of this folder, and checks that they are those of its card.
//   ort: the module of onnxruntime-web.
//   folder: where card.json and the models are; by default, beside this file.
//   prior: P(same person) before the photos are seen, in (0, 1); probabilities depend on it, decisions do not.
//   targetFmr: decide by the operating point for this false match rate; null: by the model's default one.
export async function loadVerifier(ort, { folder = new URL(".", import.meta.url), prior = 0.5, targetFmr = null } = {}) {
  if (!(prior > 0 && prior < 1)) throw new RangeError(`prior must be in (0, 1), got ${prior}`);
  const card = await (await fetched(new URL("card.json", folder))).json();
  if (!(card.format <= FORMAT)) throw new Error(`card.json: made by a newer visavis (format ${card.format}); replace the files beside it`);
  const rule = ruleOf(card, targetFmr);
  const open = (name, settings) => openSession(ort, new URL(name, folder), card.files[name], settings);
  const encoder = await open("model.onnx", card.input.dequantize ? { extra: { session: { disable_quant_qdq: "1" } } } : {});
  let detector = null;
  if (card.detector) {
    const [pNet, rNet, oNet] = await Promise.all(["pnet.onnx", "rnet.onnx", "onet.onnx"].map((name) => open(name, {})));
    detector = new Detector(ort, { pNet, rNet, oNet }, card.detector);
  }
  return new Verifier(ort, { card, encoder, detector, rule, prior });
}

export class Verifier {
  constructor(ort, parts) {
    Object.assign(this, { ort, ...parts });
  }

  // Compares the largest face of one photo with that of the other; a photo is a File, a Blob, or what readPhoto or acquire returned.
  async verify(first, second) {
    const photos = [];
    for (const photo of [first, second]) photos.push(photo.crop ? photo : await this.acquire(photo));
    const embeddings = [];
    for (const { crop } of photos) embeddings.push(await this.embed(crop));
    const score = embeddings[0].reduce((sum, value, index) => sum + value * embeddings[1][index], 0);
    return { ...this.decide(score), faces: photos.map(({ face, warnings }) => ({ ...face, warnings })) };
  }

  // Reads a photo, detects its largest face if the model takes aligned ones, and cuts the model's crop.
  async acquire(photo) {
    const image = photo.data ? photo : await readPhoto(photo);
    const name = photo.name ?? "the photo";
    const { crop, canonical } = this.card.input;
    if (this.detector === null) {
      const taken = fitPhoto(image, crop);
      if (isBlank(taken)) throw new Error(`${name}: nothing can be seen on it, all of it is of one colour`);
      return { image, crop: taken, face: null, warnings: [] };
    }
    const [face, ...others] = await detectAnyTurn(image, this.detector, canonical.landmarks);
    if (!face) throw new Error(`${name}: no face was found`);
    const warnings = warningsOf(face, cutFace(image, face.landmarks, canonical), others.length);
    return { image, crop: cutFace(image, face.landmarks, crop), face, warnings };
  }

  // Returns the embedding of a crop, of unit length.
  async embed(crop) {
    const embedding = await this.#run(crop);
    if (!this.card.input.flip) return unit(embedding);
    const mirrored = unit(await this.#run(mirror(crop)));
    return unit(unit(embedding).map((value, index) => (value + mirrored[index]) / 2));
  }

  // Turns a comparison score into a verdict.
  decide(score) {
    const [cosine, { calibration }] = [Math.min(1, Math.max(-1, score)), this.card];
    const distance = Math.sqrt(Math.max(0, 2 - 2 * cosine));
    const ratio = calibration && logLikelihoodRatio(calibration, cosine, distance);
    const probability = calibration && 1 / (1 + Math.exp(-ratio - Math.log(this.prior / (1 - this.prior))));
    const same = cosine >= this.rule.score;
    const uncertain = probability !== null && probability >= 0.5 !== same;
    return { same, uncertain, score: cosine, distance, threshold: this.rule.score, probability, logLikelihoodRatio: ratio, prior: this.prior };
  }

  async #run(crop) {
    const { layout, batch } = this.card.input;
    const input = this.#input(crop);
    const padded = new Float32Array(input.length * (batch ?? 1));
    padded.set(input);
    const shape = [crop.height, crop.width, crop.channels];
    const tensor = new this.ort.Tensor("float32", padded, [batch ?? 1, ...(layout === "nchw" ? [shape[2], shape[0], shape[1]] : shape)]);
    const outputs = await this.encoder.run({ [this.encoder.inputNames[0]]: tensor });
    const { data, dims } = outputs[this.encoder.outputNames[0]];
    return Array.from(data.subarray(0, dims.at(-1)));
  }

  // The levels of a crop as the network takes them.
  #input({ width, height, channels, data }) {
    const { layout, mean, scale, reversed } = this.card.input;
    const size = width * height;
    const input = new Float32Array(size * channels);
    for (let place = 0; place < size; place += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        const level = data[place * channels + (reversed ? channels - 1 - channel : channel)];
        const target = layout === "nchw" ? channel * size + place : place * channels + channel;
        input[target] = (level - mean[channel % mean.length]) * scale[channel % scale.length];
      }
    }
    return input;
  }
}

function ruleOf(card, targetFmr) {
  if (targetFmr === null) return card.threshold;
  const rule = [card.threshold, ...card.operating_points].find(({ target_fmr: known }) => Math.abs(known - targetFmr) <= 1e-6 * targetFmr);
  if (!rule) throw new RangeError(`the model has no threshold for a false match rate of ${targetFmr}`);
  return rule;
}

async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname}: cannot be loaded (${response.status})`);
  return response;
}

async function openSession(ort, url, digest, settings) {
  const content = await (await fetched(url)).arrayBuffer();
  if (globalThis.crypto?.subtle && (await sha256(content)) !== digest) {
    throw new Error(`${url.pathname}: damaged or replaced, its SHA-256 digest must be ${digest}`);
  }
  return ort.InferenceSession.create(new Uint8Array(content), { executionProviders: ["wasm"], ...settings });
}

async function sha256(content) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(digest, (value) => value.toString(16).padStart(2, "0")).join("");
}

function logLikelihoodRatio({ offset, slope, isotonic }, score, distance) {
  if (!isotonic.length) return offset - slope * distance;
  const after = isotonic.findIndex(([known]) => known > score);
  if (after === 0) return isotonic[0][1];
  if (after < 0) return isotonic.at(-1)[1];
  const [[low, before], [high, behind]] = [isotonic[after - 1], isotonic[after]];
  return before + ((score - low) / (high - low)) * (behind - before);
}

function warningsOf(face, canonical, others) {
  const [left, right, nose] = face.landmarks;
  const eyes = [right[0] - left[0], right[1] - left[1]];
  const distance = Math.hypot(...eyes);
  const along = ((nose[0] - (left[0] + right[0]) / 2) * eyes[0] + (nose[1] - (left[1] + right[1]) / 2) * eyes[1]) / distance;
  const warnings = [];
  if (face.turns) warnings.push(`the photo is turned by ${90 * face.turns} degrees`);
  if (distance < SMALL) warnings.push(`small face: ${distance.toFixed(0)} pixels between the eyes`);
  if (Math.abs(along) / distance > PROFILE) warnings.push("face in profile");
  if (sharpness(canonical) < BLURRED) warnings.push("blurred face");
  if (others) warnings.push(`${others} other face${others === 1 ? "" : "s"} in the photo`);
  return warnings;
}

function unit(vector) {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((value) => value / length) : vector;
}

function mirror({ width, height, channels, data }) {
  const mirrored = data.slice();
  for (let place = 0; place < width * height; place += 1) {
    const from = (place - (place % width) + width - 1 - (place % width)) * channels;
    for (let channel = 0; channel < channels; channel += 1) mirrored[place * channels + channel] = data[from + channel];
  }
  return { width, height, channels, data: mirrored };
}

const isBlank = ({ channels, data }) =>
  Array.from({ length: channels }, (_, channel) => Math.sqrt(variance(data.filter((__, place) => place % channels === channel)))).every((value) => value < BLANK);
