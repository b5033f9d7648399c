/** keccak256, as Ethereum has it (the padding is the original one, not that of SHA-3). Source: the Keccak reference. */

const RATE = 136;

/** Lanes are kept as pairs of 32 bits, the lower half first. */
const [CONSTANTS, PATH] = tables();

/**
 * The round constants, from the shift register that defines them, and the walk of rho and pi over the lanes.
 * @returns {[Int32Array, Int32Array]} pairs (lower, upper) for each round; pairs (lane, rotation) for each step
 */
function tables() {
  const constants = new Int32Array(48);
  for (let round = 0, register = 1; round < 24; round++) {
    for (let j = 0; j < 7; j++) {
      register = ((register << 1) ^ ((register >> 7) * 0x71)) & 0xff;
      const bit = (1 << j) - 1;
      if (register & 2) constants[2 * round + (bit >> 5)] ^= 1 << (bit & 31);
    }
  }
  const path = new Int32Array(48);
  for (let t = 0, x = 1, y = 0; t < 24; t++) {
    [x, y] = [y, (2 * x + 3 * y) % 5];
    path.set([x + 5 * y, (((t + 1) * (t + 2)) / 2) % 64], 2 * t);
  }
  return [constants, path];
}

/** @param {Uint8Array} bytes @returns {Uint8Array} 32 bytes */
export function keccak256(bytes) {
  const padded = new Uint8Array((Math.floor(bytes.length / RATE) + 1) * RATE);
  padded.set(bytes);
  padded[bytes.length] = 1;
  padded[padded.length - 1] |= 0x80;
  const words = new DataView(padded.buffer);
  const state = new Int32Array(50);
  for (let start = 0; start < padded.length; start += RATE) {
    for (let i = 0; i < RATE / 4; i++) state[i] ^= words.getUint32(start + 4 * i, true);
    permute(state);
  }
  const digest = new Uint8Array(32);
  const out = new DataView(digest.buffer);
  for (let i = 0; i < 8; i++) out.setUint32(4 * i, state[i], true);
  return digest;
}

const columns = new Int32Array(10);

/** @param {Int32Array} state 25 lanes */
function permute(state) {
  for (let round = 0; round < 24; round++) {
    theta(state);
    rhoAndPi(state);
    chi(state);
    state[0] ^= CONSTANTS[2 * round];
    state[1] ^= CONSTANTS[2 * round + 1];
  }
}

/** @param {Int32Array} state */
function theta(state) {
  for (let i = 0; i < 10; i++) {
    columns[i] = state[i] ^ state[i + 10] ^ state[i + 20] ^ state[i + 30] ^ state[i + 40];
  }
  for (let x = 0; x < 5; x++) {
    const before = ((x + 4) % 5) * 2;
    const after = ((x + 1) % 5) * 2;
    const low = columns[before] ^ ((columns[after] << 1) | (columns[after + 1] >>> 31));
    const high = columns[before + 1] ^ ((columns[after + 1] << 1) | (columns[after] >>> 31));
    for (let y = 0; y < 50; y += 10) {
      state[y + 2 * x] ^= low;
      state[y + 2 * x + 1] ^= high;
    }
  }
}

/** @param {Int32Array} state */
function rhoAndPi(state) {
  let low = state[2];
  let high = state[3];
  for (let t = 0; t < 48; t += 2) {
    const at = 2 * PATH[t];
    const by = PATH[t + 1] & 31;
    // No rotation is by 32, where this would not hold; one beyond it exchanges the halves.
    const turnedLow = (low << by) | (high >>> (32 - by));
    const turnedHigh = (high << by) | (low >>> (32 - by));
    const isFar = PATH[t + 1] > 32;
    low = state[at];
    high = state[at + 1];
    state[at] = isFar ? turnedHigh : turnedLow;
    state[at + 1] = isFar ? turnedLow : turnedHigh;
  }
}

/** @param {Int32Array} state */
function chi(state) {
  for (let y = 0; y < 50; y += 10) {
    const [a, b, c, d] = [state[y], state[y + 1], state[y + 2], state[y + 3]];
    for (let i = y; i < y + 6; i++) state[i] ^= ~state[i + 2] & state[i + 4];
    state[y + 6] ^= ~state[y + 8] & a;
    state[y + 7] ^= ~state[y + 9] & b;
    state[y + 8] ^= ~a & c;
    state[y + 9] ^= ~b & d;
  }
}
