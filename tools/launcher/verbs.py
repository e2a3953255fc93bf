"""What the launcher does: setup, start, lesson, demo, notebooks, site, test."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import subprocess
import time

from tools.launcher import checks, page, places, programs, server, setting_up
from tools.launcher.complaints import CourseError
from tools.launcher.terminal import say


def setup(_options: argparse.Namespace) -> int:
    """Install what is missing and stop."""
    setting_up.set_up()
    say("Ready: python3 course.py start")
    return 0


def start(options: argparse.Namespace) -> int:
    """Lay the student's copies, open JupyterLab on the first and stay until it is stopped."""
    if options.port is not None and not server.port_is_free(options.port):
        free = server.first_free_port(options.port + 1)
        raise CourseError(f"port {options.port} is taken; try --port {free}, or leave --port out")
    setting_up.set_up()
    # The lessons are laid by the package, which reads notebooks; it tells what stops it itself.
    if status := programs.run_in_environment("-m", "labs_lib.workbook", str(places.ROOT)):
        return status
    port = options.port or server.first_free_port(server.FIRST_PORT)
    token = secrets.token_hex(16)
    process = server.serve(port, token)
    opened = None
    try:
        # Another server that starts now may take the port: Jupyter looks first and binds later.
        attempts = 1 if options.port else 3
        while not server.wait_for_server(process, port, token):
            attempts -= 1
            if not attempts:
                raise CourseError(
                    f"JupyterLab ended at once, with exit status {process.returncode}"
                )
            port = server.first_free_port(port + 1)
            say(f"JupyterLab could not start there; trying port {port}")
            process = server.serve(port, token)
        address = f"http://127.0.0.1:{port}/lab/tree/{places.first_lesson()}?token={token}"
        say(f"LoRA Lab is open at\n\n    {address}\n\nStop it with Ctrl+C.")
        if not options.no_browser:
            opened = page.show_in_browser(address, port)
        return process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # the terminal may be gone
            say("\nStopped.")
        return 0
    finally:
        if opened is not None:
            opened.unlink(missing_ok=True)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()


def lesson(options: argparse.Namespace) -> int:
    """List the student's copies of the lessons, start one again, or bring in its new text."""
    setting_up.set_up()
    chosen = [options.lesson] if options.lesson else []
    flags = [f"--{name}" for name in ("again", "update") if getattr(options, name)]
    return programs.run_in_environment("-m", "labs_lib", "lesson", *flags, "--", *chosen)


def demo(_options: argparse.Namespace) -> int:
    """Fine-tune the bundled model for some twenty seconds and show both answers."""
    setting_up.set_up()
    return programs.run_in_environment("-m", "labs_lib.demo")


def notebooks(options: argparse.Namespace) -> int:
    """Bring notebooks up to their sources, execute them, and renew the README's tables."""
    setting_up.set_up(places.SECTIONS["test"])
    flags = ["--record-times"] if options.record_times else []
    status = programs.run_in_environment("-m", "tools.notebooks", *flags, *options.names)
    return programs.run_in_environment("-m", "tools.readme") or status


def site(options: argparse.Namespace) -> int:
    """Build the reading edition from the stored notebooks; nothing is executed."""
    setting_up.set_up(places.SECTIONS["test"])
    address = ["--repository", options.repository] if options.repository is not None else []
    return programs.run_in_environment("-m", "tools.site", *address)


def test(options: argparse.Namespace) -> int:
    """Run every check, then say which failed."""
    setting_up.set_up(places.SECTIONS["test"])
    checks.bring_walls()
    variables = {}
    if not options.fast:
        for variable, module in checks.NEEDED.items():
            if (program := checks.bring(module)) is None:
                return 2
            variables[variable] = program
    failed = []
    total = time.monotonic()
    for name, arguments in checks.test_parts(options.fast):
        say(f"\n=== {name}")
        started = time.monotonic()
        status = programs.run_in_environment(*arguments, **variables)
        say(f"=== {name}: {'ok' if status == 0 else 'FAILED'}, {time.monotonic() - started:.0f} s")
        if status:
            failed.append(name)
    seconds = time.monotonic() - total
    if failed:
        say(f"\ncourse.py test: failed: {', '.join(failed)} ({seconds:.0f} s)")
        return 1
    say(f"\ncourse.py test: all parts ok ({seconds:.0f} s)")
    return 0
