"""What the work on one photo may use."""

from dataclasses import dataclass

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """What the work on one photo may use.

    Attributes:
        seconds: CPU time.
        memory: Bytes that may be allocated beyond what the process has before; None: unlimited.
    """

    seconds: float
    memory: int | None
