"""What several pages share: tables, forest plots, words on heterogeneity, the look of figures, what a page leaves."""
