"""Random expressions mean in the library what they mean in Python.

    expr_property.py PROGRAM [--count N] [--seed S]

Makes N expressions with choices and an assignment, evaluates each with Python and
with PROGRAM (expr_lines), and compares value and options by their repr: kind and
content. What raises in Python must be an error there. Two differences are wanted
and built into the reference: integers that leave 64 bits are errors, and so is what
expressions do not have (formatting with %, `in`, slices, complex numbers, ...).
"""

import argparse
import ast
import itertools
import json
import math
import operator
import random
import subprocess
import sys
import warnings

warnings.simplefilter("ignore")


class Refused(Exception):
    """The library refuses what Python accepts."""


# ---- the reference: Python, with bounds -------------------------------------------

LARGEST = 16384


def size(value):
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, tuple):
        return 1 + sum(max(1, size(item)) for item in value)
    return 1


def bounded(n):
    if n > LARGEST:
        raise Refused("too large")


def checked(value):
    """What an operation may give: no complex numbers, no integer over 64 bits."""
    if isinstance(value, complex):
        raise Refused("complex")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Refused("64 bits")
    if isinstance(value, tuple):
        for item in value:
            checked(item)
    return value


def add(a, b):
    if isinstance(a, (str, tuple)) and type(a) is type(b):
        bounded(size(a) + size(b))
    return a + b


def multiply(a, b):
    for many, times in ((a, b), (b, a)):
        if isinstance(many, (str, tuple)) and isinstance(times, int):
            bounded(size(many) * times if len(many) else 0)
    return a * b


def modulo(a, b):
    if isinstance(a, str):
        raise Refused("formatting")
    return a % b


def power(a, b, *m):
    if not m and isinstance(a, int) and isinstance(b, int) and abs(a) > 1 and b > 64:
        raise Refused("64 bits")
    return pow(a, b, *m)


def shift_left(a, b):
    if isinstance(a, int) and isinstance(b, int) and a != 0 and b > 64:
        raise Refused("64 bits")
    return a << b


def round_to(x, *digits):
    if isinstance(x, int) and digits and isinstance(digits[0], int) and digits[0] < -30:
        return 0
    return round(x, *digits)


BINARY = {
    ast.Add: add, ast.Sub: operator.sub, ast.Mult: multiply, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: modulo, ast.Pow: power,
    ast.LShift: shift_left, ast.RShift: operator.rshift, ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor, ast.BitOr: operator.or_,
}  # fmt: skip
UNARY = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert,
    ast.Not: operator.not_,
}  # fmt: skip
COMPARE = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.GtE: operator.ge, ast.Gt: operator.gt,
}  # fmt: skip
FUNCTIONS = {
    "abs": abs, "ceil": math.ceil, "cond": lambda p, t, f: t if p else f, "divmod": divmod,
    "floor": math.floor, "max": max, "min": min, "pow": power, "round": round_to,
    "to_float": float, "to_int": int, "trunc": math.trunc,
}  # fmt: skip
ARITY = {"to_float": (1, 1), "to_int": (1, 1), "round": (1, 2), "pow": (2, 3), "cond": (3, 3),
         "divmod": (2, 2), "abs": (1, 1), "ceil": (1, 1), "floor": (1, 1), "trunc": (1, 1),
         "max": (1, 99), "min": (1, 99)}  # fmt: skip


ABSENT = (ast.Slice, ast.Lambda, ast.NamedExpr, ast.Starred, ast.Set, ast.In, ast.NotIn, ast.Is,
          ast.IsNot, ast.MatMult)  # fmt: skip


def evaluate(node, names):
    if isinstance(node, ast.Constant):
        if isinstance(node.value, (bytes, type(...))):
            raise Refused("constant")
        return checked(node.value)
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, (ast.Tuple, ast.List)):
        items = tuple(evaluate(item, names) for item in node.elts)
        bounded(size(items))
        return items
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            if node.operand.value == 2**63 and isinstance(node.operand.value, int):
                return -(2**63)
        return checked(UNARY[type(node.op)](evaluate(node.operand, names)))
    if isinstance(node, ast.BinOp):
        left, right = evaluate(node.left, names), evaluate(node.right, names)
        return checked(BINARY[type(node.op)](left, right))
    if isinstance(node, ast.Compare):
        left = evaluate(node.left, names)
        for op, right in zip(node.ops, node.comparators):
            right = evaluate(right, names)
            if not COMPARE[type(op)](left, right):
                return False
            left = right
        return True
    if isinstance(node, ast.BoolOp):
        for part in node.values:
            value = evaluate(part, names)
            if bool(value) == isinstance(node.op, ast.Or):
                return value
        return value
    if isinstance(node, ast.IfExp):
        return evaluate(node.body if evaluate(node.test, names) else node.orelse, names)
    if isinstance(node, ast.Subscript):
        return evaluate(node.value, names)[evaluate(node.slice, names)]
    if isinstance(node, ast.Call):
        if node.func.id == "choice":
            return names[node.args[0].value]
        args = [evaluate(arg, names) for arg in node.args]
        return checked(FUNCTIONS[node.func.id](*args))
    raise Refused(type(node).__name__)


def labels_of(node):
    """All that an expression reads. Raises where the text itself is refused."""
    labels, functions = set(), set()
    negated = {id(at.operand) for at in ast.walk(node)
               if isinstance(at, ast.UnaryOp) and isinstance(at.op, ast.USub)}  # fmt: skip
    for at in ast.walk(node):  # parents come first
        if isinstance(at, ast.Call):
            functions.add(id(at.func))
            if at.keywords or any(isinstance(arg, ast.Starred) for arg in at.args):
                raise Refused("arguments")
            if at.func.id == "choice":
                (text,) = at.args
                if not isinstance(text.value, str):
                    raise Refused("label")
                labels.add(text.value)
            else:
                fewest, most = ARITY.get(at.func.id, (0, 99))
                if at.func.id not in FUNCTIONS or not fewest <= len(at.args) <= most:
                    raise Refused("arguments")
        elif isinstance(at, ast.Name) and id(at) not in functions:
            labels.add(at.id)
        elif isinstance(at, ast.Constant) and isinstance(at.value, int):
            if at.value > 2**63 - (id(at) not in negated):
                raise Refused("64 bits")
        elif isinstance(at, ABSENT):
            raise Refused("syntax")
    return labels


def expected(text, choices, assignment):
    """The two columns that PROGRAM should print; None: do not compare."""
    try:
        node = ast.parse(text, mode="eval").body
        labels = labels_of(node)
        for label in labels:
            choices[label]
    except Exception:
        return "error", "error"
    try:
        for label in labels:
            if assignment[label] not in choices[label]:
                raise ValueError(label)
        value = repr(evaluate(node, assignment))
    except Exception:
        value = "error"
    return value, options(node, choices)


def options(node, choices):
    # The order of the labels decides which of two equal values is met first.
    order = []
    leaves(node, order)
    labels = list(dict.fromkeys(order))
    if math.prod(len(choices[label]) for label in labels) > 64:
        return None
    found = {}
    try:
        for values in itertools.product(*(choices[label] for label in labels)):
            value = evaluate(node, dict(zip(labels, values)))
            if "nan" in repr(value):
                return None
            found.setdefault(value, value)
        return repr(tuple(sorted(found.values())))
    except Exception:
        return "error"


def leaves(node, order):
    """Labels in reading order, the arguments of cond as (if_true, pred, if_false)."""
    if isinstance(node, ast.Name):
        order.append(node.id)
    elif isinstance(node, ast.IfExp):
        for part in (node.body, node.test, node.orelse):
            leaves(part, order)
    elif isinstance(node, ast.Call) and node.func.id == "choice":
        order.append(node.args[0].value)
    elif isinstance(node, ast.Call):
        args = list(node.args)
        if node.func.id == "cond" and len(args) > 1:
            args[0], args[1] = args[1], args[0]
        for arg in args:
            leaves(arg, order)
    else:
        for part in ast.iter_child_nodes(node):
            leaves(part, order)


# ---- random expressions --------------------------------------------------------------

INTS = [0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 25, 32, 63, 64, 100, 255, 1000, 65535, 2**31, 2**53 + 1,
        2**62, 2**63 - 1, 10**18]  # fmt: skip
FLOATS = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 0.1, 0.25, 2.675, 1e-5, 1e16, 1e22, 1e300, 1e308, 5e-324,
          0.3, 3.7, 9007199254740993.0, 9.223372036854775e18, 9.223372036854776e18, 123456.789,
          4.35, 0.045, 1e-300]  # fmt: skip
TEXTS = ["", "a", "abc", "same", "12", " 7 ", "1_0", "1__0", "0x10", "-5", "+3", "1e5", "inf",
         "-Infinity", "nan", ".5", "5.", "-", "1.5", "_1", "1_", "é", "日本", "it's", 'a"b', "x\ty",
         "1_0.2_5e1_0", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
         "\\", "007"]  # fmt: skip
ODD_LABEL = "stage1/op_2"
NAMES = ["a", "b", "width", "k_2", "max", ODD_LABEL]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.numbers_only = False

    def pick(self, *options):
        return self.random.choice(options)

    def number(self):
        r = self.random
        kind = r.random()
        if kind < 0.5:
            value = r.randrange(10) if r.random() < 0.6 else r.choice(INTS)
        elif kind < 0.8:
            value = r.choice(FLOATS)
        elif kind < 0.9:
            value = r.randrange(1 << r.randrange(1, 64))
        else:
            value = r.random() * 10.0 ** r.randrange(-20, 20)
        return -value if r.random() < 0.25 else value

    def value(self, depth=0):
        kind = self.random.random() * (0.7 if self.numbers_only else 1)
        if kind < 0.6:
            return self.number()
        if kind < 0.7:
            return self.pick(True, False)
        if kind < 0.84:
            return self.random.choice(TEXTS)
        if kind < 0.88 or depth > 1:
            return None
        return tuple(self.value(depth + 1) for _ in range(self.random.randrange(4)))

    def candidates(self):
        r = self.random
        n = r.randrange(1, 5)
        if r.random() < 0.6:  # of one kind, so that expressions often have values
            kind = self.pick(int, float, *([bool] if self.numbers_only else [str, tuple]))
            make = {
                int: lambda: r.randrange(-8, 33),
                float: lambda: r.choice(FLOATS) * r.choice([1, -1]),
                str: lambda: r.choice(TEXTS),
                tuple: lambda: (r.randrange(9), r.randrange(9)),
                bool: lambda: r.random() < 0.5,
            }[kind]
            return [make() for _ in range(n)]
        return [self.value() for _ in range(n)]

    def literal(self):
        value = self.value()
        if isinstance(value, bool) or value is None:
            return repr(value)
        if isinstance(value, int) and self.random.random() < 0.1 and value >= 0:
            return self.pick(hex(value), oct(value), bin(value), f"{value:_}")
        text = repr(value)
        return {"inf": "1e999", "-inf": "-1e999"}.get(text, text)

    def atom(self):
        kind = self.random.random()
        if kind < 0.55:
            name = self.random.choice(NAMES)
            return f"choice({name!r})" if "/" in name else name
        if kind < 0.56:
            return "-9223372036854775808"
        return self.literal()

    def expression(self, depth):
        """Text without care for precedence: Python's parser says what it means."""
        r = self.random
        if depth <= 0 or r.random() < 0.1:
            return self.atom()
        kind = r.random()
        sub = lambda: self.expression(depth - 1 - r.randrange(2))
        if kind < 0.42:
            op = self.random.choice("+ - * / // % ** << >> & | ^ + * // %".split())
            blank = self.pick(" ", "")
            return f"{sub()}{blank}{op}{blank}{sub()}"
        if kind < 0.5:
            return self.pick("-", "+", "~", "- ", "not ") + sub()
        if kind < 0.6:
            return f"({sub()})"
        if kind < 0.68:
            text = sub()
            for _ in range(r.choice([1, 1, 1, 2])):
                text += f" {self.pick('<', '<=', '==', '!=', '>=', '>')} {sub()}"
            return text
        if kind < 0.74:
            return f"{sub()} {self.pick('and', 'or')} {sub()}"
        if kind < 0.79:
            return f"{sub()} if {sub()} else {sub()}"
        if kind < 0.83:
            return f"({sub()})[{self.pick('0', '1', '-1', sub())}]"
        if kind < 0.87:
            return self.pick("({}, {})", "({},)", "[{}, {}]", "({}, {},)").format(sub(), sub())
        name = self.random.choice(list(FUNCTIONS))
        n = {"cond": 3, "divmod": 2, "max": r.randrange(1, 4), "min": r.randrange(1, 4),
             "pow": self.pick(2, 2, 3), "round": self.pick(1, 2)}.get(name, 1)  # fmt: skip
        if name == "round" and n == 2:
            digits = self.pick("-1", "0", "1", "2", "3", "-2", "20", "-20", sub())
            return f"round({sub()}, {digits})"
        return f"{name}({', '.join(sub() for _ in range(n))}{self.pick('', '', '', ',')})"

    def damaged(self, text):
        """One word less or more, or another one."""
        words = text.replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split(" ")
        words = [word for word in words if word]
        i = self.random.randrange(len(words) + 1)
        extra = self.random.choice(
            "+ - ( ) , if else not and or 1 a [ ] < ** ~ in is lambda nothing 007 1_ 2width @ / = '"
            .split()
        )
        words[i : i + self.random.randrange(2)] = [extra] if self.random.random() < 0.7 else []
        return " ".join(words) or "("

    def case(self):
        r = self.random
        self.numbers_only = r.random() < 0.5
        text = self.expression(r.choice([1, 2, 2, 3, 3, 4]))
        if r.random() < 0.06:
            text = self.damaged(text)
        choices = {name: self.candidates() for name in NAMES}
        assignment = {name: r.choice(of) for name, of in choices.items()}
        for name in NAMES:
            odd = r.random()
            if odd < 0.02:
                del assignment[name]
            elif odd < 0.04:
                assignment[name] = self.value()
            elif odd < 0.08 and isinstance(assignment[name], int):
                assignment[name] = float(assignment[name])
        return text, choices, assignment


# ---- comparing -----------------------------------------------------------------------------


def finite(value):
    if isinstance(value, tuple):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def make_cases(count, seed):
    maker = Maker(seed)
    cases = []
    while len(cases) < count:
        text, choices, assignment = maker.case()
        if "\t" in text or not all(map(finite, assignment.values())):
            continue
        if "1if" in text or len(text) > 4000:
            continue
        cases.append((text, choices, assignment))
    return cases


def main():
    args = argparse.ArgumentParser()
    args.add_argument("program")
    args.add_argument("--count", type=int, default=20000)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()

    cases = make_cases(args.count, args.seed)
    lines = "".join(
        "\t".join([text, json.dumps(choices), json.dumps(assignment)]) + "\n"
        for text, choices, assignment in cases
    )
    done = subprocess.run([args.program], input=lines.encode(), stdout=subprocess.PIPE)
    answers = done.stdout.decode().splitlines()
    if done.returncode != 0 or len(answers) != len(cases):
        print(f"the program stopped with {done.returncode} after {len(answers)} lines")
        sys.exit(1)

    failed = n_errors = 0
    for (text, choices, assignment), answer in zip(cases, answers):
        got = ["error" if column.startswith("error") else column for column in answer.split("\t")]
        want = expected(text, choices, assignment)
        n_errors += want[0] == "error"
        if any(w is not None and w != g for w, g in zip(want, got)) or len(got) != 2:
            failed += 1
            if failed <= 20:
                print(f"not ok: {text}\n  choices  {choices}\n  assigned {assignment}")
                print(f"  python   {want[0]}    {want[1]}\n  library  {answer}")
    print(f"of {len(cases)} expressions {n_errors} have no value in Python")
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
