// The model itself, behind the hero: the playground's worker, asked for one
// token at a time, so that the page can show what happens between two.

const HERO_KNOBS = { t: heroRecord.temperature, p: heroRecord.top_p,
  k: Infinity, m: 0, penalty: 1 };

// Tokens as parts of one text: a character belongs to the token that ends it.
function heroTexts(vocabulary, ids) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return ids.map((id) => decoder.decode(bpeBytes(vocabulary, [id]),
    { stream: true }));
}

// One token alone; bytes that are no whole character in hexadecimal.
function heroName({ tokens, special }, id) {
  const first = tokens.length - special.length;
  if (id >= first) return special[id - first];
  return bpePieces(tokens[id]).map(({ text, byte }) => (text
    ?? `⟨${byte.toString(16).toUpperCase().padStart(2, "0")}⟩`)).join("");
}

// onProgress(bytes), onReady(), onFailed(why), onMoment(moment, drawn),
// onEnd(): what the hero must know.
class HeroModel {
  constructor(box, heard) {
    const { static: folder, version, models } = box.dataset;
    const [model] = JSON.parse(models);
    this.bytes = model.files.reduce((n, file) => n + file.bytes, 0);
    Object.assign(this, { heard, serial: 0, ready: false });
    startWorker({ folder, version, model }).then((worker) => this.open(worker),
      (error) => heard.onFailed(error.message));
  }

  open(worker) {
    this.worker = worker;
    worker.onerror = () => this.heard.onFailed(startRefused());
    worker.onmessage = ({ data }) => this[`on_${data.say}`]?.(data);
  }

  end() {
    this.worker?.terminate();
  }

  on_progress({ got }) {
    this.heard.onProgress(got);
  }

  on_ready({ config, tokens, special }) {
    Object.assign(this, { config, vocabulary: { tokens, special },
      ready: true });
    this.heard.onReady();
  }

  on_failed({ why }) {
    this.heard.onFailed(why);
  }

  send(message) {
    this.worker.postMessage({ serial: this.serial, ...this.now, ...message });
  }

  // What the model makes of a text that the reader typed.
  read(text) {
    this.serial += 1;
    this.now = { text };
    this.given = null;
    this.look();
  }

  look(place = null) {
    this.send({ do: "look", place, knobs: HERO_KNOBS, most: 6 });
  }

  // One token more. What was drawn, and from what, comes as a moment.
  write(seed) {
    this.serial += 1;
    this.send({ do: "write", n: 1, seed, knobs: HERO_KNOBS });
  }

  on_ids({ ids, serial }) {
    if (serial !== this.serial) return;
    this.now = { ids };
    this.given ??= ids.length;
  }

  on_token({ ids, serial }) {
    if (serial !== this.serial) return;
    this.now = { ids };
    this.look(ids.length - 2);
  }

  on_done({ ended, serial }) {
    if (serial !== this.serial || !ended) return;
    this.heard.onEnd();
  }

  on_state(state) {
    if (state.serial !== this.serial) return;
    this.heard.onMoment(this.moment(state), state.next !== undefined);
  }

  moment({ begun, start, place, next, lines, maps }) {
    const { n_layer: L, n_head: H } = this.config;
    const T = maps.shape[3];
    const p = place - start;
    const size = (T * (T + 1)) / 2;
    const data = new Float32Array(maps.data.buffer);
    const rows = Array.from({ length: L * H }, (_, i) => {
      const from = i * size + (p * (p + 1)) / 2;
      return data.subarray(from, from + p + 1);
    });
    const name = (id) => heroName(this.vocabulary, id);
    return { tokens: heroTexts(this.vocabulary, begun.slice(start, place + 1)),
      given: this.given - start, rows, lines: lines.map(({ id, model }) => ({
        text: name(id), p: model, chosen: id === next })) };
  }
}
