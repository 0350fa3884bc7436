/* Reads and writes model-specific registers, asks for all CPUID leaves: what the processor refuses is skipped. */
#include "tests/guests/guest.h"

struct gate {
	uint16_t low, selector, type, middle;
	uint32_t high, zero;
} __attribute__((packed));

static struct gate gates[32];
static uint64_t segments[32];
static volatile uint32_t n_faults;

/* rdmsr and wrmsr have two bytes. The error code is popped with the handler's own return. */
__asm__("fault:\n"
	"	incl	n_faults(%rip)\n"
	"	addq	$2, 8(%rsp)\n"
	"	addq	$8, %rsp\n"
	"	iretq\n");
void fault(void);

static void catch_faults(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = { sizeof(gates) - 1, (uint64_t)gates };
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) global = { sizeof(segments) - 1, (uint64_t)segments };
	uint16_t selector, stack;

	/* The VM started with segments that are in no table; a handler's return looks there. */
	__asm__ volatile("mov %%cs, %0" : "=r"(selector));
	__asm__ volatile("mov %%ss, %0" : "=r"(stack));
	segments[selector / 8] = 0x00af9b000000ffff;
	segments[stack / 8] = 0x00cf93000000ffff;
	__asm__ volatile("lgdt %0" : : "m"(global));
	gates[13] = (struct gate) { .low = (uint16_t)(uint64_t)fault,
				    .selector = selector,
				    .type = 0x8e00,
				    .middle = (uint16_t)((uint64_t)fault >> 16),
				    .high = (uint32_t)((uint64_t)fault >> 32) };
	__asm__ volatile("lidt %0" : : "m"(table));
}

static void try_msr(uint32_t number)
{
	uint32_t low = 0, high = 0;

	__asm__ volatile("rdmsr" : "+a"(low), "+d"(high) : "c"(number));
	/* What is there is written back: most others would end the guest by its own hand. */
	__asm__ volatile("wrmsr" : : "a"(low), "d"(high), "c"(number));
}

/* Not those whose other values are the guest's own business: paging, segments, the stack of system calls. */
static void try_odd_values(uint32_t number)
{
	__asm__ volatile("wrmsr" : : "a"(0xffffffff), "d"(0xffffffff), "c"(number));
	__asm__ volatile("wrmsr" : : "a"(0), "d"(0), "c"(number));
}

static void ask_cpuid(uint32_t first, uint32_t n)
{
	for (uint32_t leaf = first; leaf < first + n; leaf++)
		for (uint32_t sub = 0; sub < 4; sub++) {
			uint32_t a = leaf, b, c = sub, d;

			__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		}
}

int main(void)
{
	catch_faults();
	for (uint32_t i = 0; i < 0x1000; i++)
		try_msr(i);
	for (uint32_t i = 0; i < 0x200; i++) {
		try_msr(0x40000000 + i);
		try_msr(0x4b564d00 + i);
		try_msr(0xc0010000 + i);
	}
	for (uint32_t i = 0x200; i < 0x300; i++) /* memory types */
		try_odd_values(i);
	for (uint32_t i = 0x4b564d00; i < 0x4b564d10; i++) /* KVM's own: the clock, stolen time, asynchronous faults */
		try_odd_values(i);
	ask_cpuid(0, 0x40);
	ask_cpuid(0x40000000, 0x10);
	ask_cpuid(0x80000000, 0x30);
	ask_cpuid(0xffffff00, 0x10);
	if (n_faults == 0)
		fail("no register was refused");
	print("all of the processor\n");
	reset();
	wait_for_the_end();
	return 0;
}
