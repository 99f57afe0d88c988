"""Write generated documents: settings, errors, files of ``deploy/``. ``--check`` says which are stale."""

from __future__ import annotations

import sys
from pathlib import Path

from swarmlet.cli import recipes
from swarmlet.config.document import operations
from swarmlet.errors import CATALOGUE

ROOT = Path(__file__).parent.parent


def errors() -> str:
    """Return ``docs/errors.md``: one line for each entry of the catalogue."""
    lines = [
        "# Errors",
        "",
        "Made from `swarmlet/errors.py` by `make docs`. Every failure has one code, the same in CLI, API and",
        "logs, and says what failed, what stayed unchanged and what to do next.",
        "",
        "| code | exit | what | unchanged | next |",
        "|---|---|---|---|---|",
    ]
    for code, entry in CATALOGUE.items():
        cells = [code, str(int(entry.exit_code)), entry.what, entry.unchanged, entry.next]
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def user_data() -> str:
    """Return ``deploy/user-data.yaml``: what ``--output cloud-init`` prints, without a token."""
    return recipes.cloud_init(
        recipes.Invitation("swarm_join_PUT_THE_TOKEN_HERE", "HOST:7946", "it expires", "one device")
    )


DOCUMENTS = {
    "docs/errors.md": errors,
    "docs/operations.md": operations,
    "deploy/swarmlet.service": lambda: recipes.AGENT_UNIT,
    "deploy/containers.conf": lambda: recipes.CONTAINERS_UNIT,
    "deploy/compose.yaml": lambda: recipes.COMPOSE,
    "deploy/user-data.yaml": user_data,
}


def main(words: list[str]) -> int:
    """Write the documents, or with ``--check`` compare them."""
    stale = []
    for name, make in DOCUMENTS.items():
        path, text = ROOT / name, make()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in words:
                path.write_text(text)
                print(f"wrote {name}")
    if stale and "--check" in words:
        print(f"out of date: {', '.join(stale)}; run: make docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
