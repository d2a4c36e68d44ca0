// What the page shows, as the fragment of its address, and back. Whatever is
// in a fragment is text or is ignored.

const ADDRESS_LONGEST = 8000; // characters; a longer text has no address

// Is the address that of a file on this machine, of no use to others?
const addressIsLocal = () => location.protocol === "file:";

// { text or ids, model, seed, count, written, knobs, at, head, off } -> text
function addressWrite(state) {
  const { text, ids, model, seed, written, knobs, at, head, off } = state;
  const pairs = [
    ids ? ["i", ids.join(".")] : ["t", text],
    ["m", model], ["seed", seed], ["T", knobs.t], ["k", knobs.k],
    ["p", knobs.p], ["n", written], ["at", at], ["head", head?.join(".")],
    ["off", off.map((pair) => pair.join(".")).join("_") || null],
  ];
  const kept = pairs.filter(([, value]) => value !== undefined
    && value !== null && value !== Infinity);
  const query = new URLSearchParams(kept).toString();
  return query.length > ADDRESS_LONGEST ? "" : query;
}

// A fragment -> the same, with what makes no sense left out; null where it
// names no text (it may lead to a heading of the page).
function addressRead(fragment) {
  const found = new URLSearchParams(fragment.replace(/^#/, ""));
  const number = (name, least, most) => {
    const text = found.get(name) ?? "";
    const value = Number(text);
    return /^\d+(\.\d+)?$/.test(text) && value >= least && value <= most
      ? value : undefined;
  };
  const whole = (name, least, most) => {
    const value = number(name, least, most);
    return Number.isInteger(value) ? value : undefined;
  };
  const ids = addressNumbers(found.get("i"));
  if (!ids && !found.has("t")) return null;
  const pairs = (text) => (text ?? "").split("_").map(
    (pair) => addressNumbers(pair)).filter((pair) => pair?.length === 2);
  return { ids, text: found.get("t") ?? "", model: found.get("m"),
    seed: whole("seed", 0, 4294967295), written: whole("n", 0, 1000) ?? 0,
    knobs: { t: number("T", 0, 2), k: whole("k", 1, 1e6),
      p: number("p", 0.05, 1) }, at: whole("at", 0, 1e6),
    head: pairs(found.get("head"))[0], off: pairs(found.get("off")) };
}

// "3.14.15" -> [3, 14, 15], or undefined.
function addressNumbers(text) {
  const parts = text?.split(".") ?? [];
  return parts.length && parts.every((part) => /^\d{1,7}$/.test(part))
    ? parts.map(Number) : undefined;
}

// Put a state into the address: a step that Back undoes, or not. A browser
// may refuse (too often, or no history); then the address stays as it was.
function addressShow(query, step) {
  if (location.hash.slice(1) === query) return;
  const url = `${location.pathname}${location.search}${query && `#${query}`}`;
  try {
    history[step ? "pushState" : "replaceState"](null, "", url);
  } catch {
    // the page works all the same
  }
}
