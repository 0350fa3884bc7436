/* A guest's question, and a resolver's answer to it: two messages in one input. */
#include "tests/fuzz/fuzz.h"
#include "vmm/network/dns.h"

#include <string.h>

static bool is_allowed(void *opaque, const char *name)
{
	(void)opaque;
	FUZZ_CHECK(strlen(name) <= 255);
	return name[0] != 'x';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t first = size ? data[0] : 0;
	struct dns_question question, again;
	struct dns_answer answer;
	uint8_t message[DNS_ANSWER_MAX + 64], query[DNS_QUERY_MAX];
	int status;

	if (size < 1 + first)
		return 0;
	status = dns_parse_question(data + 1, first, &question);
	if (status < 0)
		return 0;
	FUZZ_CHECK(dns_make_answer(query, &question, DNS_REFUSED) <= sizeof(query));
	if (status != DNS_NO_ERROR)
		return 0;
	FUZZ_CHECK(strlen(question.name) <= DNS_NAME_MAX &&
		   strspn(question.name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(question.name));
	/* What we ask is a question, and the same. */
	const size_t asked = dns_make_query(query, &question, 77);

	FUZZ_CHECK(asked <= sizeof(query) && dns_parse_question(query, asked, &again) == DNS_NO_ERROR);
	FUZZ_CHECK(strcmp(again.name, question.name) == 0 && again.type == question.type);
	data += 1 + first;
	size -= 1 + first;
	if (size > DNS_ANSWER_MAX - 300)
		return 0;
	/* As it stands, and with the beginning that makes it an answer to this. */
	memcpy(message, data, size);
	dns_take_answer(message, size, &question, 77, is_allowed, NULL, &answer);
	if (size < 2)
		return 0;
	memcpy(message, query, asked - 11);
	memcpy(message + asked - 11, data + 2, size - 2);
	message[2] = 0x81;
	message[6] = data[0] & 1;
	message[7] = data[1];
	status = dns_take_answer(message, asked - 11 + size - 2, &question, 77, is_allowed, NULL, &answer);
	FUZZ_CHECK(status <= (int)(asked - 11 + size - 2) && answer.n_addresses <= DNS_ADDRESSES_MAX);
	return 0;
}
