#include "token_relay.h"

#include "loop.h"
#include "relay.h"
#include "vsock.h"
#include "common/agent_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RELAYS_MAX = 8,
	LIFE_US = 60 * 1000000, /* more than a token may take */
};

struct relay {
	struct loop_source guest, host;  /* fd -1: the slot is free */
	bool is_connected;               /* to the host */
	struct relay_direction up, down; /* from the guest's code to the host, and back */
	struct loop_timer life;
};

static struct loop_source listener = { .fd = -1 };
static struct relay relays[RELAYS_MAX];
static const char *host_path;

static void watch_listener(void)
{
	bool has_room = false;

	for (int i = 0; i < RELAYS_MAX; i++)
		has_room |= relays[i].guest.fd < 0;
	if (listener.fd >= 0)
		loop_watch(&listener, has_room ? EPOLLIN : 0);
}

static void close_relay(struct relay *relay)
{
	loop_timer_stop(&relay->life);
	loop_close(&relay->guest);
	loop_close(&relay->host);
	relay_give_up(&relay->up);
	relay_give_up(&relay->down);
	watch_listener();
}

static void go_on(struct relay *relay)
{
	bool is_sound = relay_pump(&relay->up, relay->guest.fd, relay->host.fd) <= RELAY_NOTHING_TO_MOVE &&
			relay_pump(&relay->down, relay->host.fd, relay->guest.fd) <= RELAY_NOTHING_TO_MOVE;

	if (!is_sound || relay->down.is_shut) {
		close_relay(relay);
		return;
	}
	loop_watch(&relay->guest, relay_wanted(&relay->up, &relay->down));
	loop_watch(&relay->host, relay_wanted(&relay->down, &relay->up));
}

static void on_guest(struct loop_source *source, uint32_t events)
{
	struct relay *relay = (struct relay *)(void *)((char *)source - offsetof(struct relay, guest));

	if (events & (EPOLLERR | EPOLLHUP))
		close_relay(relay);
	else if (relay->is_connected)
		go_on(relay);
}

static void on_host(struct loop_source *source, uint32_t events)
{
	struct relay *relay = (struct relay *)(void *)((char *)source - offsetof(struct relay, host));

	/* A vsock that is not connected yet takes nothing: it can be written to once it is. */
	relay->is_connected |= (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == EPOLLOUT;
	if ((events & EPOLLERR) || !relay->is_connected)
		close_relay(relay);
	else
		go_on(relay);
}

static void on_life_over(struct loop_timer *timer)
{
	close_relay((struct relay *)(void *)((char *)timer - offsetof(struct relay, life)));
}

static void on_listener(struct loop_source *source, uint32_t events)
{
	struct relay *relay = NULL;

	(void)events;
	for (int i = 0; i < RELAYS_MAX && !relay; i++)
		relay = relays[i].guest.fd < 0 ? &relays[i] : NULL;
	if (!relay)
		return;
	*relay = (struct relay) {
		.guest = { .fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), .on_events = on_guest },
		.host = { .fd = -1, .on_events = on_host },
		.life = { .on_expiry = on_life_over },
	};
	if (relay->guest.fd < 0)
		return;
	relay->host.fd = vsock_connect(AGENT_TOKEN_PORT, host_path);
	if (relay->host.fd < 0) {
		close_relay(relay);
		return;
	}
	loop_timer_start(&relay->life, LIFE_US);
	loop_watch(&relay->host, EPOLLOUT);
	watch_listener();
}

int token_relay_open(const char *unix_path)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(unix_path ? 0 : AGENT_TOKEN_PORT),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	socklen_t size = sizeof(address);
	int on = 1;

	if (listener.fd < 0) {
		for (int i = 0; i < RELAYS_MAX; i++)
			relays[i].guest.fd = relays[i].host.fd = -1;
		host_path = unix_path;
		listener.on_events = on_listener;
		listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (listener.fd < 0 || setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		    bind(listener.fd, (const struct sockaddr *)&address, size) < 0 || listen(listener.fd, 16) < 0 ||
		    loop_watch(&listener, EPOLLIN) < 0) {
			int problem = errno;

			loop_close(&listener);
			return -problem;
		}
	}
	return getsockname(listener.fd, (struct sockaddr *)&address, &size) < 0 ? -errno : ntohs(address.sin_port);
}

void token_relay_close(void)
{
	if (listener.fd < 0)
		return;
	loop_close(&listener);
	for (int i = 0; i < RELAYS_MAX; i++)
		if (relays[i].guest.fd >= 0)
			close_relay(&relays[i]);
}
