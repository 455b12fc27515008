import pytest

from doable.core.http import compression


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        (b"gzip", True),
        (b"GZIP", True),
        (b"br, gzip;q=0.5", True),
        (b"deflate , gzip ; q=1.0", True),
        (b"*", True),
        (b"*;q=0, gzip", True),
        (b"x-gzip", True),
        (b"", False),
        (b"identity", False),
        (b"gzip;q=0", False),
        (b"gzip;q=0.000, br", False),
        (b"gzip;q=0, *", False),
        (b"*;q=0", False),
        (b"notgzip", False),
        (b"gzip;level=9", False),
        (b"\xff\xfe", False),
    ],
)
def test_the_weights_of_the_client_decide(accept_encoding: bytes, accepted: bool) -> None:  # noqa: FBT001 — a parameter
    assert compression.accepts_gzip(accept_encoding) is accepted
