/* Puts a VM together, part by part, in the order that KVM and the devices need. */
#include "vmm/vm_parts.h"

#include "vmm/arch.h"
#include "vmm/device_tree.h"
#include "vmm/host_file.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/rng.h"
#include "vmm/virtio/vsock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	PVPANIC_SIZE = 2,
	PVPANIC_PANICKED = 1,
	VMGENID_SIZE = 16,
};

/* ---- what the parts report --------------------------------------------------------------------------------------- */

static void ended_ready(void *opaque, uint32_t events)
{
	struct vm *vm = opaque;

	(void)events;
	eventfd_consume(vm->ended.fd); /* its work is done: the loop has come back */
}

static void vcpu_ended(void *opaque, enum vmm_exit status, const char *why)
{
	vm_end(opaque, status, why);
}

static void device_broken(void *opaque, const char *what)
{
	vm_end(opaque, VMM_EXIT_DEVICE_BROKEN, what);
}

static void reset_port_access(void *opaque, uint64_t offset, uint8_t *data, unsigned length, bool is_write)
{
	(void)offset;
	if (!is_write)
		memset(data, 0, length); /* "ready for a command": kernels wait for it before they ask for a reset */
	else if (data[0] == MACHINE_RESET_COMMAND)
		vm_end(opaque, VMM_EXIT_REBOOT, "the guest asked for a reset");
}

static void pvpanic_access(void *opaque, uint64_t offset, uint8_t *data, unsigned length, bool is_write)
{
	struct vm *vm = opaque;
	char line[CONSOLE_LINE_MAX], why[CONSOLE_LINE_MAX + 64];

	if (!is_write) {
		memset(data, 0, length);
		data[0] = offset == 0 ? PVPANIC_PANICKED : 0; /* what it can be told */
		return;
	}
	if (offset != 0 || !(data[0] & PVPANIC_PANICKED))
		return;
	console_panic_line(&vm->console, line);
	snprintf(why, sizeof(why), "the guest's kernel panicked%s%s", *line ? ", it says: " : "", line);
	vm_end(vm, VMM_EXIT_PANIC, why);
}

/* ---- assembly ---------------------------------------------------------------------------------------------------- */

static int make_eventfd(struct error *err)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return fd < 0 ? error_set(err, errno, "cannot make an eventfd: %s", strerror(errno)) : fd;
}

static int prepare_memory(struct vm *vm, struct error *err)
{
	int status = guest_memory_init(&vm->memory, vm->memory_mib * MIB);

	if (status < 0)
		return error_set(err, -status, "cannot reserve %u MiB for the guest: %s", vm->memory_mib,
				 strerror(-status));
	vm->vmgenid = mmap(NULL, MACHINE_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->vmgenid == MAP_FAILED) {
		vm->vmgenid = NULL;
		return error_set(err, errno, "cannot reserve a page: %s", strerror(errno));
	}
	if (getrandom(vm->vmgenid, VMGENID_SIZE, 0) != VMGENID_SIZE)
		return error_set(err, EIO, "the host has no random numbers for the VM's generation id");
	return 0;
}

static uint64_t whole_pages(uint64_t size)
{
	return (size + MACHINE_PAGE_SIZE - 1) & ~(uint64_t)(MACHINE_PAGE_SIZE - 1);
}

/* Memory goes before the interrupt controllers: after them, KVM takes it a hundred times slower. */
static int prepare_kvm(struct vm *vm, struct error *err)
{
	int status = kvm_open(&vm->kvm, err);

	if (status == 0)
		status = kvm_create_vm(&vm->kvm, err);
	for (unsigned i = 0; i < vm->memory.n_regions && status == 0; i++)
		status = kvm_add_memory(&vm->kvm, vm->memory.regions[i].start, vm->memory.regions[i].size,
					vm->memory.regions[i].host, false, err);
	if (status == 0)
		status = kvm_add_memory(&vm->kvm, MACHINE_VMGENID_BASE, MACHINE_PAGE_SIZE, vm->vmgenid, false, err);
	if (status == 0 && vm->working_set.mapping)
		status = arch_prefetch_prepare(&vm->kvm, err);
	if (status == 0 && vm->working_set.mapping)
		status = kvm_add_memory(&vm->kvm, MACHINE_WORKING_SET_BASE, whole_pages(vm->working_set.size),
					vm->working_set.mapping, true, err);
	if (status == 0 && vm->config->record_working_set)
		status = kvm_disable_halt_exits(&vm->kvm, err);
	if (status == 0)
		status = kvm_create_irqchip(&vm->kvm, err);
	return status;
}

static int attach(struct bus *bus, uint64_t start, uint64_t size, bus_access_fn *access, void *device,
		  struct error *err)
{
	int status = bus_add(bus, start, size, access, device);

	return status < 0 ? error_set(err, -status, "no place for a device at 0x%llx", (unsigned long long)start) : 0;
}

/* An eventfd whose signal raises the pin; negative with *err set. */
static int make_interrupt(struct vm *vm, unsigned pin, struct error *err)
{
	int fd = make_eventfd(err);
	int status = fd < 0 ? fd : kvm_assign_interrupt(&vm->kvm, fd, pin, err);

	if (status < 0 && fd >= 0)
		close(fd);
	return status < 0 ? status : fd;
}

static int prepare_platform_devices(struct vm *vm, struct error *err)
{
	int status = console_open(&vm->console, vm->config->console_path, vm->loop, err);

	if (status < 0)
		return status;
	vm->serial_interrupt_fd = make_interrupt(vm, MACHINE_SERIAL_PIN, err);
	if (vm->serial_interrupt_fd < 0)
		return vm->serial_interrupt_fd;
	serial_init(&vm->serial, &vm->console, vm->serial_interrupt_fd);
	vm->vmgenid_interrupt_fd = make_interrupt(vm, MACHINE_VMGENID_PIN, err);
	if (vm->vmgenid_interrupt_fd < 0)
		return vm->vmgenid_interrupt_fd;
	status = attach(&vm->mmio, MACHINE_SERIAL_BASE, SERIAL_WINDOW_SIZE, serial_access, &vm->serial, err);
	if (status == 0)
		status = attach(&vm->mmio, MACHINE_PVPANIC_BASE, PVPANIC_SIZE, pvpanic_access, vm, err);
	if (status == 0)
		status = attach(&vm->ports, MACHINE_RESET_PORT, 1, reset_port_access, vm, err);
	return status;
}

/* Takes over the device, whatever happens. */
static int add_virtio(struct vm *vm, struct virtio_device *device, struct error *err)
{
	struct vm_virtio *virtio = &vm->virtio[vm->n_virtio];
	const gpa_t base = MACHINE_VIRTIO_BASE + vm->n_virtio * MACHINE_DEVICE_WINDOW_SIZE;
	int status;

	virtio->kick = (struct event_source) { .ready = virtio_mmio_kicked, .opaque = &virtio->mmio };
	virtio->kick.fd = make_eventfd(err);
	virtio->interrupt_fd = make_interrupt(vm, machine_virtio_pin(vm->n_virtio), err);
	virtio_mmio_init(&virtio->mmio, device, &vm->memory, virtio->kick.fd, virtio->interrupt_fd, device_broken, vm);
	vm->n_virtio++;
	if (virtio->kick.fd < 0 || virtio->interrupt_fd < 0)
		return -EMFILE;
	status = event_loop_add(&vm->devices, &virtio->kick, EPOLLIN | EPOLLET);
	if (status < 0)
		return error_set(err, -status, "cannot watch %s: %s", device->name, strerror(-status));
	if (!device->ops->is_rarely_notified) {
		status = kvm_assign_notification(&vm->kvm, virtio->kick.fd, base + VIRTIO_MMIO_NOTIFY_OFFSET, err);
		if (status < 0)
			return status;
	}
	return attach(&vm->mmio, base, VIRTIO_MMIO_WINDOW_SIZE, virtio_mmio_access, &virtio->mmio, err);
}

/* The order decides names in the guest: disks are vda, vdb, ... as given. */
static int prepare_virtio_devices(struct vm *vm, struct error *err)
{
	struct virtio_device *device;
	int status = 0;

	for (unsigned i = 0; i < vm->config->n_disks && status == 0; i++) {
		device = virtio_blk_create(vm->config->disks[i].path, vm->config->disks[i].is_read_only, i, err);
		status = device ? add_virtio(vm, device, err) : -err->code;
	}
	if (vm->config->vsock_path && status == 0) {
		device = virtio_vsock_create(host_file_take(HOST_FILE_VSOCK), vm->config->vsock_inside, &vm->devices,
					     err);
		status = device ? add_virtio(vm, device, err) : -err->code;
		if (status == 0 && virtio_vsock_start(device) < 0)
			status = error_set(err, EIO, "cannot watch the vsock socket");
		vm->vsock = status == 0 ? device : NULL;
	}
	if (vm->config->net_fd >= 0 && status == 0) {
		device = virtio_net_create(vm->config->net_fd, &vm->devices, err);
		status = device ? add_virtio(vm, device, err) : -err->code;
		if (status == 0 && virtio_net_start(device) < 0)
			status = error_set(err, EIO, "cannot watch the network's socket");
	}
	if (status == 0) {
		device = virtio_rng_create();
		status = device ? add_virtio(vm, device, err) : error_set(err, ENOMEM, "out of memory");
	}
	return status;
}

static int prepare_guest(struct vm *vm, gpa_t *entry, struct error *err)
{
	const struct device_tree_machine machine = {
		.n_vcpus = vm->n_vcpus,
		.n_virtio = vm->n_virtio,
		.memory = &vm->memory,
	};
	uint8_t tree[DEVICE_TREE_MAX];
	int size = device_tree_build(&machine, tree);

	if (size < 0)
		return error_set(err, -size, "the device tree does not fit");
	return arch_load(&vm->memory, vm->config->kernel, vm->config->cmdline, tree, (size_t)size, entry, err);
}

static void loop_ready(void *opaque, uint32_t events)
{
	struct vm *vm = opaque;

	(void)events;
	vm->loop_is_ready = true;
}

static int prepare_loops(struct vm *vm, struct error *err)
{
	int status = event_loop_open(&vm->devices);

	if (status < 0)
		return error_set(err, -status, "cannot make an epoll descriptor: %s", strerror(-status));
	vm->loop_source = (struct event_source) { .fd = vm->loop->fd, .ready = loop_ready, .opaque = vm };
	status = event_loop_add(&vm->devices, &vm->loop_source, EPOLLIN);
	if (status < 0)
		return error_set(err, -status, "cannot watch the process's events: %s", strerror(-status));
	vm->ended = (struct event_source) { .fd = make_eventfd(err), .ready = ended_ready, .opaque = vm };
	if (vm->ended.fd < 0)
		return vm->ended.fd;
	status = event_loop_add(vm->loop, &vm->ended, EPOLLIN);
	return status < 0 ? error_set(err, -status, "cannot watch the VM: %s", strerror(-status)) : 0;
}

int vm_assemble(struct vm *vm, struct state_reader *snapshot, struct error *err)
{
	gpa_t entry = 0;
	int status = prepare_loops(vm, err);

	if (status == 0 && snapshot)
		status = vm_read_machine(vm, snapshot, &vm->chain, err);
	if (status == 0)
		status = prepare_memory(vm, err);
	if (status == 0 && snapshot)
		status = vm_map_memory(vm, err);
	if (status == 0)
		status = prepare_kvm(vm, err);
	if (status == 0)
		status = prepare_platform_devices(vm, err);
	if (status == 0)
		status = prepare_virtio_devices(vm, err);
	if (status == 0 && !snapshot)
		status = prepare_guest(vm, &entry, err);
	if (status == 0)
		status = vcpus_create(&vm->vcpus, &vm->kvm, vm->n_vcpus, &vm->mmio, &vm->ports, vcpu_ended, vm, err);
	for (unsigned i = 0; i < vm->n_vcpus && status == 0 && !snapshot; i++)
		status = arch_vcpu_init(&vm->kvm, &vm->vcpus.vcpus[i], vm->n_vcpus, entry, err);
	if (status == 0 && snapshot)
		status = vm_restore_state(vm, snapshot, err);
	return status == 0 ? vcpus_start(&vm->vcpus, err) : status;
}
