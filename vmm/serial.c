#include "vmm/serial.h"

#include "vmm/event_loop.h"

#include <linux/serial_reg.h>

enum {
	IER_MASK = 0x0f,
	MODEM_ALWAYS = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS, /* somebody is there and listens */
};

void serial_init(struct serial *serial, struct console *console, int interrupt_fd)
{
	*serial = (struct serial) { .console = console, .interrupt_fd = interrupt_fd };
	pthread_mutex_init(&serial->lock, NULL);
}

/* The interrupt is an edge: it is signalled when the line goes up. */
static void update_line(struct serial *serial)
{
	const bool is_high = (serial->ier & UART_IER_THRI) && serial->transmitter_interrupt;

	if (is_high && !serial->line_is_high)
		eventfd_signal(serial->interrupt_fd);
	serial->line_is_high = is_high;
}

static uint8_t read_iir(struct serial *serial)
{
	const uint8_t fifo = serial->fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0;

	if (!serial->line_is_high)
		return fifo | UART_IIR_NO_INT;
	serial->transmitter_interrupt = false; /* reading it acknowledges it */
	return fifo | UART_IIR_THRI;
}

/* In loopback the modem's inputs are its outputs, which drivers use to find out whether there is a UART. */
static uint8_t read_msr(const struct serial *serial)
{
	uint8_t msr = 0;

	if (!(serial->mcr & UART_MCR_LOOP))
		return MODEM_ALWAYS;
	msr |= serial->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0;
	msr |= serial->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0;
	msr |= serial->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0;
	msr |= serial->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0;
	return msr;
}

static uint8_t read_register(struct serial *serial, uint64_t offset)
{
	const bool divisor = serial->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_RX:
		return divisor ? serial->dll : 0;
	case UART_IER:
		return divisor ? serial->dlm : serial->ier;
	case UART_IIR:
		return read_iir(serial);
	case UART_LCR:
		return serial->lcr;
	case UART_MCR:
		return serial->mcr;
	case UART_LSR:
		return UART_LSR_THRE | UART_LSR_TEMT;
	case UART_MSR:
		return read_msr(serial);
	default:
		return serial->scr;
	}
}

static void transmit(struct serial *serial, uint8_t byte)
{
	if (!(serial->mcr & UART_MCR_LOOP))
		console_put(serial->console, byte);
	/* A new byte takes the interrupt back, and being sent at once raises it again. */
	serial->transmitter_interrupt = false;
	update_line(serial);
	serial->transmitter_interrupt = true;
}

static void write_ier(struct serial *serial, uint8_t value)
{
	if ((value & UART_IER_THRI) && !(serial->ier & UART_IER_THRI))
		serial->transmitter_interrupt = true;
	serial->ier = value & IER_MASK;
}

static void write_register(struct serial *serial, uint64_t offset, uint8_t value)
{
	const bool divisor = serial->lcr & UART_LCR_DLAB;

	switch (offset) {
	case UART_TX:
		if (divisor)
			serial->dll = value;
		else
			transmit(serial, value);
		break;
	case UART_IER:
		if (divisor)
			serial->dlm = value;
		else
			write_ier(serial, value);
		break;
	case UART_FCR:
		serial->fcr = value;
		break;
	case UART_LCR:
		serial->lcr = value;
		break;
	case UART_MCR:
		serial->mcr = value & 0x1f;
		break;
	case UART_SCR:
		serial->scr = value;
		break;
	default: /* the status registers cannot be written */
		break;
	}
}

void serial_access(void *opaque, uint64_t offset, uint8_t *data, unsigned length, bool is_write)
{
	struct serial *serial = opaque;

	if (length != 1)
		return; /* registers are bytes */
	pthread_mutex_lock(&serial->lock);
	if (is_write)
		write_register(serial, offset, *data);
	else
		*data = read_register(serial, offset);
	update_line(serial);
	pthread_mutex_unlock(&serial->lock);
}

void serial_save(struct serial *serial, struct state_writer *writer)
{
	const uint8_t registers[] = { serial->ier,         serial->lcr, serial->mcr, serial->fcr,
				      serial->scr,         serial->dll, serial->dlm, serial->transmitter_interrupt,
				      serial->line_is_high };

	state_section(writer, STATE_SERIAL, 0);
	state_put(writer, registers, sizeof(registers));
}

int serial_restore(struct serial *serial, struct state_reader *reader, struct error *err)
{
	struct bytes in = state_find(reader, STATE_SERIAL, 0);

	serial->ier = bytes_get_u8(&in) & IER_MASK;
	serial->lcr = bytes_get_u8(&in);
	serial->mcr = bytes_get_u8(&in);
	serial->fcr = bytes_get_u8(&in);
	serial->scr = bytes_get_u8(&in);
	serial->dll = bytes_get_u8(&in);
	serial->dlm = bytes_get_u8(&in);
	serial->transmitter_interrupt = bytes_get_u8(&in);
	serial->line_is_high = bytes_get_u8(&in);
	return state_done(&in, "the serial port", err);
}

/* An edge that was on its way is repeated: one too many does no harm. */
void serial_restored(const struct serial *serial)
{
	if (serial->line_is_high)
		eventfd_signal(serial->interrupt_fd);
}
