"""The nginx that hearthd is compared with: one process, without a log."""

import os

PORT = 8099
TEMPORARY = "client_body", "proxy", "fastcgi", "uwsgi", "scgi"


def command(program, folder, http):
    """What starts it, with `http` as the rest of its configuration, and all that it writes in the folder."""
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    with open(os.path.join(folder, "nginx.conf"), "w", encoding="ascii") as file:
        file.write(f"daemon off; master_process off; pid {folder}/pid; worker_rlimit_nofile 4096;\n"
                   f"events {{ worker_connections 1024; }}\nhttp {{ access_log off; {temporary} {http} }}\n")
    return [program, "-p", folder, "-e", "/dev/null", "-c", f"{folder}/nginx.conf"]
