"""What a process has needed at most."""

from pathlib import Path


def peak_mib(pid: int | str = "self") -> float:
    """MiB of its memory that were resident at most, by the kernel's own mark; 0 when it has ended.

    ``getrusage`` would not do: its peak includes that of the process that started this one.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
