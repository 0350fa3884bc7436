/*
 * The manifest of an image and its configuration, with a byte of 0 between: refused with a reason, or within their
 * limits.
 */
#include "api/image/description.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct image_description image;
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	size_t length = end ? (size_t)(end - data) : size;
	struct error err = { 0 };
	json_t *config;

	memset(&image, 0, sizeof(image));
	if (image_description_read_manifest(&image, (const char *)data, length, &err) < 0) {
		FUZZ_CHECK(err.code && *err.text);
		/* So that configurations are reached, too. */
		image.n_layers = 1;
		err = (struct error) { 0 };
	}
	FUZZ_CHECK(image.n_layers >= 1 && image.n_layers <= IMAGE_LAYERS_MAX);
	config = image_description_read_config(&image, end ? (const char *)end + 1 : (const char *)data,
					       end ? size - length - 1 : size, &err);
	FUZZ_CHECK(config ? !err.code : err.code && *err.text);
	for (size_t i = 0; config && i < image.n_layers; i++)
		FUZZ_CHECK(strlen(image.layers[i].diff_id) == 64 && !strchr(image.layers[i].diff_id, '/'));
	json_decref(config);
	return 0;
}
