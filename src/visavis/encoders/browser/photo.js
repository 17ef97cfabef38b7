// Decodes image files to RGB pixels, as visavis does in Python: the EXIF orientation applied, colour profiles ignored, transparent
// parts over white.

import { newImage } from "./pixels.js";

export const MAX_PIXELS = 50_000_000;

// Returns the image {width, height, channels: 3, data} in a file or blob.
export async function readPhoto(file) {
  const name = file.name ?? "the photo";
  if (file.size === 0) throw new Error(`${name}: the file is empty`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error(`${name}: this browser cannot read the file as a photo; save it as JPEG or PNG`);
  }
  try {
    return pixelsOf(bitmap, name);
  } finally {
    bitmap.close();
  }
}

function pixelsOf(bitmap, name) {
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) throw new Error(`${name}: ${width} x ${height} pixels are more than the limit of ${MAX_PIXELS}`);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const image = newImage(width, height, 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    image.data[to] = data[from];
    image.data[to + 1] = data[from + 1];
    image.data[to + 2] = data[from + 2];
  }
  return image;
}
