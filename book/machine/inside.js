// The machine's part of the worker: a text of at most 32 tokens, with every
// number that is computed on the way to the next token.
//
// in:   machine · machine_block · machine_matrix · machine_write
// out:  machine_<the same>, with the number of the question

const MACHINE_MOST = 32; // tokens: more lanes than that nobody can tell apart

// A run that keeps what its blocks compute, as rows of one place each.
class MachineRun extends GptRun {
  constructor(config, weights) {
    const block_size = Math.min(MACHINE_MOST, config.block_size);
    super({ ...config, block_size }, weights);
    this.seen = weights.layers.map(() => ({}));
    this.lens = [];
    this.fresh = 0; // the first place that the last text computed anew
  }

  extend(ids) {
    this.fresh = this.length;
    super.extend(ids);
    for (let p = this.fresh; p < this.length; p += 1) this.guess(p);
  }

  // `values` hold n rows of one length; only the place says where they end.
  see(name, layer, from, n, values) {
    const width = this.width(name);
    const rooms = this.seen[layer];
    rooms[name] ||= new Float32Array(this.config.block_size * width);
    rooms[name].set(values.subarray(0, n * width), from * width);
  }

  width(name) {
    const [{ qkv, out }] = this.weights.layers;
    return { qkv: qkv.rows, hidden: out.columns }[name]
      ?? this.config.n_embd;
  }

  // The logit lens at place p: the likeliest token after each block.
  guess(p) {
    this.lens[p] = this.stream.map((_, l) => {
      const probs = dialSoftmax(Array.from(this.logits(p, l)));
      const id = probs.reduce((best, x, i) => (x > probs[best] ? i : best), 0);
      return { id, p: probs[id] };
    });
  }

  // Strips of one block for all places: { name: rows }.
  strips(layer) {
    const { n_embd: C } = this.config;
    const n = this.length;
    const { qkv, ...rest } = this.seen[layer];
    const found = {};
    for (const [name, values] of Object.entries(rest)) {
      found[name] = values.slice(0, n * this.width(name));
    }
    const whole = this.width("qkv");
    const part = (a, b) => {
      const rows = new Float32Array(n * (b - a));
      for (let p = 0; p < n; p += 1) {
        rows.set(qkv.subarray(p * whole + a, p * whole + b), p * (b - a));
      }
      return rows;
    };
    const KD = this.K * this.D;
    Object.assign(found, { q: part(0, C), k: part(C, C + KD),
      v: part(C + KD, whole) });
    found.stream = this.stream[layer].slice(0, n * C);
    found.next = this.stream[layer + 1].slice(0, n * C);
    return found;
  }

  pushes() {
    const { n_embd: C } = this.config;
    return mcPushes(this.length, C, this.seen.map((seen, l) => ({
      ...seen, stream: this.stream[l] })));
  }

  // Attention weights of all heads: rows of 1, 2, 3 … numbers each.
  weightsOf() {
    const { n_head: H, n_layer: L, block_size: T } = this.config;
    const size = (n) => (n * (n + 1)) / 2;
    const rows = size(this.length);
    const all = new Float32Array(L * H * rows);
    this.maps.forEach((map, l) => {
      for (let h = 0; h < H; h += 1) {
        const start = h * size(T);
        all.set(map.subarray(start, start + rows), (l * H + h) * rows);
      }
    });
    return all;
  }
}

function machineRun({ anew = false } = {}) {
  if (all.machine?.weights !== all.weights) {
    all.machine = new MachineRun(all.model.config, all.weights);
  }
  const run = all.machine;
  const most = run.config.block_size;
  if (anew) run.length = 0; // as if there were no cache
  run.read(shownIds().slice(-most));
  return run;
}

// The vector that the output head reads at place p.
function machineFinal(run, p) {
  const { n_embd: C, n_layer: L } = run.config;
  const x = run.stream[L].slice(p * C, (p + 1) * C);
  if (run.weights.norm) gptNorm(x, 1, run.weights.norm, x);
  return x;
}

const machineTasks = {
  machine({ anew }) {
    const run = machineRun({ anew });
    const { n_embd: C, n_layer: L } = run.config;
    const n = run.length;
    const stream = new Float32Array((L + 1) * n * C);
    run.stream.forEach((x, l) => stream.set(x.subarray(0, n * C), l * n * C));
    const knobs = { t: 1, k: Infinity, p: 1, m: 0, penalty: 1 };
    const logits = Float32Array.from(run.logits(n - 1));
    return { ids: Array.from(run.ids.subarray(0, n)), fresh: run.fresh,
      cut: Math.max(0, all.ids.length - n), config: run.config, stream,
      maps: run.weightsOf(), pushes: run.pushes(), lens: run.lens.slice(0, n),
      final: machineFinal(run, n - 1),
      lines: table(logits, new Set(), knobs, 12, undefined).lines.map(
        ({ id, model }) => ({ id, p: model, logit: logits[id] })) };
  },

  machine_block({ layer }) {
    return machineRun().strips(layer);
  },

  // The weights that make one strip: a row for each of its channels.
  machine_matrix({ layer, name, ids }) {
    const { layers, head } = all.weights;
    const { K, D, config: { n_embd: C } } = machineRun();
    const rowsOf = ({ w, b, columns }, a, z) => ({ columns,
      rows: z - a, w: w.slice(a * columns, z * columns),
      b: b && b.slice(a, z) });
    if (name === "head") {
      const rows = ids.map((id) => rowsOf(head, id, id + 1).w);
      const w = new Float32Array(ids.length * C);
      rows.forEach((row, i) => w.set(row, i * C));
      return { columns: C, rows: ids.length, w, b: null };
    }
    const { qkv, proj, fc, out, norm_q, norm_k } = layers[layer];
    const gain = { q: norm_q, k: norm_k }[name] || null;
    const [whole, a, z] = { q: [qkv, 0, C], k: [qkv, C, C + K * D],
      v: [qkv, C + K * D, qkv.rows], attention: [proj, 0, proj.rows],
      hidden: [fc, 0, fc.rows], mlp: [out, 0, out.rows] }[name];
    return { ...rowsOf(whole, a, z), gain: gain?.w };
  },

  // One token more, drawn as the playground draws it, or the one that is given.
  machine_write({ knobs, seed, id }) {
    const run = machineRun();
    const logits = run.logits(run.length - 1);
    const chosen = id ?? dialDraw(
      dialProbabilities(logits, new Set(shownIds()), knobs).probs,
      throwAt(seed, shownIds().length));
    const ended = chosen === all.end;
    if (!ended) all.ids = [...all.ids, chosen];
    return { ids: all.ids, id: chosen, ended };
  },
};

for (const [name, task] of Object.entries(machineTasks)) {
  tasks[name] = (data) => say({ say: name, question: data.question,
    ...task(data) });
}
