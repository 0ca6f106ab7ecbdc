"""What a stranger may write into the mailboxes and onto the board of a queue.

Each list has a function of the generation that counts at present, since a row
that has it does most harm.
"""

from __future__ import annotations

from wq_hooks.core.protocol import messages


def reports(generation):
    """Returns reports that cannot be read."""
    gen = generation.encode()
    return [
        b"",
        b"\n",
        b"\n\n",
        b"\x00" * 10,
        b"ack",
        b"ack\nworker:0 1",
        b"ack\nworker:0 1\n\n",
        b"ack\nworker:0 1\nonly",
        b"ack\nworker:0 1\n%s 1 %s" % (gen, gen),
        b"ack\nworker:0 1\n%s x" % gen,
        b"ack\nworker:0 1\n%s -1" % gen,
        b"ack\nworker:0 1\n%s 1.5" % gen,
        b"ack\nworker:0 1\n%s 1_0" % gen,
        "ack\nworker:0 1\ng \u0663".encode(),
        b"ack\nworker:0 1\n%s %s" % (gen, b"9" * 40),
        b"ack\nworker:0 1\nrecords %s" % (b"9" * 18),
        b"ack\nworker:0 1\n\xff\xfe 1",
        b"ack\n\xff\xfe\n",
        b"\xff\xfe\nworker:0 1\n",
        b"ack\n\n%s 0" % gen,
        b"ack\nworker:0\n%s 0" % gen,
        b"ack\nworker:0 1 2\n%s 0" % gen,
        b"ack\nworker:\x00 1\n%s 0" % gen,
        b"ack\n%s 1\n" % (b"w" * 100_000),
        b"steal\nworker:0 1\n%s 0" % gen,
        b"ACK\nworker:0 1\n%s 0" % gen,
        b"lease\nworker:0 1\n%s 90 %s 91" % (gen, gen),
        b"x" * 3_000_000,
        b'{"kind": "ack"}',
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]


def elements(generation):
    """Returns elements of the work mailbox that cannot be read."""
    gen = generation.encode()
    return [
        (b"", b"", b"", b""),
        (b"abc", gen, b"90", b"x"),
        (b"2", gen, b"90", b"x"),
        (b"-1", gen, b"90", b"x"),
        (b"0.0", gen, b"90", b"x"),
        (b" 0", gen, b"90", b"x"),
        (b"00", gen, b"90", b"x"),
        (b"9" * 40, gen, b"90", b"x"),
        (b"\xff", gen, b"90", b"x"),
        (b"\x00", b"\x00", b"\x00", b"\x00"),
        (gen, gen, b"90", b"x"),
        (b"0", gen, b"", b"x"),
        (b"0", gen, b"abc", b"x"),
        (b"0", gen, b"-5", b"x"),
        (b"0", gen, b"1e3", b"x"),
        (b"0", gen, b"9_0", b"x"),
        (b"0", gen, b"9" * 40, b"x"),
        (b"0", gen, b"90 %s 91" % gen, b"x"),
        (b"0", gen, b"\xff\xfe", b"x"),
        (b"0", gen, b"9\n0", b"x"),
        (b"0", b"\xff\xfe", b"90", b"x"),
        (b"0", b"a b", b"90", b"x"),
        (b"x" * 1_000_000, gen, b"90", b"y" * 1_000_000),
    ]


# Entries of the board whose texts are numbers, or lists of them.
KEYS = (
    messages.REMAINING,
    messages.LEVEL,
    messages.WORKS,
    messages.STATUS,
    messages.DELIVERED,
    messages.NUM_DRAINED,
    messages.CHIEF,
    messages.BEAT,
    messages.LEFT,
)
TEXTS = (
    b"abc",
    b"",
    b"-",
    b"1e999",
    b"9" * 40,
    b"\xff\xfe",
    b"\x00",
    b"[1, 2",
    b'{"workers": 3, "waiting": 4}',
    b"[" * 100_000,
)
