// The labeller: which clip is shown, what is answered, what is sent and what is undone.

import { Refused, blob, get, newKey, post } from "./api.js";
import { Outbox } from "./outbox.js";
import { Player } from "./player.js";
import { Store } from "./store.js";

const AHEAD = 3; // clips held: the one that is shown, and two that load meanwhile
const MOST_DRAFTS = 100; // of clips that one has gone back over, or left; the oldest are forgotten first
const $ = (id) => document.getElementById(id);
const root = $("labeller");
const task = JSON.parse(root.dataset.task);
const base = `/api/v1/tasks/${encodeURIComponent(task.name)}`;
const store = new Store(`earmark:${root.dataset.person}:${task.name}`);
const player = new Player();
const fieldsets = [...document.querySelectorAll("fieldset.tag")];

const outbox = new Outbox(store, (path, body) => post(`${base}/${path}`, body), {
  changed: tellLine,
  refused: (item, error) => {
    notice(`An answer was not taken: ${error.message}`);
    count();
  },
  recovered: () => {
    count();
    refill();
  },
});
const media = new Map(); // token -> promise of {audio, picture, peaks}
let held = []; // clips in the order they are answered; the first is shown
let shown = null;
let shownAt = 0;
let labels = null; // how many one has in all, as far as we know
let mute = null; // token of a clip that cannot be played, and so not be labelled
let busy = false; // an undo is under way

// ---------------------------------------------------------------- clips

function fetchMedia(clip) {
  if (!media.has(clip.token)) {
    const url = (kind) => `${base}/clips/${clip.clip}/${kind}`;
    const found = Promise.all([blob(url("audio.wav")), blob(url("picture.png")), get(url("peaks.json"))])
      .then(([audio, picture, peaks]) => ({ audio: URL.createObjectURL(audio), picture: URL.createObjectURL(picture), peaks }));
    found.catch(() => media.delete(clip.token));
    media.set(clip.token, found);
  }
  return media.get(clip.token);
}

async function forget(token) {
  const found = media.get(token);
  media.delete(token);
  try {
    const urls = await found;
    if (urls) for (const url of [urls.audio, urls.picture]) URL.revokeObjectURL(url);
  } catch { /* it never came */ }
}

let refilling = null;
function refill() {
  refilling ??= askForMore().finally(() => { refilling = null; });
  return refilling;
}

async function askForMore() {
  if (!await outbox.flush()) return tellEmpty();
  let clips;
  try {
    ({ clips } = await post(`${base}/next`, { n: AHEAD }));
  } catch (error) {
    trouble(error);
    setTimeout(refill, 3000);
    return;
  }
  const sent = outbox.tokens; // answered while we asked
  clips = clips.filter((clip) => !sent.has(clip.token) && !gone.has(clip.token));
  const current = held.find((clip) => clip.token === shown);
  const undone = clips[0]?.undone;
  held = current && !undone ? [current, ...clips.filter((clip) => clip.token !== current.token)] : clips;
  tellLine();
  if (held.length || outbox.items.length) show();
  else location.assign(`/tasks/${encodeURIComponent(task.name)}/done`);
}
const gone = new Set(); // tokens answered in this page

async function show() {
  const clip = held[0];
  for (const one of held) fetchMedia(one).catch(() => {});
  for (const token of media.keys()) if (!held.some((one) => one.token === token)) forget(token);
  if (!clip) {
    shown = null;
    player.clear();
    tellAnswers();
    tellEmpty();
    return;
  }
  if (clip.token === shown) return;
  shown = clip.token;
  $("loading").textContent = "Loading…";
  player.clear();
  setAnswers(drafts()[clip.token] ?? {});
  let files;
  try {
    files = await fetchMedia(clip);
  } catch (error) {
    if (shown !== clip.token) return;
    trouble(error);
    if (error instanceof Refused && !error.isPassing) { // it will never play: whoever is here says so, and goes on
      $("loading").textContent = "This clip cannot be played: press Unusable, or Skip.";
      shownAt = performance.now();
      mute = clip.token;
      tellAnswers();
      say("This clip cannot be played.");
      return;
    }
    shown = null;
    setTimeout(show, 3000);
    return;
  }
  if (shown !== clip.token) return;
  shownAt = performance.now();
  player.show(files, clip.seconds);
  if ($("autoplay").checked) player.play();
  say(`${clip.undone ? "Undone: this clip again" : "Next clip"}, ${clip.seconds.toFixed(1)} seconds.`);
}

// ---------------------------------------------------------------- answers

function answers() {
  const values = {};
  for (const field of fieldsets) {
    const chosen = field.querySelector("input:checked");
    if (chosen) values[field.dataset.tag] = chosen.value;
  }
  return values;
}

function setAnswers(values) {
  for (const field of fieldsets) {
    for (const input of field.querySelectorAll("input")) input.checked = values[field.dataset.tag] === input.value;
  }
  tellAnswers();
}

function isComplete() {
  return Boolean(shown) && shown !== mute && Object.keys(answers()).length === fieldsets.length;
}

function keepDraft() {
  if (shown) draft(shown, answers());
  tellAnswers();
}

// Answers that are not sent yet, by token: of the clip that is shown, and of those that were undone before it.
function drafts() { return store.read("draft", {}); }

function draft(token, values) {
  const { [token]: _, ...others } = drafts();
  store.write("draft", Object.fromEntries([...Object.entries(others), [token, values]].slice(-MOST_DRAFTS)));
}

function forgetDraft(token) {
  const { [token]: _, ...others } = drafts();
  store.write("draft", others);
}

function cycle(number) {
  if (!shown) return;
  const field = fieldsets.length === 1 ? fieldsets[0] : fieldsets[number - 1];
  if (!field) return;
  const inputs = [...field.querySelectorAll("input")];
  const at = inputs.findIndex((input) => input.checked);
  const chosen = fieldsets.length === 1 ? inputs[number - 1] : inputs[(at + 1) % inputs.length];
  if (!chosen) return;
  chosen.checked = true;
  keepDraft();
  say(`${field.dataset.tag}: ${chosen.value}`);
}

function send(kind) {
  if (!shown || busy || (kind === "submit" && !isComplete())) return;
  const clip = held.shift();
  const body = { token: clip.token, took_ms: Math.round(performance.now() - shownAt), client_key: newKey() };
  if (kind === "submit") body.values = answers();
  gone.add(clip.token);
  forgetDraft(clip.token);
  outbox.add(kind, body);
  history.push({ clip, values: body.values ?? {} });
  if (history.length > 20) history.shift();
  if (kind === "submit" && labels !== null) labels += 1;
  tellCount();
  const inForm = root.contains(document.activeElement) && document.activeElement !== $("heading");
  shown = null;
  if (held.length) show();
  else { player.clear(); setAnswers({}); }
  if (inForm) $("heading").focus({ preventScroll: true }); // its button is disabled now
  outbox.flush().then((all) => { if (all) refill(); else tellEmpty(); });
}
const history = [];

async function undo() {
  if (busy) return;
  const last = history.at(-1);
  if (last && outbox.takeBack(last.clip.token)) {
    history.pop();
    comeBack(last.clip, last.values);
    return;
  }
  busy = true;
  try {
    if (!await outbox.flush()) throw outbox.trouble;
    const { undone } = await post(`${base}/undo`, { steps: 1, client_key: newKey() });
    history.pop();
    if (!undone.length) {
      notice("There is nothing to undo.");
      return;
    }
    const [one] = undone;
    if (one.kind === "label" && labels !== null) labels -= 1;
    draft(one.token, one.values);
    gone.delete(one.token);
    shown = null;
    await (refilling ?? Promise.resolve());
    await refill();
  } catch (error) {
    notice(error.status === 0 ? "No connection: an answer that was sent can be undone when it is back." : error.message);
  } finally {
    busy = false;
    tellCount();
  }
}

function comeBack(clip, values) {
  gone.delete(clip.token);
  if (Object.keys(values).length && labels !== null) labels -= 1;
  held = [{ ...clip, undone: true }, ...held.filter((one) => one.token !== clip.token)];
  draft(clip.token, values);
  shown = null;
  tellCount();
  show();
}

// ---------------------------------------------------------------- telling

function say(text) { $("said").textContent = text; }

let quiet;
function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
  clearTimeout(quiet);
  if (text) quiet = setTimeout(() => { $("notice").hidden = true; }, 8000);
}

function trouble(error) {
  if (error.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
    return;
  }
  notice(error.message);
  tellLine(error);
}
function tellLine(error = outbox.trouble) {
  const waiting = outbox.items.length;
  const line = $("line");
  line.hidden = !error && waiting < 2;
  line.classList.toggle("lost", Boolean(error));
  const kept = waiting ? `${waiting} ${waiting === 1 ? "answer" : "answers"} kept here` : "";
  line.textContent = error ? `${error.status === 0 ? "No connection" : "Not sent yet"}${kept ? `, ${kept}` : ""}` : `Sending ${waiting}`;
  if (outbox.trouble?.status === 401) trouble(outbox.trouble);
  if (outbox.trouble?.status === 403) notice("This page is out of date: load it again; your answers are kept.");
}

function tellEmpty() {
  if (!held.length) $("loading").textContent = outbox.items.length ? "No connection. Your answers are kept here." : "Loading…";
  tellLine();
}

function tellAnswers() {
  $("submit").disabled = !isComplete();
  for (const id of ["skip", "unusable"]) $(id).disabled = !shown;
}

async function count() {
  try {
    const me = await get(`${base}/me`);
    labels = me.labels + outbox.items.filter((item) => item.path === "submit").length;
    tellCount();
  } catch { /* the number is not worth a word */ }
}

function tellCount() {
  if (labels === null) return;
  $("count").textContent = `${labels} labelled`;
}

// ---------------------------------------------------------------- keys

const KEYS = {
  Enter: () => send("submit"), s: () => send("skip"), x: () => send("unusable"), u: undo,
  r: () => player.replay(), l: () => player.setLoop(!player.audio.loop), " ": () => player.toggle(),
  ArrowLeft: () => player.step(-0.5), ArrowRight: () => player.step(0.5), "?": openHelp,
};

function openHelp() { $("help").showModal(); }

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || $("help").open) return;
  const { target } = event;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isRadio = target.matches?.("input[type=radio]");
  // A box ticked in the help keeps the focus until the browser next draws the page without the help.
  const isTyping = target.closest?.("select, textarea, input:not([type=radio], [type=range])");
  if (isTyping && !target.closest("#help")) return;
  if (["Enter", " "].includes(key) && target.closest?.("button, a, summary")) return;
  if (key.startsWith("Arrow") && (isRadio || target.matches?.("input[type=range]"))) return;
  if (key === " " && isRadio) return;
  if (key !== "?" && key !== "Enter" && !$("use-keys").checked) return;
  const act = /^[1-9]$/.test(key) ? () => cycle(Number(key)) : KEYS[key];
  if (!act) return;
  event.preventDefault();
  act();
});

$("answers").addEventListener("change", keepDraft);
$("answers").addEventListener("submit", (event) => { event.preventDefault(); send("submit"); });
$("submit").addEventListener("click", () => send("submit"));
$("skip").addEventListener("click", () => send("skip"));
$("unusable").addEventListener("click", () => send("unusable"));
$("undo").addEventListener("click", undo);
$("ask").addEventListener("click", openHelp);
for (const id of ["use-keys", "autoplay"]) {
  $(id).checked = store.read(id, true);
  $(id).addEventListener("change", () => store.write(id, $(id).checked));
}
addEventListener("online", refill);

for (const { label, share } of task.ticks) {
  const tick = document.createElement("span");
  tick.textContent = label;
  tick.style.bottom = `${100 * share}%`;
  $("ticks").append(tick);
}

count();
tellAnswers();
refill();
