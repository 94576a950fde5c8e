"""Arithmetic over named values, as text in a profile: parsed once, never evaluated as code.

Numbers, names, `+ - * / // % **`, `& | ^ ~ << >>`, comparisons, `and or not`, `a if condition else b`, functions.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

Names = Mapping[str, Any]
Evaluate = Callable[[Names], Any]

LONGEST = 2000
LARGEST_SHIFT = 64
NO_VALUE = (ArithmeticError, ValueError, TypeError, KeyError)
"""What evaluation raises where a formula has no value: a division by zero, a name that the frame did not hold, …"""

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": round,
    "floor": math.floor,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "atan2": math.atan2,
    "hypot": math.hypot,
}
CONSTANTS: dict[str, Any] = {"pi": math.pi, "true": True, "false": False}


class BadFormula(ValueError):
    """A text that is no formula; the message says which part of it."""


def _power(base: float, exponent: float) -> float:
    """In floats, so that no power becomes a number of a million digits."""
    return math.pow(base, exponent)


def _times(first: Any, second: Any) -> Any:
    """Of numbers alone: a text a million times is nothing that a frame should ask for."""
    if isinstance(first, str) or isinstance(second, str):
        raise TypeError("a text cannot be multiplied")
    return first * second


def _shift_left(value: int, places: int) -> int:
    if not 0 <= places <= LARGEST_SHIFT:
        raise ValueError(f"a shift by {places}")
    return value << places


BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: _times,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: _shift_left,
    ast.RShift: operator.rshift,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def formula(text: object, names: set[str]) -> Evaluate:
    """The function that a formula is, of the named values. Raises BadFormula.

    `names`: those that may stand in it. The function raises one of NO_VALUE where it has no value.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        number = text
        return lambda _: number
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
        raise BadFormula(f"{str(text)[:60]!r} is no formula; expected a text such as 'x / 10 - 40'")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadFormula(f"{text!r} is no formula: {getattr(error, 'msg', error)}") from None
    return _compiled(tree.body, names, text)


def _compiled(node: ast.expr, names: set[str], text: str) -> Evaluate:
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float | str) and not isinstance(value, bool):
            return lambda _: value
        case ast.Name(id=name):
            return _name(name, names, text)
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(BINARY[type(op)], left, right, names, text) if type(op) in BINARY else _refuse(node, text)
        case ast.UnaryOp(op=op, operand=operand):
            apply, inner = UNARY[type(op)], _compiled(operand, names, text)
            return lambda values: apply(inner(values))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARE:
            return _binary(COMPARE[type(op)], left, right, names, text)
        case ast.BoolOp(op=op, values=parts):
            both, tests = isinstance(op, ast.And), [_compiled(part, names, text) for part in parts]
            return lambda values: (all if both else any)(test(values) for test in tests)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            condition, yes, no = (_compiled(part, names, text) for part in (test, body, orelse))
            return lambda values: yes(values) if condition(values) else no(values)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            function, inputs = FUNCTIONS[name], [_compiled(part, names, text) for part in arguments]
            return lambda values: function(*[each(values) for each in inputs])
    return _refuse(node, text)


def _name(name: str, names: set[str], text: str) -> Evaluate:
    if name in names:
        return operator.itemgetter(name)
    if name in CONSTANTS:
        constant = CONSTANTS[name]
        return lambda _: constant
    known = ", ".join(sorted(names)) or "none"
    raise BadFormula(f"{text!r}: nothing is named {name} before it; expected one of {known}")


def _binary(apply: Callable[[Any, Any], Any], left: ast.expr, right: ast.expr, names: set[str], text: str) -> Evaluate:
    first, second = _compiled(left, names, text), _compiled(right, names, text)
    return lambda values: apply(first(values), second(values))


def _refuse(node: ast.expr, text: str) -> Evaluate:
    part = ast.get_source_segment(text.strip(), node) or text
    allowed = "numbers, names, + - * / // % **, & | ^ ~ << >>, comparisons, and or not, " + ", ".join(FUNCTIONS)
    raise BadFormula(f"{text!r}: {part!r} is not allowed; expected {allowed}")
