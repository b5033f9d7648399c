/** The codecs by their names in a manifest: how each stage's tensors look, and how they are decoded. */

import { deriveSeed } from "../seeds.js";
import { float32 } from "../tensors.js";
import { lowRank } from "./low_rank.js";
import { quantise } from "./quantise.js";
import { rotate } from "./rotate.js";
import { subsample } from "./subsample.js";
import { topK } from "./top_k.js";

/** @import { Stage } from "../manifest.js" */
/** @import { Spec, Tensor, Tensors } from "../tensors.js" */

/** @typedef {{values: Spec, side: Record<string, Spec>}} Layout of what a stage makes of a tensor */

/**
 * @typedef {object} Codec
 * @property {(knobs: Stage, shape: readonly number[]) => Layout} layout
 * @property {(
 *   knobs: Stage,
 *   values: Tensor,
 *   side: Record<string, Tensor>,
 *   shape: readonly number[],
 *   seed: bigint
 * ) => Float32Array} decode
 */

/** @type {Readonly<Record<string, Codec>>} */
const CODECS = { low_rank: lowRank, subsample, top_k: topK, esgd: topK, rotate, quantise };

/** @param {readonly Stage[]} stages @param {string} name @param {Spec} spec @returns {Map<string, Spec>} what travels */
export function encodedTensor(stages, name, spec) {
  /** @type {Map<string, Spec>} */
  const parts = new Map();
  for (const stage of stages) {
    const { values, side } = CODECS[stage.kind].layout(stage, spec.shape);
    spec = values;
    for (const part of Object.keys(side)) parts.set(sideName(name, stage, part), side[part]);
  }
  return parts.set(name, spec);
}

/**
 * @param {readonly Stage[]} stages
 * @param {string} name
 * @param {Spec} spec of the decoded tensor
 * @param {Tensors} tensors of the update, whose form was compared
 * @param {bigint} seed the update's
 * @returns {Tensor}
 * @throws {import("../faults.js").BadData} "malformed": no encoder writes this
 */
export function decodeTensor(stages, name, spec, tensors, seed) {
  const shapes = [spec.shape];
  for (const stage of stages) shapes.push(CODECS[stage.kind].layout(stage, shapes[shapes.length - 1]).values.shape);
  let values = /** @type {Tensor} */ (tensors.get(name));
  for (let i = stages.length - 1; i >= 0; i--) {
    const [stage, shape] = [stages[i], shapes[i]];
    const codec = CODECS[stage.kind];
    const parts = Object.keys(codec.layout(stage, shape).side);
    const side = Object.fromEntries(
      parts.map((part) => [part, /** @type {Tensor} */ (tensors.get(sideName(name, stage, part)))]),
    );
    values = float32(shape, codec.decode(stage, values, side, shape, deriveSeed(seed, stage.kind, name)));
  }
  return values;
}

/** @param {string} name @param {Stage} stage @param {string} part @returns {string} */
function sideName(name, stage, part) {
  return `${name}/${stage.kind}.${part}`;
}
