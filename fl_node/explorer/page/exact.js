/** Numbers without rounding: ratios of BigInts, and the float64 nearest to one. */

/** @typedef {{over: bigint, under: bigint}} Ratio over / under, where under > 0 */

const DECIMAL = /^(-?)(0|[1-9][0-9]*)(?:\.([0-9]*[1-9]))?$/;
const LEAST_EXPONENT = 1074;

/**
 * @param {unknown} text an exact decimal in its one spelling, such as "0.1"
 * @returns {Ratio | null} null if it is something else
 */
export function decimal(text) {
  const found = typeof text === "string" && text !== "-0" ? DECIMAL.exec(text) : null;
  if (!found) return null;
  const [, sign, whole, places = ""] = found;
  const over = BigInt(whole + places);
  return { over: sign ? -over : over, under: 10n ** BigInt(places.length) };
}

/** @param {Ratio} left @param {Ratio} right @returns {number} negative if left is less, 0 if they are equal */
export function compare(left, right) {
  const difference = left.over * right.under - right.over * left.under;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** @param {number} value finite @returns {Ratio} what the float64 stands for */
export function ratioOf(value) {
  return { over: units(value), under: 1n << BigInt(LEAST_EXPONENT) };
}

/** @param {Ratio} ratio @returns {number} the nearest float64, ties to even */
export function nearest({ over, under }) {
  if (over < 0n) return -nearest({ over: -over, under });
  if (over === 0n) return 0;
  // As many bits as a float64 has, and some more, the last of which says whether anything follows.
  const shift = Math.min(58 - (bits(over) - bits(under)), LEAST_EXPONENT);
  const [scaled, divisor] = shift >= 0 ? [over << BigInt(shift), under] : [over, under << BigInt(-shift)];
  const quotient = scaled / divisor;
  const rest = scaled % divisor;
  if (shift < LEAST_EXPONENT) {
    const sticky = (quotient << 1n) | (rest ? 1n : 0n);
    return scale(Number(sticky), -(shift + 1));
  }
  // Below the normal numbers the last bit has a fixed place.
  if (bits(quotient) > 53) {
    return scale(Number((quotient << 1n) | (rest ? 1n : 0n)), -(shift + 1));
  }
  const up = 2n * rest > divisor || (2n * rest === divisor && quotient & 1n) ? 1n : 0n;
  return Number(quotient + up) * 2 ** -LEAST_EXPONENT;
}

/** @param {Iterable<number>} values finite @returns {number} their sum, exact and then rounded once */
export function fsum(values) {
  let sum = 0n;
  for (const value of values) if (value) sum += units(value);
  return nearest({ over: sum, under: 1n << BigInt(LEAST_EXPONENT) });
}

const view = new DataView(new ArrayBuffer(8));

/** @param {number} value finite @returns {bigint} how many times 2^-1074 it is */
function units(value) {
  view.setFloat64(0, value);
  const whole = view.getBigUint64(0);
  const exponent = (whole >> 52n) & 0x7ffn;
  const fraction = whole & 0xfffffffffffffn;
  const magnitude = exponent ? (fraction | (1n << 52n)) << (exponent - 1n) : fraction;
  return whole >> 63n ? -magnitude : magnitude;
}

/** @param {bigint} number at least 0 @returns {number} */
function bits(number) {
  return number ? number.toString(2).length : 0;
}

/** @param {number} value @param {number} exponent @returns {number} value times 2^exponent, without a step between */
function scale(value, exponent) {
  const half = Math.trunc(exponent / 2);
  return value * 2 ** half * 2 ** (exponent - half);
}
