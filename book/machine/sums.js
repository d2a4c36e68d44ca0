// One cell of the machine, as a sum that can be read: its terms, and what
// happens to their total afterward. Every function returns
//   { terms: [{ label, a, b, product }], total, steps: [{ name, value, text,
//     line }], row, code }
// where `row` is a row of attention weights, if the cell is one of them, and
// `line` is the line of the chapter's code (see machine.py) that does it.

const mcNumber = (x) => {
  if (x === -Infinity) return "−∞";
  const size = Math.abs(x);
  const text = size !== 0 && size < 0.0005 ? size.toExponential(1)
    : size.toFixed(3);
  return x < 0 && Number(text) !== 0 ? `−${text}` : text;
};

const mcRow = (rows, width, p) => rows.subarray(p * width, (p + 1) * width);

function mcSum(a, b, label) {
  let total = 0;
  const terms = Array.from(a, (x, i) => {
    total += x * b[i];
    return { label: label(i), a: x, b: b[i], product: x * b[i], total };
  });
  return { terms, total };
}

// Sizes of a model: D channels a head, K heads of keys and values, the group
// of heads that share them.
function mcSizes(config) {
  const { n_embd: C, n_head: H, n_layer: L } = config;
  const K = config.n_kv_head ?? H;
  return { C, H, L, D: C / H, K, shared: (h) => Math.floor((h * K) / H) };
}

// The query of head h at place p and the key of place s.
function mcPair(config, strips, h, p, s) {
  const { C, D, K, shared } = mcSizes(config);
  const q = mcRow(strips.q, C, p).subarray(h * D, (h + 1) * D);
  const at = shared(h) * D;
  return [q, mcRow(strips.k, K * D, s).subarray(at, at + D)];
}

function mcDot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
}

// ALiBi takes this much off for each token of distance.
function mcSlope(config, h) {
  return config.position === "alibi" ? 2 ** (-8 * (h + 1) / config.n_head) : 0;
}

// Scores and weights of head h at place p: [{ score, weight }], one for each
// of n places; those after p are masked.
function mcAttention(config, strips, h, p, n) {
  const { D } = mcSizes(config);
  const scores = Array.from({ length: n }, (_, s) => {
    const [q, k] = mcPair(config, strips, h, p, s);
    return mcDot(q, k) / Math.sqrt(D) - mcSlope(config, h) * Math.abs(p - s);
  });
  const seen = Float64Array.from(scores.slice(0, p + 1));
  gptSoftmax(seen);
  return scores.map((score, s) => ({ score, weight: s > p ? 0 : seen[s] }));
}

function mcAttentionCell(config, strips, { h, q, k }, n) {
  const { D } = mcSizes(config);
  const [query, key] = mcPair(config, strips, h, q, k);
  const { terms, total } = mcSum(query, key, (i) => `channel ${i}`);
  const row = mcAttention(config, strips, h, q, n);
  const hidden = k > q;
  const steps = [
    { name: "query · key", value: total, line: 0,
      text: `${D} products, added up` },
    { name: `÷ √${D}`, value: total / Math.sqrt(D), line: 0,
      text: `divided by ${Math.sqrt(D).toFixed(2)}, so that wide heads do not `
        + "give larger scores" }];
  if (mcSlope(config, h)) {
    steps.push({ name: "− distance", value: row[k].score, line: 1,
      text: `${mcNumber(mcSlope(config, h))} less for each token between` });
  }
  steps.push(
    { name: "mask", value: hidden ? -Infinity : row[k].score, line: 1,
      text: hidden ? "this key comes later in the text: not allowed"
        : "allowed: this key is not later than the query" },
    { name: "softmax", value: row[k].weight, line: 2,
      text: "e to the score, divided by the sum over the whole row" });
  return { terms, total, steps, row, code: "scores" };
}

// How long is what attention and the MLP add, against what arrives? Two numbers
// for each block and place.
function mcPushes(n, C, blocks) {
  const length = (values, p) => {
    const row = mcRow(values, C, p);
    return Math.sqrt(mcDot(row, row));
  };
  return Float32Array.from(blocks.flatMap(({ stream, attention, mlp }) => (
    Array.from({ length: 2 * n }, (_, i) => {
      const p = i >> 1;
      return length(i % 2 ? mlp : attention, p) / length(stream, p);
    }))));
}

// Where a linear layer's cell gets its numbers, and what comes after its sum.
const mcLinears = {
  q: { from: "read1", code: "heads" },
  k: { from: "read1", code: "heads" },
  v: { from: "read1", code: "heads" },
  attention: { from: "mixed", code: "proj" },
  hidden: { from: "read2", code: "mlp" },
  mlp: { from: "hidden", code: "mlp", line: 1 },
};

function mcLinearCell(config, strips, matrix, { m, r, q }) {
  const { from, code, line = 0 } = mcLinears[m];
  const { columns, w, b } = matrix;
  const x = mcRow(strips[from], columns, q);
  const { terms, total } = mcSum(x, mcRow(w, columns, r), (i) => `input ${i}`);
  const width = strips[m].length / (strips.q.length / config.n_embd);
  const result = mcRow(strips[m], width, q)[r];
  const steps = [{ name: "sum", value: total, line,
    text: `${columns} inputs times their weights` }];
  const plain = b ? total + b[r] : total;
  if (b) {
    steps.push({ name: "+ bias", value: plain, line,
      text: `the bias of this channel is ${mcNumber(b[r])}` });
  }
  if (m === "hidden") {
    const gated = matrix.rows > width;
    if (gated) {
      const gate = mcDot(x, mcRow(w, columns, r + width))
        + (b ? b[r + width] : 0);
      steps.push({ name: "other half", value: gate, line,
        text: "the same inputs with the weights of the value row" });
    }
    steps.push({ name: config.mlp, value: result, line,
      text: gated ? "SiLU of the gate, times the other half"
        : "what the activation makes of it" });
  }
  if (m === "q" || m === "k") {
    if (matrix.gain) {
      const value = mcNormed(config, x, matrix, r);
      steps.push({ name: "norm", value, line: 1,
        text: "divided by the root mean square of its head, times a gain" });
    }
    if (config.position === "rope") {
      steps.push({ name: "turn", value: result, line: 2,
        text: `turned together with its partner, by place ${q}` });
    }
  }
  return { terms, total, steps, code };
}

// Channel r of a query or key after the norm of its head.
function mcNormed(config, x, { columns, w, b, gain }, r) {
  const { D } = mcSizes(config);
  const start = r - (r % D);
  const head = Float32Array.from({ length: D }, (_, i) => mcDot(x,
    mcRow(w, columns, start + i)) + (b ? b[start + i] : 0));
  gptNorm(head, 1, { w: gain, b: null, rms: true }, head);
  return head[r % D];
}

// A channel of the blend: the values of all places, by their weights.
function mcMixedCell(config, strips, { r, q }, n, name) {
  const { D, K, shared } = mcSizes(config);
  const h = Math.floor(r / D);
  const row = mcAttention(config, strips, h, q, n).slice(0, q + 1);
  const at = shared(h) * D + (r % D);
  const values = row.map((_, s) => strips.v[s * K * D + at]);
  const { terms, total } = mcSum(row.map(({ weight }) => weight), values, name);
  return { terms, total, code: "blend", steps: [{ name: "blend", value: total,
    line: 1, text: `values of ${q + 1} places, by what head ${h} reads` }] };
}

// The logit of one candidate: the last vector times the row of its token.
function mcLogitCell(state, matrix, r) {
  const { columns, w } = matrix;
  const { terms, total } = mcSum(state.final, mcRow(w, columns, r),
    (i) => `channel ${i}`);
  return { terms, total, code: "head", steps: [
    { name: "logit", value: total, line: 1,
      text: `${columns} channels times the row of this token` },
    { name: "softmax", value: state.lines[r].p, line: 1,
      text: "e to the logit, divided by the sum over the vocabulary" }] };
}
