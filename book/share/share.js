// The training curve of a page that `minigpt share` wrote: its widget draws
// the state that is kept in the page.

// JSON in which the bytes of packed numbers are base64.
function shareState(text) {
  return JSON.parse(text, (key, value) => {
    if (key !== "data") return value;
    const bytes = Uint8Array.from(atob(value), (c) => c.charCodeAt(0));
    return new DataView(bytes.buffer);
  });
}

for (const el of document.querySelectorAll("[data-curve]")) {
  const state = shareState(el.dataset.curve);
  mgLiveCurve.render({ el, model: { get: (name) => state[name], on() {} } });
}
