"""openESM by number, with a stand-in for its package that fetches from a server here."""

import json
import sys
import threading
import types
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml
from import_support import empty
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.importing.openesm import openesm_file
from twostage.importing.source import ImportProblems

TABLE = "id,session,wai,oq\na,1,3,4\na,2,4,5\nb,1,2,2\nb,2,3,1\n"

ABOUT = {
    "first_author": "Muster",
    "year": 2022,
    "license": "CC BY 4.0",
    "paper_doi": "10.1000/paper",
    "zenodo_doi": "10.1000/data",
    "reference_b": None,
}


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        found = {"/0007.csv": TABLE, "/0007.json": json.dumps(ABOUT)}.get(self.path)
        self.server.asked.append(self.path)
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write((found or "").encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server with one data set, and a package `openesm` that asks it."""
    server = HTTPServer(("127.0.0.1", 0), Answers)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"

    def fetched(name: str) -> str:
        with urllib.request.urlopen(f"{address}/{name}") as answer:
            return answer.read().decode()

    def get_dataset(id: str, quiet: bool):
        text = fetched(f"{id}.csv")
        data = types.SimpleNamespace(write_csv=lambda: text)
        return types.SimpleNamespace(
            data=data, metadata=json.loads(fetched(f"{id}.json")), dataset_version="1.0.0"
        )

    monkeypatch.setitem(sys.modules, "openesm", types.SimpleNamespace(get_dataset=get_dataset))
    yield server
    server.shutdown()
    server.server_close()


def test_a_data_set_is_fetched_once_and_proposed_with_licence_and_source(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    empty(tmp_path / "c")
    words = ["import", "openesm:7", "--to", "c", "--study", "S1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    study = yaml.safe_load((tmp_path / "openesm-0007.mapping.yml").read_text())["study"]
    assert study["licence"] == "CC BY 4.0"
    assert study["year"] == 2022
    assert study["source"] == (
        "openESM data set 0007, version 1.0.0, Muster (2022), article doi:10.1000/paper, data doi:10.1000/data"
    )
    assert (tmp_path / "openesm-0007.csv").read_text() == TABLE
    n = len(server.asked)
    openesm_file(tmp_path.joinpath("openesm:7").relative_to(tmp_path))
    assert len(server.asked) == n


def test_without_such_a_data_set_or_the_package_the_way_out_is_said(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImportProblems, match="found 'openesm:8'; expected a data set of openESM"):
        openesm_file(tmp_path.joinpath("openesm:8").relative_to(tmp_path))
    monkeypatch.setitem(sys.modules, "openesm", None)
    with pytest.raises(ImportProblems, match="python -m pip install openesm"):
        openesm_file(tmp_path.joinpath("openesm:8").relative_to(tmp_path))
    assert list(tmp_path.iterdir()) == []
