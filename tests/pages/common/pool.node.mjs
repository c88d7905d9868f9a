/* Pools what stands in a file with the module of the book's pages; test_pool_in_javascript.py calls it. */
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [module, input, output] = process.argv.slice(2);
const { pool, criticalValue, METHODS, INTERVALS } = await import(pathToFileURL(module).href);
const { cases, quantiles } = JSON.parse(readFileSync(input, "utf8"));
const names = ["estimate", "std_error", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "q", "i2"];
const fits = cases.map(({ y, v, level }) =>
  METHODS.map((method) =>
    INTERVALS.map((ci) => {
      const fit = pool(y, v, { method, ci, level });
      return [...names.map((name) => fit[name]), ...fit.weights];
    }),
  ),
);
const found = quantiles.map(([df, level]) => criticalValue(df ?? Infinity, level));
writeFileSync(output, JSON.stringify({ methods: METHODS, intervals: INTERVALS, fits, quantiles: found }));
