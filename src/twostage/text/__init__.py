"""Texts from outside: which are refused, and how the others enter a page, a figure, a CSV cell or a terminal."""

from twostage.text.csv_cells import guarded, plain, read_csv, to_csv, write_csv
from twostage.text.escape import (
    Markup,
    code,
    fence,
    image,
    markup,
    myst,
    option,
    paragraphs,
    rich_html,
    rich_myst,
    rich_texts,
    visible,
)
from twostage.text.essay import essay_myst, essay_texts
from twostage.text.refused import text_problem, text_problems
from twostage.text.strict_yaml import YamlError, parse_yaml, read_yaml, yaml_text
