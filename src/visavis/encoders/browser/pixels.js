// Resizes and resamples images as Pillow does, to the level, so that a face gives the same embedding here and in Python.
// An image is {width, height, channels, data}: Uint8Array, row by row, the channels of a pixel side by side.

const SUPPORT = 2; // of the bicubic filter, pixels
const PRECISION = 2 ** 22; // of its weights
const REDUCING_UNIT = 2 ** 24; // precision of a mean; that of a half is rounded down where its reciprocal is not exact
const REDUCING_GAP = 3; // an image that shrinks more is averaged over whole pixels first

export const newImage = (width, height, channels) => ({ width, height, channels, data: new Uint8Array(width * height * channels) });

// Returns the image resized with antialiasing, by a bicubic filter.
export function resize(image, width, height) {
  if (image.width === width && image.height === height) return image;
  const across = Math.floor(image.width / width / REDUCING_GAP) || 1;
  const down = Math.floor(image.height / height / REDUCING_GAP) || 1;
  const lengths = [image.width / across, image.height / down];
  const reduced = reduce(image, across, down);
  return resizeRows(resizeColumns(reduced, lengths[0], width), lengths[1], height);
}

// Returns the image in which each pixel is the mean of `across` x `down` pixels, of fewer at the right and the lower edge.
export function reduce(image, across, down) {
  if (across === 1 && down === 1) return image;
  const { width, height, channels, data } = image;
  const result = newImage(Math.ceil(width / across), Math.ceil(height / down), channels);
  for (let y = 0; y < result.height; y += 1) {
    const bottom = Math.min(height, (y + 1) * down);
    for (let x = 0; x < result.width; x += 1) {
      const right = Math.min(width, (x + 1) * across);
      const count = (right - x * across) * (bottom - y * down);
      for (let channel = 0; channel < channels; channel += 1) {
        let sum = count >> 1;
        for (let row = y * down; row < bottom; row += 1) {
          for (let column = x * across; column < right; column += 1) sum += data[(row * width + column) * channels + channel];
        }
        result.data[(y * result.width + x) * channels + channel] = Math.floor((sum * Math.floor(REDUCING_UNIT / count)) / REDUCING_UNIT);
      }
    }
  }
  return result;
}

// Returns the rectangle of `width` x `height` whose pixels lie at `factor` * (x + iy) + `shift` in the image, both [real, imaginary]
// and counted from the corner of the first pixel; black where that is outside of the image.
export function resample(image, [real, imaginary], shift, width, height) {
  const { channels } = image;
  const result = newImage(width, height, channels);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const left = real * (x + 0.5) - imaginary * (y + 0.5) + shift[0];
      const top = imaginary * (x + 0.5) + real * (y + 0.5) + shift[1];
      if (left < 0 || left >= image.width || top < 0 || top >= image.height) continue;
      for (let channel = 0; channel < channels; channel += 1) {
        result.data[(y * width + x) * channels + channel] = Math.trunc(Math.min(255, Math.max(0, sample(image, left - 0.5, top - 0.5, channel))));
      }
    }
  }
  return result;
}

// Turns an image by quarter turns to the left.
export function turn(image, turns) {
  if (turns === 0) return image;
  const { width, height, channels, data } = image;
  const result = turns === 2 ? newImage(width, height, channels) : newImage(height, width, channels);
  for (let y = 0; y < result.height; y += 1) {
    for (let x = 0; x < result.width; x += 1) {
      const [column, row] = turns === 1 ? [width - 1 - y, x] : turns === 2 ? [width - 1 - x, height - 1 - y] : [y, height - 1 - x];
      for (let channel = 0; channel < channels; channel += 1) {
        result.data[(y * result.width + x) * channels + channel] = data[(row * width + column) * channels + channel];
      }
    }
  }
  return result;
}

// Returns a copy of a rectangle; `background` where that is outside of the image.
export function cropRectangle(image, left, top, width, height, background = 0) {
  const { channels } = image;
  const result = newImage(width, height, channels);
  result.data.fill(background);
  const first = Math.max(0, -left);
  const last = Math.min(width, image.width - left);
  for (let y = Math.max(0, -top); y < Math.min(height, image.height - top) && first < last; y += 1) {
    const start = ((y + top) * image.width + first + left) * channels;
    result.data.set(image.data.subarray(start, start + (last - first) * channels), (y * width + first) * channels);
  }
  return result;
}

// Returns an image of one channel, the luma of ITU-R BT.601.
export function toGray(image) {
  if (image.channels === 1) return image;
  const result = newImage(image.width, image.height, 1);
  for (let index = 0; index < result.data.length; index += 1) {
    const [red, green, blue] = image.data.subarray(3 * index, 3 * index + 3);
    result.data[index] = roundHalfEven(0.299 * red + 0.587 * green + 0.114 * blue);
  }
  return result;
}

// Rounds as Python and NumPy do: a half to the even neighbour.
export function roundHalfEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

// The variance of the Laplacian of the luma: low for blurred faces.
export function sharpness(image) {
  const { width, height, data } = toGray(image);
  const values = [];
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1; x < width - 1; x += 1) {
      const place = y * width + x;
      values.push(data[place - width] + data[place + width] + data[place - 1] + data[place + 1] - 4 * data[place]);
    }
  }
  return variance(values);
}

export function variance(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
}

function resizeColumns(image, length, width) {
  if (image.width === width && length === width) return image;
  const { height, channels, data } = image;
  const result = newImage(width, height, channels);
  const filters = filtersOf(length, image.width, width);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const { first, weights } = filters[x];
      for (let channel = 0; channel < channels; channel += 1) {
        let sum = PRECISION / 2;
        let place = (y * image.width + first) * channels + channel;
        for (let tap = 0; tap < weights.length; tap += 1, place += channels) sum += weights[tap] * data[place];
        result.data[(y * width + x) * channels + channel] = clip(sum);
      }
    }
  }
  return result;
}

function resizeRows(image, length, height) {
  if (image.height === height && length === height) return image;
  const { width, channels, data } = image;
  const result = newImage(width, height, channels);
  const stride = width * channels;
  filtersOf(length, image.height, height).forEach(({ first, weights }, y) => {
    for (let x = 0; x < stride; x += 1) {
      let sum = PRECISION / 2;
      let place = first * stride + x;
      for (let tap = 0; tap < weights.length; tap += 1, place += stride) sum += weights[tap] * data[place];
      result.data[y * stride + x] = clip(sum);
    }
  });
  return result;
}

const clip = (sum) => Math.min(255, Math.max(0, Math.floor(sum / PRECISION)));

// The first pixel and the weights of those behind each of `count` pixels that divide a `length` of an axis of `size` pixels.
function filtersOf(length, size, count) {
  const scale = length / count;
  const stretch = Math.max(1, scale);
  return Array.from({ length: count }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - SUPPORT * stretch + 0.5));
    const last = Math.min(size, Math.trunc(centre + SUPPORT * stretch + 0.5));
    const raw = Array.from({ length: last - first }, (__, tap) => bicubic((first + tap - centre + 0.5) / stretch));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { first, weights: raw.map((weight) => Math.trunc((weight / sum) * PRECISION + (weight < 0 ? -0.5 : 0.5))) };
  });
}

function bicubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

// The value at a position by bicubic interpolation; (0, 0) is the middle of the first pixel, and edges are repeated.
function sample({ width, height, channels, data }, left, top, channel) {
  const [column, row] = [Math.floor(left), Math.floor(top)];
  const columns = [-1, 0, 1, 2].map((step) => Math.min(width - 1, Math.max(0, column + step)) * channels + channel);
  const rows = [-1, 0, 1, 2].map((step) => Math.min(height - 1, Math.max(0, row + step)) * width * channels);
  return interpolate(rows.map((start) => interpolate(columns.map((place) => data[start + place]), left - column)), top - row);
}

function interpolate([first, second, third, fourth], distance) {
  const curvature = 2 * (first - second) + third - fourth;
  return second + distance * (third - first + distance * (curvature + distance * (second - first - third + fourth)));
}
