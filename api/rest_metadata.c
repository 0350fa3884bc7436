/* GET metadata: what the sessions of a pool have on board. */
#include "api/image_manifest.h"
#include "api/rest.h"

void rest_metadata_get(struct service *s, struct http_request *r)
{
	const struct pool *pool;

	if (!rest_check_version(r) || !(pool = rest_pool(s, r)))
		return;
	if (s->image_manifest)
		rest_json(r, 200, image_manifest_json(s->image_manifest, pool_definition_of(pool)->container_type));
	else
		rest_error(r, 404, "MetadataNotFound",
			   "There is no list of the image's contents beside it: scripts/build-rootfs makes one, and "
			   "hearthd's log says where it was looked for.");
}
