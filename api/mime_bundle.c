#include "api/mime_bundle.h"

#include "common/bytes.h"
#include "common/text.h"

#include <errno.h>
#include <string.h>

static bool is_clean(const uint8_t *type, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (type[i] <= 0x20 || type[i] >= 0x7f || type[i] == '"' || type[i] == '\\')
			return false;
	return length > 0;
}

int mime_bundle_decode(struct mime_bundle *bundle, const void *body, size_t size)
{
	struct bytes b = bytes_from(body, size);

	bundle->n_entries = bytes_get_u16(&b);
	if (bundle->n_entries == 0 || bundle->n_entries > AGENT_MIME_ENTRIES_MAX)
		return -EPROTO;
	for (size_t i = 0; i < bundle->n_entries; i++) {
		struct mime_entry *e = &bundle->entries[i];
		size_t length = bytes_get_u16(&b);
		const uint8_t *type = bytes_take(&b, length);

		if (!type || length > AGENT_MIME_TYPE_MAX || !is_clean(type, length))
			return -EPROTO;
		memcpy(e->type, type, length);
		e->type[length] = '\0';
		e->size = bytes_get_u32(&b);
		e->data = bytes_take(&b, e->size);
		if (b.failed)
			return -EPROTO;
	}
	return b.failed || bytes_left(&b) ? -EPROTO : 0;
}

const struct mime_entry *mime_bundle_find(const struct mime_bundle *bundle, const char *type)
{
	for (size_t i = 0; i < bundle->n_entries; i++)
		if (strcmp(bundle->entries[i].type, type) == 0)
			return &bundle->entries[i];
	return NULL;
}

const struct mime_entry *mime_bundle_image(const struct mime_bundle *bundle)
{
	static const char *const types[] = { "image/png", "image/jpeg", "image/gif", "image/webp" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const struct mime_entry *e = mime_bundle_find(bundle, types[i]);

		if (e)
			return e;
	}
	return NULL;
}

bool mime_type_is_text(const char *type)
{
	static const char *const endings[] = { "+json", "/json", "+xml", "/xml", "/javascript", "/x-latex" };

	if (strncmp(type, "text/", 5) == 0)
		return true;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (text_ends_with(type, endings[i]))
			return true;
	return false;
}
