/* Faults with no way to handle it. */
#include "guest.h"

int main(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing = { 0, 0 };

	print("before the fault\n");
	__asm__ volatile("lidt %0; ud2" : : "m"(nothing));
	return 0;
}
