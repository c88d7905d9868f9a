"""``ro-crate-metadata.json``: inputs, notebooks, parameters, software and people as a Workflow Run RO-Crate.

The crate is JSON-LD after the profiles Process Run Crate, Workflow Run Crate and Workflow RO-Crate
(w3id.org/ro/wfrun/workflow/0.5, w3id.org/workflowhub/workflow-ro-crate/1.0). It is written as the plain list of
entities that it is; `rocrate`, `runcrate` and `rocrate-validator` read and check it in the tests.
"""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from twostage.interchange.documents import Pooled
from twostage.interchange.package import MEANINGS, media_type
from twostage.params import Parameters

FILE = "ro-crate-metadata.json"


_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}


#: Libraries whose versions can move a number.
_LIBRARIES = ("numpy", "scipy", "pandas", "statsmodels")


_WORKFLOW = "workflow.json"


def crate(document: Pooled, workflow: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The crate's metadata.

    Parameters
    ----------
    document : Pooled
    workflow : mapping
        What ``workflow.json`` says.
    names : sequence of str
        Files of the folder.
    """
    files = [_file(name) for name in names if name != _WORKFLOW]
    people = _people(document)
    inputs, settings, formal = _inputs(document), *_parameters(document)
    software = _software(document.package_version)
    notebooks = [_notebook(name, checksum) for name, checksum in workflow["notebooks"].items()]
    main = {
        "@id": _WORKFLOW,
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "twostage run",
        "description": MEANINGS[_WORKFLOW],
        "encodingFormat": media_type(_WORKFLOW),
        "programmingLanguage": _to("#twostage"),
        "creator": _one_or_all(_ids(people) or [_to("#twostage")]),
        "version": document.package_version,
        "conformsTo": _to(_COMPUTATIONAL),
        "license": _to("#licences"),
        "input": _ids(formal),
        "hasPart": _ids(notebooks),
    }
    action = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": workflow["command"],
        "description": "Stage 1 of every study with data, and the pools of all studies",
        "instrument": _to(_WORKFLOW),
        "object": [*_ids(inputs), *_ids(settings)],
        "result": [_to(name) for name in names if name != _WORKFLOW],
        "endTime": document.made,
        "agent": _one_or_all(_ids(people) or [_to("#twostage")]),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    graph = [
        _descriptor(),
        _root(document, names, people),
        main,
        action,
        *files,
        *people,
        *inputs,
        *settings,
        *formal,
    ]
    return {
        "@context": [
            "https://w3id.org/ro/crate/1.1/context",
            "https://w3id.org/ro/terms/workflow-run/context",
        ],
        "@graph": [*graph, *notebooks, *software, _licences(document), *_profiles()],
    }


def _to(entity: str) -> dict[str, str]:
    return {"@id": entity}


def _ids(entities: Sequence[Mapping]) -> list[dict[str, str]]:
    return [_to(entity["@id"]) for entity in entities]


def _one_or_all(entities: list[dict[str, str]]) -> dict[str, str] | list[dict[str, str]]:
    """As JSON-LD is compacted: one by itself, others as a list."""
    return entities[0] if len(entities) == 1 else entities


def _descriptor() -> dict[str, Any]:
    conforms = ["https://w3id.org/ro/crate/1.1", "https://w3id.org/workflowhub/workflow-ro-crate/1.0"]
    return {
        "@id": FILE,
        "@type": "CreativeWork",
        "about": _to("./"),
        "conformsTo": [_to(one) for one in conforms],
    }


def _root(document: Pooled, names: Sequence[str], people: Sequence[Mapping]) -> dict[str, Any]:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Results of {document.collection.title}",
        "description": document.collection.note,
        "datePublished": document.made,
        "license": _to("#licences"),
        "author": _one_or_all(_ids(people)),
        "conformsTo": [_to(profile) for profile in _PROFILES],
        "mainEntity": _to(_WORKFLOW),
        "mentions": _to("#run"),
        "hasPart": [_to(name) for name in names],
    }


def _file(name: str) -> dict[str, Any]:
    told = {
        "@id": name,
        "@type": "File",
        "name": name,
        "description": MEANINGS[name],
        "encodingFormat": media_type(name),
    }
    return told | ({"about": _to("./")} if name == "README.md" else {})


def _people(document: Pooled) -> list[dict[str, Any]]:
    return [
        {"@id": f"#author-{i}", "@type": "Person", "name": name}
        for i, name in enumerate(document.people, start=1)
    ]


def _inputs(document: Pooled) -> list[dict[str, Any]]:
    """Each study's data, which are not in the crate: name, checksum, licence."""
    kinds = {
        "participants": "Participants' data",
        "bundle": "Results that the site shared",
        "pulled": "Pulled results",
    }
    return [
        {
            "@id": f"#study-{study.study}",
            "@type": "CreativeWork",
            "name": f"{kinds[study.source_of_effect]} of {study.study}, {study.label}; not in this crate",
            "identifier": f"sha256:{study.checksum}",
            "license": study.licence,
        }
        for study in document.studies
    ]


def _parameters(document: Pooled) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The values of the analysis' parameters, and what each is a value of."""
    kinds = {bool: "Boolean", int: "Integer", float: "Float", str: "Text"}
    values, formal = [], []
    for name, value in document.parameters.items():
        formal.append(
            {"@id": f"#parameter-{name}", "@type": "FormalParameter", "name": name}
            | {"additionalType": kinds[type(value)], "conformsTo": _to(_FORMAL), "valueRequired": False}
            | {"description": str(Parameters.model_fields[name].description)}
        )
        values.append(
            {"@id": f"#value-{name}", "@type": "PropertyValue", "name": name, "value": str(value)}
            | {"exampleOfWork": _to(f"#parameter-{name}")}
        )
    return values, formal


_FORMAL = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"


_COMPUTATIONAL = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"


def _notebook(name: str, checksum: str) -> dict[str, Any]:
    return {
        "@id": f"#notebook-{name}",
        "@type": ["SoftwareSourceCode", "SoftwareApplication"],
        "name": f"{name}.ipynb",
        "description": "Notebook that was executed; the run's folder has it",
        "identifier": f"sha256:{checksum}",
        "version": version("twostage"),
    }


def _software(own: str) -> list[dict[str, Any]]:
    libraries = {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()}
    requirements = [
        {"@id": f"#{name}", "@type": "SoftwareApplication", "name": name, "softwareVersion": number}
        for name, number in libraries.items()
    ]
    twostage = {
        "@id": "#twostage",
        "@type": ["SoftwareApplication", "ComputerLanguage"],
        "name": "twostage",
        "softwareVersion": own,
        "softwareRequirements": _ids(requirements),
    }
    return [twostage, *requirements]


def _licences(document: Pooled) -> dict[str, Any]:
    licences = ", ".join(sorted({study.licence for study in document.studies}))
    return {
        "@id": "#licences",
        "@type": "CreativeWork",
        "name": f"Licences of the studies' data: {licences}",
        "description": "These results have the licence that whoever publishes them chooses; none is named here.",
    }


def _profiles() -> list[dict[str, Any]]:
    found = [
        {"@id": address, "@type": "CreativeWork", "name": name, "version": address.rsplit("/", 1)[-1]}
        for address, name in _PROFILES.items()
    ]
    bioschemas = {_FORMAL: "FormalParameter", _COMPUTATIONAL: "ComputationalWorkflow"}
    found += [
        {"@id": address, "@type": "CreativeWork", "name": name, "version": "1.0-RELEASE"}
        for address, name in bioschemas.items()
    ]
    return found
