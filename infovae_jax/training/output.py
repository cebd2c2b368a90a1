"""Output that cannot be written is dropped, costs no result, and the work goes on."""

import os
import re
import sys
from typing import Any, TextIO

# All but tabs and ends of lines.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Lenient:
    """A text stream that sends what cannot be written to nowhere.

    A closed pipe (`| head`) and a full disk end the output, not the program; letters
    that the stream's encoding lacks are written as escapes.

    Args:
      stream: it.
      harmless: whether what a terminal obeys is written as escapes too: a path may hold
        it, and a progress bar needs it.
    """

    def __init__(self, stream: TextIO, harmless: bool = False):
        self._stream, self._harmless = stream, harmless
        self._in_line = False
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Writes, or drops."""
        if self._harmless:
            text = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
        if text:
            self._in_line = not text.endswith("\n")
        try:
            return self._stream.write(text)
        except OSError:
            self._drop()
            return len(text)

    def end_line(self) -> None:
        """Ends the line, where one is begun, and flushes.

        `print` writes a line and its end in turn: a signal may come between them.
        """
        if self._in_line:
            self.write("\n")
        self.flush()

    def flush(self) -> None:
        """Flushes, or drops."""
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _drop(self) -> None:
        # What is in the buffer goes there too: at the end Python would fail over it.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def keep_harmless() -> None:
    """Makes standard output and error of this process lenient."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)  # None where it was closed before the start
        stream = stream or open(os.devnull, "w")  # noqa: SIM115
        setattr(sys, name, Lenient(stream, name == "stdout"))
