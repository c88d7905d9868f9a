/* The live forest: the studies of one pooled effect as a table with marks, pooled again as the reader chooses.

   `start(data, document)` fills each element `.live-forest` of a page. What it holds already, the static figure, is shown
   without JavaScript and on paper. Texts of the collection (labels, countries, ...) enter the page as text nodes only. The
   data are written by src/twostage/pipeline/book/forest.py; the numbers come from pool.mjs. */

import { criticalValue, INTERVALS, METHODS, pool } from "./pool.mjs";

const LEVELS = [0.8, 0.9, 0.95, 0.99];
const INTERVAL_WORDS = {
  "hartung-knapp": "Hartung-Knapp",
  "hartung-knapp-adhoc": "ad hoc Hartung-Knapp",
  wald: "Wald",
};
const TESTS = { wald: "z", "hartung-knapp": "knha", "hartung-knapp-adhoc": "adhoc" };
const SVG = "http://www.w3.org/2000/svg";
const LOOK = { ink: "#1d2733", grey: "#5b6673", pooled: "#0072b2", prediction: "#b84a00" };

/* ---- numbers in words: as twostage.display writes them ------------------------------------------------------------- */

/* A half is rounded away from zero, after twelve significant digits. */
function fixed(value, digits) {
  const [mantissa, exponent] = Number(value.toPrecision(12)).toExponential().split("e");
  const whole = Math.round(Number(`${mantissa.replace("-", "")}e${Number(exponent) + digits}`));
  if (whole > Number.MAX_SAFE_INTEGER) return value.toFixed(digits);
  return (value < 0 ? "-" : "") + Number(`${whole}e-${digits}`).toFixed(digits);
}

export function number(value, digits = 2) {
  if (!Number.isFinite(value)) return value === Infinity ? "∞" : "–";
  const text = fixed(value, digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/* An interval that excludes zero is never shown as one that touches it. */
export function interval(low, high, digits = 2) {
  if (Number.isNaN(low) && Number.isNaN(high)) return "–";
  const nearest = Math.min(Math.abs(low), Math.abs(high));
  let shown = digits;
  while ((low > 0 || high < 0) && shown < 17 && Number(fixed(nearest, shown)) === 0) shown += 1;
  return `[${number(low, shown)}, ${number(high, shown)}]`;
}

const percent = (level) => String(Number((100 * level).toFixed(10)));

/* ---- the state: what a reader has chosen --------------------------------------------------------------------------- */

const effectOf = (data, state) => data.effects.find((effect) => effect.key === state.effect);
const sourceOf = (data, state) => effectOf(data, state).sources.find((s) => s.key === state.source);
const CHOICES = ["effect", "source", "method", "ci", "level", "only", "sort", "down", "out"];

export function initialState(data, effect) {
  const { published } = data.effects.find((found) => found.key === effect);
  const { source, method, ci, level } = published;
  return { effect, source, method, ci, level, only: "", sort: "collection", down: false, out: [] };
}

/* The part of an address behind # that reopens a state: what differs from the page as it is opened. */
export function toFragment(state, id, first) {
  const chosen = new URLSearchParams({ forest: id });
  for (const name of CHOICES) {
    if (name === "out") state.out.forEach((study) => chosen.append("out", study));
    else if (state[name] !== first[name]) chosen.set(name, String(state[name]));
  }
  return chosen.toString();
}

/* The state that a fragment asks for, and what of it this book does not have. */
export function fromFragment(fragment, id, data, first) {
  const asked = new URLSearchParams(fragment.replace(/^#/, ""));
  if (asked.get("forest") !== id) return null;
  const unknown = [];
  const known = (name, values, read = (text) => text) => {
    if (!asked.has(name)) return;
    const value = read(asked.get(name));
    if (values.includes(value)) state[name] = value;
    else unknown.push(`${name} ${asked.get(name)}`);
  };
  const state = { ...first };
  known("effect", data.effects.map((effect) => effect.key));
  if (state.effect !== first.effect) state.source = initialState(data, state.effect).source;
  known("source", effectOf(data, state).sources.map((source) => source.key));
  known("method", METHODS);
  known("ci", INTERVALS);
  known("level", [...LEVELS, first.level], Number);
  known("only", filters(data).flatMap((group) => group.values.map(([key]) => key)));
  known("sort", COLUMNS.map((column) => column.key));
  known("down", [true, false], (text) => text === "true");
  const ids = data.studies.map((study) => study.id);
  state.out = asked.getAll("out").filter((study) => ids.includes(study));
  asked.getAll("out").forEach((study) => ids.includes(study) || unknown.push(`study ${study}`));
  return { state, unknown };
}

/* Registry columns in which studies differ, each with its values. */
function filters(data) {
  return data.columns.map(({ key, words }) => {
    const values = [...new Set(data.studies.map((study) => study.facts[key]))].filter(Boolean);
    return { words, values: values.sort().map((value) => [`${key}:${value}`, value]) };
  });
}

/* ---- pooled again -------------------------------------------------------------------------------------------------- */

/* A row for each study that the filter lets through, and the pool of those that are in. */
export function compute(data, state) {
  const effect = effectOf(data, state);
  const estimates = new Map(sourceOf(data, state).rows.map((row) => [row[0], row]));
  const reasons = new Map(sourceOf(data, state).reasons);
  const back = effect.correlation ? Math.tanh : (value) => value;
  const column = state.only.slice(0, state.only.indexOf(":"));
  const value = state.only.slice(state.only.indexOf(":") + 1);
  const rows = data.studies
    .filter((study) => !state.only || study.facts[column] === value)
    .map((study) => {
      const order = data.studies.indexOf(study);
      const row = { study, order, out: state.out.includes(study.id), weight: 0 };
      if (!estimates.has(order)) return { ...row, reason: reasons.get(order) ?? "not estimated" };
      const [, z, error, df, persons, transitions] = estimates.get(order);
      const half = criticalValue(df ?? Infinity, state.level) * error;
      const numbers = { z, error, df: df ?? Infinity, persons, transitions, zLow: z - half, zHigh: z + half };
      return { ...row, ...numbers, estimate: back(z), low: back(z - half), high: back(z + half) };
    });
  const pooled = rows.filter((row) => !row.out && !row.reason);
  if (!pooled.length) return { rows, pooled, fit: null, effect };
  const fit = pool(pooled.map((row) => row.z), pooled.map((row) => row.error ** 2), state);
  pooled.forEach((row, i) => (row.weight = fit.weights[i]));
  const own = pooled.length === 1;
  return {
    ...{ rows, pooled, effect, fit, estimate: back(fit.estimate) },
    // Of one study nothing is pooled: its own interval, which knows its degrees of freedom, stands.
    ...{ low: own ? pooled[0].low : back(fit.ci_low), high: own ? pooled[0].high : back(fit.ci_high) },
    ...{ piLow: back(fit.pi_low), piHigh: back(fit.pi_high) },
  };
}

/* ``−0.05 (95 % CI [−0.07, −0.03])``, and how far studies differ: as the book's pages quote an effect. */
export function quoted(result, level) {
  const text = `${number(result.estimate)} (${percent(level)} % CI ${interval(result.low, result.high)})`;
  const parts = [text];
  if (Number.isFinite(result.piLow)) parts.push(`prediction interval ${interval(result.piLow, result.piHigh)}`);
  if (result.fit.k > 1) parts.push(`τ = ${number(Math.sqrt(result.fit.tau2), 3)}`, `I² = ${number(result.fit.i2, 0)}\u00a0%`);
  return parts.join(", ");
}

export function sentence(data, state, result) {
  const of = `k = ${result.pooled.length} of ${data.studies.length} studies`;
  if (!result.fit) return `No study is left that has this effect (${of}).`;
  const zero = result.low > 0 || result.high < 0 ? "excludes" : "includes";
  return `${result.effect.lead} ${quoted(result, state.level)}; ${of}. The interval ${zero} zero.`;
}

/* ---- what a reader takes away -------------------------------------------------------------------------------------- */

/* A cell of a CSV file that no spreadsheet takes for a formula. */
function cell(value) {
  let text = String(value);
  const formula = /^'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/.test(text);
  if (typeof value === "string" && formula && !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function asCsv(data, state, result) {
  const names = ["study", "label", "effect", "estimator", "estimate", "std_error", "df"];
  const head = [...names, "n_patients", "n_transitions", "in_pool", "weight"];
  const lines = result.rows
    .filter((row) => !row.reason)
    .map((row) => [
      ...[row.study.id, row.study.label, result.effect.words, sourceOf(data, state).words],
      ...[row.z, row.error, row.df === Infinity ? "inf" : row.df, row.persons, row.transitions],
      ...[row.out ? "no" : "yes", row.weight],
    ]);
  return "\ufeff" + [head, ...lines].map((line) => line.map(cell).join(",")).join("\n") + "\n";
}

/* The same with R's metafor: its thresholds are relative to the estimates' spread, as in twostage's own scripts. */
export function asMetafor(state, result) {
  const z = result.pooled.map((row) => row.z);
  const v = result.pooled.map((row) => row.error ** 2);
  const mean = z.reduce((a, b) => a + b, 0) / z.length;
  const spread = Math.max(z.reduce((sum, x) => sum + (x - mean) ** 2, 0) / z.length, 1e-3);
  const control = [];
  if (["REML", "ML", "EB"].includes(state.method)) {
    control.push(`threshold = ${(1e-13 * spread).toExponential(1)}`, "maxiter = 100000");
  } else if (state.method === "PM") {
    const upper = 1e6 * (z.length * spread + Math.max(...v));
    control.push(`tol = ${(1e-14 * spread).toExponential(1)}`, "maxiter = 100000", `tau2.max = ${upper.toExponential(1)}`);
  }
  if (result.fit.maxima > 1) control.push(`tau2.init = ${result.fit.tau2}`);
  const options = `method = "${state.method}", test = "${TESTS[result.fit.ci]}", level = ${percent(state.level)}`;
  const lines = [
    `# ${oneLine(result.effect.words)}: ${z.length} ${z.length === 1 ? "study" : "studies"}`,
    ...["library(metafor)", "dat <- data.frame("],
    `  study = c(${result.pooled.map((row) => JSON.stringify(row.study.label)).join(", ")}),`,
    ...[`  yi = c(${z.join(", ")}),`, `  vi = c(${v.join(", ")}),`, "  check.names = FALSE)"],
    `fit <- rma(yi, vi, slab = study, data = dat, ${options}${control.length ? `,\n  control = list(${control.join(", ")})` : ""})`,
  ];
  if (Number.isFinite(result.fit.pi_low)) {
    const newer = 'if ("predtype" %in% names(formals(getS3method("predict", "rma"))))';
    lines.push(`riley <- ${newer} list(predtype = "Riley") else list(pi.type = "riley")`);
    lines.push("predicted <- do.call(predict, c(list(fit), riley))");
  }
  return lines.join("\n") + "\n";
}

const oneLine = (text) => text.replace(/\s+/g, " ");

/* ---- marks ---------------------------------------------------------------------------------------------------------- */

/* Where a value lies on the axis, in percent of its width. */
function scaleOf(result) {
  const drawn = result.rows.filter((row) => !row.reason);
  const ends = drawn.flatMap((row) => [row.low, row.high]);
  if (result.fit) ends.push(result.low, result.high, result.piLow, result.piHigh);
  const finite = [0, ...ends.filter(Number.isFinite)];
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const width = high - low || 1;
  const at = (value) => 3 + (94 * (value - low)) / width;
  const rough = width / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * width; i++) ticks.push(i * step);
  return { at, ticks: ticks.map((value) => [value, number(value, digits)]) };
}

function svg(name, attributes, children = []) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
}

const across = (at) => `${at.toFixed(3)}%`;

function line(at, from, to, y, look) {
  return svg("line", { x1: across(at(from)), x2: across(at(to)), y1: y, y2: y, ...look });
}

/* The marks of one line of the forest, `y` being its middle; in percent of the width, so that nothing is distorted. */
function studyMarks(row, at, y) {
  const size = 4 + 1.1 * Math.sqrt(row.weight);
  const square = { width: size, height: size, class: "lf-mark", fill: LOOK.ink };
  const place = { x: across(at(row.estimate)), y: y - size / 2, transform: `translate(${-size / 2} 0)` };
  const look = { class: "lf-line", stroke: LOOK.ink, "stroke-width": 1.5 };
  return [line(at, row.low, row.high, y, look), svg("rect", { ...square, ...place })];
}

function pooledMarks(result, at, y) {
  const [low, high] = [at(result.low), at(result.high)];
  const middle = high > low ? (100 * (at(result.estimate) - low)) / (high - low) : 50;
  const box = { x: across(low), y: y - 8, width: across(Math.max(high - low, 0.4)), height: 16 };
  const points = `0,8 ${middle},0 100,8 ${middle},16`;
  const diamond = svg("polygon", { points, class: "lf-diamond", fill: LOOK.pooled });
  return [svg("svg", { ...box, viewBox: "0 0 100 16", preserveAspectRatio: "none" }, [diamond])];
}

const predictionMarks = (result, at, y) =>
  [line(at, result.piLow, result.piHigh, y, { class: "lf-prediction", stroke: LOOK.prediction, "stroke-width": 5 })];

function zeroLine(at, top, bottom) {
  const place = { x1: across(at(0)), x2: across(at(0)), y1: top, y2: bottom };
  return svg("line", { ...place, class: "lf-zero", stroke: LOOK.grey, "stroke-width": 1 });
}

/* The forest as a picture of its own, with its texts. */
export function picture(data, state, result) {
  const { at, ticks } = scaleOf(result);
  const [width, left, plot, step] = [900, 290, 380, 24];
  const drawn = sorted(result.rows.filter((row) => !row.reason && !row.out), state);
  const parts = [];
  const write = (x, y, text, more = {}) =>
    parts.push(svg("text", { x, y, "font-size": 13, fill: LOOK.ink, ...more }, [text]));
  const marks = (children) =>
    parts.push(svg("svg", { x: left, y: 0, width: plot, height: "100%", overflow: "visible" }, children));
  let y = 48;
  write(12, 20, `${result.effect.words}; ${sourceOf(data, state).words}`, { "font-weight": "bold" });
  for (const row of drawn) {
    write(12, y + 4, row.study.label);
    write(width - 12, y + 4, `${number(row.estimate)} ${interval(row.low, row.high)}`, { "text-anchor": "end" });
    marks(studyMarks(row, at, y));
    y += step;
  }
  if (result.fit) {
    write(12, y + 4, `pooled (k = ${result.fit.k}), ${state.method}, ${INTERVAL_WORDS[result.fit.ci]}`, { "font-weight": "bold" });
    write(width - 12, y + 4, `${number(result.estimate)} ${interval(result.low, result.high)}`, { "text-anchor": "end", "font-weight": "bold" });
    marks(pooledMarks(result, at, y));
    y += step;
  }
  if (Number.isFinite(result.piLow)) {
    write(12, y + 4, "prediction interval");
    write(width - 12, y + 4, interval(result.piLow, result.piHigh), { "text-anchor": "end" });
    marks(predictionMarks(result, at, y));
    y += step;
  }
  marks([zeroLine(at, 34, y - 8)]);
  for (const [value, text] of ticks) write(left + (plot * at(value)) / 100, y + 8, text, { "text-anchor": "middle", fill: LOOK.grey });
  if (data.note) write(12, y + 34, data.note.length > 150 ? `${data.note.slice(0, 149)}…` : data.note, { fill: LOOK.grey, "font-size": 11 });
  const height = y + 46;
  const root = svg("svg", { xmlns: SVG, viewBox: `0 0 ${width} ${height}`, width, height, "font-family": "sans-serif" });
  root.append(svg("rect", { width, height, fill: "#fff" }), ...parts);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(root)}\n`;
}

/* ---- the page ------------------------------------------------------------------------------------------------------- */

const COLUMNS = [
  { key: "collection", words: "study", of: (row) => row.order },
  { key: "year", words: "year", of: (row) => row.study.year ?? -Infinity, number: true },
  { key: "persons", words: "patients", of: (row) => row.persons ?? -Infinity, number: true },
  { key: "precision", words: "estimate and interval", of: (row) => row.error ?? Infinity },
  { key: "estimate", words: "estimate [CI]", of: (row) => row.estimate ?? Infinity, number: true },
  { key: "weight", words: "weight", of: (row) => row.weight, number: true },
];

function sorted(rows, state) {
  const { of } = COLUMNS.find((column) => column.key === state.sort);
  const sign = state.down ? -1 : 1;
  return [...rows].sort((a, b) => (of(a) < of(b) ? -sign : of(a) > of(b) ? sign : a.order - b.order));
}

function element(name, attributes = {}, children = []) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function select(label, name, groups, state, change) {
  const options = (values) =>
    values.map(([value, words]) => element("option", { value, selected: String(state[name]) === String(value) }, [words]));
  const inside = groups.flatMap(({ words, values }) =>
    words ? [element("optgroup", { label: words }, options(values))] : options(values),
  );
  const chosen = element("select", { name, onchange: () => change(name, chosen.value) }, inside);
  return element("label", {}, [element("span", {}, [label]), chosen]);
}

function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

class Forest {
  constructor(data, place, number) {
    Object.assign(this, { data, place, id: place.dataset.forest });
    this.first = initialState(data, place.dataset.effect);
    this.state = { ...this.first };
    this.note = "";
    this.said = element("p", { class: "lf-now", role: "status", "aria-live": "polite" });
    this.book = element("p", { class: "lf-published" });
    this.controls = element("div", { class: "lf-controls", role: "group", "aria-label": "Choices" });
    this.table = element("table", { class: "lf-table" });
    this.facts = element("p", { class: "lf-facts", id: `lf-facts-${number}` });
    this.takeaway = element("div", { class: "lf-takeaway", role: "group", "aria-label": "Take away" });
    this.code = element("pre", { class: "lf-code", tabindex: 0, hidden: true, "aria-label": "Code for metafor" });
    const scroll = element("div", { class: "lf-scroll" }, [this.table]);
    const parts = [this.said, this.book, this.controls, scroll, this.facts, this.takeaway, this.code];
    this.live = element("section", { class: "lf-live", "aria-label": "Forest plot that can be pooled again" }, parts);
    place.append(this.live);
    place.classList.add("lf-ready");
    this.buttons();
    this.open();
    window.addEventListener("hashchange", () => this.open());
  }

  /* Take the state from the address, if it asks for one of this forest. */
  open() {
    const asked = fromFragment(location.hash, this.id, this.data, this.first);
    if (asked) {
      this.state = asked.state;
      this.note = asked.unknown.length ? ` The link asks for what this book does not have: ${asked.unknown.join("; ")}.` : "";
    }
    this.draw();
    if (asked) this.place.scrollIntoView({ block: "start" });
  }

  change(name, value) {
    const read = { level: Number, down: (text) => text === true };
    this.state = { ...this.state, [name]: (read[name] ?? ((text) => text))(value) };
    if (name === "effect" && !sourceOf(this.data, this.state)) this.state.source = initialState(this.data, value).source;
    this.note = "";
    this.keep();
    this.draw();
  }

  toggle(study) {
    const { out } = this.state;
    this.change("out", out.includes(study) ? out.filter((id) => id !== study) : [...out, study]);
  }

  sort(key) {
    this.state = { ...this.state, down: this.state.sort === key && !this.state.down };
    this.change("sort", key);
  }

  address() {
    return `${location.href.split("#")[0]}#${toFragment(this.state, this.id, this.first)}`;
  }

  keep() {
    history.replaceState(history.state, "", this.address());
  }

  draw() {
    const focused = document.activeElement?.dataset?.focus;
    this.result = compute(this.data, this.state);
    this.said.textContent = `Now: ${sentence(this.data, this.state, this.result)}${this.note}`;
    const { published } = this.result.effect;
    this.book.textContent = `As published in this book: ${published.text}.`;
    this.fillControls();
    this.fillTable();
    if (!this.code.hidden) this.showCode();
    if (focused && this.place.contains(this.live)) this.live.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  fillControls() {
    const { data, state } = this;
    const change = (name, value) => this.change(name, value);
    const sources = effectOf(data, state).sources;
    const grouped = [...new Set(sources.map((source) => source.group))].map((words) => ({
      words,
      values: sources.filter((source) => source.group === words).map((source) => [source.key, source.words]),
    }));
    const plain = (values) => [{ values }];
    const levels = [...new Set([...LEVELS, this.first.level])].sort().map((level) => [level, `${percent(level)} %`]);
    const made = [
      select("Effect", "effect", plain(data.effects.map((effect) => [effect.key, effect.words])), state, change),
      select("Stage 1", "source", grouped, state, change),
      select("τ² by", "method", plain(METHODS.map((name) => [name, name])), state, change),
      select("Interval", "ci", plain(INTERVALS.map((name) => [name, INTERVAL_WORDS[name]])), state, change),
      select("Level", "level", plain(levels), state, change),
      select("Only", "only", [...plain([["", "all studies"]]), ...filters(data)], state, change),
    ];
    for (const label of made) label.lastChild.dataset.focus = label.lastChild.name;
    this.controls.replaceChildren(...made);
  }

  fillTable() {
    const { at, ticks } = scaleOf(this.result);
    const rows = sorted(this.result.rows, this.state).map((row) => this.studyRow(row, at));
    const axis = ticks.map(([value, text]) => svg("text", { x: across(at(value)), y: 12, "text-anchor": "middle" }, [text]));
    const foot = this.result.fit ? this.pooledRows(at) : [];
    foot.push(element("tr", { class: "lf-axis", "aria-hidden": "true" }, [
      ...["", "", "", ""].map(() => element("td")),
      element("td", {}, [svg("svg", { width: "100%", height: 16 }, axis)]),
      ...["", ""].map(() => element("td")),
    ]));
    const caption = element("caption", {}, [this.data.caption]);
    this.table.replaceChildren(caption, this.head(), element("tbody", {}, rows), element("tfoot", {}, foot));
  }

  head() {
    const cells = COLUMNS.map(({ key, words, number }) => {
      const sorts = this.state.sort === key ? (this.state.down ? "descending" : "ascending") : null;
      const title = this.data.words[words] ?? words;
      const button = element("button", { type: "button", "data-focus": `sort-${key}`, onclick: () => this.sort(key) }, [title]);
      const by = key === "precision" ? "Sort by precision" : null;
      if (by) button.title = by;
      return element("th", { scope: "col", "aria-sort": sorts, class: `lf-${key}${number ? " lf-number" : ""}` }, [button]);
    });
    return element("thead", {}, [element("tr", {}, [element("th", { scope: "col", class: "lf-in" }, ["in"]), ...cells])]);
  }

  studyRow(row, at) {
    const { id, label } = row.study;
    const box = element("input", { type: "checkbox", "data-focus": `in-${id}`, "aria-label": `${label} in the pool`, onchange: () => this.toggle(id) });
    box.checked = !row.out && !row.reason;
    box.disabled = Boolean(row.reason);
    const root = document.documentElement.dataset.content_root ?? "./";
    const href = `${root}notebooks/${encodeURIComponent(id)}/index.html`;
    const link = element("a", { href, "data-focus": `of-${id}`, "aria-describedby": this.facts.id }, [label]);
    const marks = row.reason ? [] : [zeroLine(at, 0, 24), ...studyMarks(row, at, 12)];
    const shows = () => (this.facts.textContent = this.factsOf(row));
    const words = { persons: ` ${this.data.words.patients}` };
    const amount = (name, text) => element("td", { class: `lf-number lf-${name}`, "data-words": words[name] }, [text]);
    return element("tr", { class: row.out || row.reason ? "lf-out" : "", onmouseenter: shows, onfocusin: shows, onclick: shows }, [
      element("td", { class: "lf-in" }, [box]),
      element("th", { scope: "row", class: "lf-collection" }, [link]),
      amount("year", row.study.year ? String(row.study.year) : "–"),
      amount("persons", row.reason ? "–" : row.persons.toLocaleString("en")),
      element("td", { class: "lf-plot" }, row.reason ? [row.reason] : [svg("svg", { width: "100%", height: 24, "aria-hidden": "true" }, marks)]),
      amount("estimate", row.reason ? "–" : `${number(row.estimate)} ${interval(row.low, row.high)}`),
      amount("weight", row.reason ? "–" : row.out ? "left out" : `${number(row.weight, 1)} %`),
    ]);
  }

  pooledRows(at) {
    const { result } = this;
    const wide = (words, marks, text, weight) =>
      element("tr", { class: "lf-pooled" }, [
        element("td", { class: "lf-in" }),
        element("th", { scope: "row", class: "lf-collection" }, [words]),
        ...[element("td", { class: "lf-year" }), element("td", { class: "lf-persons" })],
        element("td", { class: "lf-plot" }, [svg("svg", { width: "100%", height: 24, "aria-hidden": "true" }, [zeroLine(at, 0, 24), ...marks])]),
        element("td", { class: "lf-number lf-estimate" }, [text]),
        element("td", { class: "lf-number lf-weight" }, [weight]),
      ]);
    const pooled = `${number(result.estimate)} ${interval(result.low, result.high)}`;
    const rows = [wide(`pooled (k = ${result.fit.k})`, pooledMarks(result, at, 12), pooled, "100.0 %")];
    if (Number.isFinite(result.piLow)) {
      rows.push(wide("prediction interval", predictionMarks(result, at, 12), interval(result.piLow, result.piHigh), ""));
    }
    return rows;
  }

  factsOf(row) {
    const { columns, words } = this.data;
    const known = columns.filter(({ key }) => row.study.facts[key]).map(({ key, words: name }) => `${name}: ${row.study.facts[key]}`);
    if (row.study.year) known.unshift(`year: ${row.study.year}`);
    if (row.study.shared) known.push("shared its results only");
    if (row.reason) return [`${row.study.label}: ${row.reason}`, ...known].join("; ");
    const counts = `${row.persons.toLocaleString("en")} ${words.patients}, ${row.transitions.toLocaleString("en")} transitions`;
    const own = `${number(row.estimate, 3)} ${interval(row.low, row.high, 3)}, standard error ${number(row.error, 3)}`;
    return [`${row.study.label}: ${own}`, counts, ...known].join("; ");
  }

  buttons() {
    const button = (words, act) => element("button", { type: "button", onclick: act }, [words]);
    const link = button("Copy link to this view", () => this.copy(this.address(), link));
    const code = button("Copy as metafor code", () => {
      if (!this.result.fit) return;
      this.code.hidden = false;
      this.showCode();
      this.copy(this.code.textContent, code);
    });
    const csv = () => download("forest.csv", "text/csv", asCsv(this.data, this.state, this.result));
    const drawn = () => download("forest.svg", "image/svg+xml", picture(this.data, this.state, this.result));
    const reset = button("As published", () => {
      this.state = { ...this.first };
      this.change("out", []);
    });
    this.takeaway.append(reset, button("CSV", csv), button("SVG", drawn), code, link);
  }

  showCode() {
    this.code.textContent = this.result.fit ? asMetafor(this.state, this.result) : "";
  }

  /* The code stands on the page and the link in the address, where a browser refuses its clipboard. */
  async copy(text, button) {
    const words = button.textContent;
    const done = await navigator.clipboard.writeText(text).then(() => "Copied", () => "Not copied: the browser refuses; please select it yourself");
    button.textContent = done;
    setTimeout(() => (button.textContent = words), 2000);
  }
}

export function start(data) {
  [...document.querySelectorAll(".live-forest")].forEach((place, i) => {
    if (data.effects.some((effect) => effect.key === place.dataset.effect)) new Forest(data, place, i);
  });
}
