// Starts the worker that computes a model. Over http it is given addresses.
// From the disk a page may load nothing but scripts: there its own source and
// the model's files come as text in scripts, and the worker from a Blob. A page
// that `minigpt share` wrote has these scripts in it, wherever it is opened.

const startFromDisk = () => location.protocol === "file:"
  || Boolean(self.mgDisk);

// Are the files of a model in the page already?
function startIsHere({ name, files }) {
  return files.every((file) => self.mgDisk?.[`${name}/${file.name}`]);
}

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

// What the script of a file has put into mgDisk[name].
function startText(folder, name, version) {
  return new Promise((resolve, reject) => {
    if (self.mgDisk?.[name]) {
      resolve(self.mgDisk[name]);
      return;
    }
    const src = startUrl(folder, `${name}.js`, version);
    document.head.append(mgEl("script", { src,
      onload: () => resolve(self.mgDisk[name]),
      onerror: () => reject(new Error(`${name} is not in the folder of this `
        + "page")) }));
  });
}

// `folder` leads to the playground's scripts, `version` is the worker's. ->
// a worker that has been told to load `model`, one of data-models.
async function startWorker({ folder, version, model }) {
  const path = (file) => `${model.name}/${file.name}`;
  if (!startFromDisk()) {
    return startGiven(startUrl(folder, "worker.js", version),
      model.files.map((file) => ({ ...file, url: startUrl(folder, path(file),
        file.sha256.slice(0, 16)) })));
  }
  const [script, ...texts] = await Promise.all(["worker.js",
    ...model.files.map(path)].map((name) => startText(folder, name, version)));
  const source = new Blob([script], { type: "text/javascript" });
  return startGiven(URL.createObjectURL(source),
    model.files.map((file, i) => ({ ...file, text: texts[i] })));
}

function startGiven(source, files) {
  const worker = startMade(source);
  worker.postMessage({ do: "load", files });
  return worker;
}
