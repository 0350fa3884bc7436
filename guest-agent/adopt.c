#include "adopt.h"

#include "loop.h"
#include "machine.h"
#include "common/bytes.h"

#include <string.h>

enum {
	PADDING_SIZE = 7,
	FIXED_SIZE = 8 + 1 + PADDING_SIZE + AGENT_ENTROPY_SIZE,
};

/* From 2020 to 2200: what lies outside is a host whose clock is wrong or a field that is none. */
#define REALTIME_MIN_NS (1577836800ull * 1000000000)
#define REALTIME_MAX_NS (7258118400ull * 1000000000)

/* One label of a host name (RFC 1123). */
static bool is_host_name(const uint8_t *name, size_t length)
{
	if (length == 0 || length > AGENT_HOST_NAME_MAX || name[0] == '-' || name[length - 1] == '-')
		return false;
	for (size_t i = 0; i < length; i++) {
		uint8_t c = name[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return true;
}

const char *adopt_decode(const void *body, size_t size, struct adoption *adoption)
{
	static const uint8_t zeros[PADDING_SIZE];
	struct bytes b = bytes_from(body, size);
	const uint8_t *padding, *entropy, *name;
	uint8_t identity;
	size_t length;

	if (size < FIXED_SIZE)
		return "the request is too short";
	adoption->realtime_ns = bytes_get_u64(&b);
	identity = bytes_get_u8(&b);
	padding = bytes_take(&b, PADDING_SIZE);
	entropy = bytes_take(&b, AGENT_ENTROPY_SIZE);
	length = bytes_left(&b);
	name = bytes_take(&b, length);
	if (adoption->realtime_ns < REALTIME_MIN_NS || adoption->realtime_ns > REALTIME_MAX_NS)
		return "the time is not one of this age";
	if ((identity != AGENT_IDENTITY_NEW && identity != AGENT_IDENTITY_KEEP) ||
	    memcmp(padding, zeros, sizeof(zeros)) != 0)
		return "the identity is unknown";
	if (memcmp(entropy, entropy + 1, AGENT_ENTROPY_SIZE - 1) == 0)
		return "the randomness is one byte, repeated";
	if (!is_host_name(name, length))
		return "the host name is not 1 to 63 letters, digits and hyphens";
	adoption->identity = identity;
	memcpy(adoption->entropy, entropy, AGENT_ENTROPY_SIZE);
	memcpy(adoption->host_name, name, length);
	adoption->host_name[length] = '\0';
	return NULL;
}

int adopt_machine(const struct adoption *adoption, uint64_t received_us, struct error *err)
{
	uint64_t passed_ns = (loop_now_us() - received_us) * 1000;
	int result = machine_set_clock(adoption->realtime_ns + passed_ns, err);

	/* Before the IDs, which are drawn from it. */
	if (result == 0)
		result = machine_add_entropy(adoption->entropy, sizeof(adoption->entropy), err);
	if (result == 0)
		result = machine_set_host_name(adoption->host_name, err);
	if (result == 0 && adoption->identity == AGENT_IDENTITY_NEW)
		result = machine_renew_ids(err);
	return result;
}
