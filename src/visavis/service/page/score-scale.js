// The range of scores that charts and bars have in common.

// Returns [low, high]: from the lowest score of the model's histogram, rounded down to a multiple of 0.2, to 1; includes `scores`.
export function scoreRange(histogram, scores) {
  const low = Math.min(histogram ? lowestScore(histogram) : -1, ...scores);
  return [Math.max(-1, Math.floor(low * 5) / 5), 1];
}

// The scores of results, without those that the key does not show.
export const knownScores = (results) => results.map((result) => result.score).filter((score) => score !== null);

// The text of a score, in a list that is empty if the key does not show scores.
export const scoreText = (result) => (result.score === null ? [] : [`score ${result.score.toFixed(3)}`]);

function lowestScore(histogram) {
  const width = (histogram.high - histogram.low) / histogram.mated.length;
  const first = histogram.mated.findIndex((count, bin) => count + histogram.nonmated[bin] > 0);
  return histogram.low + Math.max(first, 0) * width;
}

// Returns a function from a score to a position between 0 and `length`.
export function linearScale([low, high], length) {
  return (score) => (length * (Math.min(high, Math.max(low, score)) - low)) / (high - low);
}
