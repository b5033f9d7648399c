/** The form of a task's updates: which tensors they have, and which of them the codecs encode. */

import { decodeTensor, encodedTensor } from "./codecs/codecs.js";
import { BadData } from "./faults.js";
import { only, sharingObjection } from "./roles.js";
import { difference, modelOf, publishedOf, stateSchema } from "./state.js";
import { sameSpec } from "./tensors.js";

/** @import { Manifest, Stage } from "./manifest.js" */
/** @import { Schema, Spec, Tensor, Tensors } from "./tensors.js" */

/**
 * @typedef {object} Form of the decoded tensors, all F32
 * @property {Map<string, Spec>} coded what goes through the codecs
 * @property {Map<string, Spec>} plain statistics
 * @property {Map<string, Spec>} published as `published.NAME`
 */

/** @param {Manifest} manifest @param {Tensors} state any of the task @returns {Form} */
export function formOf(manifest, state) {
  const model = modelOf(state);
  const weights = only(manifest.roles, "weight", model);
  const coded = inFloat32(weights);
  for (const slot of manifest.sent) for (const [name, spec] of inFloat32(weights)) coded.set(`${slot}.${name}`, spec);
  const plain = inFloat32(only(manifest.roles, "statistic", model));
  const published = new Map([...publishedOf(state)].map(([name, spec]) => [`published.${name}`, spec]));
  return { coded, plain, published };
}

/** @param {Form} form @param {readonly Stage[]} stages @returns {Map<string, Spec>} what travels */
export function encodedForm({ coded, plain, published }, stages) {
  /** @type {Map<string, Spec>} */
  const encoded = new Map();
  const parts = [...coded].flatMap(([name, spec]) => [...encodedTensor(stages, name, spec)]);
  for (const [name, spec] of [...parts, ...plain, ...published]) {
    if (encoded.has(name)) throw new BadData("tensors", `two tensors of an update would have the name ${name}`);
    encoded.set(name, spec);
  }
  return encoded;
}

/**
 * @param {Form} form
 * @param {readonly Stage[]} stages
 * @param {Tensors} tensors untrusted
 * @param {bigint} seed
 * @returns {Map<string, Tensor>}
 * @throws {BadData} "tensors", or "malformed" if no encoder writes this
 */
export function decodeUpdate(form, stages, tensors, seed) {
  const wrong = difference(encodedForm(form, stages), tensors);
  if (wrong !== null) throw new BadData("tensors", `another tensor than expected: ${wrong}`);
  /** @type {Map<string, Tensor>} */
  const decoded = new Map();
  for (const [name, spec] of form.coded) decoded.set(name, decodeTensor(stages, name, spec, tensors, seed));
  for (const name of [...form.plain.keys(), ...form.published.keys()]) {
    decoded.set(name, /** @type {Tensor} */ (tensors.get(name)));
  }
  return decoded;
}

/** @param {Manifest} manifest @param {Tensors} state untrusted @returns {string | null} why no round can start from it */
export function stateObjection(manifest, state) {
  const model = modelOf(state);
  const objection = sharingObjection(manifest.roles, model);
  if (objection) return objection;
  const expected = stateSchema(model, manifest.slots, manifest.roles, publishedOf(state));
  if (typeof expected === "string") return expected;
  try {
    encodedForm(formOf(manifest, state), manifest.stages);
  } catch (fault) {
    if (fault instanceof BadData) return fault.message;
    throw fault;
  }
  const wrong = difference(expected, state);
  return wrong === null ? null : `${wrong} is not what the strategy keeps`;
}

/** @param {Schema} schema @returns {Map<string, Spec>} the same shapes in F32 */
function inFloat32(schema) {
  return new Map([...schema].map(([name, { shape }]) => [name, { dtype: "F32", shape }]));
}
