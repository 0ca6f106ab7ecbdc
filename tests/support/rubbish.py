"""What a stranger may write into the mailboxes and onto the board of a queue.

Each list has a function of the generation that counts at present, since a row
that has it does most harm.
"""

from __future__ import annotations

from wq_hooks.core.protocol import messages


def _row(kind, sender, claims, *, records=b"", mark=b"", measures=b""):
    return b"\n".join([kind, sender, records, mark, measures, claims])


def reports(generation):
    """Returns reports that cannot be read."""
    gen = generation.encode()
    sender = b"worker:0 1"
    lines = b"ack\n%s\n\n\n\n%s 0" % (sender, gen)
    return [
        b"",
        b"\n",
        b"\n\n\n\n",
        b"\x00" * 10,
        b"ack",
        b"ack\n%s\n%s 0" % (sender, gen),
        lines + b"\n",
        lines.replace(b"\n", b"\r"),
        _row(b"ack", sender, b"only"),
        _row(b"ack", sender, b"%s 1 %s" % (gen, gen)),
        _row(b"ack", sender, b"%s x" % gen),
        _row(b"ack", sender, b"%s -1" % gen),
        _row(b"ack", sender, b"%s 1.5" % gen),
        _row(b"ack", sender, b"%s 1_0" % gen),
        _row(b"ack", sender, "g \u0663".encode()),
        _row(b"ack", sender, b"%s %s" % (gen, b"9" * 40)),
        _row(b"ack", sender, b"\xff\xfe 1"),
        _row(b"ack", sender, b"", records=b"many"),
        _row(b"ack", sender, b"", records=b"-1"),
        _row(b"ack", sender, b"", records=b"9" * 18),
        _row(b"wake", b"", b"", mark=b"first"),
        _row(b"ack", sender, b"%s 0" % gen, measures=b"many"),
        _row(b"ack", sender, b"%s 0" % gen, measures=b"1/2"),
        _row(b"ack", sender, b"%s 0" % gen, measures=b"1/-2/3"),
        _row(b"ack", sender, b"%s 0" % gen, measures=b"1/2/3 4/5/6"),
        _row(b"ack", sender, b"", measures=b"1/2/3"),
        _row(b"ack", b"\xff\xfe", b""),
        _row(b"\xff\xfe", sender, b""),
        _row(b"ack", b"", b"%s 0" % gen),
        _row(b"ack", b"worker:0", b"%s 0" % gen),
        _row(b"ack", b"worker:0 1 2", b"%s 0" % gen),
        _row(b"ack", b"worker:\x00 1", b"%s 0" % gen),
        _row(b"ack", b"%s 1" % (b"w" * 100_000), b""),
        _row(b"steal", sender, b"%s 0" % gen),
        _row(b"ACK", sender, b"%s 0" % gen),
        _row(b"lease", sender, b"%s 90 %s 91" % (gen, gen)),
        b"x" * 3_000_000,
        b'{"kind": "ack"}',
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n",
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
