#include "bundle.h"

#include "common/agent_protocol.h"
#include "common/bytes.h"

/* Bytes of the sequence that begins with `lead`, with the range that its second byte must lie in; 0 if none does. */
static size_t sequence_length(uint8_t lead, uint8_t *low, uint8_t *high)
{
	*low = 0x80;
	*high = 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	if (lead < 0xe0)
		return 2;
	/* Overlong forms, surrogates and values above U+10FFFF show in the second byte. */
	if (lead == 0xe0)
		*low = 0xa0;
	if (lead == 0xed)
		*high = 0x9f;
	if (lead == 0xf0)
		*low = 0x90;
	if (lead == 0xf4)
		*high = 0x8f;
	return lead < 0xf0 ? 3 : 4;
}

size_t utf8_valid_length(const void *data, size_t size)
{
	const uint8_t *text = data;
	size_t at = 0;

	while (at < size) {
		uint8_t low, high;
		size_t length = sequence_length(text[at], &low, &high);

		if (length == 0 || length > size - at)
			return at;
		for (size_t i = 1; i < length; i++) {
			if (text[at + i] < low || text[at + i] > high)
				return at;
			low = 0x80;
			high = 0xbf;
		}
		at += length;
	}
	return size;
}

static bool is_mime_type(const uint8_t *type, size_t length)
{
	if (!type || length == 0 || length > AGENT_MIME_TYPE_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (type[i] <= ' ' || type[i] > '~')
			return false;
	return true;
}

static bool has_suffix(const uint8_t *text, size_t length, const char *suffix)
{
	size_t suffix_length = strlen(suffix);

	return length >= suffix_length && memcmp(text + length - suffix_length, suffix, suffix_length) == 0;
}

static bool is_text_type(const uint8_t *type, size_t length)
{
	return (length > 5 && memcmp(type, "text/", 5) == 0) || has_suffix(type, length, "json") ||
	       has_suffix(type, length, "+xml");
}

static bool entry_is_valid(struct bytes *bundle)
{
	uint16_t type_length = bytes_get_u16(bundle);
	const uint8_t *type = bytes_take(bundle, type_length);
	uint32_t data_length = bytes_get_u32(bundle);
	const uint8_t *data = bytes_take(bundle, data_length);

	if (!data || !is_mime_type(type, type_length))
		return false;
	return !is_text_type(type, type_length) || utf8_valid_length(data, data_length) == data_length;
}

bool bundle_is_valid(const void *data, size_t size)
{
	struct bytes bundle = bytes_from(data, size);
	uint16_t count = bytes_get_u16(&bundle);

	if (count == 0 || count > AGENT_MIME_ENTRIES_MAX)
		return false;
	for (uint16_t i = 0; i < count; i++)
		if (!entry_is_valid(&bundle))
			return false;
	return !bundle.failed && bytes_left(&bundle) == 0;
}
