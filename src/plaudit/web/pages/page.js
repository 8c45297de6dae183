const DEBOUNCE_MS = 400;
const WAITING_MS = 300;
const SLOW_MS = 4000;
const TIMEOUT_MS = 30000;
const FAINTEST = 0.1; // words with less pull than this, relative to the strongest, stay plain
const NEARLY_EVEN = 1.5; // times as likely as the next label: 60% of two labels
const MOST_SHARES = 8;

const $ = (id) => document.getElementById(id);
const verdict = $("verdict");
const review = $("review");
const retry = $("retry");

const model = { labels: null, max_words: 500, max_bytes: 1_048_576 };

let current = null; // the AbortController of the only request whose answer still counts
let debounce = 0;
let countdown = 0;
let busy = null; // { until, fault }: the server asked to be left alone until then
let answered = false; // #judgement and #answer hold a verdict, perhaps of an earlier text

class Fault extends Error {
  constructor(state, title, message, { again = true, wait = 0 } = {}) {
    super(message);
    Object.assign(this, { state, title, again, wait });
  }
}

// ---------------------------------------------------------------- wording

const number = new Intl.NumberFormat("en");

function percent(share) {
  return `${Math.round(share * 100)}%`;
}

// No verdict is certain, though rounding may make it look so.
function likely(share) {
  return share > 0.995 ? ">99%" : share < 0.005 ? "<1%" : percent(share);
}

function plural(count, noun) {
  return `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function size(bytes) {
  const [scaled, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${new Intl.NumberFormat("en", { maximumFractionDigits: 2 }).format(scaled)} ${unit}`;
}

function seconds(count) {
  return count < 100 ? `${count} s` : `${Math.ceil(count / 60)} min`;
}

function element(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// ---------------------------------------------------------------- states

function show(state, status = "") {
  clearInterval(countdown);
  const pending = state === "waiting" || state === "slow";
  verdict.dataset.state = state;
  $("status").textContent = status;
  $("error").replaceChildren();
  retry.hidden = true;
  if (state !== "done" && !pending) answered = false;
  $("judgement").hidden = $("answer").hidden = !answered;
}

function showFault(fault) {
  show(fault.state);
  $("error").append(element("strong", fault.title), " ", element("span", fault.message));
  retry.hidden = !fault.again;
  if (paused()) countdown = setInterval(tick, 250);
  tick();
}

function paused() {
  return busy !== null && Date.now() < busy.until;
}

function tick() {
  retry.setAttribute("aria-disabled", String(paused()));
  if (paused()) {
    retry.textContent = `Try again in ${seconds(Math.ceil((busy.until - Date.now()) / 1000))}`;
  } else {
    clearInterval(countdown);
    retry.textContent = "Try again";
  }
}

// On a narrow screen the verdict lies below the button that was pressed.
function reveal() {
  if (verdict.getBoundingClientRect().top > window.innerHeight * 0.6) verdict.scrollIntoView();
}

function showEmpty(asked) {
  show("empty", asked
    ? "There is nothing to judge yet. Write a sentence or two first."
    : "Nothing to judge yet. The verdict appears here as you write.");
}

// ---------------------------------------------------------------- asking

function isAnswer(body) {
  return typeof body?.label === "string"
    && Number.isFinite(body.probability)
    && body.scores !== null && typeof body.scores === "object"
    && Array.isArray(body.words);
}

function retryAfter(response) {
  const value = response.headers.get("Retry-After");
  if (!value) return 0;
  const wait = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : 0;
}

function faultOf(response, body) {
  const said = typeof body?.error === "string" ? body.error.trim() : "";
  switch (response.status) {
    case 413:
      return new Fault("too-long", "Too long.", said || "The server does not take a text of this length. Shorten it a little.", { again: false });
    case 429:
      return new Fault("busy", "Too many at once.", said || "The server asks for a pause.", { wait: retryAfter(response) });
    case 503:
      return new Fault("busy", "The server is busy.", said || "It cannot take this review just now.", { wait: retryAfter(response) });
    default:
      return new Fault("error", "Not judged.", said || `The server could not judge this review (HTTP ${response.status}).`);
  }
}

async function ask(text, signal) {
  const response = await fetch("api/reviews", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({ text }),
    signal,
  });
  let body = null;
  try {
    body = await response.json();
  } catch (reason) {
    if (!(reason instanceof SyntaxError)) throw reason; // a proxy's page is no JSON; a lost connection is another matter
  }
  if (!response.ok) throw faultOf(response, body);
  if (!isAnswer(body)) throw new Fault("error", "Not judged.", "The server’s reply could not be understood.");
  return body;
}

function understood(reason, timedOut) {
  if (reason instanceof Fault) return reason;
  if (timedOut) return new Fault("error", "No answer in time.", "The server took longer than 30 seconds. Your text is still here.");
  // onLine is asked only now: a server on this machine answers without any network.
  if (!navigator.onLine) return new Fault("offline", "You are offline.", "Your text is still here, and will be judged when the connection is back.");
  if (reason instanceof TypeError) return new Fault("offline", "The server cannot be reached.", "Check the connection, then try again. Your text is still here.");
  return new Fault("error", "Not judged.", "Something went wrong in this page.");
}

function supersede() {
  clearTimeout(debounce);
  current?.abort();
  current = null;
}

async function judge({ asked = false } = {}) {
  supersede();
  const text = review.value;
  if (!text.trim()) return showEmpty(asked);

  const bytes = new TextEncoder().encode(text).length;
  if (bytes > model.max_bytes) {
    return showFault(new Fault("too-long", "Too long.",
      `This text is ${size(bytes)}; the limit is ${size(model.max_bytes)}. Nothing was sent.`, { again: false }));
  }
  if (paused()) {
    if (verdict.dataset.state !== "busy") showFault(busy.fault);
    return;
  }

  const own = current = new AbortController();
  let timedOut = false;
  show("waiting");
  const earlier = answered ? " Below is the verdict on your earlier text." : "";
  const timers = [
    setTimeout(() => show("waiting", `Reading…${earlier}`), WAITING_MS),
    setTimeout(() => show("slow", `Still working…${earlier}`), SLOW_MS),
    setTimeout(() => { timedOut = true; own.abort(); }, TIMEOUT_MS),
  ];
  own.signal.addEventListener("abort", () => timers.forEach(clearTimeout));

  try {
    const answer = await ask(text, own.signal);
    if (own !== current) return;
    render(text, answer);
    if (asked) reveal();
  } catch (reason) {
    if (own !== current) return;
    const fault = understood(reason, timedOut);
    if (fault.wait > 0) busy = { until: Date.now() + fault.wait, fault };
    showFault(fault);
    if (asked) reveal();
  } finally {
    timers.forEach(clearTimeout);
    if (own === current) current = null;
  }
}

// ---------------------------------------------------------------- the verdict

// What a contribution below 0 and one above 0 pull towards, and which of the two the verdict is.
// Of two labels they are the labels; of more, the label given and whatever is not it.
function sidesOf(answer) {
  if (Object.keys(answer.scores).length > 2) {
    return { labels: ["", answer.label], pulls: [`against ${answer.label}`, `towards ${answer.label}`], toward: 1 };
  }
  const labels = pairOf(answer);
  return { labels, pulls: labels.map((label) => `towards ${label}`), toward: answer.label === labels[1] ? 1 : 0 };
}

// [the label that the score points away from, the one that it points to]
function pairOf(answer) {
  if (model.labels?.length === 2 && model.labels.every((label) => label in answer.scores)) return model.labels;
  const other = Object.keys(answer.scores).find((label) => label !== answer.label) ?? "the other";
  return answer.score < 0 ? [answer.label, other] : [other, answer.label];
}

// The labels with their probabilities, in the model's order; of many, the most probable.
function sharesOf(answer) {
  const named = model.labels?.filter((label) => label in answer.scores) ?? [];
  const labels = named.length === Object.keys(answer.scores).length ? named : Object.keys(answer.scores);
  const least = [...labels].sort((a, b) => answer.scores[b] - answer.scores[a]).slice(MOST_SHARES);
  const rest = least.reduce((sum, label) => sum + answer.scores[label], 0);
  return { shown: labels.filter((label) => !least.includes(label)), others: least.length, rest };
}

// Offsets count code points, so the text must be cut as an array of them.
function pulls(points, words) {
  const sound = words
    .filter((w) => Number.isInteger(w?.start) && Number.isInteger(w?.end) && Number.isFinite(w?.contribution)
      && w.start >= 0 && w.start < w.end && w.end <= points.length && w.contribution !== 0)
    .sort((a, b) => a.start - b.start)
    .filter((w, i, all) => i === 0 || w.start >= all[i - 1].end);
  const strongest = sound.reduce((most, w) => Math.max(most, Math.abs(w.contribution)), 0);
  return sound
    .map((w) => ({
      ...w,
      text: points.slice(w.start, w.end).join(""),
      toward: w.contribution > 0 ? 1 : 0,
      weight: Math.abs(w.contribution) / strongest,
    }))
    .filter((w) => w.weight >= FAINTEST);
}

function highlight(points, words, pulls) {
  const parts = document.createDocumentFragment();
  let at = 0;
  for (const word of words) {
    parts.append(points.slice(at, word.start).join(""));
    const mark = element("mark", word.text, {
      "data-toward": word.toward,
      title: `${pulls[word.toward]}, ${percent(word.weight)} of the strongest pull`,
    });
    mark.style.setProperty("--weight", word.weight.toFixed(3));
    parts.append(mark);
    at = word.end;
  }
  parts.append(points.slice(at).join(""));
  return parts;
}

function summary(words, pulls) {
  const seen = new Set();
  const most = [...words]
    .sort((a, b) => b.weight - a.weight)
    .filter((w) => {
      const key = `${w.toward} ${w.text.toLowerCase()}`;
      return !seen.has(key) && seen.add(key);
    })
    .slice(0, 3)
    .map((w) => `${w.text} (${pulls[w.toward]})`);
  return most.length ? `Words that tipped it most: ${most.join(", ")}.` : "No single word stood out.";
}

function close(answer) {
  const [first, second] = Object.values(answer.scores).sort((a, b) => b - a);
  return first < second * NEARLY_EVEN;
}

function renderMeter(answer, { labels, toward }) {
  const one = toward === 1 ? answer.probability : 1 - answer.probability;
  $("meter").setAttribute("aria-valuenow", (one * 100).toFixed(1));
  $("meter").setAttribute("aria-valuetext", `${labels[1]} ${likely(one)}, ${labels[0]} ${likely(1 - one)}`);
  $("meter-0").style.flexGrow = 1 - one;
  $("meter-1").style.flexGrow = one;
  $("meter-end-0").textContent = `${labels[0]} ${likely(1 - one)}`;
  $("meter-end-1").textContent = `${labels[1]} ${likely(one)}`;
}

function shareRow(label, share, given) {
  const row = element("li", undefined, given ? { class: "given" } : {});
  const bar = element("span", undefined, { class: "share-bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", share);
  row.append(element("span", label, { class: "share-label" }), " ", element("span", likely(share), { class: "share-figure" }), bar);
  return row;
}

function renderShares(answer) {
  const { shown, others, rest } = sharesOf(answer);
  const rows = shown.map((label) => shareRow(label, answer.scores[label], label === answer.label));
  if (others > 0) rows.push(shareRow(plural(others, "other label"), rest, false));
  $("shares").replaceChildren(...rows);
}

function render(text, answer) {
  const sides = sidesOf(answer);
  const points = Array.from(text);
  const words = pulls(points, answer.words);
  const prior = answer.words.length === 0;
  const chance = likely(answer.probability);
  const two = Object.keys(answer.scores).length <= 2;

  answered = true;
  show("done");
  verdict.dataset.prior = prior;
  verdict.dataset.toward = sides.toward;

  $("label").textContent = prior ? "Can’t tell" : answer.label;
  $("probability").textContent = prior ? "" : chance;
  if (prior) {
    $("summary").textContent = `The model knows none of these words, so this is no verdict on them. To any such text it answers “${answer.label}”, ${chance}.`;
  } else {
    const even = close(answer) ? "Nearly even; it could have gone either way. " : "";
    $("summary").textContent = even + summary(words, sides.pulls);
  }
  const notes = (Array.isArray(answer.notes) ? answer.notes : []).filter((note) => typeof note === "string");
  $("notes").replaceChildren(...notes.map((note) => element("li", note)));

  $("meter").hidden = !two;
  $("shares").hidden = two;
  if (two) renderMeter(answer, sides);
  else renderShares(answer);

  const box = $("highlighted");
  box.replaceChildren(highlight(points, words, sides.pulls));
  box.scrollTop = 0;
  // A long review scrolls in its box, which the keyboard must then be able to reach.
  if (box.scrollHeight > box.clientHeight) box.tabIndex = 0;
  else box.removeAttribute("tabindex");

  $("legend").hidden = words.length === 0;
  for (const side of [0, 1]) $(`legend-${side}`).textContent = sides.pulls[side];
}

// ---------------------------------------------------------------- the composer

function count() {
  const text = review.value;
  const words = text.trim() ? text.trim().split(/\s+/u).length : 0;
  const over = words > model.max_words;
  const counted = `${plural(words, "word")}, ${plural(Array.from(text).length, "character")}.`;
  $("count").textContent = words === 0 ? "A sentence or two is plenty."
    : over ? `${counted} About the first ${number.format(model.max_words)} words are read.` : counted;
}

function changed() {
  count();
  supersede();
  if (!review.value.trim()) return showEmpty(false);
  if (!paused()) show("waiting"); // at once: what is shown no longer belongs to what is written
  debounce = setTimeout(judge, DEBOUNCE_MS);
}

review.addEventListener("input", changed);
review.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    $("composer").requestSubmit();
  }
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!review.value.trim()) review.focus();
  judge({ asked: true });
});
retry.addEventListener("click", () => {
  if (retry.getAttribute("aria-disabled") === "true") return;
  verdict.focus({ preventScroll: true }); // the button is about to go, and focus must not go with it
  judge({ asked: true });
});
for (const example of document.querySelectorAll(".example")) {
  example.addEventListener("click", () => {
    review.value = example.dataset.text;
    count();
    judge({ asked: true });
  });
}
window.addEventListener("online", () => {
  if (verdict.dataset.state === "offline") judge();
});

// ---------------------------------------------------------------- the model's card

// Wilson's 95% interval: few held-out reviews leave the accuracy itself uncertain.
function interval(share, trials) {
  const z = 1.96;
  const centre = share + (z * z) / (2 * trials);
  const spread = z * Math.sqrt((share * (1 - share)) / trials + (z * z) / (4 * trials * trials));
  const scale = 1 + (z * z) / trials;
  return [(centre - spread) / scale, (centre + spread) / scale];
}

function day(text) {
  const date = new Date(`${text}T00:00:00Z`);
  return Number.isNaN(date.getTime()) ? text
    : new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" }).format(date);
}

function facts(card) {
  const data = card.data ?? {};
  const metrics = card.metrics ?? {};
  const has = (value) => value !== undefined && value !== null && value !== "";
  const mean = Array.isArray(card.labels) && card.labels.length > 2 ? ", mean of the labels" : "";
  const share = (value, digits = 3) => (Number.isFinite(value) ? value.toFixed(digits) : undefined);
  const reviews = [
    has(data.train) && `${number.format(data.train)} learnt from`,
    has(data.validation) && `${number.format(data.validation)} for tuning`,
    has(data.test) && `${number.format(data.test)} for the test`,
  ].filter(Boolean).join(", ");
  return [
    ["Trained on", data.name],
    ["Reviews", reviews],
    ["Labels", Array.isArray(card.labels) ? card.labels.join(", ") : undefined],
    ["Recipe", card.recipe],
    ["Parameters", Number.isFinite(card.parameters) ? number.format(card.parameters) : undefined],
    ["Trained", has(card.trained) ? day(String(card.trained)) : undefined],
    [`F1${mean}`, share(metrics.f1)],
    [`ROC AUC${mean}`, share(metrics.roc_auc)],
    ["Log loss", share(metrics.log_loss)],
  ].filter(([, value]) => has(value));
}

function grade(metrics) {
  const box = element("div", undefined, { class: "grade" });
  if (!Number.isFinite(metrics?.accuracy)) {
    box.append(element("p", "Not measured", { class: "figure figure-words" }),
      element("p", "This model has not been tried on held-out reviews, so how good it is remains unknown."));
    return box;
  }
  const { accuracy, reviews, split } = metrics;
  box.append(element("p", percent(accuracy), { class: "figure" }));
  const where = typeof split === "string" ? ` (the ${split} split)` : "";
  const many = Number.isFinite(reviews) && reviews > 0;
  box.append(element("p", many
    ? `accuracy on ${plural(reviews, "review")} it did not learn from${where}.`
    : `accuracy on reviews it did not learn from${where}.`));
  if (many) {
    const [low, high] = interval(accuracy, reviews);
    box.append(element("p", `With that many, chance alone allows a true figure between ${percent(low)} and ${percent(high)}.`, { class: "fine" }));
  }
  return box;
}

function renderCard(card) {
  const list = element("dl");
  for (const [name, value] of facts(card)) {
    const row = element("div");
    row.append(element("dt", name), element("dd", String(value)));
    list.append(row);
  }
  $("card").dataset.state = "done";
  $("card").replaceChildren(grade(card.metrics), list);
  if (card.version) $("version").textContent = String(card.version);
  if (card.name) $("model-name").textContent = `, model ${card.name}`;
}

async function loadCard() {
  $("card").replaceChildren(element("p", "Loading the model’s card…"));
  try {
    const response = await fetch("api/model", {
      headers: { Accept: "application/json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const card = await response.json();
    if (card === null || typeof card !== "object") throw new Error("no card");
    if (Array.isArray(card.labels) && card.labels.length > 1) model.labels = card.labels.map(String);
    for (const limit of ["max_words", "max_bytes"]) {
      if (Number.isFinite(card[limit]) && card[limit] > 0) model[limit] = card[limit];
    }
    renderCard(card);
  } catch {
    $("card").dataset.state = "error";
    $("card").replaceChildren(element("p", "The model’s card could not be loaded. Reload the page to try again."));
  }
}

loadCard();
if (review.value.trim()) changed(); // a browser may put the text back after a reload
else count();
