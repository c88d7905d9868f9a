/* The live specification curve: the specifications of one effect, filtered by the values of each choice.

   `start(data)` adds to each element `.live-curve` of a page, below the static figure that it holds. Texts enter the page as text nodes only. The data are written by
   src/twostage/pages/multiverse/live.py: of each specification one letter per choice, and estimate and interval ends in
   ten-thousandths. */

const UNIT = 1e4;
const PICTURE = { height: 260, left: 46, right: 8, top: 10 };

/* ---- numbers in words: as twostage.display writes them ------------------------------------------------------------- */

export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/* A share; never 0 or 100 % by rounding. */
export function percent(n, all) {
  const share = (100 * n) / all;
  if (n === 0 || n === all) return n ? "all" : "none";
  return share < 0.05 || share >= 99.95 ? `${n.toLocaleString("en")}` : `${share.toFixed(1)} %`;
}

/* ---- what is shown ------------------------------------------------------------------------------------------------- */

/* Which specifications have, of each choice, one of the values that are wanted (an array of sets of places). */
export function chosen(effect, wanted) {
  const letters = wanted.map((places) => new Set([...places].map((place) => String.fromCharCode(97 + place))));
  const found = [];
  effect.choices.forEach((code, i) => {
    if (letters.every((set, f) => set.has(code[f]))) found.push(i);
  });
  const at = (i) => effect.numbers[3 * i];
  return found.sort((a, b) => at(a) - at(b) || a - b);
}

export function summarise(effect, rows, least) {
  const numbers = (i) => [0, 1, 2].map((k) => effect.numbers[3 * i + k] / UNIT);
  const found = { n: rows.length, below: 0, negative: 0, positive: 0, above: 0, beyond: 0 };
  for (const i of rows) {
    const [estimate, low, high] = numbers(i);
    if (high < 0) found.below += 1;
    if (low > 0) found.above += 1;
    if (estimate < 0) found.negative += 1;
    if (estimate > 0) found.positive += 1;
  }
  const middle = (rows.length - 1) / 2;
  const estimate = (place) => numbers(rows[place])[0];
  found.median = rows.length ? (estimate(Math.floor(middle)) + estimate(Math.ceil(middle))) / 2 : NaN;
  found.low = rows.length ? estimate(0) : NaN;
  found.high = rows.length ? estimate(rows.length - 1) : NaN;
  found.sign = found.negative >= found.positive ? -1 : 1;
  found.beyond = rows.filter((i) => found.sign * numbers(i)[0] > least).length;
  return found;
}

/* Ends of the axis: all estimates and zero, and all but the widest hundredth of the intervals. They are those of all
   specifications, so that what is left does not move. */
export function reach(numbers) {
  const column = (k) => numbers.filter((_, i) => i % 3 === k).sort((a, b) => a - b);
  const [estimates, lows, highs] = [0, 1, 2].map(column);
  const at = (values, share) => values[Math.round(share * (values.length - 1))];
  return [Math.min(0, estimates[0], at(lows, 0.01)), Math.max(0, estimates.at(-1), at(highs, 0.99))];
}

export function sentence(effect, rows, least) {
  const all = effect.choices.length.toLocaleString("en");
  const s = summarise(effect, rows, least);
  if (!s.n) return `None of the ${all} specifications has these values.`;
  const side = s.sign < 0 ? `negative estimate: ${percent(s.negative, s.n)}` : `positive estimate: ${percent(s.positive, s.n)}`;
  const beyond = least ? `; beyond ${number(s.sign * least, 2)}: ${percent(s.beyond, s.n)}` : "";
  return (
    `${s.n.toLocaleString("en")} of ${all} specifications: median ${number(s.median)}, from ${number(s.low)} to ${number(s.high)}; ` +
    `${side}; interval below zero: ${percent(s.below, s.n)}; above zero: ${percent(s.above, s.n)}${beyond}.`
  );
}

/* ---- the page ------------------------------------------------------------------------------------------------------ */

function element(name, attributes = {}, children = []) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

class Curve {
  constructor(data, effect, place) {
    Object.assign(this, { data, effect, place });
    this.wanted = data.choices.map(({ values }) => new Set(values.keys()));
    this.said = element("p", { class: "lc-now", role: "status", "aria-live": "polite" });
    this.canvas = element("canvas", { class: "lc-picture", role: "img", "aria-label": `Specification curve of ${effect.words}; the sentence above says what it shows` });
    const boxes = element("div", { class: "lc-choices" }, data.choices.map((choice, f) => this.choice(choice, f)));
    const reset = element("button", { type: "button", onclick: () => this.reset() }, ["All specifications"]);
    const note = element("p", { class: "lc-note" }, [`Untick a value to leave out the specifications that have it. The circle is the main analysis; the widest intervals are cut. ${data.note}`]);
    this.live = element("section", { class: "lc-live", "aria-label": `Specifications of ${effect.words}, filtered by choice` }, [this.said, this.canvas, boxes, reset, note]);
    place.append(this.live);
    new ResizeObserver(() => this.paint()).observe(this.live);
    new MutationObserver(() => this.paint()).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    this.draw();
  }

  choice({ words, values }, f) {
    const lines = values.map((value, place) => {
      const box = element("input", { type: "checkbox", "data-focus": `${f}-${place}`, onchange: () => this.toggle(f, place, box.checked) });
      box.checked = true;
      return element("label", {}, [box, element("span", {}, [value])]);
    });
    return element("fieldset", {}, [element("legend", {}, [words]), ...lines]);
  }

  toggle(f, place, on) {
    if (on) this.wanted[f].add(place);
    else this.wanted[f].delete(place);
    this.draw();
  }

  reset() {
    this.wanted = this.data.choices.map(({ values }) => new Set(values.keys()));
    for (const box of this.live.querySelectorAll("input")) box.checked = true;
    this.draw();
  }

  draw() {
    this.rows = chosen(this.effect, this.wanted);
    this.said.textContent = sentence(this.effect, this.rows, this.data.least);
    this.paint();
  }

  paint() {
    const { canvas, rows, effect } = this;
    const width = this.live.clientWidth;
    if (!width) return;
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(PICTURE.height * scale);
    canvas.style.height = `${PICTURE.height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const look = getComputedStyle(this.live);
    const colour = (name) => look.getPropertyValue(name).trim();
    const ends = effect.numbers;
    const [least, most] = reach(ends);
    const inner = PICTURE.height - 2 * PICTURE.top;
    const y = (value) => PICTURE.top + (inner * (most - value)) / (most - least || 1);
    const x = (place) => PICTURE.left + ((width - PICTURE.left - PICTURE.right) * (place + 0.5)) / rows.length;
    const line = (value, style, dash) => {
      pen.setLineDash(dash);
      pen.strokeStyle = style;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(PICTURE.left, y(value));
      pen.lineTo(width - PICTURE.right, y(value));
      pen.stroke();
      pen.setLineDash([]);
    };
    pen.lineWidth = Math.max(0.5, Math.min(3, (width - PICTURE.left) / rows.length));
    pen.strokeStyle = colour("--lc-interval");
    pen.beginPath();
    const inside = (value) => y(Math.max(least, Math.min(most, value)));
    rows.forEach((i, place) => {
      pen.moveTo(x(place), inside(ends[3 * i + 1]));
      pen.lineTo(x(place), inside(ends[3 * i + 2]));
    });
    pen.stroke();
    pen.fillStyle = colour("--lc-estimate");
    rows.forEach((i, place) => pen.fillRect(x(place) - 1, y(ends[3 * i]) - 1, 2, 2));
    line(0, colour("--lc-ink"), []);
    for (const end of this.data.least ? [-this.data.least, this.data.least] : []) {
      if (end * UNIT > least && end * UNIT < most) line(end * UNIT, colour("--lc-muted"), [2, 3]);
    }
    const main = rows.indexOf(0);
    if (main >= 0) {
      pen.strokeStyle = colour("--lc-ink");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(x(main), y(ends[0]), 5, 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.fillStyle = colour("--lc-ink");
    pen.font = "12px sans-serif";
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of [least, 0, most]) pen.fillText(number(value / UNIT, 2), PICTURE.left - 6, y(value));
  }
}

export function start(data) {
  for (const place of document.querySelectorAll(".live-curve")) {
    const effect = data.effects.find(({ key }) => key === place.dataset.effect);
    if (effect) new Curve(data, effect, place);
  }
}
