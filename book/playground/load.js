// Files from this site, once: with progress, checked, kept in the browser's
// own cache, so that a second visit asks the network for nothing. From the
// disk a file comes as text, in base64.

class LoadError extends Error {}

const megabytes = (n) => `${(n / 1e6).toFixed(1)} MB`;

// The cache, where the browser has one: over https, or from this machine.
async function loadStore() {
  try {
    return await caches.open("minigpt-playground");
  } catch {
    return null;
  }
}

// SHA-256 in hexadecimal, or null where the browser does not offer it.
async function loadDigest(buffer) {
  if (!self.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", buffer);
  return Array.from(new Uint8Array(digest),
    (b) => b.toString(16).padStart(2, "0")).join("");
}

// Why these bytes are not the file, or "" if they are.
async function loadFault(buffer, { name, bytes, sha256 }) {
  if (buffer.byteLength !== bytes) {
    return `${name} is not whole: ${buffer.byteLength} of ${bytes} bytes came`;
  }
  const digest = await loadDigest(buffer);
  return digest && digest !== sha256
    ? `${name} is damaged: it does not have the checksum of this book's file`
    : "";
}

async function loadBody(answer, { name, bytes }, progress) {
  const parts = [];
  let got = 0;
  const reader = answer.body.getReader();
  for (;;) {
    let step;
    try {
      step = await reader.read();
    } catch {
      throw new LoadError(`the connection broke after ${megabytes(got)} of `
        + `${megabytes(bytes)} of ${name}`);
    }
    if (step.done) return new Blob(parts).arrayBuffer();
    parts.push(step.value);
    got += step.value.length;
    progress(got);
  }
}

function loadDecode(text) {
  const bytes = atob(text);
  const out = new Uint8Array(bytes.length);
  for (let i = 0; i < out.length; i += 1) out[i] = bytes.charCodeAt(i);
  return out.buffer;
}

// A file { name, url, bytes, sha256 }, with its contents in `text` from the
// disk -> { buffer, kept }: kept is true when the cache had it. Raises
// LoadError with what went wrong.
async function loadFile(file, progress) {
  if (file.text) {
    const buffer = loadDecode(file.text);
    const fault = await loadFault(buffer, file);
    if (fault) throw new LoadError(fault);
    return { buffer, kept: false };
  }
  const store = await loadStore();
  const kept = await store?.match(file.url);
  if (kept) {
    const buffer = await kept.arrayBuffer();
    if (!(await loadFault(buffer, file))) return { buffer, kept: true };
    await store.delete(file.url);
  }
  let answer;
  try {
    answer = await fetch(file.url, { cache: "no-cache" });
  } catch {
    throw new LoadError(`${file.name} could not be fetched: no connection`);
  }
  if (!answer.ok) {
    throw new LoadError(`${file.name} is not on this site (the server says `
      + `${answer.status})`);
  }
  const buffer = await loadBody(answer, file, progress);
  const fault = await loadFault(buffer, file);
  if (fault) throw new LoadError(fault);
  await loadKeep(store, file, buffer);
  return { buffer, kept: false };
}

// Put a file into the cache, in place of older versions of it.
async function loadKeep(store, { url }, buffer) {
  try {
    const path = url.split("?")[0];
    for (const old of await store.keys()) {
      if (old.url.split("?")[0] === path) await store.delete(old);
    }
    await store.put(url, new Response(buffer));
  } catch {
    // no cache, or no room in it: the page works all the same
  }
}
