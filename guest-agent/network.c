#include "network.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/network_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICE      "eth0"
#define NO_IPV6     "/proc/sys/net/ipv6/conf/" DEVICE "/disable_ipv6"
#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLVER    "nameserver " NETWORK_GATEWAY "\n"

static struct sockaddr address_of(const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct sockaddr result;

	inet_pton(AF_INET, text, &address.sin_addr);
	memcpy(&result, &address, sizeof(result));
	return result;
}

static int bring_up(int fd, const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(fd, SIOCSIFFLAGS, &request);
}

static int set_addresses(int fd)
{
	struct ifreq address = { .ifr_name = DEVICE, .ifr_addr = address_of(NETWORK_GUEST_ADDRESS) };
	struct ifreq netmask = { .ifr_name = DEVICE, .ifr_netmask = address_of(NETWORK_NETMASK) };

	return ioctl(fd, SIOCSIFADDR, &address) < 0 || ioctl(fd, SIOCSIFNETMASK, &netmask) < 0 ? -1 : 0;
}

static int add_default_route(int fd)
{
	struct rtentry route = {
		.rt_dst = address_of("0.0.0.0"),
		.rt_genmask = address_of("0.0.0.0"),
		.rt_gateway = address_of(NETWORK_GATEWAY),
		.rt_flags = RTF_UP | RTF_GATEWAY,
	};

	return ioctl(fd, SIOCADDRT, &route);
}

static int write_text(const char *path, const char *text)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ? -1 : 0;
}

/* Nobody beyond the device speaks IPv6: without an address of it, programs do not try it first. The MTU is the driver's. */
static int configure_device(int fd)
{
	if (write_text(NO_IPV6, "1") < 0)
		log_warn(DEVICE " keeps IPv6: %s", strerror(errno));
	if (set_addresses(fd) < 0 || bring_up(fd, DEVICE) < 0 || add_default_route(fd) < 0)
		return -1;
	return write_text(RESOLV_CONF, RESOLVER);
}

void network_configure(void)
{
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bring_up(fd, "lo") < 0)
		log_warn("no loopback interface: %s", strerror(errno));
	if (fd >= 0 && if_nametoindex(DEVICE) && configure_device(fd) < 0)
		log_warn("no network: %s", strerror(errno));
}
