// Draws what the service found on photos: boxes, the crop that was compared, and the map of what counted.

import { drawn } from "./dom.js";

const SIDE = 224;
const ALIKE = [0, 114, 178];
const APART = [213, 94, 0];

// Marks the face and the crop on a shown photo.
export function mark(figure, face) {
  figure.querySelector("svg")?.remove();
  if (!face?.outline) return;
  const [width, height] = face.size;
  const points = face.outline.map((corner) => corner.join(",")).join(" ");
  const marks = ["shade", ""].flatMap((kind) => [
    drawn("polygon", { points, class: kind }),
    ...(face.box ? [drawn("rect", { x: face.box[0], y: face.box[1], width: face.box[2], height: face.box[3], class: kind })] : []),
  ]);
  figure.append(drawn("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...marks));
}

// Cuts out of a photo what was compared, as the service did.
export function crop(image, face, label) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const [width, height] = face.size;
  const [from, across, , down] = face.outline ?? [[0, 0], [width, 0], [width, height], [0, height]];
  const back = new DOMMatrix([
    (across[0] - from[0]) / SIDE, (across[1] - from[1]) / SIDE, (down[0] - from[0]) / SIDE, (down[1] - from[1]) / SIDE, from[0], from[1],
  ]);
  context.setTransform(back.inverse());
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  context.resetTransform();
  return canvas;
}

// Lays a map over a crop in grey: blue where the faces are alike, orange where they differ.
export function colour(canvas, map, most) {
  const context = canvas.getContext("2d");
  const grey = context.getImageData(0, 0, SIDE, SIDE);
  for (let place = 0; place < grey.data.length; place += 4) {
    const [red, green, blue] = grey.data.subarray(place, place + 3);
    grey.data.fill(0.299 * red + 0.587 * green + 0.114 * blue, place, place + 3);
  }
  context.putImageData(grey, 0, 0);
  const layer = new ImageData(map[0].length, map.length);
  map.flat().forEach((value, place) => {
    layer.data.set([...(value > 0 ? ALIKE : APART), 200 * Math.min(1, Math.abs(value) / most)], 4 * place);
  });
  const small = document.createElement("canvas");
  small.width = layer.width;
  small.height = layer.height;
  small.getContext("2d").putImageData(layer, 0, 0);
  context.drawImage(small, 0, 0, SIDE, SIDE);
  return canvas;
}
