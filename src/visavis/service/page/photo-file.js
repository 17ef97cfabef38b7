// Reads image files for upload. What the service would refuse for its format or size is converted to a JPEG.

const MAX_SIDE = 4000;
const MIN_SCALE = 0.05;

// Formats by their first bytes, as the service tells them apart.
const SIGNATURES = [
  ["jpeg", /^\xff\xd8\xff/],
  ["png", /^\x89PNG\r\n\x1a\n/],
  ["webp", /^RIFF[^]{4}WEBP/],
  ["heic", /^[^]{4}ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)/],
];
const UPLOADED_FORMATS = ["jpeg", "png", "webp"];

// Returns {file, image} for a file, converted if it exceeds `limits` {bytes, pixels}.
export async function readPhoto(file, limits) {
  const format = await formatOf(file);
  let image = await decode(file, format);
  const pixels = image.naturalWidth * image.naturalHeight;
  if (!UPLOADED_FORMATS.includes(format) || file.size > limits.bytes || pixels > limits.pixels) {
    file = await convert(image, file.name, limits);
    URL.revokeObjectURL(image.src);
    image = await decode(file, "jpeg");
  }
  return { file, image };
}

async function formatOf(file) {
  const bytes = new Uint8Array(await file.slice(0, 16).arrayBuffer());
  const start = String.fromCharCode(...bytes);
  return SIGNATURES.find(([, signature]) => signature.test(start))?.[0];
}

async function decode(file, format) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(image.src);
    throw new Error(`${file.name}: ${reason(file, format)}`);
  }
  return image;
}

function reason(file, format) {
  if (file.size === 0) return "the file is empty.";
  if (format === "heic") return "this browser cannot open HEIC photos. Save the photo as JPEG and choose it again.";
  return "this file cannot be read as a photo.";
}

async function convert(image, name, limits) {
  const { naturalWidth: width, naturalHeight: height } = image;
  for (let scale = Math.min(1, MAX_SIDE / Math.max(width, height)); scale > MIN_SCALE; scale *= 0.8) {
    const blob = await draw(image, Math.round(width * scale), Math.round(height * scale));
    if (blob?.size <= limits.bytes) return new File([blob], name, { type: blob.type });
  }
  throw new Error(`${name}: the photo cannot be converted to a JPEG of at most ${limits.bytes} bytes.`);
}

function draw(image, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, width);
  canvas.height = Math.max(1, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // behind transparent pixels, as the service does
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
