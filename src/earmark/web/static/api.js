// Requests to the JSON API. A failure is a Refused with the server's own sentence, or status 0 where it was not reached.

export class Refused extends Error {
  constructor(status, detail, error = "") {
    super(detail);
    this.status = status;
    this.error = error;
  }
  get isPassing() { // the same again may succeed
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const csrf = document.querySelector("meta[name=csrf]").content;
const LONGEST_MS = 20000;

async function request(path, options) {
  let response;
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), LONGEST_MS);
  try {
    response = await fetch(path, { credentials: "same-origin", signal: stop.signal, ...options });
    if (response.ok) return options.as === "blob" ? await response.blob() : await response.json();
  } catch {
    throw new Refused(0, "No connection to the server.");
  } finally {
    clearTimeout(timer);
  }
  let problem = {};
  try { problem = await response.json(); } catch { /* a proxy's own page, say */ }
  throw new Refused(response.status, problem.detail || `The server answered ${response.status}.`, problem.error);
}

export const post = (path, body) => request(path, {
  method: "POST",
  headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
  body: JSON.stringify(body),
});
export const get = (path) => request(path, {});
export const blob = (path) => request(path, { as: "blob" });

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
