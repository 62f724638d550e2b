"""Downloads, against a server on this machine."""

import hashlib
import logging
import re
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from twinbench.download import download
from twinbench.errors import InputError

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
CONTENT = bytes(range(256)) * 32768  # 8 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT at every path; the path's words choose a fault of the server."""

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if "missing" in self.path:
            self.send_error(404)
            return
        start = 0
        if asked and "rangeless" not in self.path:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(CONTENT):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        cut = self.path in ("/cut", "/reset") and not asked
        self.wfile.write(CONTENT[start : len(CONTENT) // 2 if cut else None])
        if self.path == "/reset" and cut:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.ranges = []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results" / "archive.tar.gz"


@pytest.fixture
def partial(path):
    path.parent.mkdir()
    return path.with_name("archive.tar.gz.partial")


def complaint(*arguments):
    with pytest.raises(InputError) as caught:
        download(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_download_arrives_whole_and_tells_its_progress(url, path, caplog):
    with caplog.at_level(logging.INFO):
        download(f"{url}/file", path, SHA256)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert 2 <= len(caplog.messages) <= 10
    assert caplog.messages[-1] == "downloaded 100 % of 8.4 MB"


def test_a_partial_download_goes_on_where_it_stopped(server, url, path, partial):
    partial.write_bytes(CONTENT[:1000])
    download(f"{url}/file", path, SHA256)
    assert server.ranges == ["bytes=1000-"]
    assert path.read_bytes() == CONTENT
    assert not partial.exists()


def test_a_broken_connection_keeps_the_partial_for_the_next_call(server, url, path):
    message = complaint(f"{url}/cut", path, SHA256, "use a local file")
    assert message.startswith(f"{url}/cut") and message.endswith("use a local file")
    assert f"{len(CONTENT) // 2} of {len(CONTENT)} bytes" in message
    assert not path.exists()
    download(f"{url}/cut", path, SHA256)
    assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]
    assert path.read_bytes() == CONTENT


def test_a_reset_connection_is_told_and_mended_by_the_next_call(url, path):
    message = complaint(f"{url}/reset", path, SHA256, "use a local file")
    assert message.startswith(f"{url}/reset") and message.endswith("use a local file")
    download(f"{url}/reset", path, SHA256)
    assert path.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(url, path, partial):
    partial.write_bytes(CONTENT[:1000])
    download(f"{url}/rangeless", path, SHA256)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["file", "rangeless"])
@pytest.mark.parametrize("excess", [0, 1000])
def test_a_partial_as_long_as_the_file_or_longer_starts_over(url, path, partial, kind, excess):
    partial.write_bytes(bytes(len(CONTENT) + excess))
    download(f"{url}/{kind}", path, SHA256)
    assert path.read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(url, path):
    message = complaint(f"{url}/file", path, "0" * 64)
    assert message.startswith(f"{url}/file") and SHA256 in message
    assert list(path.parent.iterdir()) == []


def test_a_missing_file_is_told_with_the_advice(url, path):
    message = complaint(f"{url}/missing", path, SHA256, "use a local file")
    assert message == f"{url}/missing: cannot download: HTTP 404 Not Found; use a local file"


def test_a_missing_file_leaves_the_partial_alone(url, path, partial):
    partial.write_bytes(CONTENT[:1000])
    complaint(f"{url}/missing", path, SHA256)
    assert partial.read_bytes() == CONTENT[:1000]


def test_a_refused_connection_is_told(path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        assert complaint(url, path, SHA256).startswith(f"{url}: cannot download")


def test_an_unknown_host_is_told(path):
    assert "cannot download" in complaint("http://no-such-host.invalid/file", path, SHA256)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/file", "archive.tar.gz"])
def test_other_schemes_are_refused(path, url):
    assert "only http and https" in complaint(url, path, SHA256)


def test_the_entry_gives_advice_in_its_one_line(url, path):
    entry = [sys.executable, SCRIPTS / "download_archive.py", "--url", f"{url}/missing"]
    result = subprocess.run(
        [*entry, "--sha256", SHA256, "--output", path], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "dataset.source: synthetic" in result.stderr
