/** Half-precision floats, which JavaScript does not have everywhere. */

const GREATEST = 65504;
const view = new DataView(new ArrayBuffer(8));

/** @param {number} half its 16 bits @returns {number} */
export function fromHalf(half) {
  const sign = half >> 15 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** @param {number} value of at most 65504 in magnitude @returns {number} the nearest half's 16 bits, ties to even */
export function toHalf(value) {
  view.setFloat64(0, value);
  const sign = (view.getUint16(0) >> 15) << 15;
  const magnitude = Math.min(Math.abs(value), GREATEST);
  if (magnitude < 2 ** -14) return sign | halfEven(magnitude * 2 ** 24);
  const exponent = ((view.getUint16(0) >> 4) & 0x7ff) - 1023;
  return sign | (((exponent + 15) << 10) + halfEven((magnitude / 2 ** exponent - 1) * 1024));
}

/** @param {number} value at least 0 @returns {number} the nearest integer, ties to even */
function halfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2) ? below + 1 : below;
}
