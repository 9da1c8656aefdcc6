// A recording, played: what a command showed, at its own pace or watched as it happens.

import { button, el } from "./dom.js";
import { stream } from "./api.js";
import { screen } from "./screen.js";
import { span, visible } from "./show.js";

/** Characters of a recording that are kept here; the rest is in the file. */
const MOST = 32 * 1024 * 1024;
/** Seconds that a pause takes at most. */
const PAUSE = 2;
/** Milliseconds between steps of what is played. */
const EVERY = 50;
/** Characters that the screen is given at once. */
const BATCH = 1024 * 1024;

/** A line of a recording as an event, `null` for none. */
function event(text) {
  try {
    const [at, code, data] = JSON.parse(text);
    return typeof at === "number" && typeof data === "string" ? { at, code, data } : null;
  } catch {
    // A warden that was killed leaves a torn last line.
    return null;
  }
}

/** Gives the lines of a stream one after the other, and what was cut off at `MOST`. */
async function lines(answer, hear) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    size += value.length;
    const parts = (text + value).split("\n");
    text = parts.pop();
    for (const part of parts) hear(part);
    if (size > MOST) {
      reader.cancel();
      return true;
    }
  }
}

/** The player of the command `id`; `live` goes on with it while it runs. Its `end` lets it go. */
export function player(id, live) {
  const stop = new AbortController();
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const note = el("p", { class: "soft", hidden: true });
  const place = el("div", {}, el("p", { class: "soft" }, "Reading…"));
  const made = el("div", { class: "player stack tight" }, place, problem, note);
  const events = [];
  let shown = null;
  let timer = null;
  // How far it is to be shown, in seconds, and how many of the events are.
  let now = Infinity;
  let drawn = 0;
  let isDrawing = false;

  const fail = (error) => {
    if (stop.signal.aborted) return;
    problem.textContent = error.status === 404 ? "It was not recorded, or its recording is not kept any more." : error.message;
    problem.hidden = false;
    if (!shown) place.replaceChildren();
  };

  const say = (...words) => {
    note.replaceChildren(...words);
    note.hidden = false;
  };

  /** Shows the next event, and what was written directly after it with it: each writing has its price. */
  async function step() {
    const { code, data } = events[drawn];
    if (code === "o") {
      let text = "";
      for (; drawn < events.length && events[drawn].code === "o" && events[drawn].at <= now && text.length < BATCH; drawn += 1) text += events[drawn].data;
      await shown.write(text);
      return;
    }
    drawn += 1;
    if (code === "r") {
      const [columns, rows] = data.split("x").map(Number);
      if (columns && rows) shown.resize(columns, rows);
    } else if (code === "m") say("The recording says: ", ...visible(data));
  }

  /** Brings the screen to `now`, from the beginning if that lies behind it. */
  async function up() {
    if (isDrawing || !shown) return;
    isDrawing = true;
    try {
      while (!stop.signal.aborted) {
        if (drawn && events[drawn - 1].at > now) {
          shown.clear();
          drawn = 0;
        }
        if (drawn === events.length || events[drawn].at > now) break;
        await step();
      }
    } finally {
      isDrawing = false;
    }
  }

  async function open(head) {
    let size = {};
    try {
      size = JSON.parse(head);
    } catch {
      // What has no size is as wide as most are.
    }
    shown = await screen(size.width, size.height);
    if (stop.signal.aborted) shown.end();
    else place.replaceChildren(shown.box);
  }

  /** As it happens. */
  async function watch() {
    const answer = await stream(`/api/recordings/${id}?follow=true`, stop.signal);
    let head = null;
    const cut = await lines(answer, (text) => {
      if (head === null) {
        head = open(text);
        head.then(up).catch(fail);
        return;
      }
      const one = event(text);
      if (!one) return;
      // Nobody goes back in what is watched.
      if (drawn === events.length && !isDrawing) drawn = events.length = 0;
      events.push(one);
      up().catch(fail);
    });
    await head;
    await up();
    if (cut) say("It is longer than is shown here: save it when it has ended.");
    else if (note.hidden) say("It has ended.");
  }

  /** All of it, to be played. */
  async function load() {
    const answer = await stream(`/api/recordings/${id}`, stop.signal);
    let head = null;
    let pause = 0;
    let last = 0;
    const cut = await lines(answer, (text) => {
      if (head === null) {
        head = text;
        return;
      }
      const one = event(text);
      if (!one) return;
      // Nobody waits for what was a long while in coming.
      pause += Math.max(0, one.at - last - PAUSE);
      last = Math.max(last, one.at);
      events.push({ ...one, at: one.at - pause });
    });
    await open(head ?? "{}");
    if (stop.signal.aborted) return;
    controls();
    if (cut) say("It is longer than is played here: save it to see all.");
  }

  function controls() {
    const whole = events.at(-1)?.at ?? 0;
    const play = button("Play", "first", () => (timer ? pause() : go()));
    const bar = el("input", { type: "range", min: "0", max: String(whole), step: "any", value: "0", "aria-label": "Where it is", on: { input: () => { pause(); seek(Number(bar.value)); } } });
    const speed = el("select", { "aria-label": "Speed" }, [1, 2, 4, 16].map((times) => el("option", { value: times }, `${times}×`)));
    const told = el("span", { class: "soft played" });
    const draw = () => {
      bar.value = String(now);
      told.textContent = `${now < 60 ? now.toFixed(1) : span(now * 1000)} of ${whole < 60 ? `${whole.toFixed(1)} s` : span(whole * 1000)}`;
      bar.setAttribute("aria-valuetext", told.textContent);
      play.textContent = timer ? "Pause" : "Play";
    };
    const seek = (to) => {
      now = to;
      up().catch(fail);
      draw();
    };
    const pause = () => {
      clearInterval(timer);
      timer = null;
      draw();
    };
    const go = () => {
      if (now >= whole) seek(0);
      let before = performance.now();
      timer = setInterval(() => {
        const at = performance.now();
        seek(Math.min(whole, now + ((at - before) / 1000) * Number(speed.value)));
        before = at;
        if (now >= whole) pause();
      }, EVERY);
      draw();
    };
    const file = button("Save recording", "", () => save());
    made.append(el("div", { class: "play-bar" }, play, bar, told, speed, file));
    // At first what it came to: who wants to see how, plays it.
    seek(whole);
  }

  /** The file as the warden has it. */
  async function save() {
    try {
      const blob = await (await stream(`/api/recordings/${id}`, stop.signal)).blob();
      download(blob, `${id.slice(0, 16)}.cast`);
    } catch (error) {
      fail(error);
    }
  }

  (live ? watch() : load()).catch(fail);
  return {
    made,
    end: () => {
      stop.abort();
      clearInterval(timer);
      shown?.end();
    },
  };
}

/** Hands a file to the browser's user. */
export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = el("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}
