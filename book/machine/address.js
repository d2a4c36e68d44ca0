// Where the reader is, as the end of the page's address:
// #t=The%20people&b=3&h=1&q=7&k=6. Only what is known is there.
//
//   t   the text                     q   the lane: the place of a token
//   b   a block                      k   the key that this lane reads
//   h   a head of it                 r   one channel of the strip m
//   m   a strip of it, or "head": the output head
//   s   a stop of the tour, from 1

const MC_NUMBERS = ["b", "h", "q", "k", "r", "s"];
const MC_STRIPS = ["q", "k", "v", "mixed", "attention", "hidden", "mlp",
  "head"];
const MC_LONGEST = 2000; // characters of a text

function mcParse(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const at = {};
  const text = given.get("t");
  if (text) at.t = text.slice(0, MC_LONGEST);
  for (const name of MC_NUMBERS) {
    const value = given.get(name);
    if (/^\d{1,4}$/.test(value)) at[name] = Number(value);
  }
  if (MC_STRIPS.includes(given.get("m"))) at.m = given.get("m");
  return at;
}

function mcHash(at) {
  const parts = ["t", "b", "h", "m", "q", "k", "r", "s"].filter(
    (name) => at[name] !== undefined);
  return `#${parts.map((name) => `${name}=${encodeURIComponent(at[name])}`)
    .join("&")}`;
}

// Numbers that this model and text do not have are left out.
function mcFit(at, { config, ids, lines }) {
  const { n_layer: L, n_head: H } = config;
  const n = ids.length;
  const fit = { ...at };
  const most = { b: L, h: H, q: n, k: n };
  for (const [name, end] of Object.entries(most)) {
    if (fit[name] >= end) delete fit[name];
  }
  if (fit.b === undefined) delete fit.h;
  if (fit.b === undefined && fit.m !== "head") delete fit.m;
  if (fit.h !== undefined || fit.m === undefined) delete fit.r;
  if (fit.h !== undefined) delete fit.m;
  if (fit.h === undefined || fit.q === undefined) delete fit.k;
  if (fit.m === "head" && fit.r >= lines.length) delete fit.r;
  return fit;
}

// How deep that is: 0 overview, 1 block, 2 matrix, 3 cell.
function mcLevel(at) {
  if (at.k !== undefined || at.r !== undefined) return 3;
  if (at.h !== undefined || at.m !== undefined) return 2;
  return at.b === undefined ? 0 : 1;
}

// One level up: a cell's matrix, a matrix's block, a block's overview.
function mcUp({ k, r, h, m, b, ...rest }) {
  const kept = [{}, {}, { b }, { b, h, m }][mcLevel({ k, r, h, m, b })];
  return { ...rest, ...kept };
}
