"""A node made of the real link and the real protocol, driven by hand: joins, greets, talks."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import aiohttp

from swarmlet import _native
from swarmlet.link import messages as m
from swarmlet.link.engine import Connection, Link
from tests.fakes.records import profile

WAIT_S = 10.0


class Admin:
    """A client of the admin socket."""

    def __init__(self, directory: Path) -> None:
        self._path = str(directory / "admin.sock")
        self._count = 0

    async def ask(self, method: str, path: str, body: object = None):
        self._count += 1
        headers = {} if method == "GET" else {"Idempotency-Key": f"key-{id(self)}-{self._count}"}
        data = None if body is None else json.dumps(body)
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(self._path)) as session,
            session.request(method, f"http://x{path}", data=data, headers=headers) as response,
        ):
            text = await response.read()
            if response.content_type == "application/json":
                return response.status, json.loads(text)
            return response.status, text

    async def get(self, path: str):
        status, body = await self.ask("GET", path)
        assert status == 200, body
        return body

    async def do(self, method: str, path: str, body: object = None):
        status, answer = await self.ask(method, path, {} if body is None else body)
        assert status == 200, answer
        return answer

    async def token(self, **wishes) -> str:
        seed = _native.TokenSeed.generate()
        body = {"public_key": base64.b64encode(seed.public_key).decode(), **wishes}
        minted = await self.do("POST", "/v1/tokens", body)
        return seed.assemble(base64.b64decode(minted["signed"]))

    async def until(self, path: str, condition, what: str = "") -> dict:
        """Ask until the answer is as wanted."""
        async with asyncio.timeout(WAIT_S * 2):
            while True:
                found = await self.get(path)
                if condition(found):
                    return found
                await asyncio.sleep(0.01)


class Joiner:
    """One device."""

    def __init__(self, link: Link, address: str, name: str = "pi") -> None:
        self.link = link
        self.address = address
        self.name = name
        self.identity: _native.Identity | None = None
        self.settings: m.Settings | None = None
        self.uid = ""

    async def ask(self, text: str, **given) -> m.AnyMessage:
        """Ask for admission with a token; return the answer."""
        token = _native.Token.parse(text)
        claims = token.claims
        tls = _native.ClientTls(claims[7], None, claims[1].hex(), None)
        connection = self.link.dial(self.address, tls)
        opened = await connection.opened(WAIT_S)
        challenge = await connection.receive(WAIT_S)
        assert isinstance(challenge, m.Challenge)
        key = _native.KeyPair.generate()
        csr = key.csr(self.name)
        request = m.JoinRequest(
            token.signed,
            csr,
            token.proof(csr, opened.exporter),
            self.name,
            profile(self.name),
            "0.1.0",
            **given,
        )
        await connection.send(request)
        answer = await connection.receive(WAIT_S)
        connection.close()
        if isinstance(answer, m.Admitted):
            self.identity = _native.Identity.create(key, answer.chain, b"")
            self.settings = answer.settings
            self.uid = answer.node_uid
        return answer

    async def join(self, text: str, **given) -> m.Admitted:
        answer = await self.ask(text, **given)
        assert isinstance(answer, m.Admitted), answer
        return answer

    def dial(self) -> Connection:
        assert self.settings is not None
        tls = _native.ClientTls(self.settings.ca_pins, self.identity, self.settings.cluster_id, None)
        return self.link.dial(self.address, tls)

    async def greet(self, **given) -> Connection:
        """Connect as a member, up to and with the snapshot."""
        connection = self.dial()
        await connection.opened(WAIT_S)
        await expect(connection, m.Challenge)
        fields = {
            "protocol": 1,
            "version": "0.1.0",
            "boot_id": "b",
            "name": self.name,
            "generation": 0,
            **given,
        }
        await connection.send(m.Hello(profile=profile(self.name), **fields))
        await expect(connection, m.Welcome)
        if given.get("observed"):
            await expect(connection, m.ObservedAck)
        await expect(connection, m.Desired)
        return connection

    async def renew(self, connection: Connection) -> None:
        """Get the next certificate over a member's connection."""
        key = _native.KeyPair.generate()
        await connection.send(m.RenewRequest(key.csr(self.name)))
        renewed = await expect(connection, m.Renewed)
        self.identity = _native.Identity.create(key, renewed.chain, b"")


async def expect(connection: Connection, kind: type[m.Message]):
    """Return the next message, which must be of this kind."""
    message = await connection.receive(WAIT_S)
    assert isinstance(message, kind), message
    return message
