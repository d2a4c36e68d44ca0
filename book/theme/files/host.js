/* Shows the widgets of a page without a kernel: reads their stored state,
 * imports each one's own module and lets it draw. What cannot be drawn keeps
 * its static stand-in. */
(() => {
  "use strict";
  const MIME = "application/vnd.jupyter.widget-";
  const states = {};
  const models = {};
  const modules = {};

  const json = (kind, root) =>
    [...root.querySelectorAll(`script[type="${MIME}${kind}+json"]`)].map(
      (tag) => JSON.parse(tag.textContent));

  function bytes({ path, encoding, data }, state) {
    const raw = encoding === "hex"
      ? data.replace(/../g, (h) => String.fromCharCode(parseInt(h, 16)))
      : atob(data);
    const view = new DataView(new ArrayBuffer(raw.length));
    for (let i = 0; i < raw.length; i++) view.setUint8(i, raw.charCodeAt(i));
    const last = path[path.length - 1];
    path.slice(0, -1).reduce((place, key) => place[key], state)[last] = view;
  }

  function model(id) {
    if (models[id]) return models[id];
    const { state, buffers } = states[id];
    (buffers || []).forEach((buffer) => bytes(buffer, state));
    const calls = [];
    const emit = (name, ...args) =>
      calls.filter((c) => c.name === name).forEach((c) => c.call(...args));
    const names = (text) => (text == null ? [null] : text.split(/\s+/));
    return (models[id] = {
      get: (key) => state[key],
      set(key, value) {
        const entries = typeof key === "object" ? key : { [key]: value };
        const changed = Object.keys(entries).filter(
          (name) => state[name] !== entries[name]);
        changed.forEach((name) => { state[name] = entries[name]; });
        changed.forEach((name) => emit(`change:${name}`, this, state[name]));
        if (changed.length) emit("change", this);
      },
      on(text, call) {
        names(text).forEach((name) => calls.push({ name, call }));
      },
      off(text, call) {
        for (let i = calls.length - 1; i >= 0; i--) {
          const c = calls[i];
          if (names(text).some((name) => name == null || name === c.name) &&
              (!call || call === c.call)) calls.splice(i, 1);
        }
      },
      save_changes() {},
      send() {},
      widget_manager: { get_model: async (other) => model(other) },
    });
  }

  const text = (id, key) => {
    const value = states[id].state[key] || "";
    return value[0] === "=" ? states[value.slice(1)].state[key] : value;
  };

  function load(id) {
    const source = text(id, "_esm");
    return (modules[source] ||= (async () => {
      const blob = new Blob([source], { type: "text/javascript" });
      const loaded = (await import(URL.createObjectURL(blob))).default;
      const style = document.createElement("style");
      style.textContent = text(id, "_css");
      document.head.append(style);
      return typeof loaded === "function" ? loaded() : loaded;
    })());
  }

  /* What the address calls a widget: attention-map, and attention-map-2 if it
     is the second of its kind in the page (see common.js of minigpt.viz). */
  const count = {};
  function called(id) {
    const kind = (states[id]?.state._anywidget_id ?? "").split(".").at(-2)
      ?.replaceAll("_", "-") ?? "widget";
    count[kind] = (count[kind] ?? 0) + 1;
    return count[kind] > 1 ? `${kind}-${count[kind]}` : kind;
  }

  async function draw(box) {
    if (box.dataset.state) return;
    box.dataset.state = "loading";
    const el = document.createElement("div");
    el.className = "mg-live";
    el.dataset.address = names.get(box);
    try {
      const id = json("view", box)[0].model_id;
      const widget = await load(id);
      const first = !models[id];
      if (first) await widget.initialize?.({ model: model(id) });
      box.append(el);
      await widget.render({ model: model(id), el });
      box.dataset.state = "alive";
    } catch (error) {
      el.remove();
      box.dataset.state = "failed";
      console.warn("widget not shown:", error);
    }
  }

  const boxes = document.querySelectorAll(".mg-widget");
  json("state", document).forEach(({ state }) => Object.assign(states, state));
  const names = new Map([...boxes].map(
    (box) => [box, called(json("view", box)[0].model_id)]));
  const asked = [...boxes].find((box) => location.hash.slice(1).split("&").some(
    (part) => part.startsWith(`${names.get(box)}=`)));
  if (asked) draw(asked).then(() => asked.scrollIntoView());
  const near = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => {
      near.unobserve(e.target);
      draw(e.target);
    }), { rootMargin: "2000px" });
  boxes.forEach((box) => near.observe(box));
  /* The others when the browser has time: a widget may be higher than what
     stood for it, and nothing jumps where nobody looks yet. */
  const idle = window.requestIdleCallback ?? ((call) => setTimeout(call, 200));
  async function others() {
    const box = [...boxes].find((b) => !b.dataset.state);
    if (!box) return;
    near.unobserve(box);
    await draw(box);
    idle(others);
  }
  if (document.readyState === "complete") idle(others);
  else addEventListener("load", () => idle(others));
  /* The Tab key must find a widget's controls before they are in view. */
  addEventListener("keydown", (event) => {
    if (event.key === "Tab") boxes.forEach(draw);
  });
})();
