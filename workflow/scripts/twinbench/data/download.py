"""Downloads that resume, and that appear under their name only once their checksum is right."""

import argparse
import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPResponse
from pathlib import Path
from typing import IO

from twinbench.errors import InputError
from twinbench.files import errors_name, verify_checksum

log = logging.getLogger(__name__)

_BLOCK = 1 << 18  # bytes read at a time
_TIMEOUT = 60  # seconds without a byte
# Seconds before each further try, so that a short outage ends no study.
PAUSES = (1, 4, 15, 60)
_FAILURES = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    UnicodeError,
)
# Of the answers 400 to 499, which say that the request is at fault, those that may change.
_PASSING = (
    http.HTTPStatus.REQUEST_TIMEOUT,
    http.HTTPStatus.TOO_EARLY,
    http.HTTPStatus.TOO_MANY_REQUESTS,
)


def add_download(parser: argparse.ArgumentParser) -> None:
    """Let a script take addresses, and other pauses."""
    parser.add_argument("--url", action="append", required=True, help="one or several addresses")
    parser.add_argument(
        "--pauses",
        type=float,
        nargs="*",
        default=PAUSES,
        help="seconds before each further try after a network error",
    )


def download(
    urls: str | Sequence[str],
    path: Path | str,
    checksum: str,
    advice: str,
    pauses: Sequence[float] = PAUSES,
) -> None:
    """Fetch a file to `path`, once its bytes have the `checksum` (see `files.verify_checksum`).

    Of several addresses one after the other is tried.

    The bytes received are kept in `<path>.partial`; after a network error, and in a later call, it goes
    on from there if the server can. `pauses` are the seconds before each further try, counted anew
    once bytes have come. What no further try mends, such as another checksum, is not tried again.

    Raises `InputError` if the file cannot be downloaded, with `advice` on what to do without it, or if
    its checksum is another one.
    """
    urls = [urls] if isinstance(urls, str) else urls
    for url in urls:
        if not url.lower().startswith(("http://", "https://")):
            raise InputError(f"{url}: only http and https are supported; correct the address")
    reasons: list[str] = []
    for url in urls:
        try:
            return _download(url, Path(path), checksum, pauses)
        except InputError as error:
            if url != urls[-1]:
                log.info("%s; trying the next address", error)
            reasons.append(str(error))
    raise InputError("; ".join([*reasons, advice]))


def _download(url: str, path: Path, checksum: str, pauses: Sequence[float]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    resumed = partial.exists()
    try:
        _fetch_patiently(url, partial, pauses)
    except _FAILURES as error:
        raise InputError(f"{url}: cannot download: {_reason(error)}") from None
    try:
        verify_checksum(partial, checksum, origin=url)
    except InputError:
        partial.unlink()
        if not resumed:
            raise
        log.info("the partial download is of another file: starting over")
        _download(url, path, checksum, pauses)
    else:
        partial.replace(path)


def _fetch_patiently(url: str, partial: Path, pauses: Sequence[float]) -> None:
    """As `_fetch`, again after each of the pauses if that may help."""
    left, held = iter(pauses), _size(partial)
    while True:
        try:
            return _fetch(url, partial)
        except _FAILURES as error:
            if _size(partial) > held:  # it goes on, with interruptions
                left = iter(pauses)
            held = _size(partial)
            pause = None if _is_final(error) else next(left, None)
            if pause is None:
                raise
            log.info("%s: %s; trying again in %g s", url, _reason(error), pause)
            time.sleep(pause)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_final(error: Exception) -> bool:
    """Whether no further try can end in another way."""
    if isinstance(error, urllib.error.HTTPError):
        return 400 <= error.code < 500 and error.code not in _PASSING
    return isinstance(error, http.client.InvalidURL | UnicodeError)


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    code = f"HTTP {error.code} " if isinstance(error, urllib.error.HTTPError) else ""
    return " ".join(f"{code}{reason}".split())


def _fetch(url: str, partial: Path) -> None:
    """Complete the file `partial`. Raises one of the errors of `urllib` or `http.client`."""
    held = _size(partial)
    response = _open(url, held)
    with response:
        start = _first_byte(response)
        if start not in (0, held):
            raise http.client.HTTPException(f"the server sent bytes from {start}, not {held}")
        with errors_name(partial), partial.open("ab" if start else "wb") as file:
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
    found = re.match(r"bytes (\d{1,18})-", response.headers.get("Content-Range", ""))
    if found is None:
        raise http.client.HTTPException("the server sent a part without saying which")
    return int(found[1])


def _copy(response: HTTPResponse, file: IO[bytes], start: int) -> None:
    """Append the response to `file`, and log every tenth of the way."""
    total = start + response.length if response.length else None  # None too where it is no number
    received, logged = start, 0
    while block := response.read(_BLOCK):
        file.write(block)
        received += len(block)
        if total and (tenth := 10 * received // total) > logged:
            logged = tenth
            log.info("downloaded %d %% of %.1f MB", 10 * tenth, total / 1e6)
    if total and received < total:
        raise http.client.HTTPException(
            f"the connection broke after {received} of {total} bytes; start again to resume"
        )
