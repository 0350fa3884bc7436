"""What was measured where: the facts that stand above every report."""

import os
import platform
import subprocess
import time


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def first_line(*command):
    """What a program says of its version; "" if it is not there."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, errors="replace", timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip().split("\n")[0] if result.returncode == 0 else ""


def facts(root, host, memory_mib):
    """`host` runs commands where the microVMs run."""
    release, memory = (host.run("uname", "-r").strip(), host.run("grep", "MemTotal", "/proc/meminfo").split())
    version = first_line(os.path.join(root, "build", "hearth-vmm"), "--version")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "accelerator": host.accel,
        "processor": processor(),
        "cpus": os.cpu_count() or 1,
        "memory_mib": int(memory[1]) // 1024 if len(memory) > 1 else 0,
        "load": round(os.getloadavg()[0], 1),
        "kernel": release,
        "host_kernel": platform.release(),
        "versions": {name: text for name, text in (
            ("hearth", version), ("qemu", first_line("qemu-system-x86_64", "--version")),
            ("crun", first_line("crun", "--version")), ("runc", first_line("runc", "--version")),
            ("python", platform.python_version())) if text},
        "guest_kernel": os.path.basename(os.path.realpath(os.path.join(root, "build/images/vmlinux"))),
        "guest_image": os.path.basename(os.path.realpath(os.path.join(root, "build/images/code-interpreter.erofs"))),
        "session_memory_mib": memory_mib,
        "session_cpus": 1,
    }


def sentences(machine):
    """The same for people: a list of lines."""
    where = "in the lab (software emulation of AMD-V)" if machine["accelerator"] == "lab" else "on this machine's KVM"
    lines = [f"{machine['date']}, {where}: {machine['cpus']} CPUs ({machine['processor']}), "
             f"{machine['memory_mib']} MiB, Linux {machine['kernel']}; load average {machine['load']} before it began",
             "; ".join(f"{name}: {text}" for name, text in machine["versions"].items()),
             f"guest: {machine['guest_kernel']}, {machine['guest_image']}, {machine['session_memory_mib']} MiB, "
             f"{machine['session_cpus']} vCPU"]
    if machine["accelerator"] == "lab":
        lines.append("The lab is 10 to 20 times slower than hardware: its times compare with one another only.")
    return lines
