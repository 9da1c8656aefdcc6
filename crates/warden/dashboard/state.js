// What the page knows of the warden, kept current, and who wants to hear of it.

import { get } from "./api.js";

/** Milliseconds between looks where nothing tells of changes. */
const EVERY = 2000;

export const state = { status: null, queue: [], live: "wait", since: 0 };
const listeners = new Set();

/** Calls `hear` on every change; gives the way out. */
export function listen(hear) {
  listeners.add(hear);
  return () => listeners.delete(hear);
}

function tell(what) {
  for (const hear of [...listeners]) hear(what);
}

let looking = null;

/** Looks at the warden; looks that overlap are one. */
export function refresh() {
  looking ??= look().finally(() => { looking = null; });
  return looking;
}

async function look() {
  try {
    const [status, queue] = await Promise.all([get("/api/status"), get("/api/queue")]);
    state.status = status;
    state.queue = queue.entries;
    state.live = "on";
  } catch (error) {
    if (error.status !== 401) state.live = "off";
  }
  state.since = Date.now();
  tell("changed");
}

let timer = null;
let on = false;

export function start() {
  on = true;
  const again = async () => {
    await refresh();
    if (on) timer = setTimeout(again, document.hidden ? 4 * EVERY : EVERY);
  };
  again();
}

export function stop() {
  on = false;
  clearTimeout(timer);
}
