/* Random-effects meta-analysis in the reader's browser: what twostage.stats.pool computes, so that a page can pool again.

   The formulas, the searches and their tolerances are those of src/twostage/stats/pool/ (tau2.py, design.py, pool.py), and
   tests/pages/common/test_pool_in_javascript.py compares the two. Nothing here knows of pages. */

export const METHODS = ["REML", "DL", "PM", "ML", "EB", "SJ", "HS", "HE", "FE"];
export const INTERVALS = ["hartung-knapp", "hartung-knapp-adhoc", "wald"];

const STEP_TOLERANCE = 1e-13;
const NEWTON_ITERATIONS = 20;
const MAX_ITERATIONS = 100;
const CELL = 0.2;
const DOMINATED = 0.9;

const total = (a) => a.reduce((sum, x) => sum + x, 0);
const totalOf = (a, f) => a.reduce((sum, x, i) => sum + f(x, i), 0);
const least = (a) => a.reduce((x, y) => Math.min(x, y), Infinity);
const most = (a) => a.reduce((x, y) => Math.max(x, y), -Infinity);

/* ---- quantiles --------------------------------------------------------------------------------------------------- */

/* Standard normal quantile of 0.5 + level / 2: Newton on the series of the distribution function, whose terms are all
   positive. */
function normalQuantile(level) {
  let z = 1;
  for (let i = 0; i < MAX_ITERATIONS; i++) {
    let term = z;
    let sum = z;
    for (let n = 3; term > 1e-17 * sum; n += 2) sum += term *= (z * z) / n;
    const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
    const step = (density * sum - level / 2) / density;
    z -= Math.max(-1, Math.min(1, step));
    if (Math.abs(step) < 1e-14 * z) break;
  }
  return z;
}

/* Gamma(a + 1/2) / Gamma(a): Stirling's series of the ratio above 30, its recursion below. */
function gammaRatio(a) {
  if (a < 30) return (gammaRatio(a + 1) * a) / (a + 0.5);
  const c = 1 / a;
  return Math.sqrt(a) * Math.exp(c * (-1 / 8 + c * c * (1 / 192 - (c * c) / 640)));
}

/* Continued fraction of the incomplete beta function (Lentz). */
function betaFraction(x, a, b) {
  const kept = (d) => (Math.abs(d) < 1e-300 ? 1e-300 : d);
  let c = 1;
  let d = 1 / kept(1 - ((a + b) * x) / (a + 1));
  let h = d;
  for (let m = 1; m < 10000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / kept(1 + even * d);
    c = kept(1 + even / c);
    h *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / kept(1 + odd * d);
    c = kept(1 + odd / c);
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return h;
}

/* P(|T| > t) of Student's t, where u = log(df / (df + t^2)), and its derivative in u. */
function twoSidedTail(u, df) {
  const a = df / 2;
  const x = Math.exp(u);
  const rest = -Math.expm1(u);
  const front = (Math.exp(a * u) * Math.sqrt(rest) * gammaRatio(a)) / Math.sqrt(Math.PI);
  const tail =
    x < (a + 1) / (a + 2.5)
      ? (front * betaFraction(x, a, 0.5)) / a
      : 1 - 2 * front * betaFraction(rest, 0.5, a);
  return { tail, slope: front / rest };
}

/* Two-sided critical value of Student's t, of the normal distribution for infinite df; NaN for df below 1. */
export function criticalValue(df, level) {
  if (!(df >= 1)) return NaN;
  const z = normalQuantile(level);
  if (df === Infinity) return z;
  if (df > 1000) {
    // Cornish and Fisher's expansion: the next term is below 1e-10 here.
    const s = z * z;
    const second = (z * ((5 * s + 16) * s + 3)) / 96;
    const third = (z * (((3 * s + 19) * s + 17) * s - 15)) / 384;
    return z + ((z * (s + 1)) / 4 + (second + third / df) / df) / df;
  }
  const wanted = 1 - level;
  let [low, high] = [-1500, 0];
  let u = -Math.log1p((z * z) / df);
  for (let i = 0; i < 200; i++) {
    const { tail, slope } = twoSidedTail(u, df);
    if (tail < wanted) low = u;
    else high = u;
    // The logarithm of the tail is nearly a straight line in u.
    const newton = u - (tail * Math.log(tail / wanted)) / slope;
    const next = newton > low && newton < high ? newton : (low + high) / 2;
    const moved = Math.abs(next - u);
    u = next;
    if (moved < 1e-15 * Math.abs(u)) break;
  }
  return Math.sqrt(df * Math.expm1(-u));
}

/* ---- weighted means ---------------------------------------------------------------------------------------------- */

function project(y, w) {
  const sum = total(w);
  const mean = totalOf(w, (x, i) => x * y[i]) / sum;
  const deviation = y.map((x) => x - mean);
  return { w, sum, mean, deviation, rss: totalOf(w, (x, i) => x * deviation[i] ** 2) };
}

const at = (y, v, tau2) => project(y, v.map((x) => 1 / (x + tau2)));

/* tr P; by sums of the other weights where one weight is so large that a difference would lose digits. */
function trace({ w, sum }) {
  const squares = totalOf(w, (x) => x * x);
  if (squares <= DOMINATED * sum * sum) return sum - squares / sum;
  return totalOf(w, (x, i) => x * totalOf(w, (other, j) => (j === i ? 0 : other))) / sum;
}

/* ---- tau2 -------------------------------------------------------------------------------------------------------- */

/* The tau2 >= 0 at which the generalised Q is k - 1: Newton on 1/Q from 0, which never passes the root. */
function solveQ(y, v) {
  const target = y.length - 1;
  const floor = least(v);
  let tau2 = 0;
  for (let i = 0; i < MAX_ITERATIONS; i++) {
    const here = at(y, v, tau2);
    if (!(here.rss > target)) break;
    const slope = totalOf(here.w, (w, j) => (w * here.deviation[j]) ** 2);
    const step = (here.rss * (here.rss / target - 1)) / slope;
    tau2 += step;
    if (!(step > STEP_TOLERANCE * (tau2 + floor))) break;
  }
  return tau2;
}

function slopeAt(here, reml) {
  return totalOf(here.w, (w, i) => (w * here.deviation[i]) ** 2) - (reml ? trace(here) : here.sum);
}

/* Twice the second derivative of the (restricted) log-likelihood. */
function curvatureAt(here, reml) {
  const { w, sum, deviation } = here;
  const squares = totalOf(w, (x) => x * x);
  const twice = w.map((x, i) => x * x * deviation[i]);
  const cubic = totalOf(twice, (x, i) => x * w[i] * deviation[i]) - total(twice) ** 2 / sum;
  if (!reml) return squares - 2 * cubic;
  const traced = squares - (2 * totalOf(w, (x) => x ** 3)) / sum + (squares / sum) ** 2;
  return traced - 2 * cubic;
}

/* The (restricted) log-likelihood up to a constant that does not depend on tau2. */
function height(y, v, tau2, reml) {
  const here = at(y, v, tau2);
  const deviance = totalOf(v, (x) => Math.log(x + tau2)) + here.rss;
  return -0.5 * (reml ? deviance + Math.log(here.sum) : deviance);
}

function searchBound(y, v) {
  const [low, high] = [least(v), most(v)];
  const s = project(y, v.map(() => 1)).rss / (y.length - 1);
  const u = 0.5 * (s + Math.sqrt(s * s + 4 * s * (high - low)));
  return 1.1 * Math.max(u, low) - low;
}

/* Zero of the slope in a bracket: Newton's method, guarded by bisection. */
function refine(y, v, low, high, reml) {
  const floor = least(v);
  let tau2 = 0.5 * (low + high);
  for (let i = 0; i < MAX_ITERATIONS; i++) {
    const here = at(y, v, tau2);
    const slope = slopeAt(here, reml);
    const curvature = curvatureAt(here, reml);
    if (slope > 0) low = tau2;
    else high = tau2;
    const newton = tau2 - slope / (curvature < 0 ? curvature : -1);
    const usable = curvature < 0 && newton >= low && newton <= high && i < NEWTON_ITERATIONS;
    const next = usable ? newton : 0.5 * (low + high);
    const moved = Math.abs(next - tau2);
    tau2 = next;
    if (!(moved > STEP_TOLERANCE * (tau2 + floor))) break;
  }
  return tau2;
}

/* Global maximum of the (restricted) likelihood over tau2 >= 0: every cell of a grid up to a bound that follows from the
   data in which the slope turns from + to - is refined, and the highest maximum is taken. */
function maximise(y, v, reml) {
  const low = least(v);
  const span = Math.log1p(searchBound(y, v) / low);
  const cells = Math.ceil(span / CELL) + 1;
  const grid = Array.from({ length: cells + 1 }, (_, i) => low * Math.expm1((span * i) / cells));
  const slopes = grid.map((tau2) => slopeAt(at(y, v, tau2), reml));
  const found = slopes[0] <= 0 ? [0] : [];
  for (let i = 0; i < cells; i++) {
    if (slopes[i] > 0 && slopes[i + 1] <= 0) found.push(refine(y, v, grid[i], grid[i + 1], reml));
  }
  const heights = found.map((tau2) => height(y, v, tau2, reml));
  return { tau2: found[heights.indexOf(most(heights))], maxima: found.length };
}

function closedForm(y, v, method) {
  const k = y.length;
  const even = project(y, v.map(() => 1));
  if (method === "HE") return (even.rss - totalOf(v, (x) => x * (1 - 1 / k))) / (k - 1);
  if (method === "SJ") {
    const start = even.rss / k;
    return (start * at(y, v, start).rss) / (k - 1);
  }
  const plain = at(y, v, 0);
  return method === "DL" ? (plain.rss - (k - 1)) / trace(plain) : (plain.rss - k) / plain.sum;
}

function search(y, v, method) {
  if (method === "FE" || y.length === 1) return { tau2: 0, maxima: 1 };
  if (["DL", "HE", "HS", "SJ"].includes(method)) {
    return { tau2: Math.max(0, closedForm(y, v, method)), maxima: 1 };
  }
  if (method === "PM" || method === "EB") return { tau2: solveQ(y, v), maxima: 1 };
  return maximise(y, v, method === "REML");
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

/* Hartung and Knapp's factor on the variance of the pooled effect; 1 for Wald. Exact agreement gives 0. */
function varianceFactor(q, df, ci) {
  if (ci === "wald") return 1;
  const factor = (q <= Number.EPSILON ? 0 : q) / df;
  return ci === "hartung-knapp-adhoc" ? Math.max(factor, 1) : factor;
}

/* I2 in percent: by Q for a fixed effect, else from tau2 and the typical sampling variance. */
function shareOfHeterogeneity(plain, k, q, tau2, method) {
  if (k === 1) return 0;
  if (method === "FE") return q > 0 ? (100 * Math.max(q - (k - 1), 0)) / q : 0;
  return (100 * tau2) / (tau2 + (k - 1) / trace(plain));
}

/* Pools estimates `y` with sampling variances `v` (arrays of the same length, at least one; v > 0).

   Returns k, estimate, std_error, df, ci_low, ci_high, pi_low, pi_high (NaN where there is none), tau2, q, i2, weights in
   percent, maxima (of the likelihood) and the `ci` in force: one study has its own normal interval. The prediction interval
   has k - 2 degrees of freedom. */
export function pool(y, v, { method = "REML", ci = "hartung-knapp", level = 0.95 } = {}) {
  const k = y.length;
  if (!k || v.length !== k) throw new Error(`${k} estimates with ${v.length} variances`);
  if (!METHODS.includes(method)) throw new Error(`no estimator of tau2: ${method}`);
  if (!INTERVALS.includes(ci)) throw new Error(`no interval: ${ci}`);
  const used = k === 1 ? "wald" : ci;
  const df = used === "wald" ? Infinity : k - 1;
  const centre = total(y) / k;
  const rest = y.map((x) => x - centre);
  const { tau2, maxima } = search(rest, v, method);
  const here = at(rest, v, tau2);
  const plain = at(rest, v, 0);
  const estimate = here.mean + centre;
  const factor = varianceFactor(here.rss, k - 1, used);
  const error = Math.sqrt(factor / here.sum);
  const half = criticalValue(df, level) * error;
  const predicts = method !== "FE" && k > 2;
  const reach = predicts ? criticalValue(k - 2, level) * Math.sqrt(tau2 + error * error) : NaN;
  const q = k === 1 ? 0 : plain.rss;
  return {
    ...{ k, method, ci: used, level, estimate, std_error: error, df },
    ...{ ci_low: estimate - half, ci_high: estimate + half },
    ...{ pi_low: estimate - reach, pi_high: estimate + reach },
    ...{ tau2, q, i2: shareOfHeterogeneity(plain, k, q, tau2, method), maxima },
    weights: here.w.map((w) => (100 * w) / here.sum),
  };
}
