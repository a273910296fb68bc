"""Instruction data: questions and answers made from source code and from parallel sentences."""

from kataribe.make.text.instructions.examples import Example
from kataribe.make.text.instructions.making import InstructionChoices, make_instructions

__all__ = ["Example", "InstructionChoices", "make_instructions"]
