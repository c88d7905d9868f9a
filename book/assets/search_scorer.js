/* Search serves readers: the manuscript, the glossary and the how-to pages come first, then tutorials and chapters, then what
   commands printed in notebooks, then the package's functions. Within each of them Sphinx' own scores decide. */
var Scorer = {
  score: ([page, , , , score]) => {
    if (page.startsWith("api/") || page === "genindex") return score - 1000;
    if (!page.includes("/")) return score + 2000;
    return page.startsWith("notebooks/tutorials/") || page.endsWith("/index") ? score + 1000 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
