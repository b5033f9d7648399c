/** A cosigned note: whose history, how many events, which head, and who signed it (docs/protocol.md, "Cosigned heads"). */

import { checksummed } from "../address.js";
import { BadData } from "../faults.js";
import { concat, fromHex, fromNumber, same, toHex, toNumber, utf8 } from "../hex.js";
import { fromBase64, toBase64 } from "./base64.js";
import { isName } from "./keys.js";

/** @import { Site } from "../head.js" */

/**
 * @typedef {object} Checkpoint a point of a history
 * @property {string} origin whose history, as the note's first line
 * @property {number} events how many lead to the head, from 1
 * @property {string} head the history head after them
 */

/**
 * @typedef {object} Cosignature one line under a checkpoint; whether it is genuine is for its key to say
 * @property {string} name
 * @property {string} id of the key: 4 bytes as hex
 * @property {bigint} time when it was signed, in seconds since 1970 (UTC)
 * @property {Uint8Array} signature 64 bytes
 */

/** @typedef {{checkpoint: Checkpoint, cosignatures: Cosignature[]}} Note with one cosignature or more */

export const MOST_NOTES = 2 ** 18;
const BEGINNING = "ganchor/";
const DASH = "— ";
const ORIGIN = /^ganchor\/[1-9][0-9]{0,77}\/(0x[0-9a-fA-F]{40})\/[1-9][0-9]{0,77}$/;
const COUNT = /^[1-9][0-9]{0,9}$/;
const [HEAD_BYTES, ID_BYTES, TIME_BYTES, SIGNATURE_BYTES] = [32, 4, 8, 64];
const LAST_TIME = 2n ** 63n - 1n;

/** @param {Site} site @returns {string} the first line of its notes */
export function originOf({ chainId, contract, task }) {
  return `ganchor/${chainId}/${checksummed(contract)}/${task}`;
}

/** @param {Checkpoint} checkpoint @returns {string} */
export function writtenCheckpoint({ origin, events, head }) {
  return `${origin}\n${events}\n${toBase64(fromHex(head))}\n`;
}

/** @param {Blob} file @returns {Promise<boolean>} whether somebody may mean it for notes: it begins like one */
export async function isNotes(file) {
  return (await file.slice(0, BEGINNING.length).text()) === BEGINNING;
}

/** @param {Uint8Array} bytes a file of notes; untrusted @returns {Note[]} @throws {BadData} "malformed" */
export function readNotes(bytes) {
  if (bytes.length > MOST_NOTES) throw malformed(`${bytes.length} bytes, at most ${MOST_NOTES} are allowed`);
  const parts = textOf(bytes).split("\n\n");
  if (parts.length % 2) throw malformed("expected an empty line, and signatures below it");
  const notes = [];
  for (let i = 0; i < parts.length; i += 2) notes.push(readNote(parts[i], parts[i + 1]));
  if (!same(utf8(notes.map(writtenNote).join("\n")), bytes)) throw malformed("not spelt as the specification says");
  return notes;
}

/** @param {string} why @returns {BadData} */
function malformed(why) {
  return new BadData("malformed", `no cosigned notes: ${why}`);
}

/** @param {Uint8Array} bytes @returns {string} */
function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed("not UTF-8");
  }
}

/** @param {Note} note @returns {string} */
function writtenNote({ checkpoint, cosignatures }) {
  return `${writtenCheckpoint(checkpoint)}\n${cosignatures.map(writtenCosignature).join("")}`;
}

/** @param {Cosignature} cosignature @returns {string} */
function writtenCosignature({ name, id, time, signature }) {
  return `${DASH}${name} ${toBase64(concat(fromHex(id), fromNumber(time, TIME_BYTES), signature))}\n`;
}

/** @param {string} text @param {string} lines below it @returns {Note} */
function readNote(text, lines) {
  const [origin, events, head, ...more] = text.split("\n");
  if (head === undefined || more.length) throw malformed("expected three lines before the signatures");
  const contract = ORIGIN.exec(origin)?.[1];
  if (!contract || contract !== checksummed(contract) || !COUNT.test(events)) {
    throw malformed("expected ganchor/CHAIN/CONTRACT/TASK and a number of events");
  }
  const checkpoint = { origin, events: Number(events), head: toHex(bytesOf(head, HEAD_BYTES)) };
  return { checkpoint, cosignatures: lines.replace(/\n$/, "").split("\n").map(readCosignature) };
}

/** @param {string} line @returns {Cosignature} */
function readCosignature(line) {
  const [name, encoded = ""] = line.replace(DASH, "").split(" ");
  if (!line.startsWith(DASH) || !isName(name)) throw malformed(`expected a signature's line, got ${line.slice(0, 100)}`);
  const content = bytesOf(encoded, ID_BYTES + TIME_BYTES + SIGNATURE_BYTES);
  const time = toNumber(content.subarray(ID_BYTES, ID_BYTES + TIME_BYTES));
  if (time > LAST_TIME) throw malformed("a time after the last one");
  return { name, id: toHex(content.subarray(0, ID_BYTES)), time, signature: content.subarray(ID_BYTES + TIME_BYTES) };
}

/** @param {string} text @param {number} length @returns {Uint8Array} */
function bytesOf(text, length) {
  const content = fromBase64(text);
  if (content.length !== length) throw malformed(`expected ${length} bytes in base64, got ${content.length}`);
  return content;
}
