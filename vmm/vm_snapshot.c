/* A paused VM into a state file and a memory file, and a state file back into a VM that was just assembled. */
#include "vmm/vm_parts.h"

#include "common/log.h"
#include "vmm/arch.h"
#include "vmm/virtio/vsock.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* ---- saving ------------------------------------------------------------------------------------------------------ */

static void save_machine(const struct vm *vm, struct state_writer *writer)
{
	state_section(writer, STATE_MACHINE, 0);
	state_put_uint(writer, vm->memory_mib, 4);
	state_put_uint(writer, vm->n_vcpus, 4);
	state_put_uint(writer, vm->config->n_disks, 4);
	state_put_uint(writer, vm->vsock != NULL, 1);
	state_put_uint(writer, vm->config->net_fd >= 0, 1);
}

/* The files that this VM would be restored from: those below, and the one that is being written. */
static void save_chain(const struct memory_chain *below, const uint8_t id[SNAPSHOT_ID_SIZE],
		       struct state_writer *writer)
{
	state_section(writer, STATE_MEMORY_CHAIN, 0);
	for (unsigned i = 0; i < below->n_files; i++)
		state_put(writer, below->ids[i], SNAPSHOT_ID_SIZE);
	state_put(writer, id, SNAPSHOT_ID_SIZE);
}

static int save_state(struct vm *vm, const uint8_t id[SNAPSHOT_ID_SIZE], int fd, struct error *err)
{
	struct state_writer writer;
	int status;

	state_writer_init(&writer, id);
	save_machine(vm, &writer);
	save_chain(&vm->chain, id, &writer);
	serial_save(&vm->serial, &writer);
	for (unsigned i = 0; i < vm->n_virtio; i++)
		virtio_mmio_save(&vm->virtio[i].mmio, i, &writer);
	status = arch_save(&vm->kvm, &vm->vcpus, &writer, err);
	if (status == 0)
		status = state_writer_finish(&writer, fd, err);
	state_writer_fini(&writer);
	return status;
}

int vm_snapshot(struct vm *vm, int state_fd, int memory_fd, struct error *err)
{
	uint8_t id[SNAPSHOT_ID_SIZE];
	int status;

	if (!vm->is_booted || vm->is_running)
		return error_set(err, EBUSY, "the VM runs: only one that is paused can be snapshotted");
	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return error_set(err, EIO, "the host has no random numbers for the snapshot's id");
	/* Memory last: nothing writes it any more, but an error in the small file is found sooner. */
	status = save_state(vm, id, state_fd, err);
	return status == 0 ? memory_file_write(memory_fd, &vm->memory, &vm->chain, id, err) : status;
}

/* ---- restoring --------------------------------------------------------------------------------------------------- */

static int read_chain(struct state_reader *snapshot, struct memory_chain *chain, struct error *err)
{
	struct bytes in = state_find(snapshot, STATE_MEMORY_CHAIN, 0);
	const size_t n = bytes_left(&in) / SNAPSHOT_ID_SIZE;

	if (n < 1 || n > MEMORY_CHAIN_MAX)
		return error_set(err, EINVAL, "damaged: it stands on %zu memory files", n);
	for (chain->n_files = 0; chain->n_files < n; chain->n_files++)
		memcpy(chain->ids[chain->n_files], bytes_take(&in, SNAPSHOT_ID_SIZE), SNAPSHOT_ID_SIZE);
	return state_done(&in, "the memory chain", err);
}

int vm_read_machine(struct vm *vm, struct state_reader *snapshot, struct memory_chain *chain, struct error *err)
{
	struct bytes in = state_find(snapshot, STATE_MACHINE, 0);
	uint32_t n_disks;
	bool has_vsock, has_net;

	vm->memory_mib = bytes_get_u32(&in);
	vm->n_vcpus = bytes_get_u32(&in);
	n_disks = bytes_get_u32(&in);
	has_vsock = bytes_get_u8(&in);
	has_net = bytes_get_u8(&in);
	if (state_done(&in, "the machine", err) < 0)
		return -err->code;
	if (vm->memory_mib < MACHINE_MEMORY_MIN_MIB || vm->memory_mib > MACHINE_MEMORY_MAX_MIB || vm->n_vcpus < 1 ||
	    vm->n_vcpus > MACHINE_VCPUS_MAX)
		return error_set(err, EINVAL, "damaged: a machine of %u MiB and %u vCPUs", vm->memory_mib, vm->n_vcpus);
	if (n_disks != vm->config->n_disks || has_vsock != (vm->config->vsock_path != NULL))
		return error_set(err, EINVAL,
				 "it was made with %u disks and %s vsock: give it the same --disk and --vsock", n_disks,
				 has_vsock ? "a" : "no");
	if (has_net && vm->config->net_fd < 0)
		return error_set(err, EINVAL, "it was made with a network device: give it --net");
	if (!has_net && vm->config->net_fd >= 0)
		return error_set(err, EINVAL, "it was made without a network device: leave --net out");
	return read_chain(snapshot, chain, err);
}

int vm_map_memory(struct vm *vm, struct error *err)
{
	const struct vm_config *config = vm->config;
	struct error ignored = { 0 };

	if (config->record_working_set)
		return working_set_record(&vm->recorder, config->memory_files, config->n_memory_files, &vm->chain,
					  &vm->memory, err);
	if (memory_file_map(config->memory_files, config->n_memory_files, &vm->chain, &vm->memory, err) < 0)
		return -err->code;
	if (config->working_set &&
	    working_set_open(&vm->working_set, config->working_set, &vm->chain, &vm->memory, &ignored) < 0)
		log_warn("nothing is prefetched: %s", ignored.text);
	working_set_copy(&vm->working_set, &vm->memory, 0, WORKING_SET_COPIES);
	return 0;
}

/* What is copied late is not entered: its copy would take it out again. */
static void prefetch(struct vm *vm)
{
	enum { LIST_OFFSET = MACHINE_PAGE_SIZE };
	const struct working_set *set = &vm->working_set;
	const uint32_t n_early = working_set_n_early(set), n_late = working_set_n_late(set);
	const gpa_t list = MACHINE_WORKING_SET_BASE + LIST_OFFSET;
	const struct arch_page_list lists[] = {
		{ list, n_early },
		{ list + 4ULL * (n_early + n_late), set->n_pages - n_early - n_late },
	};
	struct error err = { 0 };

	if (!set->mapping)
		return;
	vm->prefetcher = arch_prefetch(&vm->kvm, vm->n_vcpus, lists, 2, &err);
	if (vm->prefetcher < 0)
		log_warn("%s", err.text);
}

void vm_hand_over(struct vm *vm)
{
	const uint32_t n_early = working_set_n_early(&vm->working_set);

	if (++vm->n_resumes == 2)
		working_set_copy(&vm->working_set, &vm->memory, n_early,
				 n_early + working_set_n_late(&vm->working_set));
}

void vm_end_recording(struct vm *vm)
{
	struct error err = { 0 };

	if (vm->recorder.memory &&
	    working_set_write(&vm->recorder, &vm->chain, vm->config->record_working_set, &err) < 0)
		log_warn("%s", err.text);
	working_set_recorder_close(&vm->recorder);
}

/*
 * Processor and interrupt controllers come before what raises interrupts, for they would overwrite them. The generation
 * id is new (its page is not in the snapshot), and its interrupt tells the guest's kernel to reseed.
 */
int vm_restore_state(struct vm *vm, struct state_reader *snapshot, struct error *err)
{
	int status = arch_restore(&vm->kvm, &vm->vcpus, snapshot, err);

	if (status == 0)
		status = serial_restore(&vm->serial, snapshot, err);
	for (unsigned i = 0; i < vm->n_virtio && status == 0; i++)
		status = virtio_mmio_restore(&vm->virtio[i].mmio, i, snapshot, err);
	if (status == 0)
		status = state_reader_finish(snapshot, err);
	if (status < 0)
		return status;
	serial_restored(&vm->serial);
	for (unsigned i = 0; i < vm->n_virtio; i++)
		virtio_mmio_restored(&vm->virtio[i].mmio);
	eventfd_signal(vm->vmgenid_interrupt_fd);
	prefetch(vm);
	vm->is_booted = true;
	return 0;
}
