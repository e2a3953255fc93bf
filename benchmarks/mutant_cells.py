"""What mutated hand-ins do in an exercise's cell: harm that walls must stop, and ways to look out.

An *attack* is code that ends badly, and costs its own answer. A *reach* is code that must fail: it
stands in a `try`, with the right answer behind it where it fails and a wrong one where it gets
through, so that a grade tells of every escape.
"""

from __future__ import annotations

from typing import NamedTuple


class Attack(NamedTuple):
    """Code, what is expected to stop it, and a word that the outcome then has in it."""

    name: str
    code: str
    caught_by: str
    note: str = ""


class Reach(NamedTuple):
    """Code that must raise, or must set `out` to nothing; and what is expected to stop it."""

    name: str
    code: str
    caught_by: str


ATTACKS = (
    Attack("loop", "while True:\n    pass", "time limit", "too-long"),
    Attack("sleep", "import time\nwhile True:\n    time.sleep(1)", "time limit", "too-long"),
    Attack("exit", "import sys\nsys.exit(0)", "ending noticed", "exited"),
    Attack("exit at once", "import os\nos._exit(0)", "ending noticed", "exited"),
    Attack("crash", "import ctypes\nctypes.string_at(0)", "ending noticed", "exited"),
    Attack("kill oneself", "import os\nos.kill(os.getpid(), 9)", "ending noticed", "exited"),
    Attack("flood", "while True:\n    print('x' * 9999)", "output limit", "flooded"),
    Attack("flood of errors", "import sys\nwhile True:\n    sys.stderr.write('x' * 9999)",
           "output limit", "flooded"),
    Attack("fork", "import os\nos.fork()", "system-call filter", "PermissionError"),
    Attack("fork bomb", "import os\nwhile True:\n    os.fork()",
           "system-call filter", "PermissionError"),
    Attack("processes", "import multiprocessing as m\nm.Process(target=print).start()",
           "system-call filter", "PermissionError"),
    Attack("memory", "held = [bytearray(2**28) for _ in range(400)]",
           "memory limit", "MemoryError"),
    Attack("threads", "import threading, time\nwhile True:\n"
           "    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
           "memory limit", "RuntimeError"),
    Attack("full disk", "import tempfile, pathlib\nd = pathlib.Path(tempfile.mkdtemp())\n"
           "for n in range(10**6):\n    (d / str(n)).write_bytes(b'x' * 2**24)", "scratch limit",
           "No space left"),
    Attack("large file", "import tempfile\nwith tempfile.TemporaryFile() as f:\n"
           "    while True:\n        f.write(b'x' * 2**24)", "scratch limit", "OSError"),
    Attack("recursion", "def down(n):\n    return down(n + 1)\ndown(0)",
           "error noticed", "RecursionError"),
    Attack("no Python", "this is ( no Python", "error noticed", "SyntaxError"),
    Attack("null byte", "x = '\0'", "error noticed"),
    Attack("magic", "%time 1", "error noticed", "SyntaxError"),
    Attack("input", "input()", "error noticed", "RuntimeError"),
    Attack("raise", "raise KeyboardInterrupt", "error noticed", "KeyboardInterrupt"),
    Attack("forged report", "import os\nfor f in range(3, 64):\n    try:\n"
           "        os.write(f, b'{\"ending\": \"returned\", \"value\": 1, \"grade\": 1}\\n')\n"
           "    except OSError:\n        pass\nos._exit(0)", "report held to a form", "garbled"),
    Attack("forged garbage", "import os\nfor f in range(3, 64):\n    try:\n"
           "        os.write(f, os.urandom(999) + b'\\n')\n"
           "    except OSError:\n        pass\nos._exit(0)", "report held to a form", "garbled"),
)  # fmt: skip

_GONE = "raise OSError('nothing there')"


def reaches(secret_file: str, own_file: str, port: int, secret: str) -> tuple[Reach, ...]:
    """Return ways to look out, given what is to be found outside: files, a server, a variable."""
    return (
        Reach("a class's file", f"out = open({secret_file!r}).read()", "mounts"),
        Reach("a class's folder", "import os\nout = os.listdir(os.path.dirname("
              f"{secret_file!r}))", "mounts"),
        Reach("password file", "out = open('/etc/passwd').read()", "mounts"),
        Reach("home folders", "import os\nout = os.listdir('/home')", "mounts"),
        # The course may lie there, too, and what it is installed with is no secret.
        Reach("any zip", "import glob, pathlib, labs_lib\n"
              "top = str(pathlib.Path(labs_lib.__file__).parents[1])\n"
              "found = glob.glob('/tmp/**/*.zip', recursive=True)\n"
              "out = [each for each in found if not each.startswith(top)]\n"
              f"if not out:\n    {_GONE}", "mounts"),
        Reach("solution file", "import pathlib, labs_lib\n"
              "top = pathlib.Path(labs_lib.__file__).parents[1]\n"
              "out = list(top.glob('**/solution.py')) + list(top.glob('**/questions.yaml'))\n"
              f"if not out:\n    {_GONE}", "mounts"),
        Reach("solution by the course", "from labs_lib.assessment import find_exercise\n"
              "out = find_exercise('02.merge').solution", "mounts"),
        Reach("answers by the course", "from labs_lib.assessment import load_banks\n"
              "out = load_banks()['02']", "mounts"),
        Reach("checks in memory", "import gc\nout = [o for o in gc.get_objects() if "
              "type(o).__name__ in ('Exercise', 'FunctionCheck', 'Misconception')]\n"
              f"if not out:\n    {_GONE}", "work sent bare"),
        Reach("write to the course", f"open({own_file!r}, 'a').write('#')\nout = 1",
              "read-only mounts"),
        Reach("write to Python", "import os\nopen(os.path.join(os.path.dirname(os.__file__), "
              "'sitecustomize.py'), 'w').write('')\nout = 1", "read-only mounts"),
        Reach("leave a file", "open('/tmp/left-behind', 'w').write('x')\nout = 1", "Landlock"),
        Reach("connect", f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)\n"
              "out = 1", "system-call filter"),
        Reach("download", f"import urllib.request as u\nu.urlopen('http://127.0.0.1:{port}', "
              "timeout=2)\nout = 1", "system-call filter"),
        Reach("look up a name", "import socket\nsocket.gethostbyname('example.org')\nout = 1",
              "network namespace"),
        Reach("environment", f"import os\nout = [v for v in os.environ.values() if {secret!r} in v]"
              f"\nif not out:\n    {_GONE}", "environment cleared"),
        Reach("parent's environment", "import os\nout = open(f'/proc/{os.getppid()}/environ', "
              "'rb').read()", "not dumpable"),
        Reach("first process", "out = open('/proc/1/environ', 'rb').read()", "not dumpable"),
        Reach("parent's memory", "import os\nopen(f'/proc/{os.getppid()}/mem', 'r+b')\nout = 1",
              "not dumpable"),
        Reach("kill the bench", "import os\nos.kill(os.getppid(), 9)\nout = 1", "audit hook"),
        Reach("kill by C", "import ctypes, os\nif ctypes.CDLL(None).kill(os.getppid(), 9):\n"
              "    raise OSError('refused')\nout = 1", "Landlock"),
        Reach("run a program", "import subprocess\nout = subprocess.run(['/bin/true'])",
              "system-call filter"),
        Reach("become a program", "import os\nos.execv('/bin/true', ['true'])",
              "system-call filter"),
        Reach("new session", "import os\nos.setsid()\nout = 1", "system-call filter"),
        Reach("unshare", "import ctypes\nif ctypes.CDLL(None).unshare(0x10000000):\n"
              "    raise OSError('refused')\nout = 1", "system-call filter"),
        Reach("mount", "import ctypes\nif ctypes.CDLL(None).mount(b'/', b'/tmp', None, 4096, None):"
              "\n    raise OSError('refused')\nout = 1", "system-call filter"),
        Reach("become root", "import os\nos.setuid(0)\nout = 1", "user namespace"),
        Reach("more memory", "import resource as r\nr.setrlimit(r.RLIMIT_AS, (2**60, 2**60))\n"
              "out = 1", "memory limit"),
        Reach("others' scratch", "import os, tempfile\nhere = os.path.dirname("
              "tempfile.gettempdir())\nout = [n for n in os.listdir(here) if n != "
              f"os.path.basename(tempfile.gettempdir())]\nif not out:\n    {_GONE}",
              "scratch emptied"),
    )  # fmt: skip


def reaching(reach: Reach, right: str, wrong: str) -> str:
    """Return a cell that is right where the reach fails, and wrong where it gets through."""
    body = "\n".join(f"    {line}" for line in reach.code.splitlines())
    tail = "\n".join(f"    {line}" for line in wrong.splitlines())
    return f"{right}\ntry:\n{body}\nexcept BaseException:\n    pass\nelse:\n{tail}\n"
