"""Runs in the environment that has BFCL's package: verdicts of its own judge, line by line.

The judge imports a registry of hosted models with all their clients, and readers of Java and
JavaScript. For Python's sets it uses of the first one flag only, and nothing of the others; so they
are replaced by what stands here, and nothing else has to be installed.
"""

from __future__ import annotations

import json
import sys
import types
from collections import defaultdict


def _stand_in(name: str, **values: object) -> None:
    module = types.ModuleType(name)
    vars(module).update(values)
    sys.modules[name] = module


def _not_here(*_: object) -> None:
    raise NotImplementedError("only Python's sets are judged here")


def main() -> None:
    """Reads tasks from standard input, writes an error's kind (or "") for each."""
    # A dot in a function's name stays a dot: this is what the flag asks.
    model = types.SimpleNamespace(underscore_to_dot=False)
    registry: defaultdict[str, types.SimpleNamespace] = defaultdict(lambda: model)
    _stand_in("bfcl_eval.constants.model_config", MODEL_CONFIG_MAPPING=registry)
    readers = "bfcl_eval.eval_checker.ast_eval.type_convertor"
    _stand_in(f"{readers}.java_type_converter", java_type_converter=_not_here)
    _stand_in(f"{readers}.js_type_converter", js_type_converter=_not_here)
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker

    for line in sys.stdin:
        task = json.loads(line)
        try:
            found = ast_checker(
                task["functions"], task["calls"], task["wanted"], Language.PYTHON, task["set"], "x"
            )
            told = "" if found["valid"] else str(found.get("error_type", "wrong"))
        except (TypeError, AttributeError, KeyError, IndexError, ValueError) as error:
            told = f"the judge stumbled: {type(error).__name__}"  # over calls of odd shapes
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
