"""Fresh interpreters, which can be forbidden to import what they must not need."""

from __future__ import annotations

import subprocess
import sys

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if {blocked}:
            raise ImportError(f"{{name}} must not be imported here")

sys.meta_path.insert(0, Blocker())
"""
NO_TORCH = BLOCKER.format(blocked='"torch" in top or top in ("lightning", "gdl_torch")')


def run_python(code: str, *arguments: str) -> str:
    """Runs `code` in a new interpreter and returns what it printed."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout
