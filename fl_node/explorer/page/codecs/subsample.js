/** One random element of each run. */

import { randomBytes } from "../pcg64.js";
import { elements, floatsOf } from "../tensors.js";

/** @import { Codec } from "./codecs.js" */

/** @type {Codec} */
export const subsample = {
  layout(knobs, shape) {
    const runs = Math.ceil(elements({ dtype: "F32", shape }) / Number(knobs.one_in));
    return { values: { dtype: "F32", shape: [runs] }, side: {} };
  },
  decode(knobs, values, _, shape, seed) {
    const oneIn = Number(knobs.one_in);
    const sent = floatsOf(values);
    const decoded = new Float32Array(elements({ dtype: "F32", shape }));
    const random = new DataView(randomBytes(seed, 4 * sent.length).slice().buffer);
    for (let run = 0; run < sent.length; run++) {
      const start = run * oneIn;
      const length = Math.min(oneIn, decoded.length - start);
      decoded[start + Math.floor((random.getUint32(4 * run, true) * length) / 2 ** 32)] = sent[run];
    }
    return decoded;
  },
};
