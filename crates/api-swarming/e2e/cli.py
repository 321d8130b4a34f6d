#!/usr/bin/env python3
"""Drives the unmodified `swarming` program against a server on loopback, with bots that replay the recorded protocol.

    cli.py PHALANX SWARMING

Every step looks at what the program printed, wrote and returned. The first difference ends it, with all that was said.
"""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LONGEST_S = 300
CONFIG = """
[swarming]
short_timeouts = true
"""


class Difference(Exception):
    pass


class World:
    """The server, its bots, and the program that talks to them."""

    def __init__(self, phalanx, swarming, directory):
        self.phalanx, self.program, self.directory = phalanx, swarming, directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # `swarming` takes plain HTTP only of this host, with a port.
        self.url = f"http://localhost:{self.port}"
        self.started = []
        self.server = None
        self.bots = {}
        self.last = "nothing was run yet"
        self.env = {
            "HOME": self.path("home"),
            "PATH": os.environ["PATH"],
            "TMPDIR": directory,
            "USER": "joe",
        }
        os.mkdir(self.path("home"))
        with open(self.path("phalanx.toml"), "w", encoding="utf-8") as file:
            file.write(CONFIG)

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, name, command):
        with open(self.path(f"{name}.log"), "ab") as out:
            process = subprocess.Popen(
                command, cwd=self.directory, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self.started.append(process)
        return process

    def start_server(self):
        command = [self.phalanx, "server", "--config", self.path("phalanx.toml")]
        command += ["--listen", f"127.0.0.1:{self.port}", "--data-directory", self.path("data")]
        self.server = self.start("server", command)

        def answers():
            if self.server.poll() is not None:
                raise Difference("the server ended")
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", self.port)) == 0

        wait("the server to listen", answers)

    def start_bot(self, name, *dimensions, flags=()):
        directory = self.path(name)
        os.makedirs(directory, exist_ok=True)
        command = [sys.executable, os.path.join(HERE, "replay_bot.py"), "--server", self.url]
        command += ["--id", name, "--directory", directory]
        # The recorded bot takes its time; tests have none.
        command += ["--output-secs", "0.5", "--keepalive-secs", "1"]
        for dimension in dimensions:
            command += ["--dimension", dimension]
        self.bots[name] = self.start(name, [*command, *flags])

    def stop(self):
        # A bot that runs a task ends it at once only when asked twice. The server is last: bots say goodbye to it.
        for process in sorted(self.started, key=lambda process: process is self.server):
            for ask in (process.terminate, process.terminate, process.kill):
                if process.poll() is None:
                    ask()
                    try:
                        process.wait(2)
                    except subprocess.TimeoutExpired:
                        continue

    def run(self, command, *arguments, exit_code=0):
        """Runs the program; what it printed."""
        line = [self.program, command, "-S", self.url, *arguments]
        done = subprocess.run(
            line, cwd=self.directory, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=90
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        self.last = f"$ swarming {' '.join(line[1:])}\nexit code {done.returncode}\n"
        self.last += f"--- out\n{out[-3000:]}\n--- err\n{err[-3000:]}"
        same(done.returncode, exit_code, "exit code")
        self.stderr = err
        return out

    def json(self, command, *arguments):
        return json.loads(self.run(command, *arguments))

    def trigger(self, *arguments, dimensions=("pool=default",), command=("true",)):
        """A new task's id."""
        flags = [flag for dimension in dimensions for flag in ("-dimension", dimension)]
        file = self.path("trigger.json")
        self.run("trigger", *flags, "-json-output", file, *arguments, "--", *command)
        with open(file, encoding="utf-8") as written:
            self.triggered = json.load(written)["tasks"][0]
        return self.triggered["task_id"]

    def collect(self, *arguments):
        """What `collect` writes for each task."""
        file = self.path("collect.json")
        self.out = self.run("collect", "-task-summary-json", file, *arguments)
        with open(file, encoding="utf-8") as written:
            return json.load(written)

    def result(self, task, *arguments):
        """How one task ended, and what it printed."""
        collected = self.collect("-task-output-stdout", "json", *arguments, task)
        same(sorted(collected), [task], "tasks")
        one = collected[task]
        same(one.get("error"), None, "error")
        return {**one["results"], "output": one.get("output", "")}

    def state(self, task):
        return self.collect("-wait=false", task)[task]["results"]["state"]

    def until(self, task, state):
        wait(f"{task} to be {state}", lambda: self.state(task) == state)

    def bot(self, name):
        return {bot["bot_id"]: bot for bot in self.json("bots")}[name]


def same(got, wanted, of):
    if got != wanted:
        raise Difference(f"{of}: got {got!r}, wanted {wanted!r}")


def has(got, **wanted):
    for key, value in wanted.items():
        same(got.get(key), value, f"`{key}`")


def lacks(got, *keys):
    for key in keys:
        same(got.get(key), None, f"`{key}`")


def contains(text, part, of):
    if part not in text:
        raise Difference(f"{of}: {part!r} is not in {text!r}")


def wait(what, is_so):
    until = time.monotonic() + 30
    while not is_so():
        if time.monotonic() > until:
            raise Difference(f"waited in vain for {what}")
        time.sleep(0.1)


def bash(script):
    return ("bash", "-c", script)


def bots_are_listed(world):
    wait("both bots", lambda: world.run("bots", "-bare").split() == ["b1", "b2"])
    bots = world.json("bots")
    same([bot["bot_id"] for bot in bots], ["b1", "b2"], "bots")
    dimensions = {pair["key"]: pair["value"] for pair in bots[0]["dimensions"]}
    has(dimensions, id=["b1"], os=["Debian", "Linux"], pool=["default"], rack=["1"])
    has(bots[0], version="0" * 64, authenticated_as="bot:whitelisted-ip", external_ip="127.0.0.1")
    lacks(bots[0], "is_dead", "quarantined", "task_id")
    same(json.loads(bots[0]["state"])["hostname"], "localhost", "state")


def bots_are_chosen_by_dimension(world):
    def bare(*dimensions):
        flags = [flag for dimension in dimensions for flag in ("-dimension", dimension)]
        return world.run("bots", "-bare", *flags).split()

    same(bare("rack=2"), ["b2"], "one value")
    same(bare("rack=1|2"), ["b1", "b2"], "one of two values")
    same(bare("rack=2|3", "os=Linux"), ["b2"], "two dimensions")
    same(bare("rack=3"), [], "no bot")


def bots_are_counted(world):
    count = world.json("bots", "-count")
    has(count, count=2)
    lacks(count, "busy", "dead", "quarantined", "maintenance")
    has(world.json("bots", "-count", "-dimension", "rack=2|3"), count=1)


def a_task_runs(world):
    script = "echo hello $GREETED; pwd | sed 's,.*/,,'; echo $SWARMING_BOT_ID; exit 7"
    flags = ("-task-name", "greet", "-tag", "kind:greeting", "-env", "GREETED=world", "-priority", "40")
    task = world.trigger(*flags, dimensions=("pool=default", "rack=1"), command=bash(script))
    if not re.fullmatch("[0-9a-f]{15}0", task):
        raise Difference(f"{task!r} is no id of a task")
    has(world.triggered["task_result"], state="PENDING", name="greet", task_id=task)
    result = world.result(task)
    has(result, state="COMPLETED", exit_code="7", failure=True, bot_id="b1", name="greet", user="joe")
    has(result, task_id=task, run_id=task[:-1] + "1", output="hello world\nir\nb1\n")
    lacks(result, "internal_failure", "deduped_from", "abandoned_ts", "performance_stats")
    for tag in ("kind:greeting", "pool:default", "priority:40", "rack:1", "user:joe"):
        contains(result["tags"], tag, "tags")
    times = [result[key] for key in ("created_ts", "started_ts", "completed_ts")]
    same(times, sorted(times), "times")
    world.task = task
    world.run("trigger", "--", "true", exit_code=1)


def trigger_says_where_to_look(world):
    out = world.run("trigger", "-dimension", "pool=default", "--", "true")
    found = re.search(f"{re.escape(world.url)}/task\\?id=([0-9a-f]+)", out + world.stderr)
    if not found:
        raise Difference("no link to the task")
    has(world.result(found[1]), state="COMPLETED")
    lacks(world.result(found[1]), "exit_code", "failure")


def output_goes_where_collect_is_told(world):
    task, text = world.task, "hello world\nir\nb1\n"
    one = world.collect("-task-output-stdout", "none", task)[task]
    lacks(one, "output")
    same(text in world.out, False, "nothing is printed")
    one = world.collect("-task-output-stdout", "json", task)[task]
    same(one["output"], text, "output in JSON")
    same(text in world.out, False, "nothing is printed")
    one = world.collect("-task-output-stdout", "console", task)[task]
    lacks(one, "output")
    contains(world.out, text, "console")
    contains(world.out, f"{task}: COMPLETED, exit code 7", "console")
    one = world.collect("-task-output-stdout", "all", task)[task]
    same(one["output"], text, "output in JSON")
    contains(world.out, text, "console")
    for mode, folder in (("dir", "outputs"), (f"dir:{world.path('texts')}", "texts")):
        world.collect("-output-dir", world.path("outputs"), "-task-output-stdout", mode, task)
        with open(world.path(f"{folder}/{task}.txt"), encoding="utf-8") as file:
            same(file.read(), text, "output in a file")


def collect_writes_the_old_summary(world):
    shards = world.collect("-task-summary-python", "-task-output-stdout", "json", world.task)["shards"]
    same(len(shards), 1, "shards")
    has(shards[0], state="COMPLETED", exit_code="7", output="hello world\nir\nb1\n", bot_id="b1")


def collect_asks_for_performance(world):
    stats = world.result(world.task, "-perf")["performance_stats"]
    if not 0 < stats["bot_overhead"] < 60:
        raise Difference(f"bot_overhead: {stats}")
    has(stats["named_caches_install"], duration=0.001)


def long_output_arrives_whole(world):
    # Longer than a packet of the bot.
    count = 60_000
    task = world.trigger(command=("seq", str(count)))
    wanted = "".join(f"{number}\n" for number in range(1, count + 1))
    same(world.result(task)["output"] == wanted, True, "output")


def collect_waits_as_told(world):
    task = world.trigger(command=("sleep", "4"))
    one = world.collect("-timeout", "1s", task)[task]
    has(one, error="rpc_timeout")
    same(one["results"]["state"] in ("PENDING", "RUNNING"), True, "state")
    quick = world.trigger()
    states = world.collect("-eager", task, quick)
    same(states[quick]["results"]["state"], "COMPLETED", "the quick one")
    world.until(task, "RUNNING")
    has(world.result(task), state="COMPLETED")


def a_request_is_shown(world):
    shown = world.json("request-show", world.task)
    has(shown, task_id=world.task, name="greet", user="joe", priority=40)
    slices = shown["task_slices"]
    same(len(slices), 1, "slices")
    properties = slices[0]["properties"]
    has(properties, env=[{"key": "GREETED", "value": "world"}], grace_period_secs=30)
    has(properties, execution_timeout_secs=3600, io_timeout_secs=1200)
    dimensions = [{"key": "pool", "value": "default"}, {"key": "rack", "value": "1"}]
    has(properties, dimensions=dimensions)
    lacks(properties, "idempotent", "secret_bytes")
    world.run("request-show", "65aba3a3e6b99310", exit_code=1)
    contains(world.stderr, "no such task", "stderr")


def a_task_is_reproduced(world):
    script = "echo reproduced for $GREETED in $PWD"
    task = world.trigger("-env", "GREETED=me", command=bash(script))
    world.result(task)
    work, out = world.path("work"), world.path("out")
    printed = world.run("reproduce", "-work", work, "-out", out, task)
    same(printed, f"reproduced for me in {work}\n", "output")
    world.run("reproduce", "-work", work, "-out", out, world.task, exit_code=1)
    contains(world.stderr, "exit status 7", "stderr")


def secrets_stay_secret(world):
    secret = world.path("secret")
    with open(secret, "w", encoding="utf-8") as file:
        file.write("open sesame")
    read = "import base64, json, os; c = json.load(open(os.environ['LUCI_CONTEXT']))['swarming']; "
    read += "print(base64.b64decode(c['secret_bytes']).decode()[::-1])"
    task = world.trigger("-secret-bytes-path", secret, command=(sys.executable, "-c", read))
    has(world.result(task), output="emases nepo\n")
    text = world.run("request-show", task)
    shown = json.loads(text)["task_slices"][0]["properties"]["secret_bytes"]
    same(base64.b64decode(shown), b"<REDACTED>", "secret bytes")
    same(base64.b64encode(b"open sesame").decode() in text, False, "the secret is shown")


def an_idempotent_task_is_reused(world):
    def trigger(text):
        # Of a name that no earlier run used.
        return world.trigger("-idempotent", "-tag", "kind:pure", command=("echo", text))

    first = trigger("pure")
    has(world.result(first), state="COMPLETED", output="pure\n")
    second = trigger("pure")
    has(world.triggered["task_result"], state="COMPLETED", deduped_from=first[:-1] + "1")
    result = world.result(second)
    has(result, deduped_from=first[:-1] + "1", output="pure\n", task_id=second)
    third = trigger("other")
    lacks(world.result(third), "deduped_from")


def no_bot_fits(world):
    task = world.trigger(dimensions=("pool=default", "rack=9"))
    result = world.result(task)
    has(result, state="NO_RESOURCE")
    same("abandoned_ts" in result and "completed_ts" in result, True, "times")
    lacks(result, "bot_id", "started_ts", "run_id")


def an_optional_dimension_is_given_up(world):
    flags = ("-optional-dimension", "rack=9:60")
    task = world.trigger(*flags, dimensions=("pool=default", "rack=2"), command=("echo", "second"))
    has(world.result(task), state="COMPLETED", output="second\n", bot_id="b2", current_task_slice=1)
    same(len(world.json("request-show", task)["task_slices"]), 2, "slices")


def a_task_triggers_another(world):
    nested = f"{world.program} trigger -S {world.url} -dimension pool=default"
    script = f"{nested} -dimension rack=2 -json-output child.json -- echo child >&2 && "
    script += f"{world.program} collect -S {world.url} -requests-json child.json && "
    # This one waits for the bot that its parent is on.
    script += f"{nested} -dimension rack=1 -json-output late.json -- echo late >&2 && cat child.json late.json"
    task = world.trigger(dimensions=("pool=default", "rack=1"), command=bash(script))
    result = world.result(task)
    has(result, state="COMPLETED")
    lacks(result, "exit_code")
    child, late = children(result["output"])
    for one in (child, late):
        has(world.json("request-show", one), parent_task_id=result["run_id"])
    has(world.result(child), state="COMPLETED", output="child\n")
    # Children end with their parent.
    has(world.result(late), state="CANCELED")


def children(output):
    """The ids in the files that a task printed one after another."""
    decoder, found = json.JSONDecoder(), []
    for place in (match.start() for match in re.finditer(r'\{\s*"tasks"', output)):
        written, _ = decoder.raw_decode(output, place)
        found += [task["task_id"] for task in written["tasks"]]
    return found


def many_tasks_are_spawned(world):
    def request(number):
        properties = {
            "command": ["echo", f"spawned {number}"],
            "dimensions": [{"key": "pool", "value": "default"}],
            "execution_timeout_secs": 60,
            "grace_period_secs": 30,
        }
        slices = [{"expiration_secs": 60, "properties": properties, "wait_for_capacity": True}]
        return {
            "name": f"spawned {number}",
            "priority": 30,
            "tags": ["kind:spawned", f"number:{number}"],
            "task_slices": slices,
        }

    file, spawned = world.path("requests.json"), world.path("spawned.json")
    with open(file, "w", encoding="utf-8") as written:
        json.dump({"requests": [request(number) for number in range(5)]}, written)
    world.run("spawn-tasks", "-json-input", file, "-json-output", spawned)
    collected = world.collect("-requests-json", spawned, "-task-output-stdout", "json")
    outputs = sorted(one["output"] for one in collected.values())
    same(outputs, [f"spawned {number}\n" for number in range(5)], "outputs")
    same({one["results"]["user"] for one in collected.values()}, {"joe"}, "users")


def tasks_are_listed(world):
    tasks = world.json("tasks", "-tag", "kind:spawned")
    same(len(tasks), 5, "tasks of a tag")
    ids = [task["task_id"] for task in tasks]
    same(ids, sorted(ids, reverse=True), "newest first")
    same(len(world.json("tasks", "-tag", "kind:spawned", "-limit", "2")), 2, "limited")
    two = ("-tag", "kind:spawned", "-tag", "number:1|3")
    same(len(world.json("tasks", *two)), 2, "two tags, one with two values")
    same(len(world.json("tasks", *two, "-state", "completed")), 2, "completed")
    same(world.json("tasks", *two, "-state", "pending"), [], "pending")
    same(len(world.json("tasks", "-state", "NO_RESOURCE")), 1, "no resource")
    same(world.json("tasks", "-start", str(int(time.time()) + 100)), [], "of the future")


def tasks_are_counted(world):
    start = ("-start", str(int(time.time()) - 3600))
    has(world.json("tasks", "-count", "-tag", "kind:spawned", *start), count=5)
    has(world.json("tasks", "-count", "-state", "DEDUPED", *start), count=1)
    lacks(world.json("tasks", "-count", "-state", "EXPIRED", *start), "count")


def tasks_of_a_bot_are_listed(world):
    tasks = world.json("bot-tasks", "-id", "b1")
    same({task["bot_id"] for task in tasks}, {"b1"}, "bots")
    contains([task["task_id"] for task in tasks], world.task, "tasks")
    same(len(world.json("bot-tasks", "-id", "b1", "-limit", "1")), 1, "limited")
    same(world.json("bot-tasks", "-id", "b1", "-state", "killed"), [], "killed")
    same(world.json("bot-tasks", "-id", "nobody"), [], "of an unknown bot")


def a_waiting_task_is_canceled(world):
    busy = world.trigger(dimensions=("pool=default", "rack=1"), command=("sleep", "60"))
    world.until(busy, "RUNNING")
    has(world.bot("b1"), task_id=busy[:-1] + "1")
    has(world.json("bots", "-count"), busy=1)
    waiting = world.trigger(dimensions=("pool=default", "rack=1"))
    world.run("cancel", waiting)
    result = world.result(waiting)
    has(result, state="CANCELED")
    lacks(result, "started_ts", "bot_id")
    # It is over, so there is nothing to cancel.
    world.run("cancel", waiting, exit_code=1)
    # One that runs is not killed unasked.
    world.run("cancel", busy, exit_code=1)
    same(world.state(busy), "RUNNING", "state")
    world.busy = busy


def a_waiting_task_expires(world):
    flags = ("-expiration", "1")
    task = world.trigger(*flags, dimensions=("pool=default", "rack=1"))
    has(world.result(task), state="EXPIRED")


def a_running_task_is_killed(world):
    world.run("cancel", "-kill-running", world.busy)
    result = world.result(world.busy)
    has(result, state="KILLED", exit_code="-15", failure=True, bot_id="b1")
    same("abandoned_ts" in result, True, "time of the request")
    world.run("cancel", "-kill-running", "65aba3a3e6b99310", exit_code=1)
    same(len(world.json("bot-tasks", "-id", "b1", "-state", "killed")), 1, "killed on the bot")


def a_killed_task_has_grace(world):
    def killed(name, script, *flags):
        ready = world.path(name)
        loop = f"{script}; echo ready; touch {ready}; sleep 60 & wait"
        task = world.trigger(*flags, command=bash(loop))
        wait("the task to be ready", lambda: os.path.exists(ready))
        world.run("cancel", "-kill-running", task)
        return world.result(task)

    tidy = killed("tidy", "trap 'echo tidy; exit 3' TERM")
    has(tidy, state="KILLED", exit_code="3", output="ready\ntidy\n")
    stubborn = killed("stubborn", "trap '' TERM", "-grace-period", "1")
    has(stubborn, state="KILLED", exit_code="-9", output="ready\n")


def tasks_are_canceled_by_tag(world):
    tasks = [world.trigger("-tag", "kind:idle", command=("sleep", "60")) for _ in range(4)]
    wait("two to run", lambda: len(world.json("tasks", "-tag", "kind:idle", "-state", "running")) == 2)
    world.run("cancel-tasks", "-tag", "kind:idle")
    wait("two to go", lambda: len(world.json("tasks", "-tag", "kind:idle", "-state", "canceled")) == 2)
    world.run("cancel-tasks", "-tag", "kind:idle", "-kill-running")
    states = [one["results"]["state"] for one in world.collect(*tasks).values()]
    same(sorted(states), ["CANCELED", "CANCELED", "KILLED", "KILLED"], "states")
    world.run("cancel-tasks", exit_code=1)


def a_task_takes_too_long(world):
    task = world.trigger("-hard-timeout", "2", command=bash("echo begun; sleep 60"))
    has(world.result(task), state="TIMED_OUT", exit_code="-15", failure=True, output="begun\n")


def a_task_is_silent_too_long(world):
    task = world.trigger("-io-timeout", "2", command=bash("echo begun; sleep 60"))
    has(world.result(task), state="TIMED_OUT", exit_code="-15", failure=True, output="begun\n")


def a_command_does_not_exist(world):
    result = world.result(world.trigger(command=("no-such-command",)))
    has(result, state="COMPLETED", exit_code="1", failure=True)
    contains(result["output"], "could not be started", "output")


def inputs_are_missing(world):
    flags = ("-cas-instance", "projects/x/instances/y", "-digest", "a" * 64 + "/12")
    result = world.result(world.trigger(*flags))
    has(result, state="CLIENT_ERROR", internal_failure=True)
    digest = {"hash": "a" * 64, "size_bytes": "12"}
    has(result, missing_cas=[{"cas_instance": "projects/x/instances/y", "digest": digest}])


def a_wrong_request_is_refused(world):
    flags = ("-dimension", "pool=default", "-priority", "256")
    world.run("trigger", *flags, "--", "true", exit_code=1)
    contains(world.stderr, "priority", "stderr")
    world.run("collect", "65aba3a3e6b99310")
    world.run("collect", "not-an-id", exit_code=1)


def a_token_says_who_asks(world):
    helper = world.path("helper")

    def authenticated(token):
        answer = json.dumps({"token": token, "expiry": "Fri Jan  1 00:00:00 UTC 2100"})
        with open(helper, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\necho '{answer}'\n")
        os.chmod(helper, 0o755)
        # The program remembers tokens there.
        world.env["HOME"] = tempfile.mkdtemp(dir=world.directory)
        tags = world.result(world.trigger())["tags"]
        return next(tag for tag in tags if tag.startswith("authenticated:"))

    with open(world.path("data/token"), encoding="utf-8") as file:
        token = file.read().strip()
    world.env["LUCI_AUTH_CREDENTIAL_HELPER"] = helper
    contains(authenticated(token), "authenticated:user:", "tag")
    # An open server takes it from whoever has a token of somebody else.
    same(authenticated("ya29.foreign"), "authenticated:anonymous:anonymous", "tag")
    del world.env["LUCI_AUTH_CREDENTIAL_HELPER"]


def the_server_is_killed(world):
    script = "for i in $(seq 12); do echo $i; sleep 0.5; done"
    task = world.trigger(command=bash(script))
    world.until(task, "RUNNING")
    world.server.kill()
    world.server.wait()
    world.start_server()
    wanted = "".join(f"{number}\n" for number in range(1, 13))
    has(world.result(task), state="COMPLETED", output=wanted)
    has(world.result(world.trigger()), state="COMPLETED")


def a_bot_is_terminated(world):
    world.run("terminate", "-wait", "-reason", "enough", "b2")
    same(world.bots["b2"].wait(10), 0, "exit code of the bot")
    tasks = world.json("tasks", "-tag", "swarming.terminate:1")
    same(len(tasks), 1, "terminations")
    has(tasks[0], state="COMPLETED", name="Terminate b2: enough", bot_id="b2")
    wait("the bot's last word", lambda: world.bot("b2").get("is_dead"))
    has(world.bot("b2"), is_dead=True, termination_task_id=tasks[0]["task_id"])
    has(world.json("bots", "-count"), count=2, dead=1)


def bots_are_deleted(world):
    world.run("delete-bots", "-force", "b2")
    same(world.run("bots", "-bare").split(), ["b1"], "bots")
    world.run("delete-bots", "-force", "b2", exit_code=1)
    contains(world.stderr, "not found", "stderr")


def a_bot_comes_back(world):
    world.start_bot("b2", "rack=2")
    wait("it", lambda: world.run("bots", "-bare").split() == ["b1", "b2"])
    task = world.trigger(dimensions=("pool=default", "id=b2"))
    has(world.result(task), state="COMPLETED", bot_id="b2")


def a_bot_is_told_to_go(world):
    world.bots["b1"].terminate()
    same(world.bots["b1"].wait(10), 0, "exit code of the bot")
    has(world.bot("b1"), is_dead=True)
    lacks(world.bot("b1"), "termination_task_id", "task_id")


def a_task_is_canceled_before_it_begins(world):
    world.start_bot("b3", "rack=4", flags=("--prepare-secs", "2"))
    wait("it", lambda: "b3" in world.run("bots", "-bare").split())
    task = world.trigger(dimensions=("pool=default", "rack=4"), command=("touch", world.path("touched")))
    world.until(task, "RUNNING")
    world.run("cancel", "-kill-running", task)
    result = world.result(task)
    has(result, state="CANCELED", bot_id="b3", output="")
    lacks(result, "exit_code", "failure", "internal_failure")
    same(os.path.exists(world.path("touched")), False, "it ran")


def a_bot_vanishes_with_its_task(world):
    pid = world.path("pid")
    script = f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60"
    task = world.trigger(dimensions=("pool=default", "rack=4"), command=bash(script))
    wait("the task to begin", lambda: os.path.exists(pid))
    world.bots["b3"].kill()
    world.bots["b3"].wait()
    with open(pid, encoding="utf-8") as file:
        os.kill(int(file.read()), signal.SIGKILL)
    # Nobody knows yet; the next process of the bot does not run it.
    same(world.state(task), "RUNNING", "state")
    world.start_bot("b3", "rack=4")
    result = world.result(task)
    has(result, state="BOT_DIED", exit_code="-1", internal_failure=True, bot_id="b3")
    lacks(result, "failure")


def a_bot_leaves_after_its_task(world):
    task = world.trigger(dimensions=("pool=default", "rack=4"), command=bash("sleep 2; echo done"))
    world.until(task, "RUNNING")
    world.bots["b3"].terminate()
    same(world.bots["b3"].wait(30), 0, "exit code of the bot")
    has(world.result(task), state="COMPLETED", output="done\n")
    has(world.bot("b3"), is_dead=True)
    lacks(world.bot("b3"), "task_id")


STEPS = [
    bots_are_listed,
    bots_are_chosen_by_dimension,
    bots_are_counted,
    a_task_runs,
    trigger_says_where_to_look,
    output_goes_where_collect_is_told,
    collect_writes_the_old_summary,
    collect_asks_for_performance,
    long_output_arrives_whole,
    collect_waits_as_told,
    a_request_is_shown,
    a_task_is_reproduced,
    secrets_stay_secret,
    an_idempotent_task_is_reused,
    no_bot_fits,
    an_optional_dimension_is_given_up,
    a_task_triggers_another,
    many_tasks_are_spawned,
    tasks_are_listed,
    tasks_are_counted,
    tasks_of_a_bot_are_listed,
    a_waiting_task_is_canceled,
    a_waiting_task_expires,
    a_running_task_is_killed,
    a_killed_task_has_grace,
    tasks_are_canceled_by_tag,
    a_task_takes_too_long,
    a_task_is_silent_too_long,
    a_command_does_not_exist,
    inputs_are_missing,
    a_wrong_request_is_refused,
    a_token_says_who_asks,
    the_server_is_killed,
    a_bot_is_terminated,
    bots_are_deleted,
    a_bot_comes_back,
    a_bot_is_told_to_go,
    a_task_is_canceled_before_it_begins,
    a_bot_vanishes_with_its_task,
    a_bot_leaves_after_its_task,
]


def tail(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-15:])
    except OSError:
        return ""


def too_long(_number, _frame):
    raise Difference(f"not done after {LONGEST_S} s")


def main():
    phalanx, swarming = (os.path.abspath(path) for path in sys.argv[1:3])
    directory = tempfile.mkdtemp(prefix="swarming-cli-")
    world = World(phalanx, swarming, directory)
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST_S)
    name = "the start"
    try:
        world.start_server()
        world.start_bot("b1", "rack=1", "os=Linux", "os=Debian")
        world.start_bot("b2", "rack=2", "os=Linux")
        for step in STEPS:
            name = step.__name__.replace("_", " ")
            step(world)
            print(f"ok - {name}", flush=True)
    except Exception as error:
        print(f"not ok - {name}: {type(error).__name__}: {error}\n{world.last}")
        for log in ("server", *world.bots):
            print(f"--- end of {log}.log\n{tail(world.path(log + '.log'))}")
        sys.exit(1)
    finally:
        signal.alarm(0)
        world.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{len(STEPS)} steps")


if __name__ == "__main__":
    main()
