"""A study in pieces on a Dask cluster with TLS that loses a worker while it works."""

import re
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from twostage.collection import large_study, read_collection
from twostage.params import make_parameters
from twostage.pipeline.backend import cluster_client, over_cluster
from twostage.pipeline.errors import PipelineError
from twostage.records import analyse
from twostage.simulation import simulate_collection, write_collection
from twostage.stage1 import lagged, make_panel

duckdb = pytest.importorskip("duckdb")
pytestmark = pytest.mark.slow

#: Seconds that Dask's processes may take to start: a hang shall end, a slow machine not.
PATIENCE = 240


def kills_once(work, mark):
    """Work that ends the process of the first worker that comes to it."""

    def deadly(piece):
        # All that it needs is here: workers do not have this file.
        import os
        import signal

        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return work(piece)
        os.kill(os.getpid(), signal.SIGKILL)

    return deadly


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A key and a certificate that sign themselves: the certificate is also the authority's."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    call = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run([*call, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return key, certificate


@pytest.fixture(scope="module")
def cluster(certificates, tmp_path_factory):
    """The address of a scheduler with three workers."""
    key, certificate = certificates
    folder = tmp_path_factory.mktemp("dask")
    tls = ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key]
    processes = []

    def start(*arguments):
        """Start a Dask process and return the address it says."""
        call = [
            sys.executable,
            "-m",
            "dask",
            *map(str, arguments),
            "--host",
            "127.0.0.1",
            "--no-dashboard",
            *map(str, tls),
        ]
        process = subprocess.Popen(call, cwd=folder, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        deadline = time.monotonic() + PATIENCE
        for line in process.stderr:
            assert time.monotonic() < deadline, f"dask {arguments[0]} did not start"
            if found := re.search(r"(?:Scheduler at|Registered to): +(tls://\S+)", line):
                return found[1]
        raise AssertionError(f"dask {arguments[0]} stopped with status {process.wait()}")

    address = start("scheduler", "--protocol", "tls", "--port", "0")
    for _ in range(3):
        start("worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", folder)
    yield address
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def settings(certificates, monkeypatch):
    """Dask's settings for this process: the certificates with which it connects."""
    import dask
    import distributed  # noqa: F401 - its settings must be there before some are changed

    key, certificate = map(str, certificates)
    # One by one: a whole section would take away what else stands in it.
    tls = {"ca-file": certificate, "client.key": key, "client.cert": certificate}
    with dask.config.set({f"distributed.comm.tls.{name}": value for name, value in tls.items()}):
        yield


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """A study in pieces of some hundred patients."""
    folder = write_collection(
        simulate_collection(5, n_studies=1, n_patients=1500), tmp_path_factory.mktemp("large") / "one"
    )
    connection = duckdb.connect()
    for file in [*folder.glob("sessions/*.csv"), *folder.glob("patients/*.csv")]:
        given = pd.read_csv(file, dtype={"patient": str, "therapist": str})
        connection.register("given", given)
        connection.execute(f"COPY given TO '{file.with_suffix('.parquet')}' (FORMAT parquet)")
    about = yaml.safe_load((folder / "collection.yml").read_text())
    about["sessions"] = {"file": "sessions/{study}.parquet", "in_pieces": True}
    about["patients"]["file"] = "patients/{study}.parquet"
    (folder / "collection.yml").write_text(yaml.safe_dump(about))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_study, "PIECE_ROWS", 1000)
        yield read_collection(folder)


def test_nothing_is_lost_with_a_worker(cluster, settings, collection, tmp_path):
    parameters = make_parameters({})
    here = analyse(collection, parameters).records
    with cluster_client(cluster) as client:
        assert len(client.scheduler_info()["workers"]) == 3
        there = analyse(collection, parameters, over=over_cluster(client)).records
        study = collection.study("S01")
        assert study.n_pieces > 5
        over = over_cluster(client)

        def deadly(pieces, work, first, last):
            return over(pieces, kills_once(work, str(tmp_path / "killed")), first, last)

        lost = lagged(make_panel(replace(study, over_pieces=deadly), parameters))
        assert (tmp_path / "killed").exists()
        assert len(client.scheduler_info()["workers"]) == 2
    for analysis, records in here.items():
        pd.testing.assert_frame_equal(records[0].tidy(), there[analysis][0].tidy(), rtol=1e-12)
    pd.testing.assert_frame_equal(here["lagged"][0].tidy(), lost.tidy(), rtol=1e-12, check_dtype=False)


def test_without_a_certificate_nobody_gets_in(cluster):
    with pytest.raises(PipelineError, match="no Dask scheduler at tls.*TLS"):
        cluster_client(cluster)
