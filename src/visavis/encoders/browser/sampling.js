// Image pyramid and bilinear crops: pixels as the networks of the face detector take them. A plane image is {width, height, data}:
// Float32Array, about -1 to 1, one channel after the other.

const CHANNELS = 3;

export function normalise(image) {
  const size = image.width * image.height;
  const data = new Float32Array(CHANNELS * size);
  for (let place = 0; place < size; place += 1) {
    for (let channel = 0; channel < CHANNELS; channel += 1) {
      data[channel * size + place] = (image.data[CHANNELS * place + channel] - 127.5) / 128;
    }
  }
  return { width: image.width, height: image.height, data };
}

// The sums of all pixels above and to the left: one row and one column more than the image.
export function integralImage({ width, height, data }) {
  const stride = width + 1;
  const sums = new Float64Array(CHANNELS * stride * (height + 1));
  for (let channel = 0; channel < CHANNELS; channel += 1) {
    for (let y = 0; y < height; y += 1) {
      let row = 0;
      const place = (channel * (height + 1) + y + 1) * stride + 1;
      for (let x = 0; x < width; x += 1) {
        row += data[(channel * height + y) * width + x];
        sums[place + x] = sums[place + x - stride] + row;
      }
    }
  }
  return { width, height, sums };
}

// Resizes the image of an integral image; each pixel is the mean of the area that it covers.
export function areaResize({ width, height, sums }, newWidth, newHeight) {
  const [rows, columns] = [edgesOf(height, newHeight), edgesOf(width, newWidth)];
  const stride = width + 1;
  const area = (height * width) / (newHeight * newWidth);
  const data = new Float32Array(CHANNELS * newHeight * newWidth);
  const line = (channel, { lower, fraction }) => {
    const start = (channel * (height + 1) + lower) * stride;
    return columns.map((column) => {
      const place = start + column.lower;
      const above = sums[place] * (1 - column.fraction) + sums[place + 1] * column.fraction;
      const below = sums[place + stride] * (1 - column.fraction) + sums[place + stride + 1] * column.fraction;
      return above * (1 - fraction) + below * fraction;
    });
  };
  for (let channel = 0; channel < CHANNELS; channel += 1) {
    let upper = line(channel, rows[0]);
    for (let y = 0; y < newHeight; y += 1) {
      const lower = line(channel, rows[y + 1]);
      const start = (channel * newHeight + y) * newWidth;
      for (let x = 0; x < newWidth; x += 1) data[start + x] = (lower[x + 1] - upper[x + 1] - lower[x] + upper[x]) / area;
      upper = lower;
    }
  }
  return { width: newWidth, height: newHeight, data };
}

// Crops boxes by bilinear interpolation; 0, a middle grey, outside of the image. Returns Float32Array, (n, 3, side, side).
export function cropBoxes(image, boxes, side) {
  const crops = new Float32Array(boxes.length * CHANNELS * side * side);
  boxes.forEach(([left, top, right, bottom], index) => {
    const columns = neighboursOf(left, right, side, image.width);
    const rows = neighboursOf(top, bottom, side, image.height);
    let place = index * CHANNELS * side * side;
    for (let channel = 0; channel < CHANNELS; channel += 1) {
      const start = channel * image.width * image.height;
      for (const row of rows) {
        for (const column of columns) {
          let sum = 0;
          for (const [y, down] of row) {
            for (const [x, across] of column) sum += down * across * image.data[start + y * image.width + x];
          }
          crops[place] = sum;
          place += 1;
        }
      }
    }
  });
  return crops;
}

// Where the edges of `count` rows of equal height lie among the sums of `length` rows.
function edgesOf(length, count) {
  return Array.from({ length: count + 1 }, (_, index) => {
    const edge = index === count ? length : index * (length / count);
    const lower = Math.min(Math.trunc(edge), length - 1);
    return { lower, fraction: edge - lower };
  });
}

// The two pixels beside each of `side` positions on an axis of `length` pixels, with their weights, which are 0 outside of the image.
function neighboursOf(first, last, side, length) {
  return Array.from({ length: side }, (_, index) => {
    const position = ((first + (last - first) * (index / (side - 1))) * (length - 1)) / length;
    const lower = Math.min(Math.max(Math.floor(position), 0), Math.max(0, length - 2));
    const inside = position >= 0 && position <= length - 1;
    return [[lower, inside ? 1 - (position - lower) : 0], [Math.min(lower + 1, length - 1), inside ? position - lower : 0]];
  });
}
