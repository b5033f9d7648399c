/** Where somebody names the witnesses that they trust, and reads what these say about the history that is shown. */

import { utf8 } from "../hex.js";
import { heard } from "../witness/hearing.js";
import { MOST_NOTES } from "../witness/note.js";
import { byId, element, fill } from "./elements.js";
import { foundText, line, timeText } from "./lines.js";

/** @import { Cosigned, History } from "../witness/cosigned.js" */
/** @import { Said } from "../witness/hearing.js" */
/** @import { Finding } from "../findings.js" */

/** Anybody can write a thousand lines; nobody reads more than these. */
const MOST_LINES = 50;

/** The form for keys and notes, and the lines below it. */
export class WitnessForm {
  /** @type {Finding[]} what is wrong with the history by what witnesses say */
  findings = [];
  /** @type {History | null} */
  #history = null;
  /** @type {readonly Uint8Array[]} */
  #bundled = [];
  /** @type {readonly Uint8Array[]} */
  #files = [];
  #asked = 0;
  #changed;

  /** @param {() => void} changed called when there are other findings */
  constructor(changed) {
    this.#changed = changed;
    for (const id of ["keys", "pasted"]) byId(id).addEventListener("input", () => this.#ask());
    const chosen = /** @type {HTMLInputElement} */ (byId("signed"));
    chosen.addEventListener("change", () => this.take(Array.from(chosen.files ?? [])));
  }

  /** @param {readonly string[]} [keys] which stand in the form, in place of any others */
  trust(keys) {
    if (keys?.length) /** @type {HTMLTextAreaElement} */ (byId("keys")).value = keys.join("\n");
  }

  /** Ask about a history, in place of any other. @param {History | null} history @param {readonly Uint8Array[]} [signed] beside it */
  hear(history, signed = []) {
    [this.#history, this.#bundled] = [history, signed];
    this.#ask();
  }

  /** @param {readonly Blob[]} files of notes, in place of any others */
  async take(files) {
    this.#files = await Promise.all(files.map(beginning));
    this.#ask();
  }

  async #ask() {
    const asked = ++this.#asked;
    const history = this.#history;
    const said = history && (await heard(written("keys"), [...this.#bundled, ...this.#files, ...pasted()], history));
    if (asked !== this.#asked) return; // Something newer is asked meanwhile.
    fill("cosigned", ...(said ? told(said, history.heads.length - 1) : []));
    this.findings = said?.findings ?? [];
    this.#changed();
  }
}

/** @param {string} id @returns {string} */
function written(id) {
  return /** @type {HTMLTextAreaElement} */ (byId(id)).value;
}

/** @returns {Uint8Array[]} a note as it was before somebody copied it: the last line's end is easily lost */
function pasted() {
  const text = written("pasted").trim();
  return text ? [utf8(`${text}\n`)] : [];
}

/** @param {Blob} file @returns {Promise<Uint8Array>} not all of it if it is too long for notes */
async function beginning(file) {
  return new Uint8Array(await file.slice(0, MOST_NOTES + 1).arrayBuffer());
}

/** @param {Said} said @param {number} events of the history @returns {HTMLElement[]} a line for each, the worst first */
function told({ cosigned, findings, faults }, events) {
  const lines = [
    ...findings.map((finding) => line("bad", `✗ ${foundText(finding)}`)),
    ...faults.map((fault) => line("waiting", `Not checked: ${fault}`)),
    ...cosigned.filter(({ checked }) => checked).map((one) => line("good", `✓ ${cosignedText(one, events)}`)),
    ...cosigned.filter(({ checked }) => !checked).map((one) => line("waiting", `Not checked, give its key: ${cosignedText(one, events)}`)),
  ];
  const more = lines.length - MOST_LINES;
  return more > 0 ? [...lines.slice(0, MOST_LINES), element("p", {}, `and ${more} more`)] : lines;
}

/** @param {Cosigned} cosigned @param {number} of how many events there are @returns {string} */
function cosignedText({ witness, time, events, head }, of) {
  return `cosigned by ${witness} at ${timeText(time)}: event ${events} of ${of}, head ${head}`;
}
