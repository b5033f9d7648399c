/** Where somebody names a block that they trust, and reads whether a bundle's proof says that it holds the head. */

import { heldByBlock } from "../proof/held.js";
import { byId, fill } from "./elements.js";
import { foundText, line, timeText } from "./lines.js";

/** @import { Finding } from "../findings.js" */
/** @import { Claim } from "../proof/held.js" */

/** The form for a block's hash, and the lines below it; hidden where no proof is. */
export class BlockForm {
  /** @type {Finding[]} what is wrong with the history by what its proof says */
  findings = [];
  /** @type {Claim | null} */
  #claim = null;
  #changed;

  /** @param {() => void} changed called when there are other findings */
  constructor(changed) {
    this.#changed = changed;
    byId("block").addEventListener("input", () => this.#ask());
    byId("trust").addEventListener("submit", (event) => event.preventDefault());
  }

  /** Ask about a claim, in place of any other. @param {Claim | null} claim */
  hear(claim) {
    this.#claim = claim;
    byId("trust").hidden = !claim;
    this.#ask();
  }

  #ask() {
    const { lines, findings } = this.#claim ? said(this.#claim, written()) : { lines: [], findings: [] };
    fill("held", ...lines);
    this.findings = findings;
    this.#changed();
  }
}

/** @returns {string} as somebody typed it, without 0x */
function written() {
  return /** @type {HTMLInputElement} */ (byId("block")).value.trim().toLowerCase().replace(/^0x/, "");
}

/** @param {Claim} claim @param {string} text @returns {{lines: HTMLElement[], findings: Finding[]}} */
function said(claim, text) {
  const block = /^[0-9a-f]{64}$/.test(text) ? text : "";
  const { proven, findings } = heldByBlock(claim, block);
  const lines = findings.map((finding) => line("bad", `✗ ${foundText(finding)}`));
  if (text && !block) lines.unshift(line("waiting", "A block's hash has 64 hex digits."));
  if (!proven) return { lines, findings };
  const held = `held by block ${proven.number} (${proven.block}, ${timeText(proven.time)})`;
  const unnamed = `This head is ${held}, which nobody vouched for here: compare the block's hash with a chain that you trust.`;
  return { lines: [...lines, block ? line("good", `✓ This head is ${held}, the block that you trust.`) : line("waiting", unnamed)], findings };
}
