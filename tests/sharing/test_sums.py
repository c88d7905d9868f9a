"""One model from what sites share and from their data: the same numbers, or it says which cells were joined."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from bundles import changed

from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.problems import CollectionError
from twostage.records import ONE_STAGE, Record, make_record
from twostage.sharing.archive import unpack
from twostage.sharing.cells import safe_sums
from twostage.sharing.check import check_bundle
from twostage.sharing.layout import OPTIONAL, BundleError, Filters
from twostage.sharing.share import make_bundle
from twostage.sharing.summaries import Counts
from twostage.sharing.sums import cell_sizes, protect_sums
from twostage.stage1 import OUTCOME, lagged_sums, make_panel, onestage
from twostage.stats.onestage import StudySums, fit_onestage
from twostage.terms import DIRECTIONS

PROJECT = Path(__file__).parents[2]
FILTERS = Filters()
MEMBER = OPTIONAL[0]

#: Equal sums at an intercept variance of 0: rounding of their order.
SAME = 1e-9


@pytest.mark.parametrize(
    "path", ["data", *(f"tests/collections/{c}" for c in ("gametime", "openesm_pa_na", "openesm_anx_dep"))]
)
def test_the_model_from_shared_cells_is_that_of_all_rows(path):
    """Cells are joined in most studies, which is exact as long as no variance between patients is left, as here."""
    collection = read_collection(PROJECT / path)
    both = {(d, products): ([], []) for d in DIRECTIONS for products in (False, True)}
    try:
        for study in collection.studies["study"]:
            panel = make_panel(collection.study(study), **collection.defaults)
            record = make_record(panel, onestage(panel))
            safe = safe_sums(panel, *cell_sizes(FILTERS), FILTERS.tab)
            sent = protect_sums(record, safe, {}, Counts((), FILTERS.tab)).model_dump_json()
            assert len(sent) < 20_000
            for (d, products), (shared, raw) in both.items():
                if (sums := Record.model_validate_json(sent).sums(d, products=products)) is not None:
                    shared.append(sums)
                    raw.append(StudySums.of(lagged_sums(panel, products=products)[d], OUTCOME))
    except CollectionError:
        pytest.skip(f"the folder ../shared/real with the data of {path} is absent")
    for (name, products), (shared, raw) in both.items():
        d = DIRECTIONS[name]
        slopes = d.interactions if products else (d.cross, d.auto)
        assert len(raw) >= 2 or products
        for variances in ("separate", "common") if len(raw) >= 2 else ():
            ours, theirs = (fit_onestage(sums, slopes, variances=variances) for sums in (shared, raw))
            assert (theirs.re_variance == 0).all() and any(ours.joined) and ours.exact
            assert np.abs((ours.coef - theirs.coef) / theirs.std_error).max() < SAME
            np.testing.assert_allclose(ours.std_error, theirs.std_error, rtol=SAME)
            np.testing.assert_allclose(ours.cov_re, theirs.cov_re, atol=SAME * theirs.cov_model.max())
            np.testing.assert_allclose(ours.sigma2, theirs.sigma2, rtol=SAME)
            assert ours.loglik == pytest.approx(theirs.loglik, abs=1e-8)


@pytest.fixture(scope="module")
def chosen(three):
    """The members of a bundle with sums."""
    content = make_bundle(three, "S02", make_parameters({}), FILTERS, date(2026, 2, 3), sums=True)
    return unpack(content, "S02.zip")


def test_sums_are_not_rounded_and_everything_else_is(chosen, three):
    bundle = check_bundle(chosen)
    (aggregate,) = (a for a in bundle.records[ONE_STAGE].aggregates if a.direction == "x_to_y")
    sums = StudySums.of(lagged_sums(make_panel(three.study("S02"), make_parameters({})))["x_to_y"], OUTCOME)
    np.testing.assert_allclose(aggregate.sums().columns(sums.names).within, sums.within, rtol=1e-12)
    # Two digits of each standard error, of which the smallest begins with hundredths.
    assert all(e.estimate == round(e.estimate, 3) for e in bundle.records["lagged"].estimates)
    assert all(cell.patients >= cell_sizes(FILTERS)[0] for cell in aggregate.cells)
    assert "exact" in " ".join(bundle.report.remains) and b"exact sums" in chosen["disclosure.html"]


def test_a_bundle_without_them_says_so(members):
    record = check_bundle(members).records[ONE_STAGE]
    assert MEMBER not in members and not record.aggregates
    assert {f.reason for f in record.failures} == {
        "withheld by the site: exact sums are shared only if the site chooses so (sums)"
    }


def test_damaged_sums_are_refused(chosen):
    def worse(content):
        content["aggregates"][0]["within"][0] = -1.0

    with pytest.raises(BundleError, match="positive semidefinite"):
        check_bundle(changed(chosen, MEMBER, worse))
    without = {name: content for name, content in chosen.items() if name != MEMBER}
    with pytest.raises(BundleError, match="members"):
        check_bundle(without)
    strange = json.loads(chosen[MEMBER])
    assert strange["aggregates"][0]["terms"][:4] == ["x_within", "y_within", "x_mean", "y_mean"]
