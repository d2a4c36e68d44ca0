// A GPT of chapter 8 in plain JavaScript: numbers from a safetensors file in,
// logits out. Weights stay in rows, one row for each output, so that every
// product runs along memory.

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
};

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
  return { config: JSON.parse(facts.config), tensors };
}

// { config, tensors } -> weights, by place. Throws where one is missing.
function gptWeights({ config, tensors }) {
  const { n_embd: C, block_size: T, n_layer: L } = config;
  if (config.norm !== "layer" || !gptActivations[config.mlp]
    || !["learned", "sinusoidal", "none"].includes(config.position)
    || config.n_kv_head || config.qk_norm) {
    throw new Error("the model has parts of chapter 15, which this page "
      + "does not compute");
  }
  const get = (name, wanted = true) => {
    if (!wanted) return null;
    if (!tensors[name]) throw new Error(`the weights have no ${name}`);
    return tensors[name].data;
  };
  const pair = (name) => ({ w: get(`${name}.weight`),
    b: get(`${name}.bias`, config.bias) });
  const layers = Array.from({ length: L }, (_, l) => ({
    norm1: pair(`blocks.${l}.norm1`), norm2: pair(`blocks.${l}.norm2`),
    qkv: pair(`blocks.${l}.attention.qkv`),
    proj: pair(`blocks.${l}.attention.proj`),
    fc: pair(`blocks.${l}.mlp.fc`), out: pair(`blocks.${l}.mlp.proj`) }));
  const token = get("token.weight");
  const position = config.position === "learned" ? get("position.weight")
    : config.position === "sinusoidal" ? gptWaves(T, C) : null;
  return { token, position, layers,
    norm: config.order === "pre" ? pair("norm") : null,
    head: config.tied ? token : get("head.weight") };
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

// --- the parts ------------------------------------------------------------

// y (n, R) = x (n, C) @ w (R, C) transposed + b. Four rows, or four tokens and
// two rows, are added up side by side: sums that do not wait for each other.
function gptLinear(x, n, C, { w, b }, R, y) {
  let t = 0;
  for (; t + 3 < n; t += 4) gptFourTokens(x, t * C, C, w, R, y, t * R);
  for (; t < n; t += 1) gptOneToken(x, t * C, C, w, R, y, t * R);
  if (!b) return;
  for (let i = 0; i < n * R; i += R) {
    for (let r = 0; r < R; r += 1) y[i + r] += b[r];
  }
}

function gptOneToken(x, from, C, w, R, y, to) {
  let r = 0;
  for (; r + 3 < R; r += 4) {
    const w0 = r * C;
    const w1 = w0 + C;
    const w2 = w1 + C;
    const w3 = w2 + C;
    let a0 = 0;
    let a1 = 0;
    let a2 = 0;
    let a3 = 0;
    for (let i = 0; i < C; i += 1) {
      const v = x[from + i];
      a0 += v * w[w0 + i];
      a1 += v * w[w1 + i];
      a2 += v * w[w2 + i];
      a3 += v * w[w3 + i];
    }
    y[to + r] = a0;
    y[to + r + 1] = a1;
    y[to + r + 2] = a2;
    y[to + r + 3] = a3;
  }
  for (; r < R; r += 1) {
    let a = 0;
    for (let i = 0; i < C; i += 1) a += x[from + i] * w[r * C + i];
    y[to + r] = a;
  }
}

function gptFourTokens(x, x0, C, w, R, y, to) {
  const x1 = x0 + C;
  const x2 = x1 + C;
  const x3 = x2 + C;
  for (let r = 0; r < R; r += 1) {
    const w0 = r * C;
    let a0 = 0;
    let a1 = 0;
    let a2 = 0;
    let a3 = 0;
    for (let i = 0; i < C; i += 1) {
      const v = w[w0 + i];
      a0 += v * x[x0 + i];
      a1 += v * x[x1 + i];
      a2 += v * x[x2 + i];
      a3 += v * x[x3 + i];
    }
    y[to + r] = a0;
    y[to + R + r] = a1;
    y[to + 2 * R + r] = a2;
    y[to + 3 * R + r] = a3;
  }
}

// Each of n tokens to mean 0 and variance 1, then scaled and shifted.
function gptNorm(x, from, n, C, { w, b }, y) {
  for (let t = 0; t < n; t += 1) {
    const start = from + t * C;
    let mean = 0;
    for (let i = 0; i < C; i += 1) mean += x[start + i];
    mean /= C;
    let variance = 0;
    for (let i = 0; i < C; i += 1) variance += (x[start + i] - mean) ** 2;
    const scale = 1 / Math.sqrt(variance / C + 1e-5);
    for (let i = 0; i < C; i += 1) {
      y[t * C + i] = (x[start + i] - mean) * scale * w[i] + (b ? b[i] : 0);
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
};

// --- one text -------------------------------------------------------------

// What the model has computed about one text, kept so that a token more costs
// one token: keys and values, attention weights, and the residual stream
// before each block and after the last. `off` holds 1 for each head (layer *
// n_head + head) whose output is replaced by zeros.
class GptRun {
  constructor(config, weights) {
    const { n_layer: L, n_head: H, n_embd: C, block_size: T } = config;
    const rooms = (n, size) => Array.from({ length: n },
      () => new Float32Array(size));
    Object.assign(this, { config, weights, length: 0,
      ids: new Int32Array(T), off: new Uint8Array(L * H),
      keys: rooms(L, T * C), values: rooms(L, T * C),
      maps: rooms(L, H * T * T), stream: rooms(L + 1, T * C),
      activation: gptActivations[config.mlp] });
    Object.assign(this, { normed: new Float32Array(T * C),
      qkv: new Float32Array(3 * T * C), mixed: new Float32Array(T * C),
      added: new Float32Array(T * C), hidden: new Float32Array(4 * T * C),
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
      if (pre) gptNorm(x, 0, n, C, w.norm1, this.normed);
      this.attend(l, from, n, pre ? this.normed : x);
      for (let i = 0; i < n * C; i += 1) this.added[i] += x[i];
      if (pre) gptNorm(this.added, 0, n, C, w.norm2, this.normed);
      else gptNorm(this.added, 0, n, C, w.norm1, this.normed);
      gptLinear(this.normed, n, C, w.fc, 4 * C, this.hidden);
      const { hidden, activation } = this;
      for (let i = 0; i < 4 * n * C; i += 1) hidden[i] = activation(hidden[i]);
      gptLinear(hidden, n, 4 * C, w.out, C, y);
      const stay = pre ? this.added : this.normed;
      for (let i = 0; i < n * C; i += 1) y[i] += stay[i];
      if (!pre) gptNorm(y, 0, n, C, w.norm2, y);
    }
  }

  // Attention of layer l over x (n, C) -> this.added (n, C).
  attend(l, from, n, x) {
    const { n_head: H, n_embd: C } = this.config;
    const w = this.weights.layers[l];
    gptLinear(x, n, C, w.qkv, 3 * C, this.qkv);
    for (let t = 0; t < n; t += 1) {
      const start = 3 * t * C;
      const to = (from + t) * C;
      this.keys[l].set(this.qkv.subarray(start + C, start + 2 * C), to);
      this.values[l].set(this.qkv.subarray(start + 2 * C, start + 3 * C), to);
      for (let h = 0; h < H; h += 1) this.look(l, h, t, from + t);
    }
    gptLinear(this.mixed, n, C, w.proj, C, this.added);
  }

  // Head h of layer l at place p: weights into maps, values into mixed.
  look(l, h, t, p) {
    const { n_head: H, n_embd: C, block_size: T } = this.config;
    const D = C / H;
    const { qkv, mixed } = this;
    const k = this.keys[l];
    const v = this.values[l];
    const map = this.maps[l];
    const row = (h * T + p) * T;
    const q0 = 3 * t * C + h * D;
    const scale = 1 / Math.sqrt(D);
    let best = -Infinity;
    for (let s = 0; s <= p; s += 1) {
      const k0 = s * C + h * D;
      let a = 0;
      for (let i = 0; i < D; i += 1) a += qkv[q0 + i] * k[k0 + i];
      a *= scale;
      map[row + s] = a;
      if (a > best) best = a;
    }
    let sum = 0;
    for (let s = 0; s <= p; s += 1) {
      const e = Math.exp(map[row + s] - best);
      map[row + s] = e;
      sum += e;
    }
    const y0 = t * C + h * D;
    mixed.fill(0, y0, y0 + D);
    const off = this.off[l * H + h];
    for (let s = 0; s <= p; s += 1) {
      const share = map[row + s] / sum;
      map[row + s] = share;
      if (off) continue;
      const v0 = s * C + h * D;
      for (let i = 0; i < D; i += 1) mixed[y0 + i] += share * v[v0 + i];
    }
  }

  // Logits at place p, or what they would be if the blocks from `layer` on
  // were left out (the logit lens). A view: the next call writes over it.
  logits(p, layer = this.config.n_layer) {
    const { n_embd: C, vocab_size: V } = this.config;
    const { norm, head } = this.weights;
    const x = this.stream[layer];
    if (norm) gptNorm(x, p * C, 1, C, norm, this.normed);
    else this.normed.set(x.subarray(p * C, (p + 1) * C));
    gptLinear(this.normed, 1, C, { w: head }, V, this.scores);
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
