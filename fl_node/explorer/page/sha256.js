/** sha256 (FIPS 180-4): in pieces here, of a whole blob by the browser. */

import { toHex } from "./hex.js";
import { nativeFor } from "./native.js";

/** The first 64 primes give the constants: the beginnings of their cube roots, and of 8 square roots, as fractions. */
const PRIMES = firstPrimes(64);
const ROUNDS = Int32Array.from(PRIMES, (prime) => fractionOfRoot(BigInt(prime), 3n));
const FIRST = Int32Array.from(PRIMES.slice(0, 8), (prime) => fractionOfRoot(BigInt(prime), 2n));

/** @param {number} count @returns {number[]} */
function firstPrimes(count) {
  /** @type {number[]} */
  const primes = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  return primes;
}

/** @param {bigint} prime @param {bigint} degree @returns {number} the first 32 bits behind the root's point */
function fractionOfRoot(prime, degree) {
  const target = prime << (32n * degree);
  let root = 0n;
  for (let bit = 1n << 40n; bit; bit >>= 1n) if ((root + bit) ** degree <= target) root += bit;
  return Number(root & 0xffffffffn);
}

/** A hash that grows with what it is given. */
export class Sha256 {
  #state = FIRST.slice();
  #words = new Int32Array(64);
  #block = new Uint8Array(64);
  #length = 0;

  /** @param {Uint8Array} bytes @returns {this} */
  update(bytes) {
    let at = 0;
    const begun = this.#length % 64;
    this.#length += bytes.length;
    if (begun) {
      at = Math.min(64 - begun, bytes.length);
      this.#block.set(bytes.subarray(0, at), begun);
      if (begun + at < 64) return this;
      this.#compress(this.#block, 0);
    }
    for (; at + 64 <= bytes.length; at += 64) this.#compress(bytes, at);
    this.#block.set(bytes.subarray(at));
    return this;
  }

  /** @returns {Uint8Array} 32 bytes; after this, the hash is used up */
  digest() {
    const bits = this.#length * 8;
    const padding = new Uint8Array(((119 - (this.#length % 64)) % 64) + 9);
    padding[0] = 0x80;
    const tail = new DataView(padding.buffer, padding.length - 8);
    tail.setUint32(0, Math.floor(bits / 2 ** 32));
    tail.setUint32(4, bits % 2 ** 32);
    this.update(padding);
    const digest = new Uint8Array(32);
    const out = new DataView(digest.buffer);
    this.#state.forEach((word, i) => out.setUint32(4 * i, word));
    return digest;
  }

  /** @param {Uint8Array} bytes @param {number} at where the block begins */
  #compress(bytes, at) {
    const words = this.#words;
    for (let i = 0; i < 16; i++, at += 4) {
      words[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < 64; i++) {
      const early = words[i - 15];
      const late = words[i - 2];
      const s0 = ((early >>> 7) | (early << 25)) ^ ((early >>> 18) | (early << 14)) ^ (early >>> 3);
      const s1 = ((late >>> 17) | (late << 15)) ^ ((late >>> 19) | (late << 13)) ^ (late >>> 10);
      words[i] = (((words[i - 16] + s0) | 0) + ((words[i - 7] + s1) | 0)) | 0;
    }
    const state = this.#state;
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];
    let e = state[4];
    let f = state[5];
    let g = state[6];
    let h = state[7];
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const chosen = (e & f) ^ (~e & g);
      const first = (((h + s1) | 0) + ((chosen + ROUNDS[i]) | 0) + words[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const second = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + first) | 0;
      d = c;
      c = b;
      b = a;
      a = (first + second) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}

/** @param {Uint8Array} bytes @returns {Uint8Array} 32 bytes */
export function sha256(bytes) {
  return new Sha256().update(bytes).digest();
}

/** @param {Uint8Array} bytes @returns {Promise<string>} the digest that names a blob: 64 hex digits */
export async function digestOf(bytes) {
  const native = nativeFor(bytes);
  if (!native) return toHex(sha256(bytes));
  return toHex(new Uint8Array(await native.digest("SHA-256", /** @type {Uint8Array<ArrayBuffer>} */ (bytes))));
}

/** @param {Uint8Array} key @param {Uint8Array} message @returns {Uint8Array} HMAC-SHA256 (RFC 2104) */
export function hmac(key, message) {
  const block = new Uint8Array(64);
  block.set(key.length > 64 ? sha256(key) : key);
  const inner = new Sha256().update(block.map((byte) => byte ^ 0x36)).update(message).digest();
  return new Sha256().update(block.map((byte) => byte ^ 0x5c)).update(inner).digest();
}
