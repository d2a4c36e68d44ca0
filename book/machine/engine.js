// The model itself, behind the playground's worker: a question is a message,
// its answer a promise.

class McEngine {
  constructor({ static: folder, version, model }, progress) {
    Object.assign(this, { folder, version, model, progress, waiting: new Map(),
      asked: 0, serial: 0, text: null });
  }

  async load() {
    this.worker = await startWorker(this);
    return new Promise((done, fail) => {
      this.fail = fail;
      this.worker.onerror = () => fail(new Error(startRefused()));
      this.worker.onmessage = ({ data }) => this.hear(data, done);
    });
  }

  hear(data, done) {
    if (data.say === "progress") this.progress(data.got / data.total);
    else if (data.say === "ready") {
      this.vocabulary = data;
      done(this);
    } else if (data.say === "failed") {
      const fault = new Error(data.why);
      this.fail(fault);
      for (const { fail } of this.waiting.values()) fail(fault);
      this.waiting.clear();
    } else if (this.waiting.has(data.question)) {
      this.waiting.get(data.question).answer(data);
      this.waiting.delete(data.question);
    }
  }

  ask(task, more = {}) {
    this.asked += 1;
    const question = this.asked;
    return new Promise((answer, fail) => {
      this.waiting.set(question, { answer, fail });
      this.worker.postMessage({ do: task, question, serial: this.serial,
        text: this.text, ...more });
    });
  }

  // A text, or a text whose ids are known (it was written by the model).
  state(text, { ids, anew } = {}) {
    if (text !== this.text) {
      this.text = text;
      this.serial += 1;
    }
    return this.ask("machine", { anew, ...(ids ? { ids } : {}) });
  }

  bytes(id) {
    return this.vocabulary.tokens[id];
  }

  block(layer) {
    return this.ask("machine_block", { layer });
  }

  matrix(layer, name, ids) {
    return this.ask("machine_matrix", { layer, name, ids });
  }

  write(knobs, seed, id) {
    return this.ask("machine_write", { knobs, seed, id });
  }
}
