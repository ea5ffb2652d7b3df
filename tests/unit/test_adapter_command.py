"""The command adapter against real processes: codes, output without end, children that hang, fork or ignore signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.command import MAX_OUTPUT_BYTES, Command, read_argv, run
from adapters.loop import Held, Resume, Standing, Stop, Wanted
from gate import Decision, Mode, Reason
from tests.support.processes import marked, until, until_gone

LIMIT_S = 30.0
HELD = Held("bot-1", Decision(False, Reason.HELD, 0.0, ("FRZ-0001", "FRZ-0002"), 2, False, Mode.HALT))
HOLD = Wanted(Mode.HALT, (HELD,))


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def test_what_it_prints_is_kept_bounded_and_its_code_returned() -> None:
    code = "import sys; sys.stdout.write('x' * 1_000_000); sys.stderr.write('end'); sys.exit(7)"
    result, output = run(python(code), env=os.environ, timeout_s=LIMIT_S)
    assert result == 7
    assert output == b"x" * MAX_OUTPUT_BYTES


def test_one_that_hangs_is_killed_with_all_it_has_started_and_shows_nothing(tmp_path: Path) -> None:
    mark = tmp_path.name
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    code = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, {mark!r}])\n"
        "print('started', flush=True)\n"
        "time.sleep(600)"
    )
    started = time.monotonic()
    result, output = run(python(code, mark), env=os.environ, timeout_s=3.0)
    assert result is None
    assert b"killed" in output
    assert time.monotonic() - started < 300
    until_gone(mark)


def test_one_that_ends_and_leaves_a_child_with_its_output_open_is_not_waited_for(tmp_path: Path) -> None:
    mark = tmp_path.name
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {mark!r}])\n"
        "print(child.pid, flush=True)"
    )
    result, output = run(python(code), env=os.environ, timeout_s=500.0)
    assert result == 0
    assert marked(mark)
    os.kill(int(output), signal.SIGKILL)
    until_gone(mark)


def test_one_that_closes_its_output_and_hangs_is_killed_in_time() -> None:
    result, output = run(python("import os, time; os.close(1); os.close(2); time.sleep(600)"), env={}, timeout_s=2.0)
    assert result is None
    assert b"killed" in output


def test_one_that_prints_for_ever_is_killed_in_time() -> None:
    result, output = run(python("while True: print('x' * 1000)"), env=os.environ, timeout_s=2.0)
    assert result is None
    assert len(output) < 2 * MAX_OUTPUT_BYTES


def test_a_program_that_is_not_there_shows_nothing(tmp_path: Path) -> None:
    missing = [str(tmp_path / "nothing")]
    software = Command(missing, missing, None)
    assert software.look(Mode.HALT).standing is Standing.UNKNOWN
    assert not software.stop(Stop(Mode.HALT, 1), HOLD).done


@pytest.mark.parametrize(
    ("code", "standing"),
    [
        ("raise SystemExit(0)", Standing.OBEYS),
        ("raise SystemExit(3)", Standing.NOT_YET),
        ("import os; os.kill(os.getpid(), 9)", Standing.UNKNOWN),
    ],
)
def test_only_a_check_that_ends_with_zero_shows_obedience(code: str, standing: Standing) -> None:
    assert Command(["true"], python(code), None).look(Mode.HALT).standing is standing


def test_commands_are_told_mode_and_holds_and_no_shell_reads_them(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code = (
        "import os, sys\n"
        "told = [os.environ['WATCHFLOOR_MODE'], os.environ['WATCHFLOOR_HOLDS'], *sys.argv[2:]]\n"
        "open(sys.argv[1], 'w').write(' '.join(told))"
    )
    software = Command(python(code, str(seen), "$HOME; touch x"), ["false"], None)
    assert software.stop(Stop(Mode.CANCEL_ALL, 1), HOLD).done
    assert seen.read_text() == "cancel-all FRZ-0001 FRZ-0002 $HOME; touch x"


def test_it_is_resumed_only_where_that_is_wanted(tmp_path: Path) -> None:
    started = tmp_path / "started"
    software = Command(["true"], ["true"], ["touch", str(started)])
    assert software.resume(Resume(start=False, number=1)).done
    assert not started.exists()
    assert software.resume(Resume(start=True, number=2)).done
    assert started.exists()
    assert Command(["true"], ["true"], None).resume(Resume(start=True, number=1)).done


def test_a_real_service_is_stopped_and_seen_to_be(tmp_path: Path) -> None:
    """A process that is stopped by its number, as a service manager would."""
    service = subprocess.Popen(python("import time; time.sleep(600)"))
    halt = python("import os, sys; os.kill(int(sys.argv[1]), 15)", str(service.pid))
    check = python(
        "import sys, pathlib; p = pathlib.Path('/proc', sys.argv[1], 'stat')\n"
        "sys.exit(p.exists() and p.read_text().split()[2] != 'Z')",
        str(service.pid),
    )
    software = Command(halt, check, None)
    try:
        assert software.look(None).standing is Standing.NOT_YET
        assert software.stop(Stop(Mode.HALT, 1), HOLD).done
        until(lambda: software.look(Mode.HALT).standing is Standing.OBEYS, "it is seen to have stopped")
    finally:
        service.kill()
        service.wait()


@pytest.mark.parametrize("text", ["", "   ", "no-such-program-anywhere --now", "'unclosed"])
def test_a_command_that_cannot_be_run_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_argv(text)
    assert Path(read_argv("true 'a b'")[0]).is_absolute()
    assert read_argv("true 'a b'")[1:] == ["a b"]
