// Draws on photos: bounding boxes, the crop that was compared, and occlusion maps.

import { svgElement } from "./dom.js";

const SIDE = 224;
const RAISES = [0, 114, 178];
const LOWERS = [213, 94, 0];

// Outlines faces on a displayed photo, `{face, label}`: without a label its bounding box and its crop, else its box alone.
// Removes earlier outlines.
export function drawFaces(figure, faces) {
  figure.querySelector("svg")?.remove();
  const outlined = faces.filter(({ face }) => face.outline);
  if (!outlined.length) return;
  const [width, height] = outlined[0].face.size;
  const text = Math.max(width, height) / 36;
  const shapes = outlined.flatMap(({ face, label }) => {
    const [left, top, across, down] = face.box ?? [0, 0, 0, 0];
    const points = face.outline.map((corner) => corner.join(",")).join(" ");
    const below = top + down + 1.1 * text <= height; // else the label is inside the box
    const place = { x: Math.min(left, width - text), y: top + down + (below ? 1 : -0.4) * text, "font-size": text };
    return ["shade", ""].flatMap((style) => [
      ...(label ? [] : [svgElement("polygon", { points, class: style })]),
      ...(face.box ? [svgElement("rect", { x: left, y: top, width: across, height: down, class: style })] : []),
      ...(label ? [svgElement("text", { ...place, class: style }, label)] : []),
    ]);
  });
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
