/** AES-256 (FIPS 197) in counter mode (NIST SP 800-38A), the first counter block zero. */

import { nativeFor } from "./native.js";

const ROUNDS = 14;
const SBOX = substitutions();

/** @param {number} value @returns {number} times x in GF(2^8) */
function doubled(value) {
  return ((value << 1) ^ (value >> 7 ? 0x1b : 0)) & 0xff;
}

/** @returns {Uint8Array} for each byte: its inverse in GF(2^8), then the affine map */
function substitutions() {
  // Powers of the generator 3, forwards, beside those of its inverse.
  const powers = new Uint8Array(256);
  const logarithms = new Uint8Array(256);
  for (let i = 0, value = 1; i < 255; i++, value ^= doubled(value)) {
    powers[i] = value;
    logarithms[value] = i;
  }
  return Uint8Array.from({ length: 256 }, (_, byte) => {
    const inverse = byte ? powers[(255 - logarithms[byte]) % 255] : 0;
    let result = 0x63;
    for (let turn = 0; turn < 5; turn++) result ^= (inverse << turn) | (inverse >> (8 - turn));
    return result & 0xff;
  });
}

/** @param {Uint8Array} key 32 bytes @returns {Uint8Array} 15 round keys */
function expanded(key) {
  const keys = new Uint8Array(16 * (ROUNDS + 1));
  keys.set(key);
  for (let at = 32, factor = 1; at < keys.length; at += 4) {
    let word = keys.slice(at - 4, at);
    if (at % 32 === 0) {
      word = Uint8Array.of(SBOX[word[1]] ^ factor, SBOX[word[2]], SBOX[word[3]], SBOX[word[0]]);
      factor = doubled(factor);
    } else if (at % 32 === 16) {
      word = word.map((byte) => SBOX[byte]);
    }
    for (let i = 0; i < 4; i++) keys[at + i] = keys[at - 32 + i] ^ word[i];
  }
  return keys;
}

const state = new Uint8Array(16);

/** @param {Uint8Array} keys @param {Uint8Array} block 16 bytes @param {Uint8Array} out 16 bytes */
function encrypt(keys, block, out) {
  for (let i = 0; i < 16; i++) state[i] = block[i] ^ keys[i];
  for (let round = 1; round <= ROUNDS; round++) {
    for (let i = 0; i < 16; i++) out[i] = SBOX[state[(i * 5) % 16]];
    for (let column = 0; column < 16; column += 4) {
      const all = out[column] ^ out[column + 1] ^ out[column + 2] ^ out[column + 3];
      for (let i = 0; i < 4; i++) {
        const byte = out[column + i];
        const mixed = round < ROUNDS ? all ^ doubled(byte ^ out[column + ((i + 1) % 4)]) : 0;
        state[column + i] = byte ^ mixed ^ keys[16 * round + column + i];
      }
    }
  }
  out.set(state);
}

/** @param {Uint8Array} counter highest byte first */
function increment(counter) {
  for (let i = 15; i >= 0; i--) {
    counter[i]++;
    if (counter[i]) return;
  }
}

/** @param {Uint8Array} key 32 bytes @param {Uint8Array} bytes @returns {Promise<Uint8Array>} encrypted, or decrypted */
export async function counterMode(key, bytes) {
  const native = nativeFor(bytes);
  if (!native) return ownCounterMode(key, bytes);
  const [rawKey, content] = /** @type {Uint8Array<ArrayBuffer>[]} */ ([key, bytes]);
  const imported = await native.importKey("raw", rawKey, "AES-CTR", false, ["encrypt"]);
  const algorithm = { name: "AES-CTR", counter: new Uint8Array(16), length: 128 };
  return new Uint8Array(await native.encrypt(algorithm, imported, content));
}

/** @param {Uint8Array} key @param {Uint8Array} bytes @returns {Uint8Array} */
function ownCounterMode(key, bytes) {
  const keys = expanded(key);
  const counter = new Uint8Array(16);
  const stream = new Uint8Array(16);
  const result = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at += 16) {
    encrypt(keys, counter, stream);
    for (let i = at; i < Math.min(at + 16, bytes.length); i++) result[i] = bytes[i] ^ stream[i - at];
    increment(counter);
  }
  return result;
}
