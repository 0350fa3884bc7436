#include "shell_order.h"

#include "common/bytes.h"

static const char *check(const struct shell_order *order)
{
	const size_t max = order->form == AGENT_SHELL_COMMAND ? 1 : AGENT_SHELL_ARGUMENTS_MAX;

	if (order->form != AGENT_SHELL_COMMAND && order->form != AGENT_SHELL_ARGUMENTS)
		return "the form of the command is unknown";
	if (order->texts[order->texts_size - 1] != '\0')
		return "the command does not end";
	if (order->n_texts > max)
		return "the command has too many arguments";
	return order->form == AGENT_SHELL_ARGUMENTS && !order->texts[0] ? "the program has no name" : NULL;
}

const char *shell_order_decode(struct shell_order *order, const uint8_t *code, size_t size)
{
	struct bytes b = bytes_from(code, size);

	order->form = bytes_get_u8(&b);
	bytes_take(&b, 3);
	order->input_size = bytes_get_u32(&b);
	order->input = bytes_take(&b, order->input_size);
	order->texts_size = bytes_left(&b);
	order->texts = (const char *)bytes_take(&b, order->texts_size);
	order->n_texts = 0;
	if (b.failed || order->texts_size == 0)
		return "the command is too short";
	for (size_t i = 0; i < order->texts_size; i++)
		order->n_texts += order->texts[i] == '\0';
	return check(order);
}
