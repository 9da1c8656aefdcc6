// Talking to the warden.

/** What the warden says went wrong: its sentence, and a code that stays the same. */
export class Problem extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Called when the warden does not know who we are any more. */
let signedOut = () => {};

export function whenSignedOut(act) {
  signedOut = act;
}

async function ask(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  // Reads as well: a cookie alone opens nothing.
  if (csrf) headers["X-CSRF-Token"] = csrf;
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, credentials: "same-origin", cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, "unreachable", "The warden does not answer. Nothing was changed.");
  }
  const text = await answer.text();
  let told = null;
  try {
    told = text ? JSON.parse(text) : null;
  } catch {
    // What is no JSON is said as it is.
  }
  if (answer.ok) return told ?? text;
  if (answer.status === 401) signedOut();
  const message = told?.detail ?? told?.message ?? told?.error?.message ?? (text || answer.statusText);
  throw new Problem(answer.status, told?.code ?? told?.error?.code ?? "", message);
}

let csrf = "";

/** The word that proves that it is this page that asks. */
export function useCsrf(word) {
  csrf = word;
}

export const get = (path) => ask("GET", path);
export const post = (path, body = {}) => ask("POST", path, body);
export const remove = (path) => ask("DELETE", path);

/** A path with a query; what is empty is left out. */
export function query(path, values) {
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(kept).toString();
  return text ? `${path}?${text}` : path;
}
