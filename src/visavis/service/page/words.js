// Numbers and answers in words.

const counts = new Intl.NumberFormat("en");

export function percent(part) {
  const value = 100 * part;
  if (value > 0 && value < 0.01) return "less than 0.01\u00a0%";
  if (value > 99.99 && value < 100) return "more than 99.99\u00a0%";
  if (value > 99 && value < 100) return `${Math.floor(value * 100) / 100}\u00a0%`; // what is not certain is not rounded to 100
  return `${value >= 10 ? value.toFixed(0) : Number(value.toPrecision(2))}\u00a0%`;
}

export function oneIn(rate) {
  return rate === null ? "usual rule" : `1 in ${counts.format(Math.round(1 / rate))}`;
}

export const number = (value) => counts.format(value);

export const decision = (same) => (same ? "The same person" : "Different people");

export function scoreSentence(answer) {
  const side = answer.same ? "reaches" : "is below";
  return `The score ${answer.score.toFixed(3)} ${side} the threshold ${answer.threshold.score.toFixed(3)}.`;
}

export function errorSentences(rule) {
  if (rule.fmr === null) return `The threshold is from ${rule.chosen_on}; its error rates are not known.`;
  const bound = rule.fmr_upper === null ? "" : ` (at most ${percent(rule.fmr_upper)}, with 95\u00a0% confidence)`;
  const missed = rule.fnmr === null ? "" : ` Of ${number(rule.mated)} pairs of one person it missed ${percent(rule.fnmr)}.`;
  return `Of ${number(rule.nonmated)} pairs of strangers among ${number(rule.people)} ${rule.chosen_on}, `
    + `this threshold took ${percent(rule.fmr)} for one person${bound}.${missed}`;
}

export function probabilitySentence(answer) {
  if (answer.probability === null) return null;
  return `If one person and two were equally likely before, the probability of one person is now ${percent(answer.probability)}.`;
}
