/*
 * hearth-netd: the way of one microVM to the network. Start-up in the order in which it happens, then the event loop: frames
 * and datagrams go to the gate (vmm/network/gate.h), which decides, and come back from it.
 */
#include "common/cleanup.h"
#include "common/log.h"
#include "common/send_buffer.h"
#include "vmm/network/gate.h"
#include "vmm/network/nanoseconds.h"
#include "vmm/network/options.h"
#include "vmm/network/passt.h"
#include "vmm/network/resolvers.h"
#include "vmm/seccomp_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	VMM_FD = 3,
	LOG_FD = 4,
	DESCRIPTORS = 32 + RESOLVER_SOCKETS_MAX + FLOWS_UDP_MAX,
	ADDRESS_SPACE_MIB = 64,
	EVENTS_MAX = 32,
	FRAMES_AT_ONCE = 64, /* of one side, before the others have their turn */
	SOCKET_BUFFER = 1 << 20,
};

/* What an event is about: one of these, and an index. */
enum source { SOURCE_VMM, SOURCE_PASST, SOURCE_SIGNAL, SOURCE_RESOLVER, SOURCE_FLOW };

struct netd {
	int epoll, signals;
	enum network_exit status;
	bool has_ended;
	bool is_guest_behind; /* `stalled` waits until the VMM takes it */
	uint8_t *stalled;
	size_t stalled_size;
	uint32_t vmm_events, passt_events; /* that are waited for */
	int64_t tick_ns;
	struct resolvers resolvers;
	struct policy policy;
	struct passt passt;
	struct gate gate;
	uint8_t frame[NETWORK_FRAME_MAX + 1];
};

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static void end(struct netd *netd, enum network_exit status)
{
	if (!netd->has_ended)
		netd->status = status;
	netd->has_ended = true;
}

static int watch(const struct netd *netd, int operation, int fd, uint32_t events, enum source source, unsigned index)
{
	struct epoll_event event = { .events = events, .data.u64 = (uint64_t)source << 32 | index };

	return epoll_ctl(netd->epoll, operation, fd, &event) < 0 ? -errno : 0;
}

/* Reads from each side only while the other takes what is read. */
static void update_watches(struct netd *netd)
{
	const bool is_passt_behind = passt_is_behind(&netd->passt);
	const uint32_t vmm = (is_passt_behind ? 0 : EPOLLIN) | (netd->is_guest_behind ? EPOLLOUT : 0);
	const uint32_t passt = (netd->is_guest_behind ? 0 : EPOLLIN) | (is_passt_behind ? EPOLLOUT : 0);

	if (vmm != netd->vmm_events)
		watch(netd, EPOLL_CTL_MOD, VMM_FD, vmm, SOURCE_VMM, 0);
	if (passt != netd->passt_events)
		watch(netd, EPOLL_CTL_MOD, netd->passt.fd, passt, SOURCE_PASST, 0);
	netd->vmm_events = vmm;
	netd->passt_events = passt;
}

/* ---- what the gate sends ----------------------------------------------------------------------------------------- */

/* False if there is no room. An error is the end of the VMM, which its socket will tell. */
static bool send_to_guest(const uint8_t *frame, size_t size)
{
	return send(VMM_FD, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static void to_guest(void *opaque, const uint8_t *frame, size_t size)
{
	(void)opaque;
	send_to_guest(frame, size);
}

static void to_passt(void *opaque, const uint8_t *frame, size_t size)
{
	struct netd *netd = opaque;

	if (passt_send(&netd->passt, frame, size) < 0)
		end(netd, NETWORK_EXIT_PASST);
}

static int udp_open(void *opaque, struct flow *flow)
{
	struct netd *netd = opaque;
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(flow->destination),
		.sin_port = htons(flow->destination_port),
	};
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int status;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	status = watch(netd, EPOLL_CTL_ADD, fd, EPOLLIN, SOURCE_FLOW, (unsigned)(flow - netd->gate.flows.entries));
	if (status == 0)
		flow->fd = steal_fd(&fd);
	return status;
}

static int udp_send(void *opaque, const struct flow *flow, const uint8_t *payload, size_t size)
{
	(void)opaque;
	return send(flow->fd, payload, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void udp_close(void *opaque, struct flow *flow)
{
	(void)opaque;
	close(steal_fd(&flow->fd));
}

static uint16_t random16(void *opaque)
{
	uint16_t value = 0;

	(void)opaque;
	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		return (uint16_t)clock_ns();
	return value;
}

static int ask(void *opaque, unsigned attempt, const uint8_t *query, size_t size)
{
	const struct netd *netd = opaque;

	return resolvers_ask(&netd->resolvers, attempt, random16(NULL), query, size);
}

/* ---- what comes -------------------------------------------------------------------------------------------------- */

static void vmm_ready(struct netd *netd)
{
	for (unsigned i = 0; i < FRAMES_AT_ONCE && !netd->has_ended && !passt_is_behind(&netd->passt); i++) {
		/* MSG_TRUNC: the true size, so that a frame that is too long is seen as one. */
		const ssize_t size = recv(VMM_FD, netd->frame, sizeof(netd->frame), MSG_DONTWAIT | MSG_TRUNC);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <= 0)
			end(netd, NETWORK_EXIT_ENDED);
		else
			gate_from_guest(&netd->gate, netd->frame, (size_t)size, clock_ns());
	}
}

/* Frames that have come from passt, as long as the guest takes them. */
static void pass_on(struct netd *netd)
{
	uint8_t *frame;
	size_t size;
	int status = 0;

	if (netd->is_guest_behind && !send_to_guest(netd->stalled, netd->stalled_size))
		return;
	netd->is_guest_behind = false;
	while (!netd->is_guest_behind && (status = passt_next(&netd->passt, &frame, &size)) > 0) {
		if (!gate_from_passt(&netd->gate, frame, &size, clock_ns()) || send_to_guest(frame, size))
			continue;
		netd->is_guest_behind = true;
		netd->stalled = frame;
		netd->stalled_size = size;
	}
	if (status < 0) {
		log_error("passt does not keep to its protocol");
		end(netd, NETWORK_EXIT_PASST);
	}
}

static void passt_ready(struct netd *netd, uint32_t events)
{
	if (events & EPOLLOUT && passt_flush(&netd->passt) < 0)
		end(netd, NETWORK_EXIT_PASST);
	if (netd->is_guest_behind) { /* what has come lies where it would be read to */
		if (events & (EPOLLHUP | EPOLLERR))
			end(netd, NETWORK_EXIT_PASST);
		return;
	}
	for (unsigned i = 0; i < FRAMES_AT_ONCE && !netd->is_guest_behind && !netd->has_ended; i++) {
		const int status = passt_receive(&netd->passt);

		if (status < 0)
			end(netd, NETWORK_EXIT_PASST);
		if (status <= 0)
			return;
		pass_on(netd);
	}
}

static void resolver_ready(struct netd *netd, unsigned index)
{
	uint8_t message[DNS_ANSWER_MAX + 1];

	for (unsigned i = 0; i < FRAMES_AT_ONCE; i++) {
		const ssize_t size = recv(netd->resolvers.sockets[index], message, sizeof(message), MSG_DONTWAIT);

		if (size < 0) /* an error is told once, and the question's time runs out */
			return;
		gate_from_resolver(&netd->gate, (int)index, message, (size_t)size, clock_ns());
	}
}

static void flow_ready(struct netd *netd, unsigned index)
{
	struct flow *flow = &netd->gate.flows.entries[index];

	for (unsigned i = 0; i < FRAMES_AT_ONCE; i++) {
		ssize_t size;

		if (flow->protocol != PROTOCOL_UDP || flow->fd < 0) /* closed since the event was seen */
			return;
		size = recv(flow->fd, gate_datagram_buffer(&netd->gate), FRAME_UDP_PAYLOAD_MAX,
			    MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		gate_from_udp(&netd->gate, flow, size < 0 ? -errno : size, clock_ns());
	}
}

static void handle(struct netd *netd, const struct epoll_event *event)
{
	const unsigned index = (unsigned)(event->data.u64 & UINT32_MAX);
	struct signalfd_siginfo info;

	switch ((enum source)(event->data.u64 >> 32)) {
	case SOURCE_VMM:
		if (event->events & EPOLLOUT)
			pass_on(netd);
		if (event->events & EPOLLIN)
			vmm_ready(netd);
		else if (event->events & (EPOLLHUP | EPOLLERR))
			end(netd, NETWORK_EXIT_ENDED);
		return;
	case SOURCE_PASST:
		passt_ready(netd, event->events);
		return;
	case SOURCE_SIGNAL:
		if (read(netd->signals, &info, sizeof(info)) == sizeof(info))
			end(netd, NETWORK_EXIT_ENDED);
		return;
	case SOURCE_RESOLVER:
		resolver_ready(netd, index);
		return;
	case SOURCE_FLOW:
		flow_ready(netd, index);
		return;
	}
}

static void run(struct netd *netd)
{
	struct epoll_event events[EVENTS_MAX];
	bool has_deadlines = false;

	while (!netd->has_ended) {
		const int n = epoll_wait(netd->epoll, events, EVENTS_MAX, has_deadlines ? GATE_TICK_MS : -1);
		int64_t now_ns;

		if (n < 0 && errno != EINTR) {
			log_error("cannot wait for events: %s", strerror(errno));
			end(netd, NETWORK_EXIT_FAILURE);
		}
		for (int i = 0; i < n && !netd->has_ended; i++)
			handle(netd, &events[i]);
		now_ns = clock_ns();
		if (!has_deadlines || now_ns - netd->tick_ns >= GATE_TICK_MS * NS_PER_MS) {
			has_deadlines = gate_tick(&netd->gate, now_ns);
			netd->tick_ns = now_ns;
		}
		update_watches(netd); /* last: a tick, too, may leave something to be sent */
	}
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static int read_policy(struct policy *policy, const char *path, struct error *err)
{
	static char text[NETWORK_POLICY_SIZE_MAX + 1];
	FILE *file = fopen(path, "re");
	size_t size;

	if (!file)
		return error_set(err, errno, "%s: %s", path, strerror(errno));
	size = fread(text, 1, sizeof(text), file);
	fclose(file);
	if (size > NETWORK_POLICY_SIZE_MAX)
		return error_set(err, E2BIG, "%s: more than %d bytes", path, NETWORK_POLICY_SIZE_MAX);
	if (policy_parse(policy, text, size, err) < 0)
		return error_wrap(err, "%s", path);
	return 0;
}

/* The two that were inherited become VMM_FD and LOG_FD, and there are no others. */
static int place_descriptors(const struct netd_options *options, struct error *err)
{
	const int vmm = fcntl(options->vmm_fd, F_DUPFD_CLOEXEC, LOG_FD + 1);
	const int log = fcntl(options->log_fd, F_DUPFD_CLOEXEC, LOG_FD + 1);
	int type = 0;
	socklen_t size = sizeof(type);
	struct stat file;

	if (vmm < 0 || getsockopt(vmm, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET)
		return error_set(err, EINVAL, "--vmm %d is no socket of type SOCK_SEQPACKET", options->vmm_fd);
	if (log < 0 || fstat(log, &file) < 0)
		return error_set(err, EINVAL, "--log %d is no open descriptor", options->log_fd);
	if (dup3(vmm, VMM_FD, O_CLOEXEC) < 0 || dup3(log, LOG_FD, O_CLOEXEC) < 0)
		return error_set(err, errno, "cannot place descriptors: %s", strerror(errno));
	close_range(LOG_FD + 1, UINT_MAX, 0);
	/* A pipe that nobody reads must not hold us up. */
	if (!S_ISREG(file.st_mode))
		fcntl(LOG_FD, F_SETFL, fcntl(LOG_FD, F_GETFL) | O_NONBLOCK);
	send_buffer_want(VMM_FD, SOCKET_BUFFER);
	return 0;
}

static int catch_signals(struct netd *netd, struct error *err)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN); /* passt's end is seen by its socket's */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	netd->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return netd->signals < 0 ? error_set(err, errno, "no signalfd: %s", strerror(errno)) : 0;
}

static int open_loop(struct netd *netd, struct error *err)
{
	int status;

	netd->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (netd->epoll < 0)
		return error_set(err, errno, "no epoll: %s", strerror(errno));
	netd->vmm_events = netd->passt_events = EPOLLIN;
	status = watch(netd, EPOLL_CTL_ADD, VMM_FD, EPOLLIN, SOURCE_VMM, 0);
	if (status == 0)
		status = watch(netd, EPOLL_CTL_ADD, netd->passt.fd, EPOLLIN, SOURCE_PASST, 0);
	if (status == 0)
		status = watch(netd, EPOLL_CTL_ADD, netd->signals, EPOLLIN, SOURCE_SIGNAL, 0);
	for (unsigned i = 0; i < netd->resolvers.n * RESOLVER_SOCKETS && status == 0; i++)
		status = watch(netd, EPOLL_CTL_ADD, netd->resolvers.sockets[i], EPOLLIN, SOURCE_RESOLVER, i);
	return status < 0 ? error_set(err, -status, "cannot watch: %s", strerror(-status)) : 0;
}

static int filter_calls(struct error *err)
{
	enum { NETD = 1 };
	static const struct seccomp_rule rules[] = {
#include "vmm/network/seccomp_rules.h"
	};

	seccomp_filter_prepare();
	return seccomp_filter_enter(rules, sizeof(rules) / sizeof(rules[0]), NETD, err);
}

/* From here on nothing can be opened but sockets of UDP, and what is read next was written by others. */
static int enter_jail(struct jail *jail, struct error *err)
{
	char lacks[JAIL_LACKS_SIZE] = "";

	jail->n_descriptors = DESCRIPTORS;
	jail->keeps_network = true;
	jail->filter = filter_calls;
	if (jail_limit(jail, (uint64_t)ADDRESS_SPACE_MIB << 20, RLIM_INFINITY, err) < 0 ||
	    jail_enter(jail, lacks, err) < 0)
		return -err->code;
	if (jail->mode == JAIL_OFF)
		log_warn("not jailed (--jail off)");
	else if (*lacks)
		log_info("the jail lacks something here: %s", lacks);
	return 0;
}

static int start(struct netd *netd, struct netd_options *options, int64_t start_ns, struct error *err)
{
	const struct gate_output output = {
		.opaque = netd,
		.to_guest = to_guest,
		.to_passt = to_passt,
		.udp_open = udp_open,
		.udp_send = udp_send,
		.udp_close = udp_close,
		.ask = ask,
		.random = random16,
	};

	if (place_descriptors(options, err) < 0 || policy_learn_host_addresses(&netd->policy, err) < 0 ||
	    catch_signals(netd, err) < 0 ||
	    resolvers_open(&netd->resolvers, options->resolvers, options->n_resolvers, err) < 0 ||
	    passt_start(&netd->passt, options->passt, &options->jail, err) < 0 || open_loop(netd, err) < 0)
		return -err->code;
	if (netd->resolvers.n == 0)
		log_warn("this machine has no resolver: the guest cannot look up names");
	gate_open(&netd->gate, &netd->policy, &output, LOG_FD);
	if (enter_jail(&options->jail, err) < 0)
		return -err->code;
	log_info("ready took_us=%lld", (long long)(clock_ns() - start_ns) / 1000);
	return 0;
}

static int use(const struct error *err)
{
	fprintf(stderr, "hearth-netd: %s\nTry hearth-netd --help.\n", err->text);
	return NETWORK_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static struct netd netd;
	const int64_t start_ns = clock_ns();
	struct netd_options options;
	struct error err = { 0 };
	char identity[64];

	if (netd_options_parse(&options, argc, argv, &err) < 0)
		return use(&err);
	if (options.command == NETD_HELP || options.command == NETD_VERSION) {
		fputs(options.command == NETD_HELP ? netd_options_help : "hearth-netd " HEARTH_VERSION "\n", stdout);
		return NETWORK_EXIT_ENDED;
	}
	if (read_policy(&netd.policy, options.policy, &err) < 0)
		return use(&err);
	snprintf(identity, sizeof(identity), "netd/%s", options.id);
	log_identity(identity);
	if (start(&netd, &options, start_ns, &err) < 0) {
		log_error("%s", err.text);
		return NETWORK_EXIT_FAILURE;
	}
	run(&netd);
	if (netd.status == NETWORK_EXIT_PASST)
		log_error("passt has ended: the guest is without network");
	gate_close(&netd.gate, netd.status == NETWORK_EXIT_PASST ? REASON_PASST_ENDED : REASON_ENDED, clock_ns());
	_exit((int)netd.status);
}
