"""A collection's side: read a bundle without trusting it, and add it as a study without participants' data."""

from pathlib import Path

from twostage import notebooks
from twostage.collection import FOLDER, TELL_APART, Collection, read_collection, same_file
from twostage.files import replace_folder, unfinished_folder, write_files
from twostage.params import Parameters, make_parameters
from twostage.problems import Problem
from twostage.sharing.archive import unpack
from twostage.sharing.check import check_bundle
from twostage.sharing.layout import MANIFEST, MOST_ARCHIVE, PAGE, Bundle, BundleError
from twostage.sharing.same_results import ANALYSIS, own_records, same_results
from twostage.sharing.stored import stored_bundles

#: Parameters of stage 1; confidence intervals are computed anew when studies are pooled.
STAGE1 = tuple(
    n for n in Parameters.model_fields if n != "level" and any(n in b.takes for b in notebooks.STAGE1)
)


def read_bundle(path: str | Path) -> Bundle:
    """Read and validate a bundle; nothing is written.

    Raises
    ------
    BundleError
        With every reason why it cannot be used.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_ARCHIVE:
            found = f"{path.stat().st_size} bytes"
            raise BundleError([Problem(path.name, None, None, found, f"at most {MOST_ARCHIVE} bytes")])
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(
            [Problem(str(path), None, None, error.strerror, "a bundle, the zip file that a site shared")]
        ) from None
    members = unpack(content, path.name)
    try:
        bundle = check_bundle(members)
    except BundleError as error:
        raise error.within(path.name) from None
    if bundle.manifest.pulled:
        expected = "a bundle that a site shared; results of another group are taken up by 'twostage pull'"
        raise BundleError([Problem(path.name, None, "pulled", bundle.manifest.pulled.title, expected)])
    return bundle


def accept_bundle(path: str | Path, collection: str | Path, *, replace: bool = False) -> Bundle:
    """Add a bundle to a collection as ``bundles/<study>``.

    Parameters
    ----------
    path : path
        The bundle.
    collection : path
        Folder of the collection.
    replace : bool
        Whether an earlier bundle of the study may be replaced.

    Returns
    -------
    Bundle

    Raises
    ------
    BundleError
        If it is no valid bundle or does not fit the collection; nothing is written.
    CollectionError
        If the collection cannot be read.
    """
    bundle = read_bundle(path)
    target = read_collection(collection)
    problems = objections(bundle, target, replace) or _twice(bundle, target)
    if problems:
        raise BundleError(problems).within(Path(path).name)
    _put(bundle, target.path / FOLDER)
    return bundle


def objections(
    bundle: Bundle, collection: Collection, replace: bool, rename: str = "the site needs another id"
) -> list[Problem]:
    """Why a collection cannot have a study: its pair, its parameters, its id; `rename` says how it gets another one."""
    fits = misfits(bundle, collection, make_parameters(collection.defaults))
    return [*fits, *_taken(bundle, collection, replace, rename)]


def misfits(bundle: Bundle, collection: Collection, parameters: Parameters) -> list[Problem]:
    """Each difference between how a bundle and a collection are analysed.

    Parameters
    ----------
    bundle : Bundle
    collection : Collection
    parameters : Parameters
        Of the analysis that the bundle is to take part in.
    """
    where, problems = f"{bundle.study}, {MANIFEST}", []
    for v in ("x", "y"):
        theirs, ours = getattr(bundle.manifest, v), getattr(collection, v)
        for name in ("name", "better"):
            found, expected = getattr(theirs, name), getattr(ours, name)
            if found != expected:
                what = (
                    f"{expected!r}, as in the collection: both sides' collection.yml must name the pair alike"
                )
                problems.append(Problem(where, None, f"{v}.{name}", found, what))
    for name in STAGE1:
        found, expected = getattr(bundle.manifest.parameters, name), getattr(parameters, name)
        if found != expected:
            cure = "pull results of" if bundle.manifest.pulled else "ask the site to share with"
            what = f"{expected!r}, as in this analysis: {cure} the same parameters"
            problems.append(Problem(where, None, f"parameters.{name}", found, what))
    return problems


def _taken(bundle: Bundle, collection: Collection, replace: bool, rename: str) -> list[Problem]:
    if bundle.study in collection.shared:
        expected = "a study that the collection does not have; to replace its earlier bundle use --replace"
        return [] if replace else [Problem(MANIFEST, None, "study", bundle.study, expected)]
    if bundle.study in set(collection.studies["study"]):
        expected = f"a study whose data the collection does not have: if it is another study, {rename}"
        return [Problem(MANIFEST, None, "study", bundle.study, expected)]
    if (other := same_file(bundle.study, collection.studies["study"])) is not None:
        return [Problem(MANIFEST, None, "study", f"{bundle.study}, beside {other}", TELL_APART)]
    return []


def _twice(bundle: Bundle, collection: Collection) -> list[Problem]:
    """Studies of the collection, with data or not, that this bundle is under another id."""
    others = {s: b.records[ANALYSIS] for s, b in stored_bundles(collection).items() if s != bundle.study}
    return same_results(bundle, others | own_records(collection, bundle))


def _put(bundle: Bundle, folder: Path) -> None:
    """Write the bundle's folder beside its place, then move it there."""
    with unfinished_folder(folder / bundle.study) as new:
        # The page is for those who share it; of a bundle only what was validated is kept.
        write_files({new / name: content for name, content in bundle.content.items() if name != PAGE})
        replace_folder(new, folder / bundle.study)
