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

/** What is asked for again and again, as it was told last, with its tag: it is not sent twice. */
const KEPT = new Set(["/api/status", "/api/queue"]);
const kept = new Map();

async function ask(method, path, body) {
  const headers = { Accept: "application/json" };
  const known = method === "GET" ? kept.get(path) : undefined;
  if (known) headers["If-None-Match"] = known.tag;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  // Reads as well: a cookie alone opens nothing.
  if (csrf) headers["X-CSRF-Token"] = csrf;
  // An answer to a request is given once, however often it is sent.
  const isOnce = method === "POST" && path.startsWith("/api/queue/");
  if (isOnce) headers["Idempotency-Key"] = word();
  const send = async () => {
    const given = await fetch(path, {
      method, headers, credentials: "same-origin", cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    return [given, await given.text()];
  };
  const silent = () => {
    throw new Problem(0, "unreachable", `The warden does not answer. ${method === "GET" ? "Nothing was changed." : "Whether it was done is not known."}`);
  };
  const [answer, text] = await send().catch(isOnce ? send : silent).catch(silent);
  if (known && answer.status === 304) return known.told;
  let told = null;
  try {
    told = text ? JSON.parse(text) : null;
  } catch {
    // What is no JSON is said as it is.
  }
  if (answer.ok) {
    const tag = answer.headers.get("ETag");
    if (method === "GET" && tag && KEPT.has(path)) kept.set(path, { tag, told });
    return told ?? text;
  }
  if (answer.status === 401) signedOut();
  const message = told?.detail ?? told?.message ?? told?.error?.message ?? (text || answer.statusText);
  throw new Problem(answer.status, told?.code ?? told?.error?.code ?? "", message);
}

/** A word that nobody used before. `randomUUID` is not there on pages that came without TLS by another name than localhost. */
function word() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

let csrf = "";

/** The word that proves that it is this page that asks. */
export function useCsrf(word) {
  csrf = word;
}

/** What happens, for as long as it is read: calls `hear` with the name and the data of each event. `last` is the id that was heard last; gives
 * the one that is by now. Ends with the stream, and throws where there is none. */
export async function listen(path, last, signal, hear) {
  const headers = { Accept: "text/event-stream" };
  if (csrf) headers["X-CSRF-Token"] = csrf;
  if (last) headers["Last-Event-ID"] = last;
  const answer = await fetch(path, { headers, credentials: "same-origin", cache: "no-store", signal });
  if (!answer.ok || !answer.body) throw new Problem(answer.status, "", answer.statusText);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    let read;
    try {
      read = await reader.read();
    } catch {
      return last;
    }
    if (read.done) return last;
    text += read.value;
    const frames = text.split("\n\n");
    text = frames.pop();
    for (const frame of frames) {
      const said = Object.fromEntries(frame.split("\n").map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)]));
      last = said.id ?? last;
      if (said.event) hear(said.event, said.data);
    }
  }
}

/** An answer that is read as it comes, such as a recording; throws what the warden says where it gives none. */
export async function stream(path, signal) {
  const answer = await fetch(path, { headers: csrf ? { "X-CSRF-Token": csrf } : {}, credentials: "same-origin", cache: "no-store", signal });
  if (answer.ok && answer.body) return answer;
  if (answer.status === 401) signedOut();
  const told = await answer.json().catch(() => null);
  throw new Problem(answer.status, told?.code ?? "", told?.detail ?? answer.statusText);
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
