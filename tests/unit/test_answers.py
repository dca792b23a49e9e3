"""Answers are understood alike however they are cut into pieces."""

from __future__ import annotations

import asyncio
import itertools

from aiohttp.client_proto import ResponseHandler
from hypothesis import given, settings
from hypothesis import strategies as st

from pubsubpull.transports.http.connections import HEAD_LIMIT, LIMIT, Answers


class Wire(asyncio.Transport):
    """The part of a connection that a protocol needs."""

    gone = False

    def close(self):
        self.gone = True

    abort = close

    def is_closing(self):
        return self.gone

    def pause_reading(self):
        pass

    resume_reading = pause_reading

    def get_write_buffer_size(self):
        return 0


def understood(kind, data, cuts):
    """Return a protocol's result for the data in pieces: the status and body, or the error's kind."""

    async def main():
        protocol = kind(asyncio.get_running_loop())
        protocol.connection_made(Wire())
        protocol.set_response_params(read_until_eof=True, auto_decompress=False)
        try:
            places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
            for start, end in itertools.pairwise(places):
                protocol.data_received(data[start:end])
            protocol.eof_received()
            protocol.connection_lost(None)
            while True:
                message, payload = await protocol.read()
                if not 100 <= message.code < 200:
                    return message.code, await payload.read()
        except Exception as error:  # noqa: BLE001  the two are compared
            return "failed", isinstance(error, OSError)

    return asyncio.run(main())


CUTS = st.lists(st.integers(0, 500), max_size=8)
BODY = st.binary(max_size=60)
END = st.sampled_from([b"\r\n", b"\n"])
INTERIM = st.lists(
    st.sampled_from([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"]), max_size=3
)


@st.composite
def answers(draw):
    """Draw an answer whose body is framed in one of the ways."""
    body, end = draw(BODY), draw(END)
    status = draw(st.sampled_from([b"200 OK", b"409 Conflict", b"500 No", b"410 Gone"]))
    framing, sent = draw(
        st.sampled_from(
            [
                ([b"Content-Length: %d" % len(body)], body),
                (
                    [b"Transfer-Encoding: chunked"],
                    b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n",
                ),
                ([b"Connection: close"], body),
            ]
        )
    )
    lines = [b"HTTP/1.1 " + status, b"Server: x", *framing]
    return b"".join(draw(INTERIM)) + end.join(lines) + end * 2 + sent, (int(status[:3]), body)


@given(answers(), CUTS)
def test_an_answer_in_pieces_is_the_answer(drawn, cuts):
    data, expected = drawn
    assert understood(Answers, data, cuts) == expected


@given(st.binary(max_size=300) | BODY.map(lambda body: b"HTTP/1.1 200 OK\r\n" + body), CUTS)
def test_any_bytes_are_parsed_as_aiohttp_parses_them(data, cuts):
    assert understood(Answers, data, cuts) == understood(ResponseHandler, data, cuts)


@given(INTERIM, st.sampled_from([b"204 No", b"304 No"]), END, BODY, CUTS)
def test_bytes_after_an_answer_without_a_body_do_not_matter(interim, status, end, body, cuts):
    data = b"".join(interim) + b"HTTP/1.1 " + status + end + b"X: y" + end * 2
    assert understood(Answers, data + body, cuts) == (int(status[:3]), b"")


@settings(max_examples=8)
@given(st.integers(0, 40), CUTS)
def test_a_head_may_be_so_long_and_no_longer(size, cuts):
    one = b"HTTP/1.1 102 Processing\r\n\r\n"
    last = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    fits = (HEAD_LIMIT - len(last)) // len(one)
    assert understood(Answers, one * (fits - size) + last, cuts) == (200, b"")
    assert understood(Answers, one * (fits + 1 + size) + last, cuts)[0] == "failed"


def test_an_answer_may_be_so_long_and_no_longer():
    head = b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2;x="
    tail = b"\r\nok\r\n0\r\n\r\n"
    fits = LIMIT - len(head) - len(tail)
    assert understood(Answers, head + b"x" * fits + tail, [len(head)]) == (500, b"ok")
    assert understood(Answers, head + b"x" * (fits + 1) + tail, [len(head)])[0] == "failed"
