// Cuts a face out of its photo as the encoder takes it: a similarity transform by five landmarks, anti-aliased.

import { cropRectangle, reduce, resample, resize, roundHalfEven, toGray } from "./pixels.js";

const SHARP = 0.99; // scale from which a face is sampled once for each pixel

// Complex numbers are [real, imaginary].
const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
const minus = (one, other) => [one[0] - other[0], one[1] - other[1]];
const meanOf = (points) => [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);

// Returns the least-squares similarity transform (Umeyama, 1991) from points to others: z becomes factor * z + shift.
export function between(source, target) {
  const [start, end] = [meanOf(source), meanOf(target)];
  let [real, imaginary, length] = [0, 0, 0];
  source.forEach((point, index) => {
    const [from, to] = [minus(point, start), minus(target[index], end)];
    real += from[0] * to[0] + from[1] * to[1];
    imaginary += from[0] * to[1] - from[1] * to[0];
    length += from[0] ** 2 + from[1] ** 2;
  });
  const factor = [real, imaginary].map((part) => part / Math.max(length, 1e-12));
  return { factor, shift: minus(end, times(factor, start)) };
}

export function inverse({ factor, shift }) {
  const length = factor[0] ** 2 + factor[1] ** 2;
  const back = [factor[0] / length, -factor[1] / length];
  return { factor: back, shift: times(back, shift).map((part) => -part) };
}

// Returns the face in the size and colours of `crop` {size: [height, width], colour, landmarks}.
export function cutFace(image, landmarks, crop) {
  const transform = between(landmarks, crop.landmarks);
  const scale = Math.hypot(...transform.factor);
  const reduced = Math.max(1, Math.trunc(1 / scale));
  const samples = scale * reduced < SHARP ? 2 : 1; // along each side of a pixel
  const back = inverse(transform);
  const factor = back.factor.map((part) => part / reduced / samples);
  const half = times(back.factor, [0.5, 0.5]);
  const shift = back.shift.map((part, axis) => (part + 0.5 - half[axis]) / reduced);
  const [height, width] = crop.size;
  const rounded = [factor.map((part) => Number(part.toFixed(6))), shift.map((part) => Number(part.toFixed(3)))];
  const cut = resample(reduce(image, reduced, reduced), ...rounded, width * samples, height * samples);
  return matchColour(reduce(cut, samples, samples), crop);
}

// Brings a photo as it is into the size and colours of a crop without landmarks: the square around the centre where the crop has one.
export function fitPhoto(image, crop) {
  const [height, width] = crop.size;
  if (image.height === height && image.width === width) return matchColour(image, crop);
  return matchColour(resize(crop.centre === null ? image : centreOf(image, crop.centre), width, height), crop);
}

function centreOf(image, fraction) {
  const side = Math.max(1, roundHalfEven(fraction * Math.min(image.width, image.height)));
  return cropRectangle(image, Math.floor((image.width - side) / 2), Math.floor((image.height - side) / 2), side, side);
}

const matchColour = (image, { colour }) => (colour === "gray" ? toGray(image) : image);
