/**
 * The zip file of a bundle: nothing in it is believed (docs/protocol.md, "Bundle").
 *
 * Every file is stored as it is, so a file in it is a piece of the bundle, and nothing is read before somebody wants it.
 * Source: APPNOTE.TXT, the specification of .ZIP files, of PKWARE.
 */

import { BadData } from "../faults.js";
import { same, utf8 } from "../hex.js";

/** @typedef {{name: string, start: number, size: number}} Listed a file, as the list of files says; its header begins at `start` */

const MOST_BYTES = 2 ** 40;
const MOST_LIST = 2 ** 25;
const MOST_PAGE = 2 ** 22;
const TOGETHER = 256;

const NAMES =
  /^(?:(?:bundle|state|events|blobs|proof)\.json|code\.hex|cosignatures\.txt|blobs\/[0-9a-f]{64}|page\/(?:[a-z0-9_]{1,40}\/){0,2}[a-z0-9_]{1,40}\.(?:css|html|js|svg))$/;

const [FILE, LISTED, END, END_64] = [0x04034b50, 0x02014b50, 0x06054b50, 0x06064b50];
const [FILE_BYTES, LISTED_BYTES, END_BYTES, END_64_BYTES] = [30, 46, 22, 56 + 20];
const LAST_VERSION = 63;
const [EXTRA_64, ELSEWHERE] = [1, 0xffffffff];

/** @param {string} why @returns {never} */
function refuse(why) {
  throw new BadData("zip", `not a bundle: ${why}`);
}

/**
 * @param {Blob} whole anything that somebody else wrote
 * @returns {Promise<Map<string, Blob>>} its files by name, not read yet
 * @throws {BadData} "zip": it is no zip of this form
 */
export async function openZip(whole) {
  if (whole.size > MOST_BYTES) refuse(`more than ${MOST_BYTES} bytes`);
  const { start, size } = await listOf(whole);
  const listed = readList(await bytesOf(whole, start, size));
  /** @type {Map<string, Blob>} */
  const files = new Map();
  let end = 0;
  for (let i = 0; i < listed.length; i += TOGETHER) {
    const some = listed.slice(i, i + TOGETHER);
    const contents = await Promise.all(some.map((one) => placeOf(whole, one)));
    some.forEach((one, j) => {
      if (one.start !== end) refuse(`${one.name} does not follow the file before it`);
      if (files.has(one.name)) refuse(`two files have the name ${one.name}`);
      end = contents[j] + one.size;
      files.set(one.name, whole.slice(contents[j], end));
    });
  }
  if (end !== start) refuse("the list of files does not follow the last file");
  const page = listed.reduce((sum, { name, size }) => sum + (name.startsWith("page/") ? size : 0), 0);
  if (page > MOST_PAGE) refuse(`a page of ${page} bytes, at most ${MOST_PAGE}`);
  return files;
}

/** @param {Blob} whole @param {number} start @param {number} size @returns {Promise<DataView>} fewer bytes at the end */
async function bytesOf(whole, start, size) {
  return new DataView(await whole.slice(start, start + size).arrayBuffer());
}

/** @param {Blob} whole @returns {Promise<{start: number, size: number}>} where the list of files is */
async function listOf(whole) {
  const ending = Math.max(0, whole.size - END_BYTES);
  const end = await bytesOf(whole, ending, END_BYTES);
  if (end.byteLength < END_BYTES || end.getUint32(0, true) !== END || end.getUint16(20, true)) {
    return refuse("it does not end like a zip without a comment");
  }
  const first = await bytesOf(whole, 0, 4);
  if (first.getUint32(0, true) !== FILE) return refuse("it does not begin with a file");
  let [size, start, after] = [end.getUint32(12, true), end.getUint32(16, true), ending];
  if (ending >= END_64_BYTES) {
    const before = await bytesOf(whole, ending - END_64_BYTES, END_64_BYTES);
    if (before.getUint32(0, true) === END_64) {
      [size, start, after] = [numberAt(before, 40), numberAt(before, 48), ending - END_64_BYTES];
    }
  }
  if (size > MOST_LIST) return refuse(`a list of files of ${size} bytes, at most ${MOST_LIST}`);
  if (start + size !== after) return refuse("its end does not follow the list of files");
  return { start, size };
}

/** @param {DataView} list @returns {Listed[]} */
function readList(list) {
  /** @type {Listed[]} */
  const listed = [];
  let at = 0;
  while (at < list.byteLength) {
    if (at + LISTED_BYTES > list.byteLength || list.getUint32(at, true) !== LISTED) refuse("its list of files is none");
    const [name, extra, comment] = [28, 30, 32].map((offset) => list.getUint16(at + offset, true));
    const next = at + LISTED_BYTES + name + extra + comment;
    if (next > list.byteLength) refuse("its list of files is cut off");
    listed.push(entryAt(list, at, name, extra));
    at = next;
  }
  return listed;
}

/** @param {DataView} list @param {number} at @param {number} nameSize @param {number} extraSize @returns {Listed} */
function entryAt(list, at, nameSize, extraSize) {
  const units = new Uint8Array(list.buffer, list.byteOffset + at + LISTED_BYTES, nameSize);
  const name = Array.from(units.subarray(0, 200), (unit) => String.fromCharCode(unit)).join("");
  if (nameSize > 200 || !NAMES.test(name)) refuse(`no file of a bundle has the name ${JSON.stringify(name.slice(0, 100))}`);
  const plain = [24, 20, 42].map((offset) => list.getUint32(at + offset, true));
  const [size, stored, start] = large(plain, list, at + LISTED_BYTES + nameSize, extraSize);
  if (list.getUint16(at + 10, true) || size !== stored) refuse(`${name} is compressed`);
  if (list.getUint16(at + 8, true)) refuse(`${name} is encrypted, or not written in one go`);
  if (list.getUint8(at + 6) > LAST_VERSION) refuse(`${name} is for a later version of the format`);
  return { name, start, size };
}

/**
 * @param {readonly number[]} plain numbers of 32 bits; each that is too large for them stands in the extra field, in order
 * @param {DataView} list
 * @param {number} at where the extra fields begin
 * @param {number} length
 * @returns {number[]}
 */
function large(plain, list, at, length) {
  if (!plain.includes(ELSEWHERE)) return [...plain];
  const end = at + length;
  while (at + 4 <= end && list.getUint16(at, true) !== EXTRA_64) at += 4 + list.getUint16(at + 2, true);
  let next = at + 4;
  return plain.map((number) => {
    if (number !== ELSEWHERE) return number;
    if (next + 8 > end) return refuse("a size or a place that is nowhere");
    next += 8;
    return numberAt(list, next - 8);
  });
}

/** @param {DataView} bytes @param {number} at @returns {number} of 64 bits; one beyond 2^53 is too large for anything here */
function numberAt(bytes, at) {
  return Number(bytes.getBigUint64(at, true));
}

/** @param {Blob} whole @param {Listed} listed @returns {Promise<number>} where its content begins: behind its header, which repeats its name */
async function placeOf(whole, { name, start, size }) {
  const header = await bytesOf(whole, start, FILE_BYTES + name.length);
  if (header.byteLength < FILE_BYTES || header.getUint32(0, true) !== FILE) refuse(`${name} is not where the list says`);
  const here = new Uint8Array(header.buffer, FILE_BYTES);
  if (header.getUint16(26, true) !== name.length || !same(here, utf8(name))) refuse(`${name} has another name where it is`);
  const content = start + FILE_BYTES + name.length + header.getUint16(28, true);
  if (content + size > whole.size) refuse(`${name} is cut off`);
  return content;
}
