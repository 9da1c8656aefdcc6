// Telling of new requests: aloud, by a notification, and to screen readers.

import { line } from "./show.js";

function beep() {
  const context = new AudioContext();
  const tone = context.createOscillator();
  const volume = context.createGain();
  tone.frequency.value = 660;
  volume.gain.setValueAtTime(0.08, context.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.0001, context.currentTime + 0.35);
  tone.connect(volume).connect(context.destination);
  tone.start();
  tone.stop(context.currentTime + 0.4);
  tone.onended = () => context.close();
}

/** Watches the queue for what was not there before. The first look at it is no news. */
export function alarm(listen, state, wanted, announce) {
  let known = null;
  listen(() => {
    if (state.live !== "on") return;
    const fresh = known ? state.queue.filter((entry) => !known.has(entry.id)) : [];
    known = new Set(state.queue.map((entry) => entry.id));
    if (!fresh.length) return;
    const text = fresh.length === 1 ? `New request in ${fresh[0].jail}: ${line(fresh[0].argv, 80)}` : `${fresh.length} new requests`;
    announce(text);
    if (wanted.sound) beep();
    if (wanted.notify && document.hidden && window.Notification?.permission === "granted") {
      const shown = new Notification("Clawrden", { body: text, tag: "clawrden" });
      shown.onclick = () => { window.focus(); shown.close(); };
    }
  });
}
