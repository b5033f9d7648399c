/** Named tensors as one safetensors file, in exactly one spelling. */

import { BadData } from "./faults.js";
import { fromHalf, toHalf } from "./float16.js";
import { concat, same, toNumberLowestFirst, utf8 } from "./hex.js";
import { byCodePoint, parse, text } from "./json.js";

/** @import { Json } from "./json.js" */

/** @typedef {{dtype: string, shape: readonly number[]}} Spec */
/** @typedef {Spec & {bytes: Uint8Array}} Tensor C order, little endian */
/** @typedef {ReadonlyMap<string, Spec>} Schema */
/** @typedef {ReadonlyMap<string, Tensor>} Tensors */

const MAX_HEADER = 2 ** 22;
const MAX_DIMENSIONS = 16;
const METADATA = "__metadata__";
const NOTE = "ganchor";

/** Bytes of an element. The order is that in which tensors stand in a file. */
/** @type {Readonly<Record<string, number>>} */
const BYTES = { I64: 8, F64: 8, F32: 4, I32: 4, F16: 2, U8: 1 };
const ORDER = Object.keys(BYTES);
const FLOATS = ["F64", "F32", "F16"];

if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) {
  throw new Error("this page needs a little-endian machine");
}

/**
 * @param {Uint8Array} blob untrusted
 * @returns {{tensors: Map<string, Tensor>, note: string | null, start: number}} `start`: where the elements begin
 * @throws {BadData} "malformed"
 */
export function decodeTensors(blob) {
  const length = Number(toNumberLowestFirst(blob.subarray(0, 8)));
  if (blob.length < 8 + length || length > MAX_HEADER) malformed(`a header of ${length} bytes`);
  const start = 8 + length;
  const head = blob.subarray(0, start);
  const entries = parse(text(head.subarray(8)));
  if (!isObject(entries)) return malformed("the header is no object");
  const note = noteOf(entries);
  /** @type {Map<string, Spec>} */
  const schema = new Map();
  for (const name of Object.keys(entries)) if (name !== METADATA) schema.set(name, specOf(name, entries[name]));
  if (BigInt(start) + elementBytes(schema) !== BigInt(blob.length)) malformed("a blob of another length");
  if (!same(headOf(schema, note), head)) malformed("the header is not in canonical form");
  /** @type {Map<string, Tensor>} */
  const tensors = new Map();
  let at = start;
  for (const name of inOrder(schema)) {
    const spec = /** @type {Spec} */ (schema.get(name));
    const end = at + Number(bytesOf(spec));
    tensors.set(name, { ...spec, bytes: blob.subarray(at, end) });
    at = end;
  }
  return { tensors, note, start };
}

/** @param {Tensors} tensors @param {string | null} [note] @returns {Uint8Array} the file */
export function encodeTensors(tensors, note = null) {
  const parts = inOrder(tensors).map((name) => /** @type {Tensor} */ (tensors.get(name)).bytes);
  return concat(headOf(tensors, note), ...parts);
}

/** @param {Schema} schema @param {string | null} note @returns {bigint} bytes of such a file */
export function sizeOf(schema, note) {
  return BigInt(headOf(schema, note).length) + elementBytes(schema);
}

/** @param {Spec} spec @returns {number} how many elements a tensor has */
export function elements(spec) {
  return spec.shape.reduce((product, size) => product * size, 1);
}

/** @param {Spec} spec @returns {boolean} whether it is of numbers with a fraction */
export function isFloat(spec) {
  return FLOATS.includes(spec.dtype);
}

/** @param {Spec | undefined} left @param {Spec | undefined} right @returns {boolean} */
export function sameSpec(left, right) {
  return left?.dtype === right?.dtype && String(left?.shape) === String(right?.shape);
}

/** @param {Schema} left @param {Schema} right @returns {boolean} */
export function sameSchema(left, right) {
  return left.size === right.size && [...left].every(([name, spec]) => sameSpec(spec, right.get(name)));
}

/** @param {Tensor} tensor of F64, F32 or F16 @returns {Float64Array | Float32Array} its elements; a view if it can be */
export function floatsOf(tensor) {
  const { buffer, byteOffset, length } = aligned(tensor.bytes, BYTES[tensor.dtype]);
  if (tensor.dtype === "F64") return new Float64Array(buffer, byteOffset, length / 8);
  if (tensor.dtype === "F32") return new Float32Array(buffer, byteOffset, length / 4);
  return mapped(new Uint16Array(buffer, byteOffset, length / 2), fromHalf);
}

/**
 * As `Float64Array.from` with a function, which takes a hundred times as long.
 *
 * @param {ArrayLike<number>} values
 * @param {(value: number, index: number) => number} of
 * @returns {Float64Array}
 */
export function mapped(values, of) {
  const made = new Float64Array(values.length);
  for (let i = 0; i < made.length; i++) made[i] = of(values[i], i);
  return made;
}

/** @param {Tensor} tensor of I64 @returns {BigInt64Array} */
export function integersOf(tensor) {
  const { buffer, byteOffset, length } = aligned(tensor.bytes, 8);
  return new BigInt64Array(buffer, byteOffset, length / 8);
}

/** @param {Tensor} tensor of any dtype @returns {ArrayLike<number | bigint>} its elements */
export function elementsOf(tensor) {
  if (isFloat(tensor)) return floatsOf(tensor);
  if (tensor.dtype === "I64") return integersOf(tensor);
  if (tensor.dtype === "U8") return tensor.bytes;
  const { buffer, byteOffset, length } = aligned(tensor.bytes, 4);
  return new Int32Array(buffer, byteOffset, length / 4);
}

const GREATEST_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;
/** @type {Readonly<Record<string, number>>} */
const GREATEST = { F64: Number.MAX_VALUE, F32: GREATEST_FLOAT32, F16: 65504 };

/**
 * @param {Spec} spec of F64, F32 or F16
 * @param {Float64Array} values overwritten
 * @returns {Tensor} the values, clamped to the dtype's finite range and rounded once to it
 */
export function settled({ dtype, shape }, values) {
  const greatest = GREATEST[dtype];
  for (let i = 0; i < values.length; i++) {
    if (values[i] > greatest) values[i] = greatest;
    else if (values[i] < -greatest) values[i] = -greatest;
  }
  const rounded =
    dtype === "F64" ? values : dtype === "F32" ? new Float32Array(values) : new Uint16Array(mapped(values, toHalf));
  return { dtype, shape, bytes: new Uint8Array(rounded.buffer, rounded.byteOffset, rounded.byteLength) };
}

/** @param {readonly number[]} shape @param {Float32Array} values @returns {Tensor} */
export function float32(shape, values) {
  return { dtype: "F32", shape, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}

/** @param {Uint8Array} bytes @param {number} size @returns {Uint8Array} the bytes, at a multiple of the size */
function aligned(bytes, size) {
  return bytes.byteOffset % size ? bytes.slice() : bytes;
}

/** @param {Schema} schema @param {string | null} note @returns {Uint8Array} the only beginning of such a file */
function headOf(schema, note) {
  const entries = note === null ? [] : [`"${METADATA}":{"${NOTE}":${JSON.stringify(note)}}`];
  let end = 0n;
  for (const name of inOrder(schema)) {
    const spec = /** @type {Spec} */ (schema.get(name));
    const begin = end;
    end += bytesOf(spec);
    const { dtype, shape } = spec;
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(",")}],"data_offsets":[${begin},${end}]}`,
    );
  }
  const json = utf8(`{${entries.join(",")}}`);
  const head = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(json, 8);
  return head;
}

/** @param {Schema} schema @returns {string[]} names, by dtype and then by code points */
function inOrder(schema) {
  const rank = (/** @type {string} */ name) => ORDER.indexOf(/** @type {Spec} */ (schema.get(name)).dtype);
  return [...schema.keys()].sort((a, b) => rank(a) - rank(b) || byCodePoint(a, b));
}

/** @param {Spec} spec @returns {bigint} */
function bytesOf({ dtype, shape }) {
  return shape.reduce((product, size) => product * BigInt(size), BigInt(BYTES[dtype]));
}

/** @param {Schema} schema @returns {bigint} */
function elementBytes(schema) {
  return [...schema.values()].reduce((sum, spec) => sum + bytesOf(spec), 0n);
}

/** @param {{[key: string]: Json}} entries @returns {string | null} */
function noteOf(entries) {
  if (!(METADATA in entries)) return null;
  const metadata = entries[METADATA];
  const note = isObject(metadata) ? metadata[NOTE] : null;
  return typeof note === "string" ? note : malformed("metadata without a note");
}

/** @param {string} name @param {Json} entry @returns {Spec} */
function specOf(name, entry) {
  if (!isObject(entry)) return malformed(`the entry of ${JSON.stringify(name)}`);
  const { dtype, shape } = entry;
  if (typeof dtype !== "string" || !ORDER.includes(dtype)) return malformed(`the dtype of ${JSON.stringify(name)}`);
  if (!Array.isArray(shape) || shape.length > MAX_DIMENSIONS || !shape.every(isDimension)) {
    return malformed(`the shape of ${JSON.stringify(name)}`);
  }
  return { dtype, shape: shape.map(Number) };
}

/** @param {Json} size @returns {boolean} no tensor of a blob is longer in any direction than a number can say */
function isDimension(size) {
  return typeof size === "bigint" && size > 0n && size <= BigInt(Number.MAX_SAFE_INTEGER);
}

/** @param {Json | undefined} value @returns {value is {[key: string]: Json}} */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {string} what @returns {never} */
function malformed(what) {
  throw new BadData("malformed", `malformed: ${what}`);
}
