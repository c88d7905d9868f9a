"""The texts that go with a synthetic collection."""

import yaml

NOTE = (
    "Synthetic data: simulated by this project from a generating model with known truth. No participant "
    "stands behind any row, and no number is an estimate of a published one."
)


DICTIONARY = """\
variable,meaning,unit,min,max,missing
patient,identifier of the patient within the study,,,,
session,number of the session,session,1,7,
alliance,alliance rated by the patient after the session; range in studies.csv,scale points,,,
symptoms,symptom severity rated by the patient; range in studies.csv,scale points,,,
therapist,identifier of the patient's therapist within the study,,,,
age,age at intake,years,18,80,
gender,gender as the patient gave it: woman; man; other,,,,
pre,symptom score at intake on the study's symptom instrument,scale points,,,
post,symptom score after treatment on the study's symptom instrument,scale points,,,
"""


#: Of a collection with the day of each session, below the session.
DAY = 'day,"day of the session, counted from the patient\'s first one",days,0,1000,\n'


def dictionary(days: bool) -> str:
    """Content of ``dictionary.csv``."""
    return DICTIONARY.replace("alliance,", f"{DAY}alliance,", 1) if days else DICTIONARY


def collection_yml(days: bool) -> str:
    """Content of ``collection.yml``."""
    content = {
        "title": "Alliance and early symptoms",
        "note": NOTE,
        "authors": "The twostage authors",
        "synthetic": True,
        "x": {"name": "alliance", "label": "alliance", "better": "higher"},
        "y": {"name": "symptoms", "label": "symptom severity", "better": "lower"},
        "parameters": {"first_session": 1, "last_session": 7},
        **({"sessions": {"columns": {"day": "day"}}} if days else {}),
        "patients": {
            "file": "patients/{study}.csv",
            "columns": {c: c for c in ("patient", "therapist", "age", "gender", "pre", "post")},
        },
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def readme(seed: int, n_studies: int, n_patients: int, days: bool) -> str:
    """Content of the folder's README."""
    weekly = (
        " Sessions are weekly, each up to\na day before or two days after its weekday; the process goes by sessions, not "
        "by days."
    )
    return f"""\
# Synthetic collection

**{NOTE}**

{n_studies} studies, {n_patients:,} patients, sessions 1 to 7. Written by `twostage simulate` with seed
{seed}; the same command writes the same bytes.

- `collection.yml`: the pair (x = alliance, y = symptoms), its labels, where intake and outcome are.
- `studies.csv`: one row per study. Instruments have the score ranges of real ones (WAI-SR, BPSR, HAq-II, SAI;
  OQ-45, BDI-II, CORE-OM, HSCL-11, ...); a direction of -1 means scored the other way.
- `dictionary.csv`: every variable.
- `sessions/<study>.csv`, `patients/<study>.csv`: the data. An empty cell is a missing value.
- `truth.csv`: the values that generated each study (latent scale, total SD about 1), their mean over studies
  (`mean`) and SD between studies (`tau`). `direction` and `term` name the coefficient that a value generates:
  it has the same sign, not the same size, because scores are rounded and, above all, because centring on the
  observed person mean biases lagged effects.

## How it was made

The generating model is written out at the top of `src/twostage/simulation/model.py`: a bivariate within-patient
VAR(1) around correlated random intercepts, linear session trends, patients' cross-lagged effects that depend
on their intercepts, every coefficient different from study to study; scores rounded to the instrument's step
and clipped to its range; sessions skipped at random; dropout that depends on the last symptoms; a
posttreatment score that depends on intake and on early alliance.{weekly * days} The values are choices of this project,
made so that the centred estimator shows every sign; nothing in them estimates anything.

File names are not those of Psych-DS: its data files must all lie in one folder under names like
`study-S01_data.csv`, which would mix sessions, patients and registry.

Licence: CC0 1.0.
"""
