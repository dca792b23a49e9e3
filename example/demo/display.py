"""The demo's output: with colours and moving bars on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.syntax import Syntax
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

EVERY = 0.2
"""Seconds between two looks at the figures on a terminal."""
EVERY_LINE = 2.0
"""Seconds between two lines where there is no terminal."""


class Display:
    """Tells the story. Everything is written for 80 columns."""

    def __init__(self) -> None:
        with contextlib.suppress(AttributeError, ValueError):
            sys.stdout.reconfigure(errors="replace", line_buffering=True)  # type: ignore[union-attr]
        self.console = Console(highlight=False, emoji=False)
        self.live = self.console.is_terminal
        fancy = (self.console.encoding or "").lower().startswith("utf")
        self._marks = ("✓", "✗") if fancy else ("ok", "NO")
        self._chapter = 0

    def title(self) -> None:
        """Show the title."""
        self.console.print("\n[bold]pubsubpull[/]: a shop, and billing that follows it\n")
        self.console.print("   shop's tables -> triggers -> log -> delivery worker -> billing's copies")

    def restore(self) -> None:
        """Give the terminal back as it was, wherever the story broke off."""
        self.console.show_cursor(True)

    def verdict(self, problems: Sequence[str], seconds: float) -> None:
        """Say whether all of it held."""
        self.console.print()
        for problem in problems:
            self.outcome(_plain(problem), good=False)
        if not problems:
            self.outcome(f"[bold]All of it held.[/] The whole took {seconds:.0f} seconds.")

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        self._chapter += 1
        self.console.print(f"\n[bold]{self._chapter}. {title}[/]")

    def say(self, text: str) -> None:
        """Explain, in plain words."""
        self.console.print(f"   [dim]{text}[/]" if self.live else f"   {text}")

    def outcome(self, text: str, *, good: bool = True) -> None:
        """Say that something has been done, or does not hold."""
        mark, style = (self._marks[0], "green") if good else (self._marks[1], "bold red")
        self.console.print(f"   [{style}]{mark}[/] {text}", soft_wrap=not self.live)

    def command(self, text: str) -> None:
        """Show a command that can be pasted: no line of it is broken or indented."""
        self.console.print(f"\n[cyan]{_plain(text)}[/]\n", soft_wrap=True)

    def link(self, name: str, url: str) -> None:
        """Show an address."""
        self.console.print(f"   {name:<26} [cyan]{_plain(url)}[/]", soft_wrap=True)

    def json(self, text: str) -> None:
        """Show JSON."""
        if self.live:
            self.console.print(Syntax(text, "json", theme="ansi_dark", background_color="default", word_wrap=True))
        else:
            self.console.print(_plain(text), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int | None = None) -> None:
        """Show a table; the columns from `numbers` on are set to the right."""
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
        for place, name in enumerate(columns):
            right = numbers is not None and place >= numbers
            table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
        for row in rows:
            table.add_row(*row)
        self.console.print()
        self.console.print(Padding(table, (0, 0, 0, 3), expand=False))
        self.console.print()

    def error(self, text: str, *, advice: str = "", log: str = "") -> None:
        """Show the reason for the early end, and the remedy."""
        self.console.print()
        self.outcome(_plain(text), good=False)
        if log:
            self.console.print("   The end of its log:")
            self.console.print("\n".join(f"   | {line}" for line in _plain(log).splitlines()), soft_wrap=True)
        if advice:
            self.console.print(f"   {_plain(advice)}", soft_wrap=True)

    @contextlib.contextmanager
    def watching(self, title: str, look: Callable[[], tuple[int, int, str]]) -> Iterator[None]:
        """Show progress while the block runs: `look` returns the done part, the whole, and a few words."""
        ended = threading.Event()
        with self._bar() as bar:
            task = bar.add_task(title, total=None, words="")

            def follow() -> None:
                shown = time.monotonic()
                while not ended.wait(EVERY):
                    done, total, words = look()
                    bar.update(task, completed=done, total=total or None, words=words)
                    if not self.live and time.monotonic() - shown >= EVERY_LINE:
                        shown = time.monotonic()
                        self.console.print(f"     {title}: {words}", soft_wrap=True)

            follower = threading.Thread(target=follow, daemon=True)
            follower.start()
            try:
                yield
            finally:
                ended.set()
                follower.join()

    def _bar(self) -> Progress:
        return Progress(
            TextColumn(" "),
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            TaskProgressColumn(),
            TextColumn("[dim]{task.fields[words]}[/]"),
            console=self.console,
            transient=True,
            disable=not self.live,
        )


def _plain(text: str) -> str:
    """Escape the console's markup characters."""
    return text.replace("[", "\\[")
