"""A tiny assembler for the classic BPF programs that seccomp takes. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
JUMP: Final = 0x05  # BPF_JMP | BPF_JA
JUMP_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_IF_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN: Final = 0x06  # BPF_RET | BPF_K

# Offsets in struct seccomp_data.
NUMBER: Final = 0
ARCHITECTURE: Final = 4
_ARGUMENTS: Final = 16

MAX_INSTRUCTIONS: Final = 4096
_FARTHEST_CONDITIONAL: Final = 255


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; ``if_true`` and ``if_false`` count the instructions to skip."""

    code: int
    value: int = 0
    if_true: int = 0
    if_false: int = 0

    def pack(self) -> bytes:
        """The instruction as the kernel's ``struct sock_filter``."""
        return struct.pack("=HBBI", self.code, self.if_true, self.if_false, self.value)


Block = list[Instruction]


def load_argument(index: int, high: bool = False) -> Instruction:
    """Load one half of an argument; both architectures are little-endian."""
    return Instruction(LOAD, _ARGUMENTS + 8 * index + (4 if high else 0))


def finish(result: int) -> Block:
    """End the program with *result*, one of seccomp's return values."""
    return [Instruction(RETURN, result)]


def unless_equal(values: Sequence[int], otherwise: Block) -> Block:
    """Run on behind the block if the loaded word is one of *values*, else run *otherwise*, which must end the program."""
    tests = [
        Instruction(JUMP_IF_EQUAL, value, if_true=len(values) - 1 - index + len(otherwise)) for index, value in enumerate(values)
    ]
    return [*tests, *otherwise]


def branch(at_least: int, below: Block, above: Block) -> Block:
    """Run *above* if the loaded word is *at_least* or more, else *below*; both must end the program."""
    if len(below) <= _FARTHEST_CONDITIONAL:
        return [Instruction(JUMP_IF_AT_LEAST, at_least, if_true=len(below)), *below, *above]
    return [Instruction(JUMP_IF_AT_LEAST, at_least, if_false=1), Instruction(JUMP, len(below)), *below, *above]


def search(starts: Sequence[tuple[int, Block]]) -> Block:
    """Find the block of the loaded word by bisection: each block serves from its start up to the next one's."""
    if len(starts) == 1:
        return starts[0][1]
    middle = len(starts) // 2
    return branch(starts[middle][0], search(starts[:middle]), search(starts[middle:]))


def pack(program: Block) -> bytes:
    """The program as the kernel's array of ``struct sock_filter``."""
    if len(program) > MAX_INSTRUCTIONS:
        raise ValueError(f"a filter has at most {MAX_INSTRUCTIONS} instructions, not {len(program)}")
    return b"".join(instruction.pack() for instruction in program)
