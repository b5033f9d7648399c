/** Decimals of so many significant digits, each operation rounded half to even; and e^x, correctly rounded. */

/** @import { Ratio } from "../exact.js" */

/** @param {Ratio} value @param {number} digits @returns {Ratio} the nearest decimal of so many significant digits */
export function rounded({ over, under }, digits) {
  if (over < 0n) {
    const positive = rounded({ over: -over, under }, digits);
    return { over: -positive.over, under: positive.under };
  }
  if (!over) return { over: 0n, under: 1n };
  let places = digits - magnitude({ over, under });
  let whole = halfEven(shifted({ over, under }, places));
  if (whole >= 10n ** BigInt(digits)) whole = halfEven(shifted({ over, under }, --places));
  return places >= 0 ? { over: whole, under: 10n ** BigInt(places) } : { over: whole * 10n ** BigInt(-places), under: 1n };
}

/** @param {Ratio} value above 0 @returns {number} how many digits stand before its point; 0 or less below 0.1 */
function magnitude({ over, under }) {
  let digits = over.toString().length - under.toString().length;
  const { over: scaled, under: by } = shifted({ over, under }, -digits);
  if (scaled >= by) digits++;
  return digits;
}

/** @param {Ratio} value @param {number} places @returns {Ratio} times 10^places */
function shifted({ over, under }, places) {
  const power = 10n ** BigInt(Math.abs(places));
  return places >= 0 ? { over: over * power, under } : { over, under: under * power };
}

/** @param {Ratio} value at least 0 @returns {bigint} the nearest integer, ties to even */
function halfEven({ over, under }) {
  const below = over / under;
  const rest = 2n * (over % under);
  return rest > under || (rest === under && below & 1n) ? below + 1n : below;
}

/** Digits behind the point with which series are summed. */
const GUARD = 120n;

/** @param {Ratio} exponent at most 0, above -1000 @param {number} digits @returns {Ratio} e to it, rounded */
export function exponential(exponent, digits) {
  const one = 10n ** (GUARD + 500n);
  // e^x = (e^(x / 2^k))^(2^k), so that the series is short.
  const halvings = 16n;
  const x = (exponent.over * one) / (exponent.under << halvings);
  let sum = one;
  let term = one;
  for (let n = 1n; term; n++) {
    term = (term * x) / (one * n);
    sum += term;
  }
  for (let i = 0n; i < halvings; i++) sum = (sum * sum) / one;
  return rounded({ over: sum, under: one }, digits);
}

/** @param {number} digits @returns {Ratio} ln(1/2), rounded */
export function logarithmOfHalf(digits) {
  // ln 2 is the sum of 1 / (n 2^n) for n from 1.
  const one = 10n ** GUARD;
  let sum = 0n;
  for (let n = 1n; one >> n; n++) sum += one / (n * (1n << n));
  return rounded({ over: -sum, under: one }, digits);
}
