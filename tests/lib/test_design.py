"""How lib/umqtt_full is built: which module may import which, and what no module does to another's objects."""

import ast

import pytest

from umq.project import LIB

MODULES = {path.stem: path.read_text() for path in (LIB / "umqtt_full").glob("*.py") if path.stem != "__init__"}

PUMPS = {"client", "aio", "broker_aio"}
TRANSPORTS = {"transport", "secure", "websocket", "uart"}
CLIENT = {"codec_client", "protocol", "base"}
SERVER = {"codec_server", "server", "broker", "broker_session"}
ROLES = CLIENT | SERVER
# What a module may reach by no path of imports, also of those inside functions.
NEVER = {
    "errors": set(MODULES) - {"error_texts"},
    "topics": {"codec", "session", "link"} | ROLES | TRANSPORTS,
    "codec": {"session", "link"} | ROLES | TRANSPORTS,
    "session": {"link"} | ROLES | TRANSPORTS,
    "durable": {"link"} | ROLES | TRANSPORTS,
    "store": {"link"} | ROLES | TRANSPORTS,
    "segments": {"session", "link"} | ROLES | TRANSPORTS,
    "recovery": {"session", "link"} | ROLES | TRANSPORTS,
    "journal": {"link"} | ROLES | TRANSPORTS,
    "rtc": {"link"} | ROLES | TRANSPORTS,
    "link": ROLES | TRANSPORTS,
    "codec_client": {"session", "link", "protocol", "base"} | SERVER | TRANSPORTS,
    "protocol": {"base"} | SERVER | TRANSPORTS,
    "base": SERVER | TRANSPORTS,
    "arguments": {"codec", "session", "link"} | ROLES | TRANSPORTS,
    "outbox": SERVER | TRANSPORTS,
    "codec_server": {"session", "link", "server", "broker"} | CLIENT | TRANSPORTS,
    "server": {"broker", "broker_session"} | CLIENT | TRANSPORTS,
    "broker_session": {"link", "codec_server", "server", "broker"} | CLIENT | TRANSPORTS,
    "broker": CLIENT | TRANSPORTS,
    "broker_journal": CLIENT | TRANSPORTS,
    "access": {"session", "link"} | ROLES | TRANSPORTS,
    "transport": {"codec", "session", "link"} | ROLES,
    "secure": {"codec", "session", "link"} | ROLES,
    # Which event loop runs only `waiting` knows; _cpython_waiting also has a transport for CPython's.
    "waiting": set(MODULES) - TRANSPORTS - {"waiting", "_cpython", "_cpython_waiting", "arguments"},
    "reconnecting": {"codec", "session", "link"} | ROLES | TRANSPORTS,
    "aio_queue": {"session", "link"} | ROLES,
    "stream": TRANSPORTS,
    "stream_in": {"stream"} | TRANSPORTS,
    "stream_file": {"stream", "stream_in"} | TRANSPORTS,
    "stream_parts": {"stream", "stream_in", "stream_file"} | TRANSPORTS,
}
# What imports a pump: robust is a policy on top of the client, mqtt_as a front of the asyncio client.
MAY_IMPORT_A_PUMP = {"robust", "mqtt_as"}
# MicroPython's modules that reach the network. `_cpython` gives CPython's the shape of MicroPython's.
NETWORK = {"socket", "select", "ssl", "tls"}
MAY_IMPORT_THE_NETWORK = TRANSPORTS | {"_cpython", "_cpython_waiting"}


# ---- the import graph


def imports(text):
    """The modules that a source text imports, at its top and inside its functions: (of the package, others)."""
    inside, outside = set(), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            prefix = ["umqtt_full"] if node.level else []
            path = ".".join(prefix + ([node.module] if node.module else []))
            # `from . import x` names a module or, of the package itself, a value.
            names = [f"{path}.{alias.name}" for alias in node.names] if path == "umqtt_full" else [path]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "umqtt_full":
                inside.add(rest.partition(".")[0])
            else:
                outside.add(package)
    return inside, outside


def graph(modules):
    """{module: the modules of the package that it imports}"""
    return {name: imports(text)[0] & set(modules) for name, text in modules.items()}


def reach(arrows, start):
    """{module: how it is reached, as words} for all that `start` imports, directly or not."""
    found, waiting = {}, [(start, start)]
    while waiting:
        module, path = waiting.pop()
        for target in sorted(arrows.get(module, ())):
            if target not in found:
                found[target] = f"{path} -> {target}"
                waiting.append((target, found[target]))
    return found


def circles(arrows):
    """The way around, as words, for each module that reaches itself."""
    return [ways[module] for module in sorted(arrows) for ways in [reach(arrows, module)] if module in ways]


def forbidden_arrows(modules):
    """The arrows that the tables above rule out, as words."""
    arrows = graph(modules)
    wrong = []
    for module in sorted(arrows):
        ways = reach(arrows, module)
        wrong += [ways[target] for target in sorted(NEVER.get(module, set()) & set(ways)) if target != module]
        if module not in MAY_IMPORT_A_PUMP:
            wrong += [f"{module} -> {pump}" for pump in sorted(arrows[module] & PUMPS)]
        if module not in MAY_IMPORT_THE_NETWORK:
            wrong += [f"{module} -> {name}" for name in sorted(imports(modules[module])[1] & NETWORK)]
    return wrong


def test_no_circle_of_imports():
    assert circles(graph(MODULES)) == []


def test_no_forbidden_arrow():
    assert forbidden_arrows(MODULES) == []


def test_the_arrows_of_a_client_are_there():
    """The data goes through these modules in turn: a table of what is forbidden would also fit an empty library."""
    arrows = graph(MODULES)
    for module, target in (
        ("client", "base"),
        ("base", "protocol"),
        ("protocol", "link"),
        ("protocol", "codec_client"),
        ("codec_client", "codec"),
        ("session", "codec"),
        ("robust", "client"),
    ):
        assert target in arrows[module], f"{module} -> {target}"


def test_every_module_has_its_place():
    """A module that no table knows could import all that it likes."""
    unbound = {"_cpython", "_cpython_aio", "_cpython_waiting", "aio", "broker_aio", "mqtt_as", "client"}
    unbound |= {"robust", "error_texts", "repr_texts"}
    assert sorted(set(MODULES) - set(NEVER) - unbound) == []


@pytest.mark.parametrize(
    "modules, wrong",
    [
        ({"session": "from .link import Link", "link": ""}, ["session -> link"]),
        ({"session": "def f():\n    from . import protocol", "protocol": ""}, ["session -> protocol"]),
        ({"session": "from .codec import x", "codec": "import umqtt_full.link", "link": ""},
         ["codec -> link", "session -> codec -> link"]),
        ({"codec": "from umqtt_full.codec_client import y", "codec_client": ""}, ["codec -> codec_client"]),
        ({"base": "from .transport import Transport", "transport": ""}, ["base -> transport"]),
        ({"protocol": "from .client import MQTTClient", "client": ""}, ["protocol -> client"]),
        ({"robust": "from .client import MQTTClient", "client": ""}, []),
        ({"base": "import select"}, ["base -> select"]),
        ({"transport": "import socket, select"}, []),
    ],
)  # fmt: skip
def test_a_forbidden_arrow_is_found(modules, wrong):
    assert forbidden_arrows(modules) == wrong


def test_a_circle_is_found():
    modules = {"a": "from .b import x", "b": "def f():\n    from .c import y", "c": "from . import a, const", "d": ""}
    assert circles(graph(modules)) == ["a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"]


# ---- the syntax tree


def classes(modules):
    """{name of a class: (names of its bases, names of its methods)}; a property is no method."""
    return {
        owner.name: (
            [ast.unparse(base).rpartition(".")[2].lstrip("_") for base in owner.bases],
            {node.name for node in owner.body if isinstance(node, ast.FunctionDef) and not _is_property(node)},
        )
        for text in modules.values()
        for owner in ast.walk(ast.parse(text))
        if isinstance(owner, ast.ClassDef)
    }


def methods_of(known, name):
    """The names of the methods of a class, inherited ones too."""
    bases, own = known.get(name, ([], set()))
    return own.union(*(methods_of(known, base) for base in bases if base != name))


def values(modules):
    """The names that some class gives to a value of its own objects: `self.name = ...`."""
    return {
        name
        for text in modules.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign)
        for owner, name in written(node)
        if owner == "self"
    }


def _is_property(function):
    words = [ast.unparse(decorator) for decorator in function.decorator_list]
    return any(word == "property" or word.endswith((".setter", ".deleter")) for word in words)


def written(node):
    """The attributes that a statement binds or deletes: (object as text, attribute's name)."""
    targets = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.NamedExpr):
        targets = [node.target]
    elif isinstance(node, ast.With):
        targets = [item.optional_vars for item in node.items if item.optional_vars]
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr", "object.__setattr__"):
        name = node.args[1]
        yield ast.unparse(node.args[0]), name.value if isinstance(name, ast.Constant) else ""
    while targets:
        target = targets.pop()
        if isinstance(target, ast.Tuple | ast.List):
            targets += target.elts
        elif isinstance(target, ast.Starred):
            targets.append(target.value)
        elif isinstance(target, ast.Attribute):
            yield ast.unparse(target.value), target.attr


def foreign_writes(modules):
    """Each place that writes a private attribute of another object, or puts something where an object has a method."""
    known = classes(modules)
    # Of another object the class is not to be seen: a name counts that is a method and nowhere a value.
    everywhere = set().union(*(own for _, own in known.values())) - values(modules)
    wrong = []
    for module, text in sorted(modules.items()):
        tree = ast.parse(text)
        # Outer classes come first, so that what is left is the innermost class of each node.
        inside = {
            id(node): owner.name
            for owner in ast.walk(tree)
            if isinstance(owner, ast.ClassDef)
            for node in ast.walk(owner)
        }
        for node in ast.walk(tree):
            for owner, name in written(node):
                own = owner in ("self", "cls")
                taken = methods_of(known, inside.get(id(node), "")) if own else everywhere
                if not own and name.startswith("_"):
                    wrong.append(f"{module}.py, line {node.lineno}: {owner}.{name} is another object's")
                elif not name or name in taken:
                    wrong.append(f"{module}.py, line {node.lineno}: {owner}.{name} replaces a method")
    return wrong


def test_no_module_writes_what_is_anothers():
    assert foreign_writes(MODULES) == []


@pytest.mark.parametrize(
    "line, wrong",
    [
        ("other._x = 1", "other._x is another object's"),
        ("other._x += 1", "other._x is another object's"),
        ("self.session._x = 1", "self.session._x is another object's"),
        ("self.a, (other._x, b) = c", "other._x is another object's"),
        ("del other._x", "other._x is another object's"),
        ("for other._x in y: pass", "other._x is another object's"),
        ("setattr(other, '_x', 1)", "other._x is another object's"),
        ("other.publish = mine", "other.publish replaces a method"),
        ("class B(A):\n def f(self): self.publish = self.quick", "self.publish replaces a method"),
        ("class B:\n def f(self): self.publish = self.quick", None),
        ("setattr(other, name, mine)", "other. replaces a method"),
        ("self._x = other.x = 1", None),
        ("other.shown = 1", None),
        ("other._x[0] = 1", None),
        ("other.on_wait = mine", None),
        ("other.ready = True\nclass B:\n def __init__(self): self.ready = False", None),
    ],
)
def test_a_write_to_what_is_anothers_is_found(line, wrong):
    library = "class A:\n def publish(self): pass\n def ready(self): pass\n @property\n def shown(self): pass\n"
    found = foreign_writes({"library": library, "writer": line})
    assert [one.partition(": ")[2] for one in found] == ([wrong] if wrong else [])


def test_no_assert_and_no_bare_except():
    """Compiled with optimisation an assert is gone, and a bare except also catches KeyboardInterrupt."""
    for module, text in MODULES.items():
        for node in ast.walk(ast.parse(text)):
            assert not isinstance(node, ast.Assert), f"{module}.py, line {node.lineno}"
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"{module}.py, line {node.lineno}"
