"""What the benchmark measures, in which order, how often, and for how long at most."""

from dataclasses import dataclass

import peers

# Which hearthd a workload wants: one that always boots, one that keeps a stock of ready clones, one that keeps none.
COLD, STOCK, BARE = "cold", "stock", "bare"
READY = 4  # clones in the stock


@dataclass
class Step:
    """One workload. It ends after `runs` runs, or sooner when `seconds` are over and `least` runs were made."""

    name: str
    title: str
    runs: int
    seconds: float
    least: int = 3
    service: str = ""  # "": none
    figure: str = ""  # its name in the report; "" for none

    def scaled(self, runs=None, quick=False):
        """With another number of runs, or few of them."""
        if quick:
            return Step(self.name, self.title, min(self.runs, 5), self.seconds / 6, min(self.least, 2), self.service,
                        self.figure)
        if runs and self.runs > 1:
            return Step(self.name, self.title, runs, self.seconds * max(1.0, runs / self.runs), self.least,
                        self.service, self.figure)
        return self


# What is compared with one another is measured one after the other: an emulated machine gets slower with its age.
HEARTH = (
    Step("cold_start", "cold start: POST on a new identifier to the result, by booting", 50, 80, 8, COLD, "cold_start_ms"),
    Step("image_import", "container images from Debian's packages (scripts/example-images), imported one after the other", 1,
         10, 1),
    Step("echo_cold_start", "a session of the echo image: GET on a new identifier to the answer, by booting", 12, 14, 5, COLD,
         "echo_cold_start_ms"),
    Step("service_cold_start", "a session of the service image (Python), likewise", 4, 12, 2, COLD, "service_cold_start_ms"),
    Step("restore_start", "restore on demand: the stock is empty, a template is there", 50, 60, 50, BARE,
         "restore_start_ms"),
    Step("reused_execution", "the same print(1) in a session that was used before", 60, 40, 40, BARE,
         "reused_execution_ms"),
    Step("warm_start", "warm start: the same, from the stock of ready clones", 60, 45, 40, STOCK, "warm_start_ms"),
    Step("overhead", "what hearthd adds to an execution: HTTP's time without the code's", 60, 15, 50, STOCK, "overhead_ms"),
    Step("throughput", "sessions started, used and ended a second, by clients", 1, 30, 1, STOCK),
    Step("neighbours", "print(1) in a used session, beside ten that burn CPU, memory, disk and output", 300, 65, 300,
         STOCK, "neighbour_busy_ms"),
    Step("footprint", "memory of ready and of used sessions", 1, 20, 1, STOCK),
    Step("health_requests", "GET /healthz by wrk, beside nginx with a file", 1, 15, 1, BARE),
    Step("transfer", "a file of 100 MiB to a session and back, beside cp", 1, 35, 1, BARE),
    Step("network", "32 MiB to and from a session with a network, beside pasta (passt without a VM)", 1, 30, 1, BARE),
    Step("fork", "fork: a copy of a live session, order to its first result", 50, 40, 10, BARE, "fork_ms"),
    Step("resume", "resume: POST in a suspended session to its result", 50, 50, 10, BARE, "resume_ms"),
    Step("restore_counts", "hearth-vmm alone: a clone's start, restore, first byte of the agent, print(1)", 50, 30, 5,
         BARE, "vmm_restore_ms"),
    Step("isolation", "what the jail adds: starts of two services in turn, one of them with unsafe-no-jail", 30, 65, 10, BARE),
    Step("echo_warm_start", "a session of the echo image: the same, from its stock of ready clones", 20, 12, 10, BARE,
         "echo_warm_start_ms"),
    Step("service_warm_start", "a session of the service image, likewise", 10, 10, 5, BARE, "service_warm_start_ms"),
    Step("proxied_requests", "small requests to a container by wrk, beside nginx and the same server without a VM", 1, 30, 1,
         BARE),
    Step("proxied_bodies", "a large body from a container and to it, beside the same nginx", 1, 15, 1, BARE),
    Step("proxied_streams", "200 streams of containers at once, and hearthd's memory", 1, 10, 1, BARE),
)
NEXT_TO_COLD_START = "qemu_microvm_cold"
SERVICE_TITLES = {COLD: "a hearthd that boots each session", STOCK: f"a hearthd with {READY} ready clones",
                  BARE: "a hearthd without ready clones"}
SCALES = {  # what is counted, how many without a word, and of which service
    "sessions": ("sessions alive at once, each having run code", 200, STOCK),
    "ready": ("ready clones", 1000, BARE),
    "container_sessions": ("sessions of one container image alive at once, each answering", 100, BARE),
    "proxied_body": ("MiB of one body from a container and to it, beside nginx, and hearthd's memory", 1024, BARE),
    "executions": ("executions in one session, and hearthd's memory before and after", 10000, STOCK),
    "churn": ("sessions started, used and ended in a row", 2000, STOCK),
}
TOTAL_SECONDS = 14.5 * 60  # the whole run; what then is still to do, is done with the least runs


def steps():
    """All of them. The peers come last, when Hearth's own services have ended; but QEMU's cold start follows ours at once."""
    result = list(HEARTH)
    for name in peers.NAMES:
        peer = peers.load(name)
        step = Step(name, peer.TITLE, peer.RUNS, peer.SECONDS, 3, figure=f"{name}_ms")
        result.insert(1 if name == NEXT_TO_COLD_START else len(result), step)
    return result


def select(all_steps, names):
    """Those that are named, in the order of the plan; all of them if none is."""
    known = [step.name for step in all_steps]
    for name in names:
        if name not in known:
            raise ValueError(f"there is no workload {name}; there are {', '.join(known)}")
    return [step for step in all_steps if not names or step.name in names]
