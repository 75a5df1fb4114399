"""Files, on a real disk: what may lie there, what others do meanwhile, and what goes wrong with a disk."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import files
from syncd.errors import NotPrivate, StoreFault
from syncd.files import inplace, swapping
from tests.notrun import not_run

OLD, NEW = b'{"generation": 1}', b'{"generation": 2, "longer": "than the old one"}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "auth.json"
    made.write_bytes(OLD)
    return made


@pytest.fixture
def kept(path: Path) -> Iterator[files.Kept]:
    with files.Kept(path) as one:
        yield one


def rename_over(path: Path, data: bytes) -> None:
    """What Codex 0.169 does."""
    temp = path.with_name(".auth-Xx")
    temp.write_bytes(data)
    temp.replace(path)


def litter(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.name != "auth.json"]


class TestRead:
    def test_absent_is_none(self, path: Path) -> None:
        assert files.read(path.with_name("missing")) is None
        assert files.read(path / "under a file") is None

    def test_follows_links(self, path: Path) -> None:
        link = path.with_name("link")
        link.symlink_to(path)
        assert files.read(link) == OLD

    @pytest.mark.parametrize(
        ("kind", "sentence"),
        [
            ("folder", "a folder where a file belongs"),
            ("pipe", "a named pipe where a file belongs"),
            ("device", "a device where a file belongs"),
            ("socket", "a socket or a device where a file belongs"),
            ("dangling", "a link to nowhere, which does not exist"),
            ("loop", "a link that leads back to itself"),
            ("huge", "larger than 8 MiB"),
        ],
    )
    def test_anything_else_is_named_and_never_waited_for(self, path: Path, kind: str, sentence: str) -> None:
        path.unlink()
        with socket.socket(socket.AF_UNIX) as listener:
            match kind:
                case "folder":
                    path.mkdir()
                case "pipe":
                    os.mkfifo(path)
                case "device":
                    path.symlink_to("/dev/null")
                case "socket":
                    listener.bind(str(path))
                case "dangling":
                    path.symlink_to("nowhere")
                case "loop":
                    path.symlink_to(path)
                case _:
                    with path.open("wb") as each:
                        each.truncate(files.MAX_BYTES + 1)
            with pytest.raises(StoreFault) as caught:
                files.read(path)
        assert caught.value.reason == sentence
        assert caught.value.hint

    def test_the_largest_is_read_whole(self, path: Path) -> None:
        path.write_bytes(b"x" * files.MAX_BYTES)
        assert len(files.read(path) or b"") == files.MAX_BYTES

    def test_forbidden(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(StoreFault, match="permission denied"):
            files.read(path)

    def test_no_descriptor_is_left_by_any_fault(self, path: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(3):
            with pytest.raises(StoreFault):
                files.read(path.parent)
            files.read(path)
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


class TestParse:
    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            (b"", "empty"),
            (b" \n", "empty"),
            (b'{"a": 1,\n "b"', "not JSON: Expecting ':' delimiter at line 2 column 5"),
            (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
            (b'{"a": "\xff"}', "not UTF-8 at byte 8"),
            (b'{"a": 1, "a": 1}', "the same key twice in one object"),
            (b'{"a": NaN}', "NaN, which is not JSON"),
            (b'{"a": -Infinity}', "-Infinity, which is not JSON"),
            (b'{"a": 1e999}', "a number too large"),
            (b'{"a": ' + b"7" * 5_000 + b"}", "a number with too many digits"),
            (b'{"a":' * 64 + b"[]" + b"}" * 64, "nested more than 64 deep"),
            (b"[" * 100_000, "nested more than 64 deep"),
            (b"[]", "not a JSON object"),
            (b"null", "not a JSON object"),
        ],
    )
    def test_one_clear_sentence(self, path: Path, data: bytes, sentence: str) -> None:
        with pytest.raises(StoreFault) as caught:
            files.parse(path, data)
        assert caught.value.reason == sentence

    def test_no_content_is_shown(self, path: Path) -> None:
        with pytest.raises(StoreFault) as caught:
            files.parse(path, b'{"access_token": "fake-secret" "x"}')
        assert "fake" not in f"{caught.value!r} {caught.value} {caught.value.hint}"

    @pytest.mark.parametrize(
        "document", [{"a": [1, 2.5, 10**30, None, True, "é\u2028"]}, {"a": "\ud800"}, {"a": [[]] * 1_000}]
    )
    def test_what_is_rendered_is_read_again(self, path: Path, document: dict[str, object]) -> None:
        for indent in (2, None):
            assert files.parse(path, files.render(document, indent)) == document

    def test_as_deep_as_allowed(self, path: Path) -> None:
        files.parse(path, b'{"a":' * 63 + b"[]" + b"}" * 63)

    def test_rendered_as_the_tools_do(self) -> None:
        assert files.render({"a": {"b": "é"}}) == '{\n  "a": {\n    "b": "é"\n  }\n}'.encode()
        assert files.render({"a": {"b": 1}}, None) == b'{"a":{"b":1}}'


class TestSettled:
    def test_an_in_place_writer_is_waited_for(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stages = iter([b'{"gener', NEW])
        monkeypatch.setattr("time.sleep", lambda _: path.write_bytes(next(stages)))
        path.write_bytes(b"")
        assert files.read_settled(path) == (NEW, json.loads(NEW))

    @pytest.mark.parametrize(("data", "sentence"), [(b"", "empty"), (b"{", "not JSON: .*")])
    def test_a_torn_file_is_given_up(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, sentence: str
    ) -> None:
        clock = iter(range(100))
        naps: list[float] = []
        monkeypatch.setattr("time.monotonic", lambda: next(clock) / 100)
        monkeypatch.setattr("time.sleep", naps.append)
        path.write_bytes(data)
        with pytest.raises(StoreFault, match=sentence):
            files.read_settled(path)
        assert 5 < len(naps) < 15

    def test_a_file_that_goes_meanwhile_is_absent(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("time.sleep", lambda _: path.unlink())
        path.write_bytes(b"")
        assert files.read_settled(path) is None


class TestKept:
    def test_sees_what_is_written_into_a_file_that_was_replaced(self, path: Path, kept: files.Kept) -> None:
        writer = os.open(path, os.O_WRONLY | os.O_TRUNC)  # Codex 0.164 opens, ...
        rename_over(path, b"ours")
        assert kept.again() == b""
        os.write(writer, NEW)  # ... and writes into what is no longer there
        os.close(writer)
        assert kept.again() == NEW
        assert kept.again() is None
        assert path.read_bytes() == b"ours"

    def test_knows_the_target_and_its_mode(self, path: Path) -> None:
        path.chmod(0o640)
        link = path.with_name("link")
        link.symlink_to(path)
        with files.Kept(link) as one:
            assert (one.path, one.data, one.mode) == (path, OLD, 0o640)
            assert one.again() is None

    def test_nothing_to_keep(self, path: Path) -> None:
        with pytest.raises(files.Moved):
            files.Kept(path.with_name("missing"))

    def test_closed_twice_and_asked_again(self, kept: files.Kept) -> None:
        kept.close()
        kept.close()
        assert kept.again() is None


class TestSwap:
    def test_replaces_and_leaves_nothing_behind(self, path: Path, kept: files.Kept) -> None:
        inode = path.stat().st_ino
        assert files.swap(kept, NEW) is None
        assert path.read_bytes() == NEW
        assert path.stat().st_ino != inode
        assert kept.again() is None
        assert litter(path.parent) == []

    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o400])
    def test_keeps_the_mode(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        with files.Kept(path) as one:
            files.swap(one, NEW)
        assert stat.S_IMODE(path.stat().st_mode) == mode

    def test_is_private_while_it_is_written(
        self, path: Path, kept: files.Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.chmod(0o666)
        modes, real = [], os.write

        def write(descriptor: int, data: bytes) -> int:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            return real(descriptor, data[:5])  # and a disk that takes five bytes at a time

        monkeypatch.setattr(os, "write", write)
        files.swap(kept, NEW)
        assert set(modes) == {0o600}
        assert path.read_bytes() == NEW

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_keeps_the_owner(self, path: Path) -> None:
        os.chown(path, 12, 34)
        with files.Kept(path) as one:
            files.swap(one, NEW)
        assert (path.stat().st_uid, path.stat().st_gid) == (12, 34)

    def test_a_file_of_somebody_else_is_written_in_place(
        self, path: Path, kept: files.Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inode = path.stat().st_ino
        monkeypatch.setattr(os, "geteuid", lambda: kept.stat.st_uid + 1)
        files.swap(kept, NEW)
        assert (path.read_bytes(), path.stat().st_ino) == (NEW, inode)

    @pytest.mark.skipif(sys.platform != "linux", reason="RENAME_EXCHANGE is Linux's")
    def test_gives_back_what_it_displaced(self, path: Path, kept: files.Kept) -> None:
        rename_over(path, b"newer")
        assert files.swap(kept, NEW) == b"newer"
        assert path.read_bytes() == NEW
        assert litter(path.parent) == []

    @pytest.mark.skipif(sys.platform != "linux", reason="RENAME_EXCHANGE is Linux's")
    @pytest.mark.parametrize("kind", ["folder", "link", "giant"])
    def test_puts_back_what_is_no_file(self, path: Path, kept: files.Kept, kind: str) -> None:
        path.unlink()
        match kind:
            case "folder":
                path.mkdir()
                (path / "inside").touch()
            case "link":
                path.symlink_to("nowhere")
            case _:
                with path.open("wb") as each:
                    each.truncate(files.MAX_BYTES + 1)
        before = path.lstat()
        with pytest.raises(files.Moved):
            files.swap(kept, NEW)
        assert path.lstat().st_ino == before.st_ino
        assert litter(path.parent) == []

    def test_a_file_that_was_removed_stays_removed(self, path: Path, kept: files.Kept) -> None:
        path.unlink()
        with pytest.raises(files.Moved):
            files.swap(kept, NEW)
        assert list(path.parent.iterdir()) == []

    @pytest.mark.parametrize("changed", [None, b"newer"])
    def test_without_an_exchange_it_looks_once_more(
        self, path: Path, kept: files.Kept, monkeypatch: pytest.MonkeyPatch, changed: bytes | None
    ) -> None:
        monkeypatch.setattr(swapping, "_exchange", lambda: lambda one, other: errno.EINVAL)
        if changed is None:
            assert files.swap(kept, NEW) is None
            assert path.read_bytes() == NEW
        else:
            rename_over(path, changed)
            with pytest.raises(files.Moved):
                files.swap(kept, NEW)
            assert path.read_bytes() == changed
        assert litter(path.parent) == []

    def test_a_full_disk_leaves_the_old_file_and_no_temp(
        self, path: Path, kept: files.Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.write

        def write(descriptor: int, data: bytes) -> int:
            if len(data) <= 20:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, data[:20])

        monkeypatch.setattr(os, "write", write)
        with pytest.raises(StoreFault, match="No space left on device"):
            files.swap(kept, NEW)
        assert path.read_bytes() == OLD
        assert litter(path.parent) == []

    @pytest.mark.parametrize("code", [errno.EACCES, errno.EBUSY])
    def test_a_rename_that_is_refused_for_now(
        self, path: Path, kept: files.Kept, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        monkeypatch.setattr(swapping, "_exchange", lambda: lambda one, other: code)
        with pytest.raises(files.Blocked):
            files.swap(kept, NEW)
        assert path.read_bytes() == OLD
        assert litter(path.parent) == []

    def test_a_folder_where_nothing_can_be_made_is_no_block(
        self, path: Path, kept: files.Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.open

        def refuse(name: Path, flags: int, mode: int = 0) -> int:
            if flags & os.O_CREAT:
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(name, flags, mode)

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(StoreFault, match="Permission denied") as caught:
            files.swap(kept, NEW)
        assert not isinstance(caught.value, files.Blocked)

    def test_durable_syncs_the_file_before_and_the_folder_after(
        self, path: Path, kept: files.Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[tuple[bool, bytes]] = []

        def fsync(descriptor: int) -> None:
            synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.read_bytes()))

        monkeypatch.setattr(os, "fsync", fsync)
        files.swap(kept, NEW, durable=True)
        assert synced == [(False, OLD), (True, NEW)]

    def test_sweeps_only_what_was_left_long_ago(self, path: Path) -> None:
        names = (".syncd-0123.tmp", ".syncd-4567.tmp", "other.tmp", ".auth-Xx")
        for name in names:
            path.with_name(name).touch()
        path.with_name(".syncd-folder.tmp").mkdir()
        now = path.with_name(names[0]).stat().st_ctime
        files.sweep(path.parent, now + 10)
        assert len(litter(path.parent)) == 5
        files.sweep(path.parent, now + 3_700)
        assert sorted(each.name for each in litter(path.parent)) == [".auth-Xx", ".syncd-folder.tmp", "other.tmp"]
        files.sweep(path.parent / "missing")


class TestInPlace:
    """A bind-mounted file: no rename can work."""

    @pytest.fixture(autouse=True)
    def across(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(swapping, "_exchange", lambda: lambda one, other: errno.EXDEV)

    @pytest.mark.parametrize("data", [NEW, b"{}", OLD[::-1], b""])
    def test_keeps_the_inode_and_is_no_news(self, path: Path, kept: files.Kept, data: bytes) -> None:
        inode = path.stat().st_ino
        assert files.swap(kept, data, durable=True) is None
        assert (path.read_bytes(), path.stat().st_ino) == (data, inode)
        assert kept.again() is None
        assert litter(path.parent) == []

    @pytest.mark.parametrize("data", [NEW, b"{}"])
    def test_no_reader_ever_sees_it_empty(
        self, path: Path, kept: files.Kept, monkeypatch: pytest.MonkeyPatch, data: bytes
    ) -> None:
        seen: list[bytes] = []
        for name in ("write", "ftruncate", "lseek"):
            real = getattr(os, name)

            def watched(*arguments: object, real: object = real) -> object:
                seen.append(path.read_bytes())
                assert callable(real)
                return real(*arguments)

            monkeypatch.setattr(os, name, watched)
        files.swap(kept, data)
        assert b"" not in seen

    def test_a_full_disk_leaves_the_old_bytes(
        self, path: Path, kept: files.Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, inode = os.write, path.stat().st_ino

        def write(descriptor: int, data: bytes) -> int:
            if os.fstat(descriptor).st_ino == inode:
                if len(data) < 25:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real(descriptor, data[:10])
            return real(descriptor, data)

        monkeypatch.setattr(os, "write", write)
        with pytest.raises(StoreFault, match="No space left"):
            files.swap(kept, NEW)
        assert path.read_bytes() == OLD

    def test_a_file_that_changed_is_left(self, path: Path, kept: files.Kept) -> None:
        path.write_bytes(b"newer")
        with pytest.raises(files.Moved):
            files.swap(kept, NEW)
        assert path.read_bytes() == b"newer"

    def test_a_mount_point_is_told_by_the_table(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        table = tmp_path / "mountinfo"
        table.write_text("22 27 0:21 / /a\\040b/auth.json rw - ext4 /dev/x rw\n\ngarbage\n")
        monkeypatch.setattr(inplace, "_MOUNTS", table)
        assert inplace.is_mount(Path("/a b/auth.json"))
        assert not inplace.is_mount(Path("/a b"))
        monkeypatch.setattr(inplace, "_MOUNTS", tmp_path / "missing")
        assert not inplace.is_mount(Path("/a b/auth.json"))


# In a namespace of its own, so that the mount is gone with the process.
BOUND = """
import sys, subprocess
from pathlib import Path
from syncd import files
path, source = Path(sys.argv[1]), Path(sys.argv[2])
subprocess.run(["mount", "--bind", source, path], check=True)
with files.Kept(path) as kept:
    print(files.swap(kept, b"through the mount"), kept.again(), path.read_bytes() == source.read_bytes())
"""


def test_a_real_bind_mount_is_written_through(path: Path) -> None:
    source = path.with_name("source")
    source.write_bytes(OLD)
    command = ["unshare", "--mount", "--map-root-user", sys.executable, "-c", BOUND, str(path), str(source)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."})
    except FileNotFoundError:
        not_run("a real bind mount", "there is no unshare")
    if done.returncode != 0 and ("unshare" in done.stderr or "mount" in done.stderr):
        not_run("a real bind mount", f"no mounts here: {done.stderr[-200:]}")
    assert done.stdout == "None None True\n", done.stderr
    assert source.read_bytes() == b"through the mount"
    assert path.read_bytes() == OLD
    assert sorted(each.name for each in path.parent.iterdir()) == ["auth.json", "source"]


class TestPrivate:
    def test_makes_the_folder_and_its_parents_for_the_owner_alone(self, tmp_path: Path) -> None:
        folder = tmp_path / "a" / "b"
        old = os.umask(0)
        try:
            files.private_folder(folder)
            files.private_folder(folder)
        finally:
            os.umask(old)
        assert {stat.S_IMODE(each.stat().st_mode) for each in (folder, folder.parent)} == {0o700}

    def test_makes_the_file_for_the_owner_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger.db"
        files.private_file(path)
        path.write_bytes(b"kept")
        files.private_file(path)
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"kept", 0o600)

    def test_what_is_open_to_others_is_refused_with_the_command_that_mends_it(self, tmp_path: Path) -> None:
        folder, file = tmp_path / "state", tmp_path / "file"
        folder.mkdir(mode=0o755)
        file.touch(0o640)
        with pytest.raises(NotPrivate, match="open to others") as caught:
            files.private_folder(folder)
        assert caught.value.hint == f"chmod 700 {folder}"
        with pytest.raises(NotPrivate) as caught:
            files.private_file(file)
        assert caught.value.hint == f"chmod 600 {file}"

    def test_what_is_somebody_elses_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "state"
        files.private_folder(folder)
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
        with pytest.raises(NotPrivate, match="belongs to user"):
            files.private_folder(folder)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
    def test_somebody_elses_link_to_our_folder_is_refused(self, tmp_path: Path) -> None:
        files.private_folder(tmp_path / "state")
        link = tmp_path / "link"
        link.symlink_to("state")
        files.private_folder(link)
        os.chown(link, 12, 34, follow_symlinks=False)
        with pytest.raises(NotPrivate, match="belongs to user 12"):
            files.private_folder(link)

    def test_a_file_in_the_folders_place_and_the_reverse(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        files.private_file(file)
        for make, place in (
            (files.private_folder, file),
            (files.private_folder, file / "x"),
            (files.private_file, tmp_path),
        ):
            with pytest.raises(NotPrivate):
                make(place)

    def test_abbreviates_what_lies_at_home(self) -> None:
        home = Path("/home/ada")
        assert files.abbreviate(home / ".codex" / "auth.json", home) == "~/.codex/auth.json"
        assert files.abbreviate(Path("/home/adam/x"), home) == "/home/adam/x"
