/*
 * Devices against the driver that does anything (tests/fuzz/virtio_driver.h), with random decisions. The seed is fixed: a
 * failure comes again. HEARTH_FUZZ_ROUNDS=n runs longer. `make fuzz` has the same driver steered by coverage.
 */
#include "tests/fuzz/virtio_driver.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

enum { ROUNDS = 100000, BYTES = 1 << 16 };

static void fill_with_random_bytes(uint8_t bytes[BYTES])
{
	static uint64_t state = 0x853c49e6748fea9b;

	for (unsigned i = 0; i < BYTES; i++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		bytes[i] = (uint8_t)(state >> 33);
	}
}

static void drive(struct virtio_driver *f, struct virtio_device *device)
{
	const char *text = getenv("HEARTH_FUZZ_ROUNDS");
	static uint8_t bytes[BYTES];

	assert_non_null(device);
	virtio_driver_attach(f, device);
	for (unsigned long i = text ? strtoul(text, NULL, 10) : ROUNDS; i > 0; i--) {
		if (f->choices.size < BYTES / 8) {
			fill_with_random_bytes(bytes);
			f->choices = (struct choices) { bytes, BYTES };
		}
		virtio_driver_do(f);
	}
	/* Else it tested nothing: the driver must have got through, and must have been caught. */
	assert_true(f->n_pushed > 100);
	assert_true(f->n_broken > 10);
}

static int setup(void **state)
{
	static struct virtio_driver f;

	*state = &f;
	return virtio_driver_open(&f) ? 0 : -1;
}

static int teardown(void **state)
{
	virtio_driver_close(*state);
	return 0;
}

static void a_disk_survives_any_driver(void **state)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	drive(*state, virtio_blk_create_over(fd, 2048, false, 0));
}

static void the_random_source_survives_any_driver(void **state)
{
	drive(*state, virtio_rng_create());
}

static void vsock_survives_any_driver_and_any_host(void **state)
{
	drive(*state, virtio_driver_open_vsock(*state));
}

static void net_survives_any_driver_and_any_network(void **state)
{
	drive(*state, virtio_driver_open_net(*state));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_disk_survives_any_driver, setup, teardown),
		cmocka_unit_test_setup_teardown(the_random_source_survives_any_driver, setup, teardown),
		cmocka_unit_test_setup_teardown(vsock_survives_any_driver_and_any_host, setup, teardown),
		cmocka_unit_test_setup_teardown(net_survives_any_driver_and_any_network, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
