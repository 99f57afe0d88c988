"""``swarmlet`` commands that look at this device and need neither cluster nor state."""

from __future__ import annotations

import argparse

from swarmlet.cli.parser import Parser, add_common, add_output
from swarmlet.cli.render import Renderer
from swarmlet.cli.settings import add_settings, node_settings
from swarmlet.cli.standing import settle
from swarmlet.cli.words import instant
from swarmlet.config import keys
from swarmlet.config.load import NODE, examine
from swarmlet.config.show import rows, taken_flags
from swarmlet.errors import Exit, error
from swarmlet.model.views import API_VERSION, View

_PROFILE_SETTINGS = frozenset({"node_name", "data_dir"})


def add_profile(parser: Parser) -> None:
    """Add the options of ``profile-hardware``."""
    add_common(parser)
    parser.add_argument(
        "-o", "--output", choices=("json", "yaml"), default="json", help="how to print it (json)"
    )
    add_settings(parser, keys.KEYS, _PROFILE_SETTINGS)
    parser.set_defaults(run=profile)


def profile(args: argparse.Namespace, render: Renderer) -> Exit:
    """Print what this device is, as the cluster will see it."""
    from swarmlet.hardware.probe import probe  # noqa: PLC0415 - only this command probes

    config = node_settings(args).config
    settle(config)
    found = probe(node_name=config.node_name, data_dir=config.data_dir, docker_host=config.docker_host)
    render.emit(found, args.output, table=lambda _wide: ([], []), names=list)
    return Exit.DONE


def add_config_show(parser: Parser) -> None:
    """Add the options of ``config show``."""
    add_common(parser)
    parser.add_argument("--origin", action="store_true", help="also say where each value comes from")
    add_output(parser, ("table", "json", "yaml"))
    add_settings(parser, keys.KEYS)
    parser.set_defaults(run=config_show)


def config_show(args: argparse.Namespace, render: Renderer) -> Exit:
    """Print every setting, good or bad, with its origin."""
    found = examine(NODE, taken_flags(args, keys.KEYS), args.config_file)
    shown = rows(keys.KEYS, keys.PREFIX, found)
    columns = [
        "NAME",
        "VALUE",
        *(["ORIGIN"] if args.origin else []),
        *(["PROBLEM"] if found.problems else []),
    ]
    table = [
        [
            row.name,
            row.value or "-",
            *([row.origin] if args.origin else []),
            *([row.problem or "-"] if found.problems else []),
        ]
        for row in shown
    ]
    plain = {"apiVersion": API_VERSION, "items": [row._asdict() for row in shown]}
    render.emit(plain, args.output, table=lambda _wide: (columns, table), names=list)
    for warning in found.warnings:
        render.warn(warning)
    return Exit.USAGE if found.problems else Exit.DONE


def add_token_inspect(parser: Parser) -> None:
    """Add the options of ``token inspect``."""
    add_common(parser)
    parser.add_argument(
        "token", nargs="?", help="the token; better --token-file FILE, or  -  for standard input"
    )
    parser.add_argument("--token-file", metavar="FILE", help="a file that holds it;  -  is standard input")
    add_output(parser, ("table", "json", "yaml"))
    parser.set_defaults(run=token_inspect)


class TokenFacts(View, frozen=True, kw_only=True):
    """What a token says, for a reader. It proves nothing: only the coordinator judges a token."""

    jti: str
    cluster_id: str
    cluster_name: str
    issued: str
    expires: str
    max_uses: int
    endpoints: tuple[str, ...]
    cluster_keys: tuple[str, ...]
    node_classes: tuple[str, ...]
    allow: tuple[str, ...]
    cidrs: tuple[str, ...]
    name_pattern: str


def token_inspect(args: argparse.Namespace, render: Renderer) -> Exit:
    """Print what a token says, without a word to any network."""
    from swarmlet.cli.token_input import take_token  # noqa: PLC0415 - loads the native module
    from swarmlet.tokens.claims import Claims  # noqa: PLC0415 - only for tokens

    path = args.token_file or ("-" if args.token in {None, "-"} else None)
    token = take_token(None if path else args.token, path, render)
    if token is None:
        raise error("SWL-112")
    claims = Claims.from_tuple(token.claims)
    facts = TokenFacts(
        jti=claims.jti.hex(),
        cluster_id=claims.cluster_id.hex(),
        cluster_name=claims.cluster_name,
        issued=instant(claims.issued_s * 1000),
        expires=instant(claims.expires_s * 1000),
        max_uses=claims.max_uses,
        endpoints=claims.endpoints,
        cluster_keys=tuple(f"SHA256:{pin.hex()}" for pin in claims.ca_pins),
        node_classes=claims.node_classes,
        allow=claims.allow,
        cidrs=claims.cidrs,
        name_pattern=claims.name_pattern,
    )
    render.emit(facts, args.output, table=lambda _wide: (("WHAT", "VALUE"), _lines(facts)), names=list)
    render.say("whether it is still good is known to its cluster alone")
    return Exit.DONE


def _lines(facts: TokenFacts) -> list[list[str]]:
    lines = []
    for name in facts.__struct_fields__:
        if name == "api_version":
            continue
        value = getattr(facts, name)
        text = ", ".join(value) if isinstance(value, tuple) else str(value)
        nothing = "nothing beyond processes" if name == "allow" else "any"
        lines.append([name.replace("_", " "), text or nothing])
    return lines


def add_identity_show(parser: Parser) -> None:
    """Add the options of ``identity show``."""
    add_common(parser)
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json", "yaml", "pem"),
        default="table",
        help="how to print it (table)",
    )
    add_settings(parser, keys.KEYS, frozenset({"data_dir"}))
    parser.set_defaults(run=identity_show)


def identity_show(args: argparse.Namespace, render: Renderer) -> Exit:
    """Print this device's certificate and cluster, never its key."""
    from swarmlet._native import IdentityStore, NativeError  # noqa: PLC0415 - only this command
    from swarmlet.errors import from_native  # noqa: PLC0415 - only this command

    config = node_settings(args).config
    directory = config.data_dir
    settle(config)
    try:
        identity = IdentityStore(f"{directory}/identity").load()
    except NativeError as failure:
        raise from_native(*failure.args, path=f"{directory}/identity") from None
    if identity is None:
        raise error("SWL-307", path=directory)
    if args.output == "pem":
        for der in identity.chain:
            render.out(_pem(der))
        return Exit.DONE
    facts = {
        "uri": ", ".join(identity.uris),
        "serial": identity.serial.hex(),
        "valid_from": instant(identity.not_before_ms),
        "valid_until": instant(identity.not_after_ms),
        "generation": identity.generation,
    }
    lines = [[name.replace("_", " "), str(value)] for name, value in facts.items()]
    render.emit(
        {"apiVersion": API_VERSION, **facts},
        args.output,
        table=lambda _wide: (("WHAT", "VALUE"), lines),
        names=list,
    )
    return Exit.DONE


def _pem(der: bytes) -> str:
    import base64  # noqa: PLC0415 - only for -o pem

    text = base64.b64encode(der).decode()
    body = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----"
