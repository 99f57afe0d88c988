"""A renderer of steps that only remembers."""

from __future__ import annotations


class Recorder:
    """Fits ``join.steps.Steps``."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, str, str]] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.elapsed_s: float | None = None

    def step(self, number: int, label: str, text: str, *, elapsed_s: float | None = None) -> None:
        self.steps.append((number, label, text))
        self.elapsed_s = elapsed_s if elapsed_s is not None else self.elapsed_s

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    @property
    def numbers(self) -> list[int]:
        return [number for number, _, _ in self.steps]
