"""Downloads, against a server on this machine."""

import hashlib
import logging
import re
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from twinbench.data import download as downloading
from twinbench.data.download import download
from twinbench.errors import InputError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ADVICE = "use a local file"


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT at every path, or misbehaves in the way that the path names."""

    def do_GET(self):
        asked, fault = self.headers.get("Range"), self.path[1:]
        self.server.requests.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        if fault in ("missing", "down", "busy"):
            self.send_error({"missing": 404, "down": 503, "busy": 429}[fault])
            return
        if fault == "rangeless":
            start = 0
        if start >= SIZE:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start and fault != "silent":
            first = "9" * 5000 if fault == "endless" else start + (fault == "shifted")
            self.send_header("Content-Range", f"bytes {first}-{SIZE - 1}/{SIZE}")
        self.send_header("Content-Length", "many" if fault == "lengthless" else str(SIZE - start))
        self.end_headers()
        broken = fault in ("cut", "reset") and len(self.server.requests) == 1
        end = SIZE // 2 if broken else None
        if fault == "slow":  # an eighth at a time
            end = start + SIZE // 8
        self.wfile.write(CONTENT[start:end])
        if broken and fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        server.handle_error = lambda *_: None  # a client that hangs up is no news
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
    """What an earlier call left of the file."""
    path.parent.mkdir()
    partial = path.with_name("archive.tar.gz.partial")
    partial.write_bytes(CONTENT[:1000])
    return partial


def refusal(url, path, sha256=SHA256, pauses=()):
    with pytest.raises(InputError) as caught:
        download(url, path, sha256, ADVICE, pauses)
    message = str(caught.value)
    assert message.startswith(url if isinstance(url, str) else url[0]) and "\n" not in message
    assert not path.exists()
    return message


def test_a_download_arrives_whole_and_logs_its_progress(url, path, caplog, monkeypatch):
    monkeypatch.setattr(downloading, "_BLOCK", SIZE // 64)
    with caplog.at_level(logging.INFO):
        download(f"{url}/file", path, SHA256, ADVICE)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert len(caplog.messages) == 10
    assert caplog.messages[-1] == "downloaded 100 % of 1.0 MB"


@pytest.mark.parametrize(
    ("kind", "held", "requests"),
    [
        ("file", CONTENT[:1000], ["bytes=1000-"]),
        ("file", bytes(SIZE), [f"bytes={SIZE}-", None]),
        ("file", bytes(SIZE + 1), [f"bytes={SIZE + 1}-", None]),
        ("rangeless", CONTENT[:1000], ["bytes=1000-"]),
        ("rangeless", bytes(SIZE + 1), [f"bytes={SIZE + 1}-"]),
        ("lengthless", CONTENT[:1000], ["bytes=1000-"]),
    ],
    ids=["resumes", "wrong", "too long", "no ranges", "no ranges, too long", "no length"],
)
def test_a_download_resumes_or_starts_over(server, url, path, partial, kind, held, requests):
    partial.write_bytes(held)
    download(f"{url}/{kind}", path, SHA256, ADVICE)
    assert server.requests == requests
    assert path.read_bytes() == CONTENT
    assert not partial.exists()


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_broken_connection_is_reported_and_the_next_call_completes(server, url, path, kind):
    message = refusal(f"{url}/{kind}", path)
    assert message.endswith(f"; {ADVICE}")
    download(f"{url}/{kind}", path, SHA256, ADVICE)
    assert path.read_bytes() == CONTENT
    if kind == "cut":
        assert f"broke after {SIZE // 2} of {SIZE} bytes" in message
        assert server.requests == [None, f"bytes={SIZE // 2}-"]


def test_a_full_disk_names_the_file_and_the_next_call_completes(
    server, url, path, limit_file_size, monkeypatch
):
    monkeypatch.setattr(downloading, "_BLOCK", 1000)
    partial = path.with_name("archive.tar.gz.partial")
    with limit_file_size(10_000), pytest.raises(OSError, match="too large") as caught:
        download(f"{url}/file", path, SHA256, ADVICE, pauses=[100])
    assert caught.value.filename == str(partial)
    held = partial.stat().st_size
    download(f"{url}/file", path, SHA256, ADVICE)
    assert server.requests == [None, f"bytes={held}-"]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "HTTP 404 Not Found"),
        ("shifted", "the server sent bytes from 1001, not 1000"),
        ("silent", "the server sent a part without saying which"),
        ("endless", "the server sent a part without saying which"),
    ],
)
def test_a_wrong_answer_is_reported_and_leaves_the_partial_alone(url, path, partial, kind, reason):
    assert refusal(f"{url}/{kind}", path) == f"{url}/{kind}: cannot download: {reason}; {ADVICE}"
    assert partial.read_bytes() == CONTENT[:1000]


def test_a_wrong_checksum_leaves_nothing(url, path):
    assert SHA256 in refusal(f"{url}/file", path, "0" * 64)
    assert list(path.parent.iterdir()) == []


def test_no_server_and_other_schemes_are_refused(path):
    for url in ("http://127.0.0.1:9/file", "http://no-such-host.invalid/file", "http://a/b c"):
        assert "cannot download" in refusal(url, path)
    for url in ("file:///etc/hostname", "ftp://127.0.0.1/file", "archive.tar.gz"):
        assert "only http and https" in refusal(url, path)


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_broken_connection_is_resumed_after_a_pause(server, url, path, kind, caplog):
    with caplog.at_level(logging.INFO):
        download(f"{url}/{kind}", path, SHA256, ADVICE, pauses=[0.01])
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 2
    assert [text for text in caplog.messages if text.endswith("; trying again in 0.01 s")]


@pytest.mark.parametrize("kind", ["down", "busy"])
def test_each_further_try_has_a_longer_pause(server, url, path, kind, monkeypatch):
    slept = []
    monkeypatch.setattr(downloading.time, "sleep", slept.append)
    assert "cannot download: HTTP" in refusal(f"{url}/{kind}", path, pauses=downloading.PAUSES)
    assert len(server.requests) == len(downloading.PAUSES) + 1
    assert tuple(slept) == downloading.PAUSES == tuple(sorted(slept))


def test_a_download_that_goes_on_is_never_given_up(server, url, path):
    download(f"{url}/slow", path, SHA256, ADVICE, pauses=[0])
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 8


def test_mirrors_are_tried_one_after_the_other(server, url, path, partial):
    mirrors = [f"{url}/{kind}" for kind in ("missing", "down", "file")]
    download(mirrors, path, SHA256, ADVICE, pauses=[])
    assert path.read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-"] * 3
    path.unlink()
    message = refusal(mirrors, path, "0" * 64)
    assert "HTTP 404" in message and "HTTP 503" in message and SHA256 in message
    assert message.startswith(mirrors[0]) and message.endswith(ADVICE)


@pytest.mark.parametrize(("kind", "sha256"), [("missing", SHA256), ("file", "0" * 64)])
def test_what_no_further_try_mends_is_asked_for_once(server, url, path, kind, sha256):
    refusal(f"{url}/{kind}", path, sha256, pauses=[100])
    assert len(server.requests) == 1


def test_an_address_that_is_none_is_refused_at_once(path):
    for address in ("http://127.0.0.1:9/a b", "http://127.0.0.1:9/ü", "http://127.0.0.1:x/"):
        assert "cannot download" in refusal(address, path, pauses=[100])


def test_what_is_left_of_another_file_is_fetched_anew(server, url, path, partial):
    partial.write_bytes(bytes(1000))
    download(f"{url}/file", path, SHA256, ADVICE, pauses=[])
    assert path.read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-", None]
