"""What a container cannot do although it is root there; tests/agent/test_container.py tries the rest without a microVM."""

ATTACK = ("unshare --user --map-root-user --cgroup --mount sh -c "
          "'mount -t cgroup2 none /mnt && echo mounted && cat /mnt/pids.max && echo max >/mnt/pids.max && echo lifted'; exit 3")


def test_it_cannot_lift_its_own_limits(make_pool):
    pool = make_pool("debian", container={"command": ["/bin/sh", "-c", ATTACK]}, template={"ingress": {"targetPort": 7000}})
    session = pool.session()
    assert session.request("GET", "x").status_code == 500
    text, ended = session.logs()
    lines = text["stdout"].split()
    assert ended["exitCode"] == 3 and lines[0] == "mounted" and int(lines[1]) > 0, text
    assert lines[2:] == [] and "I/O error" in text["stderr"], text  # as dash tells of what it cannot write
