// Bounding boxes [left, top, right, bottom] in pixels: regression, squares, non-maximum suppression.

// Moves the edges of boxes by offsets, given as fractions of their sides.
export function regressBoxes(boxes, offsets) {
  return boxes.map((box, index) => {
    const sides = [box[2] - box[0] + 1, box[3] - box[1] + 1];
    return box.map((edge, place) => edge + offsets[index][place] * sides[place % 2]);
  });
}

// Returns the squares with the centres of boxes and the length of their longer sides.
export function squareBoxes(boxes) {
  return boxes.map(([left, top, right, bottom]) => {
    const half = Math.max(right - left, bottom - top) / 2;
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    return [x - half, y - half, x + half, y + half];
  });
}

// Drops every box that overlaps a better one by more than a fraction of the union of both, or of the smaller one. Returns the indices
// of the others, highest score first.
export function suppressOverlaps(boxes, scores, maxOverlap, relativeTo = "union") {
  const order = boxes.map((_, index) => index).sort((one, other) => scores[other] - scores[one] || one - other);
  const areas = boxes.map(([left, top, right, bottom]) => (right - left) * (bottom - top));
  const overlaps = (one, other) => {
    const [a, b] = [boxes[one], boxes[other]];
    const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
    const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
    const common = Math.max(width, 0) * Math.max(height, 0);
    const whole = relativeTo === "union" ? areas[one] + areas[other] - common : Math.min(areas[one], areas[other]);
    return common > maxOverlap * whole;
  };
  return order.filter((index, place) => {
    for (let better = 0; better < place; better += 1) if (overlaps(index, order[better])) return false;
    return true;
  });
}
