"""Programs of strangers, run on a host of a test network: advertisers that lie, a flood, a name server.

Each is started as ``python -m tests.integration.rogues WHAT ARGUMENTS`` and says ``ready`` on a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
import sys
import time

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from swarmlet.link import datagrams
from swarmlet.link.interfaces import interfaces
from swarmlet.model import inquiry
from swarmlet.model.announcement import SERVICE, Announcement, to_strings


async def advertise(count: int, cluster_id: str, key: str, port: int, record: str) -> None:
    """Be ``count`` coordinators that claim to be one cluster, by broadcast and mDNS, and keep what they hear.

    Each has an address of its own on eth0. Half of them take connections and say nothing, half echo.
    """
    addresses = [f"10.77.{1 + n // 200}.{1 + n % 200}" for n in range(count)]
    said = Announcement(cluster_id=cluster_id, cluster_name="\x1b[31mevil\x1b[0m", key=key, port=port)
    text = b"".join(bytes((len(one),)) + one for one in to_strings(said))
    with open(record, "ab", buffering=0) as heard:  # noqa: PTH123

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await reader.read(65_536):
                    heard.write(data)
                    if writer.get_extra_info("sockname")[0].endswith(("1", "3", "5", "7", "9")):
                        writer.write(data)

        servers = [await asyncio.start_server(take, one, port) for one in addresses]
        zeroconf = AsyncZeroconf(interfaces=[interfaces()[0].address])
        for number, one in enumerate(addresses):
            info = ServiceInfo(
                SERVICE,
                f"rogue {number}.{SERVICE}",
                port=port,
                properties=text,
                server=f"rogue{number}.local.",
                parsed_addresses=[one],
            )
            await zeroconf.async_register_service(info, cooperating_responders=True)
        loop = asyncio.get_running_loop()
        asked = datagrams.open_ipv4("255.255.255.255", inquiry.PORT)
        voices = []
        for one in addresses:
            voice = datagrams.open_ipv4(one, 0)
            voices.append(voice)

        def answer() -> None:
            came = datagrams.receive(asked)
            question = inquiry.read_question(came.data) if came else None
            if came and question:
                for voice in voices:
                    with contextlib.suppress(OSError):
                        voice.sendto(inquiry.write_answer(question.number, said), (came.host, came.port))
                        voice.sendto(os.urandom(400), (came.host, came.port))

        loop.add_reader(asked, answer)
        print("ready", flush=True)
        await asyncio.gather(*(server.serve_forever() for server in servers))


def flood(count: int) -> None:
    """Send junk, cut and swollen questions and broken mDNS to everybody on the link, then say how fast."""
    there = interfaces()[0]
    one = datagrams.open_ipv4("", 0)
    one.settimeout(5)
    question = inquiry.write_question(inquiry.Question(os.urandom(16)))
    shapes = [
        b"",
        os.urandom(64),
        os.urandom(1400),
        question[:-1],
        question + b"x",
        question[:40],
        b"SWLD" + os.urandom(508),
        question[:8] + os.urandom(504),
    ]
    began = time.monotonic()
    for number in range(count):
        shape = shapes[number % len(shapes)]
        with contextlib.suppress(OSError):
            datagrams.send(one, shape, "255.255.255.255", inquiry.PORT, there.number)
        if number % 50 == 0:
            group = socket.inet_aton(str(there.address))
            one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, group)
            with contextlib.suppress(OSError):
                one.sendto(struct.pack(">6H", 0, 0x8400, 1, 9, 9, 9) + os.urandom(500), ("224.0.0.251", 5353))
    print(f"ready {count / (time.monotonic() - began):.0f}/s", flush=True)


def ask_far(address: str) -> None:
    """Ask a coordinator from behind a router, by both protocols, and say how many bytes came back."""
    question = inquiry.write_question(inquiry.Question(os.urandom(16)))
    browse = dns.message.make_query(SERVICE, dns.rdatatype.PTR)
    browse.flags = dns.flags.Flag(0)
    browse.id = 0
    got = 0
    for data, port in ((question, inquiry.PORT), (browse.to_wire(), 5353)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
            for _ in range(3):
                one.sendto(data, (address, port))
                if select.select([one], [], [], 0.7)[0]:
                    with contextlib.suppress(ConnectionRefusedError):
                        got += len(one.recv(9000))
    print(f"ready {got}", flush=True)


def name_server(name: str, *strings: str) -> None:
    """Answer for the TXT record of one name; everything else does not exist."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("0.0.0.0", 53))  # noqa: S104 - a host of a test network
        print("ready", flush=True)
        while True:
            data, source = one.recvfrom(4096)
            asked = dns.message.from_wire(data)
            answer = dns.message.make_response(asked)
            question = asked.question[0]
            if question.name.to_text().rstrip(".") == name and question.rdtype == dns.rdatatype.TXT:
                text = " ".join(f'"{string}"' for string in strings)
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", text))
            else:
                answer.set_rcode(3)
            one.sendto(answer.to_wire(), source)


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "advertise":
        asyncio.run(advertise(int(words[0]), words[1], words[2], int(words[3]), words[4]))
    elif what == "flood":
        flood(int(words[0]))
    elif what == "ask-far":
        ask_far(words[0])
    elif what == "name-server":
        name_server(*words)
