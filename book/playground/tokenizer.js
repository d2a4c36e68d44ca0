// Byte-pair encoding and single characters, as BPETokenizer and CharTokenizer
// of chapter 1. Bytes are kept as text with one character for each byte
// (Latin-1), as in tokenizer.json.

// Python's `regex` and JavaScript mean different things by \s: the property is
// named, so that both take the same characters.
const bpeSplit = new RegExp("'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+"
  + "| ?[^\\p{White_Space}\\p{L}\\p{N}]+|\\p{White_Space}+(?!\\P{White_Space})"
  + "|\\p{White_Space}+", "gu");

// The contents of tokenizer.json -> { tokens, ranks, special, decode tables }.
// Throws an Error for another kind of tokenizer.
function bpeLoad(file) {
  if (file.kind === "CharTokenizer" && file.version === 1) {
    const tokens = file.tokens.map(bpeToBytes);
    return { tokens, special: [], letters: bpeLetters(tokens) };
  }
  if (file.kind !== "BPETokenizer" || file.version !== 1) {
    throw new Error("this page reads BPETokenizer and CharTokenizer, version "
      + `1; the file is ${file.kind}, version ${file.version}`);
  }
  const ranks = new Map(file.tokens.map((token, rank) => [token, rank]));
  const special = file.special_tokens.map((name) => bpeToBytes(name));
  return { tokens: [...file.tokens, ...special], ranks,
    special: file.special_tokens, known: new Map() };
}

// Tokens of one character each -> { the character's bytes: its id }.
function bpeLetters(tokens) {
  return new Map(tokens.map((token, id) => [token, id]));
}

// The first character of a text without a token, or undefined.
function bpeStranger(letters, text) {
  return Array.from(text).find((c) => !letters.has(bpeToBytes(c)));
}

// Text -> UTF-8 as Latin-1. Half a character (a lone surrogate) has no UTF-8
// and becomes U+FFFD.
function bpeToBytes(text) {
  let bytes = "";
  for (const b of new TextEncoder().encode(text)) {
    bytes += String.fromCharCode(b);
  }
  return bytes;
}

// A heap of [rank, start, stop], the smallest rank first, then the leftmost.
function bpeHeap() {
  const heap = [];
  const before = (a, b) => a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
  function push(entry) {
    let i = heap.push(entry) - 1;
    while (i && before(entry, heap[(i - 1) >> 1])) {
      heap[i] = heap[(i - 1) >> 1];
      i = (i - 1) >> 1;
    }
    heap[i] = entry;
  }
  function pop() {
    const first = heap[0];
    const last = heap.pop();
    if (!heap.length) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && before(heap[right], heap[child])) {
        child = right;
      }
      if (!before(heap[child], last)) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = last;
    return first;
  }
  return { push, pop, get size() { return heap.length; } };
}

// Bytes -> ids: merge the neighbours of lowest rank until none is left.
function bpeMerge(chunk, ranks) {
  const stop = chunk.length;
  const after = Int32Array.from({ length: stop + 1 }, (_, i) => i + 1);
  const before = Int32Array.from({ length: stop + 1 }, (_, i) => i - 1);
  after[stop] = 0; // after the end comes nothing
  const heap = bpeHeap();
  function offer(i) {
    const j = i < 0 ? 0 : after[after[i]];
    const rank = j ? ranks.get(chunk.slice(i, j)) : undefined;
    if (rank !== undefined) heap.push([rank, i, j]);
  }
  for (let i = 0; i < stop; i += 1) offer(i);
  while (heap.size) {
    const [, i, j] = heap.pop();
    const middle = after[i];
    if (middle < 0 || after[middle] !== j) continue; // merged before
    after[i] = j;
    before[j] = i;
    after[middle] = -1;
    offer(before[i]);
    offer(i);
  }
  const ids = [];
  for (let i = 0; i < stop; i = after[i]) {
    ids.push(ranks.get(chunk.slice(i, after[i])));
  }
  return ids;
}

// Text -> ids. Special tokens in the text are text like any other. Throws an
// Error for a character without a token.
function bpeEncode(tokenizer, text) {
  const { ranks, known, letters } = tokenizer;
  if (letters) {
    const stranger = bpeStranger(letters, text);
    if (stranger) throw new Error(`no token for ${stranger}`);
    return Array.from(text, (c) => letters.get(bpeToBytes(c)));
  }
  const ids = [];
  const whole = text.replace(/\p{Cs}/gu, "\uFFFD");
  for (const chunk of whole.match(bpeSplit) || []) {
    let found = known.get(chunk);
    if (!found) {
      found = bpeMerge(bpeToBytes(chunk), ranks);
      if (known.size > 20000) known.clear();
      if (chunk.length < 100) known.set(chunk, found);
    }
    for (const id of found) ids.push(id);
  }
  return ids;
}

function bpeBytes(tokenizer, ids) {
  let text = "";
  for (const id of ids) text += tokenizer.tokens[id];
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

// Ids -> text; bytes that are not UTF-8 become U+FFFD. With { open: true } a
// character that has only begun at the end is left out.
function bpeDecode(tokenizer, ids, { open = false } = {}) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return decoder.decode(bpeBytes(tokenizer, ids), { stream: open });
}

// How many bytes at the end of `ids` have begun a character, unfinished.
function bpeOpenBytes(tokenizer, ids) {
  const tail = ids.slice(-4);
  const open = bpeDecode(tokenizer, tail, { open: true });
  if (open === bpeDecode(tokenizer, tail)) return 0;
  const bytes = bpeBytes(tokenizer, tail);
  for (let n = 1; n <= Math.min(3, bytes.length); n += 1) {
    if (bytes[bytes.length - n] >= 0xc0) return n;
  }
  return 0;
}

// One token as text, with a sign for each byte that is no whole character:
// the bytes 20 C3 -> " ⟨C3⟩".
function bpePieces(bytes) {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const pieces = [];
  const codes = Uint8Array.from(bytes, (c) => c.charCodeAt(0));
  for (let i = 0; i < codes.length;) {
    const b = codes[i];
    const size = b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    let text = null;
    try {
      if (i + size <= codes.length) {
        text = strict.decode(codes.subarray(i, i + size));
      }
    } catch {
      text = null; // no whole character begins here
    }
    pieces.push({ text, byte: b });
    i += text === null ? 1 : size;
  }
  return pieces;
}
