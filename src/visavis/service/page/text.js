// Formats numbers, decisions and error rates as text.

const numbers = new Intl.NumberFormat("en");

export const formatNumber = (value) => numbers.format(value);

export const count = (value, singular) => `${formatNumber(value)} ${singular}${value === 1 ? "" : "s"}`;

export function percent(fraction) {
  const value = 100 * fraction;
  if (value > 0 && value < 0.01) return "less than 0.01\u00a0%";
  if (value > 99.99 && value < 100) return "more than 99.99\u00a0%";
  if (value > 99 && value < 100) return `${Math.floor(value * 100) / 100}\u00a0%`; // never rounded up to 100
  return `${value >= 10 ? value.toFixed(0) : Number(value.toPrecision(2))}\u00a0%`;
}

export function targetLabel(targetFmr) {
  return targetFmr === null ? "model default" : `1 in ${formatNumber(Math.round(1 / targetFmr))}`;
}

export const decision = (same) => (same ? "Same person" : "Different people");

export function scoreSentence(response) {
  const relation = response.same ? "reaches" : "is below";
  if (response.score === null) return `The score ${relation} the threshold ${response.threshold.score.toFixed(3)}; this key does not show it.`;
  return `The score ${response.score.toFixed(3)} ${relation} the threshold ${response.threshold.score.toFixed(3)}.`;
}

// States the error rates of a threshold, with their counts and the people they were measured on.
export function errorRates(point) {
  if (point.fmr === null) return `Threshold from ${point.chosen_on}; its error rates are unknown.`;
  const bound = point.fmr_upper === null ? "" : `, at most ${percent(point.fmr_upper)} with 95\u00a0% confidence`;
  const fmr = `False match rate: ${percent(point.fmr)} of ${count(point.nonmated, "pair")} of different people${bound}.`;
  const fnmr = `False non-match rate: ${percent(point.fnmr ?? 0)} of ${count(point.mated, "pair")} of the same person.`;
  return [fmr, ...(point.fnmr === null ? [] : [fnmr]), `Measured on ${formatNumber(point.people)} ${point.chosen_on}${point.chosen_as === "guaranteed" ? ` (${point.measured_on})` : ""}.`].join(" ");
}

// States how often a search for the face of a person who is not enrolled ends in a match.
export function searchErrorRate(response) {
  if (response.false_positive_rate === null) return "";
  return `Expected for people who are not enrolled: a match in about ${percent(response.false_positive_rate)} of searches `
    + `(FPIR with ${count(response.subjects, "subject")}).`;
}

export function probabilitySentence(response) {
  if (response.probability === null) return null;
  return `Probability of the same person: ${percent(response.probability)}, given a prior of ${percent(response.prior)}.`;
}
