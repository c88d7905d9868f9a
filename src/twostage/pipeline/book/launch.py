"""Addresses at which a notebook's template opens on Binder and Colab; links only, nothing is fetched."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from twostage.pipeline.errors import PipelineError

_GITHUB = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")


@dataclass(frozen=True)
class Launch:
    """Where the repository is and what opens it.

    Attributes
    ----------
    url, branch : str
        Of the repository; an empty address means: no buttons.
    binder, colab : str
        Addresses of the services; an empty one means: no such button.
    """

    url: str
    branch: str
    binder: str
    colab: str

    def colab_setup(self) -> str:
        """The first cell of a notebook on Colab, which has neither the package nor the collection."""
        folder = self.url.removesuffix(".git").rsplit("/", 1)[-1]
        clone = shlex.join(["git", "clone", "--quiet", "--branch", self.branch, self.url, folder])
        return f"!{clone}\n%pip install --quiet ./{folder}\n%cd {folder}"

    def links(self, notebook: str) -> dict[str, str]:
        """Name of a service -> address that opens a notebook's template there."""
        if not self.url:
            return {}
        path, found, github = f"notebooks/{notebook}.ipynb", {}, _GITHUB.fullmatch(self.url)
        if self.binder:
            place = f"gh/{github[1]}/{github[2]}" if github else f"git/{quote(self.url, safe='')}"
            opened = quote(f"lab/tree/{path}", safe="")
            found["Binder"] = f"{self.binder}/v2/{place}/{quote(self.branch, safe='')}?urlpath={opened}"
        if self.colab and github:
            branch = quote(self.branch)
            found["Colab"] = f"{self.colab}/github/{github[1]}/{github[2]}/blob/{branch}/{path}"
        return found


def take_launch(config: dict[str, Any]) -> Launch:
    """Take the keys `repository` and `launch_buttons` out of a book's settings.

    Jupyter Book would make buttons of them that open the page as it lies in the book, which is in no
    repository; the template is.

    Raises
    ------
    PipelineError
        If an address is none.
    """
    repository, buttons = (_mapping(config, name) for name in ("repository", "launch_buttons"))
    values = {
        "repository.url": repository.get("url") or "",
        "launch_buttons.binderhub_url": buttons.get("binderhub_url") or "",
        "launch_buttons.colab_url": buttons.get("colab_url") or "",
    }
    for name, value in values.items():
        if value and not re.fullmatch(r"https?://[^\s\"'<>`]+", str(value)):
            raise PipelineError(f"_config.yml: {name}: found {value!r}; expected an address, https://...")
    url, binder, colab = (str(value).rstrip("/") for value in values.values())
    return Launch(url, str(repository.get("branch") or "main"), binder, colab)


def _mapping(config: dict[str, Any], name: str) -> Mapping[str, Any]:
    value = config.pop(name, None) or {}
    if not isinstance(value, dict):
        raise PipelineError(f"_config.yml: {name}: found {value!r}; expected names and values")
    return value
