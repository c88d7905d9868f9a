"""Whatever is done to a bundle: it is refused with a reason, or it means what it says."""

import json

import pytest
from bundles import entries, signed, zipped
from fuzz_bundles import fuzz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from malformed import places

from twostage.sharing.accept import accept_bundle
from twostage.sharing.archive import unpack
from twostage.sharing.check import check_bundle
from twostage.sharing.layout import MANIFEST, PAGE, BundleError

#: Bundles in this test; the script beside it runs as many as it is told.
N = 100

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.filterwarnings("error")
def test_malformed_bundles_are_refused_without_a_traceback_and_nothing_is_written(packed, centre):
    counts, faults = fuzz(N, 2026, packed, centre)
    assert faults == []
    assert sum(counts.values()) == N
    assert sum(n for (_, outcome), n in counts.items() if outcome == "refused") > 0.6 * N


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_what_is_accepted_works_to_the_last_table(packed, centre, true_records):
    others = [true_records[s] for s in ("S01", "S03")]
    counts, faults = fuzz(150, 7, packed, centre, others)
    assert faults == []
    assert counts["unlikely, signed anew", "accepted"] > 5


def read_or_none(content: bytes):
    """The members of a bundle that can be read, None of one that is refused."""
    try:
        members = unpack(content, "bundle.zip")
        check_bundle(members)
    except BundleError as error:
        assert error.problems
        return None
    return members


@QUICK
@given(data=st.data())
def test_a_changed_byte_is_found_or_means_nothing(packed, members, data):
    at = data.draw(st.integers(0, len(packed) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = packed[:at] + bytes([byte]) + packed[at + 1 :]
    assert read_or_none(changed) in (None, members)


@QUICK
@given(data=st.data())
def test_a_changed_member_is_found_by_its_checksum(members, data):
    name = data.draw(st.sampled_from(sorted(members)))
    new = data.draw(st.binary(max_size=50))
    content = members[name] + new if data.draw(st.booleans()) else new
    found = read_or_none(zipped(members | {name: content}))
    # The manifest's seal is of what it says: blanks after it say nothing.
    assert found is None or content == members[name] or (name == MANIFEST and not new.strip())


@QUICK
@given(data=st.data())
def test_a_changed_field_with_right_checksums_is_refused_or_read_as_it_is(members, data):
    name = data.draw(st.sampled_from(sorted(n for n in members if n != PAGE)))
    value = json.loads(members[name])
    path = data.draw(st.sampled_from(places(value)))
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = data.draw(ANY)
    offered = signed(members | {name: json.dumps(value).encode()})
    assert read_or_none(zipped(offered)) in (None, offered)


@QUICK
@given(content=st.binary(max_size=300))
def test_no_bytes_are_a_bundle(tmp_path, centre, content):
    (tmp_path / "bundle.zip").write_bytes(content)
    before = entries(centre)
    with pytest.raises(BundleError):
        accept_bundle(tmp_path / "bundle.zip", centre)
    assert entries(centre) == before
