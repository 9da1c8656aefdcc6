// What the page knows of the warden, kept current, and who wants to hear of it.

import { get, listen as events } from "./api.js";

/** Milliseconds between looks where nothing tells of changes, and where events do. */
const EVERY = 2000;
const CALM = 10000;
/** Milliseconds that what happens together has to come together. */
const GATHER = 100;
/** Entries from which on a queue is long, and what happens has longer to come together. */
const LONG = 1000;
const GATHER_LONG = 1500;
/** Milliseconds before events are asked for again. */
const AGAIN = 5000;
/** What the queue and the status do not have anew: commands come and go too often to look for each. */
const PASSED_OVER = new Set(["hello", "started", "finished", "killed", "bye"]);

/** `live` is `on`, `off` or `wait`; `why` is what the warden said where it answers and tells nothing. */
export const state = { status: null, queue: [], live: "wait", why: "", since: 0 };
/** Answers that were heard of lately, by the entry that they are for: `event`, `approver`, `reason`. */
export const answers = new Map();
/** The most of them. */
const ANSWERS = 500;
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
    state.why = "";
  } catch (error) {
    if (error.status !== 401) {
      state.live = "off";
      state.why = error.status ? error.message : "";
    }
  }
  state.since = Date.now();
  tell("changed");
}

let timer = null;
let on = false;
/** The events that are being read, while they are. */
let reading = null;
let hears = false;
let last = "";
let soon = null;

function keep(data) {
  let answer;
  try {
    answer = JSON.parse(data);
  } catch {
    return;
  }
  answers.set(answer.entry, answer);
  if (answers.size > ANSWERS) answers.delete(answers.keys().next().value);
}

/** Looks a little later, once for all that happens until then. */
function lookSoon() {
  soon ??= setTimeout(async () => {
    // One that was begun before may not have it.
    await looking;
    soon = null;
    if (on) refresh();
  }, state.queue.length > LONG ? GATHER_LONG : GATHER);
}

/** Reads events while the page is seen: a browser has few connections to one host, and pages that nobody sees must not hold them. */
async function follow() {
  if (reading) return;
  const mine = new AbortController();
  reading = mine;
  while (on && reading === mine) {
    try {
      last = await events("/api/events", last, mine.signal, (name, data) => {
        hears = true;
        if (name === "approved" || name === "denied") keep(data);
        if (!PASSED_OVER.has(name)) lookSoon();
      });
    } catch {
      // The looks go on, and say what is wrong.
    }
    hears = false;
    lookSoon();
    if (on && reading === mine) await new Promise((done) => { setTimeout(done, AGAIN); });
  }
}

function unfollow() {
  reading?.abort();
  reading = null;
  hears = false;
}

function seen() {
  if (document.hidden) unfollow();
  else if (on) follow();
}

export function start() {
  on = true;
  const again = async () => {
    await refresh();
    if (on) timer = setTimeout(again, hears ? CALM : document.hidden ? 4 * EVERY : EVERY);
  };
  again();
  document.addEventListener("visibilitychange", seen);
  seen();
}

export function stop() {
  on = false;
  clearTimeout(timer);
  document.removeEventListener("visibilitychange", seen);
  unfollow();
}
