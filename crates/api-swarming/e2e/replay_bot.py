#!/usr/bin/env python3
"""A stand-in for a Swarming bot, for tests.

It speaks to the server as a recorded bot of 2026 did: the same calls in the same order with the same keys. It is not
that bot: it installs no packages, knows no CAS, keeps no caches and does not update itself.

    replay_bot.py --server http://localhost:8080 --id b1 --dimension os=Linux --directory /tmp/b1
"""

import argparse
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

# Inactivity after which the recorded bot gives up on an answer, and how long it repeats a call.
READ_TIMEOUT_S = 60
RETRY_S = 240
# How much output the recorded bot holds back at most.
OUTPUT_BYTES = 250_000


class Refused(Exception):
    """The server answered, but not with JSON."""


class Unreachable(Exception):
    """The server did not answer, or asks to come again."""


class Shutdown(Exception):
    """Somebody wants this process to end."""


class Server:
    """The calls."""

    def __init__(self, url, bot_id):
        self.url = url.rstrip("/")
        self.bot_id = bot_id
        # A proxy of the environment is for other hosts.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, path, body=None):
        headers = {"User-Agent": "swarming_bot/1.0.0@replay", "X-Luci-Swarming-Bot-ID": self.bot_id}
        data = None
        if body is not None:
            data = json.dumps(body, sort_keys=True).encode()
            headers["Content-Type"] = "application/json; charset=UTF-8"
        request = urllib.request.Request(f"{self.url}/swarming/api/v1/bot/{path}", data, headers)
        try:
            with self.opener.open(request, timeout=READ_TIMEOUT_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            what = f"{path}: {error.code} {error.read().decode(errors='replace').strip()}"
            if error.code in (408, 429) or error.code >= 500:
                raise Unreachable(what) from error
            raise Refused(what) from error
        except OSError as error:
            raise Unreachable(f"{path}: {error}") from error
        return json.loads(text) if body is not None else text

    def insist(self, path, body=None):
        """Asks until there is an answer."""
        until, pause = time.monotonic() + RETRY_S, 0.2
        while True:
            try:
                return self.ask(path, body)
            except Unreachable as error:
                if time.monotonic() > until:
                    raise
                log(f"{error}; asking again")
                time.sleep(pause)
                pause = min(10, pause * 1.5)


class Bot:
    def __init__(self, args):
        self.args = args
        self.server = Server(args.server, args.id)
        self.started = time.time()
        self.dimensions = {"id": [args.id], "pool": ["default"]}
        for pair in args.dimension:
            key, value = pair.split("=", 1)
            values = self.dimensions.setdefault(key, [])
            if value not in values:
                values.append(value)
        self.session = None
        self.config = None
        self.sleep_streak = 0
        self.is_busy = False
        self.is_leaving = False

    def leave(self, _signal, _frame):
        """A task is run to its end first; whoever asks twice is in a hurry."""
        if not self.is_busy or self.is_leaving:
            raise Shutdown
        self.is_leaving = True

    def attributes(self):
        state = {
            "cost_usd_hour": 0.1,
            "cwd": self.args.directory,
            "hostname": "localhost",
            "ip": "127.0.0.1",
            "pid": os.getpid(),
            "running_time": round(time.time() - self.started),
            "sleep_streak": self.sleep_streak,
            "started_ts": round(self.started),
        }
        if self.config:
            state["bot_config"] = self.config
        return {"dimensions": self.dimensions, "state": state, "version": self.args.version}

    def run(self):
        self.server.insist("server_ping")
        self.handshake()
        poll = str(uuid.uuid4())
        failures = 0
        while True:
            body = {**self.attributes(), "request_uuid": poll, "session": self.session}
            try:
                answer = self.server.ask("poll", body)
            except Unreachable as error:
                # The answer may have been a task: whoever names the same poll gets the same task.
                failures += 1
                log(f"{error}; polling again")
                time.sleep(min(5, 0.2 * 1.4**failures))
                continue
            failures = 0
            poll = str(uuid.uuid4())
            self.session = answer.get("session") or self.session
            command = answer["cmd"]
            self.sleep_streak = self.sleep_streak + 1 if command == "sleep" else 0
            if command == "sleep":
                time.sleep(answer["duration"])
            elif command == "run":
                self.is_busy = True
                Task(self, answer["manifest"]).run()
                self.is_busy = False
                if self.is_leaving:
                    raise Shutdown
            elif command == "terminate":
                self.task_update(answer["task_id"], {"duration": 0, "exit_code": 0})
                raise Shutdown
            elif command == "bot_restart":
                log(f"starting anew: {answer.get('message')}")
                self.handshake()
            else:
                self.event("bot_error", f"a stand-in cannot do {command!r}")
                sys.exit(f"unexpected answer to a poll: {answer}")

    def handshake(self):
        session = f"{uuid.uuid4().hex}/{os.getpid()}"
        answer = self.server.insist("handshake", {**self.attributes(), "session_id": session})
        self.session = answer.get("session")
        self.config = {"name": answer["bot_config_name"], "revision": answer["bot_config_rev"]}
        self.dimensions.update(answer["bot_group_cfg"]["dimensions"])
        self.dimensions["bot_config"] = [answer["bot_config_name"]]

    def event(self, kind, message):
        body = {**self.attributes(), "event": kind, "message": message, "session": self.session}
        self.server.insist("event", body)

    def task_update(self, task, fields):
        body = {"id": self.args.id, "session": self.session, "task_id": task, **fields}
        return self.server.insist(f"task_update/{task}", body)


class Task:
    """One command, from its manifest to its last update."""

    def __init__(self, bot, manifest):
        self.bot = bot
        self.manifest = manifest
        self.id = manifest["task_id"]
        self.began = time.time()
        self.unsent = b""
        self.sent = 0
        self.last_packet = time.monotonic()

    def run(self):
        log(f"task {self.id}: {self.manifest['command']}")
        directory = tempfile.mkdtemp(prefix="task-", dir=self.bot.args.directory)
        try:
            time.sleep(self.bot.args.prepare_secs)
            if self.update()["must_stop"]:
                self.update(canceled=True)
            elif self.missing_inputs():
                self.error("inputs are missing", self.missing_inputs())
            else:
                self.finish(self.command(directory))
        except Refused as error:
            self.error(str(error), {})
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def update(self, **fields):
        """Sends what there is of output, and hears whether to stop."""
        body = {"cost_usd": (time.time() - self.began) * 0.1 / 3600, **fields}
        if self.unsent:
            body["output"] = base64.b64encode(self.unsent).decode()
            body["output_chunk_start"] = self.sent
        answer = self.bot.task_update(self.id, body)
        self.sent += len(self.unsent)
        self.unsent = b""
        self.last_packet = time.monotonic()
        return answer

    def error(self, message, client_error):
        body = {
            "client_error": {"missing_cas": [], "missing_cipd": [], **client_error},
            "id": self.bot.args.id,
            "message": message,
            "session": self.bot.session,
            "task_id": self.id,
        }
        answer = self.bot.server.insist(f"task_error/{self.id}", body)
        # The recorded bot breaks on any other answer.
        assert answer == {}, answer

    def missing_inputs(self):
        """Nothing that a task asks for is to be had here."""
        root = self.manifest["cas_input_root"]
        if root:
            digest = f"{root['digest']['hash']}/{root['digest']['size_bytes']}"
            return {"missing_cas": [{"instance": root["cas_instance"], "digest": digest}]}
        packages = (self.manifest["cipd_input"] or {}).get("packages")
        return {"missing_cipd": packages} if packages else {}

    def finish(self, ended):
        self.update(
            bot_overhead=max(0.0, time.time() - self.began - ended["duration"]),
            cache_trim_stats={"duration": 0.001},
            cleanup_stats={"duration": 0.001},
            isolated_stats={"download": {}},
            named_caches_stats={"install": {"duration": 0.001}, "uninstall": {"duration": 0.001}},
            **ended,
        )

    def command(self, directory):
        """Runs it, and says how it ended."""
        began = time.monotonic()
        ended = {"hard_timeout": False, "io_timeout": False}
        root = os.path.join(directory, "ir")
        cwd = os.path.join(root, self.manifest["relative_cwd"] or "")
        os.makedirs(cwd)
        replaced = {
            "${EXECUTABLE_SUFFIX}": "",
            "${ISOLATED_OUTDIR}": directory,
            "${SWARMING_BOT_FILE}": os.path.join(directory, "bot_file"),
            "${SWARMING_TASK_ID}": self.id,
        }
        command = [replace(argument, replaced) for argument in self.manifest["command"]]
        env = self.environment(directory, root, replaced)
        try:
            # Of a session of its own, so that whatever it starts is stopped with it.
            child = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self.unsent += f"<The command could not be started: {error}>\n".encode()
            return {**ended, "exit_code": 1, "duration": time.monotonic() - began}
        try:
            self.watch(child, began, ended)
        finally:
            # Also when this process is told to end in between.
            signal_group(child, signal.SIGKILL)
            child.wait()
            child.stdout.close()
        return {**ended, "exit_code": child.returncode, "duration": time.monotonic() - began}

    def environment(self, directory, root, replaced):
        env = dict(os.environ)
        for key, value in self.manifest["env"].items():
            if value:
                env[key] = replace(value, replaced)
            else:
                env.pop(key, None)
        for key, paths in self.manifest["env_prefixes"].items():
            absolute = [os.path.normpath(os.path.join(root, path)) for path in paths]
            env[key] = os.pathsep.join(absolute + [env[key]] if env.get(key) else absolute)
        bot_dimensions = self.manifest["bot_dimensions"].items()
        pairs = [f"{key}:{value}" for key, values in sorted(bot_dimensions) for value in values]
        context = {
            "deadline": {
                "soft_deadline": self.began + self.manifest["hard_timeout"],
                "grace_period": self.manifest["grace_period"],
            },
            "realm": self.manifest["realm"],
            "swarming": {
                "secret_bytes": self.manifest["secret_bytes"],
                "task": {
                    "bot_dimensions": pairs,
                    "server": self.bot.server.url,
                    "task_id": self.id[:-1] + "0",
                },
            },
        }
        path = os.path.join(directory, "luci_context.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(context, file)
        env["LUCI_CONTEXT"] = path
        env["SWARMING_BOT_ID"] = self.bot.args.id
        env["SWARMING_HEADLESS"] = "1"
        env["SWARMING_SERVER"] = self.bot.server.url
        env["SWARMING_TASK_ID"] = self.id
        return env

    def watch(self, child, began, ended):
        """Passes its output on and stops it when it must end."""
        hard, io = self.manifest["hard_timeout"], self.manifest["io_timeout"]
        last_output = time.monotonic()
        kill_at = None
        open_pipe = True
        while True:
            if open_pipe:
                ready, _, _ = select.select([child.stdout], [], [], 0.05)
                data = os.read(child.stdout.fileno(), 65536) if ready else None
                if data:
                    self.unsent += data
                    last_output = time.monotonic()
                open_pipe = data != b""
            else:
                time.sleep(0.05)
            if child.poll() is not None:
                if open_pipe and select.select([child.stdout], [], [], 0)[0]:
                    continue
                return
            now = time.monotonic()
            stop = False
            silent = now - self.last_packet
            due = self.bot.args.output_secs if self.unsent else self.bot.args.keepalive_secs
            if silent >= due or len(self.unsent) >= OUTPUT_BYTES:
                stop = self.update()["must_stop"]
            if kill_at is None:
                if hard and now - began >= hard:
                    ended["hard_timeout"] = stop = True
                elif io and now - last_output >= io:
                    ended["io_timeout"] = stop = True
                if stop:
                    log(f"task {self.id}: stopping {ended}")
                    signal_group(child, signal.SIGTERM)
                    kill_at = now + self.manifest["grace_period"]
            elif now >= kill_at:
                signal_group(child, signal.SIGKILL)


def replace(text, replaced):
    for name, value in replaced.items():
        text = text.replace(name, value)
    return text


def signal_group(child, number):
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        pass


def log(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--dimension", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--directory", required=True, help="tasks run below it")
    parser.add_argument("--version", default="0" * 64)
    parser.add_argument("--output-secs", type=float, default=4)
    parser.add_argument("--keepalive-secs", type=float, default=10)
    parser.add_argument("--prepare-secs", type=float, default=0, help="before it says that a task begins")
    bot = Bot(parser.parse_args())
    signal.signal(signal.SIGTERM, bot.leave)
    signal.signal(signal.SIGINT, bot.leave)
    try:
        bot.run()
    except Shutdown:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        bot.event("bot_shutdown", "Signal was received")


if __name__ == "__main__":
    main()
