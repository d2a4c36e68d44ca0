// Starts the worker that computes a model. Over http it is given addresses.
// From the disk a page may load nothing but scripts: there its own source and
// the model's files come as text in scripts, and the worker from a Blob.

const startFromDisk = () => location.protocol === "file:";

function startUrl(folder, name, version) {
  return new URL(`${folder}${name}?v=${version}`, document.baseURI).href;
}

// Why there is no worker, where the browser does not say it.
function startRefused() {
  return startFromDisk() ? "this browser runs no model in a page that was "
    + "opened from the disk. Use another browser, or run “python -m "
    + "http.server” in the folder of the page and open http://localhost:8000"
    : "the page's own script for the model could not be started";
}

function startMade(source) {
  try {
    return new Worker(source);
  } catch {
    throw new Error(startRefused());
  }
}

// What the script at `url` has put into mgDisk[name].
function startText(url, name) {
  return new Promise((resolve, reject) => {
    if (self.mgDisk?.[name]) {
      resolve(self.mgDisk[name]);
      return;
    }
    document.head.append(mgEl("script", { src: url,
      onload: () => resolve(self.mgDisk[name]),
      onerror: () => reject(new Error(`${name} is not in the folder of this `
        + "page")) }));
  });
}

// `folder` leads to the playground's scripts, `version` is the worker's. ->
// a worker that has been told to load `model`, one of data-models.
async function startWorker({ folder, version, model }) {
  const files = model.files.map((file) => ({ ...file,
    url: startUrl(folder, `${model.name}/${file.name}`,
      file.sha256.slice(0, 16)) }));
  let source = startUrl(folder, "worker.js", version);
  if (startFromDisk()) {
    const text = (name) => startText(
      startUrl(folder, `${name}.js`, version), name);
    const [script, ...contents] = await Promise.all(["worker.js",
      ...files.map((file) => `${model.name}/${file.name}`)].map(text));
    source = URL.createObjectURL(new Blob([script],
      { type: "text/javascript" }));
    files.forEach((file, i) => { file.text = contents[i]; });
  }
  const worker = startMade(source);
  worker.postMessage({ do: "load", files });
  return worker;
}
