"""Runs the plan: starts what each step needs, runs inside.py beside it, collects what it says."""

import json
import subprocess
import sys
import time

import plan

LEAST_SECONDS = 5.0
GRACE_S = 240  # beyond a step's own time: preparing it, and one run that hangs
MOST_SESSIONS = 48


class StepFailed(Exception):
    pass


class Runner:
    def __init__(self, root, host, service, results, say, memory_mib):
        self.root, self.host, self.service, self.results, self.say = root, host, service, results, say
        self.memory_mib = memory_mib
        self.serving = ""
        # Beside hearthd: the lab's view of a checkout is a file system that cannot be mapped.
        self.scratch = host.run("mktemp", "--directory", "--tmpdir=/tmp", "hearth-bench-XXXXXXXX").strip()
        self.deadline = time.monotonic() + plan.TOTAL_SECONDS
        self.nginx = subprocess.run([f"{root}/scripts/nginx"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        self.options, self.concurrency, self.clones = (), (1, 2, 4), 4

    def close(self):
        """Ends what runs and removes what was made beside it."""
        self.service.stop()
        if self.scratch:
            self.host.run("rm", "--recursive", "--force", self.scratch)

    # ---- services ----

    def serve(self, kind):
        """Makes the service of that kind the one that runs; "" for none."""
        if kind == self.serving:
            return
        self.service.stop()
        self.serving = ""
        if kind:
            self.say(plan.SERVICE_TITLES[kind])
            self.service.start("--session-memory-mib", str(self.memory_mib), "--max-sessions", str(MOST_SESSIONS),
                               *self.service_options(kind), *self.options)
            self.serving = kind

    def service_options(self, kind):
        """The default pool is the one that is measured."""
        return ("--ready-sessions", str(plan.READY if kind == plan.STOCK else 0), "--boot-always",
                "true" if kind == plan.COLD else "false", "--template-dir", f"{self.scratch}/templates", "--database",
                f"{self.scratch}/hearth.db", "--image-dir", f"{self.scratch}/container-images")

    def settings(self, step, seconds):
        settings = {"runs": step.runs, "seconds": seconds, "least": step.least, "memory_mib": self.memory_mib,
                    "kernel": f"{self.root}/build/images/vmlinux",
                    "image": f"{self.root}/build/images/code-interpreter.erofs",
                    "image_dir": f"{self.scratch}/container-images"}
        if step.service:
            settings.update({
                "url": "http://127.0.0.1:8080" if self.host.is_lab else self.service.url,
                "token_file": self.host.environment["HEARTH_TOKEN_FILE"], "hearthd_pid": self.service.hearthd_pid(),
                "ready": plan.READY if step.service == plan.STOCK else 0, "boots": step.service == plan.COLD,
                "template_dir": f"{self.scratch}/templates", "nginx": self.nginx, "passt": f"{self.root}/build/passt",
                "pause_s": 0.5 if self.host.is_lab else 0.1, "body_mib": 64 if self.host.is_lab else 1024,
                "concurrency": self.concurrency, "clones": self.clones})
        return settings

    # ---- steps ----

    def run(self, steps):
        for index, step in enumerate(steps):
            self.results.begin(step)
            try:
                self.serve(step.service)
                self.step(step, self.share(step, steps[index + 1:]))
            except (StepFailed, RuntimeError) as error:
                self.results.skipped[step.name] = f"it failed: {error}"
                self.say(f"{step.name}: failed: {error}")
        self.serve("")

    def share(self, step, later):
        """The step's seconds, less if the time that is left does not do for it and those after it."""
        left = self.deadline - time.monotonic()
        wanted = step.seconds + sum(other.seconds for other in later)
        return max(LEAST_SECONDS, step.seconds * min(1.0, left / wanted))

    def step(self, step, seconds, **more):
        self.say(f"{step.name}: {step.title}")
        settings = json.dumps({**self.settings(step, seconds), **more})
        limit = seconds + GRACE_S
        command = ["/usr/bin/python3", "scripts/bench.d/inside.py", step.name, settings]
        command = (["scripts/lab", "--timeout", f"{limit:.0f}", "--", *command] if self.host.is_lab
                   else ["timeout", f"{limit:.0f}", *command])
        process = subprocess.Popen(command, cwd=self.root, env=self.host.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True)
        try:
            n_runs = sum(self.take(step, line) for line in process.stdout)
        except BaseException:
            process.terminate()
            raise
        finally:
            process.stdout.close()
            status = process.wait()
        if status != 0:
            raise StepFailed(f"inside.py {step.name} ended with status {status} after {n_runs} runs")

    def take(self, step, line):
        """One line of inside.py; 1 if it was a run."""
        try:
            item = json.loads(line)
        except ValueError as error:
            raise StepFailed(f"{step.name} printed {line[:200]!r}") from error
        self.results.take(step.name, item)
        self.progress(step, item)
        return "ms" in item

    def progress(self, step, item):
        runs = self.results.runs.get(step.name, ())
        if "ms" in item:
            if len(runs) <= 3 or len(runs) % 10 == 0:
                self.say(f"  run {len(runs)}: {item['ms']:.1f} ms")
        elif "series" not in item:
            self.say("  " + ", ".join(f"{key} {value}" for key, value in item.items()))


def progress_line(began):
    def say(text):
        print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)
    return say
