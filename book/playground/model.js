// A GPT of chapters 8 and 15 in plain JavaScript: numbers from a safetensors
// file in, logits out. Weights stay in rows, one row for each output, so that
// every product runs along memory.

// --- the file -------------------------------------------------------------

const gptReaders = {
  F16(buffer, start, n) {
    const bits = new Uint16Array(buffer.slice(start, start + 2 * n));
    const table = gptReaders.halves ||= Float32Array.from({ length: 65536 },
      (_, i) => mgFloat16(i));
    const out = new Float32Array(n);
    for (let i = 0; i < n; i += 1) out[i] = table[bits[i]];
    return out;
  },
  F32: (buffer, start, n) => new Float32Array(
    buffer.slice(start, start + 4 * n)),
  I8: (buffer, start, n) => new Int8Array(buffer, start, n),
  U8: (buffer, start, n) => new Uint8Array(buffer, start, n),
};

// Bytes with two numbers of 4 bits each, the low bits first -> int8.
function gptNibbles(bytes) {
  const out = new Int8Array(2 * bytes.length);
  for (let i = 0; i < bytes.length; i += 1) {
    out[2 * i] = (bytes[i] & 15) - 8;
    out[2 * i + 1] = (bytes[i] >> 4) - 8;
  }
  return out;
}

// Whole numbers, and a scale for each row or group of them -> their values,
// once: products with int8 would need less memory, but take a third more time.
function gptScaled(numbers, scales) {
  const out = new Float32Array(numbers.length);
  const size = numbers.length / scales.length;
  for (let g = 0, i = 0; g < scales.length; g += 1) {
    for (; i < (g + 1) * size; i += 1) out[i] = numbers[i] * scales[g];
  }
  return out;
}

// ArrayBuffer -> { config, tensors: { name: { shape, data } } }.
// Throws an Error that says why a file is not whole, or not of this course.
function gptRead(buffer) {
  const view = new DataView(buffer);
  const length = buffer.byteLength < 8 ? 0 : Number(view.getBigUint64(0, true));
  if (!length || length > buffer.byteLength - 8) {
    throw new Error("the file of weights is cut short, or is another file");
  }
  const head = JSON.parse(new TextDecoder().decode(
    new Uint8Array(buffer, 8, length)));
  const { __metadata__: facts, ...entries } = head;
  if (facts?.format !== "minigpt-model 1") {
    throw new Error(`the file of weights has another format: ${facts?.format}`);
  }
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [a, b] }] of
    Object.entries(entries)) {
    if (8 + length + b > buffer.byteLength) {
      throw new Error("the file of weights is cut short");
    }
    if (!gptReaders[dtype]) throw new Error(`${name} is of type ${dtype}`);
    const n = shape.reduce((x, y) => x * y, 1);
    tensors[name] = { shape, data: gptReaders[dtype](buffer, 8 + length + a,
      n) };
  }
  for (const [name, tensor] of Object.entries(tensors)) {
    const { dtype } = entries[name];
    if (dtype !== "I8" && dtype !== "U8") continue;
    const scales = tensors[`${name}.scale`];
    if (!scales) throw new Error(`the weights have no ${name}.scale`);
    if (dtype === "U8") {
      tensor.data = gptNibbles(tensor.data);
      tensor.shape = [tensor.shape[0], 2 * tensor.shape[1]];
    }
    tensor.data = gptScaled(tensor.data, scales.data);
  }
  return { config: JSON.parse(facts.config), tensors };
}

// { config, tensors } -> weights, by place. Throws where one is missing.
function gptWeights({ config, tensors }) {
  for (const [part, known] of Object.entries(gptParts)) {
    if (!known.includes(config[part])) {
      throw new Error(`this page cannot compute a model whose ${part} is `
        + `${config[part]}`);
    }
  }
  const { n_embd: C, n_head: H, block_size: T, n_layer: L } = config;
  const get = (name) => {
    if (!tensors[name]) throw new Error(`the weights have no ${name}`);
    return tensors[name];
  };
  const linear = (name) => {
    const { shape: [rows, columns], data } = get(`${name}.weight`);
    const b = config.bias ? get(`${name}.bias`).data : null;
    return { w: data, b, rows, columns };
  };
  const norm = (name, rms = config.norm === "rms") => {
    const b = config.bias && !rms ? get(`${name}.bias`).data : null;
    return { w: get(`${name}.weight`).data, b, rms };
  };
  const layers = Array.from({ length: L }, (_, l) => {
    const [attention, mlp] = [`blocks.${l}.attention`, `blocks.${l}.mlp`];
    return { norm1: norm(`blocks.${l}.norm1`), norm2: norm(`blocks.${l}.norm2`),
      qkv: linear(`${attention}.qkv`), proj: linear(`${attention}.proj`),
      norm_q: config.qk_norm ? norm(`${attention}.norm_q`, true) : null,
      norm_k: config.qk_norm ? norm(`${attention}.norm_k`, true) : null,
      fc: linear(`${mlp}.fc`), out: linear(`${mlp}.proj`) };
  });
  const position = config.position === "learned" ? get("position.weight").data
    : config.position === "sinusoidal" ? gptWaves(T, C) : null;
  const slope = (h) => (config.position === "alibi"
    ? 2 ** (-8 * (h + 1) / H) : 0);
  const head = get(config.tied ? "token.weight" : "head.weight").data;
  return { token: get("token.weight").data, position, layers,
    turns: config.position === "rope"
      ? gptTurns(T, C / H, config.rope_base ?? T) : null,
    slopes: Array.from({ length: H }, (_, h) => slope(h)),
    norm: config.order === "pre" ? norm("norm") : null,
    head: { w: head, rows: config.vocab_size, columns: C } };
}

// --- the parts ------------------------------------------------------------

// y (n, rows) = x (n, columns) @ w (rows, columns) transposed + b. Row r of w
// begins at r * step. Eight rows are added up side by side: sums that do not
// wait for each other.
function gptLinear(x, n, { w, b, rows, columns, step = columns }, y) {
  let r = 0;
  for (; r + 7 < rows; r += 8) {
    const w0 = r * step;
    const w1 = w0 + step;
    const w2 = w1 + step;
    const w3 = w2 + step;
    const w4 = w3 + step;
    const w5 = w4 + step;
    const w6 = w5 + step;
    const w7 = w6 + step;
    for (let t = 0; t < n; t += 1) {
      const from = t * columns;
      let a0 = 0;
      let a1 = 0;
      let a2 = 0;
      let a3 = 0;
      let a4 = 0;
      let a5 = 0;
      let a6 = 0;
      let a7 = 0;
      for (let i = 0; i < columns; i += 1) {
        const v = x[from + i];
        a0 += v * w[w0 + i];
        a1 += v * w[w1 + i];
        a2 += v * w[w2 + i];
        a3 += v * w[w3 + i];
        a4 += v * w[w4 + i];
        a5 += v * w[w5 + i];
        a6 += v * w[w6 + i];
        a7 += v * w[w7 + i];
      }
      const to = t * rows + r;
      y[to] = a0;
      y[to + 1] = a1;
      y[to + 2] = a2;
      y[to + 3] = a3;
      y[to + 4] = a4;
      y[to + 5] = a5;
      y[to + 6] = a6;
      y[to + 7] = a7;
    }
  }
  for (; r < rows; r += 1) {
    for (let t = 0; t < n; t += 1) {
      let a = 0;
      for (let i = 0; i < columns; i += 1) {
        a += x[t * columns + i] * w[r * step + i];
      }
      y[t * rows + r] = a;
    }
  }
  if (!b) return;
  for (let i = 0; i < n * rows; i += rows) {
    for (r = 0; r < rows; r += 1) y[i + r] += b[r];
  }
}

// Each of n vectors to mean 0 and variance 1, then scaled and shifted. RMSNorm
// leaves the mean where it is.
function gptNorm(x, n, { w, b, rms }, y) {
  const C = w.length;
  for (let start = 0; start < n * C; start += C) {
    let mean = 0;
    if (!rms) {
      for (let i = 0; i < C; i += 1) mean += x[start + i];
      mean /= C;
    }
    let square = 0;
    for (let i = 0; i < C; i += 1) square += (x[start + i] - mean) ** 2;
    const scale = 1 / Math.sqrt(square / C + 1e-5);
    for (let i = 0; i < C; i += 1) {
      y[start + i] = (x[start + i] - mean) * scale * w[i] + (b ? b[i] : 0);
    }
  }
}

// Scores -> weights that sum to 1, in place.
function gptSoftmax(row) {
  let best = -Infinity;
  for (let s = 0; s < row.length; s += 1) if (row[s] > best) best = row[s];
  let sum = 0;
  for (let s = 0; s < row.length; s += 1) {
    row[s] = Math.exp(row[s] - best);
    sum += row[s];
  }
  for (let s = 0; s < row.length; s += 1) row[s] /= sum;
}

// Sines and cosines of chapter 5.
function gptWaves(T, C) {
  const table = new Float32Array(T * C);
  for (let t = 0; t < T; t += 1) {
    for (let i = 0; i < C; i += 2) {
      const angle = t / 10000 ** (i / C);
      table[t * C + i] = Math.sin(angle);
      table[t * C + i + 1] = Math.cos(angle);
    }
  }
  return table;
}

// How RoPE turns the pairs of a head at each place: (T, D / 2) each.
function gptTurns(T, D, base) {
  const half = D / 2;
  const angles = Float64Array.from({ length: T * half }, (_, i) => (
    Math.floor(i / half) * base ** (-2 * (i % half) / D)));
  return { half, cos: Float32Array.from(angles, Math.cos),
    sin: Float32Array.from(angles, Math.sin) };
}

// Turn the heads in x for their place: channels i and i + D / 2 are a pair.
function gptRotate(x, place, { half, cos, sin }) {
  for (let start = 0; start < x.length; start += 2 * half) {
    for (let i = 0; i < half; i += 1) {
      const c = cos[place * half + i];
      const s = sin[place * half + i];
      const a = x[start + i];
      const b = x[start + half + i];
      x[start + i] = a * c - b * s;
      x[start + half + i] = a * s + b * c;
    }
  }
}

// The error function, to 1.5e-7: Abramowitz and Stegun 1964, formula 7.1.26.
function gptErf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741
    + t * (-1.453152027 + t * 1.061405429))));
  const y = 1 - sum * Math.exp(-x * x);
  return x < 0 ? -y : y;
}

const gptActivations = {
  gelu: (x) => 0.5 * x * (1 + gptErf(x * Math.SQRT1_2)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(
    Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x) => (x > 0 ? x : 0),
  relu2: (x) => (x > 0 ? x * x : 0),
  swiglu: (x) => x / (1 + Math.exp(-x)), // of the gate
};

const gptParts = { // what a configuration can name
  order: ["pre", "post"],
  norm: ["layer", "rms"],
  mlp: Object.keys(gptActivations),
  position: ["learned", "sinusoidal", "none", "rope", "alibi"],
};

// --- one text -------------------------------------------------------------

// What the model has computed about one text, kept so that a token more costs
// one token: keys and values, attention weights, and the residual stream
// before each block and after the last. `off` holds 1 for each head (layer *
// n_head + head) whose output is replaced by zeros.
//
// Keys are (K, T, D), so that a query meets rows; values are (K, D, T), so
// that the weights of a query do too. H / K heads share each of them. A map
// holds the weights of each head as rows of 1, 2, 3 … numbers.
class GptRun {
  constructor(config, weights) {
    const { n_layer: L, n_head: H, n_embd: C, block_size: T } = config;
    const [D, K] = [C / H, config.n_kv_head ?? H];
    const [{ qkv, fc }] = weights.layers;
    const rooms = (n, size) => Array.from({ length: n },
      () => new Float32Array(size));
    Object.assign(this, { config, weights, D, K, length: 0,
      ids: new Int32Array(T), off: new Uint8Array(L * H),
      keys: rooms(L, T * K * D), values: rooms(L, T * K * D),
      maps: rooms(L, (H * T * (T + 1)) / 2), stream: rooms(L + 1, T * C) });
    Object.assign(this, { normed: new Float32Array(T * C),
      qkv: new Float32Array(T * qkv.rows), mixed: new Float32Array(T * C),
      added: new Float32Array(T * C), hidden: new Float32Array(T * fc.rows),
      scores: new Float32Array(config.vocab_size) });
  }

  // Take `ids` as the text: what it has in common with the one before is not
  // computed again.
  read(ids) {
    if (ids.length > this.config.block_size) {
      throw new Error(`at most ${this.config.block_size} tokens, got `
        + `${ids.length}`);
    }
    let same = 0;
    while (same < Math.min(ids.length, this.length)
      && ids[same] === this.ids[same]) same += 1;
    this.length = same;
    this.extend(ids.slice(same));
  }

  extend(ids) {
    const from = this.length;
    if (!ids.length) return;
    this.ids.set(ids, from);
    this.embed(from, from + ids.length);
    this.length += ids.length;
    this.blocks(from, 0);
  }

  embed(from, to) {
    const { n_embd: C, position } = this.config;
    const { token, position: table } = this.weights;
    const scale = position === "sinusoidal" ? Math.sqrt(C) : 1;
    const x = this.stream[0];
    for (let t = from; t < to; t += 1) {
      const row = this.ids[t] * C;
      for (let i = 0; i < C; i += 1) {
        x[t * C + i] = scale * token[row + i] + (table ? table[t * C + i] : 0);
      }
    }
  }

  // Blocks from layer `first` on, for the tokens from place `from` on.
  blocks(from, first) {
    const { n_layer: L, n_embd: C, order } = this.config;
    const n = this.length - from;
    for (let l = first; l < L; l += 1) {
      const w = this.weights.layers[l];
      const x = this.stream[l].subarray(from * C, (from + n) * C);
      const y = this.stream[l + 1].subarray(from * C, (from + n) * C);
      const pre = order === "pre";
      if (pre) gptNorm(x, n, w.norm1, this.normed);
      this.see("read1", l, from, n, pre ? this.normed : x);
      this.attend(l, from, n, pre ? this.normed : x);
      this.see("attention", l, from, n, this.added);
      for (let i = 0; i < n * C; i += 1) this.added[i] += x[i];
      this.see("sum", l, from, n, this.added);
      gptNorm(this.added, n, pre ? w.norm2 : w.norm1, this.normed);
      this.see("read2", l, from, n, this.normed);
      this.mlp(w, n, y);
      this.see("hidden", l, from, n, this.hidden);
      this.see("mlp", l, from, n, y);
      const stay = pre ? this.added : this.normed;
      for (let i = 0; i < n * C; i += 1) y[i] += stay[i];
      if (!pre) gptNorm(y, n, w.norm2, y);
    }
  }

  // this.normed (n, C) -> y (n, C). With SwiGLU the first half of the hidden
  // channels are gates for the second.
  mlp({ fc, out }, n, y) {
    const { hidden } = this;
    const activation = gptActivations[this.config.mlp];
    const width = out.columns;
    const gated = fc.rows > width;
    gptLinear(this.normed, n, fc, hidden);
    for (let t = 0; t < n; t += 1) {
      for (let i = 0; i < width; i += 1) {
        const at = t * fc.rows + i;
        const a = activation(hidden[at]);
        hidden[t * width + i] = gated ? a * hidden[at + width] : a;
      }
    }
    gptLinear(hidden, n, out, y);
  }

  // Attention of layer l over x (n, C) -> this.added (n, C).
  attend(l, from, n, x) {
    const { n_head: H, n_embd: C } = this.config;
    const { D, K, mixed } = this;
    const { qkv, proj, norm_q, norm_k } = this.weights.layers[l];
    const { turns } = this.weights;
    gptLinear(x, n, qkv, this.qkv);
    for (let t = 0; t < n; t += 1) {
      const p = from + t;
      const start = t * qkv.rows;
      const q = this.qkv.subarray(start, start + C);
      const k = this.qkv.subarray(start + C, start + C + K * D);
      const v = this.qkv.subarray(start + C + K * D, start + qkv.rows);
      if (norm_q) {
        gptNorm(q, H, norm_q, q);
        gptNorm(k, K, norm_k, k);
      }
      if (turns) {
        gptRotate(q, p, turns);
        gptRotate(k, p, turns);
      }
      this.keep(l, p, k, v);
      for (let h = 0; h < H; h += 1) {
        const to = t * C + h * D;
        this.look(l, h, p, q.subarray(h * D, h * D + D),
          mixed.subarray(to, to + D));
      }
    }
    this.see("qkv", l, from, n, this.qkv);
    this.see("mixed", l, from, n, mixed);
    gptLinear(mixed, n, proj, this.added);
  }

  // What block l has computed for n places from `from` on, one vector each.
  // The machine keeps these numbers; a run forgets them.
  see() {}

  // Keys and values (K * D) of place p, into the cache of layer l.
  keep(l, p, k, v) {
    const { D, config: { block_size: T } } = this;
    for (let i = 0; i < k.length; i += D) {
      this.keys[l].set(k.subarray(i, i + D), i * T + p * D);
    }
    for (let i = 0; i < v.length; i += 1) this.values[l][i * T + p] = v[i];
  }

  // Head h of layer l at place p: query q (D) -> blended values y (D).
  look(l, h, p, q, y) {
    const { n_head: H, block_size: T } = this.config;
    const { D, K } = this;
    const start = (h * T * (T + 1) + p * (p + 1)) / 2;
    const row = this.maps[l].subarray(start, start + p + 1);
    const shared = Math.floor((h * K) / H) * T * D;
    const keys = this.keys[l].subarray(shared, shared + T * D);
    const values = this.values[l].subarray(shared, shared + T * D);
    gptLinear(q, 1, { w: keys, rows: p + 1, columns: D }, row);
    const scale = 1 / Math.sqrt(D);
    const slope = this.weights.slopes[h]; // of ALiBi, per token of distance
    for (let s = 0; s <= p; s += 1) row[s] = row[s] * scale - slope * (p - s);
    gptSoftmax(row);
    if (this.off[l * H + h]) y.fill(0);
    else gptLinear(row, 1, { w: values, rows: D, columns: p + 1, step: T }, y);
  }

  // Logits at place p, or what they would be if the blocks from `layer` on
  // were left out (the logit lens). A view: the next call writes over it.
  logits(p, layer = this.config.n_layer) {
    const { n_embd: C } = this.config;
    const { norm, head } = this.weights;
    const x = this.stream[layer].subarray(p * C, (p + 1) * C);
    if (norm) gptNorm(x, 1, norm, this.normed);
    gptLinear(norm ? this.normed : x, 1, head, this.scores);
    return this.scores;
  }

  // Mean of what each token but the first cost, in nats.
  loss() {
    let total = 0;
    for (let p = 0; p + 1 < this.length; p += 1) {
      total += gptCost(this.logits(p), this.ids[p + 1]);
    }
    return total / (this.length - 1);
  }

  // The same text as `other`, computed anew from layer `first` on.
  follow(other, first) {
    this.length = other.length;
    this.ids.set(other.ids);
    this.stream[first].set(other.stream[first]);
    this.blocks(0, first);
  }
}

// −ln of the probability that the logits give to a token.
function gptCost(logits, id) {
  let best = -Infinity;
  for (const z of logits) if (z > best) best = z;
  let sum = 0;
  for (const z of logits) sum += Math.exp(z - best);
  return best + Math.log(sum) - logits[id];
}

// How much of the text the model reads: all of it, or from `start` on. A text
// that grows past the block size loses its first tokens a quarter of a block
// at a time, because each loss moves every position and all is computed anew.
function gptStart(n, T) {
  if (n <= T) return 0;
  const step = Math.max(1, T >> 2);
  return Math.ceil((n - T) / step) * step;
}
