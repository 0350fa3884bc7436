#include "vmm/kvm.h"

#include "vmm/host_file.h"
#include "vmm/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { KVM_VERSION = 12 };

static uint64_t n_calls; /* of the main thread: vCPU threads only KVM_RUN */

int kvm_call(int fd, unsigned long request, void *argument)
{
	n_calls++;
	return ioctl(fd, request, argument);
}

int kvm_call_number(int fd, unsigned long request, unsigned long argument)
{
	n_calls++;
	return ioctl(fd, request, argument);
}

uint64_t kvm_n_calls(void)
{
	return n_calls;
}

static const struct {
	int extension;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "user memory" },
	{ KVM_CAP_IRQCHIP, "in-kernel interrupt controllers" },
	{ KVM_CAP_IRQFD, "irqfd" },
	{ KVM_CAP_IOEVENTFD, "ioeventfd" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
	{ KVM_CAP_SET_TSS_ADDR, "TSS address" },
	{ KVM_CAP_EXT_CPUID, "CPUID" },
};

static int open_device(struct error *err)
{
	int fd = host_file_open(HOST_FILE_KVM, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return error_set(err, ENOENT,
				 "there is no /dev/kvm: load the module kvm_intel or kvm_amd, and see "
				 "that virtualization is switched on in the firmware");
	if (errno == EACCES || errno == EPERM)
		return error_set(err, EACCES, "no permission for /dev/kvm: join its group (usermod -aG kvm $USER)");
	return error_set(err, errno, "cannot open /dev/kvm: %s", strerror(errno));
}

int kvm_open(struct kvm *kvm, struct error *err)
{
	int version, run_size;

	*kvm = (struct kvm) { .fd = -1, .vm_fd = -1 };
	kvm->fd = open_device(err);
	if (kvm->fd < 0)
		return kvm->fd;
	version = kvm_call_number(kvm->fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_VERSION)
		return error_set(err, ENOTSUP, "/dev/kvm speaks version %d, %d is needed", version, KVM_VERSION);
	for (unsigned i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (kvm_call_number(kvm->fd, KVM_CHECK_EXTENSION, (unsigned long)needed[i].extension) <= 0)
			return error_set(err, ENOTSUP, "this host's KVM lacks %s", needed[i].name);
	run_size = kvm_call_number(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_size <= 0)
		return error_set(err, EIO, "KVM does not tell the size of its vCPU area");
	kvm->run_size = (size_t)run_size;
	return 0;
}

void kvm_close(struct kvm *kvm)
{
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	if (kvm->fd >= 0)
		close(kvm->fd);
	kvm->fd = kvm->vm_fd = -1;
}

int kvm_create_vm(struct kvm *kvm, struct error *err)
{
	/* A loaded host interrupts it now and then. */
	do {
		kvm->vm_fd = kvm_call_number(kvm->fd, KVM_CREATE_VM, 0);
	} while (kvm->vm_fd < 0 && errno == EINTR);
	if (kvm->vm_fd < 0)
		return error_set(err, errno, "KVM cannot create a VM: %s", strerror(errno));
	if (kvm_call_number(kvm->vm_fd, KVM_SET_TSS_ADDR, MACHINE_KVM_TSS) < 0)
		return error_set(err, errno, "KVM_SET_TSS_ADDR: %s", strerror(errno));
	return 0;
}

int kvm_add_memory(struct kvm *kvm, gpa_t start, uint64_t size, const void *host, bool is_read_only, struct error *err)
{
	struct kvm_userspace_memory_region region = {
		.slot = kvm->n_memslots,
		.flags = is_read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = start,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (kvm_call(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return error_set(err, errno, "KVM does not take the guest's memory at 0x%llx: %s",
				 (unsigned long long)start, strerror(errno));
	kvm->n_memslots++;
	return 0;
}

int kvm_disable_halt_exits(struct kvm *kvm, struct error *err)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_DISABLE_EXITS, .args = { KVM_X86_DISABLE_EXITS_HLT } };

	if (kvm_call(kvm->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		return error_set(err, errno, "KVM cannot let the guest halt: %s", strerror(errno));
	return 0;
}

int kvm_create_irqchip(struct kvm *kvm, struct error *err)
{
	if (kvm_call_number(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return error_set(err, errno, "KVM_CREATE_IRQCHIP: %s", strerror(errno));
	return 0;
}

int kvm_assign_interrupt(struct kvm *kvm, int eventfd, unsigned pin, struct error *err)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)eventfd, .gsi = pin };

	if (kvm_call(kvm->vm_fd, KVM_IRQFD, &irqfd) < 0)
		return error_set(err, errno, "KVM_IRQFD for pin %u: %s", pin, strerror(errno));
	return 0;
}

int kvm_assign_notification(struct kvm *kvm, int eventfd, gpa_t address, struct error *err)
{
	struct kvm_ioeventfd notification = { .addr = address, .len = 4, .fd = eventfd };

	if (kvm_call(kvm->vm_fd, KVM_IOEVENTFD, &notification) < 0)
		return error_set(err, errno, "KVM_IOEVENTFD at 0x%llx: %s", (unsigned long long)address,
				 strerror(errno));
	return 0;
}
