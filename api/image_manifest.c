#include "api/image_manifest.h"

#include "api/timestamp.h"
#include "common/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX ".erofs"

struct image_manifest {
	json_t *contents;
	int64_t made_ms; /* when the list was written: with the image */
};

static char *path_of(const char *image)
{
	size_t length = strlen(image);
	char *path;

	if (length >= strlen(SUFFIX) && strcmp(image + length - strlen(SUFFIX), SUFFIX) == 0)
		length -= strlen(SUFFIX);
	return asprintf(&path, "%.*s.json", (int)length, image) < 0 ? NULL : path;
}

static bool are_versions(const json_t *packages)
{
	const char *name;
	json_t *version;

	if (!json_is_object(packages))
		return false;
	json_object_foreach((json_t *)packages, name, version) if (!json_is_string(version)) return false;
	return true;
}

/* True if all that the answer shows is there. */
static bool is_sound(const json_t *contents)
{
	const char *python, *node, *debian;
	json_t *of_python, *of_debian;

	return json_unpack((json_t *)contents, "{s:{s:s, s:o}, s:{s:s}, s:{s:s, s:o}}", "python", "version", &python,
			   "packages", &of_python, "node", "version", &node, "debian", "version", &debian, "packages",
			   &of_debian) == 0 &&
	       are_versions(of_python) && are_versions(of_debian);
}

struct image_manifest *image_manifest_load(const char *image, struct error *err)
{
	AUTO_FREE char *path = path_of(image);
	struct image_manifest *manifest;
	json_error_t at;
	struct stat st;
	json_t *contents;

	if (!path || stat(path, &st) < 0) {
		error_set(err, path ? errno : ENOMEM, "%s: %s", path ? path : image, strerror(path ? errno : ENOMEM));
		return NULL;
	}
	contents = json_load_file(path, JSON_REJECT_DUPLICATES, &at);
	manifest = contents && is_sound(contents) ? malloc(sizeof(*manifest)) : NULL;
	if (!manifest) {
		error_set(err, EINVAL, "%s: %s", path, contents ? "it is no list of an image's contents" : at.text);
		json_decref(contents);
		return NULL;
	}
	*manifest = (struct image_manifest) {
		.contents = contents,
		.made_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
	};
	return manifest;
}

void image_manifest_destroy(struct image_manifest *manifest)
{
	if (!manifest)
		return;
	json_decref(manifest->contents);
	free(manifest);
}

static json_t *named_version(const char *name, const json_t *version)
{
	return json_pack("{s:s, s:O}", "name", name, "version", (json_t *)version);
}

/* All sessions have them; what runs requests that name no language comes first. */
static json_t *runtimes(const struct image_manifest *manifest, enum pool_container_type type)
{
	const json_t *debian = json_object_get(manifest->contents, "debian");
	json_t *python =
		named_version("python", json_object_get(json_object_get(manifest->contents, "python"), "version"));
	json_t *node = named_version("node", json_object_get(json_object_get(manifest->contents, "node"), "version"));

	if (type == POOL_SHELL)
		return json_pack("[o, o, o]", named_version("Debian", json_object_get(debian, "version")), python,
				 node);
	return type == POOL_NODE_LTS ? json_pack("[o, o]", node, python) : json_pack("[o, o]", python, node);
}

json_t *image_manifest_json(const struct image_manifest *manifest, enum pool_container_type type)
{
	const char *packager = type == POOL_SHELL ? "debian" : "python";
	json_t *installed = json_object_get(json_object_get(manifest->contents, packager), "packages");
	json_t *ipython = json_object_get(installed, "ipython");
	json_t *packages = json_array(), *answer, *version;
	char made[TIMESTAMP_SIZE];
	const char *name;

	timestamp_format(made, manifest->made_ms);
	json_object_foreach(installed, name, version) json_array_append_new(packages, named_version(name, version));
	answer = json_pack("{s:o, s:o, s:s, s:s}", "runtimes", runtimes(manifest, type), "preInstalledPackages",
			   packages, "createdAt", made, "lastUpdatedAt", made);
	if (answer && ipython && type != POOL_SHELL)
		json_object_set_new(answer, "jupyterKernel",
				    json_pack("{s:s, s:O, s:s, s:s}", "name", "ipython", "version", ipython,
					      "projectUrl", "https://ipython.org", "description",
					      "IPython, one shell for each session, without ipykernel: what a cell "
					      "displays comes back as MIME bundles."));
	return answer;
}
