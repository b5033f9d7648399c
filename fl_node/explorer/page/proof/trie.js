/** Follows paths through Merkle-Patricia tries, which hold Ethereum's state. Source: the Ethereum yellow paper, appendix D.
 * Of nodes that no chain makes, it takes those that the audit's library takes (py-trie): both give one verdict. */

import { BadData, because } from "../faults.js";
import { toHex } from "../hex.js";
import { keccak256 } from "../keccak.js";
import { decodeRlp } from "./rlp.js";

/** @import { Item } from "./rlp.js" */

/** The most nodes on a path: one for each half byte of a key of 32 bytes, and the last. */
export const MOST_NODES = 65;

const MOST_NODE = 1024;
const HASH_BYTES = 32;
const [PAIR, BRANCH] = [2, 17];

/** The node of a trie without a value, which no path needs to hold. */
const EMPTY = Uint8Array.of(0x80);

/**
 * @param {string} what the path leads to, for messages
 * @param {Uint8Array} root the hash of the trie's first node
 * @param {Uint8Array} key under whose hash the value stands
 * @param {readonly Uint8Array[]} nodes from the root to the value, in RLP; untrusted
 * @returns {Uint8Array} the value
 * @throws {BadData} "proof": they do not lead there
 */
export function valueAt(what, root, key, nodes) {
  if (nodes.length > MOST_NODES || nodes.some(({ length }) => length > MOST_NODE)) {
    throw new BadData("proof", `the ${what}'s path is no path: at most ${MOST_NODES} nodes of ${MOST_NODE} bytes`);
  }
  const value = because("proof", `the ${what}'s path breaks off`, () => followed(root, toHex(keccak256(key)), nodes));
  if (Array.isArray(value) || !value.length) throw new BadData("proof", `the ${what}'s path ends where no ${what} is`);
  return value;
}

/** @param {Uint8Array} root @param {string} path in hex @param {readonly Uint8Array[]} nodes @returns {Item} empty if nothing stands there */
function followed(root, path, nodes) {
  const known = new Map([EMPTY, ...nodes].map((node) => [toHex(keccak256(node)), verified(decodeRlp(node))]));
  let rest = path;
  for (let node = nodeOf(known, root); node; ) {
    if (node.length === BRANCH) {
      if (!rest) return node[BRANCH - 1];
      node = nodeOf(known, node[parseInt(rest[0], 16)]);
      rest = rest.slice(1);
    } else {
      const { isLeaf, digits } = keyOf(node[0]);
      if (isLeaf && digits === rest) return node[1];
      if (isLeaf || !rest || !rest.startsWith(digits)) break;
      node = nodeOf(known, node[1]);
      rest = rest.slice(digits.length);
    }
  }
  return [];
}

/** @param {string} why @returns {never} */
function refuse(why) {
  throw new BadData("proof", why);
}

/** @param {Item} node @returns {Item} the same, if it has the form of a node, and so has what lies in it */
function verified(node) {
  if (!node.length && !Array.isArray(node)) return node;
  if (!isNode(node)) return refuse("a node has neither 2 nor 17 items");
  const isPair = node.length === PAIR;
  const [text, below] = isPair ? [node[0], node.slice(1)] : [node[BRANCH - 1], node.slice(0, BRANCH - 1)];
  if (Array.isArray(text)) refuse("a node has a list where bytes belong");
  for (const one of below) {
    if (Array.isArray(one)) verified(one);
    else if (!isPair && one.length && one.length !== HASH_BYTES) refuse("a node names another one by no hash");
  }
  return node;
}

/** @param {Item} item @returns {item is Item[]} */
function isNode(item) {
  return Array.isArray(item) && (item.length === PAIR || item.length === BRANCH);
}

/**
 * @param {ReadonlyMap<string, Item>} known nodes by their hashes
 * @param {Item} pointer the hash of a node; a shorter one stands there itself
 * @returns {Item[] | null} null if there is none
 */
function nodeOf(known, pointer) {
  let node = /** @type {Item | undefined} */ (pointer);
  if (!Array.isArray(pointer) && pointer.length) {
    node = pointer.length < HASH_BYTES ? decodeRlp(pointer) : known.get(toHex(pointer));
  }
  if (!node) return refuse("a node is missing");
  if (!node.length && !Array.isArray(node)) return null;
  return isNode(node) ? node : refuse("a node has neither 2 nor 17 items");
}

/** @param {Item} text of a leaf or an extension @returns {{isLeaf: boolean, digits: string}} which part of a path it stands for */
function keyOf(text) {
  if (Array.isArray(text) || !text.length) return refuse("a node has no key");
  const written = toHex(text);
  return { isLeaf: "23".includes(written[0]), digits: written.slice("13".includes(written[0]) ? 1 : 2) };
}
