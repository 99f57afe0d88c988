"""``stratoswarm cluster create-join-token`` and ``stratoswarm cluster token ...``."""

from __future__ import annotations

import argparse

from swarmlet._native import TokenSeed
from swarmlet.cli import recipes, tables
from swarmlet.cli.admin import Admin, part
from swarmlet.cli.parser import Parser, add_common, add_output
from swarmlet.cli.render import Renderer
from swarmlet.cli.words import instant, whole
from swarmlet.errors import Exit, error
from swarmlet.model.requests import MintRequest, RevokeRequest
from swarmlet.model.views import MintedView, TokenList, TokenView
from swarmlet.tokens.durations import parse_duration


def add_create(parser: Parser) -> None:
    """Add the options of ``create-join-token``."""
    add_common(parser)
    parser.add_argument(
        "--expires", default="1h", metavar="TIME", help="how long it lives: 30m, 24h, 7d (1h)"
    )
    parser.add_argument(
        "--uses", type=whole, default=1, metavar="N", help="how many devices may join with it (1)"
    )
    parser.add_argument(
        "--node-type",
        action="append",
        default=[],
        metavar="CLASS",
        help="only devices of this class: edge, iot, laptop, workstation, datacenter (repeat for more)",
    )
    parser.add_argument(
        "--allow",
        default="",
        metavar="LIST",
        help="what its nodes may be given, comma separated: gpu, docker, device, exec",
    )
    parser.add_argument(
        "--cidr", action="append", default=[], metavar="NET", help="only from this network (repeat for more)"
    )
    parser.add_argument(
        "--name", default="", metavar="PATTERN", help="only a node of this name; * fits anything"
    )
    parser.add_argument(
        "--endpoint", action="append", default=[], metavar="HOST:PORT", help="where devices reach the cluster"
    )
    parser.add_argument("--force", action="store_true", help="allow a life of more than 7 days")
    parser.add_argument("--qr", action="store_true", help="also print the token as a QR code on stderr")
    add_output(parser, ("table", "json", *recipes.RECIPES))
    parser.set_defaults(run=create)


def create(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Mint a token: the one-use key is made here, the coordinator signs its public half only."""
    seed = TokenSeed.generate()
    wishes = MintRequest(
        public_key=seed.public_key,
        expires_s=parse_duration(args.expires),
        max_uses=args.uses,
        node_classes=tuple(args.node_type),
        allow=tuple(word.strip() for word in args.allow.split(",") if word.strip()),
        cidrs=tuple(args.cidr),
        name_pattern=args.name,
        endpoints=tuple(args.endpoint),
        force=args.force,
    )
    minted = admin.change(MintedView, "POST", "/v1/tokens", wishes)
    text = seed.assemble(minted.signed)
    if args.output == "json":
        import json  # noqa: PLC0415 - only for -o json

        render.out(json.dumps(_as_json(minted, text), indent=2))
    elif args.output in recipes.RECIPES:
        render.out(recipes.RECIPES[args.output](_invitation(minted, text)).rstrip())
        render.say(_revocable(minted))
    elif args.quiet:
        render.out(text)
    else:
        _show(minted, text, render)
    if args.qr:
        render.warn("the QR code below is the token; whoever sees it can use it")
        render.tell(_qr(text))
    return Exit.DONE


def _show(minted: MintedView, text: str, render: Renderer) -> None:
    endpoint = minted.endpoints[0] if minted.endpoints else "-"
    render.out(f"Join Token: {text}")
    render.out(f"Cluster IP: {endpoint}")
    render.out(f"Expires: {instant(minted.expires_ms)}")
    render.say("")
    render.say("on the device, one of:")
    render.say(f"  swarmlet join --token {text}")
    socket = f" \\\n    -v {recipes.SOCKET_MOUNT}" if "docker" in minted.allow else ""
    render.say(f"  {recipes.DOCKER_RUN}{socket} \\\n    {recipes.IMAGE} join --token {text}")
    if socket:
        render.say(f"  (it allows containers, so Docker's socket is mounted: {recipes.SOCKET_MEANS})")
    render.say(f"with the token in a file, ready to paste: --output {' | '.join(recipes.RECIPES)}")
    render.say(_revocable(minted))


def _revocable(minted: MintedView) -> str:
    devices = _devices(minted)
    return f"it admits {devices}; to take it back: stratoswarm cluster token revoke {minted.jti[:12]}"


def _devices(minted: MintedView) -> str:
    return "one device" if minted.max_uses == 1 else f"{minted.max_uses} devices"


def _invitation(minted: MintedView, text: str) -> recipes.Invitation:
    endpoint = minted.endpoints[0] if minted.endpoints else "HOST:PORT"
    containers = "docker" in minted.allow
    return recipes.Invitation(text, endpoint, instant(minted.expires_ms), _devices(minted), containers)


def _as_json(minted: MintedView, text: str) -> dict[str, object]:
    return {
        "apiVersion": minted.api_version,
        "token": text,
        "jti": minted.jti,
        "cluster_id": minted.cluster_id,
        "cluster_name": minted.cluster_name,
        "endpoints": list(minted.endpoints),
        "expires": instant(minted.expires_ms),
        "expires_ms": minted.expires_ms,
        "max_uses": minted.max_uses,
        "fingerprint": minted.fingerprint,
    }


def _qr(text: str) -> str:
    try:
        import segno  # noqa: PLC0415 - only for --qr
    except ImportError:
        raise error("SWL-403", feature="--qr", package="segno", extra="coordinator") from None
    import io  # noqa: PLC0415 - only for --qr

    drawn = io.StringIO()
    segno.make(text, error="l").terminal(out=drawn, compact=True)
    return drawn.getvalue()


def add_ls(parser: Parser) -> None:
    """Add the options of ``token ls``."""
    add_common(parser)
    add_output(parser)
    parser.set_defaults(run=ls)


def ls(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """List tokens."""
    found = admin.get(TokenList, "/v1/tokens")
    render.emit(
        found,
        args.output,
        table=lambda wide: tables.tokens(found.items, wide=wide),
        names=lambda: (token.jti for token in found.items),
    )
    return Exit.DONE


def add_inspect(parser: Parser) -> None:
    """Add the options of ``token inspect``."""
    add_common(parser)
    parser.add_argument("id", help="token id or an unambiguous prefix")
    add_output(parser)
    parser.set_defaults(run=inspect)


def inspect(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Show one token: its limits, its uses, who came with it."""
    token = admin.get(TokenView, f"/v1/tokens/{part(args.id)}")
    render.emit(
        token,
        args.output,
        table=lambda _wide: tables.tokens([token], wide=True),
        names=lambda: [token.jti],
    )
    return Exit.DONE


def add_revoke(parser: Parser) -> None:
    """Add the options of ``token revoke``."""
    add_common(parser)
    parser.add_argument("id", help="token id or an unambiguous prefix")
    parser.add_argument("--cascade", action="store_true", help="also remove every node that joined with it")
    parser.set_defaults(run=revoke)


def revoke(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Refuse further uses of a token."""
    token = admin.change(
        TokenView, "POST", f"/v1/tokens/{part(args.id)}/revoke", RevokeRequest(cascade=args.cascade)
    )
    render.out(token.jti)
    removed = len(token.nodes) if args.cascade else 0
    render.say(
        f"token {token.jti[:12]} admits nobody any more" + (f"; {removed} node(s) removed" if removed else "")
    )
    if token.nodes and not args.cascade:
        names = ", ".join(node.name for node in token.nodes)
        render.say(f"nodes that joined with it stay: {names}; remove them too with --cascade")
    return Exit.DONE
