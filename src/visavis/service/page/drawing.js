// Draws on photos: bounding boxes, the crop that was compared, and occlusion maps.

import { svgElement } from "./dom.js";

const SIDE = 224;
const RAISES = [0, 114, 178];
const LOWERS = [213, 94, 0];

// Outlines the face and its crop on a displayed photo; without a face, removes the outlines.
export function drawFace(figure, face) {
  figure.querySelector("svg")?.remove();
  if (!face?.outline) return;
  const [width, height] = face.size;
  const points = face.outline.map((corner) => corner.join(",")).join(" ");
  const shapes = ["shade", ""].flatMap((style) => [
    svgElement("polygon", { points, class: style }),
    ...(face.box ? [svgElement("rect", { x: face.box[0], y: face.box[1], width: face.box[2], height: face.box[3], class: style })] : []),
  ]);
  figure.append(svgElement("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...shapes));
}

// Returns a canvas with the crop that the service compared.
export function cropFace(image, face, label) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const [width, height] = face.size;
  const [topLeft, topRight, , bottomLeft] = face.outline ?? [[0, 0], [width, 0], [width, height], [0, height]];
  const toPhoto = new DOMMatrix([
    (topRight[0] - topLeft[0]) / SIDE, (topRight[1] - topLeft[1]) / SIDE,
    (bottomLeft[0] - topLeft[0]) / SIDE, (bottomLeft[1] - topLeft[1]) / SIDE,
    topLeft[0], topLeft[1],
  ]);
  context.setTransform(toPhoto.inverse());
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  context.resetTransform();
  return canvas;
}

// Converts a crop to grey and overlays an occlusion map: blue raises the score, orange lowers it. `maximum` is fully opaque.
export function overlayMap(canvas, map, maximum) {
  const context = canvas.getContext("2d");
  const pixels = context.getImageData(0, 0, SIDE, SIDE);
  for (let offset = 0; offset < pixels.data.length; offset += 4) {
    const [red, green, blue] = pixels.data.subarray(offset, offset + 3);
    pixels.data.fill(0.299 * red + 0.587 * green + 0.114 * blue, offset, offset + 3);
  }
  context.putImageData(pixels, 0, 0);
  const overlay = new ImageData(map[0].length, map.length);
  map.flat().forEach((value, index) => {
    overlay.data.set([...(value > 0 ? RAISES : LOWERS), 200 * Math.min(1, Math.abs(value) / maximum)], 4 * index);
  });
  const small = document.createElement("canvas");
  small.width = overlay.width;
  small.height = overlay.height;
  small.getContext("2d").putImageData(overlay, 0, 0);
  context.drawImage(small, 0, 0, SIDE, SIDE);
  return canvas;
}
