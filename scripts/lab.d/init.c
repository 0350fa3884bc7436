/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of the lab's machine: loads modules, mounts the host's trees, brings the network up, then serves commands.
 * On the second serial line it tells scripts/lab once a second that it lives and how many commands run ("H <n>"), and
 * takes one order there: "Q", power off.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "init.h"
#include "protocol.h"

#define NEW_ROOT       "/newroot"
#define CONFIG_FILE    "/lab.conf"
#define MODULES_FOLDER "/modules"
#define MONITOR_DEVICE "/dev/ttyS1"

static char token[TOKEN_SIZE];
static unsigned int sessions;

static __attribute__((format(printf, 1, 2))) void complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("lab: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

/* The machine is of no use: say why on the console and power off (scripts/lab shows the console's end). */
static _Noreturn void give_up(const char *what)
{
	complain("%s: %s", what, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void make_folders(const char *path)
{
	char partial[4096];

	if (snprintf(partial, sizeof(partial), "%s", path) >= (int)sizeof(partial))
		return;
	for (char *slash = strchr(partial + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(partial, 0755);
		*slash = '/';
	}
	mkdir(partial, 0755);
}

static void mount_on(const char *type, const char *source, const char *path, unsigned long flags, const char *options)
{
	make_folders(path);
	if (mount(source, path, type, flags, options) != 0)
		complain("cannot mount %s on %s: %s", type, path, strerror(errno));
}

/* Modules are stored in the order in which they must be loaded: 00-name.ko, 01-… */
static void load_modules(void)
{
	struct dirent **entries;
	int count = scandir(MODULES_FOLDER, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		char path[512];
		int fd;

		if (entries[i]->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), MODULES_FOLDER "/%s", entries[i]->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0)
			complain("cannot load %s: %s", path, strerror(errno));
		close(fd);
	}
}

/*
 * lab.conf, one setting a line:
 *   token HEX
 *   share TAG OPTIONS PATH     (a 9p share to mount at PATH)
 */
static void mount_shares(void)
{
	char line[8192], path[4200];
	FILE *config = fopen(CONFIG_FILE, "re");

	if (!config)
		give_up(CONFIG_FILE);
	while (fgets(line, sizeof(line), config)) {
		char tag[32], options[256];
		int start = 0;

		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "token ", 6) == 0 && strlen(line + 6) == TOKEN_SIZE) {
			memcpy(token, line + 6, TOKEN_SIZE);
			continue;
		}
		if (sscanf(line, "share %31s %255s %n", tag, options, &start) != 2 || start == 0)
			continue;
		snprintf(path, sizeof(path), NEW_ROOT "%s", line + start);
		mount_on("9p", tag, path, 0, options);
	}
	fclose(config);
	if (!token[0]) {
		errno = EINVAL;
		give_up(CONFIG_FILE " without a token");
	}
}

/* The host's root stays as it is; what is written over it lives in memory. */
static void mount_root(void)
{
	mount_on("tmpfs", "tmpfs", "/layer", 0, "mode=755");
	make_folders("/layer/host");
	make_folders("/layer/upper");
	make_folders("/layer/work");
	make_folders(NEW_ROOT);
	if (mount("root", "/layer/host", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L,msize=512000,cache=loose") !=
	    0)
		give_up("cannot mount the host's root");
	if (mount("overlay", NEW_ROOT, "overlay", 0,
		  "lowerdir=/layer/host,upperdir=/layer/upper,workdir=/layer/work") != 0)
		give_up("cannot mount the writable layer over the host's root");
}

static void mount_system(void)
{
	static const struct {
		const char *type, *path, *options;
	} mounts[] = {
		{ "devtmpfs", NEW_ROOT "/dev", "mode=755" },
		{ "proc", NEW_ROOT "/proc", NULL },
		{ "sysfs", NEW_ROOT "/sys", NULL },
		{ "devpts", NEW_ROOT "/dev/pts", "mode=620,gid=5,ptmxmode=666" },
		{ "tmpfs", NEW_ROOT "/dev/shm", "mode=1777" },
		{ "tmpfs", NEW_ROOT "/run", "mode=755" },
		{ "tmpfs", NEW_ROOT "/tmp", "mode=1777" },
		{ "tmpfs", NEW_ROOT "/var/tmp", "mode=1777" },
		/* Creating a VM attaches a kernel thread to cgroups; without favordynmods that waits for RCU. */
		{ "cgroup2", NEW_ROOT "/sys/fs/cgroup", "favordynmods" },
	};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++)
		mount_on(mounts[i].type, mounts[i].type, mounts[i].path, 0, mounts[i].options);
	make_folders(NEW_ROOT "/run/lock");
}

/* rootfs cannot be pivoted; moving the new root over it and chroot is what every initramfs does. */
static void enter_root(void)
{
	if (chdir(NEW_ROOT) != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
		give_up("cannot enter the new root");
}

static void set_address(int fd, const char *name, const char *address, const char *mask)
{
	struct ifreq request = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, address, &in->sin_addr);
	if (ioctl(fd, SIOCSIFADDR, &request) != 0)
		complain("%s: cannot set the address: %s", name, strerror(errno));
	inet_pton(AF_INET, mask, &in->sin_addr);
	ioctl(fd, SIOCSIFNETMASK, &request);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		complain("%s: cannot bring it up: %s", name, strerror(errno));
}

/* QEMU's user network has fixed addresses: we are 10.0.2.15, the way out is 10.0.2.2. */
static void start_network(void)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	struct sockaddr_in *gateway = (struct sockaddr_in *)&route.rt_gateway;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	set_address(fd, "lo", "127.0.0.1", "255.0.0.0");
	set_address(fd, "eth0", "10.0.2.15", "255.255.255.0");
	gateway->sin_family = AF_INET;
	inet_pton(AF_INET, "10.0.2.2", &gateway->sin_addr);
	route.rt_dst.sa_family = AF_INET;
	route.rt_genmask.sa_family = AF_INET;
	if (ioctl(fd, SIOCADDRT, &route) != 0)
		complain("cannot set the default route: %s", strerror(errno));
	close(fd);
	if (sethostname("lab", 3) != 0)
		complain("cannot set the host name: %s", strerror(errno));
}

static int listen_for_clients(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(LAB_PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	/* Only what QEMU forwards comes to this address. */
	inet_pton(AF_INET, "10.0.2.15", &address.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 64) != 0)
		give_up("cannot listen for commands");
	return fd;
}

static int open_monitor(void)
{
	struct termios raw;
	int fd = open(MONITOR_DEVICE, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || tcgetattr(fd, &raw) != 0)
		give_up(MONITOR_DEVICE);
	cfmakeraw(&raw);
	tcsetattr(fd, TCSANOW, &raw);
	return fd;
}

static void send_heartbeat(int monitor)
{
	char line[32];
	int length = snprintf(line, sizeof(line), "H %u\n", sessions);

	/* A full line buffer means that nobody listens; the next beat says the same. */
	if (write(monitor, line, (size_t)length) < 0)
		return;
}

static _Noreturn void power_off(void)
{
	kill(-1, SIGTERM);
	for (int tenths = 0; tenths < 20 && waitpid(-1, NULL, WNOHANG) >= 0; tenths++)
		usleep(100000);
	kill(-1, SIGKILL);
	sync();
	reboot(RB_POWER_OFF);
	_exit(0);
}

static void take_orders(int monitor)
{
	char orders[64];
	ssize_t got = read(monitor, orders, sizeof(orders));

	if (got > 0 && memchr(orders, 'Q', (size_t)got))
		power_off();
}

static void accept_client(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	pid_t pid;

	if (fd < 0)
		return;
	pid = fork();
	if (pid == 0)
		session_serve(fd, token);
	if (pid > 0)
		sessions++;
	close(fd);
}

/* Children are sessions, and orphans of commands that have ended. Sessions are known by their process group: ours. */
static void reap(void)
{
	siginfo_t info;

	while (info.si_pid = 0, waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
		if (getpgid(info.si_pid) == getpgrp() && sessions > 0)
			sessions--;
		waitpid(info.si_pid, NULL, 0);
	}
}

static _Noreturn void serve(void)
{
	struct itimerspec second = { .it_interval.tv_sec = 1, .it_value.tv_nsec = 1 };
	struct pollfd fds[4];
	sigset_t children;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	fds[0] = (struct pollfd) { .fd = listen_for_clients(), .events = POLLIN };
	fds[1] = (struct pollfd) { .fd = open_monitor(), .events = POLLIN };
	fds[2] = (struct pollfd) { .fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN };
	fds[3] = (struct pollfd) { .fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), .events = POLLIN };
	timerfd_settime(fds[3].fd, 0, &second, NULL);

	for (;;) {
		struct signalfd_siginfo signals[8];
		unsigned int before = sessions;
		uint64_t ticks;

		if (poll(fds, 4, -1) < 0)
			continue;
		if (fds[0].revents)
			accept_client(fds[0].fd);
		if (fds[1].revents)
			take_orders(fds[1].fd);
		if (fds[2].revents && read(fds[2].fd, signals, sizeof(signals)) > 0)
			reap();
		if (fds[3].revents ? read(fds[3].fd, &ticks, sizeof(ticks)) > 0 : sessions != before)
			send_heartbeat(fds[1].fd);
	}
}

int main(void)
{
	struct rlimit files = { .rlim_cur = 1024, .rlim_max = 524288 };

	if (getpid() != 1) {
		complain("this is the lab's init; scripts/lab starts it");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	mount_on("devtmpfs", "devtmpfs", "/dev", 0, "mode=755");
	load_modules();
	mount_root();
	mount_system();
	mount_shares();
	start_network();
	enter_root();
	/* What systemd gives to processes on an ordinary Debian; the kernel's own default is 4096. */
	setrlimit(RLIMIT_NOFILE, &files);
	serve();
}
