// The recorded sentence: what benchmarks/machine.py has stored, as numbers.
// A number is one or two characters, its row has one scale.

const MC_ZERO = 80; // the character code of zero
const MC_STEPS = 45; // … and of the largest number, above it and below

function mcDecode({ width, digits, scales, text }) {
  const n = text.length / digits;
  const values = new Float32Array(n);
  const base = 2 * MC_STEPS + 1;
  for (let i = 0; i < n; i += 1) {
    let value = 0;
    for (let d = 0; d < digits; d += 1) {
      value = value * base + text.charCodeAt(i * digits + d) - MC_ZERO;
    }
    values[i] = value * scales[Math.floor(i / width)];
  }
  return values;
}

// What was left out because it follows from the rest: norms, blends, sums.
function mcComplete(config, block, stream) {
  const { n_embd: C } = config;
  const n = stream.length / C;
  const rms = config.norm === "rms";
  const strips = { stream, read1: new Float32Array(n * C),
    read2: new Float32Array(n * C), mixed: new Float32Array(n * C) };
  for (const name of ["q", "k", "v", "attention", "hidden", "mlp"]) {
    strips[name] = mcDecode(block[name]);
  }
  const gain = (name) => ({ w: mcDecode(block[name]), b: null, rms });
  gptNorm(stream, n, gain("norm1"), strips.read1);
  strips.sum = stream.map((x, i) => x + strips.attention[i]);
  gptNorm(strips.sum, n, gain("norm2"), strips.read2);
  strips.next = strips.sum.map((x, i) => x + strips.mlp[i]);
  for (let p = 0; p < n; p += 1) {
    for (let r = 0; r < C; r += 1) {
      strips.mixed[p * C + r] = mcMixedCell(config, strips, { r, q: p }, n,
        String).total;
    }
  }
  return strips;
}

function mcMaps(config, blocks, n) {
  const { n_head: H } = config;
  const size = (n * (n + 1)) / 2;
  const maps = new Float32Array(blocks.length * H * size);
  blocks.forEach((strips, l) => {
    for (let h = 0; h < H; h += 1) {
      for (let p = 0; p < n; p += 1) {
        mcAttention(config, strips, h, p, n).slice(0, p + 1).forEach(
          ({ weight }, s) => {
            maps[(l * H + h) * size + (p * (p + 1)) / 2 + s] = weight;
          });
      }
    }
  });
  return maps;
}

// The record as a source of numbers, like McEngine: what needs weights is
// null.
function mcRecorded(record) {
  const { config, ids, text, lens, lines, tokens } = record;
  const { n_embd: C } = config;
  const n = ids.length;
  const stream = new Float32Array((record.blocks.length + 1) * n * C);
  let x = mcDecode(record.stream);
  stream.set(x);
  const blocks = record.blocks.map((block, l) => {
    const strips = mcComplete(config, block, x);
    x = strips.next;
    stream.set(x, (l + 1) * n * C);
    return strips;
  });
  const state = { ids, fresh: 0, cut: 0, config, stream, lens, lines,
    maps: mcMaps(config, blocks, n), pushes: mcPushes(n, C, blocks),
    final: null };
  return { text, state: async () => state,
    bytes: (id) => tokens[id] ?? "",
    block: async (layer) => blocks[layer], matrix: async () => null };
}
