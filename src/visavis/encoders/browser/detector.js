// Face detection by MTCNN (Zhang et al., 2016), as visavis does it in Python: a cascade of three networks.

import { regressBoxes, squareBoxes, suppressOverlaps } from "./boxes.js";
import { resize, roundHalfEven } from "./pixels.js";
import { areaResize, cropBoxes, integralImage, normalise } from "./sampling.js";

const [P_SIDE, R_SIDE, O_SIDE] = [12, 24, 48];
const [STRIDE, PYRAMID_SCALE, THOROUGH_SCALE] = [2, 0.709, 0.8];
const [SCORES, LOW_SCORES] = [[0.6, 0.7], [0.5, 0.5]]; // minimum scores of P-Net and R-Net
const [MAX_PROPOSALS, MAX_DOUBTFUL] = [4096, 24];
const BATCH = 128;

export class Detector {
  // `networks` are the sessions pNet, rNet and oNet; `settings` are those of FaceFinder: min_face, detector_size and min_score.
  constructor(ort, networks, settings) {
    Object.assign(this, { ort, networks, settings });
  }

  // Returns the faces of an image, the largest first: {box: [left, top, width, height], landmarks: five [x, y], score}.
  detect(image) {
    return this.#detect(image, this.#scale(image), false);
  }

  // Searches for faces that `detect` missed, at other scales and from more proposals.
  detectThoroughly(image) {
    return this.#detect(image, THOROUGH_SCALE * this.#scale(image), true);
  }

  // Returns the score, 0 .. 1, that an upright face fills a crop.
  async scoreCrop(crop) {
    const image = normalise(resize(crop, R_SIDE, R_SIDE));
    const outputs = await this.#run(this.networks.rNet, image.data, [1, 3, R_SIDE, R_SIDE]);
    return outputs.at(-1).data[1];
  }

  #scale(image) {
    return Math.min(1, this.settings.detector_size / Math.max(image.width, image.height));
  }

  async #detect(image, scale, thorough) {
    const [width, height] = [image.width, image.height].map((side) => Math.max(1, roundHalfEven(side * scale)));
    if (Math.min(width, height) < this.settings.min_face) return [];
    const faces = await this.#cascade(normalise(resize(image, width, height)), thorough);
    const back = (position) => (position + 0.5) / scale - 0.5;
    return faces
      .map(({ box: [left, top, right, bottom], landmarks, score }) => ({
        box: [back(left), back(top), (right - left) / scale, (bottom - top) / scale],
        landmarks: landmarks.map((point) => point.map(back)),
        score,
      }))
      .sort((one, other) => area(other) - area(one));
  }

  async #cascade(image, thorough) {
    const [pScore, rScore] = thorough ? LOW_SCORES : SCORES;
    const proposed = await this.#propose(image, pScore);
    let boxes = squareBoxes(thorough ? proposed.slice(0, MAX_DOUBTFUL) : proposed);
    const refined = await this.#refine(this.networks.rNet, image, boxes, R_SIDE);
    const accepted = refined.filter(({ score }) => score > rScore);
    boxes = accepted.map(({ box }) => box);
    boxes = squareBoxes(suppressOverlaps(boxes, accepted.map(({ score }) => score), 0.7).map((index) => boxes[index]));
    const found = (await this.#refine(this.networks.oNet, image, boxes, O_SIDE)).filter(({ score }) => score > this.settings.min_score);
    const scores = found.map(({ score }) => score);
    return suppressOverlaps(found.map(({ box }) => box), scores, 0.7, "smaller").map((index) => found[index]);
  }

  // The boxes that P-Net proposes in all levels of the image pyramid, the best first.
  async #propose(image, minScore) {
    const integral = integralImage(image);
    const [boxes, scores] = [[], []];
    let scale = P_SIDE / this.settings.min_face;
    for (; Math.min(image.height, image.width) * scale >= P_SIDE; scale *= PYRAMID_SCALE) {
      const level = areaResize(integral, Math.trunc(image.width * scale), Math.trunc(image.height * scale));
      const found = await this.#proposeInLevel(level, minScore);
      const levelBoxes = found.map(({ box }) => box);
      for (const index of suppressOverlaps(levelBoxes, found.map(({ score }) => score), 0.5)) {
        boxes.push(levelBoxes[index].map((edge) => edge / scale));
        scores.push(found[index].score);
      }
    }
    return suppressOverlaps(boxes, scores, 0.7).map((index) => boxes[index]);
  }

  async #proposeInLevel(level, minScore) {
    const [offsets, probabilities] = await this.#run(this.networks.pNet, level.data, [1, 3, level.height, level.width]);
    const [height, width] = probabilities.dims.slice(2);
    const size = height * width;
    const found = [];
    for (let place = 0; place < size; place += 1) {
      const score = probabilities.data[size + place];
      if (!(score > minScore)) continue;
      const [x, y] = [STRIDE * (place % width), STRIDE * Math.floor(place / width)];
      const corners = [x + 1, y + 1, x + P_SIDE, y + P_SIDE];
      found.push({ score, box: corners.map((edge, index) => edge + (P_SIDE - 1) * offsets.data[index * size + place]) });
    }
    if (found.length <= MAX_PROPOSALS) return found;
    return found.sort((one, other) => other.score - one.score).slice(0, MAX_PROPOSALS);
  }

  // Runs R-Net or O-Net on the crops of boxes: {box, score, landmarks} for each, landmarks from O-Net only.
  async #refine(network, image, boxes, side) {
    const found = [];
    for (let start = 0; start < boxes.length; start += BATCH) {
      const batch = boxes.slice(start, start + BATCH);
      const outputs = await this.#run(network, cropBoxes(image, batch, side), [batch.length, 3, side, side]);
      const [offsets, probabilities] = [outputs[0].data, outputs.at(-1).data];
      const refined = regressBoxes(batch, batch.map((_, index) => offsets.subarray(4 * index, 4 * index + 4)));
      batch.forEach((box, index) => {
        const landmarks = outputs.length > 2 ? landmarksIn(box, outputs[1].data.subarray(10 * index, 10 * index + 10)) : null;
        found.push({ box: refined[index], score: probabilities[2 * index + 1], landmarks });
      });
    }
    return found;
  }

  async #run(network, data, shape) {
    const outputs = await network.run({ [network.inputNames[0]]: new this.ort.Tensor("float32", data, shape) });
    return network.outputNames.map((name) => outputs[name]);
  }
}

export const area = ({ box }) => box[2] * box[3];

// Five landmarks from positions in a box: five x, then five y, as fractions of its sides.
function landmarksIn([left, top, right, bottom], positions) {
  return Array.from({ length: 5 }, (_, point) => [
    left + (right - left + 1) * positions[point] - 1,
    top + (bottom - top + 1) * positions[5 + point] - 1,
  ]);
}
