#include "vmm/kvm_stats.h"

#include "common/cleanup.h"
#include "vmm/kvm.h"
#include "vmm/snapshot/file_io.h"

#include <linux/kvm.h>
#include <string.h>

enum { NAME_MAX_SIZE = 256 };

uint64_t kvm_stats_read(int vcpu_fd, const char *name)
{
	AUTO_FD int fd = kvm_call_number(vcpu_fd, KVM_GET_STATS_FD, 0);
	struct kvm_stats_header header;
	uint64_t size;

	if (fd < 0 || file_read_at(fd, &header, sizeof(header), 0) < 0 || header.name_size > NAME_MAX_SIZE)
		return 0;
	size = sizeof(struct kvm_stats_desc) + header.name_size;
	for (uint32_t i = 0; i < header.num_desc; i++) {
		const uint64_t at = header.desc_offset + i * size;
		struct kvm_stats_desc description;
		char found[NAME_MAX_SIZE + 1] = "";
		uint64_t value;

		if (file_read_at(fd, &description, sizeof(description), at) < 0 ||
		    file_read_at(fd, found, header.name_size, at + sizeof(description)) < 0)
			return 0;
		if (strcmp(found, name) == 0 && description.size == 1 &&
		    file_read_at(fd, &value, sizeof(value), header.data_offset + description.offset) == 0)
			return value;
	}
	return 0;
}
