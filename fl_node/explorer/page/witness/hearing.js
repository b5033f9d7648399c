/** Hears the witnesses that somebody trusts, as far as what was given can be read. */

import { BadData, NotCheckedHere } from "../faults.js";
import { cosignedIn } from "./cosigned.js";
import { readVerifierKey } from "./keys.js";
import { readNotes } from "./note.js";

/** @import { Cosigned, History } from "./cosigned.js" */
/** @import { Finding } from "../findings.js" */

/** @typedef {{cosigned: Cosigned[], findings: Finding[], faults: string[]}} Said with why the rest was not read or not checked */

/**
 * @param {string} lines the trusted witnesses' keys, one a line
 * @param {readonly Uint8Array[]} files of notes, of anybody
 * @param {History} history
 * @returns {Promise<Said>}
 */
export async function heard(lines, files, history) {
  /** @type {string[]} */
  const faults = [];
  const given = lines.split("\n").filter((line) => line.trim());
  const keys = given.flatMap((line) => orFault(faults, () => [readVerifierKey(line)]));
  const notes = files.flatMap((file) => orFault(faults, () => readNotes(file)));
  if (given.length && !files.length) faults.push("nothing that a witness signed is here");
  try {
    return { ...(await cosignedIn(notes.length ? keys : [], notes, history)), faults };
  } catch (fault) {
    if (!(fault instanceof NotCheckedHere)) throw fault;
    return { cosigned: [], findings: [], faults: [...faults, fault.message] };
  }
}

/** @template T @param {string[]} faults @param {() => T[]} read @returns {T[]} nothing, and a fault more, if it cannot be read */
function orFault(faults, read) {
  try {
    return read();
  } catch (fault) {
    if (!(fault instanceof BadData)) throw fault;
    faults.push(fault.message);
    return [];
  }
}
