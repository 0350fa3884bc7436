/*
 * The 64-bit Linux boot protocol (the kernel's Documentation/arch/x86/boot.rst): kernel, zero page, command line, and
 * device tree and seed as setup_data.
 */
#include "vmm/arch.h"

#include "common/cleanup.h"
#include "vmm/elf.h"
#include "vmm/host_file.h"
#include "vmm/x86/layout.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
	SETUP_RNG_SEED_TYPE = 9, /* younger than some hosts' headers */
	SEED_SIZE = 32,
	BOOT_PROTOCOL_VERSION = 0x20f,
};

/*
 * The platform's part of the command line: what this machine's devices and clock need. A user's part comes behind it and
 * so wins where it names the same.
 * - console: the device tree's UART; quiet and loglevel, because each byte leaves the guest twice. Panics still show.
 * - reboot=k: port 0x64 (machine.h); panic=-1: at once, after pvpanic was told.
 * - no_timer_check: there is no PIT to check. clocksource: the one that survives a move to another host; tsc=reliable: no
 *   watchdog over the TSC. swiotlb=noforce: no bounce buffers, devices reach all memory.
 * - random: the seed in setup_data and RDRAND count, so getrandom() never blocks.
 */
static const char platform_cmdline[] =
	"console=ttyS0 quiet loglevel=1 reboot=k panic=-1 no_timer_check "
	"clocksource=kvm-clock tsc=reliable swiotlb=noforce random.trust_cpu=on random.trust_bootloader=on";

static int load_kernel(const struct guest_memory *memory, const char *path, gpa_t *entry, struct error *err)
{
	AUTO_FD int fd = host_file_open(path, O_RDONLY | O_CLOEXEC);
	gpa_t end = memory->regions[0].size;

	if (fd < 0)
		return error_set(err, errno, "cannot open kernel %s: %s", path, strerror(errno));
	if (end > BOOT_MAPPED_END)
		end = BOOT_MAPPED_END;
	if (elf_load(fd, memory, BOOT_KERNEL_FIRST, end, entry, err) < 0)
		return error_wrap(err, "kernel %s", path);
	return 0;
}

static int load_cmdline(const struct guest_memory *memory, const char *cmdline, struct error *err)
{
	char *to = guest_memory_get(memory, BOOT_CMDLINE, BOOT_CMDLINE_MAX);
	int length = snprintf(to, BOOT_CMDLINE_MAX, "%s%s%s", platform_cmdline, *cmdline ? " " : "", cmdline);

	if (length >= BOOT_CMDLINE_MAX)
		return error_set(err, E2BIG, "the kernel's command line is too long: %d bytes, at most %d fit", length,
				 BOOT_CMDLINE_MAX - 1);
	return 0;
}

/* One node of the list that boot_params.hdr.setup_data starts; returns where the next one goes. */
static gpa_t add_setup_data(const struct guest_memory *memory, gpa_t at, uint32_t type, const void *data, size_t size,
			    bool is_last)
{
	const size_t whole = sizeof(struct setup_data) + size;
	/* Aligned, because a device tree must be; the node's header has 16 bytes. */
	const gpa_t next = (at + whole + 15) & ~15ULL;
	struct setup_data header = { .next = is_last ? 0 : next, .type = type, .len = (uint32_t)size };
	uint8_t *to = guest_memory_get(memory, at, whole);

	memcpy(to, &header, sizeof(header));
	memcpy(to + sizeof(header), data, size);
	return next;
}

static int load_setup_data(const struct guest_memory *memory, const void *device_tree, size_t device_tree_size,
			   struct error *err)
{
	uint8_t seed[SEED_SIZE];
	gpa_t next;

	if (BOOT_SETUP_DATA + 1024 + device_tree_size > BOOT_LOW_RAM_END)
		return error_set(err, E2BIG, "the device tree is too large");
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return error_set(err, EIO, "the host has no random numbers for the guest's seed");
	next = add_setup_data(memory, BOOT_SETUP_DATA, SETUP_RNG_SEED_TYPE, seed, sizeof(seed), false);
	explicit_bzero(seed, sizeof(seed));
	add_setup_data(memory, next, SETUP_DTB, device_tree, device_tree_size, true);
	return 0;
}

static void add_e820(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
	struct boot_e820_entry *entry = &params->e820_table[params->e820_entries++];

	*entry = (struct boot_e820_entry) { .addr = start, .size = end - start, .type = type };
}

static void load_boot_params(const struct guest_memory *memory)
{
	enum { RAM = 1, RESERVED = 2 };
	struct boot_params *params = guest_memory_get(memory, BOOT_PARAMS, sizeof(*params));

	/* All zero but for this, the sentinel among it: the kernel takes a set sentinel for a careless loader. */
	memset(params, 0, sizeof(*params));
	params->hdr.boot_flag = 0xaa55;
	params->hdr.header = 0x53726448; /* "HdrS" */
	params->hdr.version = BOOT_PROTOCOL_VERSION;
	params->hdr.type_of_loader = 0xff; /* one without a number of its own */
	params->hdr.loadflags = LOADED_HIGH;
	params->hdr.kernel_alignment = 16 * MIB;
	params->hdr.cmd_line_ptr = BOOT_CMDLINE;
	params->hdr.setup_data = BOOT_SETUP_DATA;

	add_e820(params, 0, BOOT_LOW_RAM_END, RAM);
	add_e820(params, BOOT_LOW_RAM_END, MIB, RESERVED);
	add_e820(params, MIB, memory->regions[0].size, RAM);
	if (memory->n_regions > 1)
		add_e820(params, memory->regions[1].start, memory->regions[1].start + memory->regions[1].size, RAM);
}

/* A GDT with flat 64-bit code and data, and page tables that map the first GiB onto itself. */
static void load_tables(const struct guest_memory *memory)
{
	const uint64_t gdt[4] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	const uint64_t present_writable = 3, huge = 0x80;
	uint64_t *pml4 = guest_memory_get(memory, BOOT_PML4, 4096);
	uint64_t *pdpt = guest_memory_get(memory, BOOT_PDPT, 4096);
	uint64_t *pd = guest_memory_get(memory, BOOT_PD, 4096);

	memcpy(guest_memory_get(memory, BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
	pml4[0] = BOOT_PDPT | present_writable;
	pdpt[0] = BOOT_PD | present_writable;
	for (uint64_t i = 0; i < 512; i++)
		pd[i] = i * 2 * MIB | huge | present_writable;
}

int arch_load(const struct guest_memory *memory, const char *kernel_path, const char *cmdline, const void *device_tree,
	      size_t device_tree_size, gpa_t *entry, struct error *err)
{
	int status = load_kernel(memory, kernel_path, entry, err);

	if (status == 0)
		status = load_cmdline(memory, cmdline, err);
	if (status == 0)
		status = load_setup_data(memory, device_tree, device_tree_size, err);
	if (status == 0) {
		load_boot_params(memory);
		load_tables(memory);
	}
	return status;
}
