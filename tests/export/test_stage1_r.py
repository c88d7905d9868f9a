"""The exported R scripts: R was run on them, and gave what stage 1 gives."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.collection import read_collection, read_settings, saved_as
from twostage.export.lavaan import dpm, riclpm, riclpm_error
from twostage.export.stage1_r import Script
from twostage.params import make_parameters
from twostage.stage1 import crosslevel, estimators, lagged, make_panel, outcome
from twostage.terms import DIRECTIONS

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
sys.path.insert(0, str(REFERENCE))

from export_cases import CASES, parameters, script

#: Of the standard error. lme4's bobyqa ends within 1e-7 of theta; the coefficients then agree to about 1e-6. Random slopes
#: whose covariance matrix is singular are another matter: bobyqa stops on the way along the boundary. That ours is the
#: optimum there is checked by stage1.R, which goes on by Newton steps.
MIXED = {"default": 2e-6, "within": 3e-2, "lag": 2e-6, "reliable": 2e-6}

#: Of the standard error: lavaan ends by its default criterion, whose estimates agree to about 1e-5 with ours.
PANEL = 1e-3

#: Relative, of standard errors where reliabilities tie error variances to the coefficients: lavaan's errors under
#: constraints that are no straight lines leave out their curvature, a hundredth here. Estimates are not affected.
CURVED = 2e-2

#: Satterthwaite's degrees of freedom by numerical derivatives in lmerTest, relative.
DF = {"default": 1e-6, "within": 1e-2, "lag": 1e-6, "reliable": 1e-6}


@pytest.mark.parametrize("case", CASES)
def test_r_was_run_on_what_the_export_writes(case):
    assert (REFERENCE / f"export_{case}.R").read_text(encoding="utf-8") == script(case).text()


def theirs(case: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / f"export_{case}.csv").set_index(["analysis", "direction", "term"])


def ours(case: str):
    """Our rows, and the name that the script gives each term."""
    study = read_collection(REFERENCE.parents[1] / "data").study(CASES[case][0])
    panel = make_panel(study, parameters(case))
    named = {"x_within": "alliance_within", "y_within": "symptoms_within", "intercept": "(Intercept)"}
    named |= {"x_mean": "alliance_mean", "y_mean": "symptoms_mean"}
    for fit in (lagged, crosslevel, outcome):
        # The script has the plain analysis of the outcome, not the one given early y too.
        for row in fit(panel).table.query("variant == 'main'").itertuples():
            term = ":".join(named.get(part, part) for part in row.term.split(":"))
            yield row.analysis, row.direction, term, row


@pytest.mark.parametrize("case", CASES)
def test_r_gives_the_numbers_that_the_run_pools(case):
    reference, seen = theirs(case), 0
    for analysis, direction, term, row in ours(case):
        r = reference.loc[(analysis, direction, term)]
        assert row.estimate == pytest.approx(r["estimate"], abs=MIXED[case] * r["std_error"]), (
            analysis,
            term,
        )
        assert row.std_error == pytest.approx(r["std_error"], rel=MIXED[case]), (analysis, term)
        if np.isfinite(r["df"]):
            assert row.df == pytest.approx(r["df"], rel=DF[case]), (analysis, term)
        seen += 1
    assert seen == 2 * 5 + 2 * 7 + 2


@pytest.mark.parametrize("case", CASES)
def test_lavaan_gives_the_panel_models(case):
    reference = theirs(case)
    study = read_collection(REFERENCE.parents[1] / "data").study(CASES[case][0])
    panel, more = make_panel(study, parameters(case)), CASES[case][2]
    if more:
        known = (more["x_reliability"], more["y_reliability"])
        panel = replace(panel, reliability=known, reliability_kind=more["reliability_kind"])
    found = estimators(panel, bootstraps=2).table
    found = found[found["estimator"].isin(["riclpm", "dpm", "riclpm_error"])]
    if parameters(case).lag != 1:
        assert found.empty and not set(reference.index.get_level_values("analysis")) & {
            "riclpm",
            "dpm_x_to_y",
            "riclpm_error",
        }
        return
    names = {"x": "alliance", "y": "symptoms"}
    for row in found.itertuples():
        d = DIRECTIONS[row.direction]
        start = d.predictor if row.term == d.cross else d.outcome
        model = f"dpm_{row.direction}" if row.estimator == "dpm" else row.estimator
        rows = reference.xs((model, f"b_{names[start]}_to_{names[d.outcome]}"), level=("analysis", "term"))
        r = rows.iloc[0]
        assert row.estimate == pytest.approx(r["estimate"], abs=PANEL * r["std_error"]), (model, row.term)
        allowed = CURVED if more and row.estimator == "riclpm_error" else PANEL
        assert row.std_error == pytest.approx(r["std_error"], rel=allowed), (model, row.term)
    estimated = reference.loc[reference.index.get_level_values("analysis").str.startswith(("riclpm", "dpm"))]
    assert len(found) == estimated["estimate"].notna().sum() > 0


def made(settings=None, missing=None, **info) -> str:
    collection, (stored, _) = (
        read_collection(REFERENCE.parents[1] / "data"),
        read_settings(REFERENCE.parents[1] / "data"),
    )
    row = collection.studies.iloc[0].to_dict() | info
    return Script(row, settings or stored, missing or {}, make_parameters({}), ("A study",)).text()


def with_columns(**columns):
    from dataclasses import replace

    stored, _ = read_settings(REFERENCE.parents[1] / "data")
    return replace(
        stored, sessions=stored.sessions.model_copy(update={"columns": stored.sessions.columns | columns})
    )


def test_the_scripts_use_the_names_of_the_data():
    text = made(with_columns(x="wai_total", y="bdi"))
    assert "lmer(later ~ wai_total_within + bdi_within + wai_total_mean + bdi_mean + (1 | patient)" in text
    assert 'data[["wai_total"]]' in text


@pytest.mark.parametrize(
    "column", ["Summe WAI", "a`b", "if", "patient", 'x"); system("ls")', "1a", "Größe", "a\\b", "symptoms"]
)
def test_a_column_that_is_no_name_in_r_is_a_text_there(column):
    import json

    text = made(with_columns(x=column))
    assert f"data[[{json.dumps(column, ensure_ascii=False)}]]" in text
    assert "lmer(later ~ x_within + y_within + x_mean + y_mean + (1 | patient)" in text


def test_what_a_study_is_called_stays_in_its_comment():
    collection, (stored, _) = (
        read_collection(REFERENCE.parents[1] / "data"),
        read_settings(REFERENCE.parents[1] / "data"),
    )
    info = collection.studies.iloc[0].to_dict()
    text = Script(info, stored, {}, make_parameters({}), ("A\nsystem('ls')\r\n# b",)).text()
    assert text.startswith("# A system('ls') # b\n#\n")


def test_codes_for_missing_and_rows_of_a_shared_file():
    from dataclasses import replace

    stored, _ = read_settings(REFERENCE.parents[1] / "data")
    layout = stored.sessions.model_copy(update={"file": "all.csv", "where": {"sample": "label"}})
    shared = replace(stored, sessions=layout)
    text = made(shared, {"alliance": "-99"}, label="Synthetic study 01")
    assert 'alliance = number(data[["alliance"]], "-99")' in text
    assert 'data <- data[data[["sample"]] == "Synthetic study 01", ]' in text
    assert 'file.path(collection, "all.csv")' in text


def test_a_known_reliability_by_hand():
    """From x2 the process goes on to x3: a^2 vx1 + 2 a b vxy1 + b^2 vy1 + qx; the error is its share of what is true."""
    lines = list(riclpm_error("x", "y", [2, 3], ((0.8, float("nan")), "total")))
    x_to_x, y_to_x = "b_x_to_x", "b_y_to_x"
    assert f"vx2 := {x_to_x}^2*vx1 + 2*{x_to_x}*{y_to_x}*vxy1 + {y_to_x}^2*vy1 + qx" in lines
    assert lines[-1] == f"e_x == {(1 - 0.8) / 0.8!r}*(level_var_x + (vx1 + vx2)/2)"
    assert "x3 ~~ e_x*x3" in lines and "level_x ~~ level_var_x*level_x + level_y" in lines
    assert not [
        line for line in riclpm_error("x", "y", [2, 3], ((float("nan"),) * 2, "within")) if "==" in line
    ]


def test_lavaan_syntax_by_hand():
    lines = list(riclpm("x", "y", [2, 3, 4]))
    assert lines[0] == "level_x =~ 1*x2 + 1*x3 + 1*x4"
    assert "w_y3 ~ b_x_to_y*w_x2 + b_y_to_y*w_y2" in lines and "w_x4 ~ b_y_to_x*w_y3 + b_x_to_x*w_x3" in lines
    assert "w_x2 ~~ w_x2 + w_y2" in lines and "w_x3 ~~ qx*w_x3 + qxy*w_y3" in lines
    lines = list(dpm("x", "y", [1, 2, 3, 4]))
    assert lines[0] == "stable =~ 1*y2 + 1*y3 + 1*y4"
    # A residual goes along with x from its own session onward, as far as x predicts anything.
    assert (
        "y2 ~~ x2 + x3" in lines and "y3 ~~ x3" in lines and not [x for x in lines if x.startswith("y4 ~~ x")]
    )


def test_a_file_that_excel_saved_its_way_is_read_so_in_r(tmp_path):
    """R was run on such copies of the default collection once, as Excel saves them and as Parquet
    (nanoparquet 0.5.1): its output was that of the plain files, to the byte.
    """
    plain = script("default")
    settings, _ = read_settings(REFERENCE.parents[1] / "data")
    file = settings.sessions.path(plain.info)
    (tmp_path / "sessions").mkdir()
    (tmp_path / file).write_bytes("patient;session;alliance;symptoms\nMüller;1;3,5;2\n".encode("cp1252"))
    found = replace(plain, saved={file: saved_as(tmp_path, settings.sessions, plain.info)}).text()
    assert '  sep = ";", check.names = FALSE, fileEncoding = "cp1252")' in found
    assert 'cells <- sub(",", ".", cells, fixed = TRUE)' in found
    (tmp_path / file).write_bytes(b"sep=;\npatient;session;alliance;symptoms\nA;1;3,5;2\n")
    first = replace(plain, saved={file: saved_as(tmp_path, settings.sessions, plain.info)}).text()
    assert '  sep = ";", skip = 1, check.names = FALSE, fileEncoding = "UTF-8-BOM")' in first
    (tmp_path / file).rename((tmp_path / file).with_suffix(".parquet"))
    found = replace(plain, saved={file: saved_as(tmp_path, settings.sessions, plain.info)}).text()
    parquet = file.replace(".csv", ".parquet")
    assert f'data <- nanoparquet::read_parquet(file.path(collection, "{parquet}"))' in found
