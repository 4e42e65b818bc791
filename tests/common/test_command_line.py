"""How scripts read their numbers and how they end."""

import argparse
import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import ROOT

from racing_env.common import command_line as cli
from racing_env.common.errors import FileError, InputError


def ended_with(error: BaseException) -> int:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        cli.run(main)
    code = caught.value.code
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupts_are_met_after_the_block(number):
    earlier = signal.getsignal(number)
    done = False
    with pytest.raises(KeyboardInterrupt), cli.interrupts_held():
        os.kill(os.getpid(), number)
        done = True
    assert done and signal.getsignal(number) is earlier


def test_a_signal_that_is_ignored_stays_ignored():
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with cli.interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_a_warning_is_one_line_without_the_place_in_the_source(capsys):
    with pytest.raises(SystemExit):
        cli.run(lambda: (warnings.warn("two\nlines", stacklevel=1), sys.exit(0)))
    assert capsys.readouterr().err == "warning: two lines\n"


def test_a_warning_is_shown_once_wherever_it_comes_from(capsys):
    def main() -> None:
        for words in ("same", "same", "other"):
            with warnings.catch_warnings():  # forgets what was said before
                warnings.simplefilter("always")
                warnings.warn(words, stacklevel=1)
                warnings.warn("same", RuntimeWarning, stacklevel=1)

    cli.run(main)
    assert capsys.readouterr().err == "warning: same\nwarning: other\n"


def test_an_error_in_the_block_comes_before_the_interrupt():
    with pytest.raises(ValueError, match="own"), cli.interrupts_held():
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("own")


def test_without_a_signal_a_block_is_only_a_block():
    with cli.interrupts_held():
        pass


def test_a_main_that_returns_just_returns():
    called = []
    cli.run(lambda: called.append(True))
    assert called == [True]


@pytest.mark.parametrize(
    "error",
    [
        InputError("a.csv: line 3: width is -1, it must be positive"),
        FileError("a.csv: cannot be written (Permission denied); see to it and start again"),
        ChildProcessError("worker process worker-0 has died, exit code -9"),
        OSError(errno.ENOSPC, "No space left on device", "a.csv"),
        OSError(errno.EMFILE, "Too many open files"),
    ],
)
def test_what_the_user_can_cause_is_one_line_and_code_2(error, capsys):
    assert ended_with(error) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: {error}\n"


def caused_by(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        # as an extension module says it that is being initialised when the signal comes
        caused_by(ImportError("initialization failed"), KeyboardInterrupt()),
        caused_by(ImportError(), caused_by(SystemError(), KeyboardInterrupt())),
    ],
)
def test_an_interrupt_is_code_130(error, capsys):
    assert ended_with(error) == 130
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_library_makes_another_error_of_is_code_130(number, capsys):
    """As LLVM's callbacks do: the compiler then misses what it has not made."""

    def compile_something() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        raise RuntimeError("no compiled object yet")

    with pytest.raises(SystemExit) as ended:
        cli.run(compile_something)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted; start again\n"


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        ImportError(),
        caused_by(KeyError(), ValueError()),
        OSError("of a library, about nothing"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "never written"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        OSError(errno.EBADF, "Bad file descriptor"),
    ],
)
def test_a_bug_stays_a_traceback(error):
    with pytest.raises(type(error)):
        ended_with(error)


@given(value=st.integers(1, 10**12))
def test_integers_are_read(value):
    assert cli.positive_int(str(value)) == value
    assert cli.count_int(str(value)) == value


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3", "nan", "-1", "10" * 20, "0x10", "1;2"])
def test_what_is_no_count_is_refused(text):
    for read in (cli.positive_int, cli.count_int):
        with pytest.raises(argparse.ArgumentTypeError, match="is not an integer"):
            read(text)


@given(text=st.text(max_size=30))
def test_any_text_is_an_integer_or_refused(text):
    try:
        assert cli.count_int(text) >= 0
    except argparse.ArgumentTypeError as error:
        assert len(str(error).splitlines()) == 1


def test_a_seed_is_one_that_all_libraries_take():
    np.random.seed(cli.seed_int(str(2**32 - 1)))  # noqa: NPY002 - as stable-baselines3 does it
    for text in (str(2**32), "-1", "1.5"):
        with pytest.raises(argparse.ArgumentTypeError, match="at most 4294967295"):
            cli.seed_int(text)


def test_what_takes_memory_or_processes_is_limited():
    assert cli.size_int("1000000") == 10**6 and cli.worker_int("1000") == 1000
    assert cli.processes_int("0") == 0
    for read, text in [(cli.size_int, "1000001"), (cli.worker_int, "1001"), (cli.worker_int, "0"),
                       (cli.processes_int, "1001"), (cli.size_int, "9" * 50)]:  # fmt: skip
        with pytest.raises(argparse.ArgumentTypeError, match="at most"):
            read(text)


def test_short_memory_is_one_line_and_code_2(capsys):
    def main():
        raise MemoryError

    with pytest.raises(SystemExit) as end:
        cli.run(main)
    assert (
        end.value.code == 2 and capsys.readouterr().err == "error: memory is short; ask for less\n"
    )


@pytest.mark.parametrize("resumable", [False, True])
def test_sigterm_is_met_as_ctrl_c_is(resumable, capsys):
    with pytest.raises(SystemExit) as end:
        cli.run(lambda: os.kill(os.getpid(), signal.SIGTERM), resumable)
    assert end.value.code == 130
    assert ("--resume" in capsys.readouterr().err) == resumable  # only where there is that flag


@pytest.mark.parametrize(
    ("error", "one_line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a bug"), False),
        (KeyError("a bug"), False),
    ],
)
def test_a_full_disk_met_by_a_thread_is_one_line(error, one_line, capsys, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", None)  # put back after the test

    def fail():
        raise error

    def main():
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()

    cli.run(main)
    lines = capsys.readouterr().err.splitlines()
    assert str(error) in lines[-1] and (len(lines) == 1) == one_line


def test_zero_is_a_count_but_not_positive():
    assert cli.count_int("0") == 0
    with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
        cli.positive_int("0")


COUNTED_TWICE = (
    "source scripts/machine.sh; core_count; exec "
    f"{sys.executable} -c 'from racing_env.common import command_line as cli; "
    "print(cli.available_cores())'"
)


def counts_after(*arguments: str) -> list[int]:
    """What bash and Python count as cores in a process that is started by these arguments."""
    answer = subprocess.run(
        [*arguments, "bash", "-c", COUNTED_TWICE], check=True, capture_output=True, text=True,
        cwd=ROOT,
    )  # fmt: skip
    return [int(line) for line in answer.stdout.split()]


def test_bash_and_python_count_the_same_cores():
    in_bash, in_python = counts_after()
    assert 1 <= in_bash == in_python <= (os.cpu_count() or 1)


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset is needed")
def test_cores_are_those_of_the_affinity():
    core = min(os.sched_getaffinity(0))
    assert counts_after("taskset", "-c", str(core)) == [1, 1]


QUOTAS = {
    "half a core": ({"cpu.max": "50000 100000"}, 1),
    "one and a half": ({"cpu.max": "150000 100000"}, 2),
    "none": ({"cpu.max": "max 100000"}, 1000),
    "version 1": ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_cores_are_those_of_the_containers_quota(case, tmp_path):
    files, quota = QUOTAS[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    # of this process alone, in a view of its own
    covered = f"mount --bind {tmp_path} /sys/fs/cgroup"
    alone = ["unshare", "--mount", "bash", "-c", f'{covered} && exec "$@"', "bash"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount a folder")
    cores = min(quota, len(os.sched_getaffinity(0)))
    assert counts_after(*alone) == [cores, cores]


BAR = """
import time
from racing_env.common.command_line import progress_bar
with progress_bar(20_000_000, 0, "steps", show_rate=True) as bar:
    for _ in range(6):
        bar.update(2_000_000)
        bar.set_postfix_str("80/80 laps, 0.973 x teacher", refresh=False)
        time.sleep(0.12)
"""


def test_a_run_that_is_resumed_at_its_end_is_done(capfd):
    with cli.progress_bar(1000, 1024, "steps", show_rate=True):
        pass
    assert capfd.readouterr().err.startswith("100% 1.00k/1.00k steps")


def shown_on_a_terminal(columns: int, **environment: str) -> list[str]:
    """The states of the bar of a process whose standard error is a terminal this wide."""
    pty = pytest.importorskip("pty", reason="a pseudo-terminal is needed")
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    subprocess.run(
        [sys.executable, "-c", BAR], check=True, cwd=ROOT, stdin=theirs, stderr=theirs,
        env={**os.environ, **environment},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux: the other end is closed
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    return shown.decode().replace("\n", "").split("\r")


def test_sixty_columns_are_enough_for_a_bar():
    states = [state for state in shown_on_a_terminal(60) if state]
    assert max(map(len, states)) <= 60
    assert re.fullmatch(
        r" *\d+% .+ \d\d:\d\d left, +[\d.]+M steps/s, 80/80 laps, 0.973 x teach.*", states[-1]
    ), states[-1]


def test_a_bar_on_a_terminal_has_no_colours():
    for environment in ({}, {"NO_COLOR": "1"}):
        assert not any("\x1b" in state for state in shown_on_a_terminal(100, **environment))


def test_in_a_pipe_each_state_is_a_line_without_codes():
    done = subprocess.run(
        [sys.executable, "-c", BAR], check=True, capture_output=True, text=True, cwd=ROOT
    )
    lines = done.stderr.split("\n")
    assert lines.pop() == ""
    assert lines[0].startswith("0% 0.00/20.0M steps")
    assert re.match(r"60% 12\.0M/20\.0M steps, 00:\d\d elapsed, ", lines[-1])
    assert lines[-1].endswith(", 80/80 laps, 0.973 x teacher")
    assert not {"\r", "\x1b"} & set(done.stderr)
    assert len(lines) <= 3  # not one for each update


SCRIPTS = ("collect_demonstrations.py", "train_bc.py", "train_rl.py", "evaluate.py")


@pytest.mark.parametrize("arguments", [["-c", "import racing_env"], *([s, "-h"] for s in SCRIPTS)])
def test_help_and_the_package_load_nothing_heavy(arguments):
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert "racing_env" in loaded
    assert not {"numba", "torch", "scipy", "matplotlib", "stable_baselines3"} & loaded
