// Detects the faces of photos, also of those that lie on their side or upside down without EXIF to say so; as visavis does in Python.

import { area } from "./detector.js";
import { between } from "./crop.js";
import { cropRectangle, resize, roundHalfEven, turn } from "./pixels.js";

const [SURE, MARGIN, DETECTOR_WEIGHT] = [7, 1, 0.5]; // log-odds
const UPRIGHT = 45; // degrees by which an upright face may be rotated
const CROP = 24; // pixels
const [COPY, COPY_SIDE, EMPTY_COPY, EMPTY_SIDE, COPY_FACE] = [0.5, 480, 0.4, 320, 40];
const TURNS = [1, 3, 2];

// Returns the faces in the pixels of the image as given, the largest first; `turns` says how it had to be turned.
export async function detectAnyTurn(image, detector, landmarks) {
  let given = await view(image, 0, detector, landmarks, true);
  if (!(given.evidence >= SURE && given.margin >= MARGIN)) {
    const copy = smallCopy(image, given.faces);
    let best = null;
    for (const turns of TURNS) {
      const candidate = await view(copy, turns, detector, landmarks);
      if (Math.abs(candidate.angle) <= UPRIGHT && (best === null || candidate.evidence > best.evidence)) best = candidate;
    }
    const turned = best?.faces.length ? await view(image, best.turns, detector, landmarks) : given;
    if (turned.evidence > given.evidence + MARGIN && Math.abs(turned.angle) <= UPRIGHT) given = turned;
  }
  return given.faces.map((face) => turnedBack(face, given.turns, image)).sort((one, other) => area(other) - area(one));
}

// Detects the faces of a turned image, and judges whether the one with the highest detector score is upright.
async function view(image, turns, detector, landmarks, thorough = false) {
  const turned = turn(image, turns);
  let faces = await detector.detect(turned);
  if (!faces.length && thorough) faces = await detector.detectThoroughly(turned);
  if (!faces.length) return { turns, faces, evidence: -Infinity, margin: -Infinity, angle: 0 };
  const face = faces.reduce((best, other) => (other.score > best.score ? other : best));
  const crop = squareCrop(turned, face);
  const scores = [];
  for (const quarter of [0, 1, 2, 3]) scores.push(logOdds(await detector.scoreCrop(turn(crop, quarter))));
  const [real, imaginary] = between(landmarks, face.landmarks).factor;
  return {
    turns,
    faces,
    evidence: scores[0] + DETECTOR_WEIGHT * logOdds(face.score),
    margin: scores[0] - Math.max(...scores.slice(1)),
    angle: (Math.atan2(imaginary, real) * 180) / Math.PI,
  };
}

const logOdds = (score) => Math.log((score + 1e-7) / (1 - score + 1e-7));

// A small square crop of a face's box; gray where that lies outside of the image.
function squareCrop(image, { box: [left, top, width, height] }) {
  const side = Math.max(1, roundHalfEven(Math.max(width, height)));
  const corner = [left + width / 2, top + height / 2].map((centre) => roundHalfEven(centre - side / 2));
  return resize(cropRectangle(image, ...corner, side, side, 127), CROP, CROP);
}

function smallCopy(image, faces) {
  const [most, side] = faces.length ? [COPY, COPY_SIDE] : [EMPTY_COPY, EMPTY_SIDE];
  let scale = Math.min(most, side / Math.max(image.width, image.height));
  if (faces.length) {
    const largest = Math.max(...faces.map(({ box }) => Math.max(box[2], box[3])));
    scale = Math.min(1, Math.max(scale, COPY_FACE / Math.max(1, largest)));
  }
  const scaled = (length) => Math.max(1, roundHalfEven(scale * length));
  return resize(image, scaled(image.width), scaled(image.height));
}

function turnedBack(face, turns, image) {
  if (turns === 0) return { ...face, turns };
  const [left, top, width, height] = face.box;
  const [first, second] = [[left, top], [left + width, top + height]].map((point) => pointBack(point, turns, image));
  const corner = [Math.min(first[0], second[0]), Math.min(first[1], second[1])];
  const box = [...corner, Math.abs(first[0] - second[0]), Math.abs(first[1] - second[1])];
  return { ...face, box, landmarks: face.landmarks.map((point) => pointBack(point, turns, image)), turns };
}

function pointBack([x, y], turns, { width, height }) {
  if (turns === 1) return [width - 1 - y, x];
  return turns === 2 ? [width - 1 - x, height - 1 - y] : [y, height - 1 - x];
}
