"""Downloads that resume, and that appear under their name only once their checksum is right."""

import http.client
import logging
import re
import urllib.error
import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from typing import IO

from twinbench.errors import InputError
from twinbench.files import verify_checksum

log = logging.getLogger(__name__)

_BLOCK = 1 << 18  # bytes read at a time
_TIMEOUT = 60  # seconds without a byte


def download(url: str, path: Path | str, checksum: str, advice: str) -> None:
    """Fetch `url` to `path`, once its bytes have the `checksum` (see `files.verify_checksum`).

    The bytes received are kept in `<path>.partial`; a later call resumes from there if the server can.
    Raises `InputError` if the file cannot be downloaded, with `advice` on what to do without it, or if
    its checksum is another one.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    if not url.lower().startswith(("http://", "https://")):
        raise InputError(f"{url}: only http and https are supported; correct the address")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _fetch(url, partial)
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as e:
        reason = e.reason if isinstance(e, urllib.error.URLError) else e
        code = f"HTTP {e.code} " if isinstance(e, urllib.error.HTTPError) else ""
        raise InputError(f"{url}: cannot download: {code}{reason}; {advice}") from None
    try:
        verify_checksum(partial, checksum, origin=url)
    except InputError:
        partial.unlink()
        raise
    partial.replace(path)


def _fetch(url: str, partial: Path) -> None:
    """Complete the file `partial`. Raises one of the errors of `urllib` or `http.client`."""
    held = partial.stat().st_size if partial.exists() else 0
    response = _open(url, held)
    with response:
        start = _first_byte(response)
        if start not in (0, held):
            raise http.client.HTTPException(f"the server sent bytes from {start}, not {held}")
        with partial.open("ab" if start else "wb") as file:
            _copy(response, file, start)


def _open(url: str, held: int) -> HTTPResponse:
    """A response from byte `held` on, or from the start if the server cannot resume there."""
    request = urllib.request.Request(url)
    if held:
        request.add_header("Range", f"bytes={held}-")
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if held and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _open(url, 0)
        raise


def _first_byte(response: HTTPResponse) -> int:
    """The position in the file of the response's first byte."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if found is None:
        raise http.client.HTTPException("the server sent a part without saying which")
    return int(found[1])


def _copy(response: HTTPResponse, file: IO[bytes], start: int) -> None:
    """Append the response to `file`, and log every tenth of the way."""
    announced = response.headers.get("Content-Length")
    total = start + int(announced) if announced else None
    received, logged = start, 0
    while block := response.read(_BLOCK):
        file.write(block)
        received += len(block)
        if total and (tenth := 10 * received // total) > logged:
            logged = tenth
            log.info("downloaded %d %% of %.1f MB", 10 * tenth, total / 1e6)
    if total and received < total:
        raise http.client.HTTPException(
            f"the connection broke after {received} of {total} bytes; run again to resume"
        )
