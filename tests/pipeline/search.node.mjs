/* Asks the search of a built book, as its search page does, and prints the pages found; test_search.py calls it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import vm from "node:vm";

const [html, queries] = process.argv.slice(2);
const nothing = { remove() {}, appendChild: () => nothing, firstChild: null, addEventListener() {}, textContent: "" };
const document = { getElementById: () => nothing, createElement: () => nothing, addEventListener() {}, readyState: "loading" };
const storage = { setItem() {}, getItem: () => null };
const names = { document, localStorage: storage, console, URLSearchParams, SPHINX_HIGHLIGHT_ENABLED: false };
const page = vm.createContext({ ...names, window: {}, DOCUMENTATION_OPTIONS: {}, _ready() {}, _: (text) => text });
for (const script of ["_static/language_data.js", "_static/searchtools.js", "searchindex.js"]) {
  vm.runInContext(readFileSync(join(html, script), "utf8").replace(/^const Search =/m, "var Search ="), page);
}
const search = "(query) => Search._performSearch(...Search._parseQuery(query)).reverse().map((found) => found[0])";
const found = JSON.parse(queries).map((query) => vm.runInContext(search, page)(query));
console.log(JSON.stringify(found));
