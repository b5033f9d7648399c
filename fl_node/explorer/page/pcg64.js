/**
 * Random bits: the raw output of numpy's PCG64, seeded through its SeedSequence.
 * Source: O'Neill 2014, PCG (XSL-RR 128/64); numpy's NEP 19.
 */

const MASK_128 = (1n << 128n) - 1n;
const MASK_64 = (1n << 64n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;
const POOL = 4;

/**
 * @param {bigint} seed from 0
 * @param {number} count
 * @returns {Uint8Array} so many bytes of the stream, each output's lowest byte first
 */
export function randomBytes(seed, count) {
  const words = Math.ceil(count / 8);
  const bytes = new Uint8Array(8 * words);
  const view = new DataView(bytes.buffer);
  const [high, low, incrementHigh, incrementLow] = seedState(seed);
  const increment = ((((incrementHigh << 64n) | incrementLow) << 1n) | 1n) & MASK_128;
  // From state 0: a step, the seed added, a step.
  let state = step((increment + ((high << 64n) | low)) & MASK_128, increment);
  for (let i = 0; i < words; i++) {
    state = step(state, increment);
    view.setBigUint64(8 * i, output(state), true);
  }
  return bytes.subarray(0, count);
}

/** @param {bigint} seed @param {number} count @returns {Float32Array} 1 or -1 for each bit, lowest of each byte first */
export function randomSigns(seed, count) {
  const bytes = randomBytes(seed, Math.ceil(count / 8));
  const signs = new Float32Array(count);
  for (let i = 0; i < count; i++) signs[i] = (bytes[i >> 3] >> (i & 7)) & 1 ? -1 : 1;
  return signs;
}

/** @param {bigint} state @param {bigint} increment @returns {bigint} */
function step(state, increment) {
  return (state * MULTIPLIER + increment) & MASK_128;
}

/** @param {bigint} state @returns {bigint} its halves together, turned to the right by its six highest bits */
function output(state) {
  const mixed = (state >> 64n) ^ (state & MASK_64);
  const by = state >> 122n;
  return ((mixed >> by) | (mixed << (64n - by))) & MASK_64;
}

/** @param {bigint} seed @returns {bigint[]} four numbers of 64 bits, as SeedSequence(seed).generate_state gives them */
function seedState(seed) {
  /** @type {number[]} */
  const entropy = [];
  for (let rest = seed; rest || !entropy.length; rest >>= 32n) entropy.push(Number(rest & 0xffffffffn));
  const hash = hasher(0x43b0d7e5, 0x931e8875);
  const pool = Array.from({ length: POOL }, (_, i) => hash(entropy[i] ?? 0));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  }
  for (const word of entropy.slice(POOL)) for (let to = 0; to < POOL; to++) pool[to] = mix(pool[to], hash(word));
  const spread = hasher(0x8b51f9dd, 0x58f38ded);
  const words = Array.from({ length: 8 }, (_, i) => BigInt(spread(pool[i % POOL])));
  return [0, 2, 4, 6].map((i) => words[i] | (words[i + 1] << 32n));
}

/** @param {number} start @param {number} factor @returns {(value: number) => number} a hash that changes at each call */
function hasher(start, factor) {
  let constant = start;
  return (value) => {
    value = (value ^ constant) >>> 0;
    constant = Math.imul(constant, factor) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
}

/** @param {number} x @param {number} y @returns {number} */
function mix(x, y) {
  const result = (Math.imul(x, 0xca01f9dd) - Math.imul(y, 0x4973f715)) >>> 0;
  return (result ^ (result >>> 16)) >>> 0;
}
