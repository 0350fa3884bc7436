#include "vmm/network/dns.h"

#include "vmm/network/byte_order.h"

#include <string.h>

enum {
	FLAG_ANSWER = 0x8000,
	FLAG_OPCODE = 0x7800,
	FLAG_TRUNCATED = 0x0200,
	FLAG_RECURSION_DESIRED = 0x0100,
	FLAG_RECURSION_AVAILABLE = 0x0080,
	MASK_CODE = 0x000f,
	CLASS_INTERNET = 1,
	TYPE_OPT = 41,
	LABEL_MAX = 63,
	JUMPS_MAX = 16, /* of a compressed name */
	RECORD_HEADER_SIZE = 10,
	RECORDS_MAX = 512,
	ALIASES_MAX = 16,     /* one after the other */
	WHOLE_NAME_MAX = 255, /* bytes on the wire */
};

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* A character of a name that programs look up; anything else in one is data, or an attack on who prints it. */
static bool is_name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static char lower(uint8_t c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/*
 * Reads the name at *position, following pointers backwards only, and leaves *position behind it. Text of it (lower case) goes
 * to `out` if there is one. False if it is none. `is_plain`: pointers and unusual bytes are not allowed.
 */
static bool read_name(const uint8_t *message, size_t size, size_t *position, char *out, size_t out_size, bool is_plain)
{
	size_t at = *position, length = 0, limit = at;
	bool has_jumped = false;

	for (unsigned jumps = 0;;) {
		size_t label;

		if (at >= size)
			return false;
		label = message[at];
		if (label >> 6 == 3) {
			if (is_plain || at + 1 >= size || jumps++ == JUMPS_MAX)
				return false;
			if (!has_jumped)
				*position = at + 2;
			has_jumped = true;
			at = get16(message + at) & 0x3fff;
			if (at >= limit) /* always further back, so that it ends */
				return false;
			limit = at;
			continue;
		}
		if (label > LABEL_MAX || at + 1 + label > size || length + label + 1 > WHOLE_NAME_MAX)
			return false;
		at++;
		if (label == 0)
			break;
		if (out && length + label + 1 > out_size)
			return false;
		if (out && length > 0)
			out[length - 1] = '.';
		for (size_t i = 0; i < label; i++) {
			if (is_plain && !is_name_byte(message[at + i]))
				return false;
			if (out)
				out[length + i] = is_name_byte(message[at + i]) ? lower(message[at + i]) : '?';
		}
		length += label + 1;
		at += label;
	}
	if (out)
		out[length > 0 ? length - 1 : 0] = '\0';
	if (!has_jumped)
		*position = at;
	return true;
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

int dns_parse_question(const uint8_t *message, size_t size, struct dns_question *question)
{
	size_t position = DNS_HEADER_SIZE;
	uint16_t flags;

	*question = (struct dns_question) { 0 };
	if (size < DNS_HEADER_SIZE || size > DNS_QUERY_MAX)
		return -1;
	question->id = get16(message);
	flags = get16(message + 2);
	if (flags & FLAG_ANSWER)
		return -1;
	if (flags & FLAG_OPCODE)
		return DNS_NOT_IMPLEMENTED;
	if (get16(message + 4) != 1 || get16(message + 6) != 0 || get16(message + 8) != 0 ||
	    !read_name(message, size, &position, question->name, sizeof(question->name), true) || position + 4 > size) {
		question->name[0] = '\0';
		return DNS_FORMAT_ERROR;
	}
	question->wire_size = position - DNS_HEADER_SIZE;
	memcpy(question->wire, message + DNS_HEADER_SIZE, question->wire_size);
	question->type = get16(message + position);
	return get16(message + position + 2) == CLASS_INTERNET ? DNS_NO_ERROR : DNS_REFUSED;
}

enum dns_handling dns_handling(uint16_t type)
{
	switch (type) {
	case DNS_A:
	case DNS_NS:
	case DNS_CNAME:
	case DNS_SOA:
	case DNS_PTR:
	case DNS_MX:
	case DNS_TXT:
	case DNS_SRV:
		return DNS_ASK;
	case DNS_AAAA: /* there is no IPv6 */
	case DNS_SVCB: /* could hint at other addresses, and carry keys that hide names */
	case DNS_HTTPS:
		return DNS_ANSWER_EMPTY;
	default:
		return DNS_REFUSE;
	}
}

/* Header and question, with `name` as the wire has it. */
static size_t put_question(uint8_t *out, const struct dns_question *question, uint16_t id, uint16_t flags,
			   bool is_lower)
{
	uint8_t *to = out + DNS_HEADER_SIZE;

	memset(out, 0, DNS_HEADER_SIZE);
	put16(out, id);
	put16(out + 2, flags);
	if (question->wire_size == 0) /* it had none that could be read */
		return DNS_HEADER_SIZE;
	put16(out + 4, 1);
	/* A label's length is never a letter's code: at most 63. */
	for (size_t i = 0; i < question->wire_size; i++)
		to[i] = is_lower ? (uint8_t)lower(question->wire[i]) : question->wire[i];
	to += question->wire_size;
	put16(to, question->type);
	put16(to + 2, CLASS_INTERNET);
	return DNS_HEADER_SIZE + question->wire_size + 4;
}

size_t dns_make_query(uint8_t out[DNS_QUERY_MAX], const struct dns_question *question, uint16_t id)
{
	size_t size = put_question(out, question, id, FLAG_RECURSION_DESIRED, true);
	uint8_t *option = out + size; /* how much we can take (RFC 6891) */

	memset(option, 0, 11);
	put16(option + 1, TYPE_OPT);
	put16(option + 3, DNS_ANSWER_MAX);
	put16(out + 10, 1);
	return size + 11;
}

size_t dns_make_answer(uint8_t out[DNS_QUERY_MAX], const struct dns_question *question, enum dns_code code)
{
	const unsigned flags = FLAG_ANSWER | FLAG_RECURSION_DESIRED | FLAG_RECURSION_AVAILABLE | (unsigned)code;

	return put_question(out, question, question->id, (uint16_t)flags, false);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

struct record {
	uint16_t type, class;
	uint32_t seconds;
	size_t data, data_size; /* where, and how many bytes */
	char owner[WHOLE_NAME_MAX + 1];
};

static bool read_record(const uint8_t *message, size_t size, size_t *position, struct record *record)
{
	const uint8_t *header;

	if (!read_name(message, size, position, record->owner, sizeof(record->owner), false) ||
	    size - *position < RECORD_HEADER_SIZE)
		return false;
	header = message + *position;
	record->type = get16(header);
	record->class = get16(header + 2);
	record->seconds = get32(header + 4);
	record->data = *position + RECORD_HEADER_SIZE;
	record->data_size = get16(header + 8);
	if (record->data_size > size - record->data)
		return false;
	*position = record->data + record->data_size;
	return true;
}

static void learn(struct dns_answer *answer, uint32_t address, uint32_t seconds)
{
	if (answer->n_addresses == DNS_ADDRESSES_MAX)
		return;
	answer->addresses[answer->n_addresses++] = address;
	if (answer->n_addresses == 1 || seconds < answer->seconds)
		answer->seconds = seconds;
}

/* The answers of a message: no more than RECORDS_MAX records. */
struct section {
	const uint8_t *message;
	size_t size, begin, end;
	unsigned n;
};

static bool read_target(const struct section *section, const struct record *alias, char out[WHOLE_NAME_MAX + 1])
{
	size_t position = alias->data;

	return read_name(section->message, section->size, &position, out, WHOLE_NAME_MAX + 1, false) &&
	       position == alias->data + alias->data_size;
}

/* Behind the last record; 0 if they do not hold together; negative if there is an alias to a name that is denied. */
static int check(const struct section *section, const struct dns_question *question,
		 bool (*is_allowed)(void *opaque, const char *name), void *opaque)
{
	size_t position = section->begin;

	for (unsigned i = 0; i < section->n; i++) {
		char target[WHOLE_NAME_MAX + 1];
		struct record record;

		if (!read_record(section->message, section->size, &position, &record))
			return 0;
		if (record.class != CLASS_INTERNET || record.type != DNS_CNAME || question->type == DNS_CNAME)
			continue;
		if (!read_target(section, &record, target))
			return 0;
		if (!is_allowed(opaque, target))
			return -DNS_REFUSED;
	}
	return (int)position;
}

/* Of a section that was checked. The next record of that name and type behind *position; false if there is none. */
static bool find(const struct section *section, size_t *position, const char *name, uint16_t type,
		 struct record *record)
{
	while (*position < section->end && read_record(section->message, section->size, position, record))
		if (record->class == CLASS_INTERNET && record->type == type && strcmp(record->owner, name) == 0)
			return true;
	return false;
}

/*
 * The name that was asked for leads over aliases, in whatever order they stand, to addresses; what lies beside this way is
 * not learned. As check().
 */
static int follow(struct section *section, const struct dns_question *question,
		  bool (*is_allowed)(void *opaque, const char *name), void *opaque, struct dns_answer *answer)
{
	char name[WHOLE_NAME_MAX + 1];
	const int end = section->n > RECORDS_MAX ? 0 : check(section, question, is_allowed, opaque);
	struct record record;
	size_t position;

	if (end <= 0)
		return end;
	section->end = (size_t)end;
	memcpy(name, question->name, sizeof(question->name));
	for (unsigned n = 0; n < ALIASES_MAX && question->type != DNS_CNAME; n++) {
		position = section->begin;
		if (!find(section, &position, name, DNS_CNAME, &record))
			break;
		read_target(section, &record, name);
	}
	position = section->begin;
	while (find(section, &position, name, DNS_A, &record))
		if (record.data_size == 4)
			learn(answer, get32(section->message + record.data), record.seconds);
	return end;
}

int dns_take_answer(uint8_t *message, size_t size, const struct dns_question *question, uint16_t id,
		    bool (*is_allowed)(void *opaque, const char *name), void *opaque, struct dns_answer *answer)
{
	size_t position = DNS_HEADER_SIZE;
	struct section section;
	char name[DNS_NAME_MAX + 1];
	uint16_t flags;
	int end;

	*answer = (struct dns_answer) { 0 };
	if (size < DNS_HEADER_SIZE || size > DNS_ANSWER_MAX || get16(message) != id || get16(message + 4) != 1)
		return 0;
	flags = get16(message + 2);
	if (!(flags & FLAG_ANSWER) || (flags & FLAG_OPCODE) ||
	    !read_name(message, size, &position, name, sizeof(name), true) || strcmp(name, question->name) != 0 ||
	    position + 4 > size || get16(message + position) != question->type ||
	    get16(message + position + 2) != CLASS_INTERNET)
		return 0;
	section = (struct section) { message, size, .begin = position + 4, .n = get16(message + 6) };
	end = follow(&section, question, is_allowed, opaque, answer);
	if (end <= 0)
		return end;
	/* Some of many addresses are enough; there is no TCP to ask for all of them. */
	if (answer->n_addresses > 0)
		flags &= (uint16_t)~FLAG_TRUNCATED;
	put16(message, question->id);
	put16(message + 2, (uint16_t)((flags & (FLAG_TRUNCATED | MASK_CODE)) | FLAG_ANSWER | FLAG_RECURSION_DESIRED |
				      FLAG_RECURSION_AVAILABLE));
	memset(message + 8, 0, 4); /* authorities and additional records are left out */
	memcpy(message + DNS_HEADER_SIZE, question->wire, question->wire_size);
	return end;
}
