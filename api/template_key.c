#include "api/template_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

enum {
	TEMPLATE_FORMAT = 2, /* of what hearthd does to a guest before the snapshot */
};

/* The CPU's name, "unknown" where it is not told. */
static void read_cpu(char *name, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(name, size, "unknown");
	while (file && fgets(line, sizeof(line), file)) {
		const char *value = strchr(line, ':');

		if (value && strncmp(line, "model name", 10) == 0) {
			snprintf(name, size, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
			break;
		}
	}
	if (file)
		fclose(file);
}

int template_inputs(const struct microvm_host *host, const struct microvm_shape *shape, enum agent_language language,
		    const char *container, char *text, size_t size, struct error *err)
{
	char kernel[SNAPSHOT_DISK_MAX], image[SNAPSHOT_DISK_MAX], vmm[SNAPSHOT_DISK_MAX], cpu[128];
	struct utsname host_kernel = { 0 };
	int length;

	if (file_identity(host->kernel, kernel, sizeof(kernel), err) < 0 ||
	    file_identity(host->image, image, sizeof(image), err) < 0 ||
	    file_identity(host->vmm, vmm, sizeof(vmm), err) < 0)
		return -err->code;
	uname(&host_kernel);
	read_cpu(cpu, sizeof(cpu));
	length = snprintf(text, size,
			  "format=%d\nkernel=%s\nimage=%s\nvmm=%s\nkernel_arguments=%s\nmemory_mib=%u\nvcpus=%u\n"
			  "network=%d\nlanguage=%d\nhost_kernel=%s\nhost_cpu=%s\n%s",
			  TEMPLATE_FORMAT, kernel, image, vmm, host->kernel_arguments, shape->memory_mib,
			  shape->n_vcpus, shape->has_network, language, host_kernel.release, cpu, container);
	if ((size_t)length >= size)
		return error_set(err, E2BIG, "kernel-arguments are too long");
	return 0;
}

void template_key(const char *inputs, char key[TEMPLATE_KEY_SIZE])
{
	const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;
	unsigned __int128 digest = ((unsigned __int128)0x6c62272e07bb0142 << 64) + 0x62b821756295c58d;

	for (; *inputs; inputs++)
		digest = (digest ^ (unsigned char)*inputs) * prime;
	snprintf(key, TEMPLATE_KEY_SIZE, "%016llx%016llx", (unsigned long long)(digest >> 64),
		 (unsigned long long)digest);
}
