# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Programs for L{tests.box.model}: lists of steps, and what they promise.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from tests.box.model import BY_HAND, Model, Step, Violated
from tests.box.modelbox import Rules

WEIGHTS: Mapping[str, int] = {
    "write": 20,
    "touch": 4,
    "delete": 8,
    "mkdir": 8,
    "rename": 6,
    "recase": 2,
    "scan": 20,
    "announce": 12,
    "gossip": 8,
    "arrive": 20,
    "fetch": 6,
    "place": 16,
    "sync": 10,
    "away": 2,
    "restart": 2,
    "lose": 3,
}
"""The steps, and how often each comes in a random program."""


def random_program(seed: int, steps: int = 60) -> list[Step]:
    """A program that depends on nothing but the seed."""
    source = random.Random(seed)
    # A settled path may come without its sibling only where numbers are
    # disregarded, which is an exaggeration; together with a lost index it
    # would be too much of one.
    left_out = "lose" if seed % 2 else "gossip"
    names = [name for name in WEIGHTS if name != left_out]
    chosen = source.choices(names, [WEIGHTS[name] for name in names], k=steps)
    return [
        (name, source.randrange(256), source.randrange(256), source.randrange(256))
        for name in chosen
    ]


def forgetful_program(seed: int, steps: int = 100) -> list[Step]:
    """One in which boxes forget."""
    source = random.Random(seed)
    weights = {**WEIGHTS, "forget": 8}
    # Nothing of an index leaves in disregard of all numbers: that is what
    # forgetting rests on.
    del weights["gossip"]
    chosen = source.choices(list(weights), list(weights.values()), k=steps)
    return [
        (name, source.randrange(256), source.randrange(256), source.randrange(256))
        for name in chosen
    ]


def run(boxes: int, program: Sequence[Step], rules: Rules | None = None) -> Model:
    """
    Run a program, and see that it ends well.

    @raise Violated: it does not.
    """
    model = Model(boxes, rules)
    for step in program:
        model.do(step)
        for box in model.boxes:
            model.check_tree(box)
    model.finish()
    return model


def run_one_writer(boxes: int, program: Sequence[Step], rules: Rules | None = None) -> Model:
    """
    Run a program in which all edits are made in the first folder, and see that
    all folders end as that one was left, without any conflict.

    @raise Violated: they do not.
    """
    model = Model(boxes, rules, whole=True)
    writer = model.boxes[0]
    for name, which, first, second in program:
        if name in BY_HAND:
            model.do((name, 0, first, second))
        elif name == "lose":
            # To a reader, who then hears of it all from the writer.
            if which % boxes and not first % 5:
                reader = model.boxes[which % boxes]
                if reader.away:
                    continue
                reader.forget_all()
                reader.scan()
                reader.hear(writer.everything())
        elif name != "gossip":
            model.do((name, which, first, second))
    left = dict(writer.disk)
    model.finish()
    if writer.disk != left:
        raise Violated("the only writer's folder has changed")
    return model


def run_in_turn(boxes: int, program: Sequence[Step], rules: Rules | None = None) -> Model:
    """
    Run a program in which all boxes are equal whenever a user starts to edit a
    folder, and see that no edit is ever undone, and nothing conflicts.

    @raise Violated: something is.
    """
    model = Model(boxes, rules)
    turn = 0
    left = dict(model.boxes[turn].disk)
    for name, which, first, second in program:
        if name in BY_HAND or name in {"scan", "restart"}:
            model.do((name, turn, first, second))
            left = dict(model.boxes[turn].disk)
        elif name == "sync":
            model.finish()
            turn = which % boxes
    model.finish()
    if model.boxes[0].disk != left:
        raise Violated("an edit was undone")
    return model


def run_renames(boxes: int, program: Sequence[Step], rules: Rules | None = None) -> Model:
    """
    Run a program in which the first folder's user only renames, and all others
    hear of it entry by entry, and see that what was there before is in every
    folder at every moment.

    @raise Violated: something is not.
    """
    model = Model(boxes, rules)
    writer, *readers = model.boxes
    for step in program:
        if step[0] in {"write", "mkdir"}:
            model.do((step[0], 0, *step[2:]))
    model.finish()
    there = {value.content for value in writer.disk.values()}
    for name, _, first, second in program:
        if name not in {"rename", "recase"}:
            continue
        before = dict(writer.disk)
        model.do((name, 0, first, second))
        if len(before) != len(writer.disk):
            # Over another file.
            there = {value.content for value in writer.disk.values()}
            model.finish()
            continue
        writer.scan()
        for reader in readers:
            for entry in writer.everything():
                reader.hear([entry])
                for path in reader.needed():
                    reader.place(path)
                if not there <= {value.content for value in reader.disk.values()}:
                    raise Violated("what was renamed was away for a moment")
    model.finish()
    return model
