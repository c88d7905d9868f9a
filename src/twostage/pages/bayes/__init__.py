"""The pool of an analysis by Bayes's theorem, beside the frequentist one."""
