/*
 * Recording a working set. The guest's memory is empty, and userfaultfd tells of each page when it is touched first, and
 * when it is written first, by a vCPU, a device or KVM; a thread notes it and fills it in. What is written need not
 * differ in the end (a count that goes up and down again), and its copy costs a clone as much. All this is slow, and done
 * once a template.
 */
#include "vmm/snapshot/working_set.h"

#include "common/log.h"
#include "vmm/host_file.h"
#include "vmm/machine.h"
#include "vmm/seccomp.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static void note(struct working_set_recorder *recorder, uint64_t offset)
{
	const struct guest_memory_region *low = &recorder->memory->regions[0];

	/* What is above 4 GiB cannot be prefetched (arch_prefetch()), and what is too much is no working set. */
	if (offset < low->size && recorder->n_pages < WORKING_SET_PAGES_MAX)
		recorder->pages[recorder->n_pages++] = (uint32_t)((low->start + offset) / MACHINE_PAGE_SIZE);
}

static uint64_t offset_of(const struct working_set_recorder *recorder, uint64_t address)
{
	return (address - (uintptr_t)recorder->memory->regions[0].host) & ~(uint64_t)(MACHINE_PAGE_SIZE - 1);
}

/* Two vCPUs may ask for one page: the second finds it there. */
static void fill(struct working_set_recorder *recorder, uint64_t offset, bool is_write)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)recorder->memory->regions[0].host + offset,
		.src = (uintptr_t)recorder->source.regions[0].host + offset,
		.len = MACHINE_PAGE_SIZE,
		.mode = is_write ? 0 : UFFDIO_COPY_MODE_WP,
	};

	if (ioctl(recorder->fault_fd, UFFDIO_COPY, &copy) == 0)
		note(recorder, offset);
	else if (errno == EEXIST)
		ioctl(recorder->fault_fd, UFFDIO_WAKE, &(struct uffdio_range) { copy.dst, copy.len });
}

static void make_writable(struct working_set_recorder *recorder, uint64_t offset)
{
	struct uffdio_writeprotect off = {
		.range = { (uintptr_t)recorder->memory->regions[0].host + offset, MACHINE_PAGE_SIZE },
	};

	ioctl(recorder->fault_fd, UFFDIO_WRITEPROTECT, &off);
}

static void take_fault(struct working_set_recorder *recorder, uint64_t address, uint64_t flags)
{
	const uint64_t offset = offset_of(recorder, address);
	const bool is_write = flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP);

	if (is_write && offset < recorder->memory->regions[0].size)
		recorder->is_written[offset / MACHINE_PAGE_SIZE] = true;
	if (flags & UFFD_PAGEFAULT_FLAG_WP)
		make_writable(recorder, offset);
	else
		fill(recorder, offset, is_write);
}

static void *serve_faults(void *opaque)
{
	struct working_set_recorder *recorder = opaque;
	struct pollfd fds[] = {
		{ .fd = recorder->fault_fd, .events = POLLIN },
		{ .fd = recorder->stop_fd, .events = POLLIN },
	};
	struct uffd_msg message;
	struct error err = { 0 };

	if (seccomp_enter(SECCOMP_RECORDER, &err) < 0)
		log_warn("the working set is recorded without a filter: %s", err.text);
	while (!fds[1].revents) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		while (read(recorder->fault_fd, &message, sizeof(message)) == sizeof(message))
			if (message.event == UFFD_EVENT_PAGEFAULT)
				take_fault(recorder, message.arg.pagefault.address, message.arg.pagefault.flags);
	}
	return NULL;
}

static int watch_memory(struct working_set_recorder *recorder, struct error *err)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register registration = {
		.range = { (uintptr_t)recorder->memory->regions[0].host, recorder->memory->size },
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};

	/* No huge pages: they would be touched as one. */
	madvise(recorder->memory->mapping, recorder->memory->mapping_size, MADV_NOHUGEPAGE);
	recorder->fault_fd = host_file_take(HOST_FILE_USERFAULT);
	recorder->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (recorder->fault_fd < 0 || recorder->stop_fd < 0)
		return error_set(err, errno,
				 "cannot watch memory (userfaultfd: needs root, or the sysctl "
				 "vm.unprivileged_userfaultfd): %s",
				 strerror(errno));
	if (ioctl(recorder->fault_fd, UFFDIO_API, &api) < 0 ||
	    ioctl(recorder->fault_fd, UFFDIO_REGISTER, &registration) < 0)
		return error_set(err, errno, "cannot watch memory: %s", strerror(errno));
	return 0;
}

int working_set_record(struct working_set_recorder *recorder, const char *const paths[], unsigned n_paths,
		       const struct memory_chain *chain, const struct guest_memory *memory, struct error *err)
{
	int status;

	*recorder = (struct working_set_recorder) { .memory = memory, .fault_fd = -1, .stop_fd = -1 };
	recorder->pages = malloc(WORKING_SET_PAGES_MAX * sizeof(*recorder->pages));
	recorder->is_written = calloc(memory->regions[0].size / MACHINE_PAGE_SIZE, sizeof(bool));
	if (!recorder->pages || !recorder->is_written || guest_memory_init(&recorder->source, memory->size) < 0)
		return error_set(err, ENOMEM, "out of memory");
	status = memory_file_map(paths, n_paths, chain, &recorder->source, err);
	if (status == 0)
		status = watch_memory(recorder, err);
	if (status < 0)
		return status;
	status = pthread_create(&recorder->thread, NULL, serve_faults, recorder);
	if (status == 0)
		return 0;
	close(recorder->fault_fd);
	recorder->fault_fd = -1;
	return error_set(err, status, "cannot start a thread: %s", strerror(status));
}

void working_set_recorder_close(struct working_set_recorder *recorder)
{
	const uint64_t one = 1;

	if (!recorder->memory)
		return;
	if (recorder->fault_fd >= 0 && write(recorder->stop_fd, &one, sizeof(one)) == sizeof(one)) {
		pthread_join(recorder->thread, NULL);
		close(recorder->fault_fd);
	}
	if (recorder->stop_fd >= 0)
		close(recorder->stop_fd);
	guest_memory_fini(&recorder->source);
	free(recorder->pages);
	free(recorder->is_written);
	recorder->memory = NULL;
}
