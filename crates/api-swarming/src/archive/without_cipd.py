# Lets a Swarming bot run tasks without CIPD, from which it would otherwise fetch a client before every task.
#
# The server appends this to the hooks of the bot's group. A task that asks for packages is left alone.
import json as _json
import os as _os
import shutil as _shutil
import sys as _sys

_group_on_before_task = globals().get("on_before_task")


def _asks_for_packages(runner_cmd):
    try:
        with open(runner_cmd[runner_cmd.index("--in-file") + 1], "rb") as f:
            manifest = _json.load(f)
    except (IndexError, IOError, OSError, ValueError):
        return False
    cipd_input = manifest.get("cipd_input") if isinstance(manifest, dict) else None
    return bool(cipd_input and cipd_input.get("packages"))


def _directory_with_cas(bot):
    """The directory of the `cas` tool, or of a stand-in: the bot copies the file even if nothing needs it."""
    name = "cas.exe" if _sys.platform == "win32" else "cas"
    found = _shutil.which(name)
    if found:
        return _os.path.dirname(_os.path.abspath(found))
    # The bot removes what it does not know from its directory, and from its caches in `c`; this folder it leaves alone.
    base = getattr(bot, "base_dir", None) or _os.getcwd()
    directory = _os.path.join(base, "cipd_cache", "no_cas")
    path = _os.path.join(directory, name)
    if not _os.path.isfile(path):
        if not _os.path.isdir(directory):
            _os.makedirs(directory)
        with open(path + ".new", "w") as f:
            f.write("#!/bin/sh\necho 'the cas tool is not installed on this machine' >&2\nexit 1\n")
        _os.chmod(path + ".new", 0o755)
        _os.replace(path + ".new", path)
    return directory


def on_before_task(bot, bot_file=None, runner_cmd=None, runner_env=None):
    if _group_on_before_task:
        _group_on_before_task(bot, bot_file, runner_cmd, runner_env)
    if runner_cmd is None or runner_env is None or _asks_for_packages(runner_cmd):
        return
    runner_cmd.extend(["--cipd-enabled", "false"])
    if not runner_env.get("LUCI_GO_CLIENT_DIR"):
        runner_env["LUCI_GO_CLIENT_DIR"] = _directory_with_cas(bot)
