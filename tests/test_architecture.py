"""The house rules, read off the syntax trees: who may import whom, and what no file may do."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A module belongs to the longest name here that it starts with, and imports only from its own layer and lower ones.
LAYERS = {
    "birdcore": "words",
    "birdcore.errors": "words",
    "birdcore.config": "words",
    "birdcore.frames": "words",
    "birdcore.events": "words",
    "birdcore.files": "words",
    "birdcore.locks": "words",
    "birdcore.scores": "words",
    "birdcore.places": "words",
    "birdcore.audio": "signals",
    "birdcore.features": "signals",
    "birdcore.data": "signals",
    "birdcore.evaluation": "signals",
    "birdcore.export": "signals",
    "birdcore.figures": "signals",
    "birdcore.dataset_figures": "signals",
    "birdcore.run_figures": "signals",
    "birdcore.print_figures": "signals",
    "birdcore.picture_axes": "signals",
    "birdcore.player_data": "signals",
    "birdcore.features.mel": "tensors",
    "birdcore.data.feature_cache": "tensors",
    "birdcore.models": "tensors",
    "birdcore.training": "engines",
    "birdcore.inference": "engines",
    "birdcore.commands": "programs",
    "birdcore.webapp": "programs",
    "birdcore.__main__": "programs",
    "train": "programs",
    "streamlit_app": "screens",
    "pages": "screens",
}
ORDER = ("words", "signals", "tensors", "engines", "programs", "screens")

# In the engines' layer, yet free of torch: a page looks on at a training job without loading it.
LIGHT_ENGINES = {
    "birdcore.inference.publication",
    "birdcore.training",
    "birdcore.training.evaluation",
    "birdcore.training.failures",
    "birdcore.training.jobs",
    "birdcore.training.observation",
    "birdcore.training.presets",
    "birdcore.training.processes",
    "birdcore.training.queue",
    "birdcore.training.run_directory",
}

# A teacher is a finished model, and finished models are heard through inference.
LISTENS_WITH = {
    ("birdcore.training.teacher", "birdcore.inference.embedding"),
}

TORCH = {"torch", "torchvision", "torchaudio", "timm", "lightning", "lightning_fabric"}
PICKLES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
MAY_PRINT = {"birdcore.__main__", "train"}
MAY_CATCH_ALL = {"birdcore.models.imagenet"}  # a hub without network raises one of many types, some not importable
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
MOST_LINES = 800


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def product_files() -> list[Path]:
    files = [*ROOT.glob("birdcore/**/*.py"), *ROOT.glob("pages/*.py"), *ROOT.glob("*.py")]
    return sorted(files)


SOURCES = {module_name(path): path for path in product_files()}


def layer_prefix(module: str) -> str | None:
    """The entry of LAYERS that a module falls under. A new module right under birdcore must be entered there."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in LAYERS and (prefix != "birdcore" or module == "birdcore"):
            return prefix
    return None


def layer(module: str) -> str:
    return LAYERS[layer_prefix(module)]


def is_torch_free(module: str) -> bool:
    return layer(module) in ("words", "signals") or module in LIGHT_ENGINES


def imports(tree: ast.AST, known: set[str]) -> Iterator[tuple[str, int]]:
    """Every imported module with its line, wherever in the file; ``from package import module`` gives the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level + (node.module or ""), node.lineno
                continue
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in known else node.module), node.lineno


def import_faults(module: str, source: str, known: set[str]) -> list[str]:
    """What a module imports against the rules."""
    faults = []
    for imported, line in imports(ast.parse(source), known):
        top = imported.split(".")[0]
        fault = None
        if imported.startswith("."):
            fault = "relative imports hide the layer; write the whole name"
        elif top in LAYERS or top == "birdcore":
            fault = _layer_fault(module, imported)
        elif top in TORCH and (is_torch_free(module) or layer(module) == "screens"):
            fault = "this layer has no torch"
        elif top == "streamlit" and layer(module) != "screens" and layer_prefix(module) != "birdcore.webapp":
            fault = "only the web app and its pages know Streamlit"
        elif layer(module) == "screens" and top not in sys.stdlib_module_names and top not in ("streamlit", "pandas"):
            fault = "pages import streamlit, pandas, the standard library and birdcore only"
        if fault:
            faults.append(f"{module}:{line} imports {imported}: {fault}")
    return faults


def _layer_fault(module: str, imported: str) -> str | None:
    if layer_prefix(imported) is None:
        return "there is no such module"
    mine, theirs = layer(module), layer(imported)
    if mine == "screens":
        if theirs == "screens" or (layer_prefix(imported) != "birdcore.webapp" and not is_torch_free(imported)):
            return "pages import birdcore.webapp and what is free of torch"
        return None
    if module in LIGHT_ENGINES and theirs == "tensors":
        return "this module has no torch"
    if ORDER.index(theirs) > ORDER.index(mine):
        return f"{mine} may not import {theirs}"
    if (module, imported) in LISTENS_WITH:
        return None
    if {layer_prefix(module), layer_prefix(imported)} == {"birdcore.training", "birdcore.inference"}:
        return "training and inference meet only in the checkpoint"
    its_command = module == "birdcore.__main__" and layer_prefix(imported) == "birdcore.commands"
    if theirs == "programs" and layer_prefix(module) != layer_prefix(imported) and not its_command:
        return "programs do not import each other"
    return None


def conduct_faults(module: str, source: str) -> list[str]:
    """What a module does against the rules, apart from its imports of other layers."""
    tree = ast.parse(source)
    faults = []
    for node in ast.walk(tree):
        fault = None
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "print" and module not in MAY_PRINT and layer_prefix(module) != "birdcore.commands":
                fault = "print; use logging"
            elif called == "torch.load" and any(ast.unparse(k) == "weights_only=True" for k in node.keywords):
                pass  # reads tensors and refuses everything else
            elif called in ("torch.load", "torch.save", "eval", "exec"):
                fault = f"{called}; weights are safetensors, and data is never run"
            elif any(k.arg == "allow_pickle" and ast.unparse(k.value) == "True" for k in node.keywords):
                fault = "allow_pickle=True"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if pickled := PICKLES & {name.split(".")[0] for name in names}:
                fault = f"{pickled.pop()}; nothing is pickled"
            elif any(alias.name == "*" for alias in node.names):
                fault = "star import"
        elif isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            goes_on = not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            if caught in ("everything", "Exception", "BaseException") and goes_on and module not in MAY_CATCH_ALL:
                fault = f"catches {caught} and goes on; name the error that is expected"
        if fault:
            faults.append(f"{module}:{node.lineno} {fault}")
    if layer(module) != "screens":
        faults += [f"{module}:{node.lineno} works at import" for node in tree.body if _works(node)]
    return faults


def _works(node: ast.stmt) -> bool:
    """Whether a top-level statement does more than name things (a bare text is the docstring of a constant)."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        condition = ast.unparse(node.test)
        return condition not in ("TYPE_CHECKING", "__name__ == '__main__'")
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        calls = {ast.unparse(n.func) for n in ast.walk(node.value) if isinstance(n, ast.Call)}
        return any(
            re.search(r"(^|\.)(open|read\w*|load\w*|from_pretrained|run|urlopen|listdir|glob|iterdir)$", c)
            for c in calls
        )
    return not isinstance(node, ast.AnnAssign)


@pytest.mark.parametrize(
    "expected",
    [
        "birdcore",
        "birdcore.config",
        "birdcore.figures",
        "birdcore.webapp",
        "birdcore.__main__",
        "birdcore.audio.decode",
        "birdcore.features.mel",
        "birdcore.data.soundscape",
        "birdcore.models.registry",
        "birdcore.training.run_directory",
        "birdcore.inference.predictor",
        "birdcore.evaluation.clips",
        "birdcore.export.raven",
        "train",
        "streamlit_app",
    ],
)
def test_the_walk_sees_the_files_it_should(expected):
    assert expected in SOURCES


def test_the_walk_sees_the_pages():
    assert len([module for module in SOURCES if module.startswith("pages.")]) >= 2


def test_every_module_has_a_layer():
    assert [module for module in SOURCES if layer_prefix(module) is None] == []


def test_every_layer_entry_has_a_module():
    used = {layer_prefix(module) for module in SOURCES}
    assert set(LAYERS) - used == set()
    assert set(SOURCES) >= LIGHT_ENGINES


@pytest.mark.parametrize("module", SOURCES)
def test_imports_follow_the_layers(module):
    assert import_faults(module, SOURCES[module].read_text(encoding="utf-8"), set(SOURCES)) == []


@pytest.mark.parametrize("module", SOURCES)
def test_conduct_follows_the_house_rules(module):
    assert conduct_faults(module, SOURCES[module].read_text(encoding="utf-8")) == []


def test_no_modules_import_each_other_in_a_circle():
    known = set(SOURCES)
    graph = {}
    for module, path in SOURCES.items():
        found = {name for name, _ in imports(ast.parse(path.read_text(encoding="utf-8")), known)}
        graph[module] = found & known
    assert sum(map(len, graph.values())) > 50
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert set(order) == known


def test_every_package_imported_is_in_the_requirements():
    listed = {
        re.split(r"[<>=!~\[; ]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    distributions = packages_distributions()
    missing, seen = set(), set()
    for module, path in SOURCES.items():
        for name, _ in imports(ast.parse(path.read_text(encoding="utf-8")), set(SOURCES)):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top in LAYERS:
                continue
            seen.add(top)
            offered = {d.lower().replace("_", "-") for d in distributions.get(top, [top])}
            if not offered & listed:
                missing.add(f"{module} imports {top}")
    assert {"numpy", "torch", "streamlit"} <= seen
    assert missing == set()


@pytest.mark.parametrize("module", SOURCES)
def test_files_are_short_and_named_for_one_thing(module):
    assert len(SOURCES[module].read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    assert not VAGUE_NAMES & set(re.split(r"[._]", module))


def test_modules_without_torch_load_none():
    light = [module for module in SOURCES if is_torch_free(module)]
    assert len(light) > 20
    code = (
        f"import importlib, sys\nfor name in {light!r}: importlib.import_module(name)\n"
        f"sys.exit(str(sorted({TORCH | {'streamlit'}!r} & set(sys.modules)) or '') or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("birdcore.frames", "import torch"),
        ("birdcore.audio.decode", "def f():\n    from torch import nn"),
        ("birdcore.audio.decode", "from birdcore.models import registry"),
        ("birdcore.errors", "from birdcore.audio.decode import load_audio"),
        ("birdcore.data.recordings", "from birdcore.features.mel import MelSpectrogram"),
        ("birdcore.figures", "import streamlit as st"),
        ("birdcore.inference.predictor", "import streamlit.components.v1"),
        ("birdcore.inference.predictor", "from birdcore.training.losses import loss"),
        ("birdcore.training.loop", "from birdcore import inference"),
        ("birdcore.training.jobs", "import torch"),
        ("birdcore.training.jobs", "from birdcore.models.checkpoint import find_weights"),
        ("birdcore.training.loop", "from birdcore import webapp"),
        ("train", "from birdcore.webapp import anything"),
        ("birdcore.webapp", "from birdcore.commands import data"),
        ("pages.identify_birds", "import numpy"),
        ("pages.identify_birds", "import torch"),
        ("pages.identify_birds", "from birdcore.inference.predictor import Predictor"),
        ("pages.identify_birds", "import streamlit_app"),
        ("birdcore.audio.decode", "from . import encode"),
        ("birdcore.audio.decode", "import birdcore.nonsense"),
    ],
)
def test_a_forbidden_import_is_found(module, source):
    known = {*SOURCES, "birdcore.models.registry", "birdcore.inference", "birdcore.webapp"}
    assert len(import_faults(module, source, known)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("birdcore.models.crnn", "import torch\nfrom birdcore.features.mel import MelSpectrogram"),
        ("birdcore.inference.batch", "from birdcore.export.raven import write_raven"),
        ("birdcore.__main__", "from birdcore.commands import data"),
        ("birdcore.training.jobs", "from birdcore.training.run_directory import RunDirectory"),
        (
            "birdcore.webapp",
            "import streamlit\nfrom birdcore.training.jobs import enqueue_job\nimport birdcore.inference",
        ),
        (
            "pages.identify_birds",
            "import json\nimport streamlit as st\nfrom birdcore import figures, webapp\nimport pandas",
        ),
        ("streamlit_app", "import streamlit as st\nfrom birdcore.training.jobs import list_runs"),
    ],
)
def test_an_allowed_import_is_let_through(module, source):
    assert import_faults(module, source, {*SOURCES, "birdcore.webapp", "birdcore.figures"}) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    print('x')",
        "import pickle",
        "from joblib import load",
        "from numpy import *",
        "def f():\n    torch.load('x')",
        "def f():\n    np.load('x', allow_pickle=True)",
        "def f():\n    eval('1')",
        "def f():\n    try:\n        g()\n    except Exception:\n        pass",
        "def f():\n    try:\n        g()\n    except:\n        return 1",
        "start()",
        "for i in range(3):\n    pass",
        "TABLE = json.loads(Path('x').read_text())",
    ],
)
def test_forbidden_conduct_is_found(source):
    assert len(conduct_faults("birdcore.frames", source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""Doc."""\nimport logging\nlogger = logging.getLogger(__name__)\nRATE = 32_000\n"""Hz."""',
        "def f():\n    try:\n        g()\n    except Exception:\n        note()\n        raise",
        "x: int",
        "if TYPE_CHECKING:\n    import torch",
        "def f():\n    torch.load('x', weights_only=True)",
    ],
)
def test_good_conduct_is_let_through(source):
    assert conduct_faults("birdcore.frames", source) == []
